/* What the packet path asks of a session: is it usable (T10, A14.1), and counters to seal with. */
#include "fwd/session.h"

#include "fwd/counter.h"

/* Seven eighths: what is beyond them is time for a rekey. */
static bool near(uint64_t n, uint64_t end)
{
	return n > end - end / 8;
}

uint64_t session_age(const struct session *s, uint64_t now)
{
	return elapsed(now, s->birth);
}

bool session_young(const struct session *s, uint64_t now)
{
	return session_age(s, now) < s->limits.life_ms;
}

bool session_can_seal(const struct session *s, uint64_t now)
{
	return s && session_young(s, now) && counter_get(&s->counter) < s->limits.counter_end &&
	       counter_get(&s->blocks) < s->limits.blocks_end;
}

bool session_can_open(const struct session *s)
{
	return counter_get(&s->rx.blocks) < s->limits.blocks_end &&
	       counter_get(&s->rx.failed) < s->limits.failed_end;
}

bool session_used_up(const struct session *s)
{
	return counter_get(&s->counter) >= s->limits.counter_end ||
	       counter_get(&s->blocks) >= s->limits.blocks_end || !session_can_open(s);
}

bool session_seal_worn(const struct session *s)
{
	return counter_get(&s->counter) > s->limits.counter_rekey ||
	       near(counter_get(&s->blocks), s->limits.blocks_end);
}

bool session_open_worn(const struct session *s)
{
	return near(counter_get(&s->rx.blocks), s->limits.blocks_end) ||
	       near(counter_get(&s->rx.failed), s->limits.failed_end);
}

/* Not a plain addition: refused attempts must not carry the counter past its limit and around. */
uint32_t session_reserve(struct session *s, uint32_t n, uint64_t *first)
{
	const uint64_t end = s->limits.counter_end;
	uint64_t at = atomic_load_explicit(&s->counter, memory_order_relaxed);
	uint64_t left;

	do {
		if (at >= end)
			return 0;
		left = end - at;
		if (n > left)
			n = (uint32_t)left;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->counter, &at, at + n, memory_order_relaxed, memory_order_relaxed));
	*first = at;
	return n;
}

/* What is refused stays counted, so it is refused for good; 2^64 is out of reach. */
bool session_spend(struct session *s, uint64_t blocks)
{
	return atomic_fetch_add_explicit(&s->blocks, blocks, memory_order_relaxed) + blocks <=
	       s->limits.blocks_end;
}
