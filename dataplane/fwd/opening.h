/*
 * What is opened with. A session has one key for life, or, in OpenVPN's epoch format (reference
 * A14.2), six, each of one epoch:
 *
 *      previous | current | current + 1 ... current + 4
 *
 * The first authentic packet of a later epoch makes that one current, the old one previous, and
 * what was between them is passed over. The keys ahead were made beforehand by the control thread
 * (epochs.h), so a number in a stranger's packet costs a comparison, and at most one failed opening
 * where there is a key. Previous and current have a replay window each; nothing authentic has come
 * under the others.
 *
 * Everything here belongs to whoever holds session_rx.owner.
 */
#ifndef FWD_OPENING_H
#define FWD_OPENING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "fwd/replay.h"
#include "fwd/spin.h"
#include "wire/ovpn_wire.h"

enum { OPENING_AHEAD = 4, OPENING_ALL = 2 + OPENING_AHEAD };

struct opening {
	struct aead_key *key; /* NULL: none */
	uint8_t iv[AEAD_NONCE];
};

/* ahead[i] is of the epoch current + 1 + i. */
struct epoch_rx {
	struct opening previous, ahead[OPENING_AHEAD];
	uint16_t previous_epoch;
	_Atomic uint16_t epoch;		       /* of current; anybody reads */
	struct aead_key *retired[OPENING_ALL]; /* to be freed by the control thread */
	uint32_t n_retired;
	struct replay replay; /* of previous */
};

/* The receiving side. Datagrams of one session are meant for one worker, but the kernel may glue
 * datagrams of two sessions of a peer into one read, so whoever opens a run takes hold of it. */
struct session_rx {
	struct spin owner;
	struct opening current;
	struct epoch_rx *epochs;	 /* NULL: another format */
	_Atomic uint64_t blocks, failed; /* written by the owner */
	struct replay replay;		 /* of current */
};

/* Returns: what opens a packet with that counter, NULL when there is nothing. */
struct opening *opening_find(struct session_rx *rx, uint64_t counter);
/* A packet that opened with what opening_find returned for its counter: an epoch may become
 * current. Returns: whether the counter is new. */
bool opening_accept(struct session_rx *rx, uint64_t counter);

/* The greatest epoch that an authentic packet came in; 0: another format. Any thread. */
uint16_t opening_epoch(const struct session_rx *rx);
/* How many keys ahead of current there are. */
uint32_t opening_ahead(const struct session_rx *rx);
/* Takes the key of the epoch after the last there is; fewer than OPENING_AHEAD are ahead, and
 * nothing is retired. */
void opening_add(struct session_rx *rx, const struct opening *o);

#endif
