/*
 * The algorithms are looked up once for the process and then only read, so threads share them
 * without a lock; every call has a context of its own. A refused packet costs one context of each
 * and no look-up: that is what a flood gets.
 */
#include "ovpn/ovpn_crypto.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

enum { CTR_MAX = 64 * 1024 };

static struct {
	/* Keyed once with nothing in particular: a copy knows its digest and only needs a key,
	 * where naming the digest would look it up at every call. */
	EVP_MAC_CTX *hmac;
	EVP_CIPHER *ctr;
	EVP_KDF *prf;
	bool ok;
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static EVP_MAC_CTX *hmac_template(void)
{
	char digest[] = "SHA256";
	const uint8_t key[OVPN_MAC_KEY] = {0};
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);
	if (ctx && EVP_MAC_init(ctx, key, sizeof(key), params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

static void look_up(void)
{
	found.hmac = hmac_template();
	found.ctr = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
	found.prf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	found.ok = found.hmac && found.ctr && found.prf;
}

int ovpn_crypto_init(void)
{
	return pthread_once(&once, look_up) == 0 && found.ok ? 0 : -EIO;
}

int ovpn_hmac(uint8_t out[OVPN_MAC], const uint8_t key[OVPN_MAC_KEY], const void *a, size_t an,
	const void *b, size_t bn)
{
	EVP_MAC_CTX *ctx;
	size_t len = 0;
	bool ok;

	if (ovpn_crypto_init() < 0)
		return -EIO;
	ctx = EVP_MAC_CTX_dup(found.hmac);
	ok = ctx && EVP_MAC_init(ctx, key, OVPN_MAC_KEY, NULL) == 1 &&
	     (an == 0 || EVP_MAC_update(ctx, a, an) == 1) &&
	     (bn == 0 || EVP_MAC_update(ctx, b, bn) == 1) &&
	     EVP_MAC_final(ctx, out, &len, OVPN_MAC) == 1 && len == OVPN_MAC;
	EVP_MAC_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int ovpn_ctr(const uint8_t key[OVPN_CTR_KEY], const uint8_t iv[OVPN_CTR_IV], const uint8_t *in,
	size_t n, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx;
	int len = 0;
	bool ok;

	if (n > CTR_MAX || ovpn_crypto_init() < 0)
		return -EIO;
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx && EVP_CipherInit_ex2(ctx, found.ctr, key, iv, 1, NULL) == 1 &&
	     (n == 0 || (EVP_CipherUpdate(ctx, out, &len, in, (int)n) == 1 && (size_t)len == n));
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int ovpn_tls1_prf(uint8_t *out, size_t n, const uint8_t *secret, size_t secret_len,
	const uint8_t *seed, size_t seed_len)
{
	char digest[] = "MD5-SHA1";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SECRET, (void *)secret, secret_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)seed, seed_len),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF_CTX *ctx;
	bool ok;

	if (ovpn_crypto_init() < 0)
		return -EIO;
	ctx = EVP_KDF_CTX_new(found.prf);
	ok = ctx && EVP_KDF_derive(ctx, out, n, params) == 1;
	EVP_KDF_CTX_free(ctx);
	return ok ? 0 : -EIO;
}
