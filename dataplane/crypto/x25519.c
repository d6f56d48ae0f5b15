/*
 * X25519 by OpenSSL, one key object per call: no state, any thread.
 */
#include "crypto/x25519.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/secret.h"

int x25519_public(uint8_t pub[32], const uint8_t priv[32])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, priv, 32);
	size_t len = 32;
	int rc = -EIO;

	if (key && EVP_PKEY_get_raw_public_key(key, pub, &len) == 1 && len == 32)
		rc = 0;
	EVP_PKEY_free(key);
	return rc;
}

int x25519_keypair(uint8_t priv[32], uint8_t pub[32])
{
	if (secret_random(priv, 32) < 0)
		return -EIO;
	/* RFC 7748, 5. OpenSSL clamps inside as well, but profiles show this value. */
	priv[0] &= 248;
	priv[31] = (uint8_t)((priv[31] & 127) | 64);
	return x25519_public(pub, priv);
}

/* A key good for deriving only. From the private half alone OpenSSL would compute the public one,
 * which takes as long as the derivation and is not looked at by it; so it is given any. */
static EVP_PKEY *private_key(const uint8_t priv[32])
{
	uint8_t any[32] = {9};
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)priv, 32),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, any, sizeof(any)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	EVP_PKEY *key = NULL;

	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

int x25519_dh(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32])
{
	EVP_PKEY *mine = private_key(priv);
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, pub, 32);
	EVP_PKEY_CTX *ctx = mine ? EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL) : NULL;
	struct key32 point = {{0}};
	size_t len = sizeof(point.bytes);
	int rc = -EIO;

	if (!ctx || !theirs || EVP_PKEY_derive_init(ctx) != 1 ||
		EVP_PKEY_derive_set_peer_ex(ctx, theirs, 0) != 1)
		goto out;
	/* All that can go wrong from here is the all-zero result, which OpenSSL refuses itself. Its
	 * queue of errors belongs to whoever does TLS on this thread. */
	ERR_set_mark();
	rc = EVP_PKEY_derive(ctx, point.bytes, &len) == 1 && len == 32 ? 0 : -EINVAL;
	ERR_pop_to_mark();
	if (rc == 0)
		memcpy(out, point.bytes, 32);
out:
	key32_wipe(&point);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	EVP_PKEY_free(mine);
	return rc;
}
