/* OpenVPN's data packets going out: packet ids and their limits, and what goes by a stream. */
#include "ovpn_rig.h"

enum { N = 160 };

static const struct ip_addr internet = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

/* A working session of peer 1 over UDP, or over that connection. */
static struct client start(struct rig *r, uint8_t cipher, uint32_t connection)
{
	rig_open(r, 2);
	rig_peer(r, 1);
	struct fwd_session s = ovpn_keys(r, 1, 7, 0, 1);
	s.cipher = cipher;
	if (connection) {
		s.transport = UAPI_TCP;
		s.path.connection = connection;
	}
	struct client c = rig_install(r, &s);
	assert_int_equal(rig_hear_ping(r, &c), FWD_KEEPALIVE);
	rig_tick(r, 0);
	return c;
}

static void make_batch(struct buffer *b, struct fwd_packet *p, uint32_t n)
{
	struct ip_addr a4 = rig_addr4(1);

	for (uint32_t i = 0; i < n; i++) {
		inner4(&b[i], &internet, &a4, 60 + i);
		p[i] = b[i].p;
	}
}

static void test_send(void **state)
{
	static struct buffer b[N];
	static struct fwd_packet p[N];
	struct rig r;
	uint32_t id;

	(void)state;
	struct client c = start(&r, AEAD_AES_256_GCM, 0);
	make_batch(b, p, N);
	fwd_enter(r.f, 0);
	fwd_tx(r.f, 0, p, N, r.now);
	fwd_leave(r.f, 0);
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(p[i].verdict, FWD_SEND);
		assert_int_equal(p[i].peer, 1);
		assert_int_equal(p[i].len, 60 + i + 24);
		assert_true(path_equal(&p[i].path, &c.path));
		assert_int_equal(client_unwrap(&c, p[i].data, p[i].len, &id)[3], 60 + i);
		assert_int_equal(id, 1 + i);
	}
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_int_equal(st.tx_packets, N);
	assert_int_equal(st.tx_bytes, 60 * N + N * (N - 1) / 2);
	assert_int_equal(rig_verdicts(&r, FWD_SEND), 0); /* the caller's to count */
	client_close(&c);
	rig_close(&r);
}

/* Rekey wanted in time, the last id never used, no wrap however often it is asked. */
static void test_packet_id_limit(void **state)
{
	static struct buffer b[10];
	static struct fwd_packet p[10];
	struct rig r;
	uint32_t id;

	(void)state;
	struct client c = start(&r, AEAD_AES_256_GCM, 0);
	struct session *s = rig_current(&r, 1);
	atomic_store(&session_sealing(s)->counter, OVPN_REKEY_AFTER_PACKETS - 1);
	rig_say_to(&r, 1, &c);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 0);
	rig_say_to(&r, 1, &c);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 1);

	atomic_store(&session_sealing(s)->counter, OVPN_REJECT_AFTER_PACKETS - 4);
	make_batch(b, p, 10);
	fwd_enter(r.f, 0);
	fwd_tx(r.f, 0, p, 10, r.now);
	fwd_leave(r.f, 0);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(p[i].verdict, i < 4 ? FWD_SEND : FWD_STAGED);
		if (i >= 4)
			continue;
		client_unwrap(&c, p[i].data, p[i].len, &id);
		assert_true(id == 0xfffffffbu + i);
	}
	for (int i = 0; i < 1000; i++)
		rig_say(&r, 1);
	assert_true(atomic_load(&session_sealing(s)->counter) == OVPN_REJECT_AFTER_PACKETS);
	assert_int_equal(rig_hear_ping(&r, &c), FWD_KEEPALIVE); /* until the tick sees it */
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 1);
	assert_int_equal(rig_hear_ping(&r, &c), FWD_UNKNOWN_SESSION);
	client_close(&c);
	rig_close(&r);
}

/* AES-GCM: blocks and packets; what would go beyond the limit is not sealed, nor anything after. */
static void test_gcm_limit(void **state)
{
	static const uint8_t ciphers[] = {
		AEAD_AES_256_GCM, AEAD_AES_128_GCM, AEAD_CHACHA20_POLY1305};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		const bool gcm = ciphers[i] != AEAD_CHACHA20_POLY1305;
		struct rig r;
		struct client c = start(&r, ciphers[i], 0);
		struct session *s = rig_current(&r, 1);
		rig_say_to(&r, 1, &c);
		assert_int_equal(atomic_load(&session_sealing(s)->blocks),
			gcm ? 5 : 0); /* 60 bytes, one packet */
		atomic_store(&session_sealing(s)->blocks, OVPN_GCM_BLOCKS / 8 * 7 - 5);
		rig_say_to(&r, 1, &c);
		rig_tick(&r, 100);
		assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 0);
		rig_say_to(&r, 1, &c);
		rig_tick(&r, 100);
		assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), gcm);
		atomic_store(&session_sealing(s)->blocks, OVPN_GCM_BLOCKS - 5);
		rig_say_to(&r, 1, &c); /* exactly up to it */
		atomic_store(&session_sealing(s)->blocks, OVPN_GCM_BLOCKS - 4);
		assert_int_equal(rig_say(&r, 1), gcm ? FWD_STAGED : FWD_SEND);
		assert_int_equal(rig_say(&r, 1), gcm ? FWD_STAGED : FWD_SEND);
		rig_tick(&r, 100);
		assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_AGE), gcm);
		client_close(&c);
		rig_close(&r);
	}
}

static void seal(struct rig *r, uint32_t worker, struct fwd_packet *p, size_t n)
{
	struct fwd_packet *run[FWD_RUN];

	assert_true(n <= FWD_RUN);
	for (size_t i = 0; i < n; i++)
		run[i] = &p[i];
	fwd_seal(r->f, worker, run, n, r->now);
}

/* Plain until the stream has its turn; counted then, and only then. */
static void test_stream(void **state)
{
	static struct buffer b[N];
	static struct fwd_packet p[N];
	struct rig r;
	uint32_t id;

	(void)state;
	struct client c = start(&r, AEAD_CHACHA20_POLY1305, 44);
	make_batch(b, p, 50);
	fwd_enter(r.f, 0);
	fwd_tx(r.f, 0, p, 50, r.now);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(p[i].verdict, FWD_STREAM);
		assert_int_equal(p[i].peer, 1);
		assert_int_equal(p[i].len, 60 + i);
		assert_ptr_equal(p[i].data, b[i].bytes + FWD_HEADROOM);
		assert_int_equal(p[i].data[0], 0x45);
		assert_int_equal(p[i].path.connection, 44);
	}
	assert_int_equal(rig_stats(&r, 1).tx_packets, 0);
	seal(&r, 1, p + 20, 30); /* another worker was quicker: the ids follow the stream */
	seal(&r, 0, p, 20);
	fwd_leave(r.f, 0);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(p[i].verdict, FWD_SEND);
		assert_int_equal(client_unwrap(&c, p[i].data, p[i].len, &id)[3], 60 + i);
		assert_int_equal(id, i < 20 ? 31 + i : i - 19);
	}
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_int_equal(st.tx_packets, 50);
	assert_int_equal(st.tx_bytes, 60 * 50 + 50 * 49 / 2);
	assert_int_equal(st.transport, UAPI_TCP);
	assert_int_equal(st.path.connection, 44);
	client_close(&c);
	rig_close(&r);
}

/* The session ends between the two calls, or its ids do. */
static void test_stream_ends(void **state)
{
	static struct buffer b[N];
	static struct fwd_packet p[N];
	struct rig r;
	struct ulid none = {{0}};

	(void)state;
	struct client c = start(&r, AEAD_AES_256_GCM, 44);
	struct session *s = rig_current(&r, 1);
	make_batch(b, p, 10);
	fwd_tx(r.f, 0, p, 10, r.now);
	atomic_store(&session_sealing(s)->counter, OVPN_REJECT_AFTER_PACKETS - 3);
	seal(&r, 0, p, 10);
	for (int i = 0; i < 10; i++)
		assert_int_equal(p[i].verdict, i < 3 ? FWD_SEND : FWD_NO_SESSION);
	assert_int_equal(rig_verdicts(&r, FWD_NO_SESSION), 7);
	assert_int_equal(rig_stats(&r, 1).tx_packets, 3);
	atomic_store(&session_sealing(s)->counter, 10);

	make_batch(b, p, 3);
	fwd_tx(r.f, 0, p, 3, r.now);
	r.now += 3600 * 1000; /* too old meanwhile */
	seal(&r, 0, p, 3);
	assert_int_equal(p[2].verdict, FWD_NO_SESSION);
	r.now -= 3600 * 1000;

	make_batch(b, p, 3);
	fwd_tx(r.f, 0, p, 3, r.now);
	fwd_connection_closed(r.f, 1, 44); /* dead, not yet freed: no tick came */
	seal(&r, 0, p, 3);
	assert_int_equal(p[0].verdict, FWD_NO_SESSION);
	assert_int_equal(p[0].len, 60); /* untouched */
	assert_int_equal(rig_verdicts(&r, FWD_NO_SESSION), 13);
	assert_int_equal(rig_say(&r, 1), FWD_STAGED);
	assert_int_equal(fwd_session_del(r.f, 1, &none), 0);
	client_close(&c);
	rig_close(&r);
}

/* A run that crosses a rekey: each packet with the session it names. */
static void test_stream_mixed(void **state)
{
	static struct buffer b[N];
	static struct fwd_packet p[N];
	struct rig r;
	uint32_t id;

	(void)state;
	struct client c = start(&r, AEAD_AES_256_GCM, 44);
	make_batch(b, p, 6);
	fwd_tx(r.f, 0, p, 3, r.now);
	struct fwd_session keys = ovpn_keys(&r, 1, 7, 1, 1);
	keys.transport = UAPI_TCP;
	keys.path.connection = 44;
	struct client next = rig_install(&r, &keys);
	assert_int_equal(fwd_session_use(r.f, 1, next.seq), 0);
	fwd_tx(r.f, 0, p + 3, 3, r.now);
	seal(&r, 0, p, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(p[i].verdict, FWD_SEND);
		client_unwrap(i < 3 ? &c : &next, p[i].data, p[i].len, &id);
		assert_int_equal(id, 1 + i % 3);
	}
	client_close(&c);
	client_close(&next);
	rig_close(&r);
}

static void test_unstage_stream(void **state)
{
	static struct buffer out[N];
	static struct fwd_packet p[N];
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	for (int i = 0; i < 20; i++)
		assert_int_equal(rig_say(&r, 1 + (uint32_t)i % 2), FWD_STAGED);
	struct fwd_session s = ovpn_keys(&r, 1, 7, 0, 1);
	s.transport = UAPI_TCP;
	s.path.connection = 44;
	struct client c = rig_install(&r, &s);
	for (int i = 0; i < N; i++)
		p[i].data = out[i].bytes + FWD_HEADROOM;
	assert_int_equal(fwd_unstage(r.f, 0, p, N, 2048, r.now), 0); /* not used yet */
	assert_int_equal(rig_hear_ping(&r, &c), FWD_KEEPALIVE);
	struct device d = rig_session(&r, 2, UAPI_INITIATOR, 9, 2);
	assert_int_equal(fwd_unstage(r.f, 0, p, N, 2048, r.now), 20);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(p[i].verdict, p[i].peer == 1 ? FWD_STREAM : FWD_SEND);
		if (p[i].peer != 1)
			continue;
		assert_int_equal(p[i].path.connection, 44);
		assert_ptr_equal(p[i].session, rig_current(&r, 1));
		seal(&r, 0, &p[i], 1);
		assert_int_equal(p[i].verdict, FWD_SEND);
	}
	client_close(&c);
	device_close(&d);
	rig_close(&r);
}

/* A peer that has WireGuard's endpoint and a TCP session at once: each goes its own way. */
static void test_paths_apart(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr a4 = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, UAPI_RESPONDER, 9, 2);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	struct fwd_session s = ovpn_keys(&r, 1, 7, 0, 1);
	s.transport = UAPI_TCP;
	s.path = rig_path(50, 443);
	s.path.connection = 44;
	struct client c = rig_install(&r, &s);
	inner4(&b, &internet, &a4, 60); /* WireGuard is still in use, by UDP */
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	assert_true(path_equal(&b.p.path, &d.path));
	assert_int_equal(rig_hear_ping(&r, &c), FWD_KEEPALIVE);
	inner4(&b, &internet, &a4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_STREAM);
	assert_true(path_equal(&b.p.path, &s.path));

	struct fwd_session udp = ovpn_keys(&r, 1, 8, 0, 2); /* and back to UDP, elsewhere */
	udp.path = rig_path(51, 1194);
	struct client u = rig_install(&r, &udp);
	inner4(&b, &internet, &a4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_STREAM);
	assert_int_equal(fwd_session_use(r.f, 1, u.seq), 0);
	inner4(&b, &internet, &a4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	assert_true(path_equal(&b.p.path, &udp.path));
	device_close(&d);
	client_close(&c);
	client_close(&u);
	rig_close(&r);
}

/* A SYN to the client: its MSS fits UDP, TCP, and the family outside. */
static void test_mss(void **state)
{
	static const uint8_t tcp[] = {0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0x12,
		0x34, 0, 0, 2, 4, 0x05, 0xb4};
	struct ip_addr a6 = rig_addr6(1);

	(void)state;
	for (uint32_t connection = 0; connection < 2; connection++) {
		struct rig r;
		struct buffer b;
		uint32_t id;
		struct client c = start(&r, AEAD_AES_256_GCM, connection);
		inner6(&b, &a6, &a6, 40 + sizeof(tcp));
		b.p.data[6] = 6;
		memcpy(b.p.data + 40, tcp, sizeof(tcp));
		assert_int_equal(rig_tx(&r, 0, &b), connection ? FWD_STREAM : FWD_SEND);
		if (connection)
			seal(&r, 0, &b.p, 1);
		uint8_t *text = client_unwrap(&c, b.p.data, b.p.len, &id);
		int mss = text[62] << 8 | text[63];
		assert_int_equal(mss, 1492 - (connection ? 42 : 28) - 24 - 60);
		client_close(&c);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_packet_id_limit),
		cmocka_unit_test(test_gcm_limit),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_ends),
		cmocka_unit_test(test_stream_mixed),
		cmocka_unit_test(test_unstage_stream),
		cmocka_unit_test(test_paths_apart),
		cmocka_unit_test(test_mss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
