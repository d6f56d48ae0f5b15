/* Opening what is there, what is not, and what is broken; transactions. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "db/meta_store.h"
#include "tests/unit/db/dbtest.h"

static void path_of(const struct dbtest *t, const char *name, char *out)
{
	snprintf(out, 128, "%s/%s", t->dir, name);
}

static void reopen(struct dbtest *t, int expect)
{
	char why[128] = "";

	assert_int_equal(db_open(&t->db, t->dir, why), expect);
	if (expect)
		assert_true(why[0] != '\0' && !strchr(why, '\n'));
}

static void shut(struct dbtest *t)
{
	db_close(t->db);
	t->db = NULL;
}

static void new_files_are_private(void **state)
{
	static const char *const names[] = {
		"ireko.db", "ireko.db-wal", "ireko.db-shm", "ireko.lock"};
	struct dbtest *t = *state;
	char path[128];
	struct stat st;

	assert_int_equal(meta_set_text(t->db, "k", "v"), 0);
	for (size_t i = 0; i < 4; i++) {
		path_of(t, names[i], path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	path_of(t, "ireko.db.new", path);
	assert_int_equal(access(path, F_OK), -1);
	assert_true(db_answers(t->db));
	assert_true(db_schema_version(t->db) >= 1);
}

static void wide_mode_is_narrowed(void **state)
{
	struct dbtest *t = *state;
	char path[128];
	struct stat st;

	shut(t);
	path_of(t, "ireko.db", path);
	assert_int_equal(chmod(path, 0666), 0);
	reopen(t, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void second_process_is_refused(void **state)
{
	struct dbtest *t = *state;
	struct db *other;
	char why[128];
	int status;
	pid_t pid;

	assert_int_equal(db_open(&other, t->dir, why), -EBUSY);
	assert_null(other);
	pid = fork();
	if (pid == 0)
		_exit(db_open(&other, t->dir, why) == -EBUSY ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Being refused must not have taken anything from the first. */
	assert_int_equal(meta_set_text(t->db, "k", "v"), 0);
}

static void settings_are_as_promised(void **state)
{
	struct dbtest *t = *state;
	char path[128];
	sqlite3_stmt *st;
	sqlite3 *raw;

	path_of(t, "ireko.db", path);
	assert_int_equal(sqlite3_open_v2(path, &raw, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(raw, "PRAGMA journal_mode", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), "wal");
	sqlite3_finalize(st);
	/* All tables are STRICT. */
	assert_int_equal(sqlite3_prepare_v2(raw,
				 "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND "
				 "name NOT LIKE 'sqlite_%' AND strict = 0",
				 -1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(st, 0), 0);
	sqlite3_finalize(st);
	sqlite3_close(raw);
}

static void survives_reopening(void **state)
{
	struct dbtest *t = *state;
	char text[8];

	assert_int_equal(meta_set_text(t->db, "net4", "kept"), 0);
	shut(t);
	reopen(t, 0);
	assert_int_equal(meta_get_text(t->db, "net4", text, sizeof(text)), 0);
	assert_string_equal(text, "kept");
}

static void overwrite(const char *path, off_t at, const char *what, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, what, n, at), n);
	close(fd);
}

static void damaged_header_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128];

	shut(t);
	path_of(t, "ireko.db", path);
	overwrite(path, 0, "not a database!!", 16);
	reopen(t, -EUCLEAN);
}

static void damaged_page_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128], junk[512];

	shut(t);
	memset(junk, 0xa5, sizeof(junk));
	path_of(t, "ireko.db", path);
	overwrite(path, 4096, junk, sizeof(junk));
	reopen(t, -EUCLEAN);
}

static void truncated_file_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128];

	shut(t);
	path_of(t, "ireko.db", path);
	assert_int_equal(truncate(path, 8192), 0);
	reopen(t, -EUCLEAN);
}

static void empty_file_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128];

	shut(t);
	path_of(t, "ireko.db", path);
	assert_int_equal(truncate(path, 0), 0);
	reopen(t, -EUCLEAN);
}

static void log_without_database_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128], wal[128];

	shut(t);
	path_of(t, "ireko.db", path);
	path_of(t, "ireko.db-wal", wal);
	assert_int_equal(rename(path, wal), 0);
	reopen(t, -EUCLEAN);
}

static void foreign_database_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128];
	sqlite3 *raw;

	shut(t);
	path_of(t, "ireko.db", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
	assert_int_equal(sqlite3_exec(raw, "CREATE TABLE t (a)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(raw);
	reopen(t, -EUCLEAN);
}

static void run_sql(const struct dbtest *t, const char *sql)
{
	char path[128];
	sqlite3 *raw;

	path_of(t, "ireko.db", path);
	assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
	assert_int_equal(sqlite3_exec(raw, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(raw);
}

static void newer_schema_is_refused(void **state)
{
	struct dbtest *t = *state;

	shut(t);
	run_sql(t, "PRAGMA user_version = 1000");
	reopen(t, -EPROTONOSUPPORT);
}

static void dangling_reference_is_refused(void **state)
{
	struct dbtest *t = *state;

	shut(t);
	run_sql(t, "INSERT INTO credential_state VALUES (zeroblob(16), zeroblob(12))");
	reopen(t, -EUCLEAN);
}

static void link_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128], other[128];

	shut(t);
	path_of(t, "ireko.db", path);
	path_of(t, "other", other);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	reopen(t, -ELOOP);
}

static void half_made_database_is_made_anew(void **state)
{
	struct dbtest *t = *state;
	char path[128], half[128];

	shut(t);
	path_of(t, "ireko.db", path);
	path_of(t, "ireko.db.new", half);
	assert_int_equal(rename(path, half), 0);
	assert_int_equal(truncate(half, 5000), 0);
	reopen(t, 0);
	assert_true(db_answers(t->db));
	assert_int_equal(access(half, F_OK), -1);
}

static void missing_folder_and_long_path(void **state)
{
	char why[128], path[5000];
	struct db *db;

	(void)state;
	assert_int_equal(db_open(&db, "/nonexistent/ireko", why), -ENOENT);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(db_open(&db, path, why), -ENAMETOOLONG);
}

static void rollback_changes_nothing(void **state)
{
	struct dbtest *t = *state;
	struct user_row u = a_user(1, "ann");
	struct db_conn *tx = begin(t);

	assert_int_equal(user_insert(tx, &u), 0);
	db_end(&tx);
	assert_null(tx);
	db_end(&tx);
	tx = begin(t);
	assert_int_equal(user_get(tx, &u.id, &u), -ENOENT);
	commit(tx);
}

static void readers_see_commits_and_only_those(void **state)
{
	struct dbtest *t = *state;
	struct user_row u = a_user(1, "ann");
	struct db_conn *tx = begin(t), *before, *during, *after;

	assert_int_equal(db_read(t->db, &before), 0);
	assert_int_equal(user_get(before, &u.id, &u), -ENOENT);
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(db_read(t->db, &during), 0);
	assert_int_equal(user_get(during, &u.id, &u), -ENOENT);
	commit(tx);
	/* One snapshot until it ends. */
	assert_int_equal(user_get(before, &u.id, &u), -ENOENT);
	assert_int_equal(db_read(t->db, &after), 0);
	assert_int_equal(user_get(after, &u.id, &u), 0);
	db_end(&before);
	db_end(&during);
	db_end(&after);
}

static void readers_cannot_write(void **state)
{
	struct dbtest *t = *state;
	struct user_row u = a_user(1, "ann");
	struct db_conn *tx;

	assert_int_equal(db_read(t->db, &tx), 0);
	assert_int_equal(user_insert(tx, &u), -EROFS);
	db_end(&tx);
}

static void commit_checks_references(void **state)
{
	struct dbtest *t = *state;
	struct device_row d = a_device(2, id_of(99), "orphan");
	struct db_conn *tx = begin(t);

	assert_int_equal(device_insert(tx, &d), -ENOENT);
	db_end(&tx);
}

enum { THREADS = 8, ROUNDS = 40 };

static void *writer(void *arg)
{
	struct db *db = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct db_conn *tx;
		struct user_row u;

		if (db_write(db, &tx) || user_get(tx, &(struct ulid){{1}}, &u))
			return arg;
		u.revision++;
		if (user_update(tx, &u) || db_commit(&tx) || db_read(db, &tx))
			return arg;
		if (user_get(tx, &u.id, &u))
			return arg;
		db_end(&tx);
	}
	return NULL;
}

static void writers_wait_for_each_other(void **state)
{
	struct dbtest *t = *state;
	struct user_row u = a_user(1, "counter");
	struct db_conn *tx = begin(t);
	pthread_t threads[THREADS];

	u.id = (struct ulid){{1}};
	assert_int_equal(user_insert(tx, &u), 0);
	commit(tx);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, t->db), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	tx = begin(t);
	assert_int_equal(user_get(tx, &u.id, &u), 0);
	assert_int_equal(u.revision, 1 + THREADS * ROUNDS);
	commit(tx);
}

/* No file may grow: what the disk says when it is full, or a quota. */
static void full_disk_changes_nothing(void **state)
{
	struct dbtest *t = *state;
	struct rlimit old, full = {0, 0};
	char out[32];

	assert_int_equal(meta_set_text(t->db, "k", "before"), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	full.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(meta_set_text(t->db, "k", "after"), -ENOSPC);
	assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out)), 0);
	assert_string_equal(out, "before");
	/* What wrote nothing has found out nothing. */
	commit(begin(t));
	assert_string_equal(db_fault(t->db), "the disk of the database is full");
	db_try(t->db, false);
	assert_non_null(db_fault(t->db));
	/* It goes on by itself when there is space again. */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(db_fault(t->db));
	db_try(t->db, false);
	assert_null(db_fault(t->db));
	assert_int_equal(meta_set_text(t->db, "k", "later"), 0);
	shut(t);
	reopen(t, 0);
	assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out)), 0);
	assert_string_equal(out, "later");
}

static void away(const struct dbtest *t, const char *name, bool back)
{
	char path[128], other[128];

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	snprintf(other, sizeof(other), "%s/other", t->dir);
	assert_int_equal(back ? rename(other, path) : rename(path, other), 0);
}

/* Writing to a deleted file works for as long as it is open: that must not be called written. */
static void deleted_files_take_nothing(void **state)
{
	static const char *const names[] = {"ireko.db", "ireko.db-wal"};
	struct dbtest *t = *state;
	struct db_conn *tx;
	struct user_row u = a_user(1, "ann");
	char out[32];

	assert_int_equal(meta_set_text(t->db, "k", "before"), 0);
	assert_null(db_fault(t->db));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		away(t, names[i], false);
		assert_int_equal(meta_set_text(t->db, "k", "after"), -ESTALE);
		assert_non_null(strstr(db_fault(t->db), "deleted"));
		assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out)), 0);
		assert_string_equal(out, "before");
		/* The same file again: it goes on. */
		away(t, names[i], true);
		assert_null(db_fault(t->db));
		assert_int_equal(meta_set_text(t->db, "k", "before"), 0);
		/* Between begin and commit. */
		tx = begin(t);
		assert_int_equal(user_insert(tx, &u), 0);
		away(t, names[i], false);
		assert_int_equal(db_commit(&tx), -ESTALE);
		db_try(t->db, true);
		away(t, names[i], true);
		assert_null(db_fault(t->db));
		tx = begin(t);
		assert_int_equal(user_get(tx, &u.id, &u), -ENOENT);
		db_end(&tx);
	}
}

static void another_file_is_not_ours(void **state)
{
	struct dbtest *t = *state;
	char path[128];
	FILE *f;

	away(t, "ireko.db", false);
	snprintf(path, sizeof(path), "%s/ireko.db", t->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(meta_set_text(t->db, "k", "after"), -ESTALE);
	assert_non_null(db_fault(t->db));
	away(t, "ireko.db", true);
}

/* A process that is killed while it writes: what was acknowledged is there. */
static void killed_writer_loses_nothing(void **state)
{
	struct dbtest *t = *state;
	int pipe_fds[2], status;
	char text[16], why[128];
	unsigned acked = 0, got;
	pid_t pid;

	shut(t);
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) {
		if (db_open(&t->db, t->dir, why))
			_exit(1);
		for (unsigned i = 1;; i++) {
			snprintf(text, sizeof(text), "%u", i);
			if (meta_set_text(t->db, "n", text) || write(pipe_fds[1], &i, 4) != 4)
				_exit(1);
		}
	}
	close(pipe_fds[1]);
	while (acked < 50 && read(pipe_fds[0], &acked, 4) == 4)
		;
	kill(pid, SIGKILL);
	while (read(pipe_fds[0], &got, 4) == 4)
		acked = got;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fds[0]);
	assert_true(acked >= 50);
	reopen(t, 0);
	assert_int_equal(meta_get_text(t->db, "n", text, sizeof(text)), 0);
	assert_true(strtoul(text, NULL, 10) >= acked);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(new_files_are_private),
		T(wide_mode_is_narrowed),
		T(second_process_is_refused),
		T(settings_are_as_promised),
		T(survives_reopening),
		T(damaged_header_is_refused),
		T(damaged_page_is_refused),
		T(truncated_file_is_refused),
		T(empty_file_is_refused),
		T(log_without_database_is_refused),
		T(foreign_database_is_refused),
		T(newer_schema_is_refused),
		T(dangling_reference_is_refused),
		T(link_is_refused),
		T(half_made_database_is_made_anew),
		cmocka_unit_test(missing_folder_and_long_path),
		T(rollback_changes_nothing),
		T(readers_see_commits_and_only_those),
		T(readers_cannot_write),
		T(commit_checks_references),
		T(writers_wait_for_each_other),
		T(deleted_files_take_nothing),
		T(another_file_is_not_ours),
		T(full_disk_changes_nothing),
		T(killed_writer_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
