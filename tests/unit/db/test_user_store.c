#include <errno.h>

#include "tests/unit/db/dbtest.h"

static void round_trip(void **state)
{
	struct user_row u = a_user(3, "Ann.B-c@x"), got;
	struct db_conn *tx = begin(*state);

	snprintf(u.display_name, sizeof(u.display_name), "Ann \xe2\x9c\x93");
	snprintf(u.email, sizeof(u.email), "ann@example.org");
	snprintf(u.password, sizeof(u.password), "hash");
	u.role = 3;
	u.disabled = true;
	u.revision = 7;
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(user_get(tx, &u.id, &got), 0);
	assert_string_equal(got.name, u.name);
	assert_string_equal(got.display_name, u.display_name);
	assert_string_equal(got.email, u.email);
	assert_string_equal(got.password, "hash");
	assert_int_equal(got.role, 3);
	assert_true(got.disabled);
	assert_int_equal(got.revision, 7);
	u.password[0] = '\0';
	assert_int_equal(user_update(tx, &u), 0);
	assert_int_equal(user_get(tx, &u.id, &got), 0);
	assert_string_equal(got.password, "");
	commit(tx);
}

static void names_are_unique_in_any_case(void **state)
{
	struct user_row a = a_user(1, "Ann"), b = a_user(2, "aNN"), c = a_user(3, "bob"), got;
	struct db_conn *tx = begin(*state);

	assert_int_equal(user_insert(tx, &a), 0);
	assert_int_equal(user_insert(tx, &b), -EEXIST);
	assert_int_equal(user_insert(tx, &c), 0);
	snprintf(c.name, sizeof(c.name), "ANN");
	assert_int_equal(user_update(tx, &c), -EEXIST);
	assert_int_equal(user_get_by_name(tx, "ANN", &got), 0);
	assert_true(ulid_equal(&got.id, &a.id));
	assert_int_equal(user_get_by_name(tx, "an", &got), -ENOENT);
	assert_int_equal(user_get_by_name(tx, "", &got), -ENOENT);
	commit(tx);
}

static void name_that_would_be_cut_is_nobodys(void **state)
{
	struct db_conn *tx = begin(*state);
	char name[USER_NAME], longer[200];
	struct user_row u, got;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	u = a_user(1, name);
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(user_get_by_name(tx, name, &got), 0);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(user_get_by_name(tx, longer, &got), -ENOENT);
	longer[sizeof(name)] = '\0';
	assert_int_equal(user_get_by_name(tx, longer, &got), -ENOENT);
	commit(tx);
}

static void what_is_not_there(void **state)
{
	struct user_row u = a_user(1, "ann");
	struct db_conn *tx = begin(*state);

	assert_int_equal(user_get(tx, &u.id, &u), -ENOENT);
	assert_int_equal(user_update(tx, &u), -ENOENT);
	assert_int_equal(user_delete(tx, &u.id), -ENOENT);
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(user_insert(tx, &u), -EEXIST);
	assert_int_equal(user_delete(tx, &u.id), 0);
	assert_int_equal(user_delete(tx, &u.id), -ENOENT);
	commit(tx);
}

static void bad_values_are_refused(void **state)
{
	struct user_row u = a_user(1, "ann");
	struct db_conn *tx = begin(*state);

	u.role = 4;
	assert_int_equal(user_insert(tx, &u), -EINVAL);
	db_end(&tx);
}

static void pages(void **state)
{
	struct db_conn *tx = begin(*state);
	struct user_row rows[4];
	struct ulid after = {0};
	uint64_t n;
	int got, seen = 0;

	assert_int_equal(user_list(tx, &after, rows, 4), 0);
	for (unsigned i = 10; i > 0; i--) {
		char name[8];
		struct user_row u;

		snprintf(name, sizeof(name), "u%u", i);
		u = a_user(i, name);
		u.role = i % 4;
		u.disabled = i == 3;
		assert_int_equal(user_insert(tx, &u), 0);
	}
	while ((got = user_list(tx, &after, rows, 4)) > 0) {
		for (int i = 0; i < got; i++) {
			struct ulid want = id_of((unsigned)++seen);

			assert_true(ulid_equal(&rows[i].id, &want));
		}
		after = rows[got - 1].id;
	}
	assert_int_equal(got, 0);
	assert_int_equal(seen, 10);
	assert_int_equal(user_count(tx, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(user_count_enabled(tx, 3, &n), 0);
	assert_int_equal(n, 1); /* 3 is disabled, 7 is not */
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(round_trip),
		T(names_are_unique_in_any_case),
		T(name_that_would_be_cut_is_nobodys),
		T(what_is_not_there),
		T(bad_values_are_refused),
		T(pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
