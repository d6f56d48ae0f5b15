/*
 * The first byte tells the protocols apart: WireGuard's types 1 to 4 would be OpenVPN's opcode 0,
 * which does not exist (reference A2, B2, C2).
 */
#include "wire/classify.h"

#include "base/compiler.h"
#include "wire/wg_wire.h"

enum {
	OVPN_OPCODE_SHIFT = 3, /* the low bits are the key id */
	OVPN_MIN = 14,	       /* a bare client reset; nothing useful is shorter */
};

/* Missing: 1 and 2, dead since OpenVPN 2.0; 8, which only servers send. */
static const enum wire_class ovpn_opcodes[] = {
	[3] = WIRE_OVPN_CONTROL,  /* CONTROL_SOFT_RESET_V1 */
	[4] = WIRE_OVPN_CONTROL,  /* CONTROL_V1 */
	[5] = WIRE_OVPN_CONTROL,  /* ACK_V1 */
	[6] = WIRE_OVPN_DATA,	  /* DATA_V1 */
	[7] = WIRE_OVPN_CONTROL,  /* CONTROL_HARD_RESET_CLIENT_V2 */
	[9] = WIRE_OVPN_DATA,	  /* DATA_V2 */
	[10] = WIRE_OVPN_CONTROL, /* CONTROL_HARD_RESET_CLIENT_V3 */
	[11] = WIRE_OVPN_CONTROL, /* CONTROL_WKC_V1 */
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
	size_t opcode;

	if (len < OVPN_MIN)
		return WIRE_GARBAGE;
	if (datagram[0] >= WG_INITIATION && datagram[0] <= WG_DATA) {
		if (datagram[1] || datagram[2] || datagram[3])
			return WIRE_GARBAGE;
		return classify_wg(datagram[0], len);
	}
	opcode = datagram[0] >> OVPN_OPCODE_SHIFT;
	return opcode < ARRAY_SIZE(ovpn_opcodes) ? ovpn_opcodes[opcode] : WIRE_GARBAGE;
}
