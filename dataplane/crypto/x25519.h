/* X25519 (RFC 7748); OpenSSL underneath. */
#ifndef CRYPTO_X25519_H
#define CRYPTO_X25519_H

#include <stdint.h>

#include "base/compiler.h"

/* A clamped private key and its public key. The caller wipes priv. Returns: 0, -EIO. */
int x25519_keypair(uint8_t priv[32], uint8_t pub[32]) must_check;
int x25519_public(uint8_t pub[32], const uint8_t priv[32]) must_check;
/* Returns: 0, -EINVAL (all-zero result: a point of low order), -EIO. */
int x25519_dh(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32]) must_check;

#endif
