/*
 * Local indices of handshakes and sessions: a table slot in the low bits, random bits above it, so
 * that the dataplane finds a session by one array lookup and a stale datagram finds nothing.
 * WireGuard's receiver indices come from one pool, OpenVPN's peer-ids from another.
 *
 * An index is not given out again before nobody can use it any more: as long as its session may
 * live, and late packets get another minute.
 */
#ifndef SESSION_INDEX_POOL_H
#define SESSION_INDEX_POOL_H

#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct index_pool;

enum { INDEX_SESSION_MS = 250 * 1000, INDEX_FREED_MS = 60 * 1000 };

struct index_pool_conf {
	uint32_t slots;	  /* a power of two */
	uint32_t mask;	  /* bits that an index may have: all ones from bit 0 up */
	uint64_t hold_ms; /* how long a session may live; UINT64_MAX: until it is released */
};
/* Returns: 0, -ENOMEM, -EINVAL, -EIO. */
int index_pool_new(struct index_pool **out, const struct index_pool_conf *conf) must_check;
void index_pool_free(struct index_pool *p);
uint32_t index_pool_slots(const struct index_pool *p);
/* Indices of a lane are congruent to it modulo INDEX_LANES (or the number of slots when that is
 * less), as long as the lane has a free slot; then they are any. Only the low bits of lane count.
 * Returns: an index, neither 0 nor all ones; 0 when all slots are busy or there is no randomness.
 */
enum { INDEX_LANES = 16 };
uint32_t index_pool_alloc(struct index_pool *p, uint32_t lane, uint64_t now_ms);
/* The lane of a device with that tunnel address. The dataplane chooses a worker by the index for
 * what comes from the device, and by the address for what goes to it; with this lane that is one
 * worker when their number is a power of two up to INDEX_LANES. */
uint32_t index_lane(const struct ip_addr *tunnel);
/* It came to nothing, or its session is gone: free in a minute. One that is somebody else's by now
 * stays theirs. */
void index_pool_release(struct index_pool *p, uint32_t index, uint64_t now_ms);
/* Its session has long been replaced: free at once. */
void index_pool_reuse(struct index_pool *p, uint32_t index);
/* A session found in the dataplane holds it. */
void index_pool_adopt(struct index_pool *p, uint32_t index, uint64_t now_ms);

#endif
