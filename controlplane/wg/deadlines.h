/*
 * Points in time of many objects, the earliest first: a binary heap of pointers to what the objects
 * embed. Room is reserved when an object is born, so setting a deadline never fails.
 */
#ifndef WG_DEADLINES_H
#define WG_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct deadline {
	uint64_t at_ms;
	size_t place; /* in the heap, from 1; 0: not set */
};

/* Zeroed is empty. */
struct deadlines {
	struct deadline **heap; /* heap[0] is place 1 */
	size_t n, room;
};

/* Makes room for n deadlines in all. Returns: 0, -ENOMEM. */
int deadlines_reserve(struct deadlines *h, size_t n) must_check;
void deadlines_fini(struct deadlines *h);

/* Sets or moves d; h borrows it until it is cleared. Room for it has been reserved. */
void deadline_set(struct deadlines *h, struct deadline *d, uint64_t at_ms);
void deadline_clear(struct deadlines *h, struct deadline *d);
/* The earliest, or NULL. */
struct deadline *deadlines_first(const struct deadlines *h);

#endif
