/*
 * Who may shake hands, what is under way, and when to try again. The arithmetic is in noise.c.
 *
 *                      peer (a credential)
 *     as responder                      as initiator: struct attempt
 *     greatest timestamp,               IDLE --initiate--> WAITING --response--> IDLE, keys
 *     earliest next initiation             ^                 |  ^ retry: new ephemeral, index
 *                                          |--90 s, settled--+  |  and timestamp
 *                                          |              no index or crypto failed
 *                                          |                 v  |
 *                                          +--90 s, settled-STALLED
 *
 * An attempt that WAITS has an index of its own and is found by it; a retry drops the index first,
 * so there is at most one half-done handshake per peer and an answer to an older one finds nothing.
 * Answering leaves no trace but the timestamp: the keys go out with the result.
 */
#include "wg/wg_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory is an error like others, never exit(). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/secret.h"
#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "pki/keystore.h"
#include "wg/deadlines.h"
#include "wg/noise.h"

_Static_assert((int)WG_TAI64N == (int)NOISE_TIMESTAMP, "one thing");

enum attempt_state { ATTEMPT_IDLE, ATTEMPT_WAITING, ATTEMPT_STALLED };

struct attempt {
	enum attempt_state state;
	uint32_t index; /* WAITING: ours */
	struct noise_state noise;
	uint8_t mac1[NOISE_MAC]; /* of the initiation that waits: a cookie reply is sealed to it */
	bool cookie_taken;	 /* one reply for one initiation */
	struct path path;
	uint64_t give_up_ms;
	struct deadline retry;
	UT_hash_handle by_index; /* WAITING */
};

struct peer {
	struct ulid credential;
	struct noise_remote remote;
	uint8_t greatest[WG_TAI64N];
	uint64_t accept_from_ms; /* initiations before are too fast */
	uint64_t send_from_ms;	 /* no initiation of ours before */
	uint64_t ticks;		 /* of our latest timestamp */
	uint8_t cookie[NOISE_MAC];
	uint64_t cookie_until_ms;
	struct attempt attempt;
	UT_hash_handle by_credential, by_key;
};

struct wg_engine {
	struct keystore *ks;
	struct wg_ops ops;
	struct noise_local local;
	struct peer *by_credential;
	struct peer *by_key;	 /* remote.id.public_key */
	struct attempt *waiting; /* by index */
	struct deadlines retries;
};

const char *wg_verdict_name(enum wg_verdict v)
{
#define VERDICT_NAME(E, name, meaning) [WG_##E] = name,
	static const char *const names[WG_VERDICT_COUNT] = {WG_VERDICTS(VERDICT_NAME)};
#undef VERDICT_NAME

	return (unsigned)v < WG_VERDICT_COUNT ? names[v] : "unknown";
}

void wg_result_wipe(struct wg_result *r)
{
	secret_wipe(r, sizeof(*r));
}

/* ---- engine ---- */

static int server_dh(void *arg, const uint8_t peer[32], uint8_t out[32])
{
	return keystore_wg_dh(arg, peer, out);
}

int wg_engine_new(struct wg_engine **out, struct keystore *ks, const struct wg_ops *ops)
{
	struct wg_engine *e;

	if (blake2s_init() < 0)
		return -EIO;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->ks = ks;
	e->ops = *ops;
	e->local.dh = server_dh;
	e->local.arg = ks;
	if (noise_identity_init(&e->local.id, keystore_wg_public(ks)) < 0) {
		free(e);
		return -EIO;
	}
	*out = e;
	return 0;
}

static struct peer *peer_of_credential(struct wg_engine *e, const struct ulid *credential)
{
	struct peer *p;

	HASH_FIND(by_credential, e->by_credential, credential, sizeof(*credential), p);
	return p;
}

static struct peer *peer_of_key(struct wg_engine *e, const uint8_t public_key[32])
{
	struct peer *p;

	HASH_FIND(by_key, e->by_key, public_key, 32, p);
	return p;
}

static struct peer *peer_of_attempt(struct attempt *a)
{
	return (struct peer *)((char *)a - offsetof(struct peer, attempt));
}

static struct peer *peer_of_index(struct wg_engine *e, const uint8_t index[4])
{
	uint32_t key = wire_le32(index);
	struct attempt *a;

	HASH_FIND(by_index, e->waiting, &key, sizeof(key), a);
	return a ? peer_of_attempt(a) : NULL;
}

/* ---- attempts ---- */

/* The one place where an attempt changes its state. Leaving WAITING forgets its secrets. The index
 * is not given back here: it may have become a session's. */
static void attempt_enter(struct wg_engine *e, struct attempt *a, enum attempt_state next)
{
	if (a->state == ATTEMPT_WAITING && next != ATTEMPT_WAITING) {
		HASH_DELETE(by_index, e->waiting, a);
		noise_state_wipe(&a->noise);
		a->index = 0;
	}
	if (next == ATTEMPT_IDLE)
		deadline_clear(&e->retries, &a->retry);
	a->state = next;
}

/* For when nothing came of it. */
static void attempt_drop(struct wg_engine *e, struct attempt *a, enum attempt_state next)
{
	uint32_t index = a->index;

	attempt_enter(e, a, next);
	if (index)
		e->ops.index_free(e->ops.arg, index);
}

static uint64_t retry_delay(void)
{
	uint16_t random = 0;

	/* Without randomness there is no handshake either; a lack of jitter does no harm then. */
	if (secret_random(&random, sizeof(random)) < 0)
		random = 0;
	return WG_REKEY_TIMEOUT_MS + random % (WG_REKEY_JITTER_MS + 1);
}

/* Strictly rising for this peer, whatever the clock does: it would take an equal or older one for a
 * replay. */
static void next_timestamp(struct peer *p, int64_t real_us, uint8_t out[WG_TAI64N])
{
	uint64_t now = noise_ticks(real_us);

	p->ticks = now > p->ticks ? now : p->ticks + 1;
	noise_timestamp_pack(out, p->ticks);
}

static const uint8_t *cookie_of(const struct peer *p, uint64_t mono_ms)
{
	return mono_ms < p->cookie_until_ms ? p->cookie : NULL;
}

/* The attempt is STALLED and gets a fresh initiation under index. Returns: 0, -EIO, -ENOMEM. */
static int attempt_write(struct wg_engine *e, struct peer *p, uint32_t index, uint64_t mono_ms,
	int64_t real_us, struct wg_initiation *m)
{
	struct attempt *a = &p->attempt;
	secret_key ephemeral = {{0}};
	uint8_t timestamp[WG_TAI64N];

	next_timestamp(p, real_us, timestamp);
	if (x25519_private(ephemeral.bytes) < 0 ||
		noise_initiation_create(&a->noise, &e->local, &p->remote, ephemeral.bytes,
			timestamp, index, m) < 0 ||
		noise_mac_seal((uint8_t *)m, sizeof(*m), &p->remote.id, cookie_of(p, mono_ms)) < 0)
		return -EIO;
	a->index = index;
	memset(&a->by_index, 0, sizeof(a->by_index));
	HASH_ADD(by_index, e->waiting, index, sizeof(a->index), a);
	if (!a->by_index.tbl) {
		a->index = 0;
		return -ENOMEM;
	}
	memcpy(a->mac1, m->mac1, sizeof(a->mac1));
	a->cookie_taken = false;
	attempt_enter(e, a, ATTEMPT_WAITING);
	return 0;
}

/* First try and retries alike. On failure the attempt is STALLED: it will be due again. */
static int attempt_send(
	struct wg_engine *e, struct peer *p, uint64_t mono_ms, int64_t real_us, struct wg_out *out)
{
	struct attempt *a = &p->attempt;
	struct wg_initiation m;
	uint32_t index;

	attempt_drop(e, a, ATTEMPT_STALLED);
	deadline_set(&e->retries, &a->retry, mono_ms + retry_delay());
	index = e->ops.index_alloc(e->ops.arg, &p->credential);
	if (!index)
		return -ENOSPC;
	if (attempt_write(e, p, index, mono_ms, real_us, &m) < 0) {
		noise_state_wipe(&a->noise);
		e->ops.index_free(e->ops.arg, index);
		return -EIO;
	}
	p->send_from_ms = mono_ms + WG_REKEY_TIMEOUT_MS;
	out->credential = p->credential;
	out->path = a->path;
	memcpy(out->bytes, &m, sizeof(m));
	out->len = sizeof(m);
	return 0;
}

int wg_engine_initiate(struct wg_engine *e, const struct ulid *credential, const struct path *path,
	uint64_t mono_ms, int64_t real_us, struct wg_out *out)
{
	struct peer *p = peer_of_credential(e, credential);

	if (!p)
		return -ENOENT;
	/* Asking again prolongs an attempt that is under way, as a new packet would (B6, T5). */
	p->attempt.path = *path;
	p->attempt.give_up_ms = mono_ms + WG_REKEY_ATTEMPT_MS;
	if (mono_ms < p->send_from_ms)
		return -EAGAIN;
	return attempt_send(e, p, mono_ms, real_us, out);
}

void wg_engine_hurry(struct wg_engine *e)
{
	for (struct peer *p = e->by_credential; p; p = p->by_credential.next)
		p->send_from_ms = 0;
}

bool wg_engine_due(struct wg_engine *e, uint64_t mono_ms, int64_t real_us, struct wg_out *out)
{
	struct deadline *d;

	while ((d = deadlines_first(&e->retries)) && d->at_ms <= mono_ms) {
		struct attempt *a = (struct attempt *)((char *)d - offsetof(struct attempt, retry));

		if (mono_ms >= a->give_up_ms)
			attempt_drop(e, a, ATTEMPT_IDLE);
		else if (attempt_send(e, peer_of_attempt(a), mono_ms, real_us, out) == 0)
			return true;
	}
	return false;
}

uint64_t wg_engine_next_due(const struct wg_engine *e)
{
	const struct deadline *d = deadlines_first(&e->retries);

	return d ? d->at_ms : UINT64_MAX;
}

void wg_engine_settled(struct wg_engine *e, const struct ulid *credential)
{
	struct peer *p = peer_of_credential(e, credential);

	if (p)
		attempt_drop(e, &p->attempt, ATTEMPT_IDLE);
}

/* ---- peers ---- */

static void raise_greatest(struct peer *p, const uint8_t *timestamp)
{
	if (timestamp && memcmp(timestamp, p->greatest, WG_TAI64N) > 0)
		memcpy(p->greatest, timestamp, WG_TAI64N);
}

static void peer_free(struct peer *p)
{
	secret_wipe(p, sizeof(*p));
	free(p);
}

static void peer_remove(struct wg_engine *e, struct peer *p)
{
	attempt_drop(e, &p->attempt, ATTEMPT_IDLE);
	HASH_DELETE(by_credential, e->by_credential, p);
	HASH_DELETE(by_key, e->by_key, p);
	peer_free(p);
}

/* Takes p; frees it on failure. */
static int peer_insert(struct wg_engine *e, struct peer *p)
{
	if (deadlines_reserve(&e->retries, HASH_CNT(by_key, e->by_key) + 1) < 0)
		goto nomem;
	HASH_ADD(by_credential, e->by_credential, credential, sizeof(p->credential), p);
	if (!p->by_credential.tbl)
		goto nomem;
	HASH_ADD(by_key, e->by_key, remote.id.public_key, 32, p);
	if (p->by_key.tbl)
		return 0;
	HASH_DELETE(by_credential, e->by_credential, p);
nomem:
	peer_free(p);
	return -ENOMEM;
}

int wg_engine_peer_set(struct wg_engine *e, const struct ulid *credential,
	const uint8_t public_key[32], const uint8_t psk[32], const uint8_t greatest[WG_TAI64N])
{
	struct peer *same_key = peer_of_key(e, public_key);
	struct peer *before = peer_of_credential(e, credential), *p;
	int rc;

	if (same_key && same_key != before)
		return -EEXIST;
	if (same_key) {
		memcpy(same_key->remote.psk, psk, 32);
		raise_greatest(same_key, greatest);
		return 0;
	}
	if (memcmp(public_key, e->local.id.public_key, 32) == 0)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	rc = noise_remote_init(&p->remote, &e->local, public_key, psk);
	if (rc < 0) {
		peer_free(p);
		return rc == -EINVAL ? -EINVAL : -ENOMEM;
	}
	p->credential = *credential;
	raise_greatest(p, greatest);
	/* Another key under the same credential is another peer. */
	if (before)
		peer_remove(e, before);
	return peer_insert(e, p);
}

int wg_engine_peer_del(struct wg_engine *e, const struct ulid *credential)
{
	struct peer *p = peer_of_credential(e, credential);

	if (!p)
		return -ENOENT;
	peer_remove(e, p);
	return 0;
}

void wg_engine_free(struct wg_engine *e)
{
	if (!e)
		return;
	while (e->by_key)
		peer_remove(e, e->by_key);
	deadlines_fini(&e->retries);
	secret_wipe(e, sizeof(*e));
	free(e);
}

/* ---- input ---- */

/* What a failed step means: the crypto library is to blame, or the sender is. */
static enum wg_verdict refused(int rc, enum wg_verdict v)
{
	return rc == -EIO ? WG_INTERNAL : v;
}

static void result_keys(
	struct wg_result *r, const struct noise_keys *keys, uint32_t local, uint32_t remote)
{
	r->local_index = local;
	r->remote_index = remote;
	memcpy(r->seal, keys->seal, 32);
	memcpy(r->open, keys->open, 32);
}

/* The initiation is authentic and new. */
static enum wg_verdict answer(struct wg_engine *e, struct peer *p, const struct noise_state *st,
	const struct wg_initiation *in, uint64_t mono_ms, struct wg_result *r)
{
	struct noise_keys keys cleanup(noise_keys_wipe) = {0};
	secret_key ephemeral = {{0}};
	struct wg_response m;
	uint32_t index = e->ops.index_alloc(e->ops.arg, &p->credential);

	if (!index)
		return WG_NO_INDEX;
	/* A low-order point can't show up here any more: open_static refused the initiator's
	 * ephemeral, peer_set the static key. */
	if (x25519_private(ephemeral.bytes) < 0 ||
		noise_response_create(
			st, &p->remote, ephemeral.bytes, index, in->sender, &m, &keys) < 0 ||
		noise_mac_seal((uint8_t *)&m, sizeof(m), &p->remote.id, cookie_of(p, mono_ms)) <
			0) {
		e->ops.index_free(e->ops.arg, index);
		return WG_INTERNAL;
	}
	result_keys(r, &keys, index, wire_le32(in->sender));
	memcpy(r->reply, &m, sizeof(m));
	r->reply_len = sizeof(m);
	return WG_SESSION;
}

static enum wg_verdict take_initiation(
	struct wg_engine *e, const uint8_t *datagram, uint64_t mono_ms, struct wg_result *r)
{
	noise_state_local st = {0};
	struct wg_initiation in;
	uint8_t public_key[32], timestamp[WG_TAI64N];
	struct peer *p;
	int rc;

	memcpy(&in, datagram, sizeof(in));
	rc = noise_mac1_check(datagram, sizeof(in), &e->local.id);
	if (rc < 0)
		return refused(rc, WG_BAD_MAC1);
	rc = noise_initiation_open_static(&st, &e->local, &in, public_key);
	if (rc < 0)
		return refused(rc, WG_BAD_STATIC);
	p = peer_of_key(e, public_key);
	if (!p)
		return WG_UNKNOWN_PEER;
	r->credential = p->credential;
	rc = noise_initiation_open_timestamp(&st, &p->remote, &in, timestamp);
	if (rc < 0)
		return refused(rc, WG_BAD_TIMESTAMP);
	if (memcmp(timestamp, p->greatest, WG_TAI64N) <= 0)
		return WG_REPLAYED;
	if (mono_ms < p->accept_from_ms)
		return WG_TOO_FAST;
	/* Before the answer: whatever becomes of it, this one is used up. */
	memcpy(p->greatest, timestamp, WG_TAI64N);
	memcpy(r->greatest, timestamp, WG_TAI64N);
	p->accept_from_ms = mono_ms + WG_INITIATION_GAP_MS;
	return answer(e, p, &st, &in, mono_ms, r);
}

static enum wg_verdict take_response(
	struct wg_engine *e, const uint8_t *datagram, struct wg_result *r)
{
	struct noise_keys keys cleanup(noise_keys_wipe) = {0};
	struct wg_response in;
	struct peer *p;
	int rc;

	memcpy(&in, datagram, sizeof(in));
	rc = noise_mac1_check(datagram, sizeof(in), &e->local.id);
	if (rc < 0)
		return refused(rc, WG_BAD_MAC1);
	p = peer_of_index(e, in.receiver);
	if (!p)
		return WG_UNKNOWN_INDEX;
	r->credential = p->credential;
	rc = noise_response_consume(&p->attempt.noise, &e->local, &p->remote, &in, &keys);
	if (rc < 0)
		return refused(rc, WG_BAD_RESPONSE);
	r->initiator = true;
	result_keys(r, &keys, p->attempt.index, wire_le32(in.sender));
	attempt_enter(e, &p->attempt, ATTEMPT_IDLE); /* the index is the session's now */
	return WG_SESSION;
}

static enum wg_verdict take_cookie(
	struct wg_engine *e, const uint8_t *datagram, uint64_t mono_ms, struct wg_result *r)
{
	struct wg_cookie_reply in;
	struct peer *p;
	int rc;

	memcpy(&in, datagram, sizeof(in));
	p = peer_of_index(e, in.receiver);
	if (!p || p->attempt.cookie_taken)
		return WG_UNKNOWN_INDEX;
	r->credential = p->credential;
	rc = noise_cookie_open(p->cookie, &in, &p->remote.id, p->attempt.mac1);
	if (rc < 0)
		return refused(rc, WG_BAD_RESPONSE);
	p->cookie_until_ms = mono_ms + WG_COOKIE_USE_MS;
	p->attempt.cookie_taken = true;
	return WG_COOKIE;
}

void wg_engine_input(struct wg_engine *e, const uint8_t *datagram, size_t len,
	const struct path *from, uint64_t mono_ms, struct wg_result *r)
{
	uint32_t type = len >= 4 ? wire_le32(datagram) : 0;

	(void)from; /* nothing in a handshake depends on it; the answer goes back the same way */
	memset(r, 0, sizeof(*r));
	if (type == WG_INITIATION && len == sizeof(struct wg_initiation))
		r->verdict = take_initiation(e, datagram, mono_ms, r);
	else if (type == WG_RESPONSE && len == sizeof(struct wg_response))
		r->verdict = take_response(e, datagram, r);
	else if (type == WG_COOKIE_REPLY && len == sizeof(struct wg_cookie_reply))
		r->verdict = take_cookie(e, datagram, mono_ms, r);
	else
		r->verdict = WG_MALFORMED;
}
