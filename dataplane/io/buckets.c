/* Token buckets and the table of them. */
#include "io/buckets.h"

#include <errno.h>
#include <stdlib.h>

#include "base/secret.h"

enum {
	PROBES = 8,
	TOKEN = 1000, /* a bucket counts thousandths: tokens per second times milliseconds */
	REFILL_MAX_MS = 60 * 1000,
};

struct entry {
	uint64_t prefix;
	struct bucket bucket;
	uint8_t family; /* enum ip_family; IP_NONE: free */
	uint8_t kind;
};

struct buckets {
	uint64_t seed[2];
	struct entry table[BUCKETS_PREFIXES];
};

bool bucket_take(struct bucket *b, struct bucket_rate rate, uint64_t now)
{
	uint64_t full = (uint64_t)rate.burst * TOKEN;
	uint64_t passed = now > b->last ? now - b->last : 0;
	uint64_t level;

	if (passed > REFILL_MAX_MS)
		passed = REFILL_MAX_MS;
	level = b->used ? b->level + passed * rate.per_second : full;
	if (level > full)
		level = full;
	b->used = true;
	b->last = now;
	b->level = (uint32_t)level;
	if (level < TOKEN)
		return false;
	b->level -= TOKEN;
	return true;
}

int buckets_new(struct buckets **out)
{
	struct buckets *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (secret_random(t->seed, sizeof(t->seed)) != 0) {
		free(t);
		return -EIO;
	}
	*out = t;
	return 0;
}

void buckets_free(struct buckets *t)
{
	free(t);
}

/* The /32 or /64 of an address as a number. */
static uint64_t prefix_of(const struct ip_addr *a)
{
	uint64_t v = 0;
	size_t n = a->family == IP_V4 ? 4 : 8;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | a->bytes[i];
	return v;
}

static uint32_t slot_of(const struct buckets *t, uint64_t prefix, uint8_t family, uint8_t kind)
{
	uint64_t h = (prefix ^ t->seed[0]) + family + 256ull * kind;

	/* Two rounds of a 64-bit finaliser, the seed between them. */
	for (int i = 0; i < 2; i++) {
		h ^= h >> 33;
		h *= 0xff51afd7ed558ccdull;
		h ^= h >> 29;
		h *= 0xc4ceb9fe1a85ec53ull;
		h ^= h >> 32;
		h += t->seed[1];
	}
	return (uint32_t)(h % BUCKETS_PREFIXES);
}

/* The prefix's bucket, if need be in the place of the one that was unseen for longest. */
static struct bucket *bucket_of(struct buckets *t, const struct ip_addr *addr, uint8_t kind)
{
	uint64_t prefix = prefix_of(addr);
	uint32_t slot = slot_of(t, prefix, addr->family, kind);
	struct entry *stalest = NULL;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct entry *e = &t->table[(slot + i) % BUCKETS_PREFIXES];

		if (e->family == addr->family && e->prefix == prefix && e->kind == kind)
			return &e->bucket;
		if (!stalest ||
			(stalest->family != IP_NONE &&
				(e->family == IP_NONE || e->bucket.last < stalest->bucket.last)))
			stalest = e;
	}
	*stalest = (struct entry){.prefix = prefix, .family = addr->family, .kind = kind};
	return &stalest->bucket;
}

bool buckets_take(struct buckets *t, const struct ip_addr *addr, uint8_t kind,
	struct bucket_rate rate, uint64_t now)
{
	return bucket_take(bucket_of(t, addr, kind), rate, now);
}
