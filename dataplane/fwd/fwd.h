/*
 * The forwarding engine: pure, no system call, no clock, no allocation per packet.
 *
 *      outer datagrams -> fwd_rx -> inner packets        inner packets -> fwd_tx -> outer datagrams
 *                            \                               /
 *                  index -> session -> peer <- route <- inner destination
 *                            ^    published by pointer swap    ^
 *                            '----- control thread ------------'
 *
 * Threads: one control thread calls the fwd_control part, each worker its own number in the worker
 * part. A worker brackets every batch with fwd_enter and fwd_leave; the control thread frees what
 * it unpublished only after every worker has been seen outside (quiescent-state reclamation).
 * The data packets of one session reach the same worker as a rule (the receive socket is chosen by
 * receiver index), and the replay window has one owner at a time. Sealing may happen on any worker.
 *
 * Times are monotonic milliseconds. Timer numbers T1..T10 are those of the WireGuard reference.
 */
#ifndef FWD_FWD_H
#define FWD_FWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "crypto/aead.h"
#include "fwd/verdict.h"
#include "uapi/uapi.h"

enum {
	FWD_HEADROOM = 64, /* bytes an rx/tx buffer has before the packet */
	FWD_TAILROOM = 64, /* and after it: padding and tag */
	FWD_STAGE_PER_PEER = 128,
	FWD_RUN = 64, /* packets of one session that are sealed or opened together */
};

struct fwd;
struct session;

struct fwd_limits {
	uint32_t max_peers;    /* peer ids are below it */
	uint32_t max_indices;  /* a power of two; local_index % max_indices is the slot */
	uint32_t max_peer_ids; /* the same for OpenVPN's peer-ids; at most 2^24; 0: no OpenVPN */
	uint32_t workers;      /* 1..64 */
	uint32_t stage_slots;  /* staged packets in all, per worker */
	uint32_t mtu_max;      /* longest inner packet that can be staged */
};

/* ---- control part: one thread ---- */

/* Returns owned. Returns: 0, -ENOMEM, -EINVAL. */
int fwd_new(struct fwd **out, const struct fwd_limits *limits) must_check;
/* No worker may be running any more. Wipes all keys. */
void fwd_free(struct fwd *f);
/* Longest inner packet: padding stops there. Any time; mtu_max until then. */
void fwd_set_mtu(struct fwd *f, uint32_t mtu);

/* Creates or changes a peer; changing an address keeps sessions and counters.
 * While a sync runs, a peer that it has not named yet gives the address up.
 * Returns: 0, -EINVAL (id or address), -EEXIST (address belongs to another peer), -ENOMEM. */
int fwd_peer_set(struct fwd *f, uint32_t peer, const struct ip_addr *addr4,
	const struct ip_addr *addr6) must_check;
/* When it returns no worker uses the peer or its keys any more. Returns: 0, -ENOENT. */
int fwd_peer_del(struct fwd *f, uint32_t peer);

struct fwd_session {
	uint32_t peer;
	uint64_t seq; /* must be greater than any seen in this boot */
	uint8_t protocol, role, cipher, transport;
	uint32_t local_index, remote_index;
	struct ulid tunnel, credential;
	uint64_t tunnel_started_ms, handshake_ms; /* Unix time, passed through */
	/* Becomes the peer's path; OpenVPN: not before it is confirmed or used when another session
	 * is in use, and not at all in a rekey. TCP, with its connection: where this session's
	 * packets go to and may come from, whatever else the peer does. */
	struct path path;
	uint8_t seal[AEAD_KEY_MAX], open[AEAD_KEY_MAX];
	/* OpenVPN: local_index is the peer-id, remote_index is not used, role is responder. A
	 * session of a client without peer-id (UAPI_DATA_V1) is found by its path and key id. */
	uint8_t key_id, format; /* enum uapi_format; EPOCH: seal and open are the first secrets, 32
				   bytes whatever the cipher, and there is no IV */
	uint8_t seal_iv[UAPI_IV], open_iv[UAPI_IV];
	uint16_t ping_s, timeout_s;
	uint32_t life_s; /* both protocols; 0: as long as WireGuard's */
	uint16_t tls;	 /* passed through */
};
/* Installs keys: responder into next, initiator into current (see the slot rules, B7; OpenVPN: an
 * older next of the same tunnel goes on receiving, and previous ends after a minute). A session
 * of another tunnel than the one it replaces as current drops all slots of that one when it is
 * confirmed (WireGuard: of another credential). The caller wipes its copy.
 * Returns: 0, -ENOENT (no such peer), -EALREADY (seq seen before), -EEXIST (index in use),
 * -EINVAL, -ENOMEM. */
int fwd_session_set(struct fwd *f, const struct fwd_session *s, uint64_t now) must_check;
/* Drops all key slots of that credential, or of all when it is zero, and staged packets. When it
 * returns no worker uses them any more. Returns: 0 (also when there was nothing). */
int fwd_session_del(struct fwd *f, uint32_t peer, const struct ulid *credential);
/* From now on what goes to the peer is sealed with that session, as if a valid packet had come on
 * it: FWD_EVENT_CONFIRMED is told (OpenVPN, whose server may switch first). Returns: 0 (also when
 * an even newer one is in use), -ENOENT (also for WireGuard). */
int fwd_session_use(struct fwd *f, uint32_t peer, uint64_t seq);
/* Seals the packet that makes the session's client connect anew (OpenVPN's OCC_EXIT), for the time
 * when this dataplane is gone. Its packet id is the one behind the last that the session may use,
 * so no other packet has its nonce; asked again it is the same packet, byte for byte (in the epoch
 * format: as long as the epoch is). out has UAPI_FAREWELL_MAX bytes.
 * Returns: its length; 0 when there is none: no such session, WireGuard, TCP. */
size_t fwd_session_farewell(struct fwd *f, uint32_t peer, uint64_t seq, uint8_t *out);
/* A TCP connection is gone; peer is who last sent a valid packet on it. Drops the sessions that
 * came by it and, when the one in use was among them or none is in use, tells FWD_EVENT_EXPIRED
 * with the next tick. When it returns nothing is opened or sealed with them in a new batch. */
void fwd_connection_closed(struct fwd *f, uint32_t peer, uint32_t connection);
uint64_t fwd_session_seq(const struct fwd *f); /* highest seq seen in this boot */

/* Mark and sweep: after fwd_sync_end every peer that fwd_peer_set did not name since fwd_sync_begin
 * is gone. Returns: how many. */
void fwd_sync_begin(struct fwd *f);
uint32_t fwd_sync_end(struct fwd *f);

enum fwd_event_kind {
	FWD_EVENT_CONFIRMED = 1, /* first valid packet on a session: seq */
	FWD_EVENT_REKEY = 2,	 /* reason: enum uapi_rekey numbers 1..4 */
	FWD_EVENT_EXPIRED = 3,	 /* the peer's last usable session is gone: seq, reason: uapi_end */
	FWD_EVENT_MOVED = 4,	 /* path */
};
struct fwd_event {
	enum fwd_event_kind kind;
	uint32_t peer;
	uint64_t seq;
	uint8_t reason;
	struct path path;
};
struct fwd_packet;
struct fwd_tick_ops {
	/* Returns false when it can't take the event now; the event then comes again next tick. */
	bool (*event)(void *arg, const struct fwd_event *e);
	/* A packet that the tick wants sent (keepalives): its verdict is SEND, or STREAM and it
	 * is then sealed by fwd_seal with the worker number limits.workers. */
	void (*send)(void *arg, struct fwd_packet *p);
	void *arg;
};
/* Runs all timers: keepalives (T6), rekey wishes (T1, T2, T3, T4, T7), expiry (T10, keys wiped);
 * of OpenVPN pings, silence and goodbyes, and the only wish is UAPI_REKEY_COUNTER. And reports what
 * happened on the workers. Call every 100 ms or so. Cost follows the number of peers that have
 * sessions or staged packets. */
void fwd_tick(struct fwd *f, uint64_t now, const struct fwd_tick_ops *ops);

struct fwd_peer_stats {
	uint32_t peer;
	uint64_t epoch;
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* since creation */
	uint32_t rx_age_ms;				     /* UINT32_MAX: never */
	bool up;
	uint8_t protocol, cipher, transport;
	uint32_t local_index;
	uint8_t key_id;
	uint16_t tls;
	struct ulid tunnel, credential;
	uint64_t tunnel_started_ms, handshake_ms;
	struct path path;
	uint64_t tunnel_rx_bytes, tunnel_tx_bytes, tunnel_rx_packets, tunnel_tx_packets;
};
/* Peers with id >= from in rising order. Returns: how many were written, at most cap. */
size_t fwd_peer_stats(
	struct fwd *f, uint32_t from, struct fwd_peer_stats *out, size_t cap, uint64_t now);
struct fwd_totals {
	uint32_t peers, sessions;
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
	uint64_t verdicts[FWD_VERDICT_COUNT];
};
void fwd_totals(struct fwd *f, struct fwd_totals *out);

/* ---- worker part ---- */

/* A batch: between the two calls the worker may hold pointers into the engine. */
void fwd_enter(struct fwd *f, uint32_t worker);
void fwd_leave(struct fwd *f, uint32_t worker);

/* One packet, worked on in place. tx: in a buffer with FWD_HEADROOM before and FWD_TAILROOM after
 * it; rx: without, its neighbours are other packets. */
struct fwd_packet {
	uint8_t *data; /* rx in: outer datagram, out: inner packet; tx the reverse */
	uint32_t len;
	struct path path; /* rx in: where it came from; tx out: where to send it */
	uint8_t verdict;  /* out: FWD_DELIVER, FWD_SEND and FWD_STREAM mean data/len (and path) are
			     valid */
	uint32_t peer;	  /* out: peer id when known */
	struct session *session; /* STREAM: what to seal it with, until fwd_leave */
};

/* Data datagrams of both protocols (as classified). Anything may be in them.
 * Verdicts are counted, save those that the caller must still decide (DELIVER: the TUN write may
 * fail; the caller counts those with fwd_count). Order within a flow is kept. */
void fwd_rx(struct fwd *f, uint32_t worker, struct fwd_packet *p, size_t n, uint64_t now);
/* Inner packets read from the TUN device. STAGED packets have been copied. Those to a peer that
 * came by TCP get the verdict STREAM: they are still plain, and path names the connection. */
void fwd_tx(struct fwd *f, uint32_t worker, struct fwd_packet *p, size_t n, uint64_t now);
/* Seals STREAM packets of one run (one peer, at most FWD_RUN) with the session that each names, in
 * place: verdict SEND, or NO_SESSION when that has ended since, which is counted. The caller holds
 * whatever keeps the bytes of that connection in order, so that packet ids rise along the stream;
 * what finds no room there is dropped before. Inner bytes are counted here (for limits.workers,
 * whose packets are pings, none). */
void fwd_seal(struct fwd *f, uint32_t worker, struct fwd_packet *const *p, size_t n, uint64_t now);
/* Takes staged packets of this worker whose peers have got a session: copies each into the
 * caller's buffers (p[i].data preset, cap bytes each with the usual rooms) and seals it.
 * Returns: how many are to be sent, SEND or STREAM; they come first. */
size_t fwd_unstage(
	struct fwd *f, uint32_t worker, struct fwd_packet *p, size_t n, size_t cap, uint64_t now);
/* True while this worker has staged packets, so that its loop must come round by itself. */
bool fwd_has_staged(struct fwd *f, uint32_t worker);
/* The control thread counts as worker number limits.workers. */
void fwd_count(struct fwd *f, uint32_t worker, enum fwd_verdict v, uint64_t n);

#endif
