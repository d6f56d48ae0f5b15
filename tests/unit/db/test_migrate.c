/* A migration that dies, at any of its statements, leaves the schema that was there before. */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "db/migrate.h"
#include "tests/unit/db/dbtest.h"

struct scratch {
	char dir[64], path[128];
};

static int setup(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	dir_make(s->dir);
	snprintf(s->path, sizeof(s->path), "%s/ireko.db", s->dir);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scratch *s = *state;

	dir_remove(s->dir);
	free(s);
	return 0;
}

static sqlite3 *open_raw(const struct scratch *s)
{
	sqlite3 *raw;

	assert_int_equal(sqlite3_open(s->path, &raw), SQLITE_OK);
	sqlite3_extended_result_codes(raw, 1);
	assert_int_equal(
		sqlite3_exec(raw, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
	return raw;
}

static int tables(sqlite3 *raw)
{
	sqlite3_stmt *st;
	int n;

	assert_int_equal(
		sqlite3_prepare_v2(raw, "SELECT count(*) FROM sqlite_schema", -1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return n;
}

static uint32_t version(sqlite3 *raw)
{
	uint32_t v = 77;

	assert_int_equal(migrate_version(raw, &v), 0);
	return v;
}

static void built_in_are_in_order(void **state)
{
	size_t n;
	const struct migration *list = migrations(&n);

	(void)state;
	assert_true(n >= 1);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(list[i].version, i + 1);
		assert_non_null(strstr(list[i].sql, ";"));
	}
}

static void built_in_apply_once(void **state)
{
	sqlite3 *raw = open_raw(*state);
	char why[128] = "";
	size_t n;
	const struct migration *list = migrations(&n);
	int had;

	assert_int_equal(migrate(raw, list, n, why), 0);
	assert_int_equal(version(raw), n);
	had = tables(raw);
	assert_true(had > 8);
	assert_int_equal(migrate(raw, list, n, why), 0);
	assert_int_equal(tables(raw), had);
	sqlite3_close(raw);
}

static const struct migration steps[] = {
	{1, "CREATE TABLE one (a INTEGER) STRICT; INSERT INTO one VALUES (1);"},
	{2, "CREATE TABLE two (a INTEGER) STRICT; INSERT INTO one VALUES (2);"},
};

static void only_what_is_missing(void **state)
{
	sqlite3 *raw = open_raw(*state);
	char why[128];

	assert_int_equal(migrate(raw, steps, 1, why), 0);
	assert_int_equal(version(raw), 1);
	assert_int_equal(migrate(raw, steps, 2, why), 0);
	assert_int_equal(version(raw), 2);
	assert_int_equal(tables(raw), 2);
	sqlite3_close(raw);
}

static void newer_is_refused(void **state)
{
	sqlite3 *raw = open_raw(*state);
	char why[128] = "";

	assert_int_equal(migrate(raw, steps, 2, why), 0);
	assert_int_equal(migrate(raw, steps, 1, why), -EPROTONOSUPPORT);
	assert_non_null(strstr(why, "newer"));
	assert_int_equal(version(raw), 2);
	sqlite3_close(raw);
}

static void gap_is_refused(void **state)
{
	static const struct migration gap[] = {{1, "CREATE TABLE one (a INTEGER) STRICT;"},
		{3, "CREATE TABLE three (a INTEGER) STRICT;"}};
	sqlite3 *raw = open_raw(*state);
	char why[128] = "";

	assert_int_equal(migrate(raw, gap, 2, why), -EINVAL);
	assert_int_equal(version(raw), 1);
	sqlite3_close(raw);
}

static void failing_one_leaves_the_old_schema(void **state)
{
	static const struct migration bad[] = {{1, "CREATE TABLE one (a INTEGER) STRICT;"},
		{2, "CREATE TABLE two (a INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"}};
	sqlite3 *raw = open_raw(*state);
	char why[128] = "";

	assert_true(migrate(raw, bad, 2, why) < 0);
	assert_non_null(strstr(why, "migration 2"));
	assert_int_equal(version(raw), 1);
	assert_int_equal(tables(raw), 1);
	assert_true(sqlite3_get_autocommit(raw));
	/* And the mended one goes through. */
	assert_int_equal(migrate(raw, steps, 2, why), 0);
	sqlite3_close(raw);
}

static void die(sqlite3_context *ctx, int n, sqlite3_value **args)
{
	(void)ctx;
	(void)n;
	(void)args;
	raise(SIGKILL);
}

/* In a child: the first cut bytes of the last migration, and then the process is killed. */
static void killed_at(const struct scratch *s, const struct migration *list, size_t n, size_t cut)
{
	struct migration *cut_list = calloc(n, sizeof(*cut_list));
	char *sql = malloc(cut + 32), why[128];
	sqlite3 *raw;

	memcpy(cut_list, list, n * sizeof(*list));
	memcpy(sql, list[n - 1].sql, cut);
	memcpy(sql + cut, "; SELECT die();", sizeof("; SELECT die();"));
	cut_list[n - 1].sql = sql;
	if (sqlite3_open(s->path, &raw) == SQLITE_OK &&
		sqlite3_create_function(raw, "die", 0, SQLITE_UTF8, NULL, die, NULL, NULL) ==
			SQLITE_OK)
		(void)!migrate(raw, cut_list, n, why);
	_exit(1);
}

/* Cuts the last of n behind each of its statements. Returns: how many those were. */
static int kill_in_last(const struct scratch *s, const struct migration *list, size_t n)
{
	const char *end = list[n - 1].sql;
	sqlite3 *raw = open_raw(s);
	int killed = 0, before = tables(raw);

	sqlite3_close(raw);
	for (end = strchr(end, ';'); end; end = strchr(end + 1, ';')) {
		size_t cut = (size_t)(end - list[n - 1].sql);
		char *part = strndup(list[n - 1].sql, cut + 1);
		int status, whole = sqlite3_complete(part);
		pid_t pid;

		free(part);
		if (!whole) /* a semicolon in a comment */
			continue;
		pid = fork();
		if (pid == 0)
			killed_at(s, list, n, cut);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		raw = open_raw(s);
		assert_int_equal(version(raw), n - 1);
		assert_int_equal(tables(raw), before);
		sqlite3_close(raw);
		killed++;
	}
	return killed;
}

static void killed_at_every_statement(void **state)
{
	size_t n;
	const struct migration *list = migrations(&n);
	char why[128];
	int killed = 0;

	for (size_t i = 1; i <= n; i++) {
		sqlite3 *raw;

		killed += kill_in_last(*state, list, i);
		raw = open_raw(*state);
		assert_int_equal(migrate(raw, list, i, why), 0);
		assert_int_equal(version(raw), i);
		sqlite3_close(raw);
	}
	assert_true(killed >= 10);
}

/* Credentials of before there were serial numbers stay as they are; new ones have what their
 * protocol asks for. */
static void credentials_come_along(void **state)
{
#define CREDENTIAL(id, protocol, more)                                                             \
	"INSERT INTO credentials SELECT x'" id "', id, " protocol                                  \
	", zeroblob(32), NULL, NULL, 1, 0, 0" more " FROM devices;"
	static const char before[] =
		"INSERT INTO users VALUES (x'00000000000000000000000000000001', 'a', 'a', '', '', "
		"0, NULL, 0, 1, 1, 1);"
		"INSERT INTO devices VALUES (x'00000000000000000000000000000002', "
		"x'00000000000000000000000000000001', 'd', 1, x'0a000001', zeroblob(16), 1, 0, 1, "
		"1, 1);" CREDENTIAL("00000000000000000000000000000003", "1", "");
	static const struct {
		const char *sql;
		int rc;
	} after[] = {
		{CREDENTIAL("00000000000000000000000000000004", "1", ", NULL"), SQLITE_OK},
		{CREDENTIAL("00000000000000000000000000000005", "2", ", zeroblob(16)"), SQLITE_OK},
		{CREDENTIAL("00000000000000000000000000000006", "2", ", zeroblob(16)"),
			SQLITE_CONSTRAINT_UNIQUE},
		{CREDENTIAL("00000000000000000000000000000006", "2", ", NULL"),
			SQLITE_CONSTRAINT_CHECK},
		{CREDENTIAL("00000000000000000000000000000006", "2", ", zeroblob(15)"),
			SQLITE_CONSTRAINT_CHECK},
		{CREDENTIAL("00000000000000000000000000000006", "2", ", zeroblob(17)"),
			SQLITE_CONSTRAINT_CHECK},
		{CREDENTIAL("00000000000000000000000000000006", "1", ", randomblob(16)"),
			SQLITE_CONSTRAINT_CHECK},
	};
#undef CREDENTIAL
	sqlite3 *raw = open_raw(*state);
	char why[128];
	size_t n;
	const struct migration *list = migrations(&n);

	assert_true(n >= 3);
	assert_int_equal(migrate(raw, list, 2, why), 0);
	assert_int_equal(sqlite3_exec(raw, before, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(migrate(raw, list, n, why), 0);
	assert_int_equal(version(raw), n);
	for (size_t i = 0; i < ARRAY_SIZE(after); i++)
		assert_int_equal(sqlite3_exec(raw, after[i].sql, NULL, NULL, NULL), after[i].rc);
	assert_int_equal(sqlite3_exec(raw, "DELETE FROM credentials", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_changes(raw), 3);
	sqlite3_close(raw);
}

/* A tunnel of before there were farewells has none; what is stored is a short one. */
static void tunnels_come_along(void **state)
{
	static const char before[] =
		"INSERT INTO users VALUES (x'00000000000000000000000000000001', 'a', 'a', '', '', "
		"0, NULL, 0, 1, 1, 1);"
		"INSERT INTO devices VALUES (x'00000000000000000000000000000002', "
		"x'00000000000000000000000000000001', 'd', 1, x'0a000001', zeroblob(16), 1, 0, 1, "
		"1, 1);"
		"INSERT INTO device_state SELECT id, zeroblob(16), 1, 0, 0, 0, 0, 0, 0, 0, 0, "
		"x'c0000201', 4000, 0, x'', 1, zeroblob(16), 1, 1 FROM devices;";
	static const struct {
		const char *sql;
		int rc;
	} after[] = {
		{"UPDATE device_state SET was_up = 0 WHERE farewell <> x''", SQLITE_OK},
		{"UPDATE device_state SET farewell = zeroblob(64)", SQLITE_OK},
		{"UPDATE device_state SET farewell = zeroblob(65)", SQLITE_CONSTRAINT_CHECK},
		{"UPDATE device_state SET farewell = NULL", SQLITE_CONSTRAINT_NOTNULL},
	};
	static const int changed[] = {0, 1, 0, 0};
	sqlite3 *raw = open_raw(*state);
	char why[128];
	size_t n;
	const struct migration *list = migrations(&n);

	assert_true(n >= 8);
	assert_int_equal(migrate(raw, list, 7, why), 0);
	assert_int_equal(sqlite3_exec(raw, before, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(migrate(raw, list, n, why), 0);
	for (size_t i = 0; i < ARRAY_SIZE(after); i++) {
		assert_int_equal(sqlite3_exec(raw, after[i].sql, NULL, NULL, NULL), after[i].rc);
		if (after[i].rc == SQLITE_OK)
			assert_int_equal(sqlite3_changes(raw), changed[i]);
	}
	sqlite3_close(raw);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in_are_in_order),
		T(built_in_apply_once),
		T(only_what_is_missing),
		T(newer_is_refused),
		T(gap_is_refused),
		T(failing_one_leaves_the_old_schema),
		T(killed_at_every_statement),
		T(credentials_come_along),
		T(tunnels_come_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
