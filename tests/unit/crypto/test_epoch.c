/* The published steps, and that each cipher's key is as long as it should be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/secret.h"
#include "crypto/epoch.h"

static void unhex(uint8_t *out, const char *hex)
{
	for (size_t i = 0; hex[2 * i]; i++) {
		const char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
		out[i] = (uint8_t)strtoul(two, NULL, 16);
	}
}

static void assert_hex(const uint8_t *is, const char *hex)
{
	uint8_t want[64];

	unhex(want, hex);
	assert_memory_equal(is, want, strlen(hex) / 2);
}

static void count_up(uint8_t secret[EPOCH_SECRET])
{
	for (uint8_t i = 0; i < EPOCH_SECRET; i++)
		secret[i] = i;
}

/* Reference A23, EP-1. */
static void test_vector(void **state)
{
	uint8_t secret[EPOCH_SECRET];
	struct epoch_keys k;

	(void)state;
	count_up(secret);
	assert_int_equal(epoch_derive(secret, AEAD_AES_256_GCM, &k), 0);
	assert_hex(k.key, "ebbbf838a8658beb56f2324d691351bd4c8c230fb271ada8f67de830b7ee3192");
	assert_hex(k.iv, "568de14f8f744bfb0b721f66");
	assert_int_equal(epoch_derive(secret, AEAD_CHACHA20_POLY1305, &k), 0);
	assert_hex(k.key, "ebbbf838a8658beb56f2324d691351bd4c8c230fb271ada8f67de830b7ee3192");
	assert_int_equal(epoch_derive(secret, AEAD_AES_128_GCM, &k), 0);
	assert_hex(k.key, "c0b015350de890ee8e1849d2c29a1b94");
	assert_true(secret_is_zero(k.key + 16, sizeof(k.key) - 16));
	assert_hex(k.iv, "568de14f8f744bfb0b721f66");
	assert_int_equal(epoch_step(secret), 0);
	assert_hex(secret, "e35bffa31e2723bf09e8d394fa9171ca4e534553bffa1d3482de4c9b3bc639d7");
}

/* Computed with an HMAC-SHA256 of another library: E_5 of the same E_1. */
static void test_four_steps(void **state)
{
	uint8_t secret[EPOCH_SECRET];

	(void)state;
	count_up(secret);
	for (int i = 0; i < 4; i++)
		assert_int_equal(epoch_step(secret), 0);
	assert_hex(secret, "a9bc65b1ec21f6a04a8b23d0dcfa5998d7a3286e80bcfcc5ea3a443182098f77");
}

static void test_refused(void **state)
{
	uint8_t secret[EPOCH_SECRET] = {0};
	struct epoch_keys k;

	(void)state;
	assert_int_equal(epoch_derive(secret, (enum aead_cipher)0, &k), -EINVAL);
	assert_int_equal(epoch_derive(secret, (enum aead_cipher)77, &k), -EINVAL);
	memset(&k, 1, sizeof(k));
	epoch_keys_wipe(&k);
	assert_true(secret_is_zero((const uint8_t *)&k, sizeof(k)));
}

static int set_up(void **state)
{
	(void)state;
	return epoch_init() || epoch_init(); /* again does no harm */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_four_steps),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
