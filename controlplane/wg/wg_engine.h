/*
 * WireGuard's handshakes, both roles: bytes and a time in; bytes, keys and a verdict out. No
 * socket, no clock, no thread; the coordinator feeds it and carries out what it says.
 *
 *   initiator: IDLE --initiate--> SENT --response--> (keys, IDLE)
 *                                  | 5 s + jitter: again, new ephemeral; 90 s: given up
 *   responder: initiation --> (keys + response, IDLE)
 *
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s; constants and checks as in the WireGuard reference, B1 to
 * B7. Keys of an initiation's answer must be installed before the answer is sent.
 */
#ifndef WG_WG_ENGINE_H
#define WG_WG_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"

struct keystore;
struct wg_engine;

enum { WG_DATAGRAM_MAX = 148, WG_TAI64N = 12 };

/* How a handshake datagram ended. Negative values are refusals, named in logs and metrics. */
#define WG_VERDICTS(X)                                                                             \
	X(SESSION, "session", "keys were agreed")                                                  \
	X(COOKIE, "cookie", "the peer wants its cookie in the next attempt")                       \
	X(MALFORMED, "malformed", "not the length or type of a handshake datagram")                \
	X(BAD_MAC1, "bad_mac1", "mac1 is wrong")                                                   \
	X(BAD_STATIC, "bad_static", "the static key could not be opened")                          \
	X(UNKNOWN_PEER, "unknown_peer", "no credential with this public key")                      \
	X(BAD_TIMESTAMP, "bad_timestamp", "the timestamp could not be opened")                     \
	X(REPLAYED, "replayed", "the timestamp is not newer than the greatest seen")               \
	X(TOO_FAST, "too_fast", "less than 20 ms after the peer's last initiation")                \
	X(UNKNOWN_INDEX, "unknown_index", "answers no handshake of ours")                          \
	X(BAD_RESPONSE, "bad_response", "the response could not be opened")                        \
	X(NO_INDEX, "no_index", "no free session index")                                           \
	X(INTERNAL, "internal", "the crypto library failed")
#define WG_VERDICT_ENUM(E, name, meaning) WG_##E,
enum wg_verdict { WG_VERDICTS(WG_VERDICT_ENUM) WG_VERDICT_COUNT };
#undef WG_VERDICT_ENUM
const char *wg_verdict_name(enum wg_verdict v);

struct wg_ops {
	/* A local index for the peer that no handshake and no session uses, or 0 when there is
	 * none. */
	uint32_t (*index_alloc)(void *arg, const struct ulid *credential);
	/* The index came to nothing and may be used again (after the caller's own waiting time). */
	void (*index_free)(void *arg, uint32_t index);
	void *arg;
};

/* Borrows ks and ops for its life. Returns: 0, -ENOMEM, -EIO. */
int wg_engine_new(struct wg_engine **out, struct keystore *ks, const struct wg_ops *ops) must_check;
void wg_engine_free(struct wg_engine *e); /* wipes */

/* A peer is a credential. Setting one that exists changes its psk and keeps the greatest timestamp;
 * with another public key it becomes a new peer. greatest may be NULL. Returns: 0, -EEXIST (key of
 * another credential), -EINVAL (a public key that X25519 refuses, or the server's own), -ENOMEM. */
int wg_engine_peer_set(struct wg_engine *e, const struct ulid *credential,
	const uint8_t public_key[32], const uint8_t psk[32],
	const uint8_t greatest[WG_TAI64N]) must_check;
/* Also forgets its half-done handshakes. Returns: 0, -ENOENT. */
int wg_engine_peer_del(struct wg_engine *e, const struct ulid *credential);

/* What came of an input. */
struct wg_result {
	enum wg_verdict verdict;
	struct ulid credential; /* when the peer is known */
	/* WG_SESSION: */
	bool initiator;
	uint32_t local_index, remote_index;
	uint8_t seal[32], open[32];
	uint8_t greatest[WG_TAI64N]; /* responder: the new greatest timestamp, to be stored */
	/* responder: the response, to be sent on the path the initiation came by, after the keys
	 * have been installed */
	uint8_t reply[WG_DATAGRAM_MAX];
	size_t reply_len;
};
void wg_result_wipe(struct wg_result *r);

/* Takes one datagram of type 1, 2 or 3. mono_ms for timers. The caller wipes *r. */
void wg_engine_input(struct wg_engine *e, const uint8_t *datagram, size_t len,
	const struct path *from, uint64_t mono_ms, struct wg_result *r);

/* A datagram that the engine wants sent. */
struct wg_out {
	struct ulid credential;
	struct path path;
	uint8_t bytes[WG_DATAGRAM_MAX];
	size_t len;
};

/* Starts a handshake with that credential's client at path, unless an initiation was sent less than
 * 5 s ago. Asked for again while one is under way, its 90 s begin anew and retries go to path.
 * After -EIO and -ENOSPC the attempt stands: wg_engine_due tries again. Returns: 0 with *out to
 * send, -EAGAIN (too soon), -ENOENT, -EIO, -ENOSPC (no index). */
int wg_engine_initiate(struct wg_engine *e, const struct ulid *credential, const struct path *path,
	uint64_t mono_ms, int64_t real_us, struct wg_out *out) must_check;
/* The sessions that were made so far are known to be lost (the dataplane that had them is gone):
 * the next initiation to anybody need not keep its distance of 5 s. */
void wg_engine_hurry(struct wg_engine *e);
/* Retries that are due (T5): fills *out and returns true; call until it returns false. */
bool wg_engine_due(struct wg_engine *e, uint64_t mono_ms, int64_t real_us, struct wg_out *out);
/* When the next retry or giving up is due, UINT64_MAX: nothing is under way. */
uint64_t wg_engine_next_due(const struct wg_engine *e);
/* A session with this credential was confirmed or made by the peer: no more retries. */
void wg_engine_settled(struct wg_engine *e, const struct ulid *credential);

#endif
