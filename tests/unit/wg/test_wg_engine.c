/* The engine as the coordinator sees it, against a second engine and against a client by hand. */
#include "wg/wg_engine.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "crypto/xchacha.h"
#include "tests/unit/wg/wg_fixture.h"
#include "wg/noise.h"

enum { T0 = 1000 * 1000 };
#define REAL0 (1700000000ll * 1000000)

struct node {
	struct keystore *ks;
	struct fixture_indices ix;
	struct wg_engine *e;
	uint8_t public_key[32];
};
/* server knows client as credential 1, client knows server as credential 2. */
struct world {
	struct node server, client;
	struct ulid of_client, of_server;
	struct path path;
	uint8_t psk[32];
};

static void node_init(struct node *n, uint8_t key)
{
	uint8_t private_key[32];
	struct wg_ops ops = fixture_ops(&n->ix);

	memset(private_key, key, 32);
	n->ks = fixture_keystore(private_key);
	memcpy(n->public_key, keystore_wg_public(n->ks), 32);
	assert_int_equal(wg_engine_new(&n->e, n->ks, &ops), 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	node_init(&w->server, 0x22);
	node_init(&w->client, 0x11);
	w->of_client = fixture_id(1);
	w->of_server = fixture_id(2);
	memset(w->psk, 0x55, 32);
	assert_int_equal(endpoint_parse(&w->path.remote, "192.0.2.1:1000"), 0);
	assert_int_equal(
		wg_engine_peer_set(w->server.e, &w->of_client, w->client.public_key, w->psk, NULL),
		0);
	assert_int_equal(
		wg_engine_peer_set(w->client.e, &w->of_server, w->server.public_key, w->psk, NULL),
		0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	wg_engine_free(w->server.e);
	wg_engine_free(w->client.e);
	keystore_free(w->server.ks);
	keystore_free(w->client.ks);
	free(w);
	return 0;
}

static struct wg_out client_initiates(struct world *w, uint64_t mono_ms, int64_t real_us)
{
	struct wg_out out;

	assert_int_equal(
		wg_engine_initiate(w->client.e, &w->of_server, &w->path, mono_ms, real_us, &out),
		0);
	assert_int_equal(out.len, 148);
	assert_true(path_equal(&out.path, &w->path));
	assert_true(ulid_equal(&out.credential, &w->of_server));
	return out;
}

static struct wg_result input(
	struct world *w, struct wg_engine *e, const void *bytes, size_t len, uint64_t mono_ms)
{
	struct wg_result r;

	wg_engine_input(e, bytes, len, &w->path, mono_ms, &r);
	if (r.verdict != WG_SESSION)
		assert_true(secret_is_zero(r.seal, 32) && secret_is_zero(r.open, 32) &&
			    !r.local_index && !r.reply_len);
	return r;
}

static enum wg_verdict verdict(
	struct world *w, struct wg_engine *e, const void *bytes, size_t len, uint64_t mono_ms)
{
	struct wg_result r = input(w, e, bytes, len, mono_ms);

	return r.verdict;
}

/* An initiation by hand, with whatever timestamp and keys. */
static struct wg_initiation craft(struct world *w, uint8_t key, uint64_t ticks, uint32_t index)
{
	struct noise_remote remote;
	struct noise_local local = {.dh = NULL};
	struct noise_state st;
	struct wg_initiation m;
	uint8_t private_key[32], public_key[32], ephemeral[32], timestamp[12];

	memset(private_key, key, 32);
	assert_int_equal(x25519_public(public_key, private_key), 0);
	assert_int_equal(noise_identity_init(&local.id, public_key), 0);
	assert_int_equal(noise_identity_init(&remote.id, w->server.public_key), 0);
	assert_int_equal(x25519_dh(remote.static_static, private_key, w->server.public_key), 0);
	assert_int_equal(x25519_keypair(ephemeral, public_key), 0);
	noise_timestamp_pack(timestamp, ticks);
	assert_int_equal(
		noise_initiation_create(&st, &local, &remote, ephemeral, timestamp, index, &m), 0);
	assert_int_equal(noise_mac_seal((uint8_t *)&m, sizeof(m), &remote.id, NULL), 0);
	return m;
}

static enum wg_verdict take_crafted(struct world *w, uint8_t key, uint64_t ticks, uint64_t mono_ms)
{
	struct wg_initiation m = craft(w, key, ticks, 7);
	struct wg_result r = input(w, w->server.e, &m, sizeof(m), mono_ms);

	if (r.verdict == WG_SESSION)
		fixture_release(&w->server.ix, r.local_index);
	return r.verdict;
}

static void test_handshake(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0);
	struct wg_result s = input(w, w->server.e, m1.bytes, m1.len, T0);
	struct wg_result c;

	assert_int_equal(s.verdict, WG_SESSION);
	assert_false(s.initiator);
	assert_true(ulid_equal(&s.credential, &w->of_client));
	assert_int_equal(s.reply_len, 92);
	assert_false(secret_is_zero(s.greatest, sizeof(s.greatest)));
	c = input(w, w->client.e, s.reply, s.reply_len, T0 + 30);
	assert_int_equal(c.verdict, WG_SESSION);
	assert_true(c.initiator);
	assert_int_equal(c.reply_len, 0);
	assert_true(ulid_equal(&c.credential, &w->of_server));
	assert_memory_equal(c.seal, s.open, 32);
	assert_memory_equal(c.open, s.seal, 32);
	assert_memory_not_equal(c.open, c.seal, 32);
	assert_int_equal(c.local_index, s.remote_index);
	assert_int_equal(c.remote_index, s.local_index);
	/* Both indices are the sessions' now. */
	assert_int_equal(w->client.ix.live, 1);
	assert_int_equal(w->server.ix.live, 1);
	assert_int_equal(wg_engine_next_due(w->client.e), UINT64_MAX);
	/* And the answer is used up. */
	assert_int_equal(verdict(w, w->client.e, s.reply, s.reply_len, T0 + 31), WG_UNKNOWN_INDEX);
	wg_result_wipe(&s);
	assert_true(secret_is_zero(&s, sizeof(s)));
}

static void test_malformed(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0);
	uint8_t buf[200] = {0};

	assert_int_equal(verdict(w, w->server.e, NULL, 0, T0), WG_MALFORMED);
	memcpy(buf, m1.bytes, 148);
	for (size_t len = 0; len < sizeof(buf); len++)
		if (len != 148)
			assert_int_equal(verdict(w, w->server.e, buf, len, T0), WG_MALFORMED);
	for (unsigned type = 0; type < 256; type++) {
		buf[0] = (uint8_t)type;
		if (type != 1)
			assert_int_equal(verdict(w, w->server.e, buf, 148, T0), WG_MALFORMED);
	}
	buf[0] = 1;
	for (size_t i = 1; i < 4; i++) {
		buf[i] = 1;
		assert_int_equal(verdict(w, w->server.e, buf, 148, T0), WG_MALFORMED);
		buf[i] = 0;
	}
	assert_int_equal(verdict(w, w->server.e, buf, 148, T0), WG_SESSION);
}

static void test_refusals(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0);
	struct wg_initiation m;

	m1.bytes[offsetof(struct wg_initiation, mac1)] ^= 1;
	assert_int_equal(verdict(w, w->server.e, m1.bytes, 148, T0), WG_BAD_MAC1);
	m1.bytes[offsetof(struct wg_initiation, mac1)] ^= 1;
	/* Not to this server. */
	assert_int_equal(verdict(w, w->client.e, m1.bytes, 148, T0), WG_BAD_MAC1);

	assert_int_equal(take_crafted(w, 0x77, 5, T0), WG_UNKNOWN_PEER);
	for (int field = 0; field < 3; field++) {
		struct noise_identity server;

		m = craft(w, 0x11, 5, 7);
		if (field == 0)
			m.sealed_static[0] ^= 1;
		else if (field == 1)
			m.sealed_timestamp[0] ^= 1;
		else
			memset(m.ephemeral, 0, 32); /* low order */
		assert_int_equal(noise_identity_init(&server, w->server.public_key), 0);
		assert_int_equal(noise_mac_seal((uint8_t *)&m, sizeof(m), &server, NULL), 0);
		assert_int_equal(verdict(w, w->server.e, &m, sizeof(m), T0),
			field == 1 ? WG_BAD_TIMESTAMP : WG_BAD_STATIC);
	}
	/* None of that moved anything. */
	assert_int_equal(w->server.ix.live, 0);
	assert_int_equal(verdict(w, w->server.e, m1.bytes, 148, T0), WG_SESSION);
}

static void test_replay(void **state)
{
	struct world *w = *state;

	assert_int_equal(take_crafted(w, 0x11, 100, T0), WG_SESSION);
	assert_int_equal(take_crafted(w, 0x11, 100, T0 + 1000), WG_REPLAYED);
	assert_int_equal(take_crafted(w, 0x11, 99, T0 + 1000), WG_REPLAYED);
	assert_int_equal(take_crafted(w, 0x11, 101, T0 + 1000), WG_SESSION);
}

static void test_gap(void **state)
{
	struct world *w = *state;

	assert_int_equal(take_crafted(w, 0x11, 100, T0), WG_SESSION);
	assert_int_equal(take_crafted(w, 0x11, 101, T0 + 19), WG_TOO_FAST);
	/* Too fast uses nothing up. */
	assert_int_equal(take_crafted(w, 0x11, 101, T0 + 20), WG_SESSION);
}

static void test_greatest_is_loaded(void **state)
{
	struct world *w = *state;
	uint8_t greatest[12];

	noise_timestamp_pack(greatest, 100);
	assert_int_equal(wg_engine_peer_set(w->server.e, &w->of_client, w->client.public_key,
				 w->psk, greatest),
		0);
	assert_int_equal(take_crafted(w, 0x11, 100, T0), WG_REPLAYED);
	/* An older one does not lower it. */
	noise_timestamp_pack(greatest, 50);
	assert_int_equal(wg_engine_peer_set(w->server.e, &w->of_client, w->client.public_key,
				 w->psk, greatest),
		0);
	assert_int_equal(take_crafted(w, 0x11, 100, T0), WG_REPLAYED);
	assert_int_equal(take_crafted(w, 0x11, 101, T0), WG_SESSION);
}

static void test_no_index(void **state)
{
	struct world *w = *state;
	struct wg_initiation m = craft(w, 0x11, 100, 7);
	struct wg_result r;
	struct wg_out out;

	w->server.ix.none = w->client.ix.none = true;
	r = input(w, w->server.e, &m, sizeof(m), T0);
	assert_int_equal(r.verdict, WG_NO_INDEX);
	/* Used up all the same, and to be stored. */
	assert_false(secret_is_zero(r.greatest, sizeof(r.greatest)));
	assert_int_equal(verdict(w, w->server.e, &m, sizeof(m), T0 + 100), WG_REPLAYED);

	assert_int_equal(
		wg_engine_initiate(w->client.e, &w->of_server, &w->path, T0, REAL0, &out), -ENOSPC);
	assert_false(wg_engine_due(w->client.e, T0 + 6000, REAL0, &out));
	w->client.ix.none = false;
	assert_true(wg_engine_due(w->client.e, T0 + 12000, REAL0, &out));
	assert_int_equal(verdict(w, w->server.e, out.bytes, out.len, T0 + 12000), WG_NO_INDEX);
}

static void test_peers(void **state)
{
	struct world *w = *state;
	const struct ulid other = fixture_id(9);
	const uint8_t zero[32] = {0};
	uint8_t key[32], private_key[32];
	struct wg_out out;

	assert_int_equal(
		wg_engine_peer_set(w->server.e, &other, w->client.public_key, w->psk, NULL),
		-EEXIST);
	assert_int_equal(wg_engine_peer_set(w->server.e, &other, zero, w->psk, NULL), -EINVAL);
	assert_int_equal(
		wg_engine_peer_set(w->server.e, &other, w->server.public_key, w->psk, NULL),
		-EINVAL);
	assert_int_equal(wg_engine_peer_del(w->server.e, &other), -ENOENT);
	assert_int_equal(
		wg_engine_initiate(w->server.e, &other, &w->path, T0, REAL0, &out), -ENOENT);
	wg_engine_settled(w->server.e, &other);

	assert_int_equal(x25519_keypair(private_key, key), 0);
	assert_int_equal(wg_engine_peer_set(w->server.e, &other, key, w->psk, NULL), 0);
	/* A credential's key replaced: the old one is a stranger. */
	assert_int_equal(x25519_keypair(private_key, key), 0);
	assert_int_equal(wg_engine_peer_set(w->server.e, &w->of_client, key, w->psk, NULL), 0);
	assert_int_equal(take_crafted(w, 0x11, 5, T0), WG_UNKNOWN_PEER);
	assert_int_equal(wg_engine_peer_del(w->server.e, &w->of_client), 0);
	assert_int_equal(wg_engine_peer_del(w->server.e, &w->of_client), -ENOENT);
}

static void test_deleted_peer(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0), out;
	struct wg_result s = input(w, w->server.e, m1.bytes, m1.len, T0);

	assert_int_equal(wg_engine_peer_del(w->server.e, &w->of_client), 0);
	assert_int_equal(take_crafted(w, 0x11, noise_ticks(REAL0) + 60, T0 + 100), WG_UNKNOWN_PEER);
	/* The half-done handshake goes with the peer, and its index and timer. */
	assert_int_equal(w->client.ix.live, 1);
	assert_int_equal(wg_engine_peer_del(w->client.e, &w->of_server), 0);
	assert_int_equal(w->client.ix.live, 0);
	assert_int_equal(wg_engine_next_due(w->client.e), UINT64_MAX);
	assert_false(wg_engine_due(w->client.e, T0 + 100000, REAL0, &out));
	assert_int_equal(verdict(w, w->client.e, s.reply, s.reply_len, T0), WG_UNKNOWN_INDEX);
}

static void test_psk_change(void **state)
{
	struct world *w = *state;
	struct wg_out m1;
	struct wg_result s;

	w->psk[0] ^= 1;
	assert_int_equal(
		wg_engine_peer_set(w->server.e, &w->of_client, w->client.public_key, w->psk, NULL),
		0);
	m1 = client_initiates(w, T0, REAL0);
	s = input(w, w->server.e, m1.bytes, m1.len, T0);
	assert_int_equal(s.verdict, WG_SESSION);
	assert_int_equal(verdict(w, w->client.e, s.reply, s.reply_len, T0), WG_BAD_RESPONSE);
	assert_int_equal(
		wg_engine_peer_set(w->client.e, &w->of_server, w->server.public_key, w->psk, NULL),
		0);
	assert_int_equal(verdict(w, w->client.e, s.reply, s.reply_len, T0), WG_SESSION);
}

static void test_forged_response(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0);
	struct wg_result s = input(w, w->server.e, m1.bytes, m1.len, T0);
	uint8_t forged[92];
	struct noise_identity client;

	assert_int_equal(noise_identity_init(&client, w->client.public_key), 0);
	for (size_t at = 12; at < 60; at++) {
		memcpy(forged, s.reply, sizeof(forged));
		forged[at] ^= 4;
		assert_int_equal(verdict(w, w->client.e, forged, 92, T0), WG_BAD_MAC1);
		assert_int_equal(noise_mac_seal(forged, 92, &client, NULL), 0);
		assert_int_equal(verdict(w, w->client.e, forged, 92, T0), WG_BAD_RESPONSE);
	}
	memcpy(forged, s.reply, sizeof(forged));
	forged[11] ^= 0x80;
	assert_int_equal(noise_mac_seal(forged, 92, &client, NULL), 0);
	assert_int_equal(verdict(w, w->client.e, forged, 92, T0), WG_UNKNOWN_INDEX);
	assert_int_equal(verdict(w, w->client.e, s.reply, 92, T0), WG_SESSION);
}

/* T5: every 5 s and a little, each with new index, ephemeral and timestamp, until 90 s are over. */
static void test_retries(void **state)
{
	struct world *w = *state;
	struct wg_out before = client_initiates(w, T0, REAL0), m1 = before;
	const struct wg_out first = m1;
	uint64_t at = T0;
	struct wg_result s;
	int sent = 1;

	for (uint64_t now = T0; now < T0 + 200 * 1000; now++) {
		if (!wg_engine_due(w->client.e, now, REAL0 + (int64_t)(now - T0) * 1000, &m1))
			continue;
		assert_in_range(now - at, 5000, 5333);
		assert_true(now - T0 < 90 * 1000);
		assert_memory_not_equal(m1.bytes + 4, before.bytes + 4, 4);
		assert_memory_not_equal(m1.bytes + 8, before.bytes + 8, 32);
		assert_int_equal(w->client.ix.live, 1);
		at = now;
		before = m1;
		sent++;
	}
	assert_in_range(sent, 17, 18);
	assert_int_equal(w->client.ix.live, 0);
	assert_int_equal(wg_engine_next_due(w->client.e), UINT64_MAX);
	/* An answer to the first comes too late. */
	s = input(w, w->server.e, first.bytes, first.len, T0);
	assert_int_equal(s.verdict, WG_SESSION);
	assert_int_equal(verdict(w, w->client.e, s.reply, s.reply_len, at), WG_UNKNOWN_INDEX);
}

static void test_response_to_older_initiation(void **state)
{
	struct world *w = *state;
	struct wg_out old = client_initiates(w, T0, REAL0), m1;
	struct wg_result s = input(w, w->server.e, old.bytes, old.len, T0), s2;

	assert_true(wg_engine_due(w->client.e, T0 + 5400, REAL0 + 5400000, &m1));
	assert_int_equal(
		verdict(w, w->client.e, s.reply, s.reply_len, T0 + 5400), WG_UNKNOWN_INDEX);
	s2 = input(w, w->server.e, m1.bytes, m1.len, T0 + 5400);
	assert_int_equal(s2.verdict, WG_SESSION);
	assert_int_equal(verdict(w, w->client.e, s2.reply, s2.reply_len, T0 + 5400), WG_SESSION);
}

/* After the loss of all sessions: once at once, then every 5 s again. */
static void test_hurry(void **state)
{
	struct world *w = *state;
	struct wg_out out;

	client_initiates(w, T0, REAL0);
	assert_int_equal(
		wg_engine_initiate(w->client.e, &w->of_server, &w->path, T0 + 100, REAL0, &out),
		-EAGAIN);
	wg_engine_hurry(w->client.e);
	assert_int_equal(
		wg_engine_initiate(w->client.e, &w->of_server, &w->path, T0 + 100, REAL0, &out), 0);
	assert_int_equal(
		wg_engine_initiate(w->client.e, &w->of_server, &w->path, T0 + 101, REAL0, &out),
		-EAGAIN);
}

static void test_initiate_too_soon(void **state)
{
	struct world *w = *state;
	struct path elsewhere = w->path;
	struct wg_out out;
	uint64_t last = 0;

	elsewhere.remote.port = 4;
	client_initiates(w, T0, REAL0);
	assert_int_equal(
		wg_engine_initiate(w->client.e, &w->of_server, &elsewhere, T0 + 4999, REAL0, &out),
		-EAGAIN);
	/* It prolonged the attempt and sent it elsewhere. */
	for (uint64_t now = T0 + 4999; now < T0 + 200000; now++)
		if (wg_engine_due(w->client.e, now, REAL0, &out)) {
			assert_true(path_equal(&out.path, &elsewhere));
			last = now;
		}
	assert_true(last > T0 + 88000 && last < T0 + 4999 + 90000);
	client_initiates(w, T0 + 300000, REAL0);
	client_initiates(w, T0 + 305000, REAL0);
	assert_int_equal(w->client.ix.live, 1);
}

static void test_settled(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0), out;
	struct wg_result s = input(w, w->server.e, m1.bytes, m1.len, T0);

	wg_engine_settled(w->client.e, &w->of_server);
	assert_int_equal(w->client.ix.live, 0);
	assert_int_equal(wg_engine_next_due(w->client.e), UINT64_MAX);
	assert_false(wg_engine_due(w->client.e, T0 + 80000, REAL0, &out));
	assert_int_equal(verdict(w, w->client.e, s.reply, s.reply_len, T0), WG_UNKNOWN_INDEX);
	wg_engine_settled(w->client.e, &w->of_server);
}

/* The server takes them for new, so they rose, though our clock stood still and went back. */
static void test_own_timestamps_rise(void **state)
{
	static const int64_t clocks[] = {REAL0, REAL0, REAL0 - 3600ll * 1000000, 0, -1, REAL0 + 1,
		REAL0 + 3600ll * 1000000, 5};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		const uint64_t now = T0 + 6000 * i;
		struct wg_out m1 = client_initiates(w, now, clocks[i]);
		struct wg_result s = input(w, w->server.e, m1.bytes, m1.len, now);

		assert_int_equal(s.verdict, WG_SESSION);
		assert_int_equal(s.greatest[9] | s.greatest[10] | s.greatest[11], 0);
	}
}

static struct wg_cookie_reply refuse(struct world *w, const struct wg_out *m1, uint8_t cookie)
{
	struct wg_cookie_reply m3 = {.type = {3}, .nonce = {cookie}};
	struct noise_identity server;
	uint8_t plain[16];

	memset(plain, cookie, sizeof(plain));
	memcpy(m3.receiver, m1->bytes + 4, 4);
	assert_int_equal(noise_identity_init(&server, w->server.public_key), 0);
	assert_int_equal(
		xchacha_seal(server.cookie_key, m3.nonce, plain, 16,
			m1->bytes + offsetof(struct wg_initiation, mac1), 16, m3.sealed_cookie),
		0);
	return m3;
}

static bool has_mac2(const struct wg_out *m, uint8_t cookie)
{
	uint8_t plain[16], copy[148];
	const struct blake2s_part covered = {copy, 132};

	memset(plain, cookie, sizeof(plain));
	memcpy(copy, m->bytes, 148);
	assert_int_equal(blake2s_mac(copy + 132, plain, 16, &covered, 1), 0);
	return memcmp(copy, m->bytes, 148) == 0;
}

static void test_cookie(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0), m2;
	struct wg_cookie_reply m3 = refuse(w, &m1, 0xc1), again = refuse(w, &m1, 0xc2);
	struct wg_result r;

	assert_true(secret_is_zero(m1.bytes + 132, 16));
	m3.sealed_cookie[0] ^= 1;
	assert_int_equal(verdict(w, w->client.e, &m3, sizeof(m3), T0), WG_BAD_RESPONSE);
	m3.sealed_cookie[0] ^= 1;
	m3.receiver[0] ^= 1;
	assert_int_equal(verdict(w, w->client.e, &m3, sizeof(m3), T0), WG_UNKNOWN_INDEX);
	m3.receiver[0] ^= 1;
	r = input(w, w->client.e, &m3, sizeof(m3), T0 + 10);
	assert_int_equal(r.verdict, WG_COOKIE);
	assert_true(ulid_equal(&r.credential, &w->of_server));
	/* One for one. */
	assert_int_equal(verdict(w, w->client.e, &m3, sizeof(m3), T0 + 11), WG_UNKNOWN_INDEX);
	assert_int_equal(verdict(w, w->client.e, &again, sizeof(again), T0 + 11), WG_UNKNOWN_INDEX);
	/* It is not answered at once but used by the next try. */
	assert_false(wg_engine_due(w->client.e, T0 + 4999, REAL0, &m2));
	assert_true(wg_engine_due(w->client.e, T0 + 5400, REAL0, &m2));
	assert_true(has_mac2(&m2, 0xc1));
	assert_int_equal(verdict(w, w->server.e, m2.bytes, m2.len, T0 + 5400), WG_SESSION);
	/* A cookie for the initiation before does not open with this one's mac1. */
	memcpy(again.receiver, m2.bytes + 4, 4);
	assert_int_equal(
		verdict(w, w->client.e, &again, sizeof(again), T0 + 5400), WG_BAD_RESPONSE);
}

static void test_cookie_ages(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0);
	struct wg_cookie_reply m3 = refuse(w, &m1, 0xc1);

	assert_int_equal(verdict(w, w->client.e, &m3, sizeof(m3), T0), WG_COOKIE);
	wg_engine_settled(w->client.e, &w->of_server);
	m1 = client_initiates(w, T0 + 114999, REAL0);
	assert_true(has_mac2(&m1, 0xc1));
	m1 = client_initiates(w, T0 + 120000, REAL0);
	assert_true(secret_is_zero(m1.bytes + 132, 16));
}

/* A server that was told a cookie by that peer uses it in its answers as well. */
static void test_cookie_in_response(void **state)
{
	struct world *w = *state;
	struct wg_out m1 = client_initiates(w, T0, REAL0), i;
	struct wg_cookie_reply m3 = refuse(w, &m1, 0xc1);
	struct wg_result r;

	assert_int_equal(verdict(w, w->client.e, &m3, sizeof(m3), T0), WG_COOKIE);
	assert_int_equal(
		wg_engine_initiate(w->server.e, &w->of_client, &w->path, T0, REAL0, &i), 0);
	r = input(w, w->client.e, i.bytes, i.len, T0);
	assert_int_equal(r.verdict, WG_SESSION);
	assert_false(secret_is_zero(r.reply + 76, 16));
	assert_int_equal(verdict(w, w->server.e, r.reply, r.reply_len, T0), WG_SESSION);
}

/* Each answers the other's initiation and takes the other's answer: two sessions, same on both. */
static void test_both_at_once(void **state)
{
	struct world *w = *state;
	struct wg_out c1 = client_initiates(w, T0, REAL0), s1;
	struct wg_result c2, s2, c3, s3;

	assert_int_equal(
		wg_engine_initiate(w->server.e, &w->of_client, &w->path, T0, REAL0, &s1), 0);
	s2 = input(w, w->server.e, c1.bytes, c1.len, T0);
	c2 = input(w, w->client.e, s1.bytes, s1.len, T0);
	s3 = input(w, w->server.e, c2.reply, c2.reply_len, T0);
	c3 = input(w, w->client.e, s2.reply, s2.reply_len, T0);
	assert_int_equal(s3.verdict, WG_SESSION);
	assert_int_equal(c3.verdict, WG_SESSION);
	assert_memory_equal(c2.seal, s3.open, 32);
	assert_memory_equal(c3.seal, s2.open, 32);
}

static void test_verdict_names(void **state)
{
	(void)state;
	assert_string_equal(wg_verdict_name(WG_SESSION), "session");
	assert_string_equal(wg_verdict_name(WG_INTERNAL), "internal");
	assert_string_equal(wg_verdict_name((enum wg_verdict)99), "unknown");
}

/* More attempts than the heap began with, all of them due, none forgotten. */
static void test_many_peers(void **state)
{
	enum { PEERS = 200 };
	struct world *w = *state;
	struct wg_out out;
	int retried = 0;

	for (int i = 0; i < PEERS; i++) {
		struct ulid id = fixture_id((uint8_t)i);
		uint8_t private_key[32], key[32];

		id.bytes[0] = 1;
		assert_int_equal(x25519_keypair(private_key, key), 0);
		assert_int_equal(wg_engine_peer_set(w->server.e, &id, key, w->psk, NULL), 0);
		assert_int_equal(
			wg_engine_initiate(w->server.e, &id, &w->path, T0, REAL0, &out), 0);
	}
	assert_int_equal(w->server.ix.live, PEERS);
	assert_in_range(wg_engine_next_due(w->server.e), T0 + 5000, T0 + 5100);
	while (wg_engine_due(w->server.e, T0 + 5333, REAL0, &out))
		retried++;
	assert_int_equal(retried, PEERS);
	assert_false(wg_engine_due(w->server.e, T0 + 100000, REAL0, &out));
	assert_int_equal(w->server.ix.live, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_handshake),
		TEST(test_malformed),
		TEST(test_refusals),
		TEST(test_replay),
		TEST(test_gap),
		TEST(test_greatest_is_loaded),
		TEST(test_no_index),
		TEST(test_peers),
		TEST(test_deleted_peer),
		TEST(test_psk_change),
		TEST(test_forged_response),
		TEST(test_retries),
		TEST(test_response_to_older_initiation),
		TEST(test_initiate_too_soon),
		TEST(test_hurry),
		TEST(test_settled),
		TEST(test_own_timestamps_rise),
		TEST(test_cookie),
		TEST(test_cookie_ages),
		TEST(test_cookie_in_response),
		TEST(test_both_at_once),
		TEST(test_verdict_names),
		TEST(test_many_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
