/*
 * Authenticated encryption in batches.
 *
 *   aead_key_new -> chosen library of the cipher -> key        aead_seal_batch -> key -> library
 *
 * One aead_key belongs to one direction of one session, and to one thread at a time unless
 * aead_key_shared says otherwise; what is fixed per key is set up once, and only the nonce changes
 * per packet. Who computes is OpenSSL, until aead_choose (aead_choose.h) has found better.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum aead_cipher {
	AEAD_CHACHA20_POLY1305 = 1, /* RFC 8439 */
	AEAD_AES_256_GCM = 2,
	AEAD_AES_128_GCM = 3,
	AEAD_CIPHERS_END,
};

enum { AEAD_TAG = 16, AEAD_NONCE = 12, AEAD_KEY_MAX = 32 };

struct aead_key;

/* One packet of a batch, worked on in place. */
struct aead_op {
	uint8_t *text; /* seal: plaintext becomes ciphertext; open: the reverse */
	uint32_t len;  /* bytes of text, without the tag */
	uint8_t *tag;  /* AEAD_TAG bytes: written by seal, compared by open */
	const uint8_t *aad;
	uint32_t aad_len; /* 0 for WireGuard data */
	uint8_t nonce[AEAD_NONCE];
	bool ok; /* out: done, open: the tag was right; text is zeroed otherwise */
};

/* The name as REST shows it, for example "CHACHA20-POLY1305". */
const char *aead_cipher_name(enum aead_cipher c);
/* Key bytes: 32 or 16. */
size_t aead_key_size(enum aead_cipher c);
/* Who seals and opens with the cipher: "openssl" or "ipsec-mb"; "" for no cipher. */
const char *aead_library(enum aead_cipher c);

/* Looks OpenSSL's algorithms up once and checks them against RFC 8439 2.8.2 and GCM vectors.
 * Call before any other function, while there is one thread. Returns: 0, -EIO. */
int aead_init(void) must_check;

/* A thread that will seal or open much gets what its libraries keep per thread; threads without it
 * may call everything, a little slower. Stop wipes it; the same thread calls both.
 * Returns: 0, -ENOMEM. */
int aead_thread_start(void) must_check;
void aead_thread_stop(void);

/* Returns owned; free with aead_key_free, which wipes. Returns: 0, -ENOMEM, -EINVAL. */
int aead_key_new(
	struct aead_key **out, enum aead_cipher c, const uint8_t *key, bool sealing) must_check;
void aead_key_free(struct aead_key *k);
/* Whether several threads may use the key at the same time. */
bool aead_key_shared(const struct aead_key *k);

void aead_seal_batch(struct aead_key *k, struct aead_op *ops, size_t n);
void aead_open_batch(struct aead_key *k, struct aead_op *ops, size_t n);

#endif
