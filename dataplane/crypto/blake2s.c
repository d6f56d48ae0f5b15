/*
 * BLAKE2s by OpenSSL. The algorithms are looked up once for the process and then only read, so
 * threads share them without a lock; every call has a context of its own.
 *
 * The handles below are the one kind of global that this room keeps: immutable after the lookup.
 */
#include "crypto/blake2s.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

static struct {
	EVP_MD *hash;
	EVP_MAC *mac;
	/* Keyed once with nothing in particular: a copy knows its digest and only needs a key,
	 * where naming the digest would look it up at every call. */
	EVP_MAC_CTX *hmac;
	bool ok;
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static EVP_MAC_CTX *hmac_template(void)
{
	char digest[] = "BLAKE2S-256";
	const uint8_t key[BLAKE2S_HASH] = {0};
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
	found.hash = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	found.mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	found.hmac = hmac_template();
	found.ok = found.hash && found.mac && found.hmac;
}

int blake2s_init(void)
{
	return pthread_once(&once, look_up) == 0 && found.ok ? 0 : -EIO;
}

int blake2s_hash(uint8_t out[BLAKE2S_HASH], const struct blake2s_part *parts, size_t n)
{
	EVP_MD_CTX *ctx;
	bool ok;

	if (blake2s_init() < 0)
		return -EIO;
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestInit_ex2(ctx, found.hash, NULL) == 1;
	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

/* Feeds and frees ctx, which may be NULL. */
static int mac_finish(EVP_MAC_CTX *ctx, bool ok, uint8_t *out, size_t out_len,
	const struct blake2s_part *parts, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_MAC_update(ctx, parts[i].p, parts[i].n) == 1;
	ok = ok && EVP_MAC_final(ctx, out, &len, out_len) == 1 && len == out_len;
	EVP_MAC_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int blake2s_mac(uint8_t out[BLAKE2S_MAC], const uint8_t *key, size_t key_len,
	const struct blake2s_part *parts, size_t n)
{
	size_t size = BLAKE2S_MAC;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx;
	bool ok;

	if (key_len < 1 || key_len > BLAKE2S_HASH || blake2s_init() < 0)
		return -EIO;
	ctx = EVP_MAC_CTX_new(found.mac);
	ok = ctx && EVP_MAC_init(ctx, key, key_len, params) == 1;
	return mac_finish(ctx, ok, out, BLAKE2S_MAC, parts, n);
}

int blake2s_hmac(uint8_t out[BLAKE2S_HASH], const uint8_t *key, size_t key_len,
	const struct blake2s_part *parts, size_t n)
{
	static const uint8_t none[1];
	EVP_MAC_CTX *ctx;
	bool ok;

	if (blake2s_init() < 0)
		return -EIO;
	ctx = EVP_MAC_CTX_dup(found.hmac);
	/* A NULL key would mean "the template's". */
	ok = ctx && EVP_MAC_init(ctx, key_len ? key : none, key_len, NULL) == 1;
	return mac_finish(ctx, ok, out, BLAKE2S_HASH, parts, n);
}
