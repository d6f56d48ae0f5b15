/* Queues of waiting packets in a pool that was made beforehand. */
#include "fwd/stage.h"

#include <string.h>

#include "fwd/fwd.h"
#include "fwd/peer.h"
#include "fwd/session.h"

static struct stage_queue *queue_of(const struct stage *s, struct peer *p)
{
	return &p->line[s->worker].stage;
}

static uint8_t *slot_bytes(const struct stage *s, uint32_t slot)
{
	return s->bytes + (size_t)slot * s->mtu_max;
}

static void link_peer(struct stage *s, struct peer *p)
{
	struct stage_queue *q = queue_of(s, p);

	if (!s->waiting) {
		q->next = q->prev = p;
		s->waiting = p;
		return;
	}
	struct stage_queue *first = queue_of(s, s->waiting);
	q->next = s->waiting;
	q->prev = first->prev;
	queue_of(s, first->prev)->next = p;
	first->prev = p;
}

static void unlink_peer(struct stage *s, struct peer *p)
{
	struct stage_queue *q = queue_of(s, p);

	queue_of(s, q->prev)->next = q->next;
	queue_of(s, q->next)->prev = q->prev;
	if (s->waiting == p)
		s->waiting = q->next == p ? NULL : q->next;
	q->next = q->prev = NULL;
}

/* Holding the lock; the peer has packets. Unlinks it with its last one. */
static void drop_head(struct stage *s, struct peer *p)
{
	struct stage_queue *q = queue_of(s, p);
	uint32_t slot = q->head;

	q->head = s->slots[slot].next;
	s->slots[slot].next = s->free;
	s->free = slot;
	if (!--q->n)
		unlink_peer(s, p);
	atomic_fetch_sub_explicit(&s->used, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&p->staged, 1, memory_order_relaxed);
}

static bool room(const struct stage *s, const struct peer *p)
{
	return s->free < s->n_slots &&
	       atomic_load_explicit(&p->staged, memory_order_relaxed) < FWD_STAGE_PER_PEER;
}

static void append(
	struct stage *s, struct peer *p, const uint8_t *bytes, uint32_t len, uint64_t now)
{
	struct stage_queue *q = queue_of(s, p);
	uint32_t slot = s->free;

	s->free = s->slots[slot].next;
	s->slots[slot] = (struct stage_slot){.next = s->n_slots, .len = len, .since = now};
	memcpy(slot_bytes(s, slot), bytes, len);
	if (q->n++) {
		s->slots[q->tail].next = slot;
	} else {
		q->head = slot;
		link_peer(s, p);
	}
	q->tail = slot;
	atomic_fetch_add_explicit(&s->used, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->staged, 1, memory_order_seq_cst);
}

enum stage_outcome stage_put(struct stage *s, struct peer *p, const uint8_t *bytes, uint32_t len,
	bool evict, uint64_t now)
{
	enum stage_outcome r = STAGE_PUT;

	if (len > s->mtu_max)
		return STAGE_BIG;
	spin_lock(&s->lock);
	if (!room(s, p) && evict && queue_of(s, p)->n) {
		drop_head(s, p);
		r = STAGE_PUSH;
	}
	if (room(s, p))
		append(s, p, bytes, len, now);
	else
		r = STAGE_FULL;
	spin_unlock(&s->lock);
	return r;
}

bool stage_holds(struct stage *s, const struct peer *p)
{
	if (!atomic_load_explicit(&p->staged, memory_order_relaxed))
		return false;
	spin_lock(&s->lock);
	bool holds = p->line[s->worker].stage.n;
	spin_unlock(&s->lock);
	return holds;
}

/* Moves packets of one peer out, in order. */
static size_t take_peer(struct stage *s, struct peer *p, struct fwd_packet *out, struct peer **who,
	size_t n, size_t cap, uint32_t *dropped)
{
	struct stage_queue *q = queue_of(s, p);
	size_t got = 0;

	while (q->n && got < n) {
		uint32_t slot = q->head, len = s->slots[slot].len;
		if (len <= cap) {
			memcpy(out[got].data, slot_bytes(s, slot), len);
			out[got].len = len;
			who[got++] = p;
		} else {
			++*dropped;
		}
		drop_head(s, p);
	}
	return got;
}

size_t stage_take(struct stage *s, struct fwd_packet *out, struct peer **who, size_t n, size_t cap,
	uint64_t now, uint32_t *dropped)
{
	size_t got = 0;

	spin_lock(&s->lock);
	struct peer *p = s->waiting, *last = p ? queue_of(s, p)->prev : NULL;
	while (p && got < n) {
		struct peer *next = p == last ? NULL : queue_of(s, p)->next;
		if (session_can_seal(keyslot_current(&p->slots), now))
			got += take_peer(s, p, out + got, who + got, n - got, cap, dropped);
		p = next;
	}
	spin_unlock(&s->lock);
	return got;
}

uint32_t stage_sweep(struct stage *s, uint64_t now)
{
	uint32_t n = 0;

	spin_lock(&s->lock);
	struct peer *p = s->waiting, *last = p ? queue_of(s, p)->prev : NULL;
	while (p) {
		struct stage_queue *q = queue_of(s, p);
		struct peer *next = p == last ? NULL : q->next;
		for (; q->n && elapsed(now, s->slots[q->head].since) > STAGE_KEEP_MS; n++)
			drop_head(s, p);
		p = next;
	}
	spin_unlock(&s->lock);
	return n;
}

uint32_t stage_purge(struct stage *s, struct peer *p)
{
	uint32_t n = 0;

	spin_lock(&s->lock);
	for (; queue_of(s, p)->n; n++)
		drop_head(s, p);
	spin_unlock(&s->lock);
	return n;
}
