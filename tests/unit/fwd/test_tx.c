/* What goes out: routes, padding, counters, and packets that wait for a session. */
#include "rig.h"

enum { R = UAPI_RESPONDER, I = UAPI_INITIATOR, N = 160 };

static const struct ip_addr internet = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

static void test_send(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr a4 = rig_addr4(1), a6 = rig_addr6(1);
	uint64_t counter;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, I, 7, 1);
	for (uint32_t len = 20; len <= 1420; len++) {
		inner4(&b, &internet, &a4, len);
		assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
		assert_int_equal(b.p.peer, 1);
		assert_true(path_equal(&b.p.path, &d.path));
		uint32_t padded = (len + 15) / 16 * 16;
		assert_int_equal(b.p.len, 32 + (padded > 1420 ? 1420 : padded));
		assert_int_equal(device_unwrap(&d, b.p.data, b.p.len, &counter), b.p.len - 32);
		assert_int_equal(counter, len - 20); /* from 0, each once */
		assert_int_equal(b.p.data[16], 0x45);
		for (uint32_t i = len; i < b.p.len - 32; i++)
			assert_int_equal(b.p.data[16 + i], 0);
	}
	inner6(&b, &a6, &a6, 72);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	fwd_set_mtu(r.f, 1300);
	inner4(&b, &internet, &a4, 1299);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	assert_int_equal(b.p.len, 1332);
	inner4(&b, &internet, &a4, 1301); /* longer than it should be: not padded at all */
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	assert_int_equal(b.p.len, 1333);
	struct fwd_peer_stats st = rig_stats(&r, 1);
	assert_int_equal(st.tx_packets, 1404);
	assert_int_equal(st.tx_bytes, 1440 * 1401 / 2 + 72 + 1299 + 1301);
	assert_int_equal(rig_verdicts(&r, FWD_SEND), 0);
	device_close(&d);
	rig_close(&r);
}

static void test_refused(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr a4 = rig_addr4(1), other = rig_addr4(2);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	inner4(&b, &internet, &other, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_NO_ROUTE);
	inner4(&b, &internet, &a4, 60);
	b.p.data[3] = 61;
	assert_int_equal(rig_tx(&r, 0, &b), FWD_BAD_INNER);
	inner4(&b, &internet, &a4, 60);
	b.p.len = 0;
	assert_int_equal(rig_tx(&r, 0, &b), FWD_BAD_INNER);
	inner4(&b, &internet, &a4, 1421); /* does not fit a slot of the stage */
	assert_int_equal(rig_tx(&r, 0, &b), FWD_TOO_BIG);
	struct fwd_session s = rig_keys(&r, 1, I, 7, 1);
	s.path = (struct path){0};
	assert_int_equal(fwd_session_set(r.f, &s, r.now), 0);
	inner4(&b, &internet, &a4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_NO_ENDPOINT);
	rig_close(&r);
}

/* Responder: current keeps sending until next is confirmed. */
static void test_next_does_not_send(void **state)
{
	struct rig r;
	struct buffer b;
	struct ip_addr a4 = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device one = rig_session(&r, 1, R, 7, 1);
	assert_int_equal(rig_say(&r, 1), FWD_STAGED);
	assert_int_equal(rig_hear_keepalive(&r, &one), FWD_KEEPALIVE);
	struct device two = rig_session(&r, 1, R, 8, 1);
	inner4(&b, &internet, &a4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_STAGED); /* behind the one that waits */
	struct buffer out[2];
	struct fwd_packet p[2] = {
		{.data = out[0].bytes + FWD_HEADROOM}, {.data = out[1].bytes + FWD_HEADROOM}};
	assert_int_equal(fwd_unstage(r.f, 0, p, 2, 2048, r.now), 2);
	assert_int_equal(wire_le32(p[0].data + 4), one.from);
	inner4(&b, &internet, &a4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	assert_int_equal(wire_le32(b.p.data + 4), one.from);
	assert_int_equal(rig_hear_keepalive(&r, &two), FWD_KEEPALIVE);
	inner4(&b, &internet, &a4, 60);
	assert_int_equal(rig_tx(&r, 0, &b), FWD_SEND);
	assert_int_equal(wire_le32(b.p.data + 4), two.from);
	device_close(&one);
	device_close(&two);
	rig_close(&r);
}

/* The counter ends before it could come round, and every value is used once. */
static void test_counter_limit(void **state)
{
	static struct buffer b[10];
	static struct fwd_packet p[10];
	struct rig r;
	struct ip_addr a4 = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, I, 7, 1);
	struct session *s = keyslot_current(&r.f->peers[1]->slots);
	atomic_store(&session_sealing(s)->counter, WG_REJECT_AFTER_MESSAGES - 4);
	for (int i = 0; i < 10; i++) {
		inner4(&b[i], &internet, &a4, 60);
		p[i] = b[i].p;
	}
	fwd_enter(r.f, 0);
	fwd_tx(r.f, 0, p, 10, r.now);
	fwd_leave(r.f, 0);
	for (uint64_t i = 0; i < 10; i++) {
		uint64_t counter;
		assert_int_equal(p[i].verdict, i < 4 ? FWD_SEND : FWD_STAGED);
		if (i < 4) {
			device_unwrap(&d, p[i].data, p[i].len, &counter);
			assert_true(counter == WG_REJECT_AFTER_MESSAGES - 4 + i);
		}
	}
	for (int i = 0; i < 1000; i++)
		rig_say(&r, 1);
	assert_true(atomic_load(&session_sealing(s)->counter) == WG_REJECT_AFTER_MESSAGES);
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 1);
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_NO_SESSION), 1);
	uint64_t first;
	assert_int_equal(sealing_reserve(session_sealing(s), 1, &first), 0);
	device_close(&d);
	rig_close(&r);
}

static void test_staged(void **state)
{
	static struct buffer out[N];
	static struct fwd_packet p[N];
	struct rig r;
	struct buffer b;
	struct ip_addr a4 = rig_addr4(1);

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	assert_false(fwd_has_staged(r.f, 0));
	for (uint32_t i = 0; i < 130; i++) { /* the two oldest give way */
		inner4(&b, &internet, &a4, 60 + i);
		assert_int_equal(rig_tx(&r, 0, &b), FWD_STAGED);
	}
	assert_int_equal(rig_verdicts(&r, FWD_STAGED), 130);
	assert_int_equal(rig_verdicts(&r, FWD_NO_SESSION), 2);
	assert_true(fwd_has_staged(r.f, 0));
	rig_run(&r, 5000);
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_NO_SESSION), 1);
	assert_int_equal(fwd_unstage(r.f, 0, p, N, 2048, r.now), 0);
	struct device d = rig_session(&r, 1, I, 7, 1);
	for (int i = 0; i < N; i++)
		p[i].data = out[i].bytes + FWD_HEADROOM;
	uint64_t counter, sent = 0;
	while (sent < 128) { /* in small portions, in order */
		size_t n = fwd_unstage(r.f, 0, p, 50, 2048, r.now);
		assert_true(n > 0);
		for (size_t i = 0; i < n; i++, sent++) {
			device_unwrap(&d, p[i].data, p[i].len, &counter);
			assert_int_equal(counter, sent);
			assert_int_equal(p[i].data[16 + 3], 62 + sent);
			assert_int_equal(p[i].peer, 1);
			assert_true(path_equal(&p[i].path, &d.path));
			p[i].data = out[i].bytes + FWD_HEADROOM;
		}
	}
	assert_false(fwd_has_staged(r.f, 0));
	assert_int_equal(fwd_unstage(r.f, 0, p, N, 2048, r.now), 0);
	rig_tick(&r, 100); /* T11: they have proved the keys, no keepalive */
	assert_int_equal(r.n_sent, 0);
	device_close(&d);
	rig_close(&r);
}

/* The pool is everybody's: a full one refuses, and old packets make room again. */
static void test_stage_full(void **state)
{
	struct rig r;
	struct fwd_packet none;

	(void)state;
	rig_open(&r, 1);
	for (uint32_t i = 1; i <= 4; i++)
		rig_peer(&r, i);
	for (int i = 0; i < 200; i++)
		assert_int_equal(rig_say(&r, 1 + (uint32_t)i % 2), FWD_STAGED);
	assert_int_equal(rig_say(&r, 3), FWD_NO_SESSION);
	assert_int_equal(rig_say(&r, 1), FWD_STAGED); /* its own oldest gives way */
	r.now += STAGE_KEEP_MS + 1;
	assert_int_equal(fwd_unstage(r.f, 0, &none, 0, 2048, r.now), 0);
	assert_false(fwd_has_staged(r.f, 0));
	assert_int_equal(rig_verdicts(&r, FWD_NO_SESSION), 1 + 1 + 200);
	assert_int_equal(rig_say(&r, 3), FWD_STAGED);
	rig_close(&r);
}

/* Peers with and without a session wait side by side; only those with one leave. */
static void test_stage_mixed(void **state)
{
	static struct buffer out[N];
	static struct fwd_packet p[N];
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	for (uint32_t i = 1; i <= 5; i++)
		rig_peer(&r, i);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(rig_say(&r, 1 + i % 5), FWD_STAGED);
	struct device a = rig_session(&r, 2, I, 7, 1), c = rig_session(&r, 5, I, 8, 2);
	for (int i = 0; i < N; i++)
		p[i].data = out[i].bytes + FWD_HEADROOM;
	assert_int_equal(fwd_unstage(r.f, 0, p, N, 2048, r.now), 20);
	for (int i = 0; i < 20; i++)
		assert_true(p[i].peer == 2 || p[i].peer == 5);
	assert_int_equal(fwd_peer_del(r.f, 3), 0); /* with what waits for it */
	assert_int_equal(fwd_session_del(r.f, 4, &(struct ulid){{0}}), 0);
	struct device d = rig_session(&r, 4, I, 9, 3), e = rig_session(&r, 1, I, 10, 4);
	for (int i = 0; i < N; i++)
		p[i].data = out[i].bytes + FWD_HEADROOM;
	assert_int_equal(fwd_unstage(r.f, 0, p, N, 40, r.now), 0); /* 60 do not fit 40 */
	assert_int_equal(rig_verdicts(&r, FWD_TOO_BIG), 10);
	assert_false(fwd_has_staged(r.f, 0));
	device_close(&a);
	device_close(&c);
	device_close(&d);
	device_close(&e);
	rig_close(&r);
}

/* A batch to several peers; each run takes its counters once. */
static void test_batch(void **state)
{
	static struct buffer b[N];
	static struct fwd_packet p[N];
	struct rig r;
	uint64_t counter, next[2] = {0};

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	rig_peer(&r, 2);
	struct device d[2] = {rig_session(&r, 1, I, 7, 1), rig_session(&r, 2, I, 8, 2)};
	for (uint32_t i = 0; i < N; i++) {
		struct ip_addr dst = rig_addr4(1 + i / 75 % 2);
		inner4(&b[i], &internet, &dst, 60 + i);
		p[i] = b[i].p;
	}
	fwd_enter(r.f, 0);
	fwd_tx(r.f, 0, p, N, r.now);
	fwd_leave(r.f, 0);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t who = i / 75 % 2;
		assert_int_equal(p[i].verdict, FWD_SEND);
		assert_int_equal(p[i].peer, 1 + who);
		device_unwrap(&d[who], p[i].data, p[i].len, &counter);
		assert_int_equal(counter, next[who]++);
		assert_int_equal(p[i].data[19], 60 + i);
	}
	device_close(&d[0]);
	device_close(&d[1]);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_next_does_not_send),
		cmocka_unit_test(test_counter_limit),
		cmocka_unit_test(test_staged),
		cmocka_unit_test(test_stage_full),
		cmocka_unit_test(test_stage_mixed),
		cmocka_unit_test(test_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
