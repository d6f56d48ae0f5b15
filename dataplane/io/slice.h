/*
 * How long the scheduler lets a thread run for its share of a processor.
 *
 * Whoever has a longer slice than the others interrupts them less when something wakes it. So who
 * sends packets to a worker on its own processor has sent several by the time that the worker runs,
 * and not one. The worker gets no less of the processor, and an idle one at once; only where others
 * compute on all of them it may have to wait that long more.
 */
#ifndef IO_SLICE_H
#define IO_SLICE_H

#include <stdint.h>

#include "base/compiler.h"

enum {
	/* The kernel's own are 0.7 to 2.8 ms long, by the number of processors. */
	SLICE_WORKER_NS = 4 * 1000 * 1000,
};

/* The calling thread's slice, in nanoseconds; its policy and niceness stay. A thread that was given
 * another policy than the usual one is left as it is. Before Linux 6.12 it changes nothing.
 * Returns: 0, -errno: forbidden. */
int slice_set(uint64_t ns) must_check;

#endif
