/*
 * Which of OpenVPN's control packets the control plane gets to see. One object per worker.
 *
 *   whole, with a wrapper of the right size? --no--> malformed
 *      | yes
 *   a kind that the control plane serves? --no--> dropped
 *      | yes
 *   budget of its prefix, of resets or of the others --> pass
 *
 * A reset needs no proof of its address, and every handshake begins with one; so resets have a
 * budget of their own and can't push out the packets of handshakes under way. Nothing is shared
 * between prefixes but a last resort far above what anybody should need.
 *
 * Pure: no socket, no clock, no key: only the control plane can open the wrapper.
 */
#ifndef IO_OVPN_ADMISSION_H
#define IO_OVPN_ADMISSION_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

enum ovpn_admission_outcome {
	OVPN_ADMISSION_PASS = 0,
	OVPN_ADMISSION_MALFORMED = 1,
	OVPN_ADMISSION_NOT_CONFIGURED = 2, /* not served here */
	OVPN_ADMISSION_LIMITED = 3,	   /* too many */
};

enum {
	/* Per second and prefix (/32, /64). Behind one address there may be many devices, all of
	 * which come at once after a restart. */
	OVPN_ADMISSION_RESET_RATE = 100,
	OVPN_ADMISSION_RESET_BURST = 400,
	OVPN_ADMISSION_RATE = 2000,
	OVPN_ADMISSION_BURST = 4000,
	/* Per second in all, of resets and of the others. */
	OVPN_ADMISSION_ALL = 50000,
};

struct ovpn_admission;

/* Serves nobody yet. Returns owned. Returns: 0, -ENOMEM, -EIO (no randomness). */
int ovpn_admission_new(struct ovpn_admission **out) must_check;
void ovpn_admission_free(struct ovpn_admission *a);

/* Bits of enum uapi_openvpn: who is served from now on. */
void ovpn_admission_serve(struct ovpn_admission *a, uint8_t openvpn);

/* Decides on one packet that wire_classify called WIRE_OVPN_CONTROL. Now is monotonic
 * milliseconds. */
enum ovpn_admission_outcome ovpn_admission_check(struct ovpn_admission *a, const uint8_t *packet,
	size_t len, const struct endpoint *from, uint64_t now) must_check;

#endif
