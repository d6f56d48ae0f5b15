/*
 * Inner destination address -> peer: open addressing over exact addresses. Any thread looks up
 * without a lock while the control thread changes the table.
 *
 * A slot holds NULL (end of a probe), a removed mark, or an entry that never changes. What was
 * taken out waits in the garbage until the control thread knows that no worker can hold it.
 */
#ifndef FWD_ROUTE_H
#define FWD_ROUTE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct peer;
struct route;
struct route_table;

struct routes {
	_Atomic(struct route_table *) table;
	struct route *dead; /* garbage */
	struct route_table *dead_tables;
};

/* Room for at most that many addresses. Returns: 0, -ENOMEM. */
int routes_init(struct routes *r, uint32_t addresses) must_check;
void routes_fini(struct routes *r);

/* Any thread, between enter and leave. Returns: the peer, or NULL. */
struct peer *routes_lookup(struct routes *r, const struct ip_addr *a);

/* Control thread. The address must not be there yet. Returns: 0, -ENOMEM. */
int routes_add(struct routes *r, const struct ip_addr *a, struct peer *p) must_check;
/* Nothing happens when the address is not there. */
void routes_remove(struct routes *r, const struct ip_addr *a);
/* Frees the garbage; every worker must have been outside since it became that. */
void routes_reclaim(struct routes *r);

#endif
