/*
 * The words are stored with release and loaded with acquire, which orders them between the two
 * looks at the sequence number without a fence: whoever has seen a new word also sees the odd
 * number that was stored before it.
 */
#include "fwd/pathcell.h"

#include <sched.h>
#include <string.h>

static void pack(uint64_t w[PATHCELL_WORDS], const struct path *p)
{
	memcpy(&w[0], p->remote.addr.bytes, 16);
	memcpy(&w[2], p->local.bytes, 16);
	w[4] = p->remote.addr.family | (uint64_t)p->local.family << 8 |
	       (uint64_t)p->remote.port << 16 | (uint64_t)p->remote.scope_id << 32;
	w[5] = p->listener | (uint64_t)p->connection << 32;
}

static void unpack(struct path *p, const uint64_t w[PATHCELL_WORDS])
{
	memcpy(p->remote.addr.bytes, &w[0], 16);
	memcpy(p->local.bytes, &w[2], 16);
	p->remote.addr.family = (uint8_t)w[4];
	p->local.family = (uint8_t)(w[4] >> 8);
	p->remote.port = (uint16_t)(w[4] >> 16);
	p->remote.scope_id = (uint32_t)(w[4] >> 32);
	p->listener = (uint8_t)w[5];
	p->connection = (uint32_t)(w[5] >> 32);
}

void pathcell_store(struct pathcell *c, const struct path *p)
{
	uint64_t w[PATHCELL_WORDS];
	uint32_t seq = atomic_load_explicit(&c->seq, memory_order_relaxed);

	pack(w, p);
	atomic_store_explicit(&c->seq, seq + 1, memory_order_relaxed);
	for (int i = 0; i < PATHCELL_WORDS; i++)
		atomic_store_explicit(&c->words[i], w[i], memory_order_release);
	atomic_store_explicit(&c->seq, seq + 2, memory_order_release);
}

struct path pathcell_load(const struct pathcell *c)
{
	uint64_t w[PATHCELL_WORDS];
	struct path p = {0};
	uint32_t before, after;

	for (;;) {
		before = atomic_load_explicit(&c->seq, memory_order_acquire);
		for (int i = 0; i < PATHCELL_WORDS; i++)
			w[i] = atomic_load_explicit(&c->words[i], memory_order_acquire);
		after = atomic_load_explicit(&c->seq, memory_order_relaxed);
		if (before == after && !(before & 1))
			break;
		sched_yield(); /* the writer may be waiting for this very core */
	}
	unpack(&p, w);
	return p;
}
