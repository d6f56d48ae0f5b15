#include <errno.h>

#include "db/settings_store.h"
#include "db/stmt.h"
#include "tests/unit/db/dbtest.h"

static void begins_with_nothing_changed(void **state)
{
	struct dbtest *t = *state;
	struct settings_row r;
	struct db_conn *tx = begin(t);

	assert_int_equal(settings_get(tx, &r), 0);
	assert_false(r.has_endpoint || r.has_dns);
	for (size_t i = 0; i < SETTINGS_NUMBERS; i++)
		assert_false(r.has[i]);
	assert_int_equal(r.revision, 1);
	assert_int_equal(r.updated_at, 0);
	db_end(&tx);
}

/* Each column alone: none is another's. */
static void every_column_keeps_its_own(void **state)
{
	struct dbtest *t = *state;
	struct db_conn *tx = begin(t);

	for (size_t i = 0; i < SETTINGS_NUMBERS; i++) {
		struct settings_row r = {.revision = 2 + i, .updated_at = 5}, back;

		r.has[i] = true;
		r.number[i] = 100 + (int64_t)i;
		assert_int_equal(settings_set(tx, &r), 0);
		assert_int_equal(settings_get(tx, &back), 0);
		assert_memory_equal(&r, &back, sizeof(r));
	}
	commit(tx);
}

/* An empty text is a value; none is none. */
static void texts_may_be_empty(void **state)
{
	struct dbtest *t = *state;
	struct settings_row r = {.has_endpoint = true, .endpoint = "a", .has_dns = true}, back;
	struct db_conn *tx = begin(t);

	assert_int_equal(settings_set(tx, &r), 0);
	assert_int_equal(settings_get(tx, &back), 0);
	assert_memory_equal(&r, &back, sizeof(r));
	r = (struct settings_row){.has_dns = false, .dns = "ignored"};
	assert_int_equal(settings_set(tx, &r), 0);
	assert_int_equal(settings_get(tx, &back), 0);
	assert_false(back.has_endpoint || back.has_dns);
	assert_string_equal(back.dns, "");
	commit(tx);
}

static void a_row_that_is_gone_is_damage(void **state)
{
	struct dbtest *t = *state;
	struct settings_row r;
	struct db_conn *tx = begin(t);
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM settings");

		assert_int_equal(stmt_run(&st), 0);
	}
	assert_int_equal(settings_get(tx, &r), -EUCLEAN);
	db_end(&tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(begins_with_nothing_changed),
		T(every_column_keeps_its_own),
		T(texts_may_be_empty),
		T(a_row_that_is_gone_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
