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
#include "fwd/opening.h"
#include "fwd/sealing.h"

struct peer;

/* How REST shows it; told by the control plane, passed back to it. */
struct session_about {
	uint8_t protocol, cipher, transport;
	uint16_t tls;
	struct ulid tunnel;
	uint64_t tunnel_started_ms, handshake_ms;
};

/* What keys may be used for, beside what limits sealing. At an end the session neither seals nor
 * opens any more. In the epoch format a counter has the epoch on top, and blocks received are
 * the client's to count: it goes to the next epoch by itself. */
struct session_limits {
	uint64_t life_ms;	/* age */
	uint64_t counter_end;	/* the first counter that is not received */
	uint64_t counter_rekey; /* beyond it the peer should get new keys */
	uint64_t blocks_end;	/* AES blocks and packets received; SESSION_NO_LIMIT */
	uint64_t failed_end;	/* openings that failed, under all keys of the session */
};
#define SESSION_NO_LIMIT UINT64_MAX

/* The first line is what every packet asks for. */
struct session {
	uint32_t local_index, remote_index;
	uint32_t connection; /* TCP: the only one it is valid on; 0: UDP */
	uint8_t frame;	     /* enum frame */
	uint8_t key_id;
	bool initiator;
	atomic_bool dead; /* has left the slots: nothing is received with it any more */
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
	_Atomic(struct sealing *) sealing;
	struct epochs *epochs; /* control thread; NULL: another format */
	struct session_rx rx cacheline_aligned;
};

/* Control thread. Returns owned. Returns: 0, -ENOMEM, -EINVAL (cipher). */
int session_new(struct session **out, const struct fwd_session *s, struct peer *p, uint32_t sealers,
	uint64_t now) must_check;
/* Wipes keys and window. The caller knows that no worker can hold it. */
void session_free(struct session *s, uint32_t sealers);

/* Between enter and leave, or on the control thread. */
static inline struct sealing *session_sealing(const struct session *s)
{
	return atomic_load_explicit(&s->sealing, memory_order_acquire);
}
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

#endif
