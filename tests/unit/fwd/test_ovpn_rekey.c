/* OpenVPN's keys following each other, and tunnels replacing each other, of both protocols. */
#include "ovpn_rig.h"

static struct session *slot(struct rig *r, const char *name)
{
	struct keyslots *k = &r->f->peers[1]->slots;

	switch (name[0]) {
	case 'c':
		return atomic_load(&k->current);
	case 'n':
		return atomic_load(&k->next);
	default:
		return atomic_load(&k->previous);
	}
}

static uint64_t seq_in(struct rig *r, const char *name)
{
	const struct session *s = slot(r, name);

	return s ? s->seq : 0;
}

static void expect_slots(struct rig *r, uint64_t current, uint64_t next, uint64_t previous)
{
	assert_int_equal(seq_in(r, "current"), current);
	assert_int_equal(seq_in(r, "next"), next);
	assert_int_equal(seq_in(r, "previous"), previous);
}

static void test_promotion(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client a = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(rig_say(&r, 1), FWD_STAGED); /* next does not send */
	expect_slots(&r, 0, a.seq, 0);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	expect_slots(&r, a.seq, 0, 0);
	struct client b = rig_ovpn(&r, 1, 7, 1, 1);
	expect_slots(&r, a.seq, b.seq, 0);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	expect_slots(&r, a.seq, b.seq, 0); /* the old key goes on until the client switches */
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER);
	expect_slots(&r, b.seq, 0, a.seq);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER); /* late ones */
	expect_slots(&r, b.seq, 0, a.seq);
	struct buffer out;
	struct fwd_packet p = {.data = out.bytes + FWD_HEADROOM};
	uint32_t id;
	assert_int_equal(fwd_unstage(r.f, 0, &p, 1, 2048, r.now), 1); /* what waited */
	client_unwrap(&b, p.data, p.len, &id);
	rig_say_to(&r, 1, &b);
	client_close(&a);
	client_close(&b);
	rig_close(&r);
}

/* previous ends a minute after it became that, whatever its age. */
static void test_linger(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client a = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	rig_run(&r, 500000);
	struct client b = rig_ovpn(&r, 1, 7, 1, 1);
	rig_run(&r, 30000);
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER);
	rig_tick(&r, 0);
	rig_run(&r, 59900);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	rig_run(&r, 100);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_UNKNOWN_SESSION);
	expect_slots(&r, b.seq, 0, 0);
	assert_int_equal(r.n_events, 0);
	rig_run(&r, 500000); /* current has no such end */
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER);
	client_close(&a);
	client_close(&b);
	rig_close(&r);
}

/* A rekey every 20 s whose key the client has not used when the next one comes. */
static void test_unused_next(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client a = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	struct client b = rig_ovpn(&r, 1, 7, 1, 1);
	rig_run(&r, 20000);
	struct client c = rig_ovpn(&r, 1, 7, 2, 1);
	expect_slots(&r, a.seq, c.seq, b.seq);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	rig_say_to(&r, 1, &a);
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER); /* now it used b after all */
	expect_slots(&r, b.seq, c.seq, a.seq);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_CONFIRMED, 0), 1);
	assert_true(r.events[0].seq == b.seq);
	rig_say_to(&r, 1, &b);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	expect_slots(&r, b.seq, c.seq, a.seq);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
	expect_slots(&r, c.seq, 0, b.seq);
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER);
	client_close(&a);
	client_close(&b);
	client_close(&c);
	rig_close(&r);
}

/* The client skipped b altogether: the newer of the two that could still receive stays. */
static void test_skipped_next(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client a = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	struct client b = rig_ovpn(&r, 1, 7, 1, 1), c = rig_ovpn(&r, 1, 7, 2, 1);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
	expect_slots(&r, c.seq, 0, b.seq);
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER);
	expect_slots(&r, c.seq, 0, b.seq); /* an older one does not come back */
	rig_say_to(&r, 1, &c);
	client_close(&a);
	client_close(&b);
	client_close(&c);
	rig_close(&r);
}

/* Under traffic both ways, a hundred rekeys, key ids wrapping from 7 to 1: nothing is lost. */
static void test_many_rekeys(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client old = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(rig_hear_client(&r, 1, &old), FWD_DELIVER);
	for (uint32_t i = 0; i < 100; i++) {
		struct client new = rig_ovpn(&r, 1, 7, (uint8_t)(1 + i % 7), 1);
		for (int t = 0; t < 100; t++) {
			/* The server switches with the client, or by itself. */
			const bool server = t >= (i % 2 ? 50 : 60), device = t >= (i % 2 ? 50 : 80);
			assert_int_equal(rig_hear_client(&r, 1, device ? &new : &old), FWD_DELIVER);
			if (t == 60)
				assert_int_equal(fwd_session_use(r.f, 1, new.seq), 0);
			rig_say_to(&r, 1, server ? &new : &old);
			rig_tick(&r, 200);
			assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 0);
		}
		client_close(&old);
		old = new;
	}
	struct fwd_totals t;
	fwd_totals(r.f, &t);
	assert_int_equal(t.sessions, 1);
	assert_int_equal(rig_stats(&r, 1).rx_packets, 10001);
	assert_int_equal(rig_stats(&r, 1).tunnel_rx_packets, 10001);
	client_close(&old);
	rig_close(&r);
}

/* The client connects anew: the same credential, another tunnel. */
static void test_reconnect(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct client a = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_DELIVER);
	struct client b = rig_ovpn(&r, 1, 7, 1, 1);
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER);
	struct client c = rig_ovpn(&r, 1, 7, 2, 1); /* unused */
	struct fwd_session s = ovpn_keys(&r, 1, 8, 0, 2);
	s.path = rig_path(77, 7777);
	struct client fresh = rig_install(&r, &s);
	expect_slots(&r, b.seq, fresh.seq, a.seq);		   /* c was of the other tunnel */
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_DELIVER); /* until it speaks */
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_int_equal(st.path.remote.port, 1194);
	fresh.path = s.path;
	assert_int_equal(rig_hear_client(&r, 1, &fresh), FWD_DELIVER);
	expect_slots(&r, fresh.seq, 0, 0);
	assert_int_equal(rig_hear_client(&r, 1, &a), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear_client(&r, 1, &b), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	st = rig_stats(&r, 1);
	assert_int_equal(st.path.remote.port, 7777);
	assert_int_equal(st.local_index, 8);
	assert_int_equal(st.rx_packets, 4); /* the device's count goes on */
	assert_int_equal(st.tunnel_rx_packets, 1);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_MOVED, 0), 0); /* the control plane said so */
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 0);
	client_close(&a);
	client_close(&b);
	client_close(&c);
	client_close(&fresh);
	rig_close(&r);
}

/* One device by WireGuard, by OpenVPN and back: address and counters stay, keys do not. */
static void test_protocols(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, UAPI_RESPONDER, 9, 1);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	struct client c = rig_ovpn(&r, 1, 7, 0, 2);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_UNKNOWN_SESSION);
	rig_say_to(&r, 1, &c);
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_int_equal(st.protocol, UAPI_OPENVPN);
	assert_int_equal(st.rx_packets, 7);
	assert_int_equal(st.tx_packets, 1);
	assert_int_equal(st.tunnel_rx_packets, 1);
	rig_run(&r, 30000); /* nothing of WireGuard's timers is left over */
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_SILENCE), 0);
	assert_int_equal(r.n_sent, 0);

	struct device e = rig_session(&r, 1, UAPI_RESPONDER, 10, 1);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_DELIVER);
	assert_int_equal(rig_hear(&r, 1, &e), FWD_DELIVER);
	assert_int_equal(rig_hear_client(&r, 1, &c), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_say(&r, 1), FWD_SEND);
	st = rig_stats(&r, 1);
	assert_int_equal(st.protocol, UAPI_WIREGUARD);
	assert_int_equal(st.key_id, 0);
	assert_int_equal(st.rx_packets, 9);
	assert_int_equal(st.tx_packets, 2);
	struct client back = rig_ovpn(&r, 1, 8, 0, 3);
	struct device init = rig_session(&r, 1, UAPI_INITIATOR, 11, 1);
	assert_int_equal(rig_hear_client(&r, 1, &back), FWD_UNKNOWN_SESSION); /* others left */
	assert_int_equal(rig_hear(&r, 1, &init), FWD_DELIVER);
	device_close(&d);
	device_close(&e);
	device_close(&init);
	client_close(&c);
	client_close(&back);
	rig_close(&r);
}

static void test_refusals(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	const struct fwd_session good = ovpn_keys(&r, 1, 7, 0, 1);
	struct fwd_session bad[] = {good, good, good, good, good, good, good, good, good, good};
	bad[0].role = UAPI_INITIATOR;
	bad[1].key_id = 8;
	bad[2].local_index = OVPN_NO_PEER_ID;
	bad[3].local_index = 1 << 24;
	bad[4].format = 3;
	bad[5].cipher = 4;
	bad[6].transport = UAPI_TCP; /* without a connection */
	bad[7].path.connection = 9;  /* UDP with one */
	bad[8].transport = 3;
	bad[9].peer = RIG_PEERS;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(fwd_session_set(r.f, &bad[i], r.now), -EINVAL);
	struct fwd_session wg = rig_keys(&r, 1, UAPI_RESPONDER, 9, 1);
	wg.transport = UAPI_TCP;
	wg.path.connection = 9;
	assert_int_equal(fwd_session_set(r.f, &wg, r.now), -EINVAL);
	assert_int_equal(fwd_session_seq(r.f), 0);

	struct client c = rig_install(&r, &good);
	assert_int_equal(fwd_session_set(r.f, &good, r.now), -EALREADY);
	struct fwd_session s = ovpn_keys(&r, 2, 7 + 64, 0, 2); /* the same place */
	assert_int_equal(fwd_session_set(r.f, &s, r.now), -EEXIST);
	assert_int_equal(fwd_session_seq(r.f), good.seq);
	s.local_index = 8;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0);
	struct ulid all = {{0}};
	assert_int_equal(fwd_session_del(r.f, 1, &all), 0);
	s = ovpn_keys(&r, 2, 7 + 64, 0, 2);
	s.seq = 50;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0); /* free again */
	client_close(&c);
	rig_close(&r);
}

/* An engine without peer-ids has no OpenVPN, and its packets find nothing. */
static void test_none(void **state)
{
	const struct fwd_limits limits = {4, 16, 0, 1, 8, 1420};
	struct rig r;
	struct buffer b;

	(void)state;
	memset(&r, 0, sizeof(r));
	assert_int_equal(aead_init(), 0);
	assert_int_equal(fwd_new(&r.f, &limits), 0);
	rig_peer(&r, 1);
	struct fwd_session s = ovpn_keys(&r, 1, 7, 0, 1);
	assert_int_equal(fwd_session_set(r.f, &s, r.now), -EINVAL);
	b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = 60};
	memset(b.p.data, 0xff, 60);
	b.p.data[0] = 0x4f;
	assert_int_equal(rig_rx(&r, 0, &b), FWD_UNKNOWN_SESSION);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_promotion),
		cmocka_unit_test(test_linger),
		cmocka_unit_test(test_unused_next),
		cmocka_unit_test(test_skipped_next),
		cmocka_unit_test(test_many_rekeys),
		cmocka_unit_test(test_reconnect),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
