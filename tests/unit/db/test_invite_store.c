#include <errno.h>

#include "db/invite_store.h"
#include "tests/unit/db/dbtest.h"

static int setup(void **state)
{
	struct user_row ann = a_user(1, "ann"), bob = a_user(2, "bob");
	struct device_row d = a_device(1, id_of(1), "laptop"), e = a_device(2, id_of(2), "phone");
	struct db_conn *tx;

	dbtest_setup(state);
	tx = begin(*state);
	assert_int_equal(user_insert(tx, &ann), 0);
	assert_int_equal(user_insert(tx, &bob), 0);
	assert_int_equal(device_insert(tx, &d), 0);
	assert_int_equal(device_insert(tx, &e), 0);
	commit(tx);
	return 0;
}

static struct invite_row an_invite(unsigned n, unsigned device, unsigned maker)
{
	return (struct invite_row){.id = id_of(n),
		.device_id = id_of(device),
		.created_by = id_of(maker),
		.role = 3,
		.protocol = 2,
		.created_at = 100,
		.expires_at = 1000};
}

static void put(struct db_conn *tx, const struct invite_row *i)
{
	const uint8_t hash[32] = {i->id.bytes[15]};

	assert_int_equal(invite_insert(tx, i, hash), 0);
}

static bool there(struct db_conn *tx, unsigned n)
{
	struct ulid id = id_of(n);
	struct invite_row got;
	int err = invite_get(tx, &id, &got);

	assert_true(err == 0 || err == -ENOENT);
	return err == 0;
}

static void round_trip(void **state)
{
	struct invite_row i = an_invite(10, 1, 2), got;
	struct db_conn *tx = begin(*state);
	const uint8_t hash[32] = {10}, other[32] = {10, [31] = 1};

	put(tx, &i);
	assert_int_equal(invite_get_by_sha256(tx, hash, &got), 0);
	assert_memory_equal(&got, &i, sizeof(got));
	assert_int_equal(invite_get(tx, &i.id, &got), 0);
	assert_memory_equal(&got, &i, sizeof(got));
	assert_int_equal(invite_get_by_sha256(tx, other, &got), -ENOENT);
	assert_int_equal(invite_delete(tx, &i.id), 0);
	assert_int_equal(invite_delete(tx, &i.id), -ENOENT);
	assert_int_equal(invite_get_by_sha256(tx, hash, &got), -ENOENT);
	commit(tx);
}

static void refused(void **state)
{
	struct invite_row i = an_invite(10, 1, 1), same = an_invite(11, 1, 1),
			  of_none = an_invite(12, 9, 1), by_none = an_invite(13, 1, 9);
	struct db_conn *tx = begin(*state);
	const uint8_t hash[32] = {10}, fresh[32] = {99};

	put(tx, &i);
	assert_int_equal(invite_insert(tx, &same, hash), -EEXIST);
	assert_int_equal(invite_insert(tx, &of_none, fresh), -ENOENT);
	assert_int_equal(invite_insert(tx, &by_none, fresh), -ENOENT);
	db_end(&tx);
}

static void burns_once_and_in_time(void **state)
{
	struct invite_row i = an_invite(10, 1, 1), late = an_invite(11, 1, 1), got;
	const struct ulid credential = id_of(77), nobody = id_of(99);
	struct db_conn *tx = begin(*state);

	put(tx, &i);
	put(tx, &late);
	assert_int_equal(invite_use(tx, &i.id, &credential, 999), 0);
	assert_int_equal(invite_use(tx, &i.id, &credential, 999), -ENOENT);
	assert_int_equal(invite_use(tx, &late.id, &credential, 1000), -ENOENT);
	assert_int_equal(invite_use(tx, &nobody, &credential, 1), -ENOENT);
	assert_int_equal(invite_get(tx, &i.id, &got), 0);
	assert_int_equal(got.used_at, 999);
	assert_true(ulid_equal(&got.credential_id, &credential));
	assert_int_equal(invite_get(tx, &late.id, &got), 0);
	assert_int_equal(got.used_at, 0);
	commit(tx);
}

/* 10 and 11 of ann's device, 12 of bob's, 13 of bob's but made by ann; 11 is used. */
static struct db_conn *four(void **state)
{
	const unsigned of[4][2] = {{1, 1}, {1, 1}, {2, 2}, {2, 1}};
	const struct ulid used = id_of(11), credential = id_of(77);
	struct db_conn *tx = begin(*state);

	for (unsigned n = 0; n < 4; n++) {
		struct invite_row i = an_invite(10 + n, of[n][0], of[n][1]);

		put(tx, &i);
	}
	assert_int_equal(invite_use(tx, &used, &credential, 500), 0);
	return tx;
}

static void a_device_takes_its_open_ones_along(void **state)
{
	struct db_conn *tx = four(state);
	struct ulid device = id_of(1);

	assert_int_equal(invite_delete_device(tx, &device), 0);
	assert_false(there(tx, 10));
	assert_true(there(tx, 11) && there(tx, 12) && there(tx, 13));
	assert_int_equal(device_delete(tx, &device), 0);
	assert_false(there(tx, 11));
	commit(tx);
}

static void a_user_takes_along_what_is_his_and_what_he_made(void **state)
{
	struct db_conn *tx = four(state);
	struct ulid ann = id_of(1);

	assert_int_equal(invite_delete_user(tx, &ann), 0);
	assert_false(there(tx, 10) || there(tx, 13));
	assert_true(there(tx, 11) && there(tx, 12));
	assert_int_equal(user_delete(tx, &ann), 0);
	assert_false(there(tx, 11));
	assert_true(there(tx, 12));
	commit(tx);
}

static void counts_lists_and_prunes(void **state)
{
	struct db_conn *tx = four(state);
	struct ulid device = id_of(1), after = id_of(10), none = {0};
	struct invite_row rows[4];
	uint64_t n;

	assert_int_equal(invite_count_open(tx, &device, 999, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(invite_count_open(tx, &device, 1000, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(invite_list(tx, &device, &none, rows, 4), 2);
	assert_true(ulid_equal(&rows[0].id, &after));
	assert_int_equal(invite_list(tx, &device, &none, rows, 1), 1);
	assert_int_equal(invite_list(tx, &device, &after, rows, 4), 1);
	assert_int_equal(rows[0].used_at, 500);
	assert_int_equal(invite_prune(tx, &device, 999, 1), 0);
	assert_true(there(tx, 10) && there(tx, 11));
	assert_int_equal(invite_prune(tx, &device, 1000, 1), 0);
	assert_true(!there(tx, 10) && there(tx, 11));
	assert_int_equal(invite_prune(tx, &device, 1000, 0), 0);
	assert_false(there(tx, 11));
	assert_int_equal(invite_delete_old(tx, 999), 0);
	assert_true(there(tx, 12) && there(tx, 13));
	assert_int_equal(invite_delete_old(tx, 1000), 0);
	assert_false(there(tx, 12) || there(tx, 13));
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(round_trip),
		T(refused),
		T(burns_once_and_in_time),
		T(a_device_takes_its_open_ones_along),
		T(a_user_takes_along_what_is_his_and_what_he_made),
		T(counts_lists_and_prunes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
