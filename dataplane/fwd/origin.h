/*
 * Where a packet came from -> session, for OpenVPN clients whose data packets name no session
 * (DATA_V1): connection, or listener and remote endpoint, with the key id.
 *
 * A fixed table of session pointers; an origin has a bucket of eight places. The control thread
 * writes, workers read without a lock; a session is freed only after it was taken out and every
 * worker has been outside. Of two sessions with one origin the newer is found.
 */
#ifndef FWD_ORIGIN_H
#define FWD_ORIGIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct session;

struct origins {
	size_t buckets; /* a power of two */
	_Atomic(struct session *) *places;
};

/* Room for about that many sessions. Returns: 0, -ENOMEM. */
int origins_init(struct origins *o, uint32_t sessions) must_check;
void origins_fini(struct origins *o);

/* Any thread, between enter and leave. Returns: the session, or NULL. */
struct session *origins_lookup(const struct origins *o, const struct path *from, uint8_t key_id);
/* Control thread. Returns: false when the bucket of s is full of others. */
bool origins_room(const struct origins *o, const struct session *s);
/* Control thread, there is room: s can be found by its path and key id from now on. */
void origins_add(struct origins *o, struct session *s);
/* Nothing happens when it is not there. */
void origins_remove(struct origins *o, const struct session *s);

#endif
