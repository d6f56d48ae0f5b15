/*
 * What the control channel needs of OpenSSL, looked up once: HMAC-SHA256 and AES-256-CTR around
 * control packets and client keys (reference A3.4, A4.4), and TLS 1.0's PRF for old clients
 * (A11.2).
 */
#ifndef OVPN_OVPN_CRYPTO_H
#define OVPN_OVPN_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { OVPN_MAC = 32, OVPN_MAC_KEY = 32, OVPN_CTR_KEY = 32, OVPN_CTR_IV = 16 };

/* Looks the algorithms up once; the others call it too. Returns: 0, -EIO. */
int ovpn_crypto_init(void) must_check;

/* HMAC-SHA256 of a | b; either may be empty. Returns: 0, -EIO. */
int ovpn_hmac(uint8_t out[OVPN_MAC], const uint8_t key[OVPN_MAC_KEY], const void *a, size_t an,
	const void *b, size_t bn) must_check;
/* AES-256-CTR, there and back; out may be in. At most 64 kB. Returns: 0, -EIO. */
int ovpn_ctr(const uint8_t key[OVPN_CTR_KEY], const uint8_t iv[OVPN_CTR_IV], const uint8_t *in,
	size_t n, uint8_t *out) must_check;
/* TLS 1.0's PRF (RFC 2246, 5): n bytes from secret and seed, which begins with the label. Returns:
 * 0, -EIO (also where MD5 is not to be had). */
int ovpn_tls1_prf(uint8_t *out, size_t n, const uint8_t *secret, size_t secret_len,
	const uint8_t *seed, size_t seed_len) must_check;

#endif
