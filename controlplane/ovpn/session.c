#include "ovpn/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

enum {
	TLS_WAITING_MAX = 32 * 1024, /* of ours, when the client does not acknowledge */
	RETRY_MS = 100,		     /* something due could not be sent */
	TRIM_AFTER = 64,	     /* sessions that are gone */
	TRIM_EVERY_MS = 10 * 1000,
};

_Static_assert(sizeof(struct place) == 36, "a hash key has no padding");

/* ---- where it is found ---- */

static struct place place_of(const struct path *from, const uint8_t client_sid[OVPN_SID])
{
	struct place p = {.connection = from->connection};

	if (from->connection)
		return p;
	memcpy(p.addr, from->remote.addr.bytes, sizeof(p.addr));
	memcpy(p.sid, client_sid, OVPN_SID);
	p.scope = from->remote.scope_id;
	p.port = from->remote.port;
	p.family = from->remote.addr.family;
	p.listener = from->listener;
	return p;
}

static struct session *at_place(struct ovpn_engine *e, const struct place *p)
{
	struct session *s;

	HASH_FIND(by_place, e->by_place, p, sizeof(*p), s);
	return s;
}

struct session *ovpn_session_at(
	struct ovpn_engine *e, const struct path *from, const uint8_t client_sid[OVPN_SID])
{
	const struct place p = place_of(from, client_sid);

	return at_place(e, &p);
}

struct session *ovpn_session_of(struct ovpn_engine *e, uint64_t id)
{
	struct session *s;

	HASH_FIND(by_id, e->by_id, &id, sizeof(id), s);
	return s;
}

static int place_add(struct ovpn_engine *e, struct session *s)
{
	HASH_ADD(by_place, e->by_place, place, sizeof(s->place), s);
	return s->by_place.tbl ? 0 : -ENOMEM;
}

static void place_remove(struct ovpn_engine *e, struct session *s)
{
	if (s->by_place.tbl)
		HASH_DELETE(by_place, e->by_place, s);
	memset(&s->by_place, 0, sizeof(s->by_place));
}

int ovpn_session_move(struct ovpn_engine *e, struct session *s, const struct path *path)
{
	const struct place p = place_of(path, s->client_sid);
	struct session *there = at_place(e, &p);

	if (there && there != s)
		return -EEXIST;
	s->path = *path;
	if (there)
		return 0;
	place_remove(e, s);
	s->place = p;
	return place_add(e, s);
}

/* ---- beginning ---- */

static int session_fill(struct session *s, const struct newcomer *c, uint64_t now_ms)
{
	s->place = place_of(c->from, c->client_sid);
	s->path = *c->from;
	memcpy(s->client_sid, c->client_sid, OVPN_SID);
	memcpy(s->sid, c->sid, OVPN_SID);
	s->wrap = c->wrap;
	s->key = c->key;
	s->has_wkc = c->has_wkc;
	s->wkc_credential = c->wkc_credential;
	s->peer_id = OVPN_NO_PEER_ID;
	s->ended = actions_reserve();
	if (!s->ended)
		return -ENOMEM;
	if (c->from->connection) {
		s->close = actions_reserve();
		if (!s->close)
			return -ENOMEM;
	}
	return negotiation_new(&s->current, 0, now_ms);
}

static int session_enter(struct ovpn_engine *e, struct session *s, uint64_t now_ms)
{
	/* One more for the engine's own. */
	if (deadlines_reserve(&e->timers, HASH_CNT(by_id, e->by_id) + 2) < 0)
		return -ENOMEM;
	s->id = e->last_id + 1;
	HASH_ADD(by_id, e->by_id, id, sizeof(s->id), s);
	if (!s->by_id.tbl || place_add(e, s) < 0)
		return -ENOMEM;
	if (half_opens_add(&e->half, &s->half_open, &s->path.remote.addr, now_ms) < 0)
		return -ENOMEM;
	e->last_id = s->id;
	return 0;
}

static struct session *session_of_half_open(struct half_open *o)
{
	return (struct session *)((char *)o - offsetof(struct session, half_open));
}

static void give_way(struct ovpn_engine *e, struct session *s, struct ovpn_time now)
{
	const struct turn t = {e, s, now};

	ovpn_session_ended(&t, "too many half-open sessions");
	ovpn_session_free(e, s);
}

int ovpn_session_new(
	struct ovpn_engine *e, struct session **out, const struct newcomer *c, struct ovpn_time now)
{
	struct half_open *victim;
	struct session *s;

	if (half_opens_room(&e->half, &c->from->remote.addr, now.mono_ms, &victim) < 0)
		return -EBUSY;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	if (session_fill(s, c, now.mono_ms) < 0) {
		ovpn_session_free(e, s);
		return -ENOMEM;
	}
	if (victim)
		give_way(e, session_of_half_open(victim), now);
	if (session_enter(e, s, now.mono_ms) < 0) {
		ovpn_session_free(e, s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

/* ---- ending ---- */

static struct ovpn_action action_of(const struct session *s, enum ovpn_action_kind kind)
{
	return (struct ovpn_action){.kind = kind,
		.session = s->id,
		.path = s->path,
		.credential = s->grant.credential,
		.peer_id = s->peer_id};
}

static bool is_silent(const struct session *s)
{
	return s->current->key_id == 0 && s->current->state == AT_RESET;
}

void ovpn_session_ended(const struct turn *t, const char *reason)
{
	struct session *s = t->s;
	struct ovpn_action a = action_of(s, OVPN_ACTION_ENDED);

	if (!s->ended || is_silent(s))
		return;
	a.reason = reason;
	a.was_active = s->had_keys;
	actions_push_reserved(&t->e->actions, s->ended, &a);
	s->ended = NULL;
}

void ovpn_session_vanish(const struct turn *t)
{
	t->s->current->state = AT_GONE;
}

static void close_connection(struct ovpn_engine *e, struct session *s)
{
	const struct ovpn_action a = action_of(s, OVPN_ACTION_CLOSE);

	if (!s->close)
		return;
	actions_push_reserved(&e->actions, s->close, &a);
	s->close = NULL;
}

/* A flood is over: what OpenSSL's many small pieces took goes back to the system. */
static void count_freed(struct ovpn_engine *e)
{
	if (++e->freed == TRIM_AFTER)
		deadline_set(&e->timers, &e->trim, e->trimmed_ms + TRIM_EVERY_MS);
}

void ovpn_session_free(struct ovpn_engine *e, struct session *s)
{
	close_connection(e, s);
	if (s->by_id.tbl) {
		HASH_DELETE(by_id, e->by_id, s);
		count_freed(e);
	}
	place_remove(e, s);
	half_opens_remove(&e->half, &s->half_open);
	deadline_clear(&e->timers, &s->due);
	if (s->is_making)
		TAILQ_REMOVE(&e->making, s, making);
	if (s->peer_id != OVPN_NO_PEER_ID)
		e->ops.peer_id_free(e->ops.arg, s->peer_id);
	negotiation_free(s->next);
	negotiation_free(s->current);
	actions_release(s->ended);
	secret_wipe(s, sizeof(*s));
	free(s);
}

/* ---- negotiations ---- */

int negotiation_new(struct negotiation **out, uint8_t key_id, uint64_t now_ms)
{
	struct negotiation *n = calloc(1, sizeof(*n));

	if (n && reliable_new(&n->messages) < 0) {
		free(n);
		n = NULL;
	}
	if (n) {
		n->key_id = key_id;
		n->started_ms = now_ms;
		n->until_ms = now_ms + OVPN_HAND_WINDOW_MS;
		n->use_at_ms = n->renew_at_ms = UINT64_MAX;
	}
	*out = n;
	return n ? 0 : -ENOMEM;
}

void negotiation_free(struct negotiation *n)
{
	if (!n)
		return;
	reliable_free(n->messages);
	ovpn_tls_free(n->tls);
	secret_wipe(n, sizeof(*n));
	free(n);
}

struct negotiation *negotiation_of(const struct session *s, uint8_t key_id)
{
	if (s->current->key_id == key_id)
		return s->current;
	return s->next && s->next->key_id == key_id ? s->next : NULL;
}

bool negotiation_lives(const struct session *s, const struct negotiation *n)
{
	return (s->current == n || s->next == n) && n->tls && n->state < AT_LEAVING;
}

bool negotiation_idle(const struct negotiation *n)
{
	return reliable_idle(n->messages) && (!n->tls || ovpn_tls_pending(n->tls) == 0);
}

/* ---- sending ---- */

struct ovpn_wrap *wrap_of(struct session *s, uint8_t key_id)
{
	return key_id > 0 && s->has_dynamic ? &s->dynamic : &s->wrap;
}

uint32_t wrap_time(struct ovpn_engine *e, struct ovpn_time now)
{
	const uint32_t clock = now.real_s > 0 ? (uint32_t)now.real_s : 0;

	if (clock > e->wrap_time)
		e->wrap_time = clock;
	return e->wrap_time;
}

void packet_send(const struct turn *t, uint8_t key_id, uint8_t op, struct ovpn_tail *tail)
{
	struct session *s = t->s;
	struct ovpn_action a = action_of(s, OVPN_ACTION_SEND);
	uint8_t clear[OVPN_TAIL_MAX];
	int n;

	memcpy(tail->remote_sid, s->client_sid, OVPN_SID);
	n = ovpn_tail_pack(tail, op == OVPN_ACK, clear, sizeof(clear));
	if (n >= 0)
		n = ovpn_wrap_seal(wrap_of(s, key_id), ovpn_first((enum ovpn_opcode)op, key_id),
			s->sid, clear, (size_t)n, a.bytes, sizeof(a.bytes));
	if (n == -EOVERFLOW) {
		ovpn_session_ended(t, "too many control packets");
		ovpn_session_vanish(t);
	}
	if (n < 0)
		return;
	a.len = (size_t)n;
	if (actions_push(&t->e->actions, &a) < 0)
		return;
}

void negotiation_drain(const struct turn *t, struct negotiation *n)
{
	uint8_t bytes[RELIABLE_PAYLOAD];

	while (n->tls && ovpn_tls_pending(n->tls) > 0 && reliable_can_send(n->messages)) {
		const size_t k = ovpn_tls_take(n->tls, bytes, sizeof(bytes));

		if (reliable_send(n->messages, OVPN_CONTROL, bytes, k, t->now.mono_ms) < 0) {
			ovpn_session_ended(t, "no memory");
			ovpn_session_vanish(t);
			return;
		}
	}
	if (n->tls && ovpn_tls_pending(n->tls) > TLS_WAITING_MAX) {
		ovpn_session_ended(t, "the client asks for more than it acknowledges");
		ovpn_session_vanish(t);
	}
}

void negotiation_flush(const struct turn *t, struct negotiation *n)
{
	const bool stream = t->s->path.connection != 0;
	struct ovpn_tail tail;
	uint8_t op;

	negotiation_drain(t, n);
	while (t->s->current->state != AT_GONE &&
		reliable_due(n->messages, t->now.mono_ms, stream, &op, &tail))
		packet_send(t, n->key_id, op, &tail);
}

/* ---- the end of a turn ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t negotiation_due(const struct negotiation *n, uint64_t now_ms)
{
	return earlier(n->until_ms, reliable_next_due(n->messages, now_ms));
}

static uint64_t session_due(const struct session *s, uint64_t now_ms)
{
	uint64_t due = negotiation_due(s->current, now_ms);

	due = earlier(due, s->current->use_at_ms);
	if (s->next)
		due = earlier(due, negotiation_due(s->next, now_ms));
	else
		due = earlier(due, s->current->renew_at_ms);
	return due;
}

void ovpn_session_settle(const struct turn *t)
{
	struct session *s = t->s;
	const uint64_t now_ms = t->now.mono_ms;
	uint64_t due;

	if (s->current->state != AT_GONE)
		negotiation_flush(t, s->current);
	if (s->next && s->current->state != AT_GONE)
		negotiation_flush(t, s->next);
	/* The last words have arrived, or there were none. */
	if (s->current->state == AT_LEAVING && negotiation_idle(s->current))
		ovpn_session_vanish(t);
	if (s->current->state == AT_GONE) {
		ovpn_session_free(t->e, s);
		return;
	}
	due = session_due(s, now_ms);
	if (due == UINT64_MAX)
		deadline_clear(&t->e->timers, &s->due);
	else
		deadline_set(&t->e->timers, &s->due, due > now_ms ? due : now_ms + RETRY_MS);
}
