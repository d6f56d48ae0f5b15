/* The handshake's steps against the recorded handshake, and each bit of it changed. */
#include "wg/noise.h"

#include <errno.h>

#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "crypto/xchacha.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/wireguard.h"

struct side {
	uint8_t private_key[32], ephemeral[32], psk[32];
	struct noise_local local;
	struct noise_remote remote; /* the other */
};
struct pair {
	struct side i, r;
	uint8_t timestamp[12], index_i[4], index_r[4];
};

static int dh_plain(void *private_key, const uint8_t peer[32], uint8_t out[32])
{
	return x25519_dh(out, private_key, peer);
}

static void side_init(struct side *s, uint8_t private_key, uint8_t ephemeral)
{
	uint8_t public_key[32];

	memset(s->private_key, private_key, 32);
	memset(s->ephemeral, ephemeral, 32);
	memset(s->psk, B11_PSK, 32);
	assert_int_equal(x25519_public(public_key, s->private_key), 0);
	assert_int_equal(noise_identity_init(&s->local.id, public_key), 0);
	s->local.dh = dh_plain;
	s->local.arg = s->private_key;
}

static int set_up(void **state)
{
	static struct pair p;

	memset(&p, 0, sizeof(p));
	assert_int_equal(blake2s_init(), 0);
	side_init(&p.i, B11_S_I, B11_E_I);
	side_init(&p.r, B11_S_R, B11_E_R);
	assert_int_equal(
		noise_remote_init(&p.i.remote, &p.i.local, p.r.local.id.public_key, p.i.psk), 0);
	assert_int_equal(
		noise_remote_init(&p.r.remote, &p.r.local, p.i.local.id.public_key, p.r.psk), 0);
	unhex(p.timestamp, sizeof(p.timestamp), b11_timestamp);
	unhex(p.index_i, 4, b11_index_i);
	unhex(p.index_r, 4, b11_index_r);
	*state = &p;
	return 0;
}

static void initiate(struct pair *p, struct noise_state *st, struct wg_initiation *m)
{
	assert_int_equal(noise_initiation_create(st, &p->i.local, &p->i.remote, p->i.ephemeral,
				 p->timestamp, wire_le32(p->index_i), m),
		0);
	assert_int_equal(noise_mac_seal((uint8_t *)m, sizeof(*m), &p->i.remote.id, NULL), 0);
}

/* Both steps of opening. */
static int open_initiation(struct pair *p, struct noise_state *st, const struct wg_initiation *m)
{
	uint8_t public_key[32], timestamp[12];
	int rc = noise_initiation_open_static(st, &p->r.local, m, public_key);

	if (rc < 0)
		return rc;
	assert_memory_equal(public_key, p->i.local.id.public_key, 32);
	rc = noise_initiation_open_timestamp(st, &p->r.remote, m, timestamp);
	if (rc == 0)
		assert_memory_equal(timestamp, p->timestamp, 12);
	return rc;
}

static void respond(struct pair *p, const struct noise_state *st, struct wg_response *m,
	struct noise_keys *keys)
{
	assert_int_equal(noise_response_create(st, &p->r.remote, p->r.ephemeral,
				 wire_le32(p->index_r), p->index_i, m, keys),
		0);
	assert_int_equal(noise_mac_seal((uint8_t *)m, sizeof(*m), &p->r.remote.id, NULL), 0);
}

static void test_kdf(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(kdf_vectors); v++) {
		uint8_t key[32], input[32];
		const size_t key_len = unhex(key, 32, kdf_vectors[v].key);
		const size_t input_len = unhex(input, 32, kdf_vectors[v].input);

		for (size_t n = 1; n <= 3; n++) {
			struct key32 out[3] = {0};

			assert_int_equal(noise_kdf(out, n, key, key_len, input, input_len), 0);
			for (size_t i = 0; i < n; i++)
				assert_hex(out[i].bytes, 32, kdf_vectors[v].t[i]);
		}
	}
}

static void test_constants(void **state)
{
	const struct blake2s_part construction = {"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", 37};
	struct pair *p = *state;
	uint8_t chain[32], hash[32];
	const struct blake2s_part identifier[] = {
		{chain, 32}, {"WireGuard v1 zx2c4 Jason@zx2c4.com", 34}};
	const struct blake2s_part responder[] = {{hash, 32}, {p->r.local.id.public_key, 32}};

	assert_int_equal(blake2s_hash(chain, &construction, 1), 0);
	assert_hex(chain, 32, initial_chain_hex);
	assert_int_equal(blake2s_hash(hash, identifier, 2), 0);
	assert_hex(hash, 32, initial_hash_hex);
	assert_int_equal(blake2s_hash(hash, responder, 2), 0);
	assert_memory_equal(p->r.local.id.hash, hash, 32);
}

static void test_handshake_vector(void **state)
{
	struct pair *p = *state;
	struct noise_state si, sr;
	struct wg_initiation m1;
	struct wg_response m2;
	struct noise_keys ki, kr;
	uint8_t keepalive[32] = {4};

	assert_hex(p->i.local.id.public_key, 32, b11_s_i_public);
	assert_hex(p->r.local.id.public_key, 32, b11_s_r_public);
	initiate(p, &si, &m1);
	assert_hex((uint8_t *)&m1, sizeof(m1), b11_initiation);
	assert_int_equal(noise_mac1_check((uint8_t *)&m1, sizeof(m1), &p->r.local.id), 0);
	assert_int_equal(open_initiation(p, &sr, &m1), 0);
	respond(p, &sr, &m2, &kr);
	assert_hex((uint8_t *)&m2, sizeof(m2), b11_response);
	assert_int_equal(noise_mac1_check((uint8_t *)&m2, sizeof(m2), &p->i.local.id), 0);
	assert_int_equal(noise_response_consume(&si, &p->i.local, &p->i.remote, &m2, &ki), 0);
	assert_hex(ki.seal, 32, b11_t1);
	assert_hex(ki.open, 32, b11_t2);
	assert_memory_equal(ki.seal, kr.open, 32);
	assert_memory_equal(ki.open, kr.seal, 32);
	memcpy(keepalive + 4, m2.sender, 4);
	assert_int_equal(chachapoly_seal(ki.seal, 0, NULL, 0, NULL, 0, keepalive + 16), 0);
	assert_hex(keepalive, sizeof(keepalive), b11_keepalive);
}

/* Any changed bit of an initiation before its macs is noticed; type and sender are covered by mac1
 * only, which everybody can make who knows the public key. */
static void test_initiation_bits(void **state)
{
	struct pair *p = *state;
	struct noise_state si, sr;
	struct wg_initiation m1;
	uint8_t *bytes = (uint8_t *)&m1;

	initiate(p, &si, &m1);
	for (size_t bit = 0; bit < 8 * offsetof(struct wg_initiation, mac2); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(noise_mac1_check(bytes, sizeof(m1), &p->r.local.id), -EBADMSG);
		/* The ephemeral key's top bit is not part of the number (RFC 7748, 5), but of the
		 * transcript. */
		if (bit / 8 >= offsetof(struct wg_initiation, ephemeral) &&
			bit / 8 < offsetof(struct wg_initiation, mac1) && bit % 5 == 0)
			assert_int_not_equal(open_initiation(p, &sr, &m1), 0);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_initiation(p, &sr, &m1), 0);
}

static void test_response_bits(void **state)
{
	struct pair *p = *state;
	struct noise_state si, sr;
	struct wg_initiation m1;
	struct wg_response m2;
	struct noise_keys ki, kr;
	uint8_t *bytes = (uint8_t *)&m2;

	initiate(p, &si, &m1);
	assert_int_equal(open_initiation(p, &sr, &m1), 0);
	respond(p, &sr, &m2, &kr);
	for (size_t bit = 8 * offsetof(struct wg_response, ephemeral);
		bit < 8 * offsetof(struct wg_response, mac1); bit += 3) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(
			noise_response_consume(&si, &p->i.local, &p->i.remote, &m2, &ki), 0);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Nothing of that has spoilt the handshake. */
	assert_int_equal(noise_response_consume(&si, &p->i.local, &p->i.remote, &m2, &ki), 0);
	assert_memory_equal(ki.seal, kr.open, 32);
}

static void test_wrong_psk(void **state)
{
	struct pair *p = *state;
	struct noise_state si, sr;
	struct wg_initiation m1;
	struct wg_response m2;
	struct noise_keys ki, kr;

	p->r.remote.psk[31] ^= 1;
	initiate(p, &si, &m1);
	assert_int_equal(open_initiation(p, &sr, &m1), 0); /* the psk comes later */
	respond(p, &sr, &m2, &kr);
	assert_int_equal(
		noise_response_consume(&si, &p->i.local, &p->i.remote, &m2, &ki), -EBADMSG);
}

static void test_wrong_responder(void **state)
{
	struct pair *p = *state;
	struct noise_state si, sr;
	struct wg_initiation m1;
	struct side stranger;
	uint8_t public_key[32];

	initiate(p, &si, &m1);
	side_init(&stranger, 0x66, 0x77);
	assert_int_equal(
		noise_mac1_check((uint8_t *)&m1, sizeof(m1), &stranger.local.id), -EBADMSG);
	assert_int_equal(
		noise_initiation_open_static(&sr, &stranger.local, &m1, public_key), -EBADMSG);
}

/* Anybody can name anybody; only the timestamp's seal proves it. */
static void test_claimed_static(void **state)
{
	struct pair *p = *state;
	struct side liar;
	struct noise_remote target;
	struct noise_state si, sr;
	struct wg_initiation m1;
	uint8_t public_key[32], timestamp[12];

	side_init(&liar, 0x66, 0x77);
	assert_int_equal(
		noise_remote_init(&target, &liar.local, p->r.local.id.public_key, liar.psk), 0);
	memcpy(liar.local.id.public_key, p->i.local.id.public_key, 32);
	assert_int_equal(noise_initiation_create(
				 &si, &liar.local, &target, liar.ephemeral, p->timestamp, 1, &m1),
		0);
	assert_int_equal(noise_initiation_open_static(&sr, &p->r.local, &m1, public_key), 0);
	assert_memory_equal(public_key, p->i.local.id.public_key, 32);
	assert_int_equal(
		noise_initiation_open_timestamp(&sr, &p->r.remote, &m1, timestamp), -EBADMSG);
}

static void test_low_order(void **state)
{
	struct pair *p = *state;
	struct noise_state si, sr;
	struct noise_remote remote;
	struct noise_keys keys;
	struct wg_initiation m1;
	struct wg_response m2 = {0};
	uint8_t public_key[32] = {0};

	assert_int_equal(noise_remote_init(&remote, &p->i.local, public_key, p->i.psk), -EINVAL);
	initiate(p, &si, &m1);
	assert_int_equal(
		noise_response_consume(&si, &p->i.local, &p->i.remote, &m2, &keys), -EINVAL);
	memset(m1.ephemeral, 0, 32);
	assert_int_equal(noise_initiation_open_static(&sr, &p->r.local, &m1, public_key), -EINVAL);
}

static void test_cookie(void **state)
{
	struct pair *p = *state;
	struct noise_state si;
	struct wg_initiation m1;
	struct wg_cookie_reply m3 = {{3}, {0}, {1, 2, 3}, {0}};
	uint8_t cookie[16], got[16], want[16];
	const struct blake2s_part covered = {&m1, offsetof(struct wg_initiation, mac2)};

	memset(cookie, 0xc0, sizeof(cookie));
	initiate(p, &si, &m1);
	assert_int_equal(xchacha_seal(p->r.local.id.cookie_key, m3.nonce, cookie, 16, m1.mac1, 16,
				 m3.sealed_cookie),
		0);
	assert_int_equal(noise_cookie_open(got, &m3, &p->i.remote.id, m1.mac1), 0);
	assert_memory_equal(got, cookie, 16);
	m1.mac1[0] ^= 1;
	assert_int_equal(noise_cookie_open(got, &m3, &p->i.remote.id, m1.mac1), -EBADMSG);
	m1.mac1[0] ^= 1;
	assert_int_equal(noise_cookie_open(got, &m3, &p->r.remote.id, m1.mac1), -EBADMSG);
	m3.sealed_cookie[31] ^= 1;
	memset(got, 0xa5, sizeof(got));
	assert_int_equal(noise_cookie_open(got, &m3, &p->i.remote.id, m1.mac1), -EBADMSG);
	assert_int_equal(got[0], 0xa5);

	assert_int_equal(noise_mac_seal((uint8_t *)&m1, sizeof(m1), &p->i.remote.id, cookie), 0);
	assert_int_equal(blake2s_mac(want, cookie, 16, &covered, 1), 0);
	assert_memory_equal(m1.mac2, want, 16);
	assert_int_equal(noise_mac1_check((uint8_t *)&m1, sizeof(m1), &p->r.local.id), 0);
}

static void test_timestamps(void **state)
{
	uint8_t a[12], b[12];

	(void)state;
	noise_timestamp_pack(a, noise_ticks(0));
	assert_hex(a, 12, "400000000000000a00000000");
	noise_timestamp_pack(a, noise_ticks(-5));
	assert_hex(a, 12, "400000000000000a00000000");
	noise_timestamp_pack(a, noise_ticks(0x5f000000ll * 1000000 + 17000));
	assert_hex(a, 12, b11_timestamp);
	noise_timestamp_pack(a, noise_ticks(1600000000999999ll));
	assert_hex(a, 12, "400000005f5e100a3b000000");
	/* Each tick is greater than the one before, also over the end of a second; the low 24 bits
	 * tell nothing. */
	for (uint64_t t = 1000 * NOISE_TICKS - 70; t < 1000 * NOISE_TICKS + 70; t++) {
		noise_timestamp_pack(a, t);
		noise_timestamp_pack(b, t + 1);
		assert_true(memcmp(a, b, 12) < 0);
		assert_int_equal(b[9] | b[10] | b[11], 0);
		assert_true((b[8] << 24) < 1000000000);
	}
	for (int64_t us = 0; us < 3000000; us += 991)
		assert_true(noise_ticks(us) <= noise_ticks(us + 991));
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kdf),
		TEST(test_constants),
		TEST(test_handshake_vector),
		TEST(test_initiation_bits),
		TEST(test_response_bits),
		TEST(test_wrong_psk),
		TEST(test_wrong_responder),
		TEST(test_claimed_static),
		TEST(test_low_order),
		TEST(test_cookie),
		TEST(test_timestamps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
