/* The self-test passes what is right and finds what is wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/aead_backend.h"
#include "crypto/aead_check.h"

static int setup(void **state)
{
	(void)state;
	return aead_init();
}

/* A library of which one thing is wrong is found out before it seals anything. */
static int key_new_of_openssl(
	struct aead_key **out, enum aead_cipher c, const uint8_t *key, bool sealing)
{
	return aead_openssl.key_new(out, c, key, sealing);
}

static void seal_late_bit(struct aead_key *k, struct aead_op *ops, size_t n)
{
	aead_openssl.seal(k, ops, n);
	for (size_t i = 0; i < n; i++) {
		if (ops[i].len == 257) /* one of hundreds of lengths */
			ops[i].text[256] ^= 0x80;
	}
}

static void seal_short_tag(struct aead_key *k, struct aead_op *ops, size_t n)
{
	aead_openssl.seal(k, ops, n);
	for (size_t i = 0; i < n; i++)
		ops[i].tag[15] = 0;
}

static void seal_says_no(struct aead_key *k, struct aead_op *ops, size_t n)
{
	aead_openssl.seal(k, ops, n);
	if (n > 1)
		ops[n - 1].ok = false;
}

static void open_anything(struct aead_key *k, struct aead_op *ops, size_t n)
{
	aead_openssl.open(k, ops, n);
	for (size_t i = 0; i < n; i++)
		ops[i].ok = true;
}

static void test_broken_ones_are_found(void **state)
{
	const struct aead_backend good = {.name = "good",
		.key_new = key_new_of_openssl,
		.key_free = aead_openssl.key_free,
		.seal = aead_openssl.seal,
		.open = aead_openssl.open};
	struct aead_backend bad;

	(void)state;
	assert_int_equal(aead_check_vectors(&good), 0);
	assert_int_equal(aead_check_against(&good), 0);
	bad = good;
	bad.seal = seal_late_bit;
	assert_int_equal(aead_check_vectors(&bad), 0);
	assert_int_equal(aead_check_against(&bad), -EIO);
	bad.seal = seal_says_no;
	assert_int_equal(aead_check_against(&bad), -EIO);
	bad.seal = seal_short_tag;
	assert_int_equal(aead_check_vectors(&bad), -EIO);
	bad = good;
	bad.open = open_anything;
	assert_int_equal(aead_check_vectors(&bad), -EIO);
	assert_int_equal(aead_check_against(&bad), -EIO);
}

static void test_every_library_passes(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) { /* other random packets each time */
		assert_int_equal(aead_check_against(&aead_openssl), 0);
#ifdef __x86_64__
		assert_int_equal(aead_ipsec_mb.init(), 0);
		assert_int_equal(aead_check_vectors(&aead_ipsec_mb), 0);
		if (i == 10)
			assert_int_equal(aead_ipsec_mb.thread_start(), 0);
		assert_int_equal(aead_check_against(&aead_ipsec_mb), 0);
#endif
	}
#ifdef __x86_64__
	aead_ipsec_mb.thread_stop();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken_ones_are_found),
		cmocka_unit_test(test_every_library_passes),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
