/* AEAD: published vectors, every single bit flipped, random lengths, wrong nonce, batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"

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

static int setup(void **state)
{
	(void)state;
	return aead_init();
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
		assert_int_equal(aead_key_new(&seal, v->cipher, key, true), 0);
		assert_int_equal(aead_key_new(&open, v->cipher, key, false), 0);
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
		assert_int_equal(aead_key_new(&seal, (enum aead_cipher)c, key, true), 0);
		assert_int_equal(aead_key_new(&open, (enum aead_cipher)c, key, false), 0);
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
static void test_lengths(void **state)
{
	enum { BATCH = 16, MAX = 2000 };
	static uint8_t buf[BATCH][MAX + 16];
	uint8_t key[32] = {1, 2, 3};
	struct aead_key *seal, *open;

	(void)state;
	assert_int_equal(aead_key_new(&seal, AEAD_CHACHA20_POLY1305, key, true), 0);
	assert_int_equal(aead_key_new(&open, AEAD_CHACHA20_POLY1305, key, false), 0);
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
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
