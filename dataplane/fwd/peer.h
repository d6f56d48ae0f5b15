/*
 * A peer: its addresses, path, key slots, timers and counters.
 *
 * Written by: the control thread alone (struct peer_control), whoever holds the lock (slots, path,
 * tunnel), any worker through atomics (struct peer_timers), one worker each (struct peer_line).
 */
#ifndef FWD_PEER_H
#define FWD_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "fwd/counter.h"
#include "fwd/keyslot.h"
#include "fwd/pathcell.h"
#include "fwd/spin.h"

struct session;
struct peer;

/* Never changes; replaced whole. IP_NONE: has none of that family. */
struct peer_addrs {
	struct ip_addr v4, v6;
};

/* Times are +1, so that 0 says "not running". */
struct peer_timers {
	_Atomic uint64_t owe_since;  /* T6: data came and nothing was sent since */
	_Atomic uint64_t wait_since; /* T7: data went and nothing came since */
	atomic_bool owe_more;	     /* T6: and more data came while it ran */
	_Atomic uint32_t wishes;     /* enum peer_wish */
};

/* What a worker asks the tick to tell: bits. The first ones are 1 << enum uapi_rekey. */
enum peer_wish {
	WISH_NO_SESSION = 1 << 1,
	WISH_AGE = 1 << 2,
	WISH_COUNTER = 1 << 3,
	WISH_MOVED = 1 << 8,
	WISH_FAREWELL = 1 << 9, /* a session of it says which */
};

enum { PEER_REASONS = 5 }; /* enum uapi_rekey and the unused 0 */

struct peer_control {
	uint64_t told_confirmed;	 /* seq */
	uint64_t expired;		 /* seq to be told, 0: none */
	uint8_t expired_reason;		 /* enum uapi_end */
	uint64_t pinged_at;		 /* when the tick last sent a ping, +1 */
	uint64_t rekey_at[PEER_REASONS]; /* when that was last told, +1 */
	uint64_t moved_at;		 /* when a move was last told, +1 */
	uint32_t mark;			 /* of the sync that named it last */
	bool prove;		  /* T11: a keepalive is due for an initiator's new session */
	struct peer *next, *prev; /* active list */
	struct peer *doomed_next;
};

/* Counters of inner packets. One writer each, or under the lock. */
struct peer_count {
	_Atomic uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets;
};

/* This peer's packets that wait on one worker, under that worker's stage lock. */
struct stage_queue {
	uint32_t head, tail, n;
	struct peer *next, *prev; /* the worker's list of waiting peers */
};

/* What one worker writes. */
struct peer_line {
	struct peer_count count cacheline_aligned;
	_Atomic uint64_t last_rx; /* authenticated, +1 */
	_Atomic uint64_t last_tx; /* OpenVPN: sealed, +1 */
	struct stage_queue stage;
};

struct peer {
	uint32_t id, workers;
	uint64_t epoch;
	_Atomic(struct peer_addrs *) addrs;
	struct spin lock;
	struct keyslots slots;
	struct pathcell path;
	struct ulid tunnel;	       /* lock; whose counting began at tunnel_base */
	struct peer_count tunnel_base; /* lock */
	_Atomic uint64_t
		confirmed_seq; /* greatest seq that a valid packet came on; lock to write */
	struct peer_timers timers cacheline_aligned;
	_Atomic uint32_t staged; /* on all workers */
	atomic_bool listed;	 /* on the active list, or woken and about to be */
	struct peer *woken_next;
	struct peer_control ctl;
	struct peer_line line[];
};

/* Returns owned, or NULL without memory. */
struct peer *peer_new(uint32_t id, uint64_t epoch, const struct peer_addrs *a, uint32_t workers);
/* Its sessions and staged packets are gone already. */
void peer_free(struct peer *p);

/* Any thread. A bit that is set already costs a load. For what every packet may wish again. */
void peer_wish(struct peer *p, enum peer_wish w);
/* Any thread, after storing something that is told once: it is seen by whoever clears the bit. */
void peer_wish_news(struct peer *p, enum peer_wish w);
/* Control thread, or holding the lock: the sum over all workers. */
void peer_count_sum(const struct peer *p, struct peer_count *out);
/* When a worker last received something authentic, sealed something for OpenVPN; +1, 0: never. */
uint64_t peer_last_rx(const struct peer *p);
uint64_t peer_last_tx(const struct peer *p);
/* Holding the lock: s is now what packets are counted for. Returns: whether its tunnel is new. */
bool peer_tunnel_begin(struct peer *p, const struct session *s);
/* Holding the lock: a valid packet came on s, or it is used as if one had. */
void peer_confirm(struct peer *p, struct session *s);
/* Where packets of that session go. The path of the peer is UDP's; a TCP session has its own. */
struct path peer_path(const struct peer *p, const struct session *s);

#endif
