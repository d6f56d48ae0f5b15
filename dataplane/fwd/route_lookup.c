/* Route lookup, the part on the packet path: reads only, allocates nothing. */
#include "fwd/route_table.h"

#include <string.h>

size_t route_hash(const struct ip_addr *a)
{
	uint64_t high, low;

	memcpy(&high, a->bytes, 8);
	memcpy(&low, a->bytes + 8, 8);
	uint64_t h = (high ^ a->family) * 0x9e3779b97f4a7c15ull;
	h = (h ^ (h >> 32) ^ low) * 0xd6e8feb86659fd93ull;
	return (size_t)(h ^ (h >> 32));
}

struct peer *routes_lookup(struct routes *r, const struct ip_addr *a)
{
	struct route_table *t = atomic_load_explicit(&r->table, memory_order_acquire);
	size_t at = route_hash(a);

	for (size_t i = 0; i <= t->mask; i++, at++) {
		struct route *e =
			atomic_load_explicit(&t->slots[at & t->mask], memory_order_acquire);
		if (!e)
			return NULL;
		if (e != &t->removed && ip_addr_equal(&e->addr, a))
			return e->peer;
	}
	return NULL;
}
