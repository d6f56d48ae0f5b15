/*
 * The door's codec against any frame: whatever opens, from either side, on either channel, in
 * either phase, must pack again to the same bytes; whatever is wrong is refused, never read beyond.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "uapi/uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert, so that no build can take it out. */
#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

/* Unpacks one x from r; when it is well formed, packs it and compares. */
#define DEFINE_ROUND_TRIP(x)                                                                       \
	static void round_trip_##x(struct reader *r)                                               \
	{                                                                                          \
		const uint8_t *from = r->at;                                                       \
		uint8_t packed[UAPI_SIZE_##x];                                                     \
		struct writer w = writer_init(packed, sizeof(packed));                             \
		struct uapi_##x m;                                                                 \
                                                                                                   \
		uapi_unpack_##x(r, &m);                                                            \
		if (r->bad)                                                                        \
			return;                                                                    \
		REQUIRE(r->at - from == UAPI_SIZE_##x);                                            \
		uapi_pack_##x(&w, &m);                                                             \
		REQUIRE(writer_end(&w) == 0 && writer_len(&w) == UAPI_SIZE_##x);                   \
		REQUIRE(memcmp(packed, from, UAPI_SIZE_##x) == 0);                                 \
	}
UAPI_LAYOUTS(DEFINE_ROUND_TRIP)

static void round_trip_empty(struct reader *r)
{
	REQUIRE(!r->bad);
}

static void check_fields(struct reader *r, enum uapi_type type)
{
	switch (type) {
#define CASE(NAME, layout, number, sender, channel, phase, tail)                                   \
	case UAPI_##NAME##_MSG:                                                                    \
		round_trip_##layout(r);                                                            \
		break;
		UAPI_MESSAGES(CASE)
	}
	/* The tail of one message is made of records. */
	while (type == UAPI_STATS_REPLY_MSG && reader_left(r) >= UAPI_SIZE_peer_stats)
		round_trip_peer_stats(r);
}

static void check_header(const uint8_t *data, const struct uapi_header *h)
{
	uint8_t packed[UAPI_HEADER];
	struct writer w = writer_init(packed, sizeof(packed));

	uapi_begin(&w, (enum uapi_type)h->type, h->seq);
	REQUIRE(writer_end(&w) == 0 && memcmp(packed, data, UAPI_HEADER) == 0);
}

static bool try_open(const uint8_t *data, size_t size, enum uapi_sender from,
	enum uapi_channel channel, enum uapi_phase phase)
{
	struct reader r = reader_init(data, size);
	const struct uapi_message *m;
	struct uapi_header h;

	if (uapi_open(&r, &h, from, channel, phase))
		return false;
	m = uapi_message(h.type);
	REQUIRE(m && m->phase == phase && m->sender == from);
	REQUIRE(m->channel == 0 || m->channel == channel);
	REQUIRE(reader_left(&r) >= m->fixed && reader_left(&r) <= (size_t)m->fixed + m->tail);
	check_header(data, &h);
	check_fields(&r, (enum uapi_type)h.type);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum uapi_sender senders[] = {UAPI_FROM_CONTROL, UAPI_FROM_DATA};
	static const enum uapi_channel channels[] = {UAPI_CTL, UAPI_PUNT};
	static const enum uapi_phase phases[] = {UAPI_NEW, UAPI_READY};
	int opened = 0;

	for (int i = 0; i < 8; i++)
		opened +=
			try_open(data, size, senders[i & 1], channels[i >> 1 & 1], phases[i >> 2]);
	/* From one side, in one phase; only HELLO, HEALTH_GET and their replies on both channels.
	 */
	REQUIRE(opened <= 2);
	return 0;
}
