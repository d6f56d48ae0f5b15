#include <errno.h>

#include "db/credential_store.h"
#include "db/state_store.h"
#include "tests/unit/db/dbtest.h"

static int setup(void **state)
{
	struct user_row u = a_user(1, "ann");
	struct device_row d = a_device(1, u.id, "one");
	struct credential_row c = {
		.id = id_of(1), .device_id = d.id, .protocol = 1, .wg_psk_len = 61};
	struct db_conn *tx;

	dbtest_setup(state);
	tx = begin(*state);
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(device_insert(tx, &d), 0);
	assert_int_equal(credential_insert(tx, &c), 0);
	commit(tx);
	return 0;
}

static void device_round_trip(void **state)
{
	struct db_conn *tx = begin(*state);
	struct device_state_row s =
					{
						.device_id = id_of(1),
						.boot_id = id_of(50),
						.epoch = UINT64_MAX,
						.total = {1, 2, 3, UINT64_MAX},
						.seen = {5, 6, 7, 8},
						.path = {.remote = {{IP_V6, {0x20, 1, [15] = 9}},
								 65535, UINT32_MAX},
							.local = {IP_V4, {192, 0, 2, 1}},
							.listener = 255},
						.credential_id = id_of(1),
						.last_handshake_at = 77,
						.was_up = true,
						.farewell = {9, 0, [63] = 7},
						.farewell_len = 64,
					},
				got;

	assert_int_equal(device_state_get(tx, &s.device_id, &got), -ENOENT);
	assert_int_equal(device_state_set(tx, &s), 0);
	assert_int_equal(device_state_get(tx, &s.device_id, &got), 0);
	assert_true(got.epoch == s.epoch);
	assert_memory_equal(&got.total, &s.total, sizeof(s.total));
	assert_memory_equal(&got.seen, &s.seen, sizeof(s.seen));
	assert_true(path_equal(&got.path, &s.path));
	assert_true(got.path.remote.scope_id == UINT32_MAX);
	assert_true(ulid_equal(&got.boot_id, &s.boot_id));
	assert_true(got.was_up);
	assert_int_equal(got.farewell_len, 64);
	assert_memory_equal(got.farewell, s.farewell, 64);
	/* The latest replaces it; without a path and a farewell. */
	s.path = (struct path){0};
	s.was_up = false;
	s.farewell_len = 0;
	assert_int_equal(device_state_set(tx, &s), 0);
	assert_int_equal(device_state_get(tx, &s.device_id, &got), 0);
	assert_int_equal(got.path.remote.addr.family, IP_NONE);
	assert_false(got.was_up);
	assert_int_equal(got.farewell_len, 0);
	commit(tx);
}

static void credential_never_goes_back(void **state)
{
	static const uint8_t early[12] = {0x40, [11] = 1}, late[12] = {0x40, [10] = 1};
	struct db_conn *tx = begin(*state);
	struct ulid id = id_of(1);
	uint8_t got[12];

	assert_int_equal(credential_state_get(tx, &id, got), -ENOENT);
	assert_int_equal(credential_state_set(tx, &id, early), 0);
	assert_int_equal(credential_state_set(tx, &id, late), 0);
	assert_int_equal(credential_state_set(tx, &id, early), 0);
	assert_int_equal(credential_state_get(tx, &id, got), 0);
	assert_memory_equal(got, late, 12);
	commit(tx);
}

static void what_is_gone_is_not_written(void **state)
{
	struct db_conn *tx = begin(*state);
	struct device_state_row s = {.device_id = id_of(9)};
	struct ulid id = id_of(9), device = id_of(1);
	uint8_t greatest[12] = {1};

	assert_int_equal(device_state_set(tx, &s), 0);
	assert_int_equal(device_state_get(tx, &s.device_id, &s), -ENOENT);
	assert_int_equal(credential_state_set(tx, &id, greatest), 0);
	assert_int_equal(credential_state_get(tx, &id, greatest), -ENOENT);
	/* And what is there goes with its device. */
	s.device_id = device;
	id = id_of(1);
	assert_int_equal(device_state_set(tx, &s), 0);
	assert_int_equal(credential_state_set(tx, &id, greatest), 0);
	assert_int_equal(device_delete(tx, &device), 0);
	assert_int_equal(device_state_get(tx, &device, &s), -ENOENT);
	assert_int_equal(credential_state_get(tx, &id, greatest), -ENOENT);
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(device_round_trip),
		T(credential_never_goes_back),
		T(what_is_gone_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
