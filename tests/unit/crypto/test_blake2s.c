/* The three forms of BLAKE2s, against vectors that OpenSSL did not make. */
#include "crypto/blake2s.h"

#include <errno.h>
#include <pthread.h>

#include "tests/vectors/blake2s.h"
#include "tests/vectors/hex.h"

static uint8_t counted[256];

static int count_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(counted); i++)
		counted[i] = (uint8_t)i;
	return blake2s_init();
}

static void test_hash(void **state)
{
	const struct blake2s_part whole[] = {{"abc", 3}};
	const struct blake2s_part pieces[] = {{"a", 1}, {NULL, 0}, {"bc", 2}};
	uint8_t out[BLAKE2S_HASH];

	(void)state;
	assert_int_equal(blake2s_hash(out, whole, 1), 0);
	assert_hex(out, sizeof(out), blake2s_abc);
	assert_int_equal(blake2s_hash(out, pieces, 3), 0);
	assert_hex(out, sizeof(out), blake2s_abc);
}

static void test_mac(void **state)
{
	uint8_t out[BLAKE2S_MAC];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(blake2s_mac16); i++) {
		const struct blake2s_vector *v = &blake2s_mac16[i];
		const size_t half = v->message_len / 2;
		const struct blake2s_part parts[] = {
			{counted, half}, {counted + half, v->message_len - half}};

		assert_int_equal(blake2s_mac(out, counted, v->key_len, parts, 2), 0);
		assert_hex(out, sizeof(out), v->out);
	}
}

/* The digest length is a parameter of BLAKE2s, so the short mac is not the long one's beginning. */
static void test_mac_is_not_truncated(void **state)
{
	uint8_t out[BLAKE2S_MAC], longer[32];

	(void)state;
	unhex(longer, sizeof(longer), blake2s_keyed_empty_32);
	assert_int_equal(blake2s_mac(out, counted, 32, NULL, 0), 0);
	assert_memory_not_equal(out, longer, sizeof(out));
}

static void test_mac_key_sizes(void **state)
{
	uint8_t out[BLAKE2S_MAC];

	(void)state;
	assert_int_equal(blake2s_mac(out, counted, 0, NULL, 0), -EIO);
	assert_int_equal(blake2s_mac(out, counted, 33, NULL, 0), -EIO);
}

static void test_hmac(void **state)
{
	uint8_t out[BLAKE2S_HASH];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(blake2s_hmac32); i++) {
		const struct blake2s_vector *v = &blake2s_hmac32[i];
		const struct blake2s_part part = {counted, v->message_len};

		assert_int_equal(blake2s_hmac(out, counted, v->key_len, &part, 1), 0);
		assert_hex(out, sizeof(out), v->out);
	}
}

static void *hammer(void *bad)
{
	const struct blake2s_part part = {counted, 33};
	uint8_t out[BLAKE2S_HASH], want[BLAKE2S_HASH];

	if (hex_decode(blake2s_hmac32[1].out, want, sizeof(want)) < 0)
		return bad;
	for (int i = 0; i < 500; i++)
		if (blake2s_hmac(out, counted, 32, &part, 1) < 0 || memcmp(out, want, 32) != 0)
			return bad;
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[4];
	int bad;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, &bad), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		void *result;

		assert_int_equal(pthread_join(t[i], &result), 0);
		assert_null(result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_mac_is_not_truncated),
		cmocka_unit_test(test_mac_key_sizes),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, count_up, NULL);
}
