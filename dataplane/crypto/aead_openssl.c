/*
 * AEAD on OpenSSL's EVP. An explicitly fetched cipher and one context per key: a packet then costs
 * an init with nothing but the nonce, the text and the tag. Passing the cipher or the key again
 * would re-allocate the provider's context for every packet.
 */
#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "crypto/aead_backend.h"

struct evp_key {
	struct aead_key head;
	EVP_CIPHER_CTX *ctx;
};

static const char *const names[AEAD_CIPHERS_END] = {
	[AEAD_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
	[AEAD_AES_256_GCM] = "AES-256-GCM",
	[AEAD_AES_128_GCM] = "AES-128-GCM",
};

static EVP_CIPHER *fetched[AEAD_CIPHERS_END]; /* by init */

static int init(void)
{
	for (size_t c = 0; c < ARRAY_SIZE(names); c++) {
		if (!names[c] || fetched[c])
			continue;
		fetched[c] = EVP_CIPHER_fetch(NULL, names[c], NULL);
		if (!fetched[c])
			return -EIO;
	}
	return 0;
}

static void key_free(struct aead_key *k)
{
	struct evp_key *own = (struct evp_key *)k;

	EVP_CIPHER_CTX_free(own->ctx); /* the provider cleanses its key schedule */
	free(own);
}

static int key_new(struct aead_key **out, enum aead_cipher c, const uint8_t *key, bool sealing)
{
	if (!fetched[c])
		return -EINVAL;
	struct evp_key *k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->ctx = EVP_CIPHER_CTX_new();
	if (!k->ctx || EVP_CipherInit_ex(k->ctx, fetched[c], NULL, key, NULL, sealing) != 1) {
		EVP_CIPHER_CTX_free(k->ctx);
		free(k);
		return -ENOMEM;
	}
	*out = &k->head;
	return 0;
}

static bool seal_one(EVP_CIPHER_CTX *ctx, struct aead_op *op)
{
	int n;

	if (!aead_op_sound(op) || EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, op->nonce) != 1)
		return false;
	if (op->aad_len && EVP_EncryptUpdate(ctx, NULL, &n, op->aad, (int)op->aad_len) != 1)
		return false;
	if (op->len && EVP_EncryptUpdate(ctx, op->text, &n, op->text, (int)op->len) != 1)
		return false;
	return EVP_EncryptFinal_ex(ctx, op->tag, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, op->tag) == 1;
}

static bool open_one(EVP_CIPHER_CTX *ctx, struct aead_op *op)
{
	uint8_t none[EVP_MAX_BLOCK_LENGTH];
	int n;

	if (!aead_op_sound(op) || EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, op->nonce) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, op->tag) != 1)
		return false;
	if (op->aad_len && EVP_DecryptUpdate(ctx, NULL, &n, op->aad, (int)op->aad_len) != 1)
		return false;
	if (op->len && EVP_DecryptUpdate(ctx, op->text, &n, op->text, (int)op->len) != 1)
		return false;
	return EVP_DecryptFinal_ex(ctx, none, &n) == 1;
}

static void seal(struct aead_key *k, struct aead_op *ops, size_t n)
{
	EVP_CIPHER_CTX *ctx = ((struct evp_key *)k)->ctx;

	for (size_t i = 0; i < n; i++)
		ops[i].ok = seal_one(ctx, &ops[i]);
}

static void open(struct aead_key *k, struct aead_op *ops, size_t n)
{
	EVP_CIPHER_CTX *ctx = ((struct evp_key *)k)->ctx;

	for (size_t i = 0; i < n; i++)
		ops[i].ok = open_one(ctx, &ops[i]);
}

const struct aead_backend aead_openssl = {
	.name = "openssl",
	.init = init,
	.key_new = key_new,
	.key_free = key_free,
	.seal = seal,
	.open = open,
};
