#include <errno.h>

#include "db/once_store.h"
#include "tests/unit/db/dbtest.h"

static int setup(void **state)
{
	struct user_row ann = a_user(1, "ann"), bob = a_user(2, "bob");
	struct db_conn *tx;

	dbtest_setup(state);
	tx = begin(*state);
	assert_int_equal(user_insert(tx, &ann), 0);
	assert_int_equal(user_insert(tx, &bob), 0);
	commit(tx);
	return 0;
}

static struct once_row a_row(unsigned user, uint8_t key, int64_t at)
{
	return (struct once_row){.user_id = id_of(user),
		.key_sha256 = {key},
		.request = {1, 2, 3},
		.request_len = 61,
		.created_at = at,
		.object = "dev_1",
		.status = 201,
		.location = "/v1/devices/dev_1",
		.etag = "\"1.ab\""};
}

static int get(struct db_conn *tx, unsigned user, uint8_t key, int64_t since, struct once_row *out,
	char *body)
{
	const struct ulid id = id_of(user);
	const uint8_t hash[32] = {key};

	return once_get(tx, &id, hash, since, out, body);
}

static void round_trip(void **state)
{
	struct once_row r = a_row(1, 7, 100), got;
	char body[ONCE_BODY_MAX];
	struct db_conn *tx = begin(*state);

	assert_int_equal(once_put(tx, &r, "{\"a\":1}"), 0);
	assert_int_equal(get(tx, 1, 7, 100, &got, body), 0);
	r.has_body = true;
	assert_memory_equal(&got, &r, sizeof(got));
	assert_string_equal(body, "{\"a\":1}");
	assert_int_equal(get(tx, 1, 7, 100, &got, NULL), 0);
	/* Another user's, another key, too old. */
	assert_int_equal(get(tx, 2, 7, 100, &got, body), -ENOENT);
	assert_int_equal(get(tx, 1, 8, 100, &got, body), -ENOENT);
	assert_int_equal(get(tx, 1, 7, 101, &got, body), -ENOENT);
	commit(tx);
}

static void without_a_body(void **state)
{
	struct once_row r = a_row(1, 7, 100), got;
	static char body[ONCE_BODY_MAX + 1];
	struct db_conn *tx = begin(*state);

	assert_int_equal(once_put(tx, &r, NULL), 0);
	assert_int_equal(get(tx, 1, 7, 0, &got, body), 0);
	assert_false(got.has_body);
	/* The same key again replaces. */
	r.created_at = 200;
	assert_int_equal(once_put(tx, &r, ""), 0);
	assert_int_equal(get(tx, 1, 7, 200, &got, body), 0);
	assert_true(got.has_body);
	assert_string_equal(body, "");
	memset(body, 'x', ONCE_BODY_MAX);
	assert_int_equal(once_put(tx, &r, body), 0);
	assert_int_equal(get(tx, 1, 7, 0, &got, body), 0);
	assert_false(got.has_body);
	memset(body, 'x', ONCE_BODY_MAX);
	body[ONCE_BODY_MAX - 1] = '\0';
	assert_int_equal(once_put(tx, &r, body), 0);
	assert_int_equal(get(tx, 1, 7, 0, &got, body), 0);
	assert_true(got.has_body);
	assert_int_equal(strlen(body), ONCE_BODY_MAX - 1);
	commit(tx);
}

static void ends(void **state)
{
	struct db_conn *tx = begin(*state);
	struct once_row got, of_none = a_row(9, 1, 1);
	const struct ulid ann = id_of(1);

	for (uint8_t key = 1; key <= 5; key++) {
		struct once_row a = a_row(1, key, 100 + key), b = a_row(2, key, 100 + key);

		assert_int_equal(once_put(tx, &a, NULL), 0);
		assert_int_equal(once_put(tx, &b, NULL), 0);
	}
	assert_int_equal(once_put(tx, &of_none, NULL), -ENOENT);
	assert_int_equal(once_prune_user(tx, &ann, 2), 0);
	assert_int_equal(get(tx, 1, 3, 0, &got, NULL), -ENOENT);
	assert_int_equal(get(tx, 1, 4, 0, &got, NULL), 0);
	assert_int_equal(get(tx, 2, 1, 0, &got, NULL), 0);
	assert_int_equal(once_delete_old(tx, 104), 0);
	assert_int_equal(get(tx, 2, 4, 0, &got, NULL), -ENOENT);
	assert_int_equal(get(tx, 2, 5, 0, &got, NULL), 0);
	assert_int_equal(user_delete(tx, &ann), 0);
	assert_int_equal(get(tx, 1, 5, 0, &got, NULL), -ENOENT);
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(round_trip), T(without_a_body), T(ends)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
