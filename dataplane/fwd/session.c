/* What the packet path asks of a session: is it usable (T10, A14.1, A14.2). */
#include "fwd/session.h"

#include "fwd/counter.h"

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
	return s && session_young(s, now) && !sealing_used_up(session_sealing(s));
}

bool session_can_open(const struct session *s)
{
	return counter_get(&s->rx.blocks) < s->limits.blocks_end &&
	       counter_get(&s->rx.failed) < s->limits.failed_end;
}

bool session_used_up(const struct session *s)
{
	return sealing_used_up(session_sealing(s)) || !session_can_open(s);
}

bool session_seal_worn(const struct session *s)
{
	const struct sealing *t = session_sealing(s);

	return counter_get(&t->counter) > s->limits.counter_rekey ||
	       sealing_near(counter_get(&t->blocks), t->limits.blocks_end);
}

bool session_open_worn(const struct session *s)
{
	return sealing_near(counter_get(&s->rx.blocks), s->limits.blocks_end) ||
	       sealing_near(counter_get(&s->rx.failed), s->limits.failed_end) ||
	       ovpn_epoch_first(opening_epoch(&s->rx)) > s->limits.counter_rekey;
}
