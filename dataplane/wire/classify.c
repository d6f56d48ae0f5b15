/*
 * The first byte tells the protocols apart: WireGuard's types 1 to 4 would be OpenVPN's opcode 0,
 * which does not exist (reference A2, B2, C2).
 */
#include "wire/classify.h"

#include "base/compiler.h"
#include "wire/ovpn_wire.h"
#include "wire/wg_wire.h"

enum {
	OVPN_MIN = OVPN_CONTROL_MIN, /* nothing useful is shorter */
};

/* Missing: 1 and 2, dead since OpenVPN 2.0; 8, which only servers send. */
static const enum wire_class ovpn_opcodes[] = {
	[OVPN_SOFT_RESET] = WIRE_OVPN_CONTROL,
	[OVPN_CONTROL] = WIRE_OVPN_CONTROL,
	[OVPN_ACK] = WIRE_OVPN_CONTROL,
	[OVPN_DATA_V1] = WIRE_OVPN_DATA,
	[OVPN_RESET_CLIENT_V2] = WIRE_OVPN_CONTROL,
	[OVPN_DATA_V2] = WIRE_OVPN_DATA,
	[OVPN_RESET_CLIENT_V3] = WIRE_OVPN_CONTROL,
	[OVPN_CONTROL_WKC] = WIRE_OVPN_CONTROL,
};
_Static_assert(WIRE_GARBAGE == 0, "what the table leaves out");

static enum wire_class classify_wg(uint8_t type, size_t len)
{
	static const uint8_t handshake_size[] = {
		[WG_INITIATION] = sizeof(struct wg_initiation),
		[WG_RESPONSE] = sizeof(struct wg_response),
		[WG_COOKIE_REPLY] = sizeof(struct wg_cookie_reply),
	};

	if (type == WG_DATA)
		return len >= WG_DATA_MIN ? WIRE_WG_DATA : WIRE_GARBAGE;
	return len == handshake_size[type] ? WIRE_WG_HANDSHAKE : WIRE_GARBAGE;
}

enum wire_class wire_classify(const uint8_t *datagram, size_t len)
{
	enum ovpn_opcode opcode;

	if (len < OVPN_MIN)
		return WIRE_GARBAGE;
	if (datagram[0] >= WG_INITIATION && datagram[0] <= WG_DATA) {
		if (datagram[1] || datagram[2] || datagram[3])
			return WIRE_GARBAGE;
		return classify_wg(datagram[0], len);
	}
	opcode = ovpn_opcode(datagram[0]);
	return opcode < ARRAY_SIZE(ovpn_opcodes) ? ovpn_opcodes[opcode] : WIRE_GARBAGE;
}

bool wire_is_ovpn_occ(const uint8_t *datagram, size_t len)
{
	if (len < OVPN_MIN)
		return false;
	switch (ovpn_opcode(datagram[0])) {
	case OVPN_DATA_V1:
		return len == OVPN_DATA_V1_OVERHEAD + OVPN_OCC;
	case OVPN_DATA_V2:
		return len == OVPN_DATA_V2_OVERHEAD + OVPN_OCC ||
		       len == OVPN_EPOCH_OVERHEAD + OVPN_OCC;
	case OVPN_SOFT_RESET:
	case OVPN_CONTROL:
	case OVPN_ACK:
	case OVPN_RESET_CLIENT_V2:
	case OVPN_RESET_SERVER_V2:
	case OVPN_RESET_CLIENT_V3:
	case OVPN_CONTROL_WKC:
		break;
	}
	return false;
}

bool wire_is_server_handshake(const uint8_t *datagram, size_t len)
{
	if (len >= OVPN_MIN && ovpn_opcode(datagram[0]) == OVPN_RESET_SERVER_V2)
		return true;
	switch (wire_classify(datagram, len)) {
	case WIRE_WG_HANDSHAKE:
		return true;
	case WIRE_OVPN_CONTROL:
		return ovpn_opcode(datagram[0]) <= OVPN_ACK;
	case WIRE_GARBAGE:
	case WIRE_WG_DATA:
	case WIRE_OVPN_DATA:
		break;
	}
	return false;
}
