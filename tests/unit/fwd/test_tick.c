/* The timers of B6 in virtual time, each with what must not happen. */
#include "rig.h"

enum { R = UAPI_RESPONDER, I = UAPI_INITIATOR };

struct fixture {
	struct rig r;
	struct device d;
};

/* One peer with one working session of that role. */
static void start(struct fixture *x, int role)
{
	rig_open(&x->r, 1);
	rig_peer(&x->r, 1);
	x->d = rig_session(&x->r, 1, role, 7, 1);
	assert_int_equal(rig_hear_keepalive(&x->r, &x->d), FWD_KEEPALIVE);
	rig_tick(&x->r, 0);
}

static void stop(struct fixture *x)
{
	device_close(&x->d);
	rig_close(&x->r);
}

static void expect_keepalive(struct fixture *x)
{
	uint64_t counter;

	assert_int_equal(x->r.n_sent, 1);
	assert_int_equal(x->r.sent_len[0], 32);
	assert_int_equal(device_unwrap(&x->d, x->r.sent[0], 32, &counter), 0);
	assert_true(path_equal(&x->r.sent_path[0], &x->d.path));
}

static void test_t1(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	assert_int_equal(rig_say(&r, 1), FWD_STAGED);
	rig_tick(&r, 0);
	assert_int_equal(r.n_events, 1);
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_NO_SESSION), 1);
	rig_run(&r, 20000); /* nobody sends any more: once was enough */
	assert_int_equal(r.n_events, 0);
	uint32_t told = 0;
	for (int i = 0; i < 200; i++) { /* 20 s of packets: not more than one per 5 s */
		rig_say(&r, 1);
		rig_tick(&r, 100);
		told += rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_NO_SESSION);
	}
	assert_int_equal(told, 4);
	r.refuse = true;
	rig_run(&r, 6000);
	rig_say(&r, 1);
	rig_tick(&r, 100);
	r.refuse = false;
	rig_tick(&r, 100); /* told when it can be taken */
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_NO_SESSION), 1);
	rig_run(&r, 6000);
	r.refuse = true;
	rig_say(&r, 1);
	rig_tick(&r, 100);
	struct device d = rig_session(&r, 1, I, 7, 1); /* the wish came true meanwhile */
	r.refuse = false;
	rig_tick(&r, 100);
	assert_int_equal(rig_told(&r, FWD_EVENT_REKEY, UAPI_REKEY_NO_SESSION), 0);
	device_close(&d);
	rig_close(&r);
}

static void test_t2(void **state)
{
	for (int role = R; role <= I; role++) {
		struct fixture x;
		(void)state;
		start(&x, role);
		x.r.now += WG_REKEY_AFTER_MS - 1000;
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
		rig_tick(&x.r, 0);
		assert_int_equal(x.r.n_events, 0);
		rig_tick(&x.r, 1000); /* old enough, but nothing is sent */
		assert_int_equal(x.r.n_events, 0);
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		rig_tick(&x.r, 100);
		assert_int_equal(rig_told(&x.r, FWD_EVENT_REKEY, UAPI_REKEY_AGE), role == I);
		rig_run(&x.r, 4000);
		assert_int_equal(x.r.n_events, 0);
		assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
		rig_run(&x.r, 1000);
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND); /* no answer came: once more */
		rig_tick(&x.r, 100);
		assert_int_equal(rig_told(&x.r, FWD_EVENT_REKEY, UAPI_REKEY_AGE), role == I);
		stop(&x);
	}
}

static void test_t3(void **state)
{
	for (int role = R; role <= I; role++) {
		struct fixture x;
		(void)state;
		start(&x, role);
		struct session *s = keyslot_current(&x.r.f->peers[1]->slots);
		atomic_store(&session_sealing(s)->counter, WG_REKEY_AFTER_MESSAGES - 1);
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		rig_tick(&x.r, 100);
		assert_int_equal(x.r.n_events, 0);
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		rig_tick(&x.r, 100);
		assert_int_equal(rig_told(&x.r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 1);
		stop(&x);
	}
}

static void test_t4(void **state)
{
	for (int role = R; role <= I; role++) {
		struct fixture x;
		(void)state;
		start(&x, role);
		x.r.now += 164999;
		assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
		rig_tick(&x.r, 0);
		assert_int_equal(x.r.n_events, 0);
		x.r.now += 1;
		assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
		rig_tick(&x.r, 0);
		assert_int_equal(rig_told(&x.r, FWD_EVENT_REKEY, UAPI_REKEY_AGE), role == I);
		x.r.now += 5100;
		assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
		rig_tick(&x.r, 0); /* once per session */
		assert_int_equal(x.r.n_events, 0);
		stop(&x);
	}
}

static void test_t6(void **state)
{
	struct fixture x;

	(void)state;
	start(&x, R);
	assert_int_equal(rig_hear(&x.r, 1, &x.d), FWD_DELIVER);
	rig_run(&x.r, 9900);
	assert_int_equal(x.r.n_sent, 0);
	rig_run(&x.r, 100);
	expect_keepalive(&x);
	rig_run(&x.r, 30000); /* one, and a keepalive is not answered */
	assert_int_equal(x.r.n_sent, 0);
	assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
	rig_run(&x.r, 30000);
	assert_int_equal(x.r.n_sent, 0);

	assert_int_equal(rig_hear(&x.r, 1, &x.d), FWD_DELIVER); /* answered in time */
	assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
	assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
	rig_run(&x.r, 15000);
	assert_int_equal(x.r.n_sent, 0);

	assert_int_equal(rig_say(&x.r, 1), FWD_SEND); /* data after our answer, in the same ms */
	assert_int_equal(rig_hear(&x.r, 1, &x.d), FWD_DELIVER);
	rig_run(&x.r, 5000);
	assert_int_equal(rig_hear(&x.r, 1, &x.d), FWD_DELIVER); /* more while it runs */
	rig_run(&x.r, 5000);
	expect_keepalive(&x);
	rig_run(&x.r, 9900);
	assert_int_equal(x.r.n_sent, 0);
	rig_run(&x.r, 100); /* runs once more for it */
	expect_keepalive(&x);
	rig_run(&x.r, 30000);
	assert_int_equal(x.r.n_sent, 0);
	stop(&x);
}

static void hear_while_sending(void *arg, struct fwd_packet *p)
{
	struct fixture *x = arg;

	rig_on_send(&x->r, p);
	if (x->r.n_sent == 1)
		assert_int_equal(rig_hear(&x->r, 1, &x->d), FWD_DELIVER);
}

static bool take_event(void *arg, const struct fwd_event *e)
{
	(void)arg;
	(void)e;
	return true;
}

/* Data that a worker receives while the tick sends the keepalive is owed one of its own. */
static void test_t6_meets_data(void **state)
{
	struct fixture x;
	const struct fwd_tick_ops ops = {take_event, hear_while_sending, &x};

	(void)state;
	start(&x, R);
	assert_int_equal(rig_hear(&x.r, 1, &x.d), FWD_DELIVER);
	x.r.n_sent = 0;
	x.r.now += WG_KEEPALIVE_MS;
	fwd_tick(x.r.f, x.r.now, &ops);
	assert_int_equal(x.r.n_sent, 1);
	rig_run(&x.r, 9900);
	assert_int_equal(x.r.n_sent, 0);
	rig_run(&x.r, 100);
	assert_int_equal(x.r.n_sent, 1);
	rig_run(&x.r, 30000);
	assert_int_equal(x.r.n_sent, 0);
	stop(&x);
}

static void test_t7(void **state)
{
	for (int role = R; role <= I; role++) {
		struct fixture x;
		(void)state;
		start(&x, role);
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		rig_run(&x.r, 10000);
		assert_int_equal(rig_say(&x.r, 1), FWD_SEND); /* does not put it off */
		rig_run(&x.r, 4900);
		assert_int_equal(x.r.n_events, 0);
		rig_run(&x.r, 500);
		assert_int_equal(rig_told(&x.r, FWD_EVENT_REKEY, UAPI_REKEY_SILENCE), 1);
		rig_run(&x.r, 40000);
		assert_int_equal(x.r.n_events, 0);

		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		assert_int_equal(rig_hear_keepalive(&x.r, &x.d), FWD_KEEPALIVE);
		rig_run(&x.r, 20000);
		assert_int_equal(x.r.n_events, 0);
		assert_int_equal(rig_hear(&x.r, 1, &x.d), FWD_DELIVER);
		rig_run(&x.r, 30000); /* our keepalive is not data */
		assert_int_equal(x.r.n_sent, 1);
		assert_int_equal(x.r.n_events, 0);

		assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
		struct device next = rig_session(&x.r, 1, R, 9, 1); /* a handshake is an answer */
		rig_run(&x.r, 20000);
		assert_int_equal(rig_told(&x.r, FWD_EVENT_REKEY, UAPI_REKEY_SILENCE), 0);
		device_close(&next);
		stop(&x);
	}
}

static void test_t10(void **state)
{
	struct fixture x;

	(void)state;
	start(&x, R);
	uint64_t seq = x.d.seq;
	rig_run(&x.r, WG_REJECT_AFTER_MS - 100);
	assert_int_equal(x.r.n_events, 0);
	x.r.refuse = true;
	rig_run(&x.r, 200);
	x.r.refuse = false;
	rig_run(&x.r, 200);
	assert_int_equal(x.r.n_events, 1);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 1);
	assert_true(x.r.events[0].seq == seq);
	assert_null(x.r.f->active); /* nothing more to do for it */
	assert_null(atomic_load(&x.r.f->index[7]));
	assert_int_equal(rig_say(&x.r, 1), FWD_STAGED);
	rig_tick(&x.r, 100);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_REKEY, UAPI_REKEY_NO_SESSION), 1);
	stop(&x);
}

/* An unconfirmed session that nobody ever used goes without a word. */
static void test_next_expires(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	rig_run(&r, WG_REJECT_AFTER_MS + 1000);
	assert_int_equal(r.n_events, 0);
	assert_null(r.f->active);
	device_close(&d);
	rig_close(&r);
}

/* A rekey in between: the old one expiring is no news. */
static void test_rekey_no_expiry(void **state)
{
	struct fixture x;

	(void)state;
	start(&x, R);
	rig_run(&x.r, 120000);
	struct device next = rig_session(&x.r, 1, R, 9, 1);
	assert_int_equal(rig_hear_keepalive(&x.r, &next), FWD_KEEPALIVE);
	rig_tick(&x.r, 100);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_CONFIRMED, 0), 1);
	assert_true(x.r.events[0].seq == next.seq);
	rig_run(&x.r, 100000);
	assert_int_equal(x.r.n_events, 0);
	rig_run(&x.r, 90000);
	assert_int_equal(rig_told(&x.r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 1);
	assert_true(x.r.events[0].seq == next.seq);
	device_close(&next);
	stop(&x);
}

/* The next session is confirmed before the end of the last one could be told: it is not the end. */
static void test_expiry_comes_before_news(void **state)
{
	struct fixture x;

	(void)state;
	start(&x, R);
	rig_run(&x.r, WG_REJECT_AFTER_MS - 1000);
	struct device next = rig_session(&x.r, 1, R, 9, 1);
	x.r.refuse = true;
	rig_run(&x.r, 2000);
	assert_int_equal(rig_hear_keepalive(&x.r, &next), FWD_KEEPALIVE);
	rig_tick(&x.r, 100);
	x.r.refuse = false;
	rig_tick(&x.r, 100);
	assert_int_equal(x.r.n_events, 2);
	assert_int_equal(x.r.events[0].kind, FWD_EVENT_EXPIRED);
	assert_true(x.r.events[0].seq == x.d.seq);
	assert_int_equal(x.r.events[1].kind, FWD_EVENT_CONFIRMED);
	assert_true(x.r.events[1].seq == next.seq);
	device_close(&next);
	stop(&x);
}

static void test_t11(void **state)
{
	struct fixture x;

	(void)state;
	rig_open(&x.r, 1);
	rig_peer(&x.r, 1);
	x.d = rig_session(&x.r, 1, I, 7, 1);
	rig_tick(&x.r, 0); /* the very next tick */
	expect_keepalive(&x);
	rig_run(&x.r, 20000); /* a keepalive waits for no answer */
	assert_int_equal(x.r.n_sent, 0);
	assert_int_equal(x.r.n_events, 0);
	struct device two = rig_session(&x.r, 1, I, 8, 1);
	assert_int_equal(rig_say(&x.r, 1), FWD_SEND);
	rig_tick(&x.r, 0); /* data was proof enough */
	assert_int_equal(x.r.n_sent, 0);
	struct device three = rig_session(&x.r, 1, R, 9, 1);
	rig_tick(&x.r, 0); /* a responder has nothing to prove */
	assert_int_equal(x.r.n_sent, 0);
	device_close(&two);
	device_close(&three);
	stop(&x);
}

static void test_confirmed(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	rig_peer(&r, 1);
	struct device d = rig_session(&r, 1, R, 7, 1);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 0);
	assert_int_equal(rig_hear_keepalive(&r, &d), FWD_KEEPALIVE);
	r.refuse = true;
	rig_tick(&r, 100);
	r.refuse = false;
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 1);
	assert_int_equal(r.events[0].kind, FWD_EVENT_CONFIRMED);
	assert_int_equal(r.events[0].peer, 1);
	assert_true(r.events[0].seq == d.seq);
	assert_int_equal(rig_hear(&r, 1, &d), FWD_DELIVER);
	rig_tick(&r, 100);
	assert_int_equal(r.n_events, 0);
	device_close(&d);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_t1),
		cmocka_unit_test(test_t2),
		cmocka_unit_test(test_t3),
		cmocka_unit_test(test_t4),
		cmocka_unit_test(test_t6),
		cmocka_unit_test(test_t6_meets_data),
		cmocka_unit_test(test_t7),
		cmocka_unit_test(test_t10),
		cmocka_unit_test(test_next_expires),
		cmocka_unit_test(test_rekey_no_expiry),
		cmocka_unit_test(test_expiry_comes_before_news),
		cmocka_unit_test(test_t11),
		cmocka_unit_test(test_confirmed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
