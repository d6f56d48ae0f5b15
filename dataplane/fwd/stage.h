/*
 * Packets that wait for a session: a fixed pool of slots per worker, a queue per peer in it.
 *
 * The worker fills and empties its own; the control thread only throws a peer's packets away.
 * Hence a lock, which nobody else wants while traffic flows: packets wait only where there is no
 * session.
 */
#ifndef FWD_STAGE_H
#define FWD_STAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "fwd/spin.h"

struct peer;
struct fwd_packet;

enum { STAGE_KEEP_MS = 90 * 1000 }; /* as long as a handshake is tried (T5) */

struct stage_slot {
	uint32_t next, len;
	uint64_t since;
};

struct stage {
	struct spin lock;
	uint32_t worker, mtu_max;
	struct stage_slot *slots;
	uint8_t *bytes; /* mtu_max for each slot */
	uint32_t n_slots, free;
	struct peer *waiting; /* circular list through stage_queue */
	_Atomic uint32_t used;
	uint32_t seen_ready; /* worker only */
	uint64_t swept;	     /* worker only: when old ones were last dropped */
};

/* Control thread. Returns: 0, -ENOMEM. */
int stage_init(struct stage *s, uint32_t worker, uint32_t slots, uint32_t mtu_max) must_check;
/* Wipes: the packets are plaintext. */
void stage_fini(struct stage *s);

enum stage_outcome {
	STAGE_PUT = 0,	/* copied */
	STAGE_PUSH = 1, /* copied, and the peer's oldest one was dropped for it */
	STAGE_FULL = 2, /* no room */
	STAGE_BIG = 3,	/* longer than a slot */
};
/* Appends a copy. With evict the peer's oldest packet gives way when there is no room. */
enum stage_outcome stage_put(struct stage *s, struct peer *p, const uint8_t *bytes, uint32_t len,
	bool evict, uint64_t now) must_check;
/* Worker: whether packets of the peer wait here. */
bool stage_holds(struct stage *s, const struct peer *p);
/* Takes up to n packets of peers that can send now: copies each to out[i].data (len is set), its
 * peer to who[i]. What is longer than cap is dropped. Returns: how many; *dropped is added to. */
size_t stage_take(struct stage *s, struct fwd_packet *out, struct peer **who, size_t n, size_t cap,
	uint64_t now, uint32_t *dropped);
/* Drops what has waited longer than STAGE_KEEP_MS. Returns: how many. */
uint32_t stage_sweep(struct stage *s, uint64_t now);
/* Drops all packets of a peer. Any thread. Returns: how many. */
uint32_t stage_purge(struct stage *s, struct peer *p);

#endif
