#include <errno.h>

#include "db/login_store.h"
#include "tests/unit/db/dbtest.h"

static int setup(void **state)
{
	struct user_row a = a_user(1, "ann"), b = a_user(2, "bob");
	struct db_conn *tx;

	dbtest_setup(state);
	tx = begin(*state);
	assert_int_equal(user_insert(tx, &a), 0);
	assert_int_equal(user_insert(tx, &b), 0);
	commit(tx);
	return 0;
}

static struct login_row a_login(unsigned n, unsigned user)
{
	struct login_row l = {.id = id_of(n),
		.user_id = id_of(user),
		.cookie_sha256 = {(uint8_t)n},
		.csrf_sha256 = {0xc5, (uint8_t)n},
		.created_at = n * 100,
		.last_used_at = n * 100};

	return l;
}

static int there(struct db_conn *tx, unsigned n)
{
	struct login_row got;
	struct ulid id = id_of(n);

	return login_get(tx, &id, &got) == 0;
}

static void round_trip(void **state)
{
	struct login_row l = a_login(1, 1), got;
	struct db_conn *tx = begin(*state);

	assert_int_equal(login_insert(tx, &l, 64), 0);
	assert_int_equal(login_get_by_cookie(tx, l.cookie_sha256, &got), 0);
	assert_memory_equal(got.csrf_sha256, l.csrf_sha256, 32);
	assert_int_equal(login_get_by_cookie(tx, l.csrf_sha256, &got), -ENOENT);
	assert_int_equal(login_used(tx, &l.id, 700), 0);
	assert_int_equal(login_used(tx, &l.id, 600), 0);
	assert_int_equal(login_get(tx, &l.id, &got), 0);
	assert_int_equal(got.last_used_at, 700);
	assert_int_equal(login_delete(tx, &l.id), 0);
	assert_int_equal(login_delete(tx, &l.id), -ENOENT);
	commit(tx);
}

static void the_oldest_make_room(void **state)
{
	struct db_conn *tx = begin(*state);

	for (unsigned i = 1; i <= 6; i++) {
		struct login_row l = a_login(i, 1);

		assert_int_equal(login_insert(tx, &l, 3), 0);
	}
	assert_false(there(tx, 3));
	assert_true(there(tx, 4) && there(tx, 5) && there(tx, 6));
	commit(tx);
}

static void ends_by_user_and_by_age(void **state)
{
	struct db_conn *tx = begin(*state);
	struct ulid ann = id_of(1), keep = id_of(2);

	for (unsigned i = 1; i <= 4; i++) {
		struct login_row l = a_login(i, i == 4 ? 2 : 1);

		assert_int_equal(login_insert(tx, &l, 64), 0);
	}
	assert_int_equal(login_delete_user(tx, &ann, &keep), 0);
	assert_true(!there(tx, 1) && there(tx, 2) && !there(tx, 3) && there(tx, 4));
	assert_int_equal(login_delete_old(tx, 199, 199), 0);
	assert_true(there(tx, 2));
	assert_int_equal(login_delete_old(tx, 200, 0), 0);
	assert_true(!there(tx, 2) && there(tx, 4));
	assert_int_equal(login_delete_old(tx, 0, 400), 0);
	assert_false(there(tx, 4));
	commit(tx);
}

static void refused(void **state)
{
	struct login_row l = a_login(1, 9), m = a_login(2, 1), same = a_login(3, 1);
	struct db_conn *tx = begin(*state);

	assert_int_equal(login_insert(tx, &l, 64), -ENOENT);
	assert_int_equal(login_insert(tx, &m, 64), 0);
	memcpy(same.cookie_sha256, m.cookie_sha256, 32);
	assert_int_equal(login_insert(tx, &same, 64), -EEXIST);
	db_end(&tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(round_trip),
		T(the_oldest_make_room),
		T(ends_by_user_and_by_age),
		T(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
