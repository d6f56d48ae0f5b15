/* AEAD by every library: published vectors, every single bit flipped, lengths, batches, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "crypto/aead.h"
#include "crypto/aead_backend.h"

/* The group of tests runs once for each. */
static const struct aead_backend *const libraries[] = {
	&aead_openssl,
#ifdef __x86_64__
	&aead_ipsec_mb,
#endif
};
static const struct aead_backend *by;

struct vector {
	const char *source;
	enum aead_cipher cipher;
	const char *key, *nonce, *aad, *plain, *cipher_text, *tag;
};

static const struct vector vectors[] = {
	{"RFC 8439 2.8.2", AEAD_CHACHA20_POLY1305,
		"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
		"070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
		"4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a"
		"204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f72207468"
		"65206675747572652c2073756e73637265656e20776f756c642062652069742e",
		"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282"
		"fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab3"
		"24e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
		"1ae10b594f09e26a7e902ecbd0600691"},
	{"GCM 13", AEAD_AES_256_GCM,
		"0000000000000000000000000000000000000000000000000000000000000000",
		"000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
	{"GCM 14", AEAD_AES_256_GCM,
		"0000000000000000000000000000000000000000000000000000000000000000",
		"000000000000000000000000", "", "00000000000000000000000000000000",
		"cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
	{"GCM 16", AEAD_AES_256_GCM,
		"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		"cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532f"
		"cf0e2449a6b525b16aedf5aa0de657ba637b39",
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7"
		"b08b1056828838c5f61e6393ba7a0abcc9f662",
		"76fc6ece0f4e1768cddf8853bb2d551b"},
	{"GCM 2", AEAD_AES_128_GCM, "00000000000000000000000000000000", "000000000000000000000000",
		"", "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
		"ab6e47d42cec13bdf53a67b21257bddf"},
	{"GCM 4", AEAD_AES_128_GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532f"
		"cf0e2449a6b525b16aedf5aa0de657ba637b39",
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d"
		"8f6a5aac84aa051ba30b396a0aac973d58e091",
		"5bc94fbc3221a5db94fae95ae7121a47"},
};

static size_t unhex(uint8_t *out, const char *text)
{
	size_t n = strlen(text) / 2;

	for (size_t i = 0; i < n; i++) {
		char two[3] = {text[2 * i], text[2 * i + 1], 0};
		out[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

static struct aead_key *key_of(enum aead_cipher c, const uint8_t *key, bool sealing)
{
	struct aead_key *k = NULL;

	assert_int_equal(aead_key_new_by(&k, by, c, key, sealing), 0);
	return k;
}

static int setup(void **state)
{
	(void)state;
	return aead_init() || by->init();
}

static int setup_manager(void **state)
{
	return setup(state) || (by->thread_start && by->thread_start());
}

static int teardown_manager(void **state)
{
	(void)state;
	if (by->thread_stop)
		by->thread_stop();
	return 0;
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		uint8_t key[32], aad[32], plain[160], text[160], want[160], tag[16], want_tag[16];
		struct aead_key *seal, *open;
		struct aead_op op = {.text = text, .tag = tag, .aad = aad};

		assert_int_equal(unhex(key, v->key), aead_key_size(v->cipher));
		unhex(op.nonce, v->nonce);
		op.aad_len = (uint32_t)unhex(aad, v->aad);
		op.len = (uint32_t)unhex(plain, v->plain);
		unhex(want, v->cipher_text);
		unhex(want_tag, v->tag);
		seal = key_of(v->cipher, key, true);
		open = key_of(v->cipher, key, false);
		for (int twice = 0; twice < 2; twice++) { /* contexts are used again */
			memcpy(text, plain, op.len);
			aead_seal_batch(seal, &op, 1);
			assert_true(op.ok);
			assert_memory_equal(text, want, op.len);
			assert_memory_equal(tag, want_tag, 16);
			aead_open_batch(open, &op, 1);
			assert_true(op.ok);
			assert_memory_equal(text, plain, op.len);
		}
		aead_key_free(seal);
		aead_key_free(open);
	}
}

/* Each bit of ciphertext, tag, nonce and associated data matters; refused text is gone. */
static void test_bit_flips(void **state)
{
	static const uint8_t zeros[48];
	uint8_t key[32] = {7}, plain[48], aad[8] = "context";

	(void)state;
	memset(plain, 0x5a, sizeof(plain));
	for (int c = AEAD_CHACHA20_POLY1305; c <= AEAD_AES_128_GCM; c++) {
		struct aead_key *seal, *open;
		uint8_t all[48 + 16 + 12 + 8];
		seal = key_of((enum aead_cipher)c, key, true);
		open = key_of((enum aead_cipher)c, key, false);
		for (size_t bit = 0; bit < sizeof(all) * 8; bit++) {
			struct aead_op op = {.text = all,
				.len = 48,
				.tag = all + 48,
				.aad = aad,
				.aad_len = sizeof(aad)};
			memcpy(all, plain, 48);
			aead_seal_batch(seal, &op, 1);
			memcpy(all + 64, op.nonce, 12);
			memcpy(all + 76, aad, 8);
			all[bit / 8] ^= (uint8_t)(1 << bit % 8);
			memcpy(op.nonce, all + 64, 12);
			op.aad = all + 76;
			aead_open_batch(open, &op, 1);
			assert_false(op.ok);
			assert_memory_equal(all, zeros, 48);
		}
		aead_key_free(seal);
		aead_key_free(open);
	}
}

/* Every length up to 2000, in batches, sealing and opening in place. */
static void lengths_of(enum aead_cipher c)
{
	enum { BATCH = 40, MAX = 2000 };
	static uint8_t buf[BATCH][MAX + 16];
	uint8_t key[32] = {1, 2, 3};
	struct aead_key *seal = key_of(c, key, true), *open = key_of(c, key, false);

	for (uint32_t len = 0; len + BATCH <= MAX; len += BATCH) {
		struct aead_op ops[BATCH] = {0};
		for (uint32_t i = 0; i < BATCH; i++) {
			ops[i].text = buf[i];
			ops[i].len = len + i;
			ops[i].tag = buf[i] + ops[i].len;
			ops[i].nonce[4] = (uint8_t)i;
			memset(buf[i], (int)i, ops[i].len);
		}
		aead_seal_batch(seal, ops, BATCH);
		buf[3][ops[3].len] ^= 1; /* one bad one among good ones */
		aead_open_batch(open, ops, BATCH);
		for (uint32_t i = 0; i < BATCH; i++) {
			assert_int_equal(ops[i].ok, i != 3);
			for (uint32_t k = 0; k < ops[i].len; k++)
				assert_int_equal(buf[i][k], i == 3 ? 0 : i);
		}
	}
	aead_key_free(seal);
	aead_key_free(open);
}

static void test_lengths(void **state)
{
	(void)state;
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++)
		lengths_of((enum aead_cipher)c);
}

/* Batches of any size, none and more than a library takes at once among them, of which one packet
 * in seven can't be asked for: it is refused, and the others are not. */
static void test_batches(void **state)
{
	enum { MAX = 200, LEN = 33 };
	static uint8_t buf[MAX][LEN + AEAD_TAG];
	static struct aead_op ops[MAX];
	uint8_t key[32] = {5};
	struct aead_key *seal = key_of(AEAD_CHACHA20_POLY1305, key, true);
	struct aead_key *open = key_of(AEAD_CHACHA20_POLY1305, key, false);

	(void)state;
	for (size_t n = 0; n <= MAX; n += n < 70 ? 1 : 65) {
		for (size_t i = 0; i < n; i++) {
			memset(buf[i], (int)i, LEN);
			ops[i] = (struct aead_op){.text = buf[i],
				.len = LEN,
				.tag = buf[i] + LEN,
				.aad_len = i % 7 == 6};
			ops[i].nonce[0] = (uint8_t)i;
		}
		aead_seal_batch(seal, ops, n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(ops[i].ok, i % 7 != 6);
		aead_open_batch(open, ops, n);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(ops[i].ok, i % 7 != 6);
			assert_int_equal(buf[i][LEN - 1], i % 7 == 6 ? 0 : i);
		}
	}
	aead_key_free(seal);
	aead_key_free(open);
}

/* What threads do to one key at the same time, where the library allows it. */
struct share {
	struct aead_key *key;
	enum aead_cipher cipher;
	bool managed, wrong;
};

static void *hammer(void *arg)
{
	enum { LEN = 700, BATCH = 8 };
	struct share *s = arg;
	uint8_t buf[BATCH][LEN + AEAD_TAG], first[LEN + AEAD_TAG];

	s->wrong = s->managed && by->thread_start();
	for (int round = 0; round < 200; round++) {
		struct aead_op ops[BATCH] = {0};
		for (int i = 0; i < BATCH; i++) {
			memset(buf[i], 9, LEN);
			ops[i] = (struct aead_op){.text = buf[i], .len = LEN, .tag = buf[i] + LEN};
		}
		aead_seal_batch(s->key, ops, BATCH);
		if (round == 0)
			memcpy(first, buf[0], sizeof(first));
		for (int i = 0; i < BATCH; i++)
			s->wrong |= !ops[i].ok || memcmp(buf[i], first, sizeof(first)) != 0;
		ops[0].tag[3] ^= 1;
		aead_open_batch(s->key, ops, BATCH);
		for (int i = 0; i < BATCH; i++)
			s->wrong |= ops[i].ok != (i != 0) || buf[i][5] != (i ? 9 : 0);
	}
	if (s->managed)
		by->thread_stop();
	return NULL;
}

static void test_shared_keys(void **state)
{
	uint8_t key[32] = {3};

	(void)state;
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		struct share s[4];
		pthread_t thread[4];
		struct aead_key *k = key_of((enum aead_cipher)c, key, true);
		assert_int_equal(aead_key_shared(k), by != &aead_openssl);
		if (!aead_key_shared(k)) {
			aead_key_free(k);
			continue;
		}
		for (int i = 0; i < 4; i++) {
			s[i] = (struct share){k, (enum aead_cipher)c, i % 2, false};
			assert_int_equal(pthread_create(&thread[i], NULL, hammer, &s[i]), 0);
		}
		for (int i = 0; i < 4; i++) {
			pthread_join(thread[i], NULL);
			assert_false(s[i].wrong);
		}
		aead_key_free(k);
	}
}

static void test_refusals(void **state)
{
	struct aead_key *k = NULL;
	uint8_t key[32] = {0};

	(void)state;
	assert_int_equal(aead_key_new(&k, (enum aead_cipher)0, key, true), -22);
	assert_int_equal(aead_key_new(&k, (enum aead_cipher)4, key, true), -22);
	assert_int_equal(aead_key_new(&k, (enum aead_cipher)255, key, true), -22);
	assert_null(k);
	assert_int_equal(aead_key_size((enum aead_cipher)0), 0);
	assert_int_equal(aead_key_size((enum aead_cipher)9), 0);
	assert_string_equal(aead_cipher_name((enum aead_cipher)9), "");
	assert_string_equal(aead_library((enum aead_cipher)0), "");
	assert_string_equal(aead_library((enum aead_cipher)4), "");
	assert_string_equal(aead_cipher_name(AEAD_CHACHA20_POLY1305), "CHACHA20-POLY1305");
	assert_string_equal(aead_cipher_name(AEAD_AES_256_GCM), "AES-256-GCM");
	aead_key_free(NULL);
	assert_int_equal(aead_init(), 0); /* again does no harm */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_shared_keys),
		cmocka_unit_test(test_refusals),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++) {
		by = libraries[i];
		failed |= cmocka_run_group_tests_name(by->name, tests, setup, NULL);
		failed |= cmocka_run_group_tests_name(
			by->name, tests, setup_manager, teardown_manager);
	}
	return failed;
}
