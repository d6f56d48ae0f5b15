/*
 * A spin lock for what happens once per handshake or once per move, never once per packet.
 * Whoever holds it does a bounded handful of stores and calls nothing that could wait.
 */
#ifndef FWD_SPIN_H
#define FWD_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

struct spin {
	atomic_bool held;
};

static inline void spin_lock(struct spin *s)
{
	while (atomic_exchange_explicit(&s->held, true, memory_order_acquire))
		while (atomic_load_explicit(&s->held, memory_order_relaxed))
			sched_yield(); /* whoever holds it may be waiting for this very core */
}

static inline void spin_unlock(struct spin *s)
{
	atomic_store_explicit(&s->held, false, memory_order_release);
}

#endif
