/* Lanes of slots, each slot with the time until which it is busy; allocation goes round in its
 * lane. */
#include "session/index_pool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/secret.h"

struct slot {
	uint64_t busy_until;
	uint32_t index; /* the last one given out here */
};

struct index_pool {
	uint32_t slots, mask;
	uint64_t hold_ms;
	uint32_t lanes;		    /* a power of two */
	uint32_t next[INDEX_LANES]; /* the slot that is tried first, in steps of lanes */
	struct slot slot[];
};

int index_pool_new(struct index_pool **out, const struct index_pool_conf *conf)
{
	const uint32_t slots = conf->slots;

	if (!slots || slots & (slots - 1) || conf->mask & (conf->mask + 1) ||
		slots - 1 > conf->mask)
		return -EINVAL;
	struct index_pool *p = calloc(1, sizeof(*p) + slots * sizeof(p->slot[0]));
	if (!p)
		return -ENOMEM;
	p->slots = slots;
	p->mask = conf->mask;
	p->hold_ms = conf->hold_ms;
	p->lanes = slots < INDEX_LANES ? slots : INDEX_LANES;
	/* A restarted control plane begins elsewhere than the one before it. */
	int r = secret_random(p->next, sizeof(p->next));
	if (r < 0) {
		free(p);
		return r;
	}
	for (uint32_t i = 0; i < p->lanes; i++)
		p->next[i] = (p->next[i] & (slots - 1) & ~(p->lanes - 1)) | i;
	*out = p;
	return 0;
}

void index_pool_free(struct index_pool *p)
{
	free(p);
}

uint32_t index_pool_slots(const struct index_pool *p)
{
	return p->slots;
}

static uint64_t held_until(const struct index_pool *p, uint64_t now_ms)
{
	return p->hold_ms < UINT64_MAX - now_ms ? now_ms + p->hold_ms : UINT64_MAX;
}

static uint32_t alloc_in(struct index_pool *p, uint32_t lane, uint64_t now_ms)
{
	for (uint32_t tried = 0; tried < p->slots; tried += p->lanes) {
		const uint32_t slot = p->next[lane];
		p->next[lane] = (slot + p->lanes) & (p->slots - 1);
		if (p->slot[slot].busy_until > now_ms)
			continue;
		uint32_t index;
		if (secret_random(&index, sizeof(index)) < 0)
			return 0;
		index = (index & p->mask & ~(p->slots - 1)) | slot;
		if (!index || index == p->mask)
			continue;
		p->slot[slot] = (struct slot){held_until(p, now_ms), index};
		return index;
	}
	return 0;
}

uint32_t index_pool_alloc(struct index_pool *p, uint32_t lane, uint64_t now_ms)
{
	for (uint32_t i = 0; i < p->lanes; i++) {
		const uint32_t index = alloc_in(p, (lane + i) & (p->lanes - 1), now_ms);
		if (index)
			return index;
	}
	return 0;
}

uint32_t index_lane(const struct ip_addr *tunnel)
{
	return tunnel->bytes[tunnel->family == IP_V4 ? 3 : 15];
}

/* NULL: the slot is another index's by now. */
static struct slot *slot_of(struct index_pool *p, uint32_t index)
{
	struct slot *s = &p->slot[index & (p->slots - 1)];
	return s->index == index ? s : NULL;
}

void index_pool_release(struct index_pool *p, uint32_t index, uint64_t now_ms)
{
	struct slot *s = slot_of(p, index);
	if (s && s->busy_until > now_ms + INDEX_FREED_MS)
		s->busy_until = now_ms + INDEX_FREED_MS;
}

void index_pool_reuse(struct index_pool *p, uint32_t index)
{
	struct slot *s = slot_of(p, index);
	if (s)
		s->busy_until = 0;
}

void index_pool_adopt(struct index_pool *p, uint32_t index, uint64_t now_ms)
{
	p->slot[index & (p->slots - 1)] = (struct slot){held_until(p, now_ms), index};
}
