/*
 * The engine against a model of it, with peers whose keys the harness holds: what is mutated is the
 * plaintext, then it is sealed correctly, so the input steers behind the cryptography.
 *
 * The input is a string of events, each a byte and three arguments. For every event the model,
 * which knows nothing but the rules, says which verdict must come; keys of sessions must agree;
 * indices are an attempt's or free.
 */
#include <errno.h>
#include <stdlib.h>

#include "crypto/x25519.h"
#include "crypto/xchacha.h"
#include "tests/unit/wg/wg_fixture.h"
#include "wg/noise.h"

enum { PEERS = 2, EVENTS_MAX = 64, REAL0_S = 1700000000 };

#define EVENTS(X)                                                                                  \
	X(INITIATION, take_initiation)                                                             \
	X(RESPONSE, take_response)                                                                 \
	X(COOKIE, take_cookie)                                                                     \
	X(TICK, tick)                                                                              \
	X(INITIATE, initiate)                                                                      \
	X(PEER_DEL, peer_del)                                                                      \
	X(PEER_SET, peer_set)                                                                      \
	X(SETTLED, settled)

/* A client, and what the rules say about it. */
struct client {
	struct ulid id;
	uint8_t private_key[32], psk[32];
	struct noise_local local;
	struct noise_remote server;
	/* model of the engine's side */
	bool exists;
	uint64_t greatest_ticks; /* + 1; 0: none */
	uint64_t accept_from_ms, send_from_ms, give_up_ms;
	uint8_t last_stamp[12]; /* of the server's own */
	bool waiting, cookie_taken;
	struct wg_initiation now, before; /* of the server, the waiting one and one that is over */
	bool has_before;
};
struct world {
	struct fixture_indices ix;
	struct wg_engine *e;
	struct noise_local server;
	struct client c[PEERS];
	uint64_t now_ms;
	int64_t real_us;
};

static struct keystore *server_key;

static void need(bool ok)
{
	if (!ok)
		abort();
}

static int dh_plain(void *private_key, const uint8_t peer[32], uint8_t out[32])
{
	return x25519_dh(out, private_key, peer);
}

static void check(const struct world *w)
{
	size_t waiting = 0;

	for (int i = 0; i < PEERS; i++)
		waiting += w->c[i].waiting;
	need(w->ix.live == waiting);
}

static void input(struct world *w, const void *bytes, size_t len, struct wg_result *r)
{
	const struct path path = {.listener = 0};

	wg_engine_input(w->e, bytes, len, &path, w->now_ms, r);
}

/* ---- events ---- */

/* arg[0]: bit 0 who, bit 1 names the other client, bits 2 and 3 flip something sealed; arg[1],
 * arg[2]: timestamp. */
static void take_initiation(struct world *w, const uint8_t *arg)
{
	struct client *c = &w->c[arg[0] & 1];
	struct client *named = arg[0] & 2 ? &w->c[!(arg[0] & 1)] : c;
	const uint64_t ticks = (uint64_t)arg[1] << 4 | arg[2] >> 4;
	struct noise_local local = c->local;
	struct noise_state st;
	struct noise_keys keys;
	struct wg_initiation m;
	struct wg_response reply;
	struct wg_result r;
	enum wg_verdict want;
	uint8_t ephemeral[32], unused[32], stamp[12];

	local.id = named->local.id;
	need(x25519_keypair(ephemeral, unused) == 0);
	noise_timestamp_pack(stamp, ticks);
	need(noise_initiation_create(
		     &st, &local, &c->server, ephemeral, stamp, 0x1000u + arg[2], &m) == 0);
	m.sealed_static[arg[1] % 48] ^= arg[0] & 4;
	m.sealed_timestamp[arg[1] % 28] ^= arg[0] & 8;
	need(noise_mac_seal((uint8_t *)&m, sizeof(m), &w->server.id, NULL) == 0);
	if (arg[0] & 4)
		want = WG_BAD_STATIC;
	else if (!named->exists)
		want = WG_UNKNOWN_PEER;
	else if (arg[0] & 8 || named != c)
		want = WG_BAD_TIMESTAMP;
	else if (ticks + 1 <= c->greatest_ticks)
		want = WG_REPLAYED;
	else if (w->now_ms < c->accept_from_ms)
		want = WG_TOO_FAST;
	else
		want = WG_SESSION;
	input(w, &m, sizeof(m), &r);
	need(r.verdict == want);
	if (want != WG_SESSION)
		return;
	c->greatest_ticks = ticks + 1;
	c->accept_from_ms = w->now_ms + WG_INITIATION_GAP_MS;
	need(memcmp(r.greatest, stamp, 12) == 0 && ulid_equal(&r.credential, &c->id));
	memcpy(&reply, r.reply, sizeof(reply));
	need(noise_response_consume(&st, &c->local, &c->server, &reply, &keys) == 0);
	need(memcmp(keys.seal, r.open, 32) == 0 && memcmp(keys.open, r.seal, 32) == 0);
	fixture_release(&w->ix, r.local_index);
	/* Again it must be nothing. */
	input(w, &m, sizeof(m), &r);
	need(r.verdict == WG_REPLAYED);
}

/* arg[0]: bit 0 who, bit 1 answers an older initiation, bit 2 wrong psk, bit 3 flips the seal, bit
 * 4 wrong index. */
static void take_response(struct world *w, const uint8_t *arg)
{
	struct client *c = &w->c[arg[0] & 1];
	const struct wg_initiation *to = arg[0] & 2 ? &c->before : &c->now;
	struct noise_remote server = c->server;
	struct noise_state st;
	struct noise_keys keys;
	struct wg_response m;
	struct wg_result r;
	enum wg_verdict want = WG_SESSION;
	uint8_t ephemeral[32], unused[32], stamp[12], public_key[32];

	if (arg[0] & 2 ? !c->has_before : wire_le32(c->now.type) != WG_INITIATION)
		return;
	need(noise_initiation_open_static(&st, &c->local, to, public_key) == 0);
	need(noise_initiation_open_timestamp(&st, &c->server, to, stamp) == 0);
	need(x25519_keypair(ephemeral, unused) == 0);
	if (arg[0] & 4)
		server.psk[arg[1] % 32] ^= 1;
	need(noise_response_create(&st, &server, ephemeral, arg[1], to->sender, &m, &keys) == 0);
	m.sealed_empty[arg[2] % 16] ^= arg[0] & 8;
	if (arg[0] & 16)
		m.receiver[3] ^= 0x40;
	need(noise_mac_seal((uint8_t *)&m, sizeof(m), &w->server.id, NULL) == 0);
	if (arg[0] & (2 | 16) || !c->waiting)
		want = WG_UNKNOWN_INDEX;
	else if (arg[0] & (4 | 8))
		want = WG_BAD_RESPONSE;
	input(w, &m, sizeof(m), &r);
	need(r.verdict == want);
	if (want != WG_SESSION)
		return;
	need(r.initiator && r.remote_index == arg[1] && !r.reply_len);
	need(memcmp(keys.seal, r.open, 32) == 0 && memcmp(keys.open, r.seal, 32) == 0);
	fixture_release(&w->ix, r.local_index);
	c->waiting = false;
	c->give_up_ms = 0;
	input(w, &m, sizeof(m), &r);
	need(r.verdict == WG_UNKNOWN_INDEX);
}

/* arg[0]: bit 0 who, bit 1 sealed to an older mac1, bit 2 flips the seal. */
static void take_cookie(struct world *w, const uint8_t *arg)
{
	struct client *c = &w->c[arg[0] & 1];
	struct wg_cookie_reply m = {.type = {WG_COOKIE_REPLY}, .nonce = {arg[1], arg[2]}};
	const uint8_t cookie[16] = {arg[1]};
	enum wg_verdict want = WG_COOKIE;
	struct wg_result r;

	memcpy(m.receiver, c->now.sender, 4);
	need(xchacha_seal(c->local.id.cookie_key, m.nonce, cookie, 16,
		     arg[0] & 2 ? c->before.mac1 : c->now.mac1, 16, m.sealed_cookie) == 0);
	m.sealed_cookie[arg[2] % 32] ^= arg[0] & 4;
	if (!c->waiting || c->cookie_taken)
		want = WG_UNKNOWN_INDEX;
	else if (arg[0] & (2 | 4))
		want = WG_BAD_RESPONSE;
	input(w, &m, sizeof(m), &r);
	need(r.verdict == want);
	c->cookie_taken |= want == WG_COOKIE;
}

/* The engine wants m sent: it opens, its timestamp rose, its predecessor is over. */
static void sent(struct world *w, const struct wg_out *out)
{
	struct client *c = NULL;
	struct noise_state st;
	uint8_t public_key[32], stamp[12];

	for (int i = 0; i < PEERS; i++)
		if (ulid_equal(&out->credential, &w->c[i].id))
			c = &w->c[i];
	need(c && c->exists && out->len == sizeof(c->now));
	need(w->now_ms >= c->send_from_ms && w->now_ms < c->give_up_ms);
	if (wire_le32(c->now.type) == WG_INITIATION) {
		c->before = c->now;
		c->has_before = true;
	}
	memcpy(&c->now, out->bytes, sizeof(c->now));
	need(noise_mac1_check(out->bytes, out->len, &c->local.id) == 0);
	need(noise_initiation_open_static(&st, &c->local, &c->now, public_key) == 0);
	need(memcmp(public_key, w->server.id.public_key, 32) == 0);
	need(noise_initiation_open_timestamp(&st, &c->server, &c->now, stamp) == 0);
	need(memcmp(stamp, c->last_stamp, 12) > 0);
	memcpy(c->last_stamp, stamp, 12);
	c->waiting = true;
	c->cookie_taken = false;
	c->send_from_ms = w->now_ms + WG_REKEY_TIMEOUT_MS;
}

/* arg[0], arg[1]: milliseconds; arg[2]: the real clock goes where it likes. */
static void tick(struct world *w, const uint8_t *arg)
{
	struct wg_out out;
	int n = 0;

	w->now_ms += (uint64_t)arg[0] << 7 | arg[1];
	w->real_us += ((int64_t)arg[2] - 100) * 10000;
	while (wg_engine_due(w->e, w->now_ms, w->real_us, &out)) {
		need(++n <= PEERS);
		sent(w, &out);
	}
	for (int i = 0; i < PEERS; i++) {
		struct client *c = &w->c[i];

		/* Its last try is given its time, then it is over. */
		if (c->waiting && w->now_ms >= c->give_up_ms &&
			w->now_ms >= c->send_from_ms + WG_REKEY_JITTER_MS)
			c->waiting = false;
		else if (c->waiting && w->now_ms >= c->give_up_ms)
			c->waiting = w->ix.used[wire_le32(c->now.sender)];
		else if (c->waiting)
			need(w->now_ms <= c->send_from_ms + WG_REKEY_JITTER_MS);
	}
	need(wg_engine_next_due(w->e) > w->now_ms);
}

static void initiate(struct world *w, const uint8_t *arg)
{
	struct client *c = &w->c[arg[0] & 1];
	const struct path path = {.listener = arg[1]};
	struct wg_out out;
	const int rc = wg_engine_initiate(w->e, &c->id, &path, w->now_ms, w->real_us, &out);

	if (!c->exists) {
		need(rc == -ENOENT);
		return;
	}
	c->give_up_ms = w->now_ms + WG_REKEY_ATTEMPT_MS;
	need(rc == (w->now_ms < c->send_from_ms ? -EAGAIN : 0));
	if (rc == 0)
		sent(w, &out);
}

static void forget(struct client *c)
{
	c->waiting = false;
	c->give_up_ms = 0;
}

static void peer_del(struct world *w, const uint8_t *arg)
{
	struct client *c = &w->c[arg[0] & 1];

	need(wg_engine_peer_del(w->e, &c->id) == (c->exists ? 0 : -ENOENT));
	c->exists = false;
	forget(c);
}

static void peer_set(struct world *w, const uint8_t *arg)
{
	struct client *c = &w->c[arg[0] & 1];

	c->psk[0] = c->server.psk[0] = arg[1];
	need(wg_engine_peer_set(w->e, &c->id, c->local.id.public_key, c->psk, NULL) == 0);
	/* The other's key is refused. */
	need(!w->c[!(arg[0] & 1)].exists ||
		wg_engine_peer_set(w->e, &c->id, w->c[!(arg[0] & 1)].local.id.public_key, c->psk,
			NULL) == -EEXIST);
	if (c->exists)
		return;
	c->exists = true;
	c->greatest_ticks = 0;
	c->accept_from_ms = c->send_from_ms = 0;
	memset(c->last_stamp, 0, sizeof(c->last_stamp));
}

static void settled(struct world *w, const uint8_t *arg)
{
	struct client *c = &w->c[arg[0] & 1];

	wg_engine_settled(w->e, &c->id);
	forget(c);
}

/* ---- driver ---- */

static void client_init(struct world *w, int i)
{
	struct client *c = &w->c[i];
	uint8_t public_key[32];

	c->id = fixture_id((uint8_t)(i + 1));
	memset(c->private_key, i ? 0x33 : 0x11, 32);
	need(x25519_public(public_key, c->private_key) == 0);
	need(noise_identity_init(&c->local.id, public_key) == 0);
	c->local.dh = dh_plain;
	c->local.arg = c->private_key;
	need(noise_remote_init(&c->server, &c->local, w->server.id.public_key, c->psk) == 0);
}

static void world_init(struct world *w)
{
	struct wg_ops ops = fixture_ops(&w->ix);
	uint8_t key[32];

	if (!server_key) {
		memset(key, 0x22, sizeof(key));
		server_key = fixture_keystore(key);
	}
	w->now_ms = 1000000;
	w->real_us = (int64_t)REAL0_S * 1000000;
	need(noise_identity_init(&w->server.id, keystore_wg_public(server_key)) == 0);
	need(wg_engine_new(&w->e, server_key, &ops) == 0);
	for (int i = 0; i < PEERS; i++)
		client_init(w, i);
}

#define EVENT_STEP(name, step) step,
static void (*const steps[])(struct world *w, const uint8_t *arg) = {EVENTS(EVENT_STEP)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = calloc(1, sizeof(*w));
	static const uint8_t both[2][3] = {{0}, {1}};

	need(w);
	world_init(w);
	peer_set(w, both[0]);
	peer_set(w, both[1]);
	for (size_t n = 0; size >= 4 && n < EVENTS_MAX; n++, data += 4, size -= 4) {
		steps[data[0] % ARRAY_SIZE(steps)](w, data + 1);
		check(w);
	}
	wg_engine_free(w->e);
	need(w->ix.live == 0);
	free(w);
	return 0;
}
