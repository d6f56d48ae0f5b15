/* Which key opens a packet, and what an authentic one changes. */
#include "fwd/opening.h"

#include <string.h>

static uint16_t current_epoch(const struct epoch_rx *e)
{
	return atomic_load_explicit(&e->epoch, memory_order_relaxed);
}

struct opening *opening_find(struct session_rx *rx, uint64_t counter)
{
	struct epoch_rx *e = rx->epochs;

	if (!e)
		return &rx->current;
	const uint16_t epoch = ovpn_epoch(counter), now = current_epoch(e);
	struct opening *o = NULL;
	if (epoch == now)
		o = &rx->current;
	else if (epoch == e->previous_epoch)
		o = &e->previous;
	else if (epoch > now && epoch - now <= OPENING_AHEAD)
		o = &e->ahead[epoch - now - 1];
	return o && o->key ? o : NULL;
}

static void retire(struct epoch_rx *e, struct opening *o)
{
	if (o->key)
		e->retired[e->n_retired++] = o->key;
	*o = (struct opening){NULL, {0}};
}

/* There is a key for it. Fewer keys than OPENING_ALL exist, so there is room for all retired. */
static void advance(struct session_rx *rx, uint16_t to)
{
	struct epoch_rx *e = rx->epochs;
	const uint32_t steps = to - current_epoch(e);

	retire(e, &e->previous);
	e->previous = rx->current;
	e->previous_epoch = current_epoch(e);
	e->replay = rx->replay;
	memset(&rx->replay, 0, sizeof(rx->replay));
	for (uint32_t i = 0; i + 1 < steps; i++)
		retire(e, &e->ahead[i]);
	rx->current = e->ahead[steps - 1];
	for (uint32_t i = 0; i < OPENING_AHEAD; i++)
		e->ahead[i] = i + steps < OPENING_AHEAD ? e->ahead[i + steps]
							: (struct opening){NULL, {0}};
	atomic_store_explicit(&e->epoch, to, memory_order_relaxed);
}

bool opening_accept(struct session_rx *rx, uint64_t counter)
{
	struct epoch_rx *e = rx->epochs;

	if (!e)
		return replay_take(&rx->replay, counter);
	const uint16_t epoch = ovpn_epoch(counter);
	if (epoch > current_epoch(e))
		advance(rx, epoch);
	return replay_take(
		epoch == current_epoch(e) ? &rx->replay : &e->replay, counter & OVPN_EPOCH_COUNTER);
}

uint16_t opening_epoch(const struct session_rx *rx)
{
	return rx->epochs ? current_epoch(rx->epochs) : 0;
}

uint32_t opening_ahead(const struct session_rx *rx)
{
	uint32_t n = 0;

	while (n < OPENING_AHEAD && rx->epochs->ahead[n].key)
		n++;
	return n;
}

void opening_add(struct session_rx *rx, const struct opening *o)
{
	rx->epochs->ahead[opening_ahead(rx)] = *o;
}
