/* What the control plane may ask: every refusal, revocation, sync, and the newest session. */
#include "rig.h"

enum { R = UAPI_RESPONDER, I = UAPI_INITIATOR };

static const struct ip_addr none;

static void test_limits(void **state)
{
	struct fwd *f = NULL;
	const struct fwd_limits good = {4, 16, 8, 1, 8, 1420};
	struct fwd_limits bad[] = {good, good, good, good, good, good, good, good};

	(void)state;
	assert_int_equal(aead_init(), 0);
	bad[0].max_peers = 0;
	bad[1].max_indices = 15;
	bad[2].max_indices = 0;
	bad[3].workers = 0;
	bad[4].workers = 65;
	bad[5].mtu_max = 0;
	bad[6].max_peer_ids = 12;
	bad[7].max_peer_ids = 1 << 25;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(fwd_new(&f, &bad[i]), -EINVAL);
	assert_null(f);
	fwd_free(NULL);
	assert_int_equal(fwd_new(&f, &good), 0);
	fwd_free(f);
}

static void test_peer_refusals(void **state)
{
	struct rig r;
	struct ip_addr a4 = rig_addr4(1), a6 = rig_addr6(1), b4 = rig_addr4(2), b6 = rig_addr6(2);

	(void)state;
	rig_open(&r, 1);
	assert_int_equal(fwd_peer_set(r.f, RIG_PEERS, &a4, &a6), -EINVAL);
	assert_int_equal(fwd_peer_set(r.f, UINT32_MAX, &a4, &a6), -EINVAL);
	assert_int_equal(fwd_peer_set(r.f, 1, &a6, &a4), -EINVAL);
	assert_int_equal(fwd_peer_set(r.f, 1, &none, &none), -EINVAL);
	assert_int_equal(fwd_peer_set(r.f, 1, &a4, &a6), 0);
	assert_int_equal(fwd_peer_set(r.f, 1, &a4, &a6), 0); /* idempotent */
	assert_int_equal(fwd_peer_set(r.f, 2, &a4, &b6), -EEXIST);
	assert_int_equal(fwd_peer_set(r.f, 2, &b4, &a6), -EEXIST);
	assert_int_equal(fwd_peer_set(r.f, 2, &b4, &b6), 0);
	assert_int_equal(fwd_peer_set(r.f, 2, &a4, &b6), -EEXIST);
	assert_int_equal(fwd_peer_del(r.f, 3), -ENOENT);
	assert_int_equal(fwd_peer_del(r.f, RIG_PEERS + 1), -ENOENT);
	assert_int_equal(fwd_peer_del(r.f, 1), 0);
	assert_int_equal(fwd_peer_del(r.f, 1), -ENOENT);
	assert_int_equal(fwd_peer_set(r.f, 2, &a4, &b6), 0);
	rig_close(&r);
}

/* A new address keeps session and counters; the old one is nobody's any more. */
static void test_readdress(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr old = rig_addr4(1), new4 = rig_addr4(9), a6 = rig_addr6(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, I, 7, 1);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	uint64_t epoch = rig_stats(&r, 1).epoch;
	assert_int_equal(fwd_peer_set(r.f, 1, &new4, &a6), 0);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_SPOOFED_SOURCE);
	inner4(&b, &old, &old, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_NO_ROUTE);
	inner4(&b, &old, &new4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	inner6(&b, &a6, &a6, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_true(st.epoch == epoch && st.rx_packets == 1 && st.tx_packets == 2);
	assert_int_equal(fwd_peer_set(r.f, 1, &new4, &none), 0);
	inner6(&b, &a6, &a6, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_NO_ROUTE);
	rig_peer(&r, 2);
	assert_int_equal(fwd_peer_set(r.f, 2, &old, &a6), 0); /* both are free */
	assert_int_equal(fwd_peer_del(r.f, 1), 0);
	rig_peer(&r, 3);
	assert_true(rig_stats(&r, 3).epoch > epoch);
	device_close(&d);
	rig_close(&r);
}

static void test_session_refusals(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	const struct fwd_session good = rig_keys(&r, 1, R, 7, 1);
	struct fwd_session bad[] = {good, good, good, good, good, good, good};
	bad[0].peer = RIG_PEERS;
	bad[1].protocol = 3;
	bad[2].role = 2;
	bad[3].cipher = 0;
	bad[4].cipher = 4;
	bad[5].transport = 0;
	bad[6].transport = 3;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(fwd_session_set(r.f, &bad[i], r.now), -EINVAL);
	struct fwd_session s = good;
	s.peer = 3;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), -ENOENT);
	s = good;
	s.seq = 0;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), -EALREADY);
	assert_int_equal(fwd_session_seq(r.f), 0); /* nothing of that counted */
	s.seq = 100;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0);
	assert_int_equal(fwd_session_seq(r.f), 100);
	for (uint64_t seq = 99; seq <= 100; seq++) { /* never twice, not even after it is gone */
		s.seq = seq;
		s.local_index = 8;
		assert_int_equal(fwd_session_set(r.f, &s, r.now), -EALREADY);
	}
	s.seq = 101;
	s.local_index = 7;
	s.peer = 2;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), -EEXIST);
	s.local_index = 7 + 256; /* the same slot */
	assert_int_equal(fwd_session_set(r.f, &s, r.now), -EEXIST);
	assert_int_equal(fwd_peer_del(r.f, 1), 0);
	s.peer = 2;
	s.seq = 100;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), -EALREADY);
	s.seq = 101;
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0); /* the slot is free again */
	rig_close(&r);
}

/* A slot whose session has left, but which no tick has cleared yet, is no obstacle. */
static void test_index_reuse(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device a = rig_session(&r, 1, R, 7, 1), b = rig_session(&r, 1, R, 8, 1);
	struct device c = rig_session(&r, 1, R, 7, 1); /* 7 left when 8 came */
	assert_int_equal(rig_hear(&r, 1, &b), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear(&r, 1, &a), FWD_DELIVER); /* same keys: the rig derives them */
	device_close(&a);
	device_close(&b);
	device_close(&c);
	rig_close(&r);
}

static void test_revoke(void **state)
{
	struct rig r;
	struct ulid one = rig_ulid(1), two = rig_ulid(2), all = rig_ulid(0);

	(void)state;
	rig_open(&r, 2);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, I, 7, 1);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	assert_int_equal(fwd_session_del(r.f, 1, &two), 0);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	assert_int_equal(rig_say(&r, 1), FWD_SEND);
	assert_int_equal(fwd_session_del(r.f, 1, &one), 0);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_say(&r, 1), FWD_STAGED);
	assert_int_equal(fwd_session_del(r.f, 1, &one), 0);
	assert_false(fwd_has_staged(r.f, 0)); /* staged packets are gone as well */
	assert_int_equal(fwd_session_del(r.f, 50, &one), 0);
	assert_int_equal(fwd_session_del(r.f, 5000, &one), 0);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, 0), 0); /* it knows that itself */
	device_close(&d);

	d = rig_session(&r, 1, R, 7, 1);
	assert_int_equal(fwd_session_del(r.f, 1, &all), 0);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_UNKNOWN_SESSION);
	device_close(&d);

	d = rig_session(&r, 1, I, 9, 2);
	assert_int_equal(rig_say(&r, 1), FWD_SEND);
	assert_int_equal(fwd_peer_del(r.f, 1), 0);
	assert_int_equal(rig_say(&r, 1), FWD_NO_ROUTE);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_UNKNOWN_SESSION);
	device_close(&d);
	rig_close(&r);
}

/* Two credentials of one device: whoever was heard last has it alone. */
static void test_newest_wins(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device a = rig_session(&r, 1, R, 7, 1);
	assert_int_equal(rig_hear(&r, 1, &a), FWD_DELIVER);
	struct device b = rig_session(&r, 1, R, 8, 2);
	assert_int_equal(rig_hear(&r, 1, &a), FWD_DELIVER); /* b has only shaken hands */
	assert_int_equal(rig_stats(&r, 1).local_index, 7);
	assert_int_equal(rig_hear(&r, 1, &b), FWD_DELIVER);
	assert_int_equal(rig_hear(&r, 1, &a), FWD_UNKNOWN_SESSION);
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_int_equal(st.local_index, 8);
	assert_true(ulid_equal(&st.credential, &(struct ulid){{1, [15] = 2}}));
	assert_int_equal(st.rx_packets, 3);	   /* the device's */
	assert_int_equal(st.tunnel_rx_packets, 1); /* the tunnel's began with b */
	assert_int_equal(st.tunnel_rx_bytes, 60);
	assert_int_equal(rig_say(&r, 1), FWD_SEND);
	assert_int_equal(rig_stats(&r, 1).tunnel_tx_packets, 1);
	device_close(&a);
	device_close(&b);
	rig_close(&r);
}

/* A rekey of the same tunnel does not begin its counters anew. */
static void test_tunnel_counts(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device a = rig_session(&r, 1, R, 7, 1);
	assert_int_equal(rig_hear(&r, 1, &a), FWD_DELIVER);
	struct device b = rig_session(&r, 1, R, 8, 1);
	assert_int_equal(rig_hear(&r, 1, &b), FWD_DELIVER);
	assert_int_equal(rig_hear(&r, 1, &a), FWD_DELIVER); /* from previous */
	assert_int_equal(rig_stats(&r, 1).tunnel_rx_packets, 3);
	device_close(&a);
	device_close(&b);
	rig_close(&r);
}

static void test_sync(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	assert_int_equal(fwd_sync_end(r.f), 0);
	for (uint32_t i = 0; i < 10; i++)
		rig_peer(&r, i);
	assert_int_equal(fwd_sync_end(r.f), 0); /* no sync was running */
	struct device d2 = rig_session(&r, 2, I, 7, 1), d3 = rig_session(&r, 3, I, 8, 2);
	fwd_sync_begin(r.f);
	for (uint32_t i = 0; i < 10; i += 2)
		rig_peer(&r, i);
	rig_peer(&r, 20);
	assert_int_equal(rig_hear(&r, 3, &d3), FWD_DELIVER); /* until the end */
	assert_int_equal(fwd_sync_end(r.f), 5);
	assert_int_equal(rig_hear(&r, 3, &d3), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear(&r, 2, &d2), FWD_DELIVER);
	struct fwd_totals t;
	fwd_totals(r.f, &t);
	assert_int_equal(t.peers, 6);
	assert_int_equal(t.sessions, 1);
	fwd_sync_begin(r.f);
	fwd_sync_begin(r.f); /* the control plane went away in the middle */
	rig_peer(&r, 2);
	assert_int_equal(fwd_sync_end(r.f), 5);
	assert_int_equal(fwd_sync_end(r.f), 0);
	assert_int_equal(rig_hear(&r, 2, &d2), FWD_DELIVER);
	device_close(&d2);
	device_close(&d3);
	rig_close(&r);
}

/* Addresses that changed hands while the control plane was away: the sync's word holds. */
static void test_sync_swap(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr a[2] = {rig_addr4(0), rig_addr4(1)}, a6[2] = {rig_addr6(0), rig_addr6(1)};

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 0);
	rig_peer(&r, 1);
	struct device d0 = rig_session(&r, 0, I, 7, 1), d1 = rig_session(&r, 1, I, 8, 2);
	fwd_sync_begin(r.f);
	assert_int_equal(fwd_peer_set(r.f, 0, &a[1], &a6[0]), 0);
	assert_int_equal(rig_hear(&r, 1, &d1), FWD_SPOOFED_SOURCE); /* not both at a time */
	assert_int_equal(rig_hear(&r, 1, &d0), FWD_DELIVER);
	assert_int_equal(fwd_peer_set(r.f, 1, &a[1], &a6[1]), -EEXIST); /* 0 was named */
	assert_int_equal(fwd_peer_set(r.f, 1, &a[0], &a6[1]), 0);
	assert_int_equal(fwd_sync_end(r.f), 0);
	assert_int_equal(rig_hear(&r, 0, &d1), FWD_DELIVER);
	assert_int_equal(rig_hear(&r, 1, &d0), FWD_DELIVER);
	for (uint32_t i = 0; i < 2; i++) {
		inner4(&b, &a[0], &a[i], 60);
		assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
		assert_int_equal(b.p.peer, 1 - i);
	}
	device_close(&d0);
	device_close(&d1);
	rig_close(&r);
}

static void test_stats(void **state)
{
	struct rig r;
	struct fwd_peer_stats st[8];

	(void)state;
	rig_open(&r, 1);
	for (uint32_t i = 0; i < 20; i += 2)
		rig_peer(&r, i);
	assert_int_equal(fwd_peer_stats(r.f, 0, st, 8, r.now), 8);
	assert_int_equal(st[7].peer, 14);
	assert_false(st[0].up);
	assert_int_equal(fwd_peer_stats(r.f, 15, st, 8, r.now), 2);
	assert_int_equal(st[0].peer, 16);
	assert_int_equal(fwd_peer_stats(r.f, 19, st, 8, r.now), 0);
	assert_int_equal(fwd_peer_stats(r.f, UINT32_MAX, st, 8, r.now), 0);
	struct device d = rig_session(&r, 4, R, 7, 1);
	assert_false(rig_stats(&r, 4).up); /* not confirmed */
	assert_int_equal(rig_hear(&r, 4, &d), FWD_DELIVER);
	r.now += 1234;
	st[0] = rig_stats(&r, 4);
	assert_true(st[0].up && st[0].protocol == UAPI_WIREGUARD && st[0].transport == UAPI_UDP);
	assert_true(st[0].tunnel_started_ms == 5 && st[0].handshake_ms == 6);
	assert_int_equal(st[0].rx_age_ms, 1234);
	fwd_count(r.f, 0, FWD_DELIVER, 3);
	fwd_count(r.f, 1, FWD_PUNTED, 4); /* the control thread's own line */
	assert_int_equal(rig_verdicts(&r, FWD_DELIVER), 3);
	assert_int_equal(rig_verdicts(&r, FWD_PUNTED), 4);
	assert_int_equal(fwd_peer_del(r.f, 4), 0);
	struct fwd_totals t;
	fwd_totals(r.f, &t);
	assert_int_equal(t.rx_packets, 1); /* totals outlive the peer */
	assert_int_equal(t.peers, 9);
	device_close(&d);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_peer_refusals),
		cmocka_unit_test(test_readdress),
		cmocka_unit_test(test_session_refusals),
		cmocka_unit_test(test_index_reuse),
		cmocka_unit_test(test_revoke),
		cmocka_unit_test(test_newest_wins),
		cmocka_unit_test(test_tunnel_counts),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_sync_swap),
		cmocka_unit_test(test_stats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
