/* Marks and sums: they add up, purge goes by time, a deleted device's number is never another's. */
#include <errno.h>

#include "db/traffic_store.h"
#include "tests/unit/db/dbtest.h"

static struct ulid with_device(struct dbtest *t, unsigned n)
{
	struct db_conn *tx = begin(t);
	struct user_row u = a_user(n, n == 10 ? "ann" : "bob");
	struct device_row d = a_device(n + 1, u.id, "laptop");

	/* No lease is checked here: the reference is from the lease to the device. */
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(device_insert(tx, &d), 0);
	commit(tx);
	return d.id;
}

static struct traffic_mark a_mark(struct ulid device, uint64_t rx)
{
	return (struct traffic_mark){
		.device_id = device, .boot_id = id_of(77), .epoch = 3, .rx_bytes = rx};
}

static void marks_come_back(void **state)
{
	struct dbtest *t = *state;
	struct ulid device = with_device(t, 10);
	struct traffic_mark m = a_mark(device, UINT64_MAX), got[4];
	struct db_conn *tx = begin(t);
	int64_t number;

	assert_int_equal(traffic_mark_list(tx, 0, got, 4), 0);
	assert_int_equal(traffic_number(tx, &device, &number), -ENOENT);
	assert_int_equal(traffic_mark_set(tx, &m), 0);
	assert_true(m.number > TRAFFIC_ALL);
	m.tx_bytes = 5;
	assert_int_equal(traffic_mark_set(tx, &m), 0);
	/* A mark whose number is not known finds it. */
	struct traffic_mark again = a_mark(device, 9);
	assert_int_equal(traffic_mark_set(tx, &again), 0);
	assert_int_equal(again.number, m.number);
	assert_int_equal(traffic_mark_list(tx, 0, got, 4), 1);
	assert_int_equal(got[0].rx_bytes, 9);
	assert_int_equal(got[0].tx_bytes, 0);
	assert_int_equal(got[0].epoch, 3);
	assert_true(ulid_equal(&got[0].device_id, &device));
	assert_int_equal(traffic_mark_list(tx, m.number, got, 4), 0);
	commit(tx);
}

static void of_a_device_that_is_gone_nothing_is_kept(void **state)
{
	struct dbtest *t = *state;
	struct ulid device = with_device(t, 10);
	struct traffic_mark m = a_mark(device, 1), other = a_mark(id_of(99), 1);
	struct db_conn *tx = begin(t);

	assert_int_equal(traffic_mark_set(tx, &other), -ENOENT);
	assert_int_equal(traffic_mark_set(tx, &m), 0);
	assert_int_equal(device_delete(tx, &device), 0);
	assert_int_equal(traffic_mark_set(tx, &m), -ENOENT);
	commit(tx);
	struct ulid next = with_device(t, 20);
	struct traffic_mark n = a_mark(next, 1);
	tx = begin(t);
	assert_int_equal(traffic_mark_set(tx, &n), 0);
	assert_true(n.number > m.number);
	commit(tx);
}

enum { T0 = 1750000020 }; /* a full minute */

static void add(struct db_conn *tx, int64_t number, int64_t at, uint64_t rx)
{
	const struct traffic_sum s = {at, rx, 2 * rx};

	assert_int_equal(traffic_add(tx, number, &s), 0);
}

static void sums_add_up_in_every_step(void **state)
{
	struct dbtest *t = *state;
	struct traffic_sum got[8];
	struct db_conn *tx = begin(t);
	const int64_t hour = T0 - T0 % TRAFFIC_HOUR, day = T0 - T0 % TRAFFIC_DAY;

	add(tx, 5, T0, 10);
	add(tx, 5, T0 + 59, 1);
	add(tx, 5, T0 + 60, 100);
	add(tx, 6, T0, 7);
	add(tx, 5, T0 + TRAFFIC_HOUR, 1000);
	assert_int_equal(traffic_sums(tx, TRAFFIC_MINUTE, 5, T0 - 120, T0 + 120, got, 8), 2);
	assert_int_equal(got[0].at, T0);
	assert_int_equal(got[0].rx_bytes, 11);
	assert_int_equal(got[0].tx_bytes, 22);
	assert_int_equal(got[1].at, T0 + 60);
	assert_int_equal(got[1].rx_bytes, 100);
	/* `to` is not in it, and cap holds. */
	assert_int_equal(traffic_sums(tx, TRAFFIC_MINUTE, 5, T0, T0 + 60, got, 8), 1);
	assert_int_equal(traffic_sums(tx, TRAFFIC_MINUTE, 5, T0, T0 + 120, got, 1), 1);
	assert_int_equal(traffic_sums(tx, TRAFFIC_MINUTE, 5, T0, T0, got, 8), 0);
	assert_int_equal(
		traffic_sums(tx, TRAFFIC_HOUR, 5, hour, hour + 2 * TRAFFIC_HOUR, got, 8), 2);
	assert_int_equal(got[0].rx_bytes, 111);
	assert_int_equal(got[1].rx_bytes, 1000);
	assert_int_equal(traffic_sums(tx, TRAFFIC_DAY, 5, day, day + TRAFFIC_DAY, got, 8), 1);
	assert_int_equal(got[0].rx_bytes, 1111);
	commit(tx);
}

static void purge_takes_the_oldest_steps_first(void **state)
{
	struct dbtest *t = *state;
	struct traffic_sum got[16];
	struct db_conn *tx = begin(t);

	assert_int_equal(traffic_purge(tx, TRAFFIC_MINUTE, T0), 0); /* there is nothing */
	for (int i = 0; i < 10; i++)
		add(tx, 5, T0 + 60 * i, 1);
	assert_int_equal(traffic_purge(tx, TRAFFIC_MINUTE, T0 + 120), 0);
	assert_int_equal(traffic_sums(tx, TRAFFIC_MINUTE, 5, T0, T0 + 600, got, 16), 8);
	assert_int_equal(got[0].at, T0 + 120);
	/* Not all at once. */
	assert_int_equal(traffic_purge(tx, TRAFFIC_MINUTE, T0 + 600), 0);
	assert_int_equal(traffic_sums(tx, TRAFFIC_MINUTE, 5, T0, T0 + 600, got, 16), 4);
	assert_int_equal(traffic_purge(tx, TRAFFIC_MINUTE, T0 + 600), 0);
	assert_int_equal(traffic_sums(tx, TRAFFIC_MINUTE, 5, T0, T0 + 600, got, 16), 0);
	/* Hours and days have their own time. */
	assert_int_equal(traffic_sums(tx, TRAFFIC_HOUR, 5, T0 - T0 % TRAFFIC_HOUR,
				 T0 - T0 % TRAFFIC_HOUR + TRAFFIC_HOUR, got, 16),
		1);
	commit(tx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(marks_come_back, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(
			of_a_device_that_is_gone_nothing_is_kept, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(
			sums_add_up_in_every_step, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(
			purge_takes_the_oldest_steps_first, dbtest_setup, dbtest_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
