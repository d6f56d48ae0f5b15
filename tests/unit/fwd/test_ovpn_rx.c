/* OpenVPN's data packets coming in: every verdict, in its order; which session they are for; what
 * is said inside; and that nothing unauthentic changes anything. */
#include "ovpn_rig.h"

static const struct ip_addr internet = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

static void again(struct buffer *b, const struct buffer *good)
{
	*b = *good;
	b->p.data = b->bytes + (good->p.data - good->bytes);
}

static void test_deliver(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr src6 = rig_addr6(3);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 3);
	struct client c = rig_ovpn(&r, 3, 0x2a, 0, 1);
	assert_int_equal(rig_hear_client(&r, 3, &c), FWD_DELIVER);
	inner6(&b, &src6, &src6, 72);
	client_seal(&c, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	assert_int_equal(b.p.len, 72);
	assert_int_equal(b.p.peer, 3);
	assert_int_equal(rig_hear_ping(&r, &c), FWD_KEEPALIVE);
	struct fwd_peer_stats st = rig_stats(&r, 3);
	assert_true(st.up);
	assert_int_equal(st.rx_packets, 2);
	assert_int_equal(st.rx_bytes, 132);
	assert_int_equal(st.protocol, UAPI_OPENVPN);
	assert_int_equal(st.cipher, AEAD_AES_256_GCM);
	assert_int_equal(st.transport, UAPI_UDP);
	assert_int_equal(st.tls, 0x0304);
	assert_int_equal(st.local_index, 0x2a);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_CONFIRMED, 0), 1);
	client_close(&c);
	rig_close(&r);
}

/* One bit flipped anywhere, every length: nothing is promoted, nothing moves, no window shifts. */
static void test_unauthentic(void **state)
{
	struct rig r;
	struct buffer b, good;
	struct ip_addr src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	c.path = rig_path(66, 6666);
	inner4(&good, &src, &internet, 60);
	client_seal(&c, &good);
	for (uint32_t bit = 0; bit < good.p.len * 8; bit++) {
		again(&b, &good);
		b.p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		uint8_t got = rig_rx(&r, 0, &b);
		uint8_t want = bit < 32 ? FWD_UNKNOWN_SESSION : FWD_BAD_TAG;
		if (bit / 8 == 7 && bit % 8 == 0)
			want = FWD_MALFORMED; /* packet id 0 */
		if (want != got)
			fail_msg("bit %u: %s", bit, fwd_verdict_name((enum fwd_verdict)got));
	}
	for (uint32_t len = 0; len < good.p.len; len++) {
		again(&b, &good);
		b.p.len = len;
		assert_int_equal(rig_rx(&r, 0, &b), len < 25 ? FWD_MALFORMED : FWD_BAD_TAG);
	}
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_false(st.up);
	assert_int_equal(st.path.remote.port, 1194);
	assert_int_equal(st.rx_age_ms, UINT32_MAX);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 0);
	again(&b, &good);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	client_close(&c);
	rig_close(&r);
}

static void test_packet_ids(void **state)
{
	struct rig r;
	struct buffer b;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	struct ip_addr src = rig_addr4(1);
	static const struct {
		uint32_t id;
		uint8_t verdict;
	} rows[] = {
		{0, FWD_MALFORMED},
		{5, FWD_DELIVER}, /* the first need not be 1 */
		{5, FWD_REPLAY},
		{1, FWD_DELIVER},
		{1, FWD_REPLAY},
		{20000, FWD_DELIVER},
		{20000 - REPLAY_WINDOW, FWD_DELIVER},
		{20000 - REPLAY_WINDOW - 1, FWD_REPLAY},
		{0xff000001, FWD_DELIVER},
		{0xfffffffe, FWD_DELIVER},
		{0xffffffff, FWD_EXPIRED}, /* never used */
		{0, FWD_MALFORMED},
		{1, FWD_REPLAY}, /* no coming round */
		{0xfffffffe, FWD_REPLAY},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		inner4(&b, &src, &internet, 60);
		client_seal_at(&c, &b, rows[i].id);
		assert_int_equal(rig_rx(&r, 0, &b), rows[i].verdict);
	}
	client_close(&c);
	rig_close(&r);
}

/* Each key has its own window: the same ids on another key are no replay, the same packet is. */
static void test_replay_per_key(void **state)
{
	struct rig r;
	struct buffer b, copy;
	struct ip_addr src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client c[2] = {rig_ovpn(&r, 1, 7, 0, 1), rig_ovpn(&r, 1, 7, 1, 1)};
	for (int i = 0; i < 2; i++)
		for (uint32_t id = 1; id < 100; id++) {
			inner4(&b, &src, &internet, 60);
			client_seal_at(&c[i], &b, id);
			again(&copy, &b);
			assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
			assert_int_equal(rig_rx(&r, 0, &copy), FWD_REPLAY);
		}
	client_close(&c[0]);
	client_close(&c[1]);
	rig_close(&r);
}

/* Peer-id in all its bits, key id, opcode. */
static void test_unknown(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client c = rig_ovpn(&r, 1, 0x123407, 2, 1);
	for (int bit = 0; bit < 24; bit++) {
		c.peer_id = 0x123407u ^ 1u << bit; /* 64 slots: another generation of the same */
		assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	}
	c.peer_id = OVPN_NO_PEER_ID;
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	c.peer_id = 0x123407;
	for (uint8_t key_id = 0; key_id < 8; key_id++) {
		c.key_id = key_id;
		if (key_id != 2)
			assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	}
	c.key_id = 2;
	c.format = UAPI_DATA_V1;
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	c.format = UAPI_DATA_V2;
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
	client_close(&c);
	rig_close(&r);
}

/* What the other protocol's key table holds is not found by this one's packets. */
static void test_tables_apart(void **state)
{
	struct rig r;
	struct buffer b;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	struct device d = rig_session(&r, 2, UAPI_RESPONDER, 9, 2);
	c.peer_id = 9;
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	d.to = 7;
	assert_int_equal(rig_hear(&r, 2, &d), FWD_UNKNOWN_SESSION);
	for (int first = 0; first < 256; first++) { /* opcodes that are no data */
		b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = 60};
		memset(b.p.data, 0, 60);
		b.p.data[0] = (uint8_t)first;
		b.p.data[3] = 7;
		b.p.data[7] = 1;
		uint8_t v = rig_rx(&r, 0, &b);
		assert_int_equal(v, first == 0x48 ? FWD_BAD_TAG : FWD_UNKNOWN_SESSION);
	}
	client_close(&c);
	device_close(&d);
	rig_close(&r);
}

static void test_inside(void **state)
{
	struct rig r;
	struct buffer b;
	uint8_t text[64] = {0};
	struct ip_addr other = rig_addr4(2), src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	memcpy(text, ovpn_ping, 16);
	assert_int_equal(rig_hear_text(&r, &c, text, 17), FWD_KEEPALIVE); /* padded */
	assert_int_equal(rig_hear_text(&r, &c, text, 64), FWD_KEEPALIVE);
	assert_int_equal(rig_hear_text(&r, &c, text, 15), FWD_BAD_INNER);
	text[15] ^= 1;
	assert_int_equal(rig_hear_text(&r, &c, text, 16), FWD_BAD_INNER);
	for (uint8_t op = 0; op < 8; op++) { /* all but exit mean nothing to us */
		memcpy(text, occ_exit, 16);
		text[16] = op;
		if (op != OVPN_OCC_EXIT)
			assert_int_equal(rig_hear_text(&r, &c, text, 17), FWD_KEEPALIVE);
	}
	assert_int_equal(rig_hear_text(&r, &c, text, 16), FWD_KEEPALIVE); /* no op at all */
	text[15] ^= 1;
	assert_int_equal(rig_hear_text(&r, &c, text, 17), FWD_BAD_INNER);
	memset(text, 0, sizeof(text));
	assert_int_equal(rig_hear_text(&r, &c, text, 1), FWD_BAD_INNER);
	text[0] = 0xfa; /* a compression stub that nobody agreed on */
	assert_int_equal(rig_hear_text(&r, &c, text, 40), FWD_BAD_INNER);
	inner4(&b, &src, &internet, 64);
	b.p.data[3] = 65;
	client_seal(&c, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_BAD_INNER);
	inner4(&b, &other, &internet, 64);
	client_seal(&c, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_SPOOFED_SOURCE);
	inner4(&b, &internet, &src, 64);
	client_seal(&c, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_SPOOFED_SOURCE);
	struct ip_addr six = rig_addr6(2);
	inner6(&b, &six, &six, 64);
	client_seal(&c, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_SPOOFED_SOURCE);
	assert_int_equal(rig_stats(&r, 1).rx_packets, 0);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_EXIT), 0);
	client_close(&c);
	rig_close(&r);
}

/* The words of one protocol mean nothing in the other. */
static void test_ping_in_wireguard(void **state)
{
	struct rig r;
	struct buffer b;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, UAPI_RESPONDER, 7, 1);
	b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = 16};
	memcpy(b.p.data, ovpn_ping, 16);
	device_seal(&d, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_BAD_INNER);
	b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = sizeof(occ_exit)};
	memcpy(b.p.data, occ_exit, sizeof(occ_exit));
	device_seal(&d, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_BAD_INNER);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_EXIT), 0);
	device_close(&d);
	rig_close(&r);
}

static void test_float(void **state)
{
	struct rig r;
	struct buffer b, old;
	struct ip_addr src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	inner4(&b, &src, &internet, 60);
	client_seal(&c, &b);
	again(&old, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	rig_tick(&r, 1000);
	old.p.path = rig_path(99, 9); /* a replay from elsewhere moves nothing */
	assert_int_equal(rig_rx(&r, 0, &old), FWD_REPLAY);
	assert_int_equal(rig_stats(&r, 1).path.remote.port, 1194);
	c.path = rig_path(9, 4444);
	assert_int_equal(rig_hear_ping(&r, &c), FWD_KEEPALIVE);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_MOVED, 0), 1);
	assert_true(path_equal(&r.events[0].path, &c.path));
	rig_say_to(&r, 1, &c);
	/* A rekey says where the control plane thinks it is; the packets know better. */
	struct client next = rig_ovpn(&r, 1, 7, 1, 1);
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_true(path_equal(&st.path, &c.path));
	assert_int_equal(fwd_session_use(r.f, 1, next.seq), 0);
	st = rig_stats(&r, 1);
	assert_true(path_equal(&st.path, &c.path));
	client_close(&c);
	client_close(&next);
	rig_close(&r);
}

static void set_tcp(struct fwd_session *s, uint32_t connection)
{
	s->transport = UAPI_TCP;
	s->path.connection = connection;
}

static void test_transport(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct fwd_session s = ovpn_keys(&r, 1, 7, 0, 1);
	set_tcp(&s, 5);
	struct client tcp = rig_install(&r, &s), udp = rig_ovpn(&r, 2, 8, 0, 2);
	tcp.path.connection = 6; /* another connection */
	assert_int_equal(rig_hear_client(&r, 1, &tcp), FWD_UNKNOWN_SESSION);
	tcp.path.connection = 0; /* UDP */
	assert_int_equal(rig_hear_client(&r, 1, &tcp), FWD_UNKNOWN_SESSION);
	udp.path.connection = 5;
	assert_int_equal(rig_hear_client(&r, 2, &udp), FWD_UNKNOWN_SESSION);
	tcp.path.connection = 5;
	udp.path.connection = 0;
	assert_int_equal(rig_hear_client(&r, 1, &tcp), FWD_DELIVER);
	assert_int_equal(rig_hear_client(&r, 2, &udp), FWD_DELIVER);
	tcp.path.remote.port++; /* of a connection nothing else is looked at, and nothing moves */
	assert_int_equal(rig_hear_client(&r, 1, &tcp), FWD_DELIVER);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_MOVED, 0), 0);
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_true(path_equal(&st.path, &s.path));
	/* WireGuard is UDP. */
	rig_peer(&r, 3);
	struct device d = rig_session(&r, 3, UAPI_RESPONDER, 20, 3);
	d.path.connection = 5;
	assert_int_equal(rig_hear(&r, 3, &d), FWD_UNKNOWN_SESSION);
	d.path.connection = 0;
	assert_int_equal(rig_hear(&r, 3, &d), FWD_DELIVER);
	client_close(&tcp);
	client_close(&udp);
	device_close(&d);
	rig_close(&r);
}

/* Clients without peer-id: by connection, or by endpoint, and key id. */
static void test_v1(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct fwd_session s = ovpn_keys(&r, 1, 0, 0, 1);
	s.format = UAPI_DATA_V1;
	struct client a = rig_install(&r, &s);
	s = ovpn_keys(&r, 2, 0, 0, 2);
	s.format = UAPI_DATA_V1;
	set_tcp(&s, 44);
	struct client b = rig_install(&r, &s);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	assert_int_equal(rig_hear_client(&r, 2, &b), FWD_DELIVER);
	a.path.remote.port++; /* has no way to tell who it is from elsewhere */
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_UNKNOWN_SESSION);
	a.path.remote.port--;
	a.key_id = 1;
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_UNKNOWN_SESSION);
	a.key_id = 0;
	b.path.connection++;
	assert_int_equal(rig_hear_client(&r, 2, &b), FWD_UNKNOWN_SESSION);
	b.path.connection--;
	a.format = UAPI_DATA_V2; /* not in the other table */
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_UNKNOWN_SESSION);
	a.format = UAPI_DATA_V1;
	rig_say_to(&r, 1, &a);

	struct fwd_session rekey = ovpn_keys(&r, 1, 0, 1, 1);
	rekey.format = UAPI_DATA_V1;
	struct client next = rig_install(&r, &rekey);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	assert_int_equal(rig_hear_client(&r, 1, &next), FWD_DELIVER);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER); /* previous */

	struct fwd_session anew = ovpn_keys(&r, 1, 0, 0, 9); /* starts again from the same port */
	anew.format = UAPI_DATA_V1;
	anew.open[0] ^= 1;
	struct client fresh = rig_install(&r, &anew);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_BAD_TAG);
	assert_int_equal(rig_hear_client(&r, 1, &fresh), FWD_DELIVER);
	rig_tick(&r, 100);
	assert_int_equal(rig_hear_client(&r, 1, &next), FWD_UNKNOWN_SESSION); /* the old tunnel */
	assert_int_equal(rig_hear_client(&r, 1, &fresh), FWD_DELIVER);
	struct ulid all = {{0}};
	assert_int_equal(fwd_session_del(r.f, 1, &all), 0);
	assert_int_equal(rig_hear_client(&r, 1, &fresh), FWD_UNKNOWN_SESSION);
	client_close(&a);
	client_close(&b);
	client_close(&next);
	client_close(&fresh);
	rig_close(&r);
}

/* Openings are counted: near the limit a rekey is asked for, at it nothing opens any more. */
static void test_failed_opens(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
	rig_tick(&r, 100);
	struct session *s = rig_current(&r, 1);
	assert_int_equal(atomic_load(&s->rx.failed), 0);
	atomic_store(&s->rx.failed, OVPN_FAILED_OPENS / 8 * 7);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 0);
	inner4(&b, &src, &internet, 60);
	client_seal(&c, &b);
	b.p.data[30] ^= 1;
	assert_int_equal(rig_rx(&r, 0, &b), FWD_BAD_TAG);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 1);
	atomic_store(&s->rx.failed, OVPN_FAILED_OPENS);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_EXPIRED);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 1);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	client_close(&c);
	rig_close(&r);
}

static void test_gcm_blocks(void **state)
{
	static const uint8_t ciphers[] = {
		AEAD_AES_256_GCM, AEAD_AES_128_GCM, AEAD_CHACHA20_POLY1305};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		const bool gcm = ciphers[i] != AEAD_CHACHA20_POLY1305;
		struct rig r;
		rig_open(&r, 1);
		rig_peer(&r, 1);
		struct fwd_session keys = ovpn_keys(&r, 1, 7, 0, 1);
		keys.cipher = ciphers[i];
		struct client c = rig_install(&r, &keys);
		assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
		struct session *s = rig_current(&r, 1);
		assert_int_equal(atomic_load(&s->rx.blocks), gcm ? 4 + 1 : 0); /* 60 bytes */
		atomic_store(&s->rx.blocks, OVPN_GCM_BLOCKS / 8 * 7 - 5);
		rig_tick(&r, 100);
		assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
		rig_tick(&r, 100);
		assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 0);
		assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
		rig_tick(&r, 100);
		assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), gcm);
		atomic_store(&s->rx.blocks, OVPN_GCM_BLOCKS);
		assert_int_equal(rig_hear_client(&r, 1, &c), gcm ? FWD_EXPIRED : FWD_DELIVER);
		client_close(&c);
		rig_close(&r);
	}
}

static void test_age(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	r.now += 3600 * 1000 - 1;
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
	r.now += 1;
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_EXPIRED);
	rig_tick(&r, 0);
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 1);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	client_close(&c);
	rig_close(&r);
}

/* Both protocols, several peers and verdicts in one batch; runs end where the session changes. */
static void test_batch(void **state)
{
	enum { N = 300 };
	static struct buffer b[N];
	static struct fwd_packet p[N];
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	struct device d = rig_session(&r, 2, UAPI_RESPONDER, 8, 2);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t who = 1 + i / 70 % 2;
		struct ip_addr src = rig_addr4(who);
		inner4(&b[i], &src, &internet, 100 + i);
		if (who == 1)
			client_seal(&c, &b[i]);
		else
			device_seal(&d, &b[i]);
		if (i % 10 == 3)
			b[i].p.data[40] ^= 1;
		p[i] = b[i].p;
	}
	fwd_enter(r.f, 0);
	fwd_rx(r.f, 0, p, N, r.now);
	fwd_leave(r.f, 0);
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(p[i].verdict, i % 10 == 3 ? FWD_BAD_TAG : FWD_DELIVER);
		if (i % 10 == 3)
			continue;
		assert_int_equal(p[i].len, 100 + i);
		assert_int_equal(p[i].peer, 1 + i / 70 % 2);
	}
	client_close(&c);
	device_close(&d);
	rig_close(&r);
}

/* A SYN from the client leaves with an MSS that our packets to it can keep. */
static void test_mss(void **state)
{
	static const uint8_t tcp[] = {0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0x12,
		0x34, 0, 0, 2, 4, 0x05, 0xb4};
	struct rig r;
	struct buffer b;
	struct ip_addr src[] = {rig_addr4(1), rig_addr4(2)};

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	struct device d = rig_session(&r, 2, UAPI_RESPONDER, 8, 2);
	for (int wg = 0; wg < 2; wg++) {
		inner4(&b, &src[wg], &internet, 20 + sizeof(tcp));
		b.p.data[6] = b.p.data[7] = 0;
		b.p.data[9] = 6;
		memcpy(b.p.data + 20, tcp, sizeof(tcp));
		if (wg)
			device_seal(&d, &b);
		else
			client_seal(&c, &b);
		assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
		int mss = b.p.data[42] << 8 | b.p.data[43];
		assert_int_equal(mss, wg ? 1460 : 1400);
	}
	client_close(&c);
	device_close(&d);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deliver),
		cmocka_unit_test(test_unauthentic),
		cmocka_unit_test(test_packet_ids),
		cmocka_unit_test(test_replay_per_key),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_tables_apart),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_ping_in_wireguard),
		cmocka_unit_test(test_float),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_failed_opens),
		cmocka_unit_test(test_gcm_blocks),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_mss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
