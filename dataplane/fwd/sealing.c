/* Counters and blocks are taken before they are used, and never given back. */
#include "fwd/sealing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "fwd/counter.h"

static size_t sealing_size(uint32_t sealers)
{
	size_t n = sizeof(struct sealing) + sealers * sizeof(struct aead_key *);

	return (n + 63) / 64 * 64;
}

int sealing_new(struct sealing **out, enum aead_cipher c, const uint8_t *key,
	const uint8_t iv[AEAD_NONCE], const struct sealing_limits *limits, uint32_t sealers)
{
	struct sealing *n = aligned_alloc(64, sealing_size(sealers));
	int r = 0;

	if (!n)
		return -ENOMEM;
	memset(n, 0, sealing_size(sealers));
	n->limits = *limits;
	memcpy(n->iv, iv, AEAD_NONCE);
	counter_set(&n->counter, limits->first);
	for (uint32_t i = 0; !r && i < sealers; i++) {
		if (i && aead_key_shared(n->key[0]))
			n->key[i] = n->key[0];
		else
			r = aead_key_new(&n->key[i], c, key, true);
	}
	if (r) {
		sealing_free(n, sealers);
		return r;
	}
	*out = n;
	return 0;
}

void sealing_free(struct sealing *s, uint32_t sealers)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < sealers; i++) {
		if (!i || s->key[i] != s->key[0])
			aead_key_free(s->key[i]);
	}
	secret_wipe(s, sealing_size(sealers));
	free(s);
}

/* Not a plain addition: refused attempts must not carry the counter past its limit and around. */
uint32_t sealing_reserve(struct sealing *s, uint32_t n, uint64_t *first)
{
	const uint64_t end = s->limits.end;
	uint64_t at = atomic_load_explicit(&s->counter, memory_order_relaxed);
	uint64_t left;

	do {
		if (at >= end)
			return 0;
		left = end - at;
		if (n > left)
			n = (uint32_t)left;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->counter, &at, at + n, memory_order_relaxed, memory_order_relaxed));
	*first = at;
	return n;
}

/* What is refused stays counted, so it is refused for good; 2^64 is out of reach. */
bool sealing_spend(struct sealing *s, uint64_t blocks)
{
	return atomic_fetch_add_explicit(&s->blocks, blocks, memory_order_relaxed) + blocks <=
	       s->limits.blocks_end;
}

bool sealing_used_up(const struct sealing *s)
{
	return counter_get(&s->counter) >= s->limits.end ||
	       counter_get(&s->blocks) >= s->limits.blocks_end;
}
