/* The engine's own structure: who owns which part of it. Inside fwd only. */
#ifndef FWD_ENGINE_H
#define FWD_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "fwd/fwd.h"
#include "fwd/origin.h"
#include "fwd/peer.h"
#include "fwd/qsbr.h"
#include "fwd/route.h"
#include "fwd/session.h"
#include "fwd/stage.h"

/* One worker's, on its own lines. */
struct worker {
	struct qsbr qsbr cacheline_aligned;
	_Atomic uint64_t verdicts[FWD_VERDICT_COUNT] cacheline_aligned;
	struct peer_count count; /* all peers, also those that are gone */
	struct stage stage cacheline_aligned;
};

struct fwd {
	struct fwd_limits limits;
	_Atomic uint32_t mtu;
	struct routes routes;
	_Atomic(struct session *) *index; /* WireGuard: by local_index % max_indices */
	_Atomic(struct session *) *ovpn;  /* OpenVPN: by peer-id % max_peer_ids, then key id */
	struct origins origins;		  /* and where its packets don't say a peer-id */
	struct worker *workers;		  /* and one more for what the control thread counts */
	_Atomic uint32_t ready;		  /* moves when a peer may have got a session */
	_Atomic(struct peer *) woken;	  /* peers that workers want on the active list */
	/* control thread only */
	struct peer **peers; /* by id */
	struct peer *active; /* those that the tick looks at */
	uint64_t seq_max, epoch;
	uint32_t n_peers, sync_mark;
	bool syncing;
};

/* The place of a session in index or ovpn. max_peer_ids is not 0. */
static inline _Atomic(struct session *) *engine_index(const struct fwd *f, uint32_t index)
{
	return &f->index[index & (f->limits.max_indices - 1)];
}
static inline _Atomic(struct session *) *engine_ovpn(
	const struct fwd *f, uint32_t peer_id, uint8_t key_id)
{
	return &f->ovpn[(peer_id & (f->limits.max_peer_ids - 1)) * OVPN_KEY_IDS + key_id];
}

/* Any worker: the tick must look at p. */
void engine_wake(struct fwd *f, struct peer *p);
/* Any thread: staged packets may have become sendable. */
void engine_ready(struct fwd *f);

/* ---- control thread ---- */

void engine_list(struct fwd *f, struct peer *p);
void engine_unlist(struct fwd *f, struct peer *p);
/* Puts woken peers on the active list. */
void engine_drain_woken(struct fwd *f);
/* Waits until every worker has been outside. */
void engine_wait(struct fwd *f);
/* Whether packets could find the session. Returns: 0, -EEXIST (its place is taken), -ENOMEM. */
int engine_room(struct fwd *f, const struct session *s) must_check;
/* Lets packets find the session; there is room. */
void engine_publish(struct fwd *f, struct session *s);
/* Takes the peer's sessions that left the slots out of the tables and puts them in front of list.
 * Returns: the new list. */
struct session *engine_collect(struct fwd *f, struct peer *p, struct session *list);
/* Frees a collected list; the workers have been waited for since. */
void engine_bury(struct fwd *f, struct session *list);
/* Throws the peer's staged packets away, on all workers. */
void engine_purge(struct fwd *f, struct peer *p);

/* Removes peers in two steps, so that many wait only once: unpublish puts p in front of doomed and
 * returns the new list; release waits and frees the list. */
struct peer *engine_unpublish(struct fwd *f, struct peer *p, struct peer *doomed);
void engine_release(struct fwd *f, struct peer *doomed);

/* Returns: the peer, or NULL. */
struct peer *engine_peer(const struct fwd *f, uint32_t id);

#endif
