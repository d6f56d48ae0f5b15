/*
 * Our session id in the answer to a reset over UDP is a cookie: who sends it back has received what
 * was sent to his address (reference A6.2). It binds address, port, listener, the client's session
 * id and a slot of time; the current slot and the two before it are good.
 */
#ifndef OVPN_COOKIE_H
#define OVPN_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/ovpn_wire.h"

enum { COOKIE_SLOT_MS = 30 * 1000, COOKIE_SLOTS = 3 };

struct cookie_secret {
	uint8_t key[32];
};

/* Returns: 0, -EIO. */
int cookie_secret_init(struct cookie_secret *c) must_check;
void cookie_secret_wipe(struct cookie_secret *c);

/* Returns: 0, -EIO. */
int cookie_make(const struct cookie_secret *c, const struct path *from,
	const uint8_t client_sid[OVPN_SID], uint64_t mono_ms, uint8_t out[OVPN_SID]) must_check;
/* Whether sid is a cookie of ours for exactly that client, not older than 60 to 90 s. */
bool cookie_good(const struct cookie_secret *c, const struct path *from,
	const uint8_t client_sid[OVPN_SID], uint64_t mono_ms, const uint8_t sid[OVPN_SID]);

#endif
