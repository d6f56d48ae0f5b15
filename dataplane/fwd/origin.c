/* Buckets of eight pointers; the sessions themselves say what their origin is. */
#include "fwd/origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fwd/session.h"

enum { BUCKET = 8 };

int origins_init(struct origins *o, uint32_t sessions)
{
	o->buckets = 8;
	while (o->buckets * BUCKET < (size_t)sessions * 2)
		o->buckets *= 2;
	o->places = calloc(o->buckets * BUCKET, sizeof(o->places[0]));
	return o->places ? 0 : -ENOMEM;
}

void origins_fini(struct origins *o)
{
	free(o->places);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static _Atomic(struct session *) *bucket(
	const struct origins *o, const struct path *from, uint8_t key_id)
{
	uint64_t high, low, h = mix(key_id, from->connection);

	if (!from->connection) {
		memcpy(&high, from->remote.addr.bytes, 8);
		memcpy(&low, from->remote.addr.bytes + 8, 8);
		h = mix(mix(h, high), low);
		h = mix(h, from->remote.port | (uint64_t)from->listener << 16 |
				   (uint64_t)from->remote.scope_id << 32);
	}
	return &o->places[(h & (o->buckets - 1)) * BUCKET];
}

static bool matches(const struct session *s, const struct path *from, uint8_t key_id)
{
	if (s->key_id != key_id || s->path.connection != from->connection)
		return false;
	return from->connection || (s->path.listener == from->listener &&
					   endpoint_equal(&s->path.remote, &from->remote));
}

struct session *origins_lookup(const struct origins *o, const struct path *from, uint8_t key_id)
{
	_Atomic(struct session *) *b = bucket(o, from, key_id);

	for (int i = 0; i < BUCKET; i++) {
		struct session *s = atomic_load_explicit(&b[i], memory_order_acquire);
		if (s && matches(s, from, key_id))
			return s;
	}
	return NULL;
}

/* Returns: where one with the origin of s is, or else a free place, or NULL. */
static _Atomic(struct session *) *place_for(const struct origins *o, const struct session *s)
{
	_Atomic(struct session *) *b = bucket(o, &s->path, s->key_id), *place = NULL;

	for (int i = 0; i < BUCKET; i++) {
		const struct session *there = atomic_load_explicit(&b[i], memory_order_relaxed);
		if (there && matches(there, &s->path, s->key_id))
			return &b[i];
		if (!there && !place)
			place = &b[i];
	}
	return place;
}

bool origins_room(const struct origins *o, const struct session *s)
{
	return place_for(o, s);
}

void origins_add(struct origins *o, struct session *s)
{
	_Atomic(struct session *) *place = place_for(o, s);

	if (place)
		atomic_store_explicit(place, s, memory_order_release);
}

void origins_remove(struct origins *o, const struct session *s)
{
	_Atomic(struct session *) *b = bucket(o, &s->path, s->key_id);

	for (int i = 0; i < BUCKET; i++)
		if (atomic_load_explicit(&b[i], memory_order_relaxed) == s)
			atomic_store_explicit(&b[i], NULL, memory_order_release);
}
