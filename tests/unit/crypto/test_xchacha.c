/* One-shot AEADs against their documents; every changed bit must be noticed. */
#include "crypto/xchacha.h"

#include <errno.h>
#include <stdbool.h>

#include <openssl/err.h>

#include "base/secret.h"
#include "tests/vectors/chacha.h"
#include "tests/vectors/hex.h"

struct sample {
	uint8_t key[32], nonce[24], aad[12], sealed[320];
	uint64_t counter;
	size_t sealed_len;
};

static void load_a5(struct sample *s)
{
	uint8_t nonce[8];

	memset(s, 0, sizeof(*s));
	unhex(s->key, sizeof(s->key), a5_key);
	unhex(nonce, sizeof(nonce), a5_nonce);
	for (int i = 7; i >= 0; i--)
		s->counter = s->counter << 8 | nonce[i];
	unhex(s->aad, sizeof(s->aad), a5_aad);
	s->sealed_len = unhex(s->sealed, sizeof(s->sealed), a5_sealed);
}

static void load_x(struct sample *s)
{
	memset(s, 0, sizeof(*s));
	unhex(s->key, sizeof(s->key), xchacha_key);
	unhex(s->nonce, sizeof(s->nonce), xchacha_nonce);
	unhex(s->aad, sizeof(s->aad), xchacha_aad);
	s->sealed_len = unhex(s->sealed, sizeof(s->sealed), xchacha_sealed);
}

static void test_chachapoly_vector(void **state)
{
	const size_t n = strlen(a5_plain);
	struct sample s;
	uint8_t out[320];

	(void)state;
	load_a5(&s);
	assert_int_equal(s.sealed_len, n + 16);
	assert_int_equal(chachapoly_seal(s.key, s.counter, a5_plain, n, s.aad, 12, out), 0);
	assert_memory_equal(out, s.sealed, s.sealed_len);
	assert_int_equal(
		chachapoly_open(s.key, s.counter, s.sealed, s.sealed_len, s.aad, 12, out), 0);
	assert_memory_equal(out, a5_plain, n);
}

static void test_xchacha_vector(void **state)
{
	const size_t n = strlen(xchacha_plain);
	struct sample s;
	uint8_t out[320];

	(void)state;
	load_x(&s);
	assert_int_equal(s.sealed_len, n + 16);
	assert_int_equal(xchacha_seal(s.key, s.nonce, xchacha_plain, n, s.aad, 12, out), 0);
	assert_memory_equal(out, s.sealed, s.sealed_len);
	assert_int_equal(xchacha_open(s.key, s.nonce, s.sealed, s.sealed_len, s.aad, 12, out), 0);
	assert_memory_equal(out, xchacha_plain, n);
}

static int open_x(const struct sample *s, size_t n, uint8_t *out)
{
	return xchacha_open(s->key, s->nonce, s->sealed, n, s->aad, 12, out);
}

static void test_bits(void **state)
{
	struct sample s;
	uint8_t out[320];

	(void)state;
	load_x(&s);
	for (size_t bit = 0; bit < 8 * s.sealed_len; bit++) {
		s.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_x(&s, s.sealed_len, out), -EBADMSG);
		s.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(s.nonce); bit++) {
		s.nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_x(&s, s.sealed_len, out), -EBADMSG);
		s.nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	s.aad[11] ^= 1;
	assert_int_equal(open_x(&s, s.sealed_len, out), -EBADMSG);
	s.aad[11] ^= 1;
	s.key[31] ^= 0x80;
	assert_int_equal(open_x(&s, s.sealed_len, out), -EBADMSG);
}

static void test_lengths(void **state)
{
	struct sample s;
	uint8_t out[320];

	(void)state;
	load_x(&s);
	for (size_t n = 0; n < s.sealed_len; n++)
		assert_int_equal(open_x(&s, n, out), -EBADMSG);
	assert_int_equal(open_x(&s, s.sealed_len + 1, out), -EBADMSG);
	assert_int_equal(open_x(&s, s.sealed_len, out), 0);
	/* Nothing is left for the next user of this thread's error queue. */
	assert_int_equal(ERR_peek_error(), 0);
}

static void test_refused_text_is_wiped(void **state)
{
	struct sample s;
	uint8_t out[320];

	(void)state;
	load_x(&s);
	s.sealed[s.sealed_len - 1] ^= 1;
	memset(out, 0xa5, sizeof(out));
	assert_int_equal(open_x(&s, s.sealed_len, out), -EBADMSG);
	assert_true(secret_is_zero(out, s.sealed_len - 16));
	assert_int_equal(out[s.sealed_len - 16], 0xa5);
}

/* What a handshake's last step seals. */
static void test_empty(void **state)
{
	const uint8_t key[32] = {1}, aad[32] = {2};
	uint8_t tag[16];

	(void)state;
	assert_int_equal(chachapoly_seal(key, 0, NULL, 0, aad, 32, tag), 0);
	assert_int_equal(chachapoly_open(key, 0, tag, 16, aad, 32, NULL), 0);
	assert_int_equal(chachapoly_open(key, 1, tag, 16, aad, 32, NULL), -EBADMSG);
	assert_int_equal(chachapoly_open(key, 1ull << 32, tag, 16, aad, 32, NULL), -EBADMSG);
	assert_int_equal(chachapoly_open(key, 0, tag, 15, aad, 32, NULL), -EBADMSG);
	assert_int_equal(chachapoly_open(key, 0, tag, 16, NULL, 0, NULL), -EBADMSG);
	tag[0] ^= 1;
	assert_int_equal(chachapoly_open(key, 0, tag, 16, aad, 32, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chachapoly_vector),
		cmocka_unit_test(test_xchacha_vector),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_refused_text_is_wiped),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
