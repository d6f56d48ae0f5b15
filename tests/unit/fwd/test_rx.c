/* What comes in: every verdict, in its order; promotion and roaming only after authentication. */
#include "rig.h"

enum { R = UAPI_RESPONDER, I = UAPI_INITIATOR };

static const struct ip_addr internet = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

static void test_deliver(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr src4 = rig_addr4(3), src6 = rig_addr6(3);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 3);
	struct device d = rig_session(&r, 3, R, 7, 1);
	for (uint32_t len = 20; len < 300; len += 7) {
		inner4(&b, &src4, &internet, len);
		device_seal(&d, &b);
		assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
		assert_int_equal(b.p.len, len); /* padding is cut */
		assert_int_equal(b.p.peer, 3);
		assert_ptr_equal(b.p.data, b.bytes + FWD_HEADROOM);
		assert_int_equal(b.p.data[len - 1], len == 20 ? 8 : (uint8_t)(len - 1));
	}
	inner6(&b, &src6, &src6, 72);
	device_seal(&d, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	assert_int_equal(rig_hear_keepalive(&r, &d), FWD_KEEPALIVE);
	assert_int_equal(rig_verdicts(&r, FWD_DELIVER), 0); /* the caller's to count */
	assert_int_equal(rig_verdicts(&r, FWD_KEEPALIVE), 1);
	struct fwd_peer_stats st = rig_stats(&r, 3);
	assert_int_equal(st.rx_packets, 41);
	assert_int_equal(st.rx_bytes, 40 * 20 + 7 * 39 * 40 / 2 + 72);
	assert_true(st.up);
	assert_int_equal(st.rx_age_ms, 0);
	device_close(&d);
	rig_close(&r);
}

static void test_replays(void **state)
{
	struct rig r;
	struct buffer b, again;
	struct ip_addr src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	inner4(&b, &src, &internet, 60);
	device_seal(&d, &b);
	again = b;
	again.p.data = again.bytes + (b.p.data - b.bytes);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	assert_int_equal(rig_rx(&r, 0, &again), FWD_REPLAY);
	inner4(&b, &src, &internet, 60);
	device_seal_at(&d, &b, 20000);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	inner4(&b, &src, &internet, 60);
	device_seal_at(&d, &b, 20000 - REPLAY_WINDOW - 1);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_REPLAY);
	inner4(&b, &src, &internet, 60);
	device_seal_at(&d, &b, WG_REJECT_AFTER_MESSAGES);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_EXPIRED);
	inner4(&b, &src, &internet, 60);
	device_seal_at(&d, &b, WG_REJECT_AFTER_MESSAGES - 1);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	device_close(&d);
	rig_close(&r);
}

/* Nothing that does not authenticate changes anything: no promotion, no move, no window. */
static void test_unauthentic(void **state)
{
	struct rig r;
	struct buffer b, good;
	struct ip_addr src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	d.path = rig_path(66, 6666);
	inner4(&good, &src, &internet, 60);
	device_seal(&d, &good);
	for (uint32_t bit = 0; bit < good.p.len * 8; bit++) {
		b = good;
		b.p.data = b.bytes + (good.p.data - good.bytes);
		b.p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		uint8_t want = bit >= 64 ? FWD_BAD_TAG : bit >= 32 ? FWD_UNKNOWN_SESSION : 0;
		if (!want)
			continue; /* the type is the classifier's */
		uint8_t got = rig_rx(&r, 0, &b);
		if (want != got && !(got == FWD_EXPIRED && bit >= 64 && bit < 128))
			fail_msg("bit %u: %s", bit, fwd_verdict_name((enum fwd_verdict)got));
	}
	for (uint32_t len = 0; len < good.p.len; len++) {
		b = good;
		b.p.data = b.bytes + (good.p.data - good.bytes);
		b.p.len = len;
		assert_int_equal(rig_rx(&r, 0, &b), len < 32 ? FWD_MALFORMED : FWD_BAD_TAG);
	}
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_false(st.up);
	assert_int_equal(st.path.remote.port, 1000);
	assert_int_equal(st.rx_age_ms, UINT32_MAX);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 0);
	b = good; /* and the right one still goes through */
	b.p.data = b.bytes + (good.p.data - good.bytes);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_DELIVER);
	device_close(&d);
	rig_close(&r);
}

static void test_spoofed_source(void **state)
{
	static const struct ip_addr bad4[] = {{IP_V4, {10, 0, 0, 2}}, {IP_V4, {0, 0, 0, 0}},
		{IP_V4, {255, 255, 255, 255}}, {IP_V4, {127, 0, 0, 1}}, {IP_V4, {10, 0, 0, 0}},
		{IP_V4, {8, 8, 8, 8}}};
	static const struct ip_addr bad6[] = {{IP_V6, {0}}, {IP_V6, {0xfe, 0x80}},
		{IP_V6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1}},
		{IP_V6, {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}}};
	struct rig r;
	struct buffer b;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct device d = rig_session(&r, 1, R, 7, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad4); i++) {
		inner4(&b, &bad4[i], &internet, 60);
		device_seal(&d, &b);
		assert_int_equal(rig_rx(&r, 0, &b), FWD_SPOOFED_SOURCE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad6); i++) {
		inner6(&b, &bad6[i], &bad6[0], 60);
		device_seal(&d, &b);
		assert_int_equal(rig_rx(&r, 0, &b), FWD_SPOOFED_SOURCE);
	}
	assert_int_equal(rig_verdicts(&r, FWD_SPOOFED_SOURCE), ARRAY_SIZE(bad4) + ARRAY_SIZE(bad6));
	assert_int_equal(rig_stats(&r, 1).rx_packets, 0);
	device_close(&d);
	rig_close(&r);
}

/* A peer without an IPv6 address can't send from any, the unspecified one included. */
static void test_no_address(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr a4 = rig_addr4(1), none = {0}, zero6 = {.family = IP_V6};

	(void)state;
	rig_open(&r, 1);
	assert_int_equal(fwd_peer_set(r.f, 1, &a4, &none), 0);
	struct device d = rig_session(&r, 1, R, 7, 1);
	inner6(&b, &zero6, &zero6, 60);
	device_seal(&d, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_SPOOFED_SOURCE);
	inner6(&b, &zero6, &zero6, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_NO_ROUTE);
	device_close(&d);
	rig_close(&r);
}

static void test_bad_inner(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr src = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	inner4(&b, &src, &internet, 64);
	b.p.data[3] = 65; /* longer than what is there */
	device_seal(&d, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_BAD_INNER);
	inner4(&b, &src, &internet, 64);
	b.p.data[0] = 0x55;
	device_seal(&d, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_BAD_INNER);
	inner4(&b, &src, &internet, 64);
	b.p.len = 16;
	device_seal(&d, &b);
	assert_int_equal(rig_rx(&r, 0, &b), FWD_BAD_INNER);
	device_close(&d);
	rig_close(&r);
}

static void test_roaming(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_MOVED, 0), 0);
	d.path = rig_path(9, 4444);
	assert_int_equal(rig_hear_keepalive(&r, &d), FWD_KEEPALIVE);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 1);
	assert_int_equal(r.events[0].kind, FWD_EVENT_MOVED);
	assert_true(path_equal(&r.events[0].path, &d.path));
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_true(path_equal(&st.path, &d.path));
	for (uint8_t i = 0; i < 9; i++) { /* a thousand moves a second are one piece of news */
		d.path = rig_path(20 + i, 4444);
		assert_int_equal(rig_hear_keepalive(&r, &d), FWD_KEEPALIVE);
		rig_tick(&r, 100);
		assert_int_equal(r.n_events, 0);
	}
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_MOVED, 0), 1);
	assert_true(path_equal(&r.events[0].path, &d.path));
	rig_tick(&r, 1000);
	assert_int_equal(r.n_events, 0);
	d.path = rig_path(10, 4444);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	r.refuse = true;
	rig_tick(&r, 100);
	r.refuse = false;
	rig_tick(&r, 100); /* told later */
	assert_int_equal(rig_told(&r, FWD_EVENT_MOVED, 0), 1);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 0);
	device_close(&d);
	rig_close(&r);
}

/* A batch with several sessions, several verdicts; each packet gets its own. */
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
	struct device d[2] = {rig_session(&r, 1, R, 7, 1), rig_session(&r, 2, R, 8, 2)};
	for (int i = 0; i < N; i++) {
		int who = i / 100 % 2;
		struct ip_addr src = rig_addr4((uint32_t)who + 1);
		inner4(&b[i], &src, &internet, 100 + (uint32_t)i);
		device_seal(&d[who], &b[i]);
		if (i % 10 == 3)
			b[i].p.data[20] ^= 1;
		if (i % 10 == 4)
			wire_put_le32(b[i].p.data + 4, 99);
		p[i] = b[i].p;
	}
	fwd_enter(r.f, 0);
	fwd_rx(r.f, 0, p, N, r.now);
	fwd_leave(r.f, 0);
	for (int i = 0; i < N; i++) {
		uint8_t want = i % 10 == 3   ? FWD_BAD_TAG
			       : i % 10 == 4 ? FWD_UNKNOWN_SESSION
					     : FWD_DELIVER;
		assert_int_equal(p[i].verdict, want);
		if (want == FWD_DELIVER) {
			assert_int_equal(p[i].len, 100 + i);
			assert_int_equal(p[i].peer, i / 100 % 2 + 1);
		}
	}
	assert_int_equal(rig_verdicts(&r, FWD_BAD_TAG), N / 10);
	device_close(&d[0]);
	device_close(&d[1]);
	rig_close(&r);
}

static void test_expired(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	r.now += WG_REJECT_AFTER_MS - 1;
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	r.now += 1;
	assert_int_equal(rig_hear(&r, 1, &d), FWD_EXPIRED); /* without a tick in between */
	rig_tick(&r, 0);
	assert_int_equal(rig_told(&r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 1);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_UNKNOWN_SESSION);
	assert_false(rig_stats(&r, 1).up);
	device_close(&d);
	rig_close(&r);
}

/* Same slot, other generation: the whole 32 bits are compared. */
static void test_index_generation(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	for (int bit = 0; bit < 32; bit++) {
		d.to = 7u ^ 1u << bit;
		assert_int_equal(rig_hear(&r, 1, &d), FWD_UNKNOWN_SESSION);
	}
	device_close(&d);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deliver),
		cmocka_unit_test(test_replays),
		cmocka_unit_test(test_unauthentic),
		cmocka_unit_test(test_spoofed_source),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_bad_inner),
		cmocka_unit_test(test_roaming),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_index_generation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
