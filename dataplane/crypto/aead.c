/*
 * AEAD on OpenSSL's EVP. An explicitly fetched cipher and one context per key: a packet then costs
 * an init with nothing but the nonce, the text and the tag. Passing the cipher or the key again
 * would re-allocate the provider's context for every packet.
 *
 * The fetched ciphers are the one thing here that outlives a call: written by aead_init before
 * threads exist, read-only afterwards.
 */
#include "crypto/aead.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/secret.h"

struct aead_key {
	EVP_CIPHER_CTX *ctx;
};

static const struct {
	const char *shown, *fetched;
	size_t key;
} ciphers[] = {
	[AEAD_CHACHA20_POLY1305] = {"CHACHA20-POLY1305", "ChaCha20-Poly1305", 32},
	[AEAD_AES_256_GCM] = {"AES-256-GCM", "AES-256-GCM", 32},
	[AEAD_AES_128_GCM] = {"AES-128-GCM", "AES-128-GCM", 16},
};

static EVP_CIPHER *fetched[ARRAY_SIZE(ciphers)];

static bool known(enum aead_cipher c)
{
	return (unsigned int)c < ARRAY_SIZE(ciphers) && ciphers[c].shown;
}

const char *aead_cipher_name(enum aead_cipher c)
{
	return known(c) ? ciphers[c].shown : "";
}

size_t aead_key_size(enum aead_cipher c)
{
	return known(c) ? ciphers[c].key : 0;
}

int aead_key_new(struct aead_key **out, enum aead_cipher c, const uint8_t *key, bool sealing)
{
	if (!known(c) || !fetched[c])
		return -EINVAL;
	struct aead_key *k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->ctx = EVP_CIPHER_CTX_new();
	if (!k->ctx || EVP_CipherInit_ex(k->ctx, fetched[c], NULL, key, NULL, sealing) != 1) {
		aead_key_free(k);
		return -ENOMEM;
	}
	*out = k;
	return 0;
}

void aead_key_free(struct aead_key *k)
{
	if (!k)
		return;
	EVP_CIPHER_CTX_free(k->ctx); /* the provider cleanses its key schedule */
	free(k);
}

static bool seal(EVP_CIPHER_CTX *ctx, struct aead_op *op)
{
	int n;
	if (op->len > INT_MAX || op->aad_len > INT_MAX ||
		EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, op->nonce) != 1)
		return false;
	if (op->aad_len && EVP_EncryptUpdate(ctx, NULL, &n, op->aad, (int)op->aad_len) != 1)
		return false;
	if (op->len && EVP_EncryptUpdate(ctx, op->text, &n, op->text, (int)op->len) != 1)
		return false;
	return EVP_EncryptFinal_ex(ctx, op->tag, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, op->tag) == 1;
}

static bool open(EVP_CIPHER_CTX *ctx, struct aead_op *op)
{
	uint8_t none[EVP_MAX_BLOCK_LENGTH];
	int n;
	if (op->len > INT_MAX || op->aad_len > INT_MAX ||
		EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, op->nonce) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, op->tag) != 1)
		return false;
	if (op->aad_len && EVP_DecryptUpdate(ctx, NULL, &n, op->aad, (int)op->aad_len) != 1)
		return false;
	if (op->len && EVP_DecryptUpdate(ctx, op->text, &n, op->text, (int)op->len) != 1)
		return false;
	return EVP_DecryptFinal_ex(ctx, none, &n) == 1;
}

/* A plaintext that could not be sealed must not leave either, so both directions wipe. */
void aead_seal_batch(struct aead_key *k, struct aead_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ops[i].ok = seal(k->ctx, &ops[i]);
		if (!ops[i].ok)
			secret_wipe(ops[i].text, ops[i].len);
	}
}

void aead_open_batch(struct aead_key *k, struct aead_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ops[i].ok = open(k->ctx, &ops[i]);
		if (!ops[i].ok)
			secret_wipe(ops[i].text, ops[i].len);
	}
}

/* ---- self-test ---- */

/* RFC 8439 2.8.2. */
static const uint8_t chacha_key[] = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
	0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
	0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f};
static const uint8_t chacha_nonce[AEAD_NONCE] = {
	7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
static const uint8_t chacha_aad[] = {
	0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
static const char chacha_plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
static const uint8_t chacha_head[] = {0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb};
static const uint8_t chacha_tag[AEAD_TAG] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a, 0x7e,
	0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 14 (256) and 2 (128): key,
 * nonce and 16 bytes of plaintext are zero. */
static const uint8_t zeros[32];
static const uint8_t gcm256_head[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e};
static const uint8_t gcm256_tag[AEAD_TAG] = {0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26,
	0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
static const uint8_t gcm128_head[] = {0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92};
static const uint8_t gcm128_tag[AEAD_TAG] = {0xab, 0x6e, 0x47, 0xd4, 0x2c, 0xec, 0x13, 0xbd, 0xf5,
	0x3a, 0x67, 0xb2, 0x12, 0x57, 0xbd, 0xdf};

static const struct vector {
	enum aead_cipher cipher;
	const uint8_t *key, *nonce, *aad;
	uint32_t aad_len, len;
	const void *plain;
	const uint8_t *head, *tag; /* first 8 bytes of the ciphertext; the tag covers the rest */
} vectors[] = {
	{AEAD_CHACHA20_POLY1305, chacha_key, chacha_nonce, chacha_aad, sizeof(chacha_aad),
		sizeof(chacha_plain) - 1, chacha_plain, chacha_head, chacha_tag},
	{AEAD_AES_256_GCM, zeros, zeros, NULL, 0, 16, zeros, gcm256_head, gcm256_tag},
	{AEAD_AES_128_GCM, zeros, zeros, NULL, 0, 16, zeros, gcm128_head, gcm128_tag},
};

static int check(const struct vector *v)
{
	uint8_t text[128], tag[AEAD_TAG];
	struct aead_op op = {
		.text = text, .len = v->len, .tag = tag, .aad = v->aad, .aad_len = v->aad_len};
	struct aead_key *to = NULL, *from = NULL;
	int r = -EIO;

	memcpy(text, v->plain, v->len);
	memcpy(op.nonce, v->nonce, AEAD_NONCE);
	if (aead_key_new(&to, v->cipher, v->key, true) ||
		aead_key_new(&from, v->cipher, v->key, false))
		goto out;
	aead_seal_batch(to, &op, 1);
	if (!op.ok || !secret_equal(text, v->head, 8) || !secret_equal(tag, v->tag, AEAD_TAG))
		goto out;
	aead_open_batch(from, &op, 1);
	if (!op.ok || !secret_equal(text, v->plain, v->len))
		goto out;
	tag[0] ^= 1;
	aead_open_batch(from, &op, 1);
	if (!op.ok)
		r = 0;
out:
	aead_key_free(to);
	aead_key_free(from);
	return r;
}

int aead_init(void)
{
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++) {
		if (!known((enum aead_cipher)c) || fetched[c])
			continue;
		fetched[c] = EVP_CIPHER_fetch(NULL, ciphers[c].fetched, NULL);
		if (!fetched[c])
			return -EIO;
	}
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		if (check(&vectors[i]))
			return -EIO;
	return 0;
}
