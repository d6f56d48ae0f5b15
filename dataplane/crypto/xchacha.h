/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), for cookie replies; and one-shot ChaCha20-Poly1305
 * (RFC 8439) for handshakes. OpenSSL underneath; call aead_init first. */
#ifndef CRYPTO_XCHACHA_H
#define CRYPTO_XCHACHA_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* out has n + 16 bytes: ciphertext and tag. Returns: 0, -EIO. */
int xchacha_seal(const uint8_t key[32], const uint8_t nonce[24], const void *plain, size_t n,
	const void *aad, size_t aad_len, uint8_t *out) must_check;
/* in has n bytes with the tag, out n - 16. Returns: 0, -EBADMSG, -EIO. */
int xchacha_open(const uint8_t key[32], const uint8_t nonce[24], const uint8_t *in, size_t n,
	const void *aad, size_t aad_len, void *out) must_check;

/* Nonce: 4 zero bytes and the counter, little-endian. Sizes and results as above. */
int chachapoly_seal(const uint8_t key[32], uint64_t counter, const void *plain, size_t n,
	const void *aad, size_t aad_len, uint8_t *out) must_check;
int chachapoly_open(const uint8_t key[32], uint64_t counter, const uint8_t *in, size_t n,
	const void *aad, size_t aad_len, void *out) must_check;

#endif
