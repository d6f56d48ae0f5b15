/* What an outer datagram is, by its first bytes and its length; nothing else is looked at. */
#ifndef WIRE_CLASSIFY_H
#define WIRE_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_class {
	WIRE_GARBAGE,	   /* to be dropped without a trace but a counter */
	WIRE_WG_DATA,	   /* type 4, at least 32 bytes (padding stops at the MTU, so any length) */
	WIRE_WG_HANDSHAKE, /* type 1, 2 or 3 with exactly 148, 92 or 64 bytes */
	/* OpenVPN's opcodes 3 to 11 in the high five bits; the two protocols never collide. */
	WIRE_OVPN_DATA,
	WIRE_OVPN_CONTROL,
};

enum wire_class wire_classify(const uint8_t *datagram, size_t len);

/* Whether a server may send this as part of a handshake: WireGuard's three, OpenVPN's control
 * packets with the server's own reset. Never data. */
bool wire_is_server_handshake(const uint8_t *datagram, size_t len);

/* Whether it could be an OpenVPN data packet with nothing in it but an OCC message (A15), in any of
 * the formats: by its length. */
bool wire_is_ovpn_occ(const uint8_t *datagram, size_t len);

#endif
