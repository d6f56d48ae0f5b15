/* Headers, nonces and tags of both protocols (reference A14.1, B5). */
#include "fwd/framing.h"

#include <string.h>

#include "fwd/fwd.h"
#include "fwd/session.h"
#include "uapi/uapi.h"

enum {
	V2_PACKET_ID = 4, /* where it stands, and what the associated data ends with */
	V1_PACKET_ID = 1,
	PACKET_ID = 4,
};

/* OpenVPN's peers refuse an empty text. */
const struct frame_layout frame_layouts[FRAME_COUNT] = {
	[FRAME_WG] = {sizeof(struct wg_data), WG_DATA_OVERHEAD, 0},
	[FRAME_OVPN_V2] = {OVPN_DATA_V2_OVERHEAD, OVPN_DATA_V2_OVERHEAD, 1},
	[FRAME_OVPN_V1] = {OVPN_DATA_V1_OVERHEAD, OVPN_DATA_V1_OVERHEAD, 1},
};

_Static_assert(OVPN_DATA_V2_HEAD == V2_PACKET_ID + PACKET_ID, "A14.1");
_Static_assert(OVPN_DATA_V1_HEAD == V1_PACKET_ID + PACKET_ID, "A14.1");
_Static_assert(PACKET_ID + UAPI_IV == AEAD_NONCE && (int)OVPN_TAG == (int)AEAD_TAG, "A14.1");
_Static_assert((int)FWD_HEADROOM >= (int)OVPN_DATA_V2_OVERHEAD, "header and tag go in front");
_Static_assert(FWD_HEADROOM >= sizeof(struct wg_data), "the header goes in front");
_Static_assert((int)FWD_TAILROOM >= (int)WG_PAD - 1 + AEAD_TAG, "padding and tag go behind");

enum frame frame_of(uint8_t protocol, uint8_t format)
{
	if (protocol == UAPI_WIREGUARD)
		return FRAME_WG;
	if (protocol != UAPI_OPENVPN)
		return FRAME_COUNT;
	switch ((enum uapi_format)format) {
	case UAPI_DATA_V2:
		return FRAME_OVPN_V2;
	case UAPI_DATA_V1:
		return FRAME_OVPN_V1;
	case UAPI_DATA_EPOCH:
		break;
	}
	return FRAME_COUNT;
}

/* ---- WireGuard ---- */

/* A multiple of 16, but not beyond the MTU: that would not fit the outer path. */
static uint32_t padded(uint32_t len, uint32_t mtu)
{
	uint32_t up = (len + WG_PAD - 1) / WG_PAD * WG_PAD;

	if (up <= mtu)
		return up;
	return len > mtu ? len : mtu;
}

static void wg_open(struct aead_op *op, const struct fwd_packet *p, uint64_t counter)
{
	uint8_t *text = p->data + sizeof(struct wg_data);
	uint32_t len = p->len - WG_DATA_OVERHEAD;

	*op = (struct aead_op){.text = text, .len = len, .tag = text + len};
	wire_put_le64(op->nonce + 4, counter);
}

static void wg_seal(struct aead_op *op, struct fwd_packet *p, const struct session *s,
	uint64_t counter, uint32_t mtu)
{
	uint32_t len = padded(p->len, mtu);

	memset(p->data + p->len, 0, len - p->len);
	*op = (struct aead_op){.text = p->data, .len = len, .tag = p->data + len};
	wire_put_le64(op->nonce + 4, counter);

	struct wg_data header = {.type = {WG_DATA}};
	wire_put_le32(header.receiver, s->remote_index);
	wire_put_le64(header.counter, counter);
	p->data -= sizeof(header);
	memcpy(p->data, &header, sizeof(header));
	p->len = len + WG_DATA_OVERHEAD;
}

/* ---- OpenVPN ---- */

/* The header is in place. */
static void ovpn_op(struct aead_op *op, uint8_t *data, uint32_t len, enum frame frame,
	const uint8_t iv[UAPI_IV])
{
	const bool v2 = frame == FRAME_OVPN_V2;
	const uint32_t id = v2 ? V2_PACKET_ID : V1_PACKET_ID;
	uint8_t *tag = data + id + PACKET_ID;

	*op = (struct aead_op){
		.text = tag + OVPN_TAG,
		.len = len - id - PACKET_ID - OVPN_TAG,
		.tag = tag,
		.aad = v2 ? data : data + id,
		.aad_len = v2 ? OVPN_DATA_V2_HEAD : PACKET_ID,
	};
	memcpy(op->nonce, data + id, PACKET_ID);
	memcpy(op->nonce + PACKET_ID, iv, UAPI_IV);
}

static void ovpn_seal(
	struct aead_op *op, struct fwd_packet *p, const struct session *s, uint64_t counter)
{
	const uint32_t overhead = frame_layouts[s->frame].overhead;

	p->data -= overhead;
	p->len += overhead;
	if (s->frame == FRAME_OVPN_V2) {
		wire_put_be32(p->data, s->local_index); /* the peer-id; the opcode goes over it */
		p->data[0] = ovpn_first(OVPN_DATA_V2, s->key_id);
		wire_put_be32(p->data + V2_PACKET_ID, (uint32_t)counter);
	} else {
		p->data[0] = ovpn_first(OVPN_DATA_V1, s->key_id);
		wire_put_be32(p->data + V1_PACKET_ID, (uint32_t)counter);
	}
	ovpn_op(op, p->data, p->len, s->frame, s->seal_iv);
}

/* ---- runs ---- */

void frame_open(const struct session *s, struct aead_op *ops, struct fwd_packet *const *p,
	const uint64_t *counters, uint32_t n)
{
	if (s->frame == FRAME_WG) {
		for (uint32_t i = 0; i < n; i++)
			wg_open(&ops[i], p[i], counters[i]);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		ovpn_op(&ops[i], p[i]->data, p[i]->len, s->frame, s->open_iv);
}

void frame_seal(const struct session *s, struct aead_op *ops, struct fwd_packet *const *p,
	uint32_t n, uint64_t first, uint32_t mtu)
{
	if (s->frame == FRAME_WG) {
		for (uint32_t i = 0; i < n; i++)
			wg_seal(&ops[i], p[i], s, first + i, mtu);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		ovpn_seal(&ops[i], p[i], s, first + i);
}
