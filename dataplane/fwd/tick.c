/*
 * The timers (reference B6), and the news from the workers. Control thread.
 *
 *   per active peer: epochs -> expire (T10, silence, goodbye) -> prove (T11) -> keepalive (T6,
 * ping)
 *                    -> silence (T7) -> tell what happened -> tell rekey wishes (T1 T2 T3 T4)
 *                    -> off the list when nothing is left
 *
 * An event that can't be taken now stays where it was noted and is told by a later tick. A rekey
 * wish is told at most once per WG_REKEY_TIMEOUT_MS, peer and reason, and only while it still
 * holds.
 */
#include <string.h>

#include "fwd/engine.h"
#include "fwd/epochs.h"
#include "fwd/seal.h"
#include "fwd/timers.h"
#include "uapi/uapi.h"
#include "wire/wg_wire.h"

_Static_assert(WISH_NO_SESSION == 1 << UAPI_REKEY_NO_SESSION && WISH_AGE == 1 << UAPI_REKEY_AGE &&
		       WISH_COUNTER == 1 << UAPI_REKEY_COUNTER &&
		       (int)UAPI_REKEY_SILENCE < PEER_REASONS,
	"bits are reasons");

/* A peer that sends every packet from another place is news once in so long, with the newest. */
enum { MOVED_GAP_MS = 1000 };

struct tick {
	struct fwd *f;
	const struct fwd_tick_ops *ops;
	uint64_t now;
	/* to be freed at the end */
	struct session *dead;
	struct sealing *replaced;
};

static bool tell(const struct tick *t, const struct fwd_event *e)
{
	return t->ops->event(t->ops->arg, e);
}

static bool same_tunnel(const struct session *a, const struct session *b)
{
	return ulid_equal(&a->about.tunnel, &b->about.tunnel);
}

/* ---- epochs ---- */

/* Before anything is sent or found used up. Sessions leave the slots on this thread or, by a
 * worker, in front of it (out); none is freed meanwhile. */
static void keep_epochs(struct tick *t, struct peer *p)
{
	const _Atomic(struct session *) *const slots[] = {
		&p->slots.current, &p->slots.next, &p->slots.previous};
	const struct sealing *before = t->replaced;

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct session *s = atomic_load_explicit(slots[i], memory_order_acquire);
		if (s)
			t->replaced = epochs_keep(s, t->f->limits.workers + 1, t->now, t->replaced);
	}
	if (t->replaced != before)
		engine_ready(t->f); /* what found the last epoch used up */
}

static void free_replaced(const struct tick *t)
{
	struct sealing *next;

	for (struct sealing *s = t->replaced; s; s = next) {
		next = s->next;
		sealing_free(s, t->f->limits.workers + 1);
	}
}

/* ---- the end of sessions: T10, and OpenVPN's silence and goodbyes ---- */

static void note_end(struct peer *p, uint64_t seq, enum uapi_end reason)
{
	p->ctl.expired = seq;
	p->ctl.expired_reason = (uint8_t)reason;
}

static void expire(const struct tick *t, struct peer *p)
{
	const struct session *was = keyslot_in_use(&p->slots);

	spin_lock(&p->lock);
	keyslot_expire(&p->slots, t->now);
	spin_unlock(&p->lock);
	if (!was || !atomic_load(&was->dead) || keyslot_current(&p->slots))
		return;
	/* What a client has not switched to yet still lets it go on. */
	const struct session *now = keyslot_in_use(&p->slots);
	if (!now || !same_tunnel(now, was))
		note_end(p, was->seq, UAPI_END_AGE);
}

/* Told is the session in use, also when the word came on an older one. */
static void end_tunnel(struct peer *p, const struct session *s, enum uapi_end reason)
{
	const struct session *used = keyslot_in_use(&p->slots);

	if (used && same_tunnel(used, s))
		s = used;
	spin_lock(&p->lock);
	keyslot_drop_tunnel(&p->slots, &s->about.tunnel);
	spin_unlock(&p->lock);
	note_end(p, s->seq, reason);
}

/* A client that got keys and never used them is silent as well. */
static void end_silent(const struct tick *t, struct peer *p)
{
	const struct session *s = keyslot_in_use(&p->slots);

	if (!s || !session_is_ovpn(s) || !s->timeout_s)
		return;
	uint64_t last = peer_last_rx(p), since = last > s->birth ? last - 1 : s->birth;
	if (elapsed(t->now, since) >= s->timeout_s * 1000u)
		end_tunnel(p, s, UAPI_END_SILENCE);
}

static void end_farewell(struct peer *p)
{
	if (!(atomic_load(&p->timers.wishes) & WISH_FAREWELL))
		return;
	/* Cleared before the sessions are asked, so that a later goodbye is heard. */
	atomic_fetch_and(&p->timers.wishes, ~(uint32_t)WISH_FAREWELL);
	const struct session *s = keyslot_farewell(&p->slots);
	if (s)
		end_tunnel(p, s, UAPI_END_EXIT);
}

/* ---- T6, T11, pings ---- */

/* Empty for WireGuard, a ping for OpenVPN. */
static void send_keepalive(const struct tick *t, struct peer *p, struct session *s)
{
	uint8_t buf[FWD_HEADROOM + OVPN_PING + FWD_TAILROOM];
	struct fwd_packet packet = {.data = buf + FWD_HEADROOM,
		.path = peer_path(p, s),
		.peer = p->id,
		.session = s,
		.verdict = FWD_STREAM};
	struct fwd_packet *one = &packet;

	if (!packet.path.remote.addr.family)
		return;
	if (session_is_ovpn(s)) {
		packet.len = OVPN_PING;
		memcpy(packet.data, ovpn_ping, OVPN_PING);
	}
	if (!s->connection &&
		(!seal_run(s, t->f->limits.workers, &one, 1, 0) || packet.verdict != FWD_SEND))
		return;
	/* Before it goes: what a worker receives from now on is not answered by it. */
	on_any_sent(p, s, t->now);
	t->ops->send(t->ops->arg, &packet);
}

/* An initiator's first packet lets the other side use the keys. Staged packets do as well, and a
 * worker is about to send them. */
static void prove(const struct tick *t, struct peer *p)
{
	struct session *s = keyslot_current(&p->slots);

	if (!p->ctl.prove)
		return;
	if (session_can_seal(s, t->now) && !atomic_load(&session_sealing(s)->counter)) {
		if (atomic_load(&p->staged))
			return;
		send_keepalive(t, p, s);
	}
	p->ctl.prove = false;
}

static void owed(const struct tick *t, struct peer *p, struct session *s)
{
	struct peer_timers *timers = &p->timers;
	uint64_t since = atomic_load(&timers->owe_since), stopped = 0;

	if (!since || elapsed(t->now, since - 1) < WG_KEEPALIVE_MS)
		return;
	bool more = atomic_exchange(&timers->owe_more, false);
	if (session_can_seal(s, t->now))
		send_keepalive(t, p, s);
	/* Only what ran out is stopped: a worker may have started it anew meanwhile. Came more data
	 * while the timer ran, it runs once more. */
	atomic_compare_exchange_strong(&timers->owe_since, &since, 0);
	if (more)
		atomic_compare_exchange_strong(&timers->owe_since, &stopped, t->now + 1);
}

/* OpenVPN: nothing was sent for so long. Over TCP the ping may find no room; the next one will. */
static void ping(const struct tick *t, struct peer *p, struct session *s)
{
	uint64_t last = peer_last_tx(p);

	if (p->ctl.pinged_at > last)
		last = p->ctl.pinged_at;
	if (!s->ping_s || elapsed(t->now, last ? last - 1 : s->birth) < s->ping_s * 1000u ||
		!session_can_seal(s, t->now))
		return;
	p->ctl.pinged_at = t->now + 1;
	send_keepalive(t, p, s);
}

static void keepalive(const struct tick *t, struct peer *p)
{
	struct session *s = keyslot_current(&p->slots);

	if (s && session_is_ovpn(s))
		ping(t, p, s);
	else
		owed(t, p, s);
}

/* ---- news ---- */

static void tell_news(const struct tick *t, struct peer *p)
{
	uint64_t seq = atomic_load(&p->confirmed_seq);

	/* In the order in which it happened: what was confirmed meanwhile is not gone. */
	if (p->ctl.expired) {
		if (!tell(t, &(struct fwd_event){.kind = FWD_EVENT_EXPIRED,
				     .peer = p->id,
				     .seq = p->ctl.expired,
				     .reason = p->ctl.expired_reason}))
			return;
		p->ctl.expired = 0;
	}
	if (seq > p->ctl.told_confirmed &&
		tell(t, &(struct fwd_event){
				.kind = FWD_EVENT_CONFIRMED, .peer = p->id, .seq = seq}))
		p->ctl.told_confirmed = seq;
	if (!(atomic_load(&p->timers.wishes) & WISH_MOVED) ||
		(p->ctl.moved_at && elapsed(t->now, p->ctl.moved_at - 1) < MOVED_GAP_MS))
		return;
	/* Cleared before the path is read, so that a move after that is told again. */
	atomic_fetch_and(&p->timers.wishes, ~(uint32_t)WISH_MOVED);
	struct fwd_event e = {.kind = FWD_EVENT_MOVED, .peer = p->id};
	e.path = pathcell_load(&p->path);
	if (tell(t, &e))
		p->ctl.moved_at = t->now + 1;
	else
		peer_wish(p, WISH_MOVED);
}

/* ---- rekey wishes ---- */

/* OpenVPN's control plane knows the age of its keys, and its clients come by themselves. */
static bool still_wanted(const struct peer *p, uint8_t reason, uint64_t now)
{
	const struct session *s = keyslot_current(&p->slots);

	switch ((enum uapi_rekey)reason) {
	case UAPI_REKEY_NO_SESSION:
		return !session_can_seal(s, now) && !(s && session_is_ovpn(s));
	case UAPI_REKEY_AGE:
		return s && s->initiator && session_age(s, now) >= WG_REKEY_AFTER_MS;
	case UAPI_REKEY_COUNTER:
		return s && (session_seal_worn(s) || session_open_worn(s));
	case UAPI_REKEY_SILENCE:
		return true;
	}
	return false;
}

/* Returns: whether it was told. */
static bool tell_rekey(const struct tick *t, struct peer *p, uint8_t reason)
{
	uint64_t *at = &p->ctl.rekey_at[reason];

	if (*at && elapsed(t->now, *at - 1) < WG_REKEY_TIMEOUT_MS)
		return false;
	struct fwd_event e = {.kind = FWD_EVENT_REKEY, .peer = p->id, .reason = reason};
	if (!tell(t, &e))
		return false;
	*at = t->now + 1;
	return true;
}

static void tell_wishes(const struct tick *t, struct peer *p)
{
	for (uint8_t reason = UAPI_REKEY_NO_SESSION; reason <= UAPI_REKEY_COUNTER; reason++) {
		uint32_t bit = 1u << reason;
		if (!(atomic_load(&p->timers.wishes) & bit))
			continue;
		if (!still_wanted(p, reason, t->now) || tell_rekey(t, p, reason))
			atomic_fetch_and(&p->timers.wishes, ~bit);
	}
}

/* T7. The jitter keeps peers that fell silent together from being called together. */
static void silence(const struct tick *t, struct peer *p)
{
	const struct session *s = keyslot_current(&p->slots);
	uint64_t since = atomic_load(&p->timers.wait_since);
	uint64_t limit = WG_KEEPALIVE_MS + WG_REKEY_TIMEOUT_MS +
			 p->id * 2654435761u % (WG_REKEY_JITTER_MS + 1);

	if (s && session_is_ovpn(s))
		return;
	if (since && elapsed(t->now, since - 1) >= limit && tell_rekey(t, p, UAPI_REKEY_SILENCE))
		atomic_compare_exchange_strong(&p->timers.wait_since, &since, 0);
}

/* ---- all of it ---- */

static bool nothing_left(const struct peer *p)
{
	return keyslots_empty(&p->slots) && !atomic_load(&p->staged) &&
	       !atomic_load(&p->timers.wishes) && !p->ctl.expired && !p->ctl.prove &&
	       p->ctl.told_confirmed >= atomic_load(&p->confirmed_seq);
}

static void retire(struct fwd *f, struct peer *p)
{
	if (!nothing_left(p))
		return;
	on_handshake(p);
	engine_unlist(f, p);
	if (!nothing_left(p)) /* a worker's wish came in between */
		engine_list(f, p);
}

void fwd_tick(struct fwd *f, uint64_t now, const struct fwd_tick_ops *ops)
{
	struct tick t = {.f = f, .ops = ops, .now = now};
	struct peer *next;

	engine_drain_woken(f);
	for (struct peer *p = f->active; p; p = next) {
		next = p->ctl.next;
		keep_epochs(&t, p);
		expire(&t, p);
		end_silent(&t, p);
		end_farewell(p);
		if (keyslot_has_out(&p->slots))
			t.dead = engine_collect(f, p, t.dead);
		prove(&t, p);
		keepalive(&t, p);
		tell_news(&t, p);
		silence(&t, p);
		tell_wishes(&t, p);
		retire(f, p);
	}
	if (!t.dead && !t.replaced)
		return;
	engine_wait(f);
	engine_bury(f, t.dead);
	free_replaced(&t);
}
