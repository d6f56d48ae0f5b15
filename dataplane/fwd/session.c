/* What the packet path asks of a session: is it usable (T10), and counters to seal with. */
#include "fwd/session.h"

#include "fwd/counter.h"
#include "wire/wg_wire.h"

uint64_t session_age(const struct session *s, uint64_t now)
{
	return elapsed(now, s->birth);
}

bool session_young(const struct session *s, uint64_t now)
{
	return session_age(s, now) < WG_REJECT_AFTER_MS;
}

bool session_can_seal(const struct session *s, uint64_t now)
{
	return s && session_young(s, now) &&
	       atomic_load_explicit(&s->counter, memory_order_relaxed) < WG_REJECT_AFTER_MESSAGES;
}

/* Not a plain addition: refused attempts must not carry the counter past its limit and around. */
uint32_t session_reserve(struct session *s, uint32_t n, uint64_t *first)
{
	uint64_t at = atomic_load_explicit(&s->counter, memory_order_relaxed);
	uint64_t left;

	do {
		if (at >= WG_REJECT_AFTER_MESSAGES)
			return 0;
		left = WG_REJECT_AFTER_MESSAGES - at;
		if (n > left)
			n = (uint32_t)left;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->counter, &at, at + n, memory_order_relaxed, memory_order_relaxed));
	*first = at;
	return n;
}
