/* Headers, nonces and tags of both protocols (reference A14.1, A14.2, B5). */
#include "fwd/framing.h"

#include <string.h>

#include "fwd/fwd.h"
#include "fwd/session.h"
#include "uapi/uapi.h"

enum {
	V2_PACKET_ID = 4, /* where it stands, and what the associated data ends with */
	V1_PACKET_ID = 1,
	PACKET_ID = 4,
	EPOCH_PACKET_ID = 8,
};

/* OpenVPN's peers refuse an empty text. */
const struct frame_layout frame_layouts[FRAME_COUNT] = {
	[FRAME_WG] = {sizeof(struct wg_data), WG_DATA_OVERHEAD, 0},
	[FRAME_OVPN_V2] = {OVPN_DATA_V2_OVERHEAD, OVPN_DATA_V2_OVERHEAD, 1},
	[FRAME_OVPN_V1] = {OVPN_DATA_V1_OVERHEAD, OVPN_DATA_V1_OVERHEAD, 1},
	[FRAME_OVPN_EPOCH] = {OVPN_EPOCH_HEAD, OVPN_EPOCH_OVERHEAD, 1},
};

/* Where things stand in OpenVPN's packets. */
static const struct ovpn_layout {
	enum ovpn_opcode opcode;
	uint8_t id, id_len; /* the packet id; the header ends with it, as does what is associated */
	uint8_t aad;	    /* where that begins */
	bool tag_first;
} layouts[FRAME_COUNT] = {
	[FRAME_OVPN_V2] = {OVPN_DATA_V2, V2_PACKET_ID, PACKET_ID, 0, true},
	[FRAME_OVPN_V1] = {OVPN_DATA_V1, V1_PACKET_ID, PACKET_ID, V1_PACKET_ID, true},
	[FRAME_OVPN_EPOCH] = {OVPN_DATA_V2, V2_PACKET_ID, EPOCH_PACKET_ID, 0, false},
};

_Static_assert(OVPN_DATA_V2_HEAD == V2_PACKET_ID + PACKET_ID, "A14.1");
_Static_assert(OVPN_DATA_V1_HEAD == V1_PACKET_ID + PACKET_ID, "A14.1");
_Static_assert(OVPN_EPOCH_HEAD == V2_PACKET_ID + EPOCH_PACKET_ID, "A14.2");
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
		return FRAME_OVPN_EPOCH;
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

/* The header is in place. In the classic formats iv begins with zeros, so what the packet id is
 * combined with is the id itself. */
static void ovpn_op(struct aead_op *op, uint8_t *data, uint32_t len, enum frame frame,
	const uint8_t iv[AEAD_NONCE])
{
	const struct ovpn_layout *l = &layouts[frame];
	const uint32_t head = l->id + l->id_len, text = len - head - OVPN_TAG;

	*op = (struct aead_op){
		.text = data + head + (l->tag_first ? OVPN_TAG : 0),
		.len = text,
		.tag = data + head + (l->tag_first ? 0 : text),
		.aad = data + l->aad,
		.aad_len = head - l->aad,
	};
	memcpy(op->nonce, iv, AEAD_NONCE);
	for (uint32_t i = 0; i < l->id_len; i++)
		op->nonce[i] ^= data[l->id + i];
}

static void ovpn_seal(struct aead_op *op, struct fwd_packet *p, const struct session *s,
	const uint8_t iv[AEAD_NONCE], uint64_t counter)
{
	const enum frame frame = (enum frame)s->frame;
	const struct ovpn_layout *l = &layouts[frame];

	p->data -= frame_layouts[frame].before;
	p->len += frame_layouts[frame].overhead;
	if (l->opcode == OVPN_DATA_V2)
		wire_put_be32(p->data, s->local_index); /* the peer-id; the opcode goes over it */
	p->data[0] = ovpn_first(l->opcode, s->key_id);
	if (l->id_len == EPOCH_PACKET_ID)
		wire_put_be64(p->data + l->id, counter);
	else
		wire_put_be32(p->data + l->id, (uint32_t)counter);
	ovpn_op(op, p->data, p->len, frame, iv);
}

/* ---- runs ---- */

void frame_open(enum frame frame, const uint8_t iv[AEAD_NONCE], struct aead_op *ops,
	struct fwd_packet *const *p, const uint64_t *counters, uint32_t n)
{
	if (frame == FRAME_WG) {
		for (uint32_t i = 0; i < n; i++)
			wg_open(&ops[i], p[i], counters[i]);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		ovpn_op(&ops[i], p[i]->data, p[i]->len, frame, iv);
}

void frame_seal(const struct session *s, const uint8_t iv[AEAD_NONCE], struct aead_op *ops,
	struct fwd_packet *const *p, uint32_t n, uint64_t first, uint32_t mtu)
{
	if (s->frame == FRAME_WG) {
		for (uint32_t i = 0; i < n; i++)
			wg_seal(&ops[i], p[i], s, first + i, mtu);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		ovpn_seal(&ops[i], p[i], s, iv, first + i);
}
