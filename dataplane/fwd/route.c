/*
 * Changing the route table: control thread only. A removed mark may be used again; when marks and
 * entries fill three quarters, the entries move into a clean table that is published whole.
 */
#include "fwd/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fwd/route_table.h"

static struct route_table *table_new(size_t slots)
{
	struct route_table *t = calloc(1, sizeof(*t) + slots * sizeof(t->slots[0]));

	if (t)
		t->mask = slots - 1;
	return t;
}

int routes_init(struct routes *r, uint32_t addresses)
{
	size_t slots = 64;

	while (slots < (size_t)addresses * 2 + 8)
		slots *= 2;
	memset(r, 0, sizeof(*r));
	struct route_table *t = table_new(slots);
	if (!t)
		return -ENOMEM;
	atomic_store_explicit(&r->table, t, memory_order_release);
	return 0;
}

void routes_fini(struct routes *r)
{
	struct route_table *t = atomic_load(&r->table);

	routes_reclaim(r);
	for (size_t i = 0; t && i <= t->mask; i++) {
		struct route *e = atomic_load(&t->slots[i]);
		if (e != &t->removed)
			free(e);
	}
	free(t);
}

static struct route *slot_get(struct route_table *t, size_t at)
{
	return atomic_load_explicit(&t->slots[at & t->mask], memory_order_relaxed);
}

static void slot_put(struct route_table *t, size_t at, struct route *e)
{
	atomic_store_explicit(&t->slots[at & t->mask], e, memory_order_release);
}

static void insert(struct route_table *t, struct route *e)
{
	size_t at = route_hash(&e->addr);
	struct route *there;

	while ((there = slot_get(t, at)) && there != &t->removed)
		at++;
	if (!there)
		t->occupied++;
	slot_put(t, at, e);
}

/* Without memory for a clean table the old one still works, only slower. */
static void clean(struct routes *r, struct route_table *old)
{
	struct route_table *t = table_new(old->mask + 1);

	if (!t)
		return;
	for (size_t i = 0; i <= old->mask; i++) {
		struct route *e = slot_get(old, i);
		if (e && e != &old->removed)
			insert(t, e);
	}
	old->dead_next = r->dead_tables;
	r->dead_tables = old;
	atomic_store_explicit(&r->table, t, memory_order_release);
}

int routes_add(struct routes *r, const struct ip_addr *a, struct peer *p)
{
	struct route *e = malloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	*e = (struct route){.addr = *a, .peer = p};
	struct route_table *t = atomic_load_explicit(&r->table, memory_order_relaxed);
	if (t->occupied > (t->mask + 1) / 4 * 3) {
		clean(r, t);
		t = atomic_load_explicit(&r->table, memory_order_relaxed);
	}
	insert(t, e);
	return 0;
}

void routes_remove(struct routes *r, const struct ip_addr *a)
{
	struct route_table *t = atomic_load_explicit(&r->table, memory_order_relaxed);
	size_t at = route_hash(a);
	struct route *e;

	for (size_t i = 0; i <= t->mask && (e = slot_get(t, at)); i++, at++) {
		if (e == &t->removed || !ip_addr_equal(&e->addr, a))
			continue;
		slot_put(t, at, &t->removed);
		e->dead_next = r->dead;
		r->dead = e;
		return;
	}
}

void routes_reclaim(struct routes *r)
{
	while (r->dead) {
		struct route *e = r->dead;
		r->dead = e->dead_next;
		free(e);
	}
	while (r->dead_tables) {
		struct route_table *t = r->dead_tables;
		r->dead_tables = t->dead_next;
		free(t);
	}
}
