/*
 * OpenVPN's epoch keys (reference A11.4): a secret that is only ever stepped forward, and from each
 * step of it a data key and an implicit IV.
 *
 *      E_1 -> E_2 -> E_3 ...          every arrow and key is HKDF-Expand-SHA256 (RFC 5869 2.3) with
 *       |      |      |               the label of RFC 8446 7.1, whose prefix here is "ovpn "
 *     key_1  key_2  key_3
 *
 * Whoever has E_n has all later keys and no earlier one, so a step overwrites what it stepped from.
 */
#ifndef CRYPTO_EPOCH_H
#define CRYPTO_EPOCH_H

#include <stdint.h>

#include "base/compiler.h"
#include "crypto/aead.h"

enum { EPOCH_SECRET = 32 };

struct epoch_keys {
	uint8_t key[AEAD_KEY_MAX]; /* as many bytes as the cipher takes, then zeros */
	uint8_t iv[AEAD_NONCE];
};
void epoch_keys_wipe(struct epoch_keys *k);

/* Looks the algorithm up and checks it, once. Call before any other function. Returns: 0, -EIO. */
int epoch_init(void) must_check;
/* E_n becomes E_{n+1} in place. Returns: 0, -EIO (and then it is E_n still). */
int epoch_step(uint8_t secret[EPOCH_SECRET]) must_check;
/* The keys of the epoch whose secret that is. The caller wipes. Returns: 0, -EIO, -EINVAL (no such
 * cipher). */
int epoch_derive(
	const uint8_t secret[EPOCH_SECRET], enum aead_cipher c, struct epoch_keys *out) must_check;

#endif
