/* The packet that is kept for the time after the dataplane: with the client's key it opens as
 * OCC_EXIT, and nothing else that the session ever seals has its nonce. */
#include "fwd/seal.h"

#include "epoch_rig.h"

enum { BEFORE_THE_END = 100, RUN = 8, TRIES = 300 };

static const uint8_t ciphers[] = {AEAD_CHACHA20_POLY1305, AEAD_AES_256_GCM, AEAD_AES_128_GCM};
static const uint8_t classic[] = {UAPI_DATA_V2, UAPI_DATA_V1};
static const struct ip_addr internet = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

static struct fwd_session keys_of(struct rig *r, uint8_t cipher, uint8_t format)
{
	rig_open(r, 2);
	rig_peer(r, 1);
	struct fwd_session s =
		format == UAPI_DATA_EPOCH ? epoch_session(r, 1, 7, 3, 1) : ovpn_keys(r, 1, 7, 3, 1);
	s.cipher = cipher;
	s.format = format;
	s.ping_s = 10;
	return s;
}

/* Twice, and it is the same. Returns: its length. */
static size_t farewell(struct rig *r, uint64_t seq, uint8_t out[UAPI_FAREWELL_MAX])
{
	uint8_t again[UAPI_FAREWELL_MAX];
	const size_t n = fwd_session_farewell(r->f, 1, seq, out);

	assert_int_equal(fwd_session_farewell(r->f, 1, seq, again), n);
	assert_memory_equal(out, again, n);
	return n;
}

static void test_classic_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		for (size_t f = 0; f < ARRAY_SIZE(classic); f++) {
			uint8_t packet[UAPI_FAREWELL_MAX];
			struct rig r;
			uint32_t id;
			const struct fwd_session s = keys_of(&r, ciphers[i], classic[f]);
			struct client c = rig_install(&r, &s);

			assert_int_equal(
				farewell(&r, s.seq, packet), classic[f] == UAPI_DATA_V1 ? 38 : 41);
			const uint8_t *text = client_unwrap(
				&c, packet, classic[f] == UAPI_DATA_V1 ? 38 : 41, &id);
			assert_memory_equal(text, occ_exit, sizeof(occ_exit));
			assert_true(id == UINT32_MAX);
			client_close(&c);
			rig_close(&r);
		}
	}
}

static void test_epoch_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		uint8_t packet[UAPI_FAREWELL_MAX];
		struct rig r;
		const struct fwd_session s = keys_of(&r, ciphers[i], UAPI_DATA_EPOCH);

		(void)epoch_install(&r, &s);
		assert_int_equal(farewell(&r, s.seq, packet), 45);
		assert_int_equal(packet[0], 9 << 3 | 3);
		assert_int_equal(wire_be24(packet + 1), 7);
		assert_true(wire_be64(packet + 4) == 0x0001ffffffffffff);
		assert_true(epoch_crypt(s.seal, s.cipher, packet, 45, false));
		assert_memory_equal(packet + 12, occ_exit, sizeof(occ_exit));
		rig_close(&r);
	}
}

/* A run of data packets by that worker, of which those with the ids from next on are sent. Returns:
 * how many. */
static uint32_t say(struct rig *r, uint32_t worker, struct client *c, uint32_t next)
{
	const struct ip_addr a4 = rig_addr4(1);
	static struct buffer b[RUN];
	struct fwd_packet p[RUN];
	uint32_t n = 0, id;

	for (int i = 0; i < RUN; i++) {
		inner4(&b[i], &internet, &a4, 60);
		p[i] = b[i].p;
	}
	fwd_enter(r->f, worker);
	fwd_tx(r->f, worker, p, RUN, r->now);
	fwd_leave(r->f, worker);
	for (int i = 0; i < RUN; i++) {
		if (p[i].verdict != FWD_SEND)
			continue;
		(void)client_unwrap(c, p[i].data, p[i].len, &id);
		assert_true(id < UINT32_MAX && id == next + n);
		n++;
	}
	return n;
}

/* A ping, by the control thread. Returns: the same. */
static uint32_t ping(struct rig *r, struct client *c, uint32_t next)
{
	uint32_t id;

	rig_tick(r, 10 * 1000);
	for (uint32_t i = 0; i < r->n_sent; i++) {
		(void)client_unwrap(c, r->sent[i], r->sent_len[i], &id);
		assert_true(id < UINT32_MAX && id == next + i);
	}
	return r->n_sent;
}

/* Data by each worker and a ping, up to the end of the packet ids, which lies within a run, and on
 * and on after it. */
static void test_its_packet_id_is_nobodys(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(classic); f++) {
		uint8_t packet[UAPI_FAREWELL_MAX];
		struct rig r;
		const struct fwd_session s = keys_of(&r, AEAD_AES_256_GCM, classic[f]);
		struct client c = rig_install(&r, &s);
		uint32_t next = UINT32_MAX - BEFORE_THE_END;

		(void)farewell(&r, s.seq, packet);
		assert_int_equal(rig_hear_ping(&r, &c), FWD_KEEPALIVE);
		struct session *used = rig_current(&r, 1);
		/* It was not taken from those that are given out. */
		assert_true(atomic_load(&session_sealing(used)->counter) == 1);
		atomic_store(&session_sealing(used)->counter, next);
		for (int i = 0; i < TRIES; i++)
			next += i == 5 ? ping(&r, &c, next) : say(&r, i % 2, &c, next);
		assert_true(next == UINT32_MAX);
		assert_true(atomic_load(&session_sealing(used)->counter) == UINT32_MAX);
		uint8_t after[UAPI_FAREWELL_MAX];
		assert_memory_equal(after, packet, farewell(&r, s.seq, after));
		assert_int_equal(ping(&r, &c, 0), 0);
		assert_null(rig_current(&r, 1));
		client_close(&c);
		rig_close(&r);
	}
}

/* The same at the end of an epoch, where the next one begins. */
static void test_its_counter_is_nobodys(void **state)
{
	uint8_t packet[UAPI_FAREWELL_MAX];
	struct rig r;

	(void)state;
	const struct fwd_session s = keys_of(&r, AEAD_AES_256_GCM, UAPI_DATA_EPOCH);
	struct epoch_client c = epoch_install(&r, &s);
	assert_int_equal(epoch_hear(&r, &c), FWD_DELIVER);
	uint64_t next = 0x0001ffffffffffff - BEFORE_THE_END;
	struct sealing *t = session_sealing(rig_current(&r, 1));
	(void)farewell(&r, s.seq, packet);
	assert_true(atomic_load(&t->counter) == 0x0001000000000001);
	atomic_store(&t->counter, next);
	for (int i = 0; i < TRIES; i++) {
		const uint64_t id = epoch_say(&r, &c);
		assert_true(id == (next < wire_be64(packet + 4) ? next : 0));
		next += id != 0;
	}
	assert_true(next == wire_be64(packet + 4));
	/* Another epoch: other keys, and the packet for the end is one of it. */
	rig_tick(&r, 100);
	assert_true(epoch_say(&r, &c) == 0x0002000000000001);
	uint8_t second[UAPI_FAREWELL_MAX];
	assert_int_equal(farewell(&r, s.seq, second), 45);
	assert_true(wire_be64(second + 4) == 0x0002ffffffffffff);
	assert_true(epoch_crypt(s.seal, s.cipher, second, 45, false));
	rig_close(&r);
}

static void test_who_has_none(void **state)
{
	uint8_t packet[UAPI_FAREWELL_MAX];
	struct rig r;

	(void)state;
	struct fwd_session s = keys_of(&r, AEAD_AES_256_GCM, UAPI_DATA_V2);
	assert_int_equal(fwd_session_farewell(r.f, 1, s.seq, packet), 0);
	struct client c = rig_install(&r, &s);
	assert_int_equal(fwd_session_farewell(r.f, 1, s.seq + 1, packet), 0);
	assert_int_equal(fwd_session_farewell(r.f, 2, s.seq, packet), 0);
	assert_int_equal(fwd_session_farewell(r.f, UINT32_MAX, s.seq, packet), 0);
	/* No block of AES-GCM is left for it. */
	assert_int_equal(rig_hear_ping(&r, &c), FWD_KEEPALIVE);
	atomic_store(&session_sealing(rig_current(&r, 1))->blocks, OVPN_GCM_BLOCKS - 2);
	assert_int_equal(fwd_session_farewell(r.f, 1, s.seq, packet), 0);
	/* Over TCP. */
	s = ovpn_keys(&r, 1, 8, 0, 2);
	s.transport = UAPI_TCP;
	s.path.connection = 44;
	struct client stream = rig_install(&r, &s);
	assert_int_equal(fwd_session_farewell(r.f, 1, s.seq, packet), 0);
	struct device d = rig_session(&r, 1, UAPI_RESPONDER, 9, 2);
	assert_int_equal(fwd_session_farewell(r.f, 1, d.seq, packet), 0);
	/* Not after its end. */
	const struct ulid all = {{0}};
	s = ovpn_keys(&r, 1, 9, 0, 3);
	struct client last = rig_install(&r, &s);
	assert_int_equal(fwd_session_farewell(r.f, 1, s.seq, packet), 41);
	assert_int_equal(fwd_session_del(r.f, 1, &all), 0);
	assert_int_equal(fwd_session_farewell(r.f, 1, s.seq, packet), 0);
	device_close(&d);
	client_close(&last);
	client_close(&stream);
	client_close(&c);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classic_formats),
		cmocka_unit_test(test_epoch_format),
		cmocka_unit_test(test_its_packet_id_is_nobodys),
		cmocka_unit_test(test_its_counter_is_nobodys),
		cmocka_unit_test(test_who_has_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
