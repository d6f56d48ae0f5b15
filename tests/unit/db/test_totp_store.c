#include <errno.h>

#include "db/totp_store.h"
#include "tests/unit/db/dbtest.h"

static struct totp_row a_factor(unsigned user)
{
	struct totp_row t = {.user_id = id_of(user), .secret_len = 49, .created_at = 7};

	memset(t.secret, 0xaa, t.secret_len);
	return t;
}

static bool has_factor(struct db_conn *tx, unsigned user)
{
	const struct ulid id = id_of(user);
	struct user_row u;

	assert_int_equal(user_get(tx, &id, &u), 0);
	return u.totp;
}

static void one_for_each_user(void **state)
{
	struct dbtest *t = *state;
	struct user_row ann = a_user(1, "ann"), bob = a_user(2, "bob");
	struct totp_row f = a_factor(1), back;
	struct db_conn *tx = begin(t);

	assert_int_equal(user_insert(tx, &ann), 0);
	assert_int_equal(user_insert(tx, &bob), 0);
	assert_int_equal(totp_get(tx, &ann.id, &back), -ENOENT);
	assert_int_equal(totp_set(tx, &f), 0);
	assert_int_equal(totp_get(tx, &ann.id, &back), 0);
	assert_memory_equal(&f, &back, sizeof(f));
	/* One that is not confirmed is none. */
	assert_false(has_factor(tx, 1));
	f.confirmed = true;
	f.used_step = 55;
	f.secret[0] = 1;
	assert_int_equal(totp_set(tx, &f), 0);
	assert_int_equal(totp_get(tx, &ann.id, &back), 0);
	assert_memory_equal(&f, &back, sizeof(f));
	assert_true(has_factor(tx, 1));
	assert_false(has_factor(tx, 2));
	assert_int_equal(totp_get(tx, &bob.id, &back), -ENOENT);
	assert_int_equal(totp_delete(tx, &bob.id), -ENOENT);
	assert_int_equal(totp_delete(tx, &ann.id), 0);
	assert_false(has_factor(tx, 1));
	commit(tx);
}

static void goes_with_its_user(void **state)
{
	struct dbtest *t = *state;
	struct user_row ann = a_user(1, "ann");
	struct totp_row f = a_factor(1), back;
	struct db_conn *tx = begin(t);

	assert_int_equal(totp_set(tx, &f), -ENOENT); /* nobody's */
	assert_int_equal(user_insert(tx, &ann), 0);
	assert_int_equal(totp_set(tx, &f), 0);
	assert_int_equal(user_delete(tx, &ann.id), 0);
	assert_int_equal(totp_get(tx, &ann.id, &back), -ENOENT);
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_for_each_user),
		T(goes_with_its_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
