/* The wrapper against recorded packets; every byte changed; the replay window against a list. */
#include "ovpn/wrap.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/vectors/hex.h"
#include "tests/vectors/openvpn.h"

enum { ROOM = 2048, TIME = 0x5f000000 };

static const uint8_t sid[OVPN_SID] = {1, 2, 3, 4, 5, 6, 7, 8};
/* A reset's: no acknowledgement, message id 0. */
static const uint8_t reset_tail[5];

struct wrapped {
	struct ovpn_key2 key;
	struct ovpn_wrap client, server;
	uint8_t packet[ROOM], buf[ROOM];
	struct ovpn_opened got;
};

static int set_up(void **state)
{
	static struct wrapped w;

	assert_int_equal(ovpn_wrap_global_init(), 0);
	memset(&w, 0, sizeof(w));
	for (size_t i = 0; i < OVPN_KEY2; i++)
		w.key.bytes[i] = (uint8_t)i;
	ovpn_wrap_init(&w.client, &w.key, OVPN_CLIENT, 1, TIME);
	ovpn_wrap_init(&w.server, &w.key, OVPN_SERVER, 1, TIME);
	*state = &w;
	return 0;
}

static const uint8_t first = OVPN_RESET_CLIENT_V2 << 3;

static size_t seal(struct wrapped *w, struct ovpn_wrap *by, const uint8_t *tail, size_t n)
{
	int len = ovpn_wrap_seal(by, first, sid, tail, n, w->packet, sizeof(w->packet));

	assert_int_equal(len, OVPN_WRAP_HEAD + n);
	return (size_t)len;
}

/* A client's packet of any time and id. */
static size_t numbered(struct wrapped *w, uint32_t time, uint32_t id)
{
	w->client.time = time;
	w->client.next_id = id;
	return seal(w, &w->client, reset_tail, sizeof(reset_tail));
}

/* The packet is on the heap with nothing behind it, so is its tail. */
static int open_exactly(
	struct ovpn_wrap *by, const uint8_t *p, size_t n, bool check_replay, struct ovpn_opened *o)
{
	uint8_t *packet = malloc(n ? n : 1), *buf = malloc(n ? n : 1);

	memcpy(packet, p, n);
	int rc = ovpn_wrap_open(by, packet, n, check_replay, buf, o);

	free(packet);
	free(buf);
	return rc;
}

static int open_as_server(struct wrapped *w, size_t n)
{
	return ovpn_wrap_open(&w->server, w->packet, n, true, w->buf, &w->got);
}

static void test_vector(void **state)
{
	struct wrapped *w = *state;
	const size_t n = seal(w, &w->client, reset_tail, sizeof(reset_tail));

	assert_hex(w->packet, n, tc1_packet);
	assert_int_equal(open_as_server(w, n), 0);
	assert_int_equal(w->got.first, first);
	assert_memory_equal(w->got.sid, sid, OVPN_SID);
	assert_int_equal(w->got.packet_id, 1);
	assert_int_equal(w->got.time, TIME);
	assert_int_equal(w->got.tail_len, sizeof(reset_tail));
	assert_memory_equal(w->got.tail, reset_tail, sizeof(reset_tail));
}

static void open_recorded(const struct ovpn_key2 *key, const char *hex, enum ovpn_side by,
	size_t cut, const char *tail)
{
	uint8_t packet[ROOM], buf[ROOM];
	const size_t n = unhex(packet, sizeof(packet), hex);
	struct ovpn_opened o;
	struct ovpn_wrap w;

	ovpn_wrap_init(&w, key, by, 1, TIME);
	assert_int_equal(ovpn_wrap_open(&w, packet, n - cut, true, buf, &o), 0);
	assert_hex(o.tail, o.tail_len, tail);
	assert_int_equal(ovpn_wrap_open(&w, packet, n - cut, true, buf, &o), -EALREADY);
	ovpn_wrap_init(&w, key, by == OVPN_SERVER ? OVPN_CLIENT : OVPN_SERVER, 1, TIME);
	assert_int_equal(ovpn_wrap_open(&w, packet, n - cut, true, buf, &o), -EBADMSG);
}

static void test_recorded(void **state)
{
	uint8_t wkc[OVPN_WKC_MAX], dynamic[OVPN_KEY2];
	struct ovpn_key2 key, mixed;
	size_t len;

	(void)state;
	assert_int_equal(ovpn_client_key_parse(lab_client_key, &key, wkc, &len), 0);
	open_recorded(&key, lab_reset, OVPN_SERVER, len, "0000000000");
	open_recorded(
		&key, lab_answer, OVPN_CLIENT, 0, "010000000053c1b92bfa22e2a200000000000100020001");
	open_recorded(&key, lab_ack, OVPN_SERVER, 0, "02000000010000000088ed0b3a944e5076");
	unhex(dynamic, sizeof(dynamic), lab_dynamic);
	ovpn_key2_mix(&mixed, dynamic, &key);
	open_recorded(&mixed, lab_soft_client, OVPN_SERVER, 0, "0000000000");
	open_recorded(
		&mixed, lab_soft_server, OVPN_CLIENT, 0, "010000000053c1b92bfa22e2a200000000");
}

static void test_every_length(void **state)
{
	struct wrapped *w = *state;
	uint8_t tail[OVPN_TAIL_MAX + 1];

	for (size_t i = 0; i < sizeof(tail); i++)
		tail[i] = (uint8_t)(i * 7);
	for (size_t n = 1; n <= OVPN_TAIL_MAX; n++) {
		const size_t len = seal(w, &w->server, tail, n);

		assert_int_equal(
			ovpn_wrap_open(&w->client, w->packet, len, true, w->buf, &w->got), 0);
		assert_int_equal(w->got.tail_len, n);
		assert_memory_equal(w->got.tail, tail, n);
		assert_int_equal(w->got.packet_id, n);
	}
	assert_int_equal(
		ovpn_wrap_seal(&w->server, 0, sid, tail, sizeof(tail), w->packet, ROOM), -EMSGSIZE);
	assert_int_equal(ovpn_wrap_open(&w->client, w->packet, OVPN_WRAP_HEAD + OVPN_TAIL_MAX + 1,
				 true, w->buf, &w->got),
		-EMSGSIZE);
	assert_int_equal(w->server.next_id, OVPN_TAIL_MAX + 1);
}

static void test_room(void **state)
{
	struct wrapped *w = *state;

	for (size_t cap = 0; cap < OVPN_WRAP_HEAD + 5; cap++)
		assert_int_equal(
			ovpn_wrap_seal(&w->client, first, sid, reset_tail, 5, w->packet, cap),
			-EMSGSIZE);
	assert_int_equal(w->client.next_id, 1);
	assert_int_equal(ovpn_wrap_seal(&w->client, first, sid, reset_tail, 5, w->packet,
				 OVPN_WRAP_HEAD + 5),
		OVPN_WRAP_HEAD + 5);
}

static void test_every_bit(void **state)
{
	struct wrapped *w = *state;
	const size_t n = seal(w, &w->client, reset_tail, sizeof(reset_tail));
	struct ovpn_opened untouched;

	memset(&w->got, 0x5a, sizeof(w->got));
	untouched = w->got;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		w->packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_as_server(w, n), -EBADMSG);
		assert_int_equal(open_exactly(&w->server, w->packet, n, false, &w->got), -EBADMSG);
		w->packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_memory_equal(&w->got, &untouched, sizeof(untouched));
	assert_int_equal(w->server.greatest, 0);
	assert_int_equal(open_as_server(w, n), 0);
}

static void test_cut_short(void **state)
{
	struct wrapped *w = *state;
	const size_t n = seal(w, &w->client, reset_tail, sizeof(reset_tail));

	for (size_t len = 0; len < n; len++)
		assert_int_equal(open_exactly(&w->server, w->packet, len, true, &w->got),
			len <= OVPN_WRAP_HEAD ? -EMSGSIZE : -EBADMSG);
	w->packet[n] = 0;
	assert_int_equal(open_exactly(&w->server, w->packet, n + 1, true, &w->got), -EBADMSG);
	assert_int_equal(open_exactly(&w->server, w->packet, n, true, &w->got), 0);
}

static void test_own_packets_come_back(void **state)
{
	struct wrapped *w = *state;
	const size_t n = seal(w, &w->server, reset_tail, sizeof(reset_tail));

	assert_int_equal(open_as_server(w, n), -EBADMSG);
}

static void test_failed_open_leaves_nothing(void **state)
{
	struct wrapped *w = *state;
	const uint8_t zero[8] = {0};
	size_t n = seal(w, &w->client, (const uint8_t *)"a secret", 8);

	w->packet[OVPN_WRAP_HEAD] ^= 1;
	memset(w->buf, 0x5a, sizeof(w->buf));
	assert_int_equal(open_as_server(w, n), -EBADMSG);
	assert_memory_equal(w->buf, zero, 8);
	w->packet[OVPN_WRAP_HEAD] ^= 1;
	assert_int_equal(open_as_server(w, n), 0);
	assert_memory_equal(w->buf, "a secret", 8);
	assert_int_equal(open_as_server(w, n), -EALREADY);
	assert_memory_equal(w->buf, zero, 8);
}

static void test_packet_id_zero(void **state)
{
	struct wrapped *w = *state;
	size_t n;

	/* Ours never count down to it: */
	assert_int_equal(
		ovpn_wrap_seal(&w->client, first, sid, reset_tail, 5, w->packet, ROOM), 54);
	w->client.next_id = UINT32_MAX;
	n = seal(w, &w->client, reset_tail, 5);
	assert_int_equal(open_as_server(w, n), 0);
	assert_int_equal(w->got.packet_id, UINT32_MAX);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			ovpn_wrap_seal(&w->client, first, sid, reset_tail, 5, w->packet, ROOM),
			-EOVERFLOW);
	ovpn_wrap_init(&w->client, &w->key, OVPN_CLIENT, 0, TIME);
	assert_int_equal(w->client.next_id, 1);
	ovpn_wrap_wipe(&w->client);
	assert_int_equal(
		ovpn_wrap_seal(&w->client, first, sid, reset_tail, 5, w->packet, ROOM), -EOVERFLOW);
}

/* Nobody but a forger with the key sends one, so it is made by hand. */
static void test_packet_id_zero_is_refused(void **state)
{
	struct wrapped *w = *state;
	uint8_t packet[54];

	unhex(packet, sizeof(packet), tc1_packet_id0);
	assert_int_equal(open_exactly(&w->server, packet, 54, true, &w->got), -EALREADY);
	assert_int_equal(open_exactly(&w->server, packet, 54, false, &w->got), -EALREADY);
	assert_int_equal(w->server.greatest, 0);
}

static void expect(struct wrapped *w, uint32_t time, uint32_t id, int rc)
{
	const size_t n = numbered(w, time, id);

	assert_int_equal(open_as_server(w, n), rc);
	if (rc == 0)
		assert_int_equal(open_as_server(w, n), -EALREADY);
}

static void test_replay(void **state)
{
	struct wrapped *w = *state;

	expect(w, TIME, 100, 0);
	expect(w, TIME, 99, 0);		/* late */
	expect(w, TIME, 37, 0);		/* the window's edge: 63 back */
	expect(w, TIME, 36, -EALREADY); /* beyond */
	expect(w, TIME, 1, -EALREADY);
	expect(w, TIME, 163, 0); /* 63 on: 100 is the edge, and seen */
	expect(w, TIME, 100, -EALREADY);
	expect(w, TIME, 101, 0);
	expect(w, TIME, 99, -EALREADY);
	expect(w, TIME, 0xf0000001, 0); /* far on */
	expect(w, TIME, 0xf0000000, 0); /* not mistaken for seen */
	expect(w, TIME, 163, -EALREADY);
	expect(w, TIME - 1, UINT32_MAX, -EALREADY); /* an earlier counting */
	expect(w, TIME, UINT32_MAX, 0);
	expect(w, TIME + 1, 1, 0); /* a later one, 2 on as a number */
	expect(w, TIME, UINT32_MAX, -EALREADY);
	expect(w, TIME, UINT32_MAX - 1, -EALREADY);
	expect(w, TIME + 1, 2, 0);
	expect(w, UINT32_MAX, 7, 0);
	expect(w, UINT32_MAX, 1, 0); /* overtaken by the first one of that time */
	expect(w, 0, 8, -EALREADY);
}

static void test_window_moves_by_64(void **state)
{
	struct wrapped *w = *state;

	expect(w, TIME, 64, 0);
	expect(w, TIME, 128, 0);
	for (uint32_t id = 65; id < 128; id++)
		expect(w, TIME, id, 0);
	expect(w, TIME, 64, -EALREADY);
	for (uint32_t id = 65; id <= 128; id++)
		expect(w, TIME, id, -EALREADY);
}

static void test_time_zero(void **state)
{
	struct wrapped *w = *state;

	expect(w, 0, 5, 0);
	expect(w, 0, 1, 0);
	expect(w, 0, 6, 0);
}

/* Ids around a moving middle, against a list of everything that was accepted. */
static void test_replay_model(void **state)
{
	struct wrapped *w = *state;
	static bool seen[8192];
	uint32_t greatest = 0, lcg = 12345;

	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < 20000; i++) {
		lcg = lcg * 1103515245 + 12345;
		const uint32_t jump = lcg >> 16 & 127;
		const int64_t id = (int64_t)greatest + 2 - jump;

		if (id < 1 || id >= (int64_t)ARRAY_SIZE(seen))
			continue;
		const bool stale = id + 64 <= (int64_t)greatest || seen[id];
		const size_t n = numbered(w, TIME, (uint32_t)id);

		assert_int_equal(open_as_server(w, n), stale ? -EALREADY : 0);
		seen[id] = true;
		if (id > (int64_t)greatest)
			greatest = (uint32_t)id;
	}
	assert_true(greatest > 200);
}

static void test_stateless(void **state)
{
	struct wrapped *w = *state;
	const size_t n = seal(w, &w->client, reset_tail, 5);
	const struct ovpn_wrap before = w->server;

	for (int i = 0; i < 3; i++)
		assert_int_equal(
			ovpn_wrap_open(&w->server, w->packet, n, false, w->buf, &w->got), 0);
	assert_memory_equal(&w->server, &before, sizeof(before));
	assert_int_equal(open_as_server(w, n), 0);
	assert_int_equal(ovpn_wrap_open(&w->server, w->packet, n, false, w->buf, &w->got), 0);
}

static void test_wipe(void **state)
{
	struct wrapped *w = *state;
	const struct ovpn_wrap none = {.next_id = 0};
	const struct ovpn_key2 no_key = {{0}};

	ovpn_wrap_wipe(&w->client);
	assert_memory_equal(&w->client, &none, sizeof(none));
	ovpn_key2_wipe(&w->key);
	assert_memory_equal(&w->key, &no_key, sizeof(no_key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_vector, set_up),
		cmocka_unit_test_setup(test_recorded, set_up),
		cmocka_unit_test_setup(test_every_length, set_up),
		cmocka_unit_test_setup(test_room, set_up),
		cmocka_unit_test_setup(test_every_bit, set_up),
		cmocka_unit_test_setup(test_cut_short, set_up),
		cmocka_unit_test_setup(test_own_packets_come_back, set_up),
		cmocka_unit_test_setup(test_failed_open_leaves_nothing, set_up),
		cmocka_unit_test_setup(test_packet_id_zero, set_up),
		cmocka_unit_test_setup(test_packet_id_zero_is_refused, set_up),
		cmocka_unit_test_setup(test_replay, set_up),
		cmocka_unit_test_setup(test_window_moves_by_64, set_up),
		cmocka_unit_test_setup(test_time_zero, set_up),
		cmocka_unit_test_setup(test_replay_model, set_up),
		cmocka_unit_test_setup(test_stateless, set_up),
		cmocka_unit_test_setup(test_wipe, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
