/*
 * Counters to history: what a minute's transaction holds, that restarts and crashes count nothing
 * twice, that seconds are those that were, that a full disk loses nothing; and what 10,000 devices
 * cost.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "service/events.h"
#include "service/traffic.h"
#include "tests/unit/db/dbtest.h"

enum { T0 = 1750000020 }; /* a full minute */

struct lab {
	struct dbtest base;
	struct fake_clock clock;
	struct events *ev;
	struct traffic *t;
	struct ulid boot;
};

static void house_open(struct lab *l)
{
	const struct clock clock = clock_fake(&l->clock);

	assert_int_equal(events_new(&l->ev, &clock), 0);
	assert_int_equal(traffic_new(&l->t, l->base.db, &clock, l->ev), 0);
}

static void house_close(struct lab *l)
{
	traffic_free(l->t);
	events_free(l->ev);
}

static void add_devices(struct lab *l, unsigned n)
{
	struct db_conn *tx = begin(&l->base);
	struct user_row u = a_user(60000, "ann");
	char name[16];

	assert_int_equal(user_insert(tx, &u), 0);
	for (unsigned i = 1; i <= n; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		struct device_row d = a_device(i, u.id, name);
		assert_int_equal(device_insert(tx, &d), 0);
	}
	commit(tx);
}

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	char why[128];

	dir_make(l->base.dir);
	assert_int_equal(db_open(&l->base.db, l->base.dir, why), 0);
	l->clock = (struct fake_clock){.mono_ms = 1000000, .real_us = (int64_t)T0 * 1000000};
	l->boot = id_of(501);
	house_open(l);
	traffic_stop(l->t); /* only we flush, and nobody else looks at the clock */
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	house_close(l);
	db_close(l->base.db);
	dir_remove(l->base.dir);
	free(l);
	return 0;
}

/* A second passes, and a round says what the peer has counted. */
static void counted(struct lab *l, unsigned device, uint64_t epoch, uint64_t rx)
{
	const struct device_counters c = {.device_id = id_of(device),
		.user_id = id_of(60000),
		.epoch = epoch,
		.rx_bytes = rx,
		.tx_bytes = 2 * rx};

	fake_clock_advance(&l->clock, 1000);
	traffic_counted(l->t, &l->boot, &c, 1);
}

static void next_minute(struct lab *l)
{
	fake_clock_advance(&l->clock, 60000);
	assert_int_equal(traffic_flush(l->t, false), 0);
}

/* What the database has of a device (0: of all) in minutes; *n: how many minutes. */
static uint64_t stored(struct lab *l, unsigned device, int *n)
{
	struct traffic_sum got[64];
	struct ulid id = id_of(device);
	int64_t number = TRAFFIC_ALL;
	struct db_conn *tx;
	uint64_t sum = 0;

	assert_int_equal(db_read(l->base.db, &tx), 0);
	*n = 0;
	if (device == 0 || traffic_number(tx, &id, &number) == 0)
		*n = traffic_sums(tx, TRAFFIC_MINUTE, number, T0, T0 + 64 * 60, got, 64);
	assert_true(*n >= 0);
	for (int i = 0; i < *n; i++) {
		assert_int_equal(got[i].tx_bytes, 2 * got[i].rx_bytes);
		sum += got[i].rx_bytes;
	}
	db_end(&tx);
	return sum;
}

static uint64_t pending(struct lab *l, unsigned device)
{
	struct traffic_pending p = {.device_id = device ? id_of(device) : (struct ulid){{0}}};
	struct db_conn *tx;

	assert_int_equal(traffic_read(l->t, &p, 1, &tx), 0);
	db_end(&tx);
	return p.sum.rx_bytes;
}

static void minutes_add_up(void **state)
{
	struct lab *l = *state;
	int n;

	add_devices(l, 2);
	counted(l, 1, 1, 100);
	counted(l, 1, 1, 150);
	counted(l, 2, 1, 7);
	assert_int_equal(stored(l, 1, &n), 0);
	assert_int_equal(pending(l, 1), 150);
	assert_int_equal(pending(l, 0), 157);
	assert_int_equal(traffic_flush(l->t, false), 0); /* its minute is not over */
	assert_int_equal(stored(l, 0, &n), 0);
	next_minute(l);
	assert_int_equal(pending(l, 1), 0);
	assert_int_equal(pending(l, 0), 0);
	assert_int_equal(stored(l, 1, &n), 150);
	assert_int_equal(n, 1);
	assert_int_equal(stored(l, 2, &n), 7);
	assert_int_equal(stored(l, 0, &n), 157);
	/* Nothing moves, nothing is written; then one does. */
	counted(l, 1, 1, 150);
	next_minute(l);
	counted(l, 1, 1, 151);
	next_minute(l);
	assert_int_equal(stored(l, 1, &n), 151);
	assert_int_equal(n, 2);
	assert_int_equal(stored(l, 2, &n), 7);
	assert_int_equal(n, 1);
}

static void epochs_and_boots_begin_anew(void **state)
{
	struct lab *l = *state;
	int n;

	add_devices(l, 1);
	counted(l, 1, 1, 1000);
	counted(l, 1, 2, 10); /* the peer was made anew */
	l->boot = id_of(502);
	counted(l, 1, 2, 5); /* the dataplane was started anew */
	next_minute(l);
	assert_int_equal(stored(l, 1, &n), 1015);
}

static void a_stop_writes_and_a_start_goes_on(void **state)
{
	struct lab *l = *state;
	int n;

	add_devices(l, 1);
	house_close(l);
	house_open(l); /* with its thread */
	counted(l, 1, 1, 1000);
	house_close(l); /* orderly: it writes */
	assert_int_equal(stored(l, 1, &n), 1000);
	house_open(l);
	counted(l, 1, 1, 1000);
	counted(l, 1, 1, 1400);
	assert_int_equal(pending(l, 1), 400);
	next_minute(l);
	assert_int_equal(stored(l, 1, &n), 1400);
	assert_int_equal(stored(l, 0, &n), 1400);
}

/* Killed: what was not written is counted by the dataplane still, and what was is not again. A
 * second house on the same database is the one after the kill: it knows what was committed only. */
static void a_crash_counts_nothing_twice_and_loses_nothing(void **state)
{
	struct lab *l = *state, after = *l;
	int n;

	add_devices(l, 1);
	counted(l, 1, 1, 1000);
	next_minute(l);
	counted(l, 1, 1, 1300); /* pending when it is killed */
	house_open(&after);
	counted(&after, 1, 1, 1350);
	fake_clock_advance(&after.clock, 120000);
	assert_int_equal(traffic_flush(after.t, false), 0);
	assert_int_equal(stored(&after, 1, &n), 1350);
	house_close(&after);
}

static void a_device_that_is_gone_is_passed_over(void **state)
{
	struct lab *l = *state;
	struct ulid ghost = id_of(900);
	int n;

	add_devices(l, 1);
	counted(l, 1, 1, 100);
	/* A row that can't be: its device is not there. It is passed over, all others are written.
	 */
	const struct device_counters c = {
		.device_id = ghost, .epoch = 1, .rx_bytes = 50, .tx_bytes = 100};
	traffic_counted(l->t, &l->boot, &c, 1);
	next_minute(l);
	assert_int_equal(stored(l, 1, &n), 100);
	assert_int_equal(stored(l, 0, &n), 150);
	assert_int_equal(pending(l, 900), 0);
	/* It is made anew as any other, and its mark with it. */
	traffic_counted(l->t, &l->boot, &c, 1);
	assert_int_equal(pending(l, 900), 50);
	traffic_forget(l->t, &ghost);
	assert_int_equal(pending(l, 900), 0);
}

static void a_full_disk_loses_nothing(void **state)
{
	struct lab *l = *state;
	struct rlimit old, full = {0, 0};
	int n;

	add_devices(l, 2);
	counted(l, 1, 1, 100);
	fake_clock_advance(&l->clock, 60000);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	full.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	assert_int_equal(traffic_flush(l->t, false), -ENOSPC);
	assert_int_equal(pending(l, 1), 100);
	counted(l, 1, 1, 120);
	counted(l, 2, 1, 5);
	assert_int_equal(traffic_flush(l->t, true), -ENOSPC);
	assert_int_equal(pending(l, 1), 120);
	assert_int_equal(pending(l, 0), 125);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(traffic_flush(l->t, true), 0);
	assert_int_equal(pending(l, 0), 0);
	assert_int_equal(stored(l, 1, &n), 120);
	assert_int_equal(stored(l, 2, &n), 5);
	assert_int_equal(stored(l, 0, &n), 125);
}

static void seconds_are_those_that_were(void **state)
{
	struct lab *l = *state;
	struct traffic_sum got[TRAFFIC_SECONDS];
	const struct ulid one = id_of(1), all = {{0}};
	size_t n;

	add_devices(l, 2);
	counted(l, 1, 1, 100); /* T0+1; the first round says nothing about a second */
	assert_int_equal(traffic_seconds(l->t, &one, T0, T0 + 100, got, TRAFFIC_SECONDS), 0);
	counted(l, 1, 1, 130); /* T0+2 */
	counted(l, 1, 1, 130);
	counted(l, 1, 1, 135); /* T0+4 */
	counted(l, 2, 1, 8);   /* T0+5 */
	n = traffic_seconds(l->t, &one, T0, T0 + 100, got, TRAFFIC_SECONDS);
	assert_int_equal(n, 2);
	assert_int_equal(got[0].at, T0 + 2);
	assert_int_equal(got[0].rx_bytes, 30);
	assert_int_equal(got[0].tx_bytes, 60);
	assert_int_equal(got[1].at, T0 + 4);
	assert_int_equal(got[1].rx_bytes, 5);
	assert_int_equal(traffic_seconds(l->t, &all, T0, T0 + 100, got, TRAFFIC_SECONDS), 3);
	assert_int_equal(traffic_seconds(l->t, &one, T0 + 3, T0 + 4, got, TRAFFIC_SECONDS), 0);
	assert_int_equal(traffic_seconds(l->t, &one, T0, T0 + 100, got, 1), 1);
	/* A pause of the rounds is no second either, but is counted. */
	fake_clock_advance(&l->clock, 10000);
	counted(l, 1, 1, 500);
	assert_int_equal(traffic_seconds(l->t, &one, T0, T0 + 100, got, TRAFFIC_SECONDS), 2);
	assert_int_equal(pending(l, 1), 500);
	/* Five minutes later they are gone, in either place. */
	for (unsigned i = 0; i < TRAFFIC_SECONDS; i++)
		counted(l, 1, 1, 501 + i);
	n = traffic_seconds(l->t, &one, T0, T0 + 1000, got, TRAFFIC_SECONDS);
	assert_int_equal(n, TRAFFIC_SECONDS);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i].rx_bytes, 1);
	assert_int_equal(got[n - 1].at, got[0].at + TRAFFIC_SECONDS - 1);
	/* The clock is put back. */
	l->clock.real_us -= INT64_C(3600) * 1000000;
	counted(l, 1, 1, 10000);
	counted(l, 1, 1, 10003);
	n = traffic_seconds(l->t, &one, 0, T0 + 1000, got, TRAFFIC_SECONDS);
	assert_int_equal(got[n - 1].rx_bytes, 3);
	assert_true(n <= 2);
}

static void a_round_is_an_event_for_whoever_listens(void **state)
{
	struct lab *l = *state;
	const uint64_t start = events_newest(l->ev);
	struct event *e;

	add_devices(l, 1);
	counted(l, 1, 1, 100);
	counted(l, 1, 1, 200);
	assert_int_equal(events_next(l->ev, start, &e), EVENTS_NONE); /* nobody */
	events_reader(l->ev, 1);
	counted(l, 1, 1, 250);
	assert_int_equal(events_next(l->ev, start, &e), EVENTS_ONE);
	assert_int_equal(e->type, EVENT_TRAFFIC);
	assert_int_equal(e->interval_ms, 1000);
	assert_int_equal(e->n_moved, 1);
	assert_int_equal(e->moved[0].rx_bytes, 50);
	assert_int_equal(e->moved[0].tx_bytes, 100);
	event_put(l->ev, e);
	events_reader(l->ev, -1);
}

/* A dataplane that says nonsense can't make sums that the database does not take. */
static void nonsense_is_capped(void **state)
{
	struct lab *l = *state;
	int n;
	const struct device_counters c[] = {
		{.device_id = id_of(1), .epoch = 1, .rx_bytes = UINT64_MAX, .tx_bytes = UINT64_MAX},
		{.device_id = id_of(2), .epoch = 1, .rx_bytes = INT64_MAX, .tx_bytes = INT64_MAX}};

	add_devices(l, 2);
	traffic_counted(l->t, &l->boot, c, 2);
	fake_clock_advance(&l->clock, 60000);
	assert_int_equal(traffic_flush(l->t, false), 0);
	struct traffic_sum got[4];
	struct db_conn *tx;
	assert_int_equal(db_read(l->base.db, &tx), 0);
	n = traffic_sums(tx, TRAFFIC_MINUTE, TRAFFIC_ALL, T0, T0 + 600, got, 4);
	assert_int_equal(n, 1);
	assert_int_equal(got[0].rx_bytes, UINT64_C(1) << 50);
	db_end(&tx);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif

static void ten_thousand_devices_are_cheap(void **state)
{
	enum { N = 10000, MINUTES = 2 };
	struct lab *l = *state;
	const struct traffic_retention keep = {60, TRAFFIC_DAY, TRAFFIC_DAY};
	struct device_counters *c = calloc(N, sizeof(*c));
	double rounds = 0, writing = 0, begun;

	assert_non_null(c);
	add_devices(l, N);
	traffic_keep(l->t, &keep); /* so that each minute also purges one */
	for (unsigned i = 0; i < N; i++)
		c[i] = (struct device_counters){.device_id = id_of(i + 1), .epoch = 1};
	for (unsigned minute = 0; minute <= MINUTES; minute++) {
		begun = cpu_seconds();
		for (unsigned s = 0; s < 60; s++) {
			for (unsigned i = 0; i < N; i++) {
				c[i].rx_bytes += 1500 + i;
				c[i].tx_bytes += 90000 + i;
			}
			fake_clock_advance(&l->clock, s ? 1000 : 999);
			traffic_counted(l->t, &l->boot, c, N);
		}
		if (minute > 0) /* the first makes everything */
			rounds += cpu_seconds() - begun;
		fake_clock_advance(&l->clock, 1);
		begun = cpu_seconds();
		assert_int_equal(traffic_flush(l->t, true), 0);
		if (minute > 0)
			writing += cpu_seconds() - begun;
	}
	free(c);
	print_message("10,000 devices, CPU per minute: 60 rounds %.3f s, one transaction %.3f s\n",
		rounds / MINUTES, writing / MINUTES);
	assert_true((rounds + writing) / MINUTES < 1.5 * SLOWER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(minutes_add_up, setup, teardown),
		cmocka_unit_test_setup_teardown(epochs_and_boots_begin_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_writes_and_a_start_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_crash_counts_nothing_twice_and_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_device_that_is_gone_is_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(seconds_are_those_that_were, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_round_is_an_event_for_whoever_listens, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_capped, setup, teardown),
		cmocka_unit_test_setup_teardown(ten_thousand_devices_are_cheap, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
