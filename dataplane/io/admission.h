/*
 * Who may bother the control plane with a WireGuard handshake datagram. One object per worker.
 *
 *   mac1 right? --no--> dropped            (knows the server's public key)
 *      | yes
 *   loaded, or its prefix over the generous limit? --no--> pass
 *      | yes
 *   mac2 right? --no--> answered with a cookie    (receives at the address it claims)
 *      | yes
 *   tight limit per prefix, of those with a right mac2 --> pass
 *
 * The two limits count apart: whoever sends in somebody else's name uses up what that prefix may
 * without a cookie, never what it may with one.
 *
 * Pure: no socket, no clock; randomness only for the cookie secret and nonces. Reference B4. The
 * secret lives 120 s and its predecessor is not accepted, as in the kernel: a cookie that has just
 * gone stale costs its owner one more round trip.
 */
#ifndef IO_ADMISSION_H
#define IO_ADMISSION_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/wg_wire.h"

enum admission_outcome {
	ADMISSION_PASS = 0,
	ADMISSION_BAD_MAC1 = 1, /* drop */
	ADMISSION_COOKIE = 2,	/* send the reply that was written to the sender */
	ADMISSION_LIMITED = 3,	/* drop: too many from that prefix */
};

enum {
	/* Datagrams per second and prefix (/32, /64) without a cookie. Many devices behind one
	 * address that come at once, after a restart, are no attack. */
	ADMISSION_RATE = 300,
	ADMISSION_BURST = 800,
	ADMISSION_LOADED_RATE = 20, /* with one */
	ADMISSION_LOADED_BURST = 5,
	/* Passed in one second: from here on it is load. The control plane does some 5,000 a second
	 * on one core; answers to its own calls after a restart count as well. */
	ADMISSION_LOAD = 1000,
	ADMISSION_COOKIE_RATE = 20, /* cookie replies of others that pass, per second in all */
};

struct admission;

/* Returns owned. Returns: 0, -ENOMEM, -EIO (no randomness). */
int admission_new(struct admission **out) must_check;
void admission_free(struct admission *a);

/* The server's public key; all zero: there is none and nothing passes. Returns: 0, -EIO. */
int admission_set_key(struct admission *a, const uint8_t wg_public[32]) must_check;

/* Decides on one datagram that wire_classify called WIRE_WG_HANDSHAKE. For ADMISSION_COOKIE reply
 * has been written. Now is monotonic milliseconds. */
enum admission_outcome admission_check(struct admission *a, const uint8_t *datagram, size_t len,
	const struct endpoint *from, uint64_t now, struct wg_cookie_reply *reply) must_check;

/* The control plane did not take a datagram: that is load for the next second. */
void admission_punt_full(struct admission *a, uint64_t now);

#endif
