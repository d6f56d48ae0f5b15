#include <errno.h>

#include "tests/unit/db/dbtest.h"

static int setup(void **state)
{
	struct user_row a = a_user(1, "ann"), b = a_user(2, "bob");
	struct db_conn *tx;

	dbtest_setup(state);
	tx = begin(*state);
	b.disabled = true;
	assert_int_equal(user_insert(tx, &a), 0);
	assert_int_equal(user_insert(tx, &b), 0);
	commit(tx);
	return 0;
}

static void round_trip(void **state)
{
	struct device_row d = a_device(5, id_of(2), "\xe5\x85\xa5\xe3\x82\x8c\xe5\xad\x90"), got;
	struct db_conn *tx = begin(*state);

	d.expires_at = 123456789012345;
	d.enabled = false;
	assert_int_equal(device_insert(tx, &d), 0);
	assert_int_equal(device_get(tx, &d.id, &got), 0);
	d.user_disabled = true;
	assert_memory_equal(&got.address4, &d.address4, sizeof(d.address4));
	assert_memory_equal(&got.address6, &d.address6, sizeof(d.address6));
	assert_string_equal(got.name, d.name);
	assert_int_equal(got.peer, 5);
	assert_true(got.user_disabled);
	assert_false(got.enabled);
	assert_true(got.expires_at == d.expires_at);
	assert_int_equal(device_touch(tx, &d.id, 99), 0);
	assert_int_equal(device_get(tx, &d.id, &got), 0);
	assert_int_equal(got.revision, 2);
	assert_int_equal(got.updated_at, 99);
	snprintf(got.name, sizeof(got.name), "other");
	got.enabled = true;
	assert_int_equal(device_update(tx, &got), 0);
	assert_int_equal(device_get(tx, &d.id, &d), 0);
	assert_string_equal(d.name, "other");
	assert_true(d.enabled);
	commit(tx);
}

static int insert_changed(struct db_conn *tx, struct device_row d)
{
	return device_insert(tx, &d);
}

static void scarce_things_are_unique(void **state)
{
	struct device_row d = a_device(5, id_of(1), "one"), e = a_device(6, id_of(1), "two");
	struct db_conn *tx = begin(*state);

	assert_int_equal(device_insert(tx, &d), 0);
	e.peer = d.peer;
	assert_int_equal(insert_changed(tx, e), -EEXIST);
	e.peer = 6;
	e.address4 = d.address4;
	assert_int_equal(insert_changed(tx, e), -EEXIST);
	e = a_device(6, id_of(1), "two");
	e.address6 = d.address6;
	assert_int_equal(insert_changed(tx, e), -EEXIST);
	e = a_device(6, id_of(1), "one");
	assert_int_equal(insert_changed(tx, e), -EEXIST);
	e.user_id = id_of(2); /* somebody else's may have the name */
	assert_int_equal(insert_changed(tx, e), 0);
	assert_int_equal(device_name_taken(tx, &d.user_id, "one"), 1);
	assert_int_equal(device_name_taken(tx, &d.user_id, "One"), 0);
	assert_int_equal(device_name_taken(tx, &d.user_id, "two"), 0);
	commit(tx);
}

static void bad_values_are_refused(void **state)
{
	struct device_row d = a_device(5, id_of(1), "one"), good = d;
	struct db_conn *tx = begin(*state);

	d.peer = DEVICE_PEERS;
	assert_int_equal(device_insert(tx, &d), -EINVAL);
	d = good;
	d.user_id = id_of(77);
	assert_int_equal(device_insert(tx, &d), -ENOENT);
	assert_int_equal(device_update(tx, &good), -ENOENT);
	assert_int_equal(device_delete(tx, &good.id), -ENOENT);
	assert_int_equal(device_get(tx, &good.id, &d), -ENOENT);
	db_end(&tx);
}

static void lists_by_user(void **state)
{
	struct db_conn *tx = begin(*state);
	struct ulid ann = id_of(1), after = {0};
	struct device_row rows[20];

	for (unsigned i = 1; i <= 10; i++) {
		char name[8];
		struct device_row d;

		snprintf(name, sizeof(name), "d%u", i);
		d = a_device(i, id_of(1 + i % 2), name);
		assert_int_equal(device_insert(tx, &d), 0);
	}
	assert_int_equal(device_list(tx, NULL, &after, rows, 20), 10);
	assert_int_equal(device_list(tx, &ann, &after, rows, 20), 5);
	assert_int_equal(device_list(tx, &ann, &after, rows, 3), 3);
	after = rows[2].id;
	assert_int_equal(device_list(tx, &ann, &after, rows, 20), 2);
	assert_int_equal(rows[1].peer, 10);
	commit(tx);
}

static void goes_with_its_user(void **state)
{
	struct device_row d = a_device(5, id_of(1), "one");
	struct db_conn *tx = begin(*state);

	assert_int_equal(device_insert(tx, &d), 0);
	assert_int_equal(user_delete(tx, &d.user_id), 0);
	assert_int_equal(device_get(tx, &d.id, &d), -ENOENT);
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(round_trip),
		T(scarce_things_are_unique),
		T(bad_values_are_refused),
		T(lists_by_user),
		T(goes_with_its_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
