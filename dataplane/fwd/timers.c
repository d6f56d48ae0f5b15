/* Timer starts and stops. The tick looks whether one has run out. Every store is behind a load, so
 * that steady traffic in one direction leaves the line shared between workers. */
#include "fwd/timers.h"

#include "fwd/counter.h"
#include "fwd/peer.h"
#include "fwd/session.h"
#include "wire/wg_wire.h"

enum { LATE_REKEY_MS = WG_REJECT_AFTER_MS - WG_KEEPALIVE_MS - WG_REKEY_TIMEOUT_MS };

static void stop(_Atomic uint64_t *timer)
{
	if (atomic_load_explicit(timer, memory_order_relaxed))
		atomic_store_explicit(timer, 0, memory_order_relaxed);
}

/* A line's own worker; the tick reads. */
static void note(_Atomic uint64_t *last, uint64_t now)
{
	if (counter_get(last) != now + 1)
		counter_set(last, now + 1);
}

void on_any_sent(struct peer *p, const struct session *s, uint64_t now)
{
	stop(&p->timers.owe_since);
	if (s->initiator && session_age(s, now) >= WG_REKEY_AFTER_MS)
		peer_wish(p, WISH_AGE);
	if (session_seal_worn(s))
		peer_wish(p, WISH_COUNTER);
}

void on_data_sent(struct peer *p, uint32_t worker, const struct session *s, uint64_t now)
{
	_Atomic uint64_t *wait = &p->timers.wait_since;

	if (session_is_ovpn(s))
		note(&p->line[worker].last_tx, now);
	else if (!atomic_load_explicit(wait, memory_order_relaxed))
		atomic_store_explicit(wait, now + 1, memory_order_relaxed);
	on_any_sent(p, s, now);
}

void on_any_received(struct peer *p, uint32_t worker, struct session *s, uint64_t now)
{
	note(&p->line[worker].last_rx, now);
	stop(&p->timers.wait_since);
	if (!s->initiator || session_age(s, now) < LATE_REKEY_MS || keyslot_current(&p->slots) != s)
		return;
	if (!atomic_exchange_explicit(&s->late_rekey, true, memory_order_relaxed))
		peer_wish(p, WISH_AGE);
}

void on_data_received(struct peer *p, const struct session *s, uint64_t now)
{
	struct peer_timers *t = &p->timers;

	if (session_is_ovpn(s))
		return;
	if (!atomic_load_explicit(&t->owe_since, memory_order_relaxed)) {
		atomic_store_explicit(&t->owe_more, false, memory_order_relaxed);
		atomic_store_explicit(&t->owe_since, now + 1, memory_order_relaxed);
	} else if (!atomic_load_explicit(&t->owe_more, memory_order_relaxed)) {
		atomic_store_explicit(&t->owe_more, true, memory_order_relaxed);
	}
}

void on_handshake(struct peer *p)
{
	stop(&p->timers.owe_since);
	stop(&p->timers.wait_since);
}
