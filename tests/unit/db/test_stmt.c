/* Binding, reading, the sticky error, and what SQLite's results mean to us. */
#include <errno.h>
#include <sqlite3.h>

#include "db/stmt.h"
#include "tests/unit/db/dbtest.h"

static void values_come_back(void **state)
{
	struct db_conn *tx = begin(*state);
	uint8_t blob[4];
	char text[8];
	{
		struct ulid id = id_of(7), got;
		struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT ?, ?, ?, ?, ?, ?, ?");

		stmt_put_i64(&st, INT64_MIN);
		stmt_put_u64(&st, UINT64_MAX);
		stmt_put_text(&st, "na\xc3\xafve");
		stmt_put_blob(&st, "\0\1\2\3", 4);
		stmt_put_ulid(&st, &id);
		stmt_put_null(&st);
		stmt_put_blob(&st, NULL, 0);
		assert_int_equal(stmt_row(&st), 1);
		assert_true(stmt_i64(&st) == INT64_MIN);
		assert_true(stmt_u64(&st) == UINT64_MAX);
		stmt_text(&st, text, sizeof(text));
		assert_string_equal(text, "na\xc3\xafve");
		stmt_blob(&st, blob, 4);
		assert_memory_equal(blob, "\0\1\2\3", 4);
		got = stmt_ulid(&st);
		assert_true(ulid_equal(&got, &id));
		assert_true(stmt_is_null(&st));
		stmt_text(&st, text, sizeof(text));
		assert_string_equal(text, "");
		assert_false(stmt_is_null(&st));
		assert_int_equal(stmt_blob_upto(&st, blob, 4), 0);
		assert_int_equal(stmt_err(&st), 0);
		assert_int_equal(stmt_row(&st), 0);
	}
	commit(tx);
}

static int read_as(struct db_conn *tx, struct stmt st, void (*read)(struct stmt *))
{
	(void)tx;
	struct stmt s cleanup(stmt_close) = st;

	assert_int_equal(stmt_row(&s), 1);
	read(&s);
	return stmt_err(&s);
}
static void as_i64(struct stmt *st)
{
	(void)stmt_i64(st);
}
static void as_text4(struct stmt *st)
{
	char text[4];

	stmt_text(st, text, sizeof(text));
	assert_true(strlen(text) < 4);
}
static void as_ulid(struct stmt *st)
{
	struct ulid id = stmt_ulid(st);

	if (stmt_err(st))
		assert_true(ulid_is_zero(&id));
}

static void wrong_types_and_sizes(void **state)
{
	struct db_conn *tx = begin(*state);

	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT 'x'"), as_i64), -EUCLEAN);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT NULL"), as_i64), -EUCLEAN);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT 'abc'"), as_text4), 0);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT 'abcd'"), as_text4), -EUCLEAN);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT x'41'"), as_text4), -EUCLEAN);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT 'a' || char(0)"), as_text4), -EUCLEAN);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT zeroblob(15)"), as_ulid), -EUCLEAN);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT zeroblob(17)"), as_ulid), -EUCLEAN);
	assert_int_equal(read_as(tx, stmt_open(tx, "SELECT zeroblob(16)"), as_ulid), 0);
	db_end(&tx);
}

static void one_column_too_many(void **state)
{
	struct db_conn *tx = begin(*state);
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT 1");

		assert_int_equal(stmt_row(&st), 1);
		assert_int_equal(stmt_i64(&st), 1);
		assert_int_equal(stmt_i64(&st), 0);
		assert_int_equal(stmt_err(&st), -EUCLEAN);
		assert_int_equal(stmt_row(&st), -EUCLEAN);
	}
	db_end(&tx);
}

static int find_number(struct db_conn *tx, struct stmt st, uint64_t *n)
{
	(void)tx;
	struct stmt s cleanup(stmt_close) = st;

	return stmt_number(&s, n);
}

static int find(struct db_conn *tx, struct stmt st)
{
	(void)tx;
	struct stmt s cleanup(stmt_close) = st;

	return stmt_find(&s);
}

static int change(struct db_conn *tx, struct stmt st)
{
	(void)tx;
	struct stmt s cleanup(stmt_close) = st;

	return stmt_change(&s);
}

static void what_should_be_there_and_is_not(void **state)
{
	struct db_conn *tx = begin(*state);
	uint64_t n = 7;

	assert_int_equal(find(tx, stmt_open(tx, "SELECT 1")), 0);
	assert_int_equal(find(tx, stmt_open(tx, "SELECT 1 WHERE 0")), -ENOENT);
	assert_int_equal(find(tx, stmt_open(tx, "SELECT nothing")), -EIO);
	assert_int_equal(find_number(tx, stmt_open(tx, "SELECT 5"), &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(find_number(tx, stmt_open(tx, "SELECT 5 WHERE 0"), &n), -EUCLEAN);
	assert_int_equal(n, 0);
	n = 7;
	assert_int_equal(find_number(tx, stmt_open(tx, "SELECT 'x'"), &n), -EUCLEAN);
	assert_int_equal(n, 0);
	assert_int_equal(find(tx, stmt_open(tx, "CREATE TABLE t (v INTEGER UNIQUE)")), -ENOENT);
	assert_int_equal(change(tx, stmt_open(tx, "INSERT INTO t VALUES (1), (2)")), 0);
	assert_int_equal(change(tx, stmt_open(tx, "UPDATE t SET v = 3 WHERE v = 2")), 0);
	assert_int_equal(change(tx, stmt_open(tx, "UPDATE t SET v = 4 WHERE v = 2")), -ENOENT);
	assert_int_equal(change(tx, stmt_open(tx, "UPDATE t SET v = 1 WHERE v = 3")), -EEXIST);
	assert_int_equal(change(tx, stmt_open(tx, "DELETE FROM t WHERE v = 9")), -ENOENT);
	assert_int_equal(change(tx, stmt_open(tx, "UPDATE nowhere SET v = 1")), -EIO);
	db_end(&tx);
}

static void first_error_stays(void **state)
{
	struct db_conn *tx = begin(*state);
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT ?");

		stmt_put_i64(&st, 1);
		stmt_put_i64(&st, 2); /* there is no second parameter */
		stmt_put_i64(&st, 3);
		assert_int_equal(stmt_row(&st), -EINVAL);
		assert_int_equal(stmt_run(&st), -EINVAL);
	}
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT nothing FROM nowhere");

		stmt_put_i64(&st, 1);
		assert_true(stmt_row(&st) < 0);
		assert_int_equal(stmt_i64(&st), 0);
	}
	db_end(&tx);
}

static const char counting[] = "SELECT count(*) FROM users WHERE name = ?";

static void cached_ones_come_back_clean(void **state)
{
	struct db_conn *tx = begin(*state);
	sqlite3_stmt *first;
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, counting);

		first = st.raw;
		stmt_put_text(&st, "left over");
		assert_int_equal(stmt_row(&st), 1);
	}
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, counting);
		char *sql = sqlite3_expanded_sql(st.raw);

		assert_ptr_equal(st.raw, first);
		assert_null(strstr(sql, "left over"));
		sqlite3_free(sql);
	}
	db_end(&tx);
}

static void nested_use_is_refused(void **state)
{
	struct db_conn *tx = begin(*state);
	{
		struct stmt outer cleanup(stmt_close) = stmt_open(tx, counting);

		stmt_put_text(&outer, "a");
		assert_int_equal(stmt_row(&outer), 1);
		{
			struct stmt inner cleanup(stmt_close) = stmt_open(tx, counting);

			assert_int_equal(stmt_row(&inner), -EDEADLK);
		}
		assert_int_equal(stmt_i64(&outer), 0);
		assert_int_equal(stmt_err(&outer), 0);
	}
	db_end(&tx);
}

static void results_have_meanings(void **state)
{
	(void)state;
	assert_int_equal(stmt_errno(NULL, SQLITE_FULL), -ENOSPC);
	assert_int_equal(stmt_errno(NULL, SQLITE_IOERR_WRITE), -ENOSPC);
	assert_int_equal(stmt_errno(NULL, SQLITE_IOERR_FSYNC), -ENOSPC);
	assert_int_equal(stmt_errno(NULL, SQLITE_IOERR_READ), -EIO);
	assert_int_equal(stmt_errno(NULL, SQLITE_CORRUPT_INDEX), -EUCLEAN);
	assert_int_equal(stmt_errno(NULL, SQLITE_NOTADB), -EUCLEAN);
	assert_int_equal(stmt_errno(NULL, SQLITE_NOMEM), -ENOMEM);
	assert_int_equal(stmt_errno(NULL, SQLITE_CONSTRAINT_UNIQUE), -EEXIST);
	assert_int_equal(stmt_errno(NULL, SQLITE_CONSTRAINT_PRIMARYKEY), -EEXIST);
	assert_int_equal(stmt_errno(NULL, SQLITE_CONSTRAINT_FOREIGNKEY), -ENOENT);
	assert_int_equal(stmt_errno(NULL, SQLITE_CONSTRAINT_CHECK), -EINVAL);
	assert_int_equal(stmt_errno(NULL, SQLITE_READONLY), -EROFS);
	assert_int_equal(stmt_errno(NULL, SQLITE_BUSY), -EBUSY);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(values_come_back),
		T(wrong_types_and_sizes),
		T(one_column_too_many),
		T(what_should_be_there_and_is_not),
		T(first_error_stays),
		T(cached_ones_come_back_clean),
		T(nested_use_is_refused),
		cmocka_unit_test(results_have_meanings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
