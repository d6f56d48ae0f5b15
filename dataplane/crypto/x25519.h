/* X25519 (RFC 7748); OpenSSL underneath. */
#ifndef CRYPTO_X25519_H
#define CRYPTO_X25519_H

#include <stdint.h>

#include "base/compiler.h"

/* A clamped private key alone, or with its public key. The caller wipes priv. Returns: 0, -EIO. */
int x25519_private(uint8_t priv[32]) must_check;
int x25519_keypair(uint8_t priv[32], uint8_t pub[32]) must_check;
int x25519_public(uint8_t pub[32], const uint8_t priv[32]) must_check;
/* Returns: 0, -EINVAL (all-zero result: a point of low order), -EIO. */
int x25519_dh(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32]) must_check;

/* A private key that is used more than once: what has to be set up is set up once. One thread at a
 * time. Freeing wipes it; free takes NULL. New returns: 0, -ENOMEM. */
struct x25519_key;
int x25519_key_new(struct x25519_key **out, const uint8_t priv[32]) must_check;
void x25519_key_free(struct x25519_key *k);
/* As x25519_public and x25519_dh. */
int x25519_key_public(struct x25519_key *k, uint8_t pub[32]) must_check;
int x25519_key_dh(struct x25519_key *k, uint8_t out[32], const uint8_t pub[32]) must_check;

static inline void x25519_key_drop(struct x25519_key **k)
{
	x25519_key_free(*k);
}
#define x25519_key_local struct x25519_key *cleanup(x25519_key_drop)

#endif
