/* Whether a library computes what it should: before it may touch a packet. */
#ifndef CRYPTO_AEAD_CHECK_H
#define CRYPTO_AEAD_CHECK_H

#include "base/compiler.h"

struct aead_backend;

/* Published vectors of every cipher, sealed, opened, and refused with one bit wrong. Returns: 0,
 * -EIO. */
int aead_check_vectors(const struct aead_backend *b) must_check;
/* The same packets by b and by OpenSSL, both ways: every length to 272 bytes, then random ones to
 * 9000, at every alignment, of zeros, ones, random bytes and ones in the ciphertext; forged ones
 * must be refused and wiped. About 2 ms each cipher. Returns: 0, -EIO, -ENOMEM. */
int aead_check_against(const struct aead_backend *b) must_check;

#endif
