/*
 * Quiescent-state reclamation. A worker's number is odd between enter and leave; the control
 * thread, having unpublished something, waits until each worker was outside once.
 *
 * Both sides use read-modify-writes on the same number: either the worker's comes later and then
 * it sees what was unpublished, or the control thread sees it inside and waits.
 */
#ifndef FWD_QSBR_H
#define FWD_QSBR_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

struct qsbr {
	_Atomic uint64_t count;
};

static inline void qsbr_enter(struct qsbr *q)
{
	atomic_fetch_add_explicit(&q->count, 1, memory_order_acq_rel);
}

static inline void qsbr_leave(struct qsbr *q)
{
	atomic_fetch_add_explicit(&q->count, 1, memory_order_release);
}

/* Returns once the worker is outside or has been. A batch never blocks, so neither does this. */
static inline void qsbr_wait(struct qsbr *q)
{
	uint64_t seen = atomic_fetch_add_explicit(&q->count, 0, memory_order_acq_rel);

	if (!(seen & 1))
		return;
	while (atomic_load_explicit(&q->count, memory_order_acquire) == seen)
		sched_yield(); /* the worker may be waiting for this very core */
}

#endif
