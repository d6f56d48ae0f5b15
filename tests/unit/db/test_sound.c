/* Whether a database is whole, and ours to the letter. */
#include <errno.h>
#include <sqlite3.h>

#include "db/migrate.h"
#include "db/sound.h"
#include "tests/unit/db/dbtest.h"

static sqlite3 *fresh(size_t versions)
{
	const struct migration *list;
	char why[128];
	sqlite3 *raw;
	size_t n;

	list = migrations(&n);
	assert_int_equal(sqlite3_open(":memory:", &raw), SQLITE_OK);
	assert_int_equal(migrate(raw, list, versions ? versions : n, why), 0);
	return raw;
}

static void every_version_of_ours_is_known(void **state)
{
	char why[128];
	size_t n;

	(void)state;
	(void)migrations(&n);
	for (size_t v = 1; v <= n; v++) {
		sqlite3 *raw = fresh(v);

		assert_int_equal(sound_schema(raw, why), 0);
		assert_int_equal(sound_check(raw, "PRAGMA integrity_check(1)", "ok", why), 0);
		sqlite3_close(raw);
	}
}

static void one_letter_is_told(void **state)
{
	static const char *const changes[] = {
		"CREATE TABLE z (x)",
		"CREATE INDEX z ON users (email)",
		"DROP TABLE logins",
		"ALTER TABLE tokens RENAME TO tokens2",
		"ALTER TABLE users ADD COLUMN z TEXT",
		"DROP INDEX tokens_by_user; CREATE INDEX tokens_by_user ON tokens (id, user_id)",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		sqlite3 *raw = fresh(0);
		char why[128] = "";

		assert_int_equal(sqlite3_exec(raw, changes[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sound_schema(raw, why), -EUCLEAN);
		assert_true(why[0] != '\0' && !strchr(why, '\n'));
		sqlite3_close(raw);
	}
}

static void versions_that_are_not_ours(void **state)
{
	char why[128] = "";
	sqlite3 *raw = fresh(0);

	(void)state;
	assert_int_equal(sqlite3_exec(raw, "PRAGMA user_version = 99", NULL, NULL, NULL), 0);
	assert_int_equal(sound_schema(raw, why), -EPROTONOSUPPORT);
	assert_int_equal(sqlite3_exec(raw, "PRAGMA user_version = 0", NULL, NULL, NULL), 0);
	assert_int_equal(sound_schema(raw, why), -EUCLEAN);
	assert_int_equal(sqlite3_exec(raw, "PRAGMA user_version = -1", NULL, NULL, NULL), 0);
	assert_true(sound_schema(raw, why) < 0);
	sqlite3_close(raw);
}

static void a_check_says_what_it_found_on_one_line(void **state)
{
	sqlite3 *raw = fresh(0);
	char why[128] = "";

	(void)state;
	assert_int_equal(sound_check(raw, "PRAGMA foreign_key_check", "", why), 0);
	assert_int_equal(sqlite3_exec(raw,
				 "INSERT INTO tokens VALUES (zeroblob(16), zeroblob(16), 'x', 0, "
				 "zeroblob(32), 0, 0, 0)",
				 NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(sound_check(raw, "PRAGMA foreign_key_check", "", why), -EUCLEAN);
	assert_non_null(strstr(why, "foreign_key_check"));
	sqlite3_close(raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_version_of_ours_is_known),
		cmocka_unit_test(one_letter_is_told),
		cmocka_unit_test(versions_that_are_not_ours),
		cmocka_unit_test(a_check_says_what_it_found_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
