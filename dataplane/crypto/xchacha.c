/*
 * ChaCha20-Poly1305 for single messages, and its extended-nonce form, which OpenSSL 3.0 lacks: a
 * subkey by HChaCha20 from the first 16 bytes of the nonce, then the ordinary AEAD with the rest.
 *
 * Ciphers are looked up once and then only read; every call has a context of its own.
 */
#include "crypto/xchacha.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/secret.h"

enum { TAG = 16, NONCE = 12, BLOCK = 64 };

static struct {
	EVP_CIPHER *aead;
	EVP_CIPHER *stream;
	bool ok;
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void look_up(void)
{
	found.aead = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	found.stream = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
	found.ok = found.aead && found.stream;
}

static bool ready(void)
{
	return pthread_once(&once, look_up) == 0 && found.ok;
}

static bool update(EVP_CIPHER_CTX *ctx, uint8_t *out, const void *in, size_t n)
{
	int len = 0;

	/* A call with nothing to do would be taken for the final one. */
	return n == 0 || (EVP_CipherUpdate(ctx, out, &len, in, (int)n) == 1 && (size_t)len == n);
}

static int seal(const uint8_t key[32], const uint8_t nonce[NONCE], const void *plain, size_t n,
	const void *aad, size_t aad_len, uint8_t *out)
{
	OSSL_PARAM tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, out + n, TAG),
		OSSL_PARAM_construct_end(),
	};
	EVP_CIPHER_CTX *ctx;
	uint8_t none[BLOCK];
	int len = 0;
	bool ok;

	if (n > INT_MAX || aad_len > INT_MAX || !ready())
		return -EIO;
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx && EVP_CipherInit_ex2(ctx, found.aead, key, nonce, 1, NULL) == 1 &&
	     update(ctx, NULL, aad, aad_len) && update(ctx, out, plain, n) &&
	     EVP_CipherFinal_ex(ctx, none, &len) == 1 && EVP_CIPHER_CTX_get_params(ctx, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

static int open_sealed(const uint8_t key[32], const uint8_t nonce[NONCE], const uint8_t *in,
	size_t n, const void *aad, size_t aad_len, void *out)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t none[BLOCK], tag[TAG];
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, sizeof(tag)),
		OSSL_PARAM_construct_end(),
	};
	int len = 0, rc = -EIO;

	if (n < TAG)
		return -EBADMSG;
	n -= TAG;
	if (n > INT_MAX || aad_len > INT_MAX || !ready())
		return -EIO;
	memcpy(tag, in + n, sizeof(tag));
	ctx = EVP_CIPHER_CTX_new();
	if (ctx && EVP_CipherInit_ex2(ctx, found.aead, key, nonce, 0, params) == 1 &&
		update(ctx, NULL, aad, aad_len) && update(ctx, out, in, n))
		rc = EVP_CipherFinal_ex(ctx, none, &len) == 1 ? 0 : -EBADMSG;
	if (rc < 0 && n)
		secret_wipe(out, n); /* nobody may use what was not authenticated */
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* draft-irtf-cfrg-xchacha, 2.2. A block of ChaCha20's key stream is its state after the rounds plus
 * the state before; HChaCha20 is the first and last four words without that addition, so take it
 * back. The words concerned were constants and nonce: nothing secret is looked at. OpenSSL's
 * 16-byte IV is counter and nonce together, hence the first 16 bytes of ours. */
static int hchacha20(struct key32 *out, const uint8_t key[32], const uint8_t nonce[16])
{
	static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	const uint8_t zero[BLOCK] = {0};
	uint8_t stream[BLOCK];
	EVP_CIPHER_CTX *ctx;
	bool ok;

	if (!ready())
		return -EIO;
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx && EVP_CipherInit_ex2(ctx, found.stream, key, nonce, 1, NULL) == 1 &&
	     update(ctx, stream, zero, BLOCK);
	for (int i = 0; ok && i < 4; i++) {
		put_le32(out->bytes + 4 * i, le32(stream + 4 * i) - constants[i]);
		put_le32(out->bytes + 16 + 4 * i, le32(stream + 48 + 4 * i) - le32(nonce + 4 * i));
	}
	secret_wipe(stream, sizeof(stream));
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

static void short_nonce(uint8_t out[NONCE], const uint8_t nonce[24])
{
	memset(out, 0, 4);
	memcpy(out + 4, nonce + 16, 8);
}

static void counter_nonce(uint8_t out[NONCE], uint64_t counter)
{
	memset(out, 0, 4);
	put_le32(out + 4, (uint32_t)counter);
	put_le32(out + 8, (uint32_t)(counter >> 32));
}

int xchacha_seal(const uint8_t key[32], const uint8_t nonce[24], const void *plain, size_t n,
	const void *aad, size_t aad_len, uint8_t *out)
{
	secret_key subkey = {{0}};
	uint8_t rest[NONCE];

	short_nonce(rest, nonce);
	if (hchacha20(&subkey, key, nonce) < 0)
		return -EIO;
	return seal(subkey.bytes, rest, plain, n, aad, aad_len, out);
}

int xchacha_open(const uint8_t key[32], const uint8_t nonce[24], const uint8_t *in, size_t n,
	const void *aad, size_t aad_len, void *out)
{
	secret_key subkey = {{0}};
	uint8_t rest[NONCE];

	short_nonce(rest, nonce);
	if (hchacha20(&subkey, key, nonce) < 0)
		return -EIO;
	return open_sealed(subkey.bytes, rest, in, n, aad, aad_len, out);
}

int chachapoly_seal(const uint8_t key[32], uint64_t counter, const void *plain, size_t n,
	const void *aad, size_t aad_len, uint8_t *out)
{
	uint8_t nonce[NONCE];

	counter_nonce(nonce, counter);
	return seal(key, nonce, plain, n, aad, aad_len, out);
}

int chachapoly_open(const uint8_t key[32], uint64_t counter, const uint8_t *in, size_t n,
	const void *aad, size_t aad_len, void *out)
{
	uint8_t nonce[NONCE];

	counter_nonce(nonce, counter);
	return open_sealed(key, nonce, in, n, aad, aad_len, out);
}
