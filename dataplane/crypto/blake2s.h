/*
 * BLAKE2s (RFC 7693) in the three forms that WireGuard uses; OpenSSL underneath.
 *
 * The functions fetch nothing per call: blake2s_init once, then every thread works with its own
 * contexts, made inside. They can only fail for lack of memory, which they report.
 */
#ifndef CRYPTO_BLAKE2S_H
#define CRYPTO_BLAKE2S_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { BLAKE2S_HASH = 32, BLAKE2S_MAC = 16 };

/* Looks the algorithms up once. Returns: 0, -EIO. */
int blake2s_init(void) must_check;

struct blake2s_part {
	const void *p;
	size_t n;
};
/* HASH over the concatenation of parts, unkeyed, 32 bytes. Returns: 0, -EIO. */
int blake2s_hash(uint8_t out[BLAKE2S_HASH], const struct blake2s_part *parts, size_t n) must_check;
/* MAC: keyed BLAKE2s with 16-byte output (not a truncation); key of 1 to 32 bytes. Returns: 0,
 * -EIO. */
int blake2s_mac(uint8_t out[BLAKE2S_MAC], const uint8_t *key, size_t key_len,
	const struct blake2s_part *parts, size_t n) must_check;
/* HMAC (RFC 2104) over BLAKE2s-256, for the key derivation; key of 0 to 64 bytes. Returns: 0, -EIO.
 */
int blake2s_hmac(uint8_t out[BLAKE2S_HASH], const uint8_t *key, size_t key_len,
	const struct blake2s_part *parts, size_t n) must_check;

#endif
