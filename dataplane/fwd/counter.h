/* Counters with one writer and any readers: no locked instruction, no torn value. */
#ifndef FWD_COUNTER_H
#define FWD_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint64_t counter_get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* Only the thread that owns the counter. */
static inline void counter_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, counter_get(c) + n, memory_order_relaxed);
}

static inline void counter_set(_Atomic uint64_t *c, uint64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

/* Milliseconds from since to now; 0 when another thread's clock reading was ahead of ours. */
static inline uint64_t elapsed(uint64_t now, uint64_t since)
{
	return now > since ? now - since : 0;
}

#endif
