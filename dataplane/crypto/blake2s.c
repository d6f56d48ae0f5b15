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
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/secret.h"

enum { BLOCK = 64 };

static struct {
	EVP_MD *hash;
	EVP_MAC *mac;
	bool ok;
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void look_up(void)
{
	found.hash = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	found.mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	found.ok = found.hash && found.mac;
}

int blake2s_init(void)
{
	return pthread_once(&once, look_up) == 0 && found.ok ? 0 : -EIO;
}

static bool hash(EVP_MD_CTX *ctx, uint8_t out[BLAKE2S_HASH], const uint8_t *first, size_t first_len,
	const struct blake2s_part *parts, size_t n)
{
	bool ok = EVP_DigestInit_ex2(ctx, found.hash, NULL) == 1 &&
		  EVP_DigestUpdate(ctx, first, first_len) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
	return ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

int blake2s_hash(uint8_t out[BLAKE2S_HASH], const struct blake2s_part *parts, size_t n)
{
	EVP_MD_CTX *ctx;
	bool ok;

	if (blake2s_init() < 0)
		return -EIO;
	ctx = EVP_MD_CTX_new();
	ok = ctx && hash(ctx, out, NULL, 0, parts, n);
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int blake2s_mac(uint8_t out[BLAKE2S_MAC], const uint8_t *key, size_t key_len,
	const struct blake2s_part *parts, size_t n)
{
	size_t size = BLAKE2S_MAC, len = 0;
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
	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_MAC_update(ctx, parts[i].p, parts[i].n) == 1;
	ok = ok && EVP_MAC_final(ctx, out, &len, BLAKE2S_MAC) == 1 && len == BLAKE2S_MAC;
	EVP_MAC_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

/* RFC 2104, 2, over the plain hash: OpenSSL's own HMAC sets so much up that it takes three times as
 * long for the few bytes that are hashed here, and a handshake has twenty of them. */
int blake2s_hmac(uint8_t out[BLAKE2S_HASH], const uint8_t *key, size_t key_len,
	const struct blake2s_part *parts, size_t n)
{
	uint8_t pad[BLOCK] = {0}, inner[BLAKE2S_HASH];
	const struct blake2s_part rest = {inner, sizeof(inner)};
	EVP_MD_CTX *ctx;
	bool ok;

	if (key_len > BLOCK || blake2s_init() < 0)
		return -EIO;
	if (key_len)
		memcpy(pad, key, key_len);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	ctx = EVP_MD_CTX_new();
	ok = ctx && hash(ctx, inner, pad, BLOCK, parts, n);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	ok = ok && hash(ctx, out, pad, BLOCK, &rest, 1);
	EVP_MD_CTX_free(ctx);
	secret_wipe(pad, sizeof(pad));
	secret_wipe(inner, sizeof(inner));
	return ok ? 0 : -EIO;
}
