/*
 * Kernel offloads: which may be used, which are. Whoever finds that the kernel refuses one drops
 * it for good, and everything goes on without.
 */
#ifndef IO_OFFLOADS_H
#define IO_OFFLOADS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "uapi/uapi.h"

/* Bits of enum uapi_offload. Any thread. */
struct offloads {
	atomic_uint used;
};

/* From a setting: auto, off or a list of names. Returns: 0, -EINVAL. */
int offloads_parse(const char *text, unsigned *out) must_check;

static inline bool offloads_has(const struct offloads *o, unsigned bits)
{
	return (atomic_load_explicit(&o->used, memory_order_relaxed) & bits) == bits;
}

/* Not used from now on; the first to find so logs it. */
void offloads_drop(struct offloads *o, unsigned bits, int error);

enum { OFFLOADS_TEXT = 64 };
/* Their names with commas, "none" for none; buf has OFFLOADS_TEXT bytes, returned. */
const char *offloads_format(unsigned bits, char *buf);

#endif
