/* OpenVPN's timers in virtual time: pings, silence, goodbyes, ends; and none of WireGuard's. */
#include "ovpn_rig.h"

struct fixture {
	struct rig r;
	struct client c;
};

/* One peer with one session in use. */
static void start_with(struct fixture *x, struct fwd_session s)
{
	x->c = rig_install(&x->r, &s);
	assert_int_equal(rig_hear_ping(&x->r, &x->c), FWD_KEEPALIVE);
	rig_tick(&x->r, 0);
	assert_int_equal(rig_told(&x->r, FWD_EVENT_CONFIRMED, 0), 1);
}

static struct fwd_session prepare(struct fixture *x, uint16_t ping_s, uint16_t timeout_s)
{
	rig_open(&x->r, 2);
	rig_peer(&x->r, 1);
	struct fwd_session s = ovpn_keys(&x->r, 1, 7, 0, 1);
	s.ping_s = ping_s;
	s.timeout_s = timeout_s;
	return s;
}

static void stop(struct fixture *x)
{
	client_close(&x->c);
	rig_close(&x->r);
}

static void expect_pings(struct fixture *x, uint32_t n)
{
	assert_int_equal(x->r.n_sent, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t id;
		assert_int_equal(x->r.sent_len[i], 40);
		uint8_t *text = client_unwrap(&x->c, x->r.sent[i], 40, &id);
		assert_memory_equal(text, ovpn_ping, 16);
		assert_true(path_equal(&x->r.sent_path[i], &x->c.path));
	}
}

static void test_ping(void **state)
{
	(void)state;
	for (uint32_t connection = 0; connection < 2; connection++) {
		struct fixture x;
		struct fwd_session s = prepare(&x, 10, 0);
		if (connection) {
			s.transport = UAPI_TCP;
			s.path.connection = connection;
		}
		start_with(&x, s);
		rig_run(&x.r, 9900);
		expect_pings(&x, 0);
		rig_run(&x.r, 100);
		expect_pings(&x, 1);
		rig_run(&x.r, 60000); /* again and again, heard or not */
		expect_pings(&x, 6);
		struct fwd_peer_stats st = rig_stats(&x.r, 1);
		assert_int_equal(st.tx_packets, 0); /* nothing inner */
		if (!connection) {
			x.r.now += 5000;
			rig_say_to(&x.r, 1, &x.c); /* on whichever worker */
			rig_run(&x.r, 9900);
			expect_pings(&x, 0);
			rig_run(&x.r, 100);
			expect_pings(&x, 1);
		}
		stop(&x);
	}
}

static void test_no_ping(void **state)
{
	struct fixture x;

	(void)state;
	start_with(&x, prepare(&x, 0, 0));
	rig_run(&x.r, 100000);
	assert_int_equal(x.r.n_sent, 0);
	stop(&x);
}

/* What was sent by any worker puts the ping off; what came does not. */
static void test_ping_workers(void **state)
{
	struct fixture x;
	struct buffer b;
	struct ip_addr a4 = rig_addr4(1), src = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	(void)state;
	start_with(&x, prepare(&x, 10, 0));
	for (uint32_t i = 0; i < 20; i++) {
		rig_run(&x.r, 6000);
		expect_pings(&x, 0);
		inner4(&b, &src, &a4, 60);
		assert_int_equal(rig_tx(&x.r, i % 2, &b), FWD_SEND);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(rig_hear_ping(&x.r, &x.c), FWD_KEEPALIVE);
		rig_run(&x.r, 5000);
	}
	rig_run(&x.r, 5000);
	expect_pings(&x, 1);
	stop(&x);
}

/* None of T1 to T7, whatever goes or does not go through. */
static void test_no_wishes(void **state)
{
	struct fixture x;

	(void)state;
	start_with(&x, prepare(&x, 0, 0));
	for (int i = 0; i < 400; i++) {
		rig_say_to(&x.r, 1, &x.c); /* unanswered for minutes */
		rig_tick(&x.r, 1000);
		assert_int_equal(x.r.n_events, 0);
		assert_int_equal(x.r.n_sent, 0);
	}
	for (int i = 0; i < 400; i++) {
		assert_int_equal(rig_hear_client(&x.r, 1, &x.c), FWD_DELIVER);
		rig_tick(&x.r, 1000);
		assert_int_equal(x.r.n_events, 0);
		assert_int_equal(x.r.n_sent, 0); /* no keepalive owed */
	}
	stop(&x);
}

static void test_silence(void **state)
{
	struct fixture x;
	struct client next;

	(void)state;
	start_with(&x, prepare(&x, 10, 60));
	for (int i = 0; i < 5; i++) {
		rig_run(&x.r, 59900);
		assert_int_equal(x.r.n_events, 0);
		assert_int_equal(rig_hear_ping(&x.r, &x.c), FWD_KEEPALIVE);
	}
	rig_run(&x.r, 50000);
	struct fwd_session s = ovpn_keys(&x.r, 1, 7, 1, 1);
	s.timeout_s = 60;
	next = rig_install(&x.r, &s);
	rig_run(&x.r, 9900);
	assert_int_equal(x.r.n_events, 0);
	x.r.refuse = true;
	rig_run(&x.r, 200);
	x.r.refuse = false;
	rig_run(&x.r, 100);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_SILENCE), 1);
	assert_int_equal(x.r.n_events, 1);
	assert_true(x.r.events[0].seq == x.c.seq);
	assert_int_equal(rig_hear_ping(&x.r, &x.c), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear_ping(&x.r, &next), FWD_UNKNOWN_SESSION); /* all of the tunnel */
	assert_null(x.r.f->active);
	client_close(&next);
	stop(&x);
}

/* A forged packet is no sign of life. */
static void test_silence_forged(void **state)
{
	struct fixture x;
	struct buffer b;

	(void)state;
	start_with(&x, prepare(&x, 0, 60));
	for (int i = 0; i < 60; i++) {
		b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = OVPN_PING};
		memcpy(b.p.data, ovpn_ping, OVPN_PING);
		client_seal(&x.c, &b);
		b.p.data[10] ^= 1;
		assert_int_equal(rig_rx(&x.r, 0, &b), FWD_BAD_TAG);
		rig_run(&x.r, 1000);
	}
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_SILENCE), 1);
	stop(&x);
}

/* It connected anew just before its old tunnel was found dead: the new one stays. */
static void test_silence_spares_new(void **state)
{
	struct fixture x;

	(void)state;
	start_with(&x, prepare(&x, 0, 60));
	rig_run(&x.r, 59000);
	struct fwd_session s = ovpn_keys(&x.r, 1, 8, 0, 2);
	s.timeout_s = 60;
	struct client fresh = rig_install(&x.r, &s);
	rig_run(&x.r, 2000);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_SILENCE), 1);
	assert_true(x.r.events[0].seq == x.c.seq);
	assert_int_equal(rig_hear_ping(&x.r, &fresh), FWD_KEEPALIVE);
	rig_run(&x.r, 1000);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_CONFIRMED, 0), 1);
	client_close(&fresh);
	stop(&x);
}

/* Got its keys, never used them. */
static void test_silence_unused(void **state)
{
	struct fixture x;

	(void)state;
	struct fwd_session s = prepare(&x, 10, 60);
	x.c = rig_install(&x.r, &s);
	rig_run(&x.r, 59900);
	assert_int_equal(x.r.n_events, 0);
	assert_int_equal(x.r.n_sent, 0); /* nor is it pinged */
	rig_run(&x.r, 200);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_SILENCE), 1);
	assert_true(x.r.events[0].seq == s.seq);
	stop(&x);
}

static void test_exit(void **state)
{
	struct fixture x;

	(void)state;
	start_with(&x, prepare(&x, 0, 0));
	struct client next = rig_ovpn(&x.r, 1, 7, 1, 1);
	assert_int_equal(rig_hear_text(&x.r, &x.c, occ_exit, sizeof(occ_exit)), FWD_KEEPALIVE);
	x.r.refuse = true;
	rig_tick(&x.r, 100);
	x.r.refuse = false;
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 1);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_EXIT), 1);
	assert_true(x.r.events[0].seq == x.c.seq);
	assert_int_equal(rig_hear_ping(&x.r, &x.c), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear_ping(&x.r, &next), FWD_UNKNOWN_SESSION);
	rig_run(&x.r, 1000);
	assert_int_equal(x.r.n_events, 0);
	assert_null(x.r.f->active);
	client_close(&next);
	stop(&x);
}

/* On the key before; with another tunnel's keys already there, which are not meant. */
static void test_exit_on_previous(void **state)
{
	struct fixture x;

	(void)state;
	start_with(&x, prepare(&x, 0, 0));
	struct client next = rig_ovpn(&x.r, 1, 7, 1, 1);
	assert_int_equal(rig_hear_ping(&x.r, &next), FWD_KEEPALIVE);
	struct client fresh = rig_ovpn(&x.r, 1, 8, 0, 2);
	rig_tick(&x.r, 100);
	assert_int_equal(rig_hear_text(&x.r, &x.c, occ_exit, sizeof(occ_exit)), FWD_KEEPALIVE);
	rig_tick(&x.r, 100);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_EXIT), 1);
	assert_true(x.r.events[0].seq == next.seq); /* the one in use */
	assert_int_equal(rig_hear_ping(&x.r, &next), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear_ping(&x.r, &fresh), FWD_KEEPALIVE);
	rig_tick(&x.r, 100);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_CONFIRMED, 0), 1);
	client_close(&next);
	client_close(&fresh);
	stop(&x);
}

static void test_closed(void **state)
{
	struct fixture x;

	(void)state;
	struct fwd_session s = prepare(&x, 0, 0);
	s.transport = UAPI_TCP;
	s.path.connection = 44;
	start_with(&x, s);
	fwd_connection_closed(x.r.f, 1, 0);
	fwd_connection_closed(x.r.f, 1, 45);
	fwd_connection_closed(x.r.f, 2, 44);
	fwd_connection_closed(x.r.f, 4000, 44);
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 0);
	assert_int_equal(rig_hear_client(&x.r, 1, &x.c), FWD_DELIVER);
	fwd_connection_closed(x.r.f, 1, 44);
	fwd_connection_closed(x.r.f, 1, 44);
	assert_int_equal(rig_hear_client(&x.r, 1, &x.c), FWD_UNKNOWN_SESSION);
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 1);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_CLOSED), 1);
	assert_true(x.r.events[0].seq == x.c.seq);
	rig_run(&x.r, 1000);
	assert_int_equal(x.r.n_events, 0);
	assert_null(x.r.f->active);
	stop(&x);
}

/* A client that went from TCP to UDP: the end of its old connection is no news. */
static void test_closed_old(void **state)
{
	struct fixture x;

	(void)state;
	struct fwd_session s = prepare(&x, 0, 0);
	s.transport = UAPI_TCP;
	s.path.connection = 44;
	start_with(&x, s);
	struct client udp = rig_ovpn(&x.r, 1, 8, 0, 2);
	assert_int_equal(rig_hear_ping(&x.r, &udp), FWD_KEEPALIVE);
	rig_tick(&x.r, 100);
	fwd_connection_closed(x.r.f, 1, 44);
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 0);
	assert_int_equal(rig_hear_ping(&x.r, &udp), FWD_KEEPALIVE);
	client_close(&udp);
	stop(&x);
}

/* The connection goes before the client has said a word on it. */
static void test_closed_unused(void **state)
{
	struct fixture x;

	(void)state;
	struct fwd_session s = prepare(&x, 0, 0);
	s.transport = UAPI_TCP;
	s.path.connection = 44;
	x.c = rig_install(&x.r, &s);
	fwd_connection_closed(x.r.f, 1, 44);
	rig_tick(&x.r, 100);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_CLOSED), 1);
	assert_true(x.r.events[0].seq == s.seq);
	stop(&x);
}

/* Too old while the client has not switched to the next key yet: it can still. */
static void test_age_with_next(void **state)
{
	struct fixture x;

	(void)state;
	struct fwd_session s = prepare(&x, 0, 0);
	s.life_s = 100;
	start_with(&x, s);
	rig_run(&x.r, 90000);
	struct client next = rig_ovpn(&x.r, 1, 7, 1, 1);
	rig_run(&x.r, 20000);
	assert_int_equal(x.r.n_events, 0);
	assert_int_equal(rig_hear_ping(&x.r, &x.c), FWD_UNKNOWN_SESSION);
	assert_int_equal(rig_hear_ping(&x.r, &next), FWD_KEEPALIVE);
	rig_tick(&x.r, 100);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_CONFIRMED, 0), 1);
	client_close(&next);
	stop(&x);
}

static void test_use(void **state)
{
	struct fixture x;

	(void)state;
	start_with(&x, prepare(&x, 0, 0));
	assert_int_equal(fwd_session_use(x.r.f, 1, 99), -ENOENT);
	assert_int_equal(fwd_session_use(x.r.f, 2, x.c.seq), -ENOENT);
	assert_int_equal(fwd_session_use(x.r.f, 4000, x.c.seq), -ENOENT);
	assert_int_equal(fwd_session_use(x.r.f, 1, x.c.seq), 0); /* it is in use */
	struct client next = rig_ovpn(&x.r, 1, 7, 1, 1);
	rig_say_to(&x.r, 1, &x.c);
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 0);
	assert_int_equal(fwd_session_use(x.r.f, 1, next.seq), 0);
	rig_say_to(&x.r, 1, &next);
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 1);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_CONFIRMED, 0), 1);
	assert_true(x.r.events[0].seq == next.seq);
	assert_int_equal(fwd_session_use(x.r.f, 1, x.c.seq), 0); /* an older one: nothing */
	rig_say_to(&x.r, 1, &next);
	assert_int_equal(rig_hear_client(&x.r, 1, &x.c), FWD_DELIVER); /* still receives */
	assert_int_equal(rig_hear_client(&x.r, 1, &next), FWD_DELIVER);
	rig_say_to(&x.r, 1, &next);
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 0);
	client_close(&next);
	stop(&x);
}

/* What waits for a session leaves when the server decides that there is one; WireGuard's keys are
 * confirmed by packets alone. */
static void test_use_releases(void **state)
{
	struct rig r;
	struct buffer out;
	struct fwd_packet p = {.data = out.bytes + FWD_HEADROOM};

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, UAPI_RESPONDER, 9, 1);
	assert_int_equal(fwd_session_use(r.f, 1, d.seq), -ENOENT);
	assert_int_equal(rig_say(&r, 1), FWD_STAGED);
	struct client c = rig_ovpn(&r, 1, 7, 0, 1);
	assert_int_equal(fwd_unstage(r.f, 0, &p, 1, 2048, r.now), 0);
	assert_int_equal(fwd_session_use(r.f, 1, c.seq), 0);
	assert_int_equal(fwd_unstage(r.f, 0, &p, 1, 2048, r.now), 1);
	assert_int_equal(p.verdict, FWD_SEND);
	device_close(&d);
	client_close(&c);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_no_ping),
		cmocka_unit_test(test_ping_workers),
		cmocka_unit_test(test_no_wishes),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_silence_forged),
		cmocka_unit_test(test_silence_spares_new),
		cmocka_unit_test(test_silence_unused),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_exit_on_previous),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_closed_old),
		cmocka_unit_test(test_closed_unused),
		cmocka_unit_test(test_age_with_next),
		cmocka_unit_test(test_use),
		cmocka_unit_test(test_use_releases),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
