/*
 * What is sealed with: a key for each thread, the nonce's fixed part, and the counter that belongs
 * to them alone. A session has one for life; in OpenVPN's epoch format the control thread replaces
 * it (epochs.h), and then the epoch stands on top of the counter, as in the packet.
 */
#ifndef FWD_SEALING_H
#define FWD_SEALING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "crypto/aead.h"

/* Either may be UINT64_MAX: no limit. */
struct sealing_limits {
	uint64_t first; /* counter */
	uint64_t end;	/* the first counter that is never given out (OpenVPN: seal_farewell) */
	uint64_t blocks_end; /* AES blocks and packets */
};

struct sealing {
	_Atomic uint64_t counter cacheline_aligned; /* next to send */
	_Atomic uint64_t blocks;		    /* sealed */
	struct sealing_limits limits cacheline_aligned;
	uint8_t iv[AEAD_NONCE];
	struct sealing *next;	/* list of those that were replaced */
	struct aead_key *key[]; /* one per worker, the last for the control thread; the same one
				   where they may share */
};

/* Control thread. Returns owned. Returns: 0, -ENOMEM, -EINVAL (cipher). */
int sealing_new(struct sealing **out, enum aead_cipher c, const uint8_t *key,
	const uint8_t iv[AEAD_NONCE], const struct sealing_limits *limits,
	uint32_t sealers) must_check;
/* Wipes. The caller knows that no worker can hold it. NULL is nothing. */
void sealing_free(struct sealing *s, uint32_t sealers);

/* Takes up to n counters, *first and those after it, for good. Returns: how many, 0 when they are
 * used up. */
uint32_t sealing_reserve(struct sealing *s, uint32_t n, uint64_t *first);
/* Counts blocks that are about to be sealed. Returns: false when they are beyond the limit. */
bool sealing_spend(struct sealing *s, uint64_t blocks);
/* Seven eighths: what is beyond them is time for other keys. */
static inline bool sealing_near(uint64_t n, uint64_t end)
{
	return n > end - end / 8;
}
/* No counter or no block is left. */
bool sealing_used_up(const struct sealing *s);

#endif
