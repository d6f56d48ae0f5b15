/*
 * What comes from outside: packets of sessions (known.c), of strangers (stranger.c), the caller's
 * news, and the clock. Every call is a turn: it ends with ovpn_session_settle, which sends what is
 * due and frees what is gone.
 */
#include "ovpn/ovpn_engine.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "ovpn/fsm.h"
#include "ovpn/packets.h"
#include "ovpn/session.h"

const char *ovpn_verdict_name(enum ovpn_verdict v)
{
#define VERDICT_NAME(E, name, meaning) [OVPN_##E] = name,
	static const char *const names[OVPN_VERDICT_COUNT] = {OVPN_VERDICTS(VERDICT_NAME)};
#undef VERDICT_NAME

	return (unsigned)v < OVPN_VERDICT_COUNT ? names[v] : "unknown";
}

/* ---- life ---- */

int ovpn_engine_new(struct ovpn_engine **out, const struct ovpn_conf *conf, SSL_CTX *tls,
	const struct ovpn_ops *ops)
{
	struct ovpn_engine *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	half_opens_init(&e->half);
	TAILQ_INIT(&e->making);
	rc = ovpn_wrap_global_init();
	if (rc == 0)
		rc = cookie_secret_init(&e->cookies);
	if (rc == 0)
		rc = budget_new(&e->answers);
	if (rc == 0)
		rc = deadlines_reserve(&e->timers, 1);
	if (rc == 0 && SSL_CTX_up_ref(tls) != 1)
		rc = -EIO;
	if (rc < 0) {
		ovpn_engine_free(e);
		return rc;
	}
	e->conf = *conf;
	e->ops = *ops;
	e->tls = tls;
	*out = e;
	return 0;
}

void ovpn_engine_free(struct ovpn_engine *e)
{
	struct session *s, *next;

	if (!e)
		return;
	HASH_ITER (by_id, e->by_id, s, next)
		ovpn_session_free(e, s);
	actions_clear(&e->actions);
	deadlines_fini(&e->timers);
	budget_free(e->answers);
	SSL_CTX_free(e->tls);
	secret_wipe(e, sizeof(*e));
	free(e);
}

void ovpn_engine_set_epoch(struct ovpn_engine *e, bool on)
{
	e->epoch = on;
}

void ovpn_engine_set_tunnel(struct ovpn_engine *e, const char *dns, uint16_t mtu)
{
	snprintf(e->conf.dns, sizeof(e->conf.dns), "%s", dns);
	e->conf.mtu = mtu;
}

void ovpn_engine_set_tls(struct ovpn_engine *e, SSL_CTX *tls)
{
	if (SSL_CTX_up_ref(tls) != 1)
		return;
	SSL_CTX_free(e->tls);
	e->tls = tls;
}

/* ---- in ---- */

static bool is_control(uint8_t first)
{
	switch (ovpn_opcode(first)) {
	case OVPN_SOFT_RESET:
	case OVPN_CONTROL:
	case OVPN_ACK:
	case OVPN_RESET_CLIENT_V2:
	case OVPN_RESET_CLIENT_V3:
	case OVPN_CONTROL_WKC:
		return true;
	case OVPN_DATA_V1:
	case OVPN_RESET_SERVER_V2:
	case OVPN_DATA_V2:
		break;
	}
	return false;
}

static enum ovpn_verdict take(struct ovpn_engine *e, const struct packet *p, uint64_t *session)
{
	struct turn t = {.e = e, .now = p->now};
	enum ovpn_verdict v;

	if (p->n <= OVPN_WRAP_HEAD || !is_control(p->bytes[0]) ||
		secret_is_zero(packet_sid(p), OVPN_SID))
		return OVPN_MALFORMED;
	t.s = ovpn_session_at(e, p->from, packet_sid(p));
	v = t.s ? known_packet(&t, p) : stranger_packet(&t, p);
	if (!t.s)
		return v;
	if (session)
		*session = t.s->id;
	ovpn_session_settle(&t);
	return v;
}

enum ovpn_verdict ovpn_engine_input(struct ovpn_engine *e, const uint8_t *packet, size_t len,
	const struct path *from, struct ovpn_time now, uint64_t *session)
{
	const struct packet p = {packet, len, from, now};
	enum ovpn_verdict v;

	if (session)
		*session = 0;
	v = take(e, &p, session);
	e->figures.verdicts[v]++;
	return v;
}

void ovpn_engine_keys_done(
	struct ovpn_engine *e, uint64_t session, uint8_t key_id, bool ok, struct ovpn_time now)
{
	const struct turn t = {e, ovpn_session_of(e, session), now};
	struct negotiation *n = t.s ? negotiation_of(t.s, key_id) : NULL;

	/* An answer that comes too late finds another state, or nobody. */
	if (!n || n->state != AT_KEYS)
		return;
	(void)fsm_event(&t, n, ok ? ON_KEYS_OK : ON_KEYS_FAILED, (struct span){0});
	ovpn_session_settle(&t);
}

void ovpn_engine_moved(struct ovpn_engine *e, uint64_t session, const struct path *path)
{
	struct session *s = ovpn_session_of(e, session);

	if (!s || s->path.connection || path->connection)
		return;
	/* When somebody is there it stays where it was. Without memory it can't be found any
	 * more, and goes when it is late or the dataplane says so. */
	if (ovpn_session_move(e, s, path) < 0)
		return;
}

void ovpn_engine_rekey(struct ovpn_engine *e, uint64_t session, struct ovpn_time now)
{
	const struct turn t = {e, ovpn_session_of(e, session), now};

	if (t.s && rekey_begin(&t) == 0)
		ovpn_session_settle(&t);
}

/* ---- ends ---- */

static void connection_gone(struct ovpn_engine *e, struct session *s)
{
	const struct turn t = {.e = e, .s = s};

	ovpn_session_ended(&t, "the connection was closed");
	actions_release(s->close);
	s->close = NULL;
	ovpn_session_free(e, s);
}

void ovpn_engine_connection_closed(struct ovpn_engine *e, uint32_t connection)
{
	const struct path path = {.connection = connection};
	struct session *s = connection ? ovpn_session_at(e, &path, NULL) : NULL;

	if (s)
		connection_gone(e, s);
}

void ovpn_engine_connections_lost(struct ovpn_engine *e)
{
	struct session *s, *next;

	HASH_ITER (by_id, e->by_id, s, next)
		if (s->path.connection)
			connection_gone(e, s);
}

void ovpn_engine_forget(struct ovpn_engine *e, uint64_t session)
{
	struct session *s = ovpn_session_of(e, session);

	if (!s)
		return;
	actions_forget(&e->actions, session);
	ovpn_session_free(e, s);
}

static bool say_farewell(struct ovpn_engine *e, struct session *s, enum ovpn_farewell how,
	const char *reason, struct ovpn_time now)
{
	const struct turn t = {e, s, now};

	if (s->current->state >= AT_PARTING)
		return false;
	s->how = how;
	s->reason = reason;
	session_farewell(&t);
	ovpn_session_settle(&t);
	return true;
}

bool ovpn_engine_farewell(struct ovpn_engine *e, uint64_t session, enum ovpn_farewell how,
	const char *reason, struct ovpn_time now)
{
	struct session *s = ovpn_session_of(e, session);

	if (s)
		(void)say_farewell(e, s, how, reason, now);
	return s;
}

size_t ovpn_engine_farewell_credential(struct ovpn_engine *e, const struct ulid *credential,
	enum ovpn_farewell how, const char *reason, struct ovpn_time now)
{
	struct session *s, *next;
	size_t n = 0;

	HASH_ITER (by_id, e->by_id, s, next)
		if (s->authorised && ulid_equal(&s->grant.credential, credential))
			n += say_farewell(e, s, how, reason, now);
	return n;
}

/* ---- the clock ---- */

static struct session *session_of_deadline(struct deadline *d)
{
	return (struct session *)((char *)d - offsetof(struct session, due));
}

static void trim(struct ovpn_engine *e, uint64_t now_ms)
{
	deadline_clear(&e->timers, &e->trim);
	e->trimmed_ms = now_ms;
	e->freed = 0;
	(void)malloc_trim(0);
}

void ovpn_engine_tick(struct ovpn_engine *e, struct ovpn_time now)
{
	struct deadline *d;

	while ((d = deadlines_first(&e->timers)) && d->at_ms <= now.mono_ms) {
		const struct turn t = {e, session_of_deadline(d), now};

		if (d == &e->trim) {
			trim(e, now.mono_ms);
			continue;
		}
		session_on_time(&t);
		ovpn_session_settle(&t);
	}
}

uint64_t ovpn_engine_next_due(const struct ovpn_engine *e)
{
	const struct deadline *d = deadlines_first(&e->timers);

	return d ? d->at_ms : UINT64_MAX;
}

/* ---- out ---- */

bool ovpn_engine_next(struct ovpn_engine *e, struct ovpn_action *out)
{
	return actions_pop(&e->actions, out);
}

void ovpn_engine_figures(const struct ovpn_engine *e, struct ovpn_figures *out)
{
	*out = e->figures;
	out->sessions = HASH_CNT(by_id, e->by_id);
	out->half_open = e->half.n;
}

void ovpn_engine_describe(const struct ovpn_engine *e, uint64_t session, char *out, size_t cap)
{
	const struct session *s;

	HASH_FIND(by_id, e->by_id, &session, sizeof(session), s);
	if (s && s->peer.version[0])
		snprintf(out, cap, "%s %s", s->peer.version, s->peer.platform);
	else if (cap > 0)
		out[0] = '\0';
}
