/*
 * One set of keys with a peer. What it is never changes after it is published; what it counts is
 * split by who writes: any worker reserves send counters, one at a time opens.
 */
#ifndef FWD_SESSION_H
#define FWD_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"
#include "crypto/aead.h"
#include "fwd/fwd.h"
#include "fwd/replay.h"
#include "fwd/spin.h"

struct peer;

/* How REST shows it; told by the control plane, passed back to it. */
struct session_about {
	uint8_t protocol, cipher, transport;
	struct ulid tunnel;
	uint64_t tunnel_started_ms, handshake_ms;
};

/* The receiving side. Datagrams of one session are meant for one worker, but the kernel may glue
 * datagrams of two sessions of a peer into one read, so whoever opens a run takes hold of it. */
struct session_rx {
	struct spin owner;
	struct aead_key *open;
	struct replay replay;
};

struct session {
	uint32_t local_index, remote_index;
	uint64_t seq;
	uint64_t birth; /* monotonic ms */
	struct peer *peer;
	struct ulid credential;
	bool initiator;
	struct session_about about;
	atomic_bool dead;	/* has left the slots: nothing is received with it any more */
	atomic_bool confirmed;	/* a valid packet has come */
	atomic_bool late_rekey; /* T4 fired */
	struct session *next;	/* list of those that left the slots */
	_Atomic uint64_t counter cacheline_aligned; /* next to send */
	struct session_rx rx cacheline_aligned;
	struct aead_key *seal[]; /* one per worker, the last for the control thread */
};

/* Control thread. Returns owned. Returns: 0, -ENOMEM, -EINVAL (cipher). */
int session_new(struct session **out, const struct fwd_session *s, struct peer *p, uint32_t sealers,
	uint64_t now) must_check;
/* Wipes keys and window. The caller knows that no worker can hold it. */
void session_free(struct session *s, uint32_t sealers);

uint64_t session_age(const struct session *s, uint64_t now);
/* T10: young enough to be used at all. */
bool session_young(const struct session *s, uint64_t now);
/* Young and with counters left: may seal. NULL may not. */
bool session_can_seal(const struct session *s, uint64_t now);
/* Takes up to n send counters, *first and those after it, for good. Returns: how many, 0 when
 * they are used up. */
uint32_t session_reserve(struct session *s, uint32_t n, uint64_t *first);

#endif
