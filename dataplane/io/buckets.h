/*
 * Token buckets by the prefix that a datagram claims to come from (/32, /64), in a table that does
 * not grow: the prefix unseen for longest makes room.
 *
 * Pure: no clock; randomness only to seed the hash, so that nobody can aim at one place of the
 * table. Times are monotonic milliseconds.
 */
#ifndef IO_BUCKETS_H
#define IO_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

enum { BUCKETS_PREFIXES = 4096 };

struct bucket_rate {
	uint32_t per_second;
	uint32_t burst; /* at most 4,000,000 */
};

/* One of its own; all zero it has not been used and begins full. */
struct bucket {
	uint64_t last;
	uint32_t level;
	bool used;
};
/* Takes a token. Returns: whether there was one. */
bool bucket_take(struct bucket *b, struct bucket_rate rate, uint64_t now) must_check;

struct buckets;

/* Returns owned. Returns: 0, -ENOMEM, -EIO (no randomness). */
int buckets_new(struct buckets **out) must_check;
void buckets_free(struct buckets *t);
/* Takes a token of the prefix of that address; one prefix has a bucket for each kind, which is
 * always asked with the same rate. Returns: whether there was one. */
bool buckets_take(struct buckets *t, const struct ip_addr *addr, uint8_t kind,
	struct bucket_rate rate, uint64_t now) must_check;

#endif
