/*
 * What stands around the sealed text of a data packet: header, nonce, associated data, tag.
 *
 *      WireGuard    type 4 | index 4 | counter 8 | text | tag 16             nonce 0 4 | counter 8
 *      OpenVPN V2   op | peer-id 3 | packet id 4 | tag 16 | text             nonce id 4 | iv 8
 *      OpenVPN V1   op | packet id 4 | tag 16 | text                         the same
 *      epoch format op | peer-id 3 | epoch 2, counter 6 | text | tag 16      (both | 0 4) xor iv 12
 *
 * Associated data (reference A14.1, A14.2, B5): none; the whole header; the packet id alone; the
 * whole header. It stands in the packet itself, apart from text and tag, so it is whole while both
 * are worked on in place.
 */
#ifndef FWD_FRAMING_H
#define FWD_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "crypto/aead.h"
#include "wire/ovpn_wire.h"
#include "wire/wg_wire.h"

struct fwd_packet;
struct session;

enum frame { FRAME_WG, FRAME_OVPN_V2, FRAME_OVPN_V1, FRAME_OVPN_EPOCH, FRAME_COUNT };

/* Bytes of a packet beside its text. */
struct frame_layout {
	uint8_t before;	  /* in front of the text: header, and tag where that comes first */
	uint8_t overhead; /* in all */
	uint8_t min_text;
};
extern const struct frame_layout frame_layouts[FRAME_COUNT];

/* Returns: the frame for that enum uapi_protocol and enum uapi_format, FRAME_COUNT for none. */
enum frame frame_of(uint8_t protocol, uint8_t format);

/* Reads the counter of a packet that goes to a session of that frame.
 * Returns: false when the packet is too short or the counter none. */
static inline bool frame_counter(
	enum frame frame, const uint8_t *data, uint32_t len, uint64_t *counter)
{
	if (len < (uint32_t)frame_layouts[frame].overhead + frame_layouts[frame].min_text)
		return false;
	switch (frame) {
	case FRAME_WG:
		*counter = wire_le64(data + offsetof(struct wg_data, counter));
		return true;
	case FRAME_OVPN_V2:
		*counter = wire_be32(data + 4);
		return *counter;
	case FRAME_OVPN_V1:
		*counter = wire_be32(data + 1);
		return *counter;
	case FRAME_OVPN_EPOCH: /* neither part of it begins at 0 */
		*counter = wire_be64(data + 4);
		return ovpn_epoch(*counter) && *counter & OVPN_EPOCH_COUNTER;
	case FRAME_COUNT:
		break;
	}
	return false;
}

/* Both prepare the whole run for the batch functions of crypto/aead; iv is the fixed part of its
 * nonces. Open leaves the packets as they are; their lengths fit the frame. Seal puts the header in
 * front of the text, and for WireGuard padding behind it: data and len become the outer datagram.
 */
void frame_open(enum frame frame, const uint8_t iv[AEAD_NONCE], struct aead_op *ops,
	struct fwd_packet *const *p, const uint64_t *counters, uint32_t n);
void frame_seal(const struct session *s, const uint8_t iv[AEAD_NONCE], struct aead_op *ops,
	struct fwd_packet *const *p, uint32_t n, uint64_t first, uint32_t mtu);

#endif
