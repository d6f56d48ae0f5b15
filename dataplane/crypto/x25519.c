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
	EVP_PKEY_CTX *maker;  /* of key objects */
	EVP_PKEY *key;	      /* good for deriving only */
	EVP_PKEY_CTX *derive; /* of it */
	EVP_PKEY *theirs;     /* the other one's public key, another each time */
};

static const uint8_t base_point[32] = {9};

/* pub is left out of a pair by OpenSSL when it derives; without one it would compute it, which
 * takes longer than a derivation. So it is given any. priv NULL: a public key. */
static EVP_PKEY *key_make(EVP_PKEY_CTX *maker, const uint8_t *priv, const uint8_t pub[32])
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)pub, 32),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)priv, 32),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;

	if (!priv)
		params[1] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_fromdata_init(maker) != 1 ||
		EVP_PKEY_fromdata(
			maker, &key, priv ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return key;
}

int x25519_key_new(struct x25519_key **out, const uint8_t priv[32])
{
	struct x25519_key *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->maker = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	k->key = k->maker ? key_make(k->maker, priv, base_point) : NULL;
	k->theirs = k->maker ? key_make(k->maker, NULL, base_point) : NULL;
	k->derive = k->key ? EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL) : NULL;
	if (!k->theirs || !k->derive || EVP_PKEY_derive_init(k->derive) != 1) {
		x25519_key_free(k);
		return -ENOMEM;
	}
	*out = k;
	return 0;
}

void x25519_key_free(struct x25519_key *k)
{
	if (!k)
		return;
	EVP_PKEY_CTX_free(k->derive);
	EVP_PKEY_free(k->theirs);
	EVP_PKEY_free(k->key); /* which wipes it */
	EVP_PKEY_CTX_free(k->maker);
	free(k);
}

int x25519_key_dh(struct x25519_key *k, uint8_t out[32], const uint8_t pub[32])
{
	secret_key point = {{0}};
	size_t len = sizeof(point.bytes);
	int rc;

	if (EVP_PKEY_set1_encoded_public_key(k->theirs, pub, 32) != 1 ||
		EVP_PKEY_derive_set_peer_ex(k->derive, k->theirs, 0) != 1)
		return -EIO;
	/* All that can go wrong from here is the all-zero result, which OpenSSL refuses itself. Its
	 * queue of errors belongs to whoever does TLS on this thread. */
	ERR_set_mark();
	rc = EVP_PKEY_derive(k->derive, point.bytes, &len) == 1 && len == 32 ? 0 : -EINVAL;
	ERR_pop_to_mark();
	if (rc == 0)
		memcpy(out, point.bytes, 32);
	return rc;
}

/* RFC 7748, 5: a public key is the product with the base point. By the general multiplication,
 * because OpenSSL's own for this point is slower. */
int x25519_key_public(struct x25519_key *k, uint8_t pub[32])
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
