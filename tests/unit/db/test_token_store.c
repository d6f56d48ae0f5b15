#include <errno.h>

#include "db/token_store.h"
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

static struct token_row a_token(unsigned n, unsigned user)
{
	struct token_row t = {.id = id_of(n),
		.user_id = id_of(user),
		.name = "ci",
		.role = 2,
		.sha256 = {(uint8_t)n}};

	return t;
}

static void round_trip(void **state)
{
	struct token_row t = a_token(1, 1), got;
	struct db_conn *tx = begin(*state);
	uint8_t almost[32] = {1};

	assert_int_equal(token_insert(tx, &t), 0);
	assert_int_equal(token_get_by_sha256(tx, t.sha256, &got), 0);
	assert_true(ulid_equal(&got.id, &t.id));
	assert_string_equal(got.name, "ci");
	assert_int_equal(got.role, 2);
	almost[31] = 1;
	assert_int_equal(token_get_by_sha256(tx, almost, &got), -ENOENT);
	assert_int_equal(token_get(tx, &t.id, &got), 0);
	assert_int_equal(token_delete(tx, &t.id), 0);
	assert_int_equal(token_delete(tx, &t.id), -ENOENT);
	assert_int_equal(token_get(tx, &t.id, &got), -ENOENT);
	commit(tx);
}

static void use_never_goes_back(void **state)
{
	struct token_row t = a_token(1, 1);
	struct ulid none = id_of(99);
	struct db_conn *tx = begin(*state);

	assert_int_equal(token_insert(tx, &t), 0);
	assert_int_equal(token_used(tx, &t.id, 500), 0);
	assert_int_equal(token_used(tx, &t.id, 400), 0);
	assert_int_equal(token_get(tx, &t.id, &t), 0);
	assert_int_equal(t.last_used_at, 500);
	assert_int_equal(token_used(tx, &none, 400), 0);
	commit(tx);
}

static void refused(void **state)
{
	struct token_row t = a_token(1, 1), same = a_token(2, 2), orphan = a_token(3, 9);
	struct db_conn *tx = begin(*state);

	assert_int_equal(token_insert(tx, &t), 0);
	memcpy(same.sha256, t.sha256, sizeof(same.sha256));
	assert_int_equal(token_insert(tx, &same), -EEXIST);
	assert_int_equal(token_insert(tx, &orphan), -ENOENT);
	db_end(&tx);
}

static void lists_and_goes_with_its_user(void **state)
{
	struct db_conn *tx = begin(*state);
	struct ulid ann = id_of(1), after = {0};
	struct token_row rows[8];

	for (unsigned i = 1; i <= 6; i++) {
		struct token_row t = a_token(i, 1 + i % 2);

		assert_int_equal(token_insert(tx, &t), 0);
	}
	assert_int_equal(token_list(tx, NULL, &after, rows, 8), 6);
	assert_int_equal(token_list(tx, &ann, &after, rows, 2), 2);
	after = rows[1].id;
	assert_int_equal(token_list(tx, &ann, &after, rows, 8), 1);
	assert_int_equal(user_delete(tx, &ann), 0);
	after = (struct ulid){0};
	assert_int_equal(token_list(tx, NULL, &after, rows, 8), 3);
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(round_trip),
		T(use_never_goes_back),
		T(refused),
		T(lists_and_goes_with_its_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
