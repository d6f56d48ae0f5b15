/*
 * What a library must bring to seal and open packets. Only this room, its tests and its benchmark
 * know that there is more than one.
 */
#ifndef CRYPTO_AEAD_BACKEND_H
#define CRYPTO_AEAD_BACKEND_H

#include "crypto/aead.h"

struct aead_backend {
	const char *name;
	bool shared; /* keys are only read by seal and open */
	/* Once, while there is one thread; again does no harm. Returns: 0, -ENOTSUP (not in this
	 * build, not on this processor), -EIO (broken). */
	int (*init)(void);
	/* Either both or none. Returns: 0, -ENOMEM; what init says, for this thread. */
	int (*thread_start)(void);
	void (*thread_stop)(void);
	/* key has aead_key_size(c) bytes. Sets the whole key but its by. Returns: 0, -ENOMEM. */
	int (*key_new)(struct aead_key **out, enum aead_cipher c, const uint8_t *key, bool sealing);
	void (*key_free)(struct aead_key *k);
	/* Set ok of each; text of what is not ok is wiped by the caller. */
	void (*seal)(struct aead_key *k, struct aead_op *ops, size_t n);
	void (*open)(struct aead_key *k, struct aead_op *ops, size_t n);
};

/* The head of every library's own key. */
struct aead_key {
	const struct aead_backend *by;
};

extern const struct aead_backend aead_openssl;
/* In builds without it init says -ENOTSUP, and nothing else may be called. */
extern const struct aead_backend aead_ipsec_mb;

/* Keys of the cipher that are made from now on are b's. While there is one thread. */
void aead_use(enum aead_cipher c, const struct aead_backend *b);
/* aead_key_new, by one library. */
int aead_key_new_by(struct aead_key **out, const struct aead_backend *b, enum aead_cipher c,
	const uint8_t *key, bool sealing) must_check;

/* Lengths beyond it are nobody's packet, and some interfaces count in int. */
enum { AEAD_TEXT_MAX = 1 << 24 };
/* Whether an op is one that a library can be asked for. */
static inline bool aead_op_sound(const struct aead_op *op)
{
	return op->text && op->tag && op->len <= AEAD_TEXT_MAX && op->aad_len <= AEAD_TEXT_MAX &&
	       (op->aad || !op->aad_len);
}

#endif
