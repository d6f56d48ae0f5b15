/* A binary heap as every book has it; each element knows its place, so any can be moved. */
#include "wg/deadlines.h"

#include <errno.h>
#include <stdlib.h>

int deadlines_reserve(struct deadlines *h, size_t n)
{
	size_t room = h->room ? h->room : 16;
	struct deadline **heap;

	while (room < n)
		room *= 2;
	if (room == h->room)
		return 0;
	heap = reallocarray(h->heap, room, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	h->heap = heap;
	h->room = room;
	return 0;
}

void deadlines_fini(struct deadlines *h)
{
	free(h->heap);
	*h = (struct deadlines){0};
}

static void put(struct deadlines *h, size_t place, struct deadline *d)
{
	h->heap[place - 1] = d;
	d->place = place;
}

static void rise(struct deadlines *h, struct deadline *d)
{
	size_t at = d->place;

	for (; at > 1 && h->heap[at / 2 - 1]->at_ms > d->at_ms; at /= 2)
		put(h, at, h->heap[at / 2 - 1]);
	put(h, at, d);
}

static void sink(struct deadlines *h, struct deadline *d)
{
	size_t at = d->place;

	for (size_t child = 2 * at; child <= h->n; child = 2 * at) {
		if (child < h->n && h->heap[child]->at_ms < h->heap[child - 1]->at_ms)
			child++;
		if (h->heap[child - 1]->at_ms >= d->at_ms)
			break;
		put(h, at, h->heap[child - 1]);
		at = child;
	}
	put(h, at, d);
}

void deadline_set(struct deadlines *h, struct deadline *d, uint64_t at_ms)
{
	if (!d->place)
		put(h, ++h->n, d);
	d->at_ms = at_ms;
	rise(h, d);
	sink(h, d);
}

void deadline_clear(struct deadlines *h, struct deadline *d)
{
	size_t place = d->place;
	struct deadline *last;

	if (!place)
		return;
	d->place = 0;
	last = h->heap[--h->n];
	if (last == d)
		return;
	put(h, place, last);
	rise(h, last);
	sink(h, last);
}

struct deadline *deadlines_first(const struct deadlines *h)
{
	return h->n ? h->heap[0] : NULL;
}
