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
#include "fwd/framing.h"
#include "fwd/fwd.h"
#include "fwd/replay.h"
#include "fwd/spin.h"

struct peer;

/* How REST shows it; told by the control plane, passed back to it. */
struct session_about {
	uint8_t protocol, cipher, transport;
	uint16_t tls;
	struct ulid tunnel;
	uint64_t tunnel_started_ms, handshake_ms;
};

/* What keys may be used for. At an end the session neither seals nor opens any more. */
struct session_limits {
	uint64_t life_ms;	/* age */
	uint64_t counter_end;	/* the first counter that is never used */
	uint64_t counter_rekey; /* beyond it the peer should get new keys */
	uint64_t blocks_end;	/* AES blocks and packets each way; SESSION_NO_LIMIT */
	uint64_t failed_end;	/* openings that failed */
};
#define SESSION_NO_LIMIT UINT64_MAX

/* The receiving side. Datagrams of one session are meant for one worker, but the kernel may glue
 * datagrams of two sessions of a peer into one read, so whoever opens a run takes hold of it. */
struct session_rx {
	struct spin owner;
	struct aead_key *open;
	_Atomic uint64_t blocks, failed; /* written by the owner */
	struct replay replay;
};

/* The first line is what every packet asks for. */
struct session {
	uint32_t local_index, remote_index;
	uint32_t connection; /* TCP: the only one it is valid on; 0: UDP */
	uint8_t frame;	     /* enum frame */
	uint8_t key_id;
	bool initiator;
	atomic_bool dead; /* has left the slots: nothing is received with it any more */
	uint8_t seal_iv[UAPI_IV], open_iv[UAPI_IV];
	struct peer *peer;
	uint64_t birth; /* monotonic ms */
	struct session_limits limits;
	uint64_t seq;
	struct ulid credential;
	struct path path; /* the one it was made on; TCP never leaves it */
	struct session_about about;
	uint16_t ping_s, timeout_s;
	atomic_bool confirmed;	/* a valid packet has come */
	atomic_bool late_rekey; /* T4 fired */
	atomic_bool farewell;	/* the peer said that this was the last packet */
	uint64_t retired;	/* tick: since when it has been previous, +1 */
	struct session *next;	/* list of those that left the slots */
	_Atomic uint64_t counter cacheline_aligned; /* next to send */
	_Atomic uint64_t blocks;		    /* sealed */
	struct session_rx rx cacheline_aligned;
	struct aead_key *seal[]; /* one per worker, the last for the control thread */
};

/* Control thread. Returns owned. Returns: 0, -ENOMEM, -EINVAL (cipher). */
int session_new(struct session **out, const struct fwd_session *s, struct peer *p, uint32_t sealers,
	uint64_t now) must_check;
/* Wipes keys and window. The caller knows that no worker can hold it. */
void session_free(struct session *s, uint32_t sealers);

static inline bool session_is_ovpn(const struct session *s)
{
	return s->frame != FRAME_WG;
}
/* Bytes under an AES-GCM key as the limit counts them: blocks, and one for the packet. */
static inline uint64_t session_blocks(uint32_t len)
{
	return (len + 15) / 16 + 1;
}

uint64_t session_age(const struct session *s, uint64_t now);
/* T10: young enough to be used at all. */
bool session_young(const struct session *s, uint64_t now);
/* Young and with counters left: may seal. NULL may not. */
bool session_can_seal(const struct session *s, uint64_t now);
/* May open: what was received and what was forged is within the limits. The owner of rx asks. */
bool session_can_open(const struct session *s);
/* A limit other than age has been reached, in either direction. */
bool session_used_up(const struct session *s);
/* A limit other than age is near: of what was sealed, of what was opened. */
bool session_seal_worn(const struct session *s);
bool session_open_worn(const struct session *s);
/* Takes up to n send counters, *first and those after it, for good. Returns: how many, 0 when
 * they are used up. */
uint32_t session_reserve(struct session *s, uint32_t n, uint64_t *first);
/* Counts blocks that are about to be sealed. Returns: false when they are beyond the limit. */
bool session_spend(struct session *s, uint64_t blocks);

#endif
