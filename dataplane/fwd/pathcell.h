/*
 * A peer's path, read by every worker and replaced by whichever authenticated a newer one: a
 * sequence lock, so that a reader sees a whole path and writes nothing.
 */
#ifndef FWD_PATHCELL_H
#define FWD_PATHCELL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"

enum { PATHCELL_WORDS = 6 };

struct pathcell {
	_Atomic uint32_t seq; /* odd while being written */
	_Atomic uint64_t words[PATHCELL_WORDS];
};

/* Writers exclude each other (the peer's lock). */
void pathcell_store(struct pathcell *c, const struct path *p);
struct path pathcell_load(const struct pathcell *c);

#endif
