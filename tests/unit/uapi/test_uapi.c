/* The codec: every layout and message of the lists, the exact bytes, and each way to be wrong. */
#include "uapi/uapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1024 };

/* ---- the bytes, written down by hand once ---- */

static void test_bytes_of_peer_set(void **state)
{
	const uint8_t expected[UAPI_HEADER + UAPI_SIZE_peer_set] = {5, 0, 0, 0, 0x44, 0x33, 0x22,
		0x11, 7, 0, 0, 0, IP_V4, 10, 77, 0, 9, [29] = IP_V6, [30] = 0xfd, [45] = 9};
	struct uapi_peer_set m = {.peer = 7,
		.addr4 = {IP_V4, {10, 77, 0, 9}},
		.addr6 = {IP_V6, {[0] = 0xfd, [15] = 9}}};
	uint8_t buf[ROOM];
	struct writer w = writer_init(buf, sizeof(buf));

	(void)state;
	uapi_begin(&w, UAPI_PEER_SET_MSG, 0x11223344);
	uapi_pack_peer_set(&w, &m);
	assert_int_equal(writer_end(&w), 0);
	assert_int_equal(writer_len(&w), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
}

static void test_bytes_of_a_path(void **state)
{
	const uint8_t expected[UAPI_SIZE_endpoint_moved] = {1, 0, 0, 0, 3, IP_V6, 0xfe,
		0x80, [21] = 1, 0x6c, 0xca, 2, 0, 0, 0, IP_V4, 1, 2, 3, 4, [45] = 0x0d, 0x0c, 0x0b,
		0x0a};
	struct uapi_endpoint_moved m = {.peer = 1,
		.path = {.remote = {.addr = {IP_V6, {0xfe, 0x80, [15] = 1}},
				 .port = 51820,
				 .scope_id = 2},
			.local = {IP_V4, {1, 2, 3, 4}},
			.listener = 3,
			.connection = 0x0a0b0c0d}};
	uint8_t buf[ROOM];
	struct writer w = writer_init(buf, sizeof(buf));

	(void)state;
	uapi_pack_endpoint_moved(&w, &m);
	assert_int_equal(writer_len(&w), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
}

/* Sizes and numbers are for ever: they are repeated here, so that a change shows. */
static void test_numbers_and_sizes_are_for_ever(void **state)
{
	static const struct {
		const char *name;
		uint16_t type, fixed;
	} rows[] = {
		{"HELLO", 1, 5},
		{"HELLO_REPLY", 101, 75},
		{"CONFIG_SET", 2, 71},
		{"CONFIG_SET_REPLY", 102, 4},
		{"SYNC_BEGIN", 3, 0},
		{"SYNC_BEGIN_REPLY", 103, 4},
		{"SYNC_END", 4, 0},
		{"SYNC_END_REPLY", 104, 8},
		{"PEER_SET", 5, 38},
		{"PEER_SET_REPLY", 105, 4},
		{"PEER_DEL", 6, 4},
		{"PEER_DEL_REPLY", 106, 4},
		{"SESSION_SET", 7, 209},
		{"SESSION_SET_REPLY", 107, 4},
		{"SESSION_DEL", 8, 20},
		{"SESSION_DEL_REPLY", 108, 4},
		{"STATS_GET", 10, 4},
		{"STATS_REPLY", 110, 12},
		{"STATUS_GET", 11, 0},
		{"STATUS_REPLY", 111, 95},
		{"SESSION_USE", 12, 12},
		{"SESSION_USE_REPLY", 112, 4},
		{"CONNECTION_CLOSE", 13, 4},
		{"CONNECTION_CLOSE_REPLY", 113, 4},
		{"HEALTH_GET", 14, 0},
		{"HEALTH_REPLY", 114, 77},
		{"USAGE_GET", 15, 0},
		{"USAGE_REPLY", 115, 20},
		{"SESSION_CONFIRMED", 301, 12},
		{"REKEY_WANTED", 302, 5},
		{"SESSION_EXPIRED", 303, 13},
		{"ENDPOINT_MOVED", 304, 49},
		{"CONNECTION_CLOSED", 305, 4},
		{"PUNT", 401, 45},
		{"REINJECT", 402, 45},
	};
	size_t known = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct uapi_message *m = uapi_message(rows[i].type);

		assert_non_null(m);
		assert_string_equal(m->name, rows[i].name);
		assert_int_equal(m->type, rows[i].type);
		assert_int_equal(m->fixed, rows[i].fixed);
	}
	for (uint32_t type = 0; type <= UINT16_MAX; type++)
		known += uapi_message((uint16_t)type) != NULL;
	assert_int_equal(known, ARRAY_SIZE(rows));
	assert_int_equal(uapi_message(UAPI_SESSION_SET_REPLY_MSG)->tail, 64);
	assert_null(uapi_message(9));
	assert_null(uapi_message(0));
}

/* ---- every layout of the list ---- */

/* Zeros are valid in every layout; a one in the first byte as well, unless a family stands there.
 */
#define ROUND_TRIP(x)                                                                              \
	static void test_layout_##x(void **state)                                                  \
	{                                                                                          \
		uint8_t in[UAPI_SIZE_##x] = {0}, out[UAPI_SIZE_##x];                               \
		struct reader r = reader_init(in, sizeof(in));                                     \
		struct writer w = writer_init(out, sizeof(out));                                   \
		struct uapi_##x m;                                                                 \
                                                                                                   \
		(void)state;                                                                       \
		memset(&m, 0xff, sizeof(m));                                                       \
		in[0] = 1;                                                                         \
		uapi_unpack_##x(&r, &m);                                                           \
		if (reader_end(&r) != 0) {                                                         \
			in[0] = 0;                                                                 \
			r = reader_init(in, sizeof(in));                                           \
			uapi_unpack_##x(&r, &m);                                                   \
		}                                                                                  \
		assert_int_equal(reader_end(&r), 0);                                               \
		uapi_pack_##x(&w, &m);                                                             \
		assert_int_equal(writer_end(&w), 0);                                               \
		assert_int_equal(writer_len(&w), sizeof(in));                                      \
		assert_memory_equal(in, out, sizeof(in));                                          \
		r = reader_init(in, sizeof(in) - 1);                                               \
		uapi_unpack_##x(&r, &m);                                                           \
		assert_int_equal(reader_end(&r), -EBADMSG);                                        \
		w = writer_init(out, sizeof(out) - 1);                                             \
		uapi_pack_##x(&w, &m);                                                             \
		assert_int_equal(writer_end(&w), -EMSGSIZE);                                       \
	}
UAPI_LAYOUTS(ROUND_TRIP)

static void test_session_set_carries_everything(void **state)
{
	struct uapi_session_set m = {.peer = 0xffffffff,
		.seq = 0x8000000000000001,
		.protocol = UAPI_WIREGUARD,
		.role = UAPI_INITIATOR,
		.cipher = 3,
		.transport = UAPI_UDP,
		.local_index = 0x01020304,
		.remote_index = 0xfffefdfc,
		.tunnel_started_ms = 1767323045678,
		.handshake_ms = UINT64_MAX,
		.path = {.listener = 255,
			.remote = {.addr = {IP_V4, {9, 8, 7, 6}}, .port = 65535},
			.connection = UINT32_MAX},
		.key_id = 7,
		.format = UAPI_DATA_EPOCH,
		.ping_s = 0x0102,
		.timeout_s = 0xfeff,
		.life_s = 0x01020304,
		.tls = 0x0304};
	struct uapi_session_set back;
	uint8_t buf[UAPI_SIZE_session_set];
	struct writer w = writer_init(buf, sizeof(buf));
	struct reader r = reader_init(buf, sizeof(buf));

	(void)state;
	for (size_t i = 0; i < UAPI_KEY; i++) {
		m.seal[i] = (uint8_t)(i + 1);
		m.open[i] = (uint8_t)(200 - i);
		m.tunnel.bytes[i / 2] = (uint8_t)i;
		m.credential.bytes[i / 2] = (uint8_t)(100 + i);
		m.seal_iv[i / 4] = (uint8_t)(50 + i);
		m.open_iv[i / 4] = (uint8_t)(150 + i);
	}
	uapi_pack_session_set(&w, &m);
	assert_int_equal(writer_end(&w), 0);
	/* The two keys as they are, before the 28 bytes that are OpenVPN's alone. */
	assert_memory_equal(buf + sizeof(buf) - 28 - 64, m.seal, UAPI_KEY);
	assert_memory_equal(buf + sizeof(buf) - 28 - 32, m.open, UAPI_KEY);
	assert_memory_equal(buf + sizeof(buf) - 26, m.seal_iv, UAPI_IV);
	assert_memory_equal(buf + sizeof(buf) - 18, m.open_iv, UAPI_IV);
	uapi_unpack_session_set(&r, &back);
	assert_int_equal(reader_end(&r), 0);
	assert_true(back.peer == m.peer && back.seq == m.seq && back.protocol == m.protocol);
	assert_true(back.role == m.role && back.cipher == m.cipher);
	assert_true(back.transport == m.transport);
	assert_true(back.local_index == m.local_index && back.remote_index == m.remote_index);
	assert_true(back.tunnel_started_ms == m.tunnel_started_ms);
	assert_true(back.handshake_ms == m.handshake_ms);
	assert_true(ulid_equal(&back.tunnel, &m.tunnel));
	assert_true(ulid_equal(&back.credential, &m.credential));
	assert_true(path_equal(&back.path, &m.path));
	assert_memory_equal(back.seal, m.seal, UAPI_KEY);
	assert_memory_equal(back.open, m.open, UAPI_KEY);
	assert_true(back.key_id == m.key_id && back.format == m.format && back.tls == m.tls);
	assert_memory_equal(back.seal_iv, m.seal_iv, UAPI_IV);
	assert_memory_equal(back.open_iv, m.open_iv, UAPI_IV);
	assert_true(back.ping_s == m.ping_s && back.timeout_s == m.timeout_s);
	assert_true(back.life_s == m.life_s);
}

static int unpack_text(const char bytes[32], struct uapi_hello_reply *m)
{
	uint8_t buf[UAPI_SIZE_hello_reply] = {0};
	struct reader r = reader_init(buf, sizeof(buf));

	memcpy(buf + sizeof(buf) - 32, bytes, 32);
	uapi_unpack_hello_reply(&r, m);
	return reader_end(&r);
}

static void test_text32(void **state)
{
	static const char full[33] = "0123456789abcdef0123456789abcdef";
	char text[32] = "0.1.0";
	struct uapi_hello_reply m;

	(void)state;
	assert_int_equal(unpack_text(text, &m), 0);
	assert_string_equal(m.software, "0.1.0");
	assert_int_equal(unpack_text(full, &m), 0);
	assert_string_equal(m.software, full);
	text[31] = 'x'; /* hidden behind the NUL */
	assert_int_equal(unpack_text(text, &m), -EBADMSG);
}

static int unpack_addr4(struct ip_addr a)
{
	uint8_t buf[UAPI_SIZE_peer_set];
	struct uapi_peer_set m = {.addr4 = a};
	struct writer w = writer_init(buf, sizeof(buf));
	struct reader r = reader_init(buf, sizeof(buf));

	uapi_pack_peer_set(&w, &m);
	assert_int_equal(writer_end(&w), 0);
	uapi_unpack_peer_set(&r, &m);
	return reader_end(&r);
}

static void test_addresses_have_one_form(void **state)
{
	(void)state;
	for (unsigned family = 0; family < 256; family++) {
		bool known = family == IP_NONE || family == IP_V4 || family == IP_V6;

		assert_int_equal(unpack_addr4((struct ip_addr){.family = (uint8_t)family}),
			known ? 0 : -EBADMSG);
	}
	assert_int_equal(unpack_addr4((struct ip_addr){IP_V4, {1, 2, 3, 4}}), 0);
	assert_int_equal(unpack_addr4((struct ip_addr){IP_V4, {1, 2, 3, 4, 5}}), -EBADMSG);
	assert_int_equal(unpack_addr4((struct ip_addr){IP_NONE, {[15] = 1}}), -EBADMSG);
	assert_int_equal(
		unpack_addr4((struct ip_addr){IP_V6, {[10] = 0xff, [11] = 0xff, [15] = 1}}),
		-EBADMSG);
}

/* ---- frames ---- */

struct frame {
	uint8_t bytes[UAPI_CTL_MAX + 1];
	size_t len;
};

/* A frame of this type with zero fields and a tail of n bytes. */
static void frame_make(struct frame *f, uint16_t type, size_t fixed, size_t tail)
{
	struct writer w = writer_init(f->bytes, sizeof(f->bytes));

	memset(f->bytes, 0, sizeof(f->bytes));
	uapi_begin(&w, (enum uapi_type)type, 42);
	f->len = UAPI_HEADER + fixed + tail;
}

static int frame_open(const struct frame *f, int from, int channel, int phase)
{
	/* A copy of its exact size, so that the sanitizers see one byte too many. */
	uint8_t *copy = malloc(f->len ? f->len : 1);
	struct uapi_header h = {.type = 9999, .seq = 9999};
	struct reader r;
	int rc;

	memcpy(copy, f->bytes, f->len);
	r = reader_init(copy, f->len);
	rc = uapi_open(
		&r, &h, (enum uapi_sender)from, (enum uapi_channel)channel, (enum uapi_phase)phase);
	if (rc == 0) {
		assert_int_equal(h.seq, 42);
		assert_int_equal(reader_left(&r), f->len - UAPI_HEADER);
	} else {
		assert_int_equal(h.type, 9999);
	}
	free(copy);
	return rc;
}

/* Every message with every sender, channel and phase: passes exactly where its row says so. */
static void test_open_follows_the_table(void **state)
{
	static struct frame f;

	(void)state;
	for (uint16_t type = 0; type < 500; type++) {
		const struct uapi_message *m = uapi_message(type);

		if (!m)
			continue;
		frame_make(&f, type, m->fixed, 0);
		for (int i = 0; i < 8; i++) {
			int from = i & 1 ? UAPI_FROM_DATA : UAPI_FROM_CONTROL;
			int channel = i & 2 ? UAPI_PUNT : UAPI_CTL;
			int phase = i & 4 ? UAPI_READY : UAPI_NEW;
			bool fits = m->sender == from && m->phase == phase &&
				    (m->channel == 0 || m->channel == channel);

			assert_int_equal(frame_open(&f, from, channel, phase), fits ? 0 : -EPROTO);
		}
	}
}

static int open_as_it_should(const struct frame *f, const struct uapi_message *m)
{
	return frame_open(f, m->sender, m->channel ? m->channel : UAPI_CTL, m->phase);
}

static void test_open_checks_lengths(void **state)
{
	static struct frame f;

	(void)state;
	for (uint16_t type = 0; type < 500; type++) {
		const struct uapi_message *m = uapi_message(type);

		if (!m)
			continue;
		frame_make(&f, type, m->fixed, m->tail);
		assert_int_equal(open_as_it_should(&f, m), 0);
		f.len++;
		assert_int_equal(open_as_it_should(&f, m), -EBADMSG);
		for (f.len = 0; f.len < UAPI_HEADER + (size_t)m->fixed; f.len++)
			assert_int_equal(open_as_it_should(&f, m), -EBADMSG);
	}
}

static void test_open_refuses_strangers(void **state)
{
	static struct frame f;

	(void)state;
	for (uint32_t type = 0; type <= UINT16_MAX; type++) {
		if (uapi_message((uint16_t)type))
			continue;
		frame_make(&f, (uint16_t)type, 4, 0);
		assert_int_equal(frame_open(&f, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY), -EBADMSG);
	}
	for (unsigned bit = 0; bit < 16; bit++) {
		frame_make(&f, UAPI_SYNC_BEGIN_MSG, 0, 0);
		f.bytes[2 + bit / 8] = (uint8_t)(1u << bit % 8);
		assert_int_equal(frame_open(&f, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY), -EBADMSG);
	}
}

/* Replies are request + 100, events 300 up, punts 400 up; each from the side that the plan says. */
static void test_numbering_plan(void **state)
{
	(void)state;
	for (uint16_t type = 0; type < 500; type++) {
		const struct uapi_message *m = uapi_message(type);

		if (!m)
			continue;
		if (type < 100) {
			assert_int_equal(m->sender, UAPI_FROM_CONTROL);
			assert_non_null(uapi_message((uint16_t)(type + 100)));
		} else if (type < 400) {
			assert_int_equal(m->sender, UAPI_FROM_DATA);
		} else {
			assert_int_equal(m->channel, UAPI_PUNT);
		}
		if (type % 100 == 14 || type == 1 || type == 101)
			assert_int_equal(m->phase, UAPI_NEW);
		else
			assert_int_equal(m->phase, UAPI_READY);
	}
}

#define LAYOUT_TEST(x) cmocka_unit_test(test_layout_##x),

int main(void)
{
	const struct CMUnitTest tests[] = {
		UAPI_LAYOUTS(LAYOUT_TEST) cmocka_unit_test(test_bytes_of_peer_set),
		cmocka_unit_test(test_bytes_of_a_path),
		cmocka_unit_test(test_numbers_and_sizes_are_for_ever),
		cmocka_unit_test(test_session_set_carries_everything),
		cmocka_unit_test(test_text32),
		cmocka_unit_test(test_addresses_have_one_form),
		cmocka_unit_test(test_open_follows_the_table),
		cmocka_unit_test(test_open_checks_lengths),
		cmocka_unit_test(test_open_refuses_strangers),
		cmocka_unit_test(test_numbering_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
