/* Wrapped client keys: the vector, a recorded one, every bit changed, every length. */
#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/secret.h"
#include "ovpn/ovpn_crypto.h"
#include "ovpn/wrap.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/openvpn.h"

enum { OURS = 290 + 18, TIMED = 290 + 9 };

struct lab {
	uint8_t server_key[OVPN_V2_SERVER_KEY];
	struct ovpn_key2 key;
	struct ulid credential;
	uint8_t wkc[2048];
	struct ovpn_wkc got;
};

static int set_up(void **state)
{
	static struct lab l;

	assert_int_equal(ovpn_wrap_global_init(), 0);
	memset(&l, 0, sizeof(l));
	for (size_t i = 0; i < OVPN_KEY2; i++)
		l.key.bytes[i] = (uint8_t)i;
	memcpy(l.server_key, l.key.bytes, sizeof(l.server_key));
	memset(l.credential.bytes, 0xc5, sizeof(l.credential.bytes));
	*state = &l;
	return 0;
}

static size_t seal(struct lab *l, const struct ulid *credential)
{
	int n = ovpn_wkc_seal(
		l->server_key, &l->key, credential, 0x5f000000, l->wkc, sizeof(l->wkc));

	assert_true(n > 0);
	return (size_t)n;
}

/* One with any metadata, made here. */
static size_t forge(struct lab *l, const uint8_t *metadata, size_t n)
{
	uint8_t clear[2048];
	const size_t text = OVPN_KEY2 + n, len = 32 + text + 2;

	assert_true(len <= sizeof(l->wkc));
	wire_put_be16(clear, (uint16_t)len);
	memcpy(clear + 2, l->key.bytes, OVPN_KEY2);
	memcpy(clear + 2 + OVPN_KEY2, metadata, n);
	assert_int_equal(ovpn_hmac(l->wkc, l->server_key + 64, clear, 2 + text, NULL, 0), 0);
	assert_int_equal(ovpn_ctr(l->server_key, l->wkc, clear + 2, text, l->wkc + 32), 0);
	memcpy(l->wkc + 32 + text, clear, 2);
	return len;
}

/* With nothing behind it, and wiped unless 0. */
static int open_exactly(struct lab *l, const uint8_t *wkc, size_t n)
{
	const struct ovpn_wkc none = {.has_credential = false};
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, wkc, n);
	memset(&l->got, 0x5a, sizeof(l->got));
	int rc = ovpn_wkc_open(l->server_key, copy, n, &l->got);

	free(copy);
	if (rc)
		assert_memory_equal(&l->got, &none, sizeof(none));
	return rc;
}

static void test_vector(void **state)
{
	struct lab *l = *state;
	uint8_t hash[32];

	assert_int_equal(seal(l, NULL), WKC1_LEN);
	assert_hex(l->wkc, 32, wkc1_tag);
	assert_int_equal(EVP_Digest(l->wkc, WKC1_LEN, hash, NULL, EVP_sha256(), NULL), 1);
	assert_hex(hash, 32, wkc1_sha256);
	assert_int_equal(open_exactly(l, l->wkc, WKC1_LEN), 0);
	assert_memory_equal(&l->got.key, &l->key, OVPN_KEY2);
	assert_false(l->got.has_credential);
}

static void test_ours(void **state)
{
	struct lab *l = *state;

	assert_int_equal(seal(l, &l->credential), OURS);
	assert_int_equal(open_exactly(l, l->wkc, OURS), 0);
	assert_memory_equal(&l->got.key, &l->key, OVPN_KEY2);
	assert_true(l->got.has_credential);
	assert_true(ulid_equal(&l->got.credential, &l->credential));
	ovpn_wkc_wipe(&l->got);
	assert_false(l->got.has_credential);
	assert_true(ulid_is_zero(&l->got.credential));
}

static void test_recorded(void **state)
{
	struct lab *l = *state;
	uint8_t packet[1024];
	struct ovpn_key2 key;
	const uint8_t *wkc;
	size_t n = unhex(packet, sizeof(packet), lab_reset), len, front, parsed;

	unhex(l->server_key, sizeof(l->server_key), lab_server_key);
	assert_int_equal(ovpn_wkc_cut(packet, n, &wkc, &len, &front), 0);
	assert_int_equal(len, 299);
	assert_int_equal(front, 54);
	assert_ptr_equal(wkc, packet + 54);
	assert_int_equal(open_exactly(l, wkc, len), 0);
	assert_int_equal(ovpn_client_key_parse(lab_client_key, &key, l->wkc, &parsed), 0);
	assert_int_equal(parsed, len);
	assert_memory_equal(l->wkc, wkc, len);
	assert_memory_equal(&key, &l->got.key, OVPN_KEY2);
}

static void test_every_bit(void **state)
{
	struct lab *l = *state;
	const size_t n = seal(l, &l->credential);

	for (size_t bit = 0; bit < 8 * n; bit++) {
		l->wkc[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_exactly(l, l->wkc, n), -EBADMSG);
		l->wkc[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_exactly(l, l->wkc, n), 0);
}

static void test_another_servers_key(void **state)
{
	struct lab *l = *state;
	const size_t n = seal(l, &l->credential);

	for (size_t i = 0; i < sizeof(l->server_key); i++) {
		const bool used = i % 64 < 32;

		l->server_key[i] ^= 1;
		assert_int_equal(open_exactly(l, l->wkc, n), used ? -EBADMSG : 0);
		l->server_key[i] ^= 1;
	}
}

/* The length at the end agrees, or does not. */
static void test_every_length(void **state)
{
	struct lab *l = *state;
	const size_t n = seal(l, &l->credential);
	uint8_t right[2048];

	memcpy(right, l->wkc, n);
	for (size_t len = 0; len <= 1100; len++) {
		if (len == n)
			continue;
		assert_int_equal(open_exactly(l, l->wkc, len), -EBADMSG);
		if (len < 2)
			continue;
		wire_put_be16(l->wkc + len - 2, (uint16_t)len);
		assert_int_equal(open_exactly(l, l->wkc, len), -EBADMSG);
		memcpy(l->wkc, right, n);
	}
}

static void test_any_metadata(void **state)
{
	struct lab *l = *state;
	uint8_t metadata[800] = {0};

	for (size_t n = 0; n < sizeof(metadata); n++) {
		const size_t len = forge(l, metadata, n);

		assert_int_equal(open_exactly(l, l->wkc, len), len <= OVPN_WKC_MAX ? 0 : -EBADMSG);
		assert_false(l->got.has_credential);
	}
	/* Ours is of one length, type and version. */
	metadata[1] = 1;
	for (size_t n = 1; n < 40; n++) {
		assert_int_equal(open_exactly(l, l->wkc, forge(l, metadata, n)), 0);
		assert_int_equal(l->got.has_credential, n == 18);
	}
	for (int type = 0; type < 256; type++)
		for (int version = 0; version < 256; version += 1 + (type > 1) * 50) {
			metadata[0] = (uint8_t)type;
			metadata[1] = (uint8_t)version;
			assert_int_equal(open_exactly(l, l->wkc, forge(l, metadata, 18)), 0);
			assert_int_equal(l->got.has_credential, type == 0 && version == 1);
		}
}

static void test_room(void **state)
{
	struct lab *l = *state;

	assert_int_equal(ovpn_wkc_seal(l->server_key, &l->key, &l->credential, 0, l->wkc, OURS - 1),
		-EMSGSIZE);
	assert_int_equal(
		ovpn_wkc_seal(l->server_key, &l->key, NULL, 0, l->wkc, TIMED - 1), -EMSGSIZE);
	assert_int_equal(ovpn_wkc_seal(l->server_key, &l->key, NULL, 0, l->wkc, TIMED), TIMED);
}

/* Every packet length with every interesting length at its end. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 1600; n++) {
		uint8_t *packet = calloc(1, n ? n : 1);
		const size_t lengths[] = {0, 1, 2, 289, 290, 1024, 1025, n - 51, n - 50, n - 49,
			n - 1, n, n + 1, 0xffff};

		for (size_t i = 0; i < ARRAY_SIZE(lengths) && n >= 2; i++) {
			const size_t len = lengths[i] & 0xffff;
			const bool fits = len >= 290 && len <= 1024 && n >= len + 50;
			const uint8_t *wkc;
			size_t wkc_len, front;

			wire_put_be16(packet + n - 2, (uint16_t)len);
			assert_int_equal(ovpn_wkc_cut(packet, n, &wkc, &wkc_len, &front),
				fits ? 0 : -EBADMSG);
			if (!fits)
				continue;
			assert_int_equal(wkc_len, len);
			assert_ptr_equal(wkc, packet + front);
			assert_int_equal(front + len, n);
		}
		if (n < 2) {
			const uint8_t *wkc;
			size_t a, b;

			assert_int_equal(ovpn_wkc_cut(packet, n, &wkc, &a, &b), -EBADMSG);
		}
		free(packet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_vector, set_up),
		cmocka_unit_test_setup(test_ours, set_up),
		cmocka_unit_test_setup(test_recorded, set_up),
		cmocka_unit_test_setup(test_every_bit, set_up),
		cmocka_unit_test_setup(test_another_servers_key, set_up),
		cmocka_unit_test_setup(test_every_length, set_up),
		cmocka_unit_test_setup(test_any_metadata, set_up),
		cmocka_unit_test_setup(test_room, set_up),
		cmocka_unit_test_setup(test_cut, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
