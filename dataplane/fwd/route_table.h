/* The table that route.c changes and route_lookup.c reads. */
#ifndef FWD_ROUTE_TABLE_H
#define FWD_ROUTE_TABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "fwd/route.h"

struct route {
	struct ip_addr addr;
	struct peer *peer;
	struct route *dead_next;
};

struct route_table {
	size_t mask;	 /* slots - 1 */
	size_t occupied; /* entries and removed marks; control thread */
	struct route_table *dead_next;
	struct route removed; /* its address stands where an entry was, so that probes go on */
	_Atomic(struct route *) slots[];
};

/* Where the probe for an address begins. Which addresses are in the table is our own choice, so
 * nobody outside can make them collide. */
size_t route_hash(const struct ip_addr *a);

#endif
