/*
 * The door's codec. Nothing here is written per message: the table, the packing and the unpacking
 * are expanded from the lists in uapi.h; by hand there is one pack and one unpack per kind of
 * field.
 *
 * What unpacks packs again to the same bytes: every value has exactly one form on the wire.
 */
#include "uapi/uapi.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { TEXT32 = 32 };

/* ---- kinds of fields: into the frame ---- */

static void pack_u8(struct writer *w, const uint8_t *v)
{
	writer_u8(w, *v);
}

static void pack_u16(struct writer *w, const uint16_t *v)
{
	writer_u16(w, *v);
}

static void pack_u32(struct writer *w, const uint32_t *v)
{
	writer_u32(w, *v);
}

static void pack_u64(struct writer *w, const uint64_t *v)
{
	writer_u64(w, *v);
}

static void pack_key(struct writer *w, const uint8_t (*v)[UAPI_KEY])
{
	writer_bytes(w, *v, sizeof(*v));
}

static void pack_iv(struct writer *w, const uint8_t (*v)[UAPI_IV])
{
	writer_bytes(w, *v, sizeof(*v));
}

static void pack_ulid(struct writer *w, const struct ulid *v)
{
	writer_bytes(w, v->bytes, sizeof(v->bytes));
}

static void pack_text32(struct writer *w, const char (*v)[TEXT32 + 1])
{
	char padded[TEXT32] = {0};

	memcpy(padded, *v, strnlen(*v, TEXT32));
	writer_bytes(w, padded, sizeof(padded));
}

static void pack_addr(struct writer *w, const struct ip_addr *v)
{
	writer_u8(w, v->family);
	writer_bytes(w, v->bytes, sizeof(v->bytes));
}

static void pack_path(struct writer *w, const struct path *v)
{
	writer_u8(w, v->listener);
	pack_addr(w, &v->remote.addr);
	writer_u16(w, v->remote.port);
	writer_u32(w, v->remote.scope_id);
	pack_addr(w, &v->local);
	writer_u32(w, v->connection);
}

/* ---- and out of it ---- */

static void unpack_u8(struct reader *r, uint8_t *v)
{
	*v = reader_u8(r);
}

static void unpack_u16(struct reader *r, uint16_t *v)
{
	*v = reader_u16(r);
}

static void unpack_u32(struct reader *r, uint32_t *v)
{
	*v = reader_u32(r);
}

static void unpack_u64(struct reader *r, uint64_t *v)
{
	*v = reader_u64(r);
}

static void unpack_key(struct reader *r, uint8_t (*v)[UAPI_KEY])
{
	reader_bytes(r, *v, sizeof(*v));
}

static void unpack_iv(struct reader *r, uint8_t (*v)[UAPI_IV])
{
	reader_bytes(r, *v, sizeof(*v));
}

static void unpack_ulid(struct reader *r, struct ulid *v)
{
	reader_bytes(r, v->bytes, sizeof(v->bytes));
}

static void unpack_text32(struct reader *r, char (*v)[TEXT32 + 1])
{
	reader_bytes(r, *v, TEXT32);
	(*v)[TEXT32] = '\0';
	for (size_t i = strlen(*v); i < TEXT32; i++) {
		if ((*v)[i])
			r->bad = true;
	}
}

static void unpack_addr(struct reader *r, struct ip_addr *v)
{
	v->family = reader_u8(r);
	reader_bytes(r, v->bytes, sizeof(v->bytes));
	if (!ip_addr_valid(v))
		r->bad = true;
}

static void unpack_path(struct reader *r, struct path *v)
{
	v->listener = reader_u8(r);
	unpack_addr(r, &v->remote.addr);
	v->remote.port = reader_u16(r);
	v->remote.scope_id = reader_u32(r);
	unpack_addr(r, &v->local);
	v->connection = reader_u32(r);
}

/* ---- layouts ---- */

#define PACK(kind, name)   pack_##kind(w, &m->name);
#define UNPACK(kind, name) unpack_##kind(r, &m->name);
#define DEFINE(x)                                                                                  \
	void uapi_pack_##x(struct writer *w, const struct uapi_##x *m)                             \
	{                                                                                          \
		UAPI_FIELDS_##x(PACK)                                                              \
	}                                                                                          \
	void uapi_unpack_##x(struct reader *r, struct uapi_##x *m)                                 \
	{                                                                                          \
		UAPI_FIELDS_##x(UNPACK)                                                            \
	}
UAPI_LAYOUTS(DEFINE)

static_assert(UAPI_Z_path 0 == 1 + (UAPI_Z_addr 0) + 2 + 4 + (UAPI_Z_addr 0) + 4, "size of a path");
static_assert(UAPI_Z_addr 0 == 1 + sizeof(((struct ip_addr *)0)->bytes), "size of an address");
static_assert(UAPI_SIZE_punt + UAPI_DATAGRAM_MAX + UAPI_HEADER <= UAPI_PUNT_MAX, "punt frame");

/* ---- messages ---- */

#define FITS(NAME, layout, number, sender, channel, phase, tail)                                   \
	static_assert(UAPI_HEADER + UAPI_SIZE_##layout + (tail) <=                                 \
			      ((channel) == UAPI_CTL ? (int)UAPI_CTL_MAX : (int)UAPI_PUNT_MAX),    \
		#NAME " is longer than its channel takes");
UAPI_MESSAGES(FITS)

#define ROW(NAME, layout, number, sender, channel, phase, tail)                                    \
	{#NAME, number, sender, channel, phase, UAPI_SIZE_##layout, tail},
static const struct uapi_message messages[] = {UAPI_MESSAGES(ROW)};

const struct uapi_message *uapi_message(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		if (messages[i].type == type)
			return &messages[i];
	}
	return NULL;
}

void uapi_begin(struct writer *w, enum uapi_type type, uint32_t seq)
{
	writer_u16(w, (uint16_t)type);
	writer_u16(w, 0);
	writer_u32(w, seq);
}

int uapi_open(struct reader *r, struct uapi_header *h, enum uapi_sender from,
	enum uapi_channel channel, enum uapi_phase phase)
{
	struct uapi_header header;
	const struct uapi_message *m;
	uint16_t zero;

	header.type = reader_u16(r);
	zero = reader_u16(r);
	header.seq = reader_u32(r);
	m = uapi_message(header.type);
	if (r->bad || zero || !m)
		return -EBADMSG;
	if (reader_left(r) < m->fixed || reader_left(r) > (size_t)m->fixed + m->tail)
		return -EBADMSG;
	if (m->sender != UAPI_FROM_BOTH && m->sender != from)
		return -EPROTO;
	if ((m->channel && m->channel != channel) || m->phase != phase)
		return -EPROTO;
	*h = header;
	return 0;
}
