/*
 * The steps of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (reference B1 to B4):
 * pure functions over values, no time, no randomness, no tables.
 *
 *   initiator                                   responder
 *   noise_initiation_create  --initiation-->    noise_initiation_open_static   who is it?
 *                                               noise_initiation_open_timestamp
 *   noise_response_consume   <--response--      noise_response_create
 *
 * All of them: 0, -EBADMSG (not authentic), -EINVAL (a point of low order), -EIO.
 */
#ifndef WG_NOISE_H
#define WG_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/secret.h"
#include "wire/wg_wire.h"

enum { NOISE_TIMESTAMP = 12, NOISE_MAC = 16 };

/* A static public key and what follows from it alone. */
struct noise_identity {
	uint8_t public_key[32];
	uint8_t hash[32];	/* transcript begin when this is the responder's */
	uint8_t mac1_key[32];	/* for messages to it */
	uint8_t cookie_key[32]; /* for cookie replies from it */
};
int noise_identity_init(struct noise_identity *id, const uint8_t public_key[32]) must_check;

/* Ourselves. The private key stays where it is and is used through dh. */
struct noise_local {
	struct noise_identity id;
	int (*dh)(void *arg, const uint8_t peer[32], uint8_t out[32]);
	void *arg;
};

/* A peer. Wipe with noise_remote_wipe. */
struct noise_remote {
	struct noise_identity id;
	uint8_t static_static[32]; /* DH of both static keys, computed once */
	uint8_t psk[32];
};
int noise_remote_init(struct noise_remote *r, const struct noise_local *local,
	const uint8_t public_key[32], const uint8_t psk[32]) must_check;
void noise_remote_wipe(struct noise_remote *r);

/* A handshake between its two messages. */
struct noise_state {
	uint8_t chain[32];
	uint8_t hash[32];
	uint8_t ephemeral[32]; /* initiator: own private key; responder: the initiator's public key
				*/
};
void noise_state_wipe(struct noise_state *st);
#define noise_state_local struct noise_state cleanup(noise_state_wipe)

/* Keys of the session as its owner uses them. */
struct noise_keys {
	uint8_t seal[32];
	uint8_t open[32];
};
void noise_keys_wipe(struct noise_keys *k);

/* Fills everything but the macs. sender is our index. */
int noise_initiation_create(struct noise_state *st, const struct noise_local *local,
	const struct noise_remote *remote, const uint8_t ephemeral_private[32],
	const uint8_t timestamp[NOISE_TIMESTAMP], uint32_t sender,
	struct wg_initiation *out) must_check;
/* Opens the initiator's static key, and after it has been looked up, the timestamp. What comes out
 * of the first is not proven yet: anybody can name anybody. */
int noise_initiation_open_static(struct noise_state *st, const struct noise_local *local,
	const struct wg_initiation *in, uint8_t static_public[32]) must_check;
int noise_initiation_open_timestamp(struct noise_state *st, const struct noise_remote *remote,
	const struct wg_initiation *in, uint8_t timestamp[NOISE_TIMESTAMP]) must_check;

/* Continues an opened initiation. Fills everything but the macs; the responder's keys. */
int noise_response_create(const struct noise_state *st, const struct noise_remote *remote,
	const uint8_t ephemeral_private[32], uint32_t sender, const uint8_t receiver[4],
	struct wg_response *out, struct noise_keys *keys) must_check;
/* st is not changed, so a forged response spoils nothing. The initiator's keys. */
int noise_response_consume(const struct noise_state *st, const struct noise_local *local,
	const struct noise_remote *remote, const struct wg_response *in,
	struct noise_keys *keys) must_check;

/* Both macs at the end of an initiation or response of len bytes. cookie may be NULL: mac2 zero. */
int noise_mac_seal(uint8_t *message, size_t len, const struct noise_identity *receiver,
	const uint8_t cookie[NOISE_MAC]) must_check;
/* mac1 of a message to receiver. Returns: 0, -EBADMSG, -EIO. */
int noise_mac1_check(
	const uint8_t *message, size_t len, const struct noise_identity *receiver) must_check;
/* mac1_sent is that of the message which was refused (reference B4). */
int noise_cookie_open(uint8_t cookie[NOISE_MAC], const struct wg_cookie_reply *in,
	const struct noise_identity *sender, const uint8_t mac1_sent[NOISE_MAC]) must_check;

/* KDFn: n of 1 to 3 keys from input under key. */
int noise_kdf(struct key32 *out, size_t n, const uint8_t *key, size_t key_len, const void *input,
	size_t input_len) must_check;

/* TAI64N of a count of WireGuard's ticks since 1970: a tick is 2^24 ns, so the low 24 bits of the
 * nanoseconds are zero and tell nobody the precise time. Ticks begin anew in each second. */
enum { NOISE_TICKS = 60 };
void noise_timestamp_pack(uint8_t out[NOISE_TIMESTAMP], uint64_t ticks);
/* Ticks at a time, microseconds since 1970; 0 for times before. */
uint64_t noise_ticks(int64_t real_us);

#endif
