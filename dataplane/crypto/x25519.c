/*
 * X25519 by OpenSSL. A key object is worth keeping: making one, and what a derivation needs beside
 * it, takes a quarter of the time of the derivation itself.
 */
#include "crypto/x25519.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/secret.h"

struct x25519_key {
	EVP_PKEY *key; /* good for deriving only */
};

static const uint8_t base_point[32] = {9};

/* From the private half alone OpenSSL would compute the public one, which takes longer than a
 * derivation and is not looked at by it; so it is given any. */
static EVP_PKEY *private_key(const uint8_t priv[32])
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)priv, 32),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)base_point, 32),
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

int x25519_key_new(struct x25519_key **out, const uint8_t priv[32])
{
	struct x25519_key *k = malloc(sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->key = private_key(priv);
	if (!k->key) {
		free(k);
		return -ENOMEM;
	}
	*out = k;
	return 0;
}

void x25519_key_free(struct x25519_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->key); /* which wipes it */
	free(k);
}

int x25519_key_dh(const struct x25519_key *k, uint8_t out[32], const uint8_t pub[32])
{
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, pub, 32);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
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
	return rc;
}

/* RFC 7748, 5: a public key is the product with the base point. By the general multiplication,
 * because OpenSSL's own for this point is slower. */
int x25519_key_public(const struct x25519_key *k, uint8_t pub[32])
{
	return x25519_key_dh(k, pub, base_point);
}

int x25519_private(uint8_t priv[32])
{
	if (secret_random(priv, 32) < 0)
		return -EIO;
	/* RFC 7748, 5. OpenSSL clamps inside as well, but profiles show this value. */
	priv[0] &= 248;
	priv[31] = (uint8_t)((priv[31] & 127) | 64);
	return 0;
}

int x25519_public(uint8_t pub[32], const uint8_t priv[32])
{
	return x25519_dh(pub, priv, base_point);
}

int x25519_keypair(uint8_t priv[32], uint8_t pub[32])
{
	int rc = x25519_private(priv);

	return rc < 0 ? rc : x25519_public(pub, priv);
}

int x25519_dh(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32])
{
	x25519_key_local k = NULL;

	return x25519_key_new(&k, priv) < 0 ? -EIO : x25519_key_dh(k, out, pub);
}
