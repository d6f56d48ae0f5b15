/* Slots, numbers, guests and what is still to be told. */
#include "io/tcp_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS = TCP_CONNECTIONS,
	GENERATIONS = 1 << 20,
};
_Static_assert((SLOTS & (SLOTS - 1)) == 0 && (uint64_t)SLOTS * GENERATIONS <= 1ull << 32,
	"a number is generation and slot");

/* Slots in the order in which they came. Every slot is in at most one. */
struct line {
	uint16_t slot[SLOTS];
	uint32_t first, n;
};

struct guest {
	struct ip_addr prefix; /* what is beyond the prefix is zero */
	uint64_t since;
	uint16_t slot;
	uint16_t rank; /* how many of its prefix were there when it came */
};

struct tcp_table {
	pthread_mutex_t lock; /* never with a connection's */
	struct line free, gone, untold;
	uint32_t n_guests;
	struct guest guests[TCP_GUESTS];
	struct tcp_connection connections[SLOTS];
};

static void line_put(struct line *l, uint32_t slot)
{
	l->slot[(l->first + l->n++) % SLOTS] = (uint16_t)slot;
}

static uint32_t line_take(struct line *l)
{
	uint32_t slot = l->slot[l->first];

	l->first = (l->first + 1) % SLOTS;
	l->n--;
	return slot;
}

static uint32_t slot_of(const struct tcp_table *t, const struct tcp_connection *c)
{
	return (uint32_t)(c - t->connections);
}

int tcp_table_new(struct tcp_table **out)
{
	struct tcp_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	for (uint32_t i = 0; i < SLOTS; i++) {
		pthread_mutex_init(&t->connections[i].lock, NULL);
		t->connections[i].fd = -1;
		t->connections[i].guest = TCP_NO_GUEST;
		line_put(&t->free, i);
	}
	*out = t;
	return 0;
}

void tcp_table_free(struct tcp_table *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < SLOTS; i++)
		pthread_mutex_destroy(&t->connections[i].lock);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct tcp_connection *tcp_table_hold(struct tcp_table *t, uint32_t number)
{
	struct tcp_connection *c = &t->connections[number % SLOTS];

	pthread_mutex_lock(&c->lock);
	if (number != 0 && c->number == number)
		return c;
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

void tcp_table_release(struct tcp_connection *c)
{
	pthread_mutex_unlock(&c->lock);
}

/* ---- guests ---- */

static struct ip_addr prefix_of(const struct ip_addr *a)
{
	const struct ip_prefix p = {*a, a->family == IP_V4 ? 32 : 64};

	return ip_prefix_network(&p);
}

static void guest_remove(struct tcp_table *t, struct tcp_connection *c)
{
	struct guest *g;

	if (c->guest == TCP_NO_GUEST)
		return;
	g = &t->guests[c->guest];
	*g = t->guests[--t->n_guests];
	t->connections[g->slot].guest = c->guest;
	c->guest = TCP_NO_GUEST;
}

/* Whether one more of that prefix may come, and who goes for it. */
static bool guest_may(
	const struct tcp_table *t, const struct ip_addr *prefix, uint16_t *rank, uint32_t *victim)
{
	uint16_t n = 0;
	uint32_t worst = 0;

	for (uint32_t i = 0; i < t->n_guests; i++) {
		const struct guest *g = &t->guests[i], *w = &t->guests[worst];

		n += ip_addr_equal(&g->prefix, prefix);
		if (g->rank > w->rank || (g->rank == w->rank && g->since < w->since))
			worst = i;
	}
	*rank = n;
	*victim = t->n_guests == TCP_GUESTS ? worst : TCP_NO_GUEST;
	return n < TCP_GUESTS_PER_PREFIX && (*victim == TCP_NO_GUEST || t->guests[worst].rank > n);
}

static uint32_t number_next(struct tcp_connection *c, uint32_t slot)
{
	c->generation = (c->generation + 1) % GENERATIONS;
	if (c->generation == 0)
		c->generation = 1;
	return c->generation * SLOTS + slot;
}

static struct tcp_connection *take(struct tcp_table *t, const struct ip_addr *prefix, uint64_t now,
	uint32_t *number, uint32_t *evicted)
{
	struct tcp_connection *c;
	uint32_t slot, victim;
	uint16_t rank;

	if (t->free.n == 0 || !guest_may(t, prefix, &rank, &victim))
		return NULL;
	if (victim != TCP_NO_GUEST) {
		struct tcp_connection *v = &t->connections[t->guests[victim].slot];

		*evicted = v->last_number;
		guest_remove(t, v);
	}
	slot = line_take(&t->free);
	c = &t->connections[slot];
	c->guest = t->n_guests++;
	t->guests[c->guest] = (struct guest){*prefix, now, (uint16_t)slot, rank};
	*number = c->last_number = number_next(c, slot);
	return c;
}

struct tcp_connection *tcp_table_take(struct tcp_table *t, const struct ip_addr *from, uint64_t now,
	uint32_t *number, uint32_t *evicted)
{
	const struct ip_addr prefix = prefix_of(from);
	struct tcp_connection *c;

	*evicted = 0;
	pthread_mutex_lock(&t->lock);
	c = take(t, &prefix, now, number, evicted);
	pthread_mutex_unlock(&t->lock);
	return c;
}

void tcp_table_known(struct tcp_table *t, struct tcp_connection *c)
{
	pthread_mutex_lock(&t->lock);
	guest_remove(t, c);
	pthread_mutex_unlock(&t->lock);
}

void tcp_table_put(struct tcp_table *t, struct tcp_connection *c)
{
	pthread_mutex_lock(&t->lock);
	guest_remove(t, c);
	line_put(c->punted || c->known ? &t->gone : &t->free, slot_of(t, c));
	pthread_mutex_unlock(&t->lock);
}

/* ---- telling ---- */

/* The next one that has just gone; it then waits to be told. */
static struct tcp_connection *gone_next(struct tcp_table *t)
{
	struct tcp_connection *c = NULL;

	pthread_mutex_lock(&t->lock);
	if (t->gone.n > 0) {
		uint32_t slot = line_take(&t->gone);

		line_put(&t->untold, slot);
		c = &t->connections[slot];
	}
	pthread_mutex_unlock(&t->lock);
	return c;
}

static void told(struct tcp_table *t)
{
	pthread_mutex_lock(&t->lock);
	line_put(&t->free, line_take(&t->untold));
	pthread_mutex_unlock(&t->lock);
}

void tcp_table_tell(struct tcp_table *t, const struct tcp_news *news)
{
	struct tcp_connection *c;

	while ((c = gone_next(t)) != NULL) {
		if (c->known)
			news->gone(news->arg, c->peer, c->last_number);
	}
	/* Only this thread touches the line of the untold. */
	while (t->untold.n > 0) {
		c = &t->connections[t->untold.slot[t->untold.first]];
		if (!news->tell(news->arg, c->last_number))
			return;
		told(t);
	}
}
