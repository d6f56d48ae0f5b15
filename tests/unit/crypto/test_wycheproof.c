/* Project Wycheproof's vectors through every library and X25519. What is sealed stands in a batch
 * among copies of itself, because libraries that take several at once have edges of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/compiler.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/aead_backend.h"
#include "crypto/x25519.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/wycheproof.h"

enum { COPIES = 17, ROOM = 640, FORGED = 5 };

static const struct aead_backend *const libraries[] = {
	&aead_openssl,
#ifdef __x86_64__
	&aead_ipsec_mb,
#endif
};

static const struct set {
	enum aead_cipher cipher;
	const struct wycheproof_aead *v;
	size_t n;
} sets[] = {
	{AEAD_CHACHA20_POLY1305, wycheproof_chacha, ARRAY_SIZE(wycheproof_chacha)},
	{AEAD_AES_256_GCM, wycheproof_gcm256, ARRAY_SIZE(wycheproof_gcm256)},
	{AEAD_AES_128_GCM, wycheproof_gcm128, ARRAY_SIZE(wycheproof_gcm128)},
};

struct batch {
	struct aead_op ops[COPIES];
	uint8_t text[COPIES][ROOM], tag[COPIES][AEAD_TAG], aad[ROOM];
};

static void fill(struct batch *b, const struct wycheproof_aead *v, const char *text)
{
	uint8_t nonce[AEAD_NONCE];
	const size_t aad_len = unhex(b->aad, ROOM, v->aad);

	unhex(nonce, sizeof(nonce), v->nonce);
	for (int i = 0; i < COPIES; i++) {
		const size_t len = unhex(b->text[i], ROOM, text);
		b->ops[i] = (struct aead_op){.text = b->text[i],
			.len = (uint32_t)len,
			.tag = b->tag[i],
			.aad = aad_len ? b->aad : NULL,
			.aad_len = (uint32_t)aad_len};
		memcpy(b->ops[i].nonce, nonce, sizeof(nonce));
		unhex(b->tag[i], AEAD_TAG, v->tag);
	}
}

static void check_seal(struct batch *b, struct aead_key *key, const struct wycheproof_aead *v)
{
	fill(b, v, v->plain);
	memset(b->tag, 0, sizeof(b->tag));
	aead_seal_batch(key, b->ops, COPIES);
	for (int i = 0; i < COPIES; i++) {
		uint8_t want[ROOM], tag[AEAD_TAG];
		unhex(want, ROOM, v->sealed);
		unhex(tag, AEAD_TAG, v->tag);
		assert_true(b->ops[i].ok);
		assert_memory_equal(b->text[i], want, b->ops[i].len);
		/* One that is not valid has another tag than the right one. */
		assert_int_equal(memcmp(b->tag[i], tag, AEAD_TAG) == 0, v->valid);
	}
}

/* One of them is forged more: the others must not suffer for it. */
static void check_open(struct batch *b, struct aead_key *key, const struct wycheproof_aead *v)
{
	fill(b, v, v->sealed);
	b->tag[FORGED][v->number % AEAD_TAG] ^= 0x10;
	aead_open_batch(key, b->ops, COPIES);
	for (int i = 0; i < COPIES; i++) {
		uint8_t want[ROOM];
		unhex(want, ROOM, v->plain);
		if (i == FORGED) {
			assert_false(b->ops[i].ok);
			continue;
		}
		assert_int_equal(b->ops[i].ok, v->valid);
		if (v->valid)
			assert_memory_equal(b->text[i], want, b->ops[i].len);
		else
			assert_true(secret_is_zero(b->text[i], b->ops[i].len));
	}
}

static void check_set(const struct aead_backend *by, const struct set *s)
{
	static struct batch b;

	for (size_t i = 0; i < s->n; i++) {
		struct aead_key *to, *from;
		uint8_t key[32];

		unhex(key, sizeof(key), s->v[i].key);
		assert_int_equal(aead_key_new_by(&to, by, s->cipher, key, true), 0);
		assert_int_equal(aead_key_new_by(&from, by, s->cipher, key, false), 0);
		check_seal(&b, to, &s->v[i]);
		check_open(&b, from, &s->v[i]);
		aead_key_free(to);
		aead_key_free(from);
	}
}

static void test_aead(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++) {
		const struct aead_backend *by = libraries[i];
		assert_int_equal(by->init(), 0);
		if (by->thread_start)
			assert_int_equal(by->thread_start(), 0);
		for (size_t k = 0; k < ARRAY_SIZE(sets); k++)
			check_set(by, &sets[k]);
		if (by->thread_stop)
			by->thread_stop();
	}
}

static void test_x25519(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wycheproof_x25519); i++) {
		const struct wycheproof_x25519 *v = &wycheproof_x25519[i];
		uint8_t public_key[32], private_key[32], shared[32], got[32];

		unhex(public_key, 32, v->public_key);
		unhex(private_key, 32, v->private_key);
		unhex(shared, 32, v->shared);
		if (secret_is_zero(shared, 32)) {
			assert_int_equal(x25519_dh(got, private_key, public_key), -EINVAL);
			continue;
		}
		assert_int_equal(x25519_dh(got, private_key, public_key), 0);
		assert_memory_equal(got, shared, 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aead),
		cmocka_unit_test(test_x25519),
	};

	if (aead_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
