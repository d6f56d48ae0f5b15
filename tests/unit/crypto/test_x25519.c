/* X25519 against RFC 7748, and what must be refused. */
#include "crypto/x25519.h"

#include <errno.h>

#include <openssl/err.h>

#include "base/secret.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/x25519.h"

static void test_products(void **state)
{
	uint8_t k[32], u[32], out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(x25519_products); i++) {
		unhex(k, 32, x25519_products[i].scalar);
		unhex(u, 32, x25519_products[i].point);
		assert_int_equal(x25519_dh(out, k, u), 0);
		assert_hex(out, 32, x25519_products[i].product);
	}
}

static void test_iteration(void **state)
{
	uint8_t k[32] = {9}, u[32] = {9}, out[32];

	(void)state;
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(x25519_dh(out, k, u), 0);
		memcpy(u, k, 32);
		memcpy(k, out, 32);
		if (i == 1)
			assert_hex(k, 32, x25519_iterated_1);
	}
	assert_hex(k, 32, x25519_iterated_1000);
}

static void test_exchange(void **state)
{
	uint8_t a[32], b[32], pub[32], out[32];

	(void)state;
	unhex(a, 32, x25519_a);
	unhex(b, 32, x25519_b);
	assert_int_equal(x25519_public(pub, b), 0);
	assert_hex(pub, 32, x25519_b_public);
	assert_int_equal(x25519_dh(out, a, pub), 0);
	assert_hex(out, 32, x25519_shared);
	assert_int_equal(x25519_public(pub, a), 0);
	assert_hex(pub, 32, x25519_a_public);
	assert_int_equal(x25519_dh(out, b, pub), 0);
	assert_hex(out, 32, x25519_shared);
}

static void test_keypair(void **state)
{
	uint8_t a[32], a_public[32], b[32], b_public[32], ab[32], ba[32];

	(void)state;
	assert_int_equal(x25519_keypair(a, a_public), 0);
	assert_int_equal(x25519_keypair(b, b_public), 0);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(a[0] & 7, 0);
	assert_int_equal(a[31] & 0xc0, 0x40);
	assert_int_equal(x25519_dh(ab, a, b_public), 0);
	assert_int_equal(x25519_dh(ba, b, a_public), 0);
	assert_memory_equal(ab, ba, 32);
}

/* A key that is kept gives the same, as often as it is asked. */
static void test_kept_key(void **state)
{
	static const uint8_t zero[32];
	uint8_t a[32], b_public[32], out[32];
	struct x25519_key *k;

	(void)state;
	unhex(a, 32, x25519_a);
	unhex(b_public, 32, x25519_b_public);
	assert_int_equal(x25519_key_new(&k, a), 0);
	for (int i = 0; i < 3; i++) {
		memset(out, 0, 32);
		assert_int_equal(x25519_key_public(k, out), 0);
		assert_hex(out, 32, x25519_a_public);
		assert_int_equal(x25519_key_dh(k, out, b_public), 0);
		assert_hex(out, 32, x25519_shared);
		assert_int_equal(x25519_key_dh(k, out, zero), -EINVAL);
		assert_hex(out, 32, x25519_shared);
	}
	x25519_key_free(k);
	x25519_key_free(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(x25519_products); i++) {
		uint8_t u[32];

		unhex(a, 32, x25519_products[i].scalar);
		unhex(u, 32, x25519_products[i].point);
		assert_int_equal(x25519_key_new(&k, a), 0);
		assert_int_equal(x25519_key_dh(k, out, u), 0);
		assert_hex(out, 32, x25519_products[i].product);
		x25519_key_free(k);
	}
}

/* Points of small order make an all-zero result: a handshake with them must end. The list is that
 * of the curve's author (cr.yp.to/ecdh.html, "validate"). */
static void test_low_order(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t k[32], u[32], out[32];

	(void)state;
	unhex(k, 32, x25519_a);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		memset(out, 0xa5, 32);
		unhex(u, 32, points[i]);
		assert_int_equal(x25519_dh(out, k, u), -EINVAL);
		assert_int_equal(out[0], 0xa5);
	}
	/* Nothing is left for the next user of this thread's error queue. */
	assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_products),
		cmocka_unit_test(test_iteration),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_keypair),
		cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_kept_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
