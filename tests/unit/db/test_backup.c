/* A copy while the database is in use: one moment's, whole, without a name, bounded. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <pthread.h>

#include "db/backup.h"
#include "db/meta_store.h"
#include "tests/unit/db/dbtest.h"

static struct clock now(void)
{
	return clock_system();
}

/* SQLite opens no file without a name: it gets one. */
static sqlite3 *open_copy(const struct dbtest *t, int fd)
{
	char path[128], piece[4096];
	sqlite3 *raw;
	ssize_t n;
	int to;

	snprintf(path, sizeof(path), "%s/other", t->dir);
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		assert_int_equal(write(to, piece, (size_t)n), n);
	close(to);
	assert_int_equal(sqlite3_open_v2(path, &raw, SQLITE_OPEN_READWRITE, NULL), 0);
	return raw;
}

static int value_of(sqlite3 *raw, const char *sql, char out[64])
{
	sqlite3_stmt *st = NULL;
	int rc;

	assert_int_equal(sqlite3_prepare_v2(raw, sql, -1, &st, NULL), SQLITE_OK);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		snprintf(out, 64, "%s", (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	return rc;
}

static void left_nothing(const struct dbtest *t)
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal"};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/ireko.db.backup%s", t->dir, names[i]);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void the_copy_is_whole(void **state)
{
	const struct clock clock = now();
	struct dbtest *t = *state;
	struct stat st;
	char text[64] = "";
	uint64_t size;
	sqlite3 *raw;
	int fd;

	assert_int_equal(meta_set_text(t->db, "k", "committed"), 0);
	assert_int_equal(db_backup(t->db, &clock, 10000, &fd, &size), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal((uint64_t)st.st_size, size);
	raw = open_copy(t, fd);
	assert_int_equal(value_of(raw, "PRAGMA integrity_check", text), SQLITE_ROW);
	assert_string_equal(text, "ok");
	assert_int_equal(value_of(raw, "SELECT txt FROM meta WHERE key = 'k'", text), SQLITE_ROW);
	assert_string_equal(text, "committed");
	assert_int_equal(value_of(raw, "PRAGMA journal_mode", text), SQLITE_ROW);
	assert_string_equal(text, "delete");
	sqlite3_close(raw);
	close(fd);
	left_nothing(t);
}

/* Two values that only ever change together. */
static void write_pair(struct db *db, unsigned n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	/* Each is a transaction of its own: "a" is always there first. */
	assert_int_equal(meta_set_text(db, "a", text), 0);
	assert_int_equal(meta_set_text(db, "b", text), 0);
}

struct writer {
	struct db *db;
	atomic_bool stop;
	atomic_uint n;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(&w->stop)) {
		write_pair(w->db, atomic_load(&w->n) + 1);
		atomic_fetch_add(&w->n, 1);
	}
	return NULL;
}

static void writers_go_on_and_the_copy_is_of_one_moment(void **state)
{
	const struct clock clock = now();
	struct dbtest *t = *state;
	struct writer w = {.db = t->db};
	static char filler[400000];
	pthread_t thread;

	assert_int_equal(meta_set_blob(t->db, "filler", filler, sizeof(filler)), 0);
	write_pair(t->db, 0);
	assert_int_equal(pthread_create(&thread, NULL, writer_main, &w), 0);
	for (unsigned i = 0; i < 20; i++) {
		char a[64] = "", b[64] = "";
		unsigned seen = atomic_load(&w.n);
		uint64_t size;
		sqlite3 *raw;
		int fd;

		while (atomic_load(&w.n) == seen)
			sched_yield();
		seen = atomic_load(&w.n);
		assert_int_equal(db_backup(t->db, &clock, 10000, &fd, &size), 0);
		raw = open_copy(t, fd);
		value_of(raw, "SELECT txt FROM meta WHERE key = 'a'", a);
		value_of(raw, "SELECT txt FROM meta WHERE key = 'b'", b);
		assert_true(atoi(b) >= (int)seen);
		assert_true(atoi(a) == atoi(b) || atoi(a) == atoi(b) + 1);
		sqlite3_close(raw);
		close(fd);
	}
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
}

static void no_room_is_told_and_nothing_stays(void **state)
{
	const struct clock clock = now();
	struct dbtest *t = *state;
	struct rlimit old, full;
	uint64_t size;
	int fd = -1;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	full = (struct rlimit){.rlim_cur = 8192, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	assert_int_equal(db_backup(t->db, &clock, 10000, &fd, &size), -ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	left_nothing(t);
	assert_int_equal(meta_set_text(t->db, "k", "goes on"), 0);
	assert_int_equal(db_backup(t->db, &clock, 10000, &fd, &size), 0);
	close(fd);
}

static void too_slow_is_given_up(void **state)
{
	const struct clock clock = now();
	struct dbtest *t = *state;
	uint64_t size;
	int fd = -1;

	assert_int_equal(db_backup(t->db, &clock, 0, &fd, &size), -ETIMEDOUT);
	left_nothing(t);
}

/* Eight readers' worth: a failed one must give its connection back. */
static void connections_come_back(void **state)
{
	const struct clock clock = now();
	struct dbtest *t = *state;
	uint64_t size;
	int fd;

	for (int i = 0; i < 8; i++)
		assert_int_equal(db_backup(t->db, &clock, 0, &fd, &size), -ETIMEDOUT);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(db_backup(t->db, &clock, 10000, &fd, &size), 0);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_copy_is_whole, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(
			writers_go_on_and_the_copy_is_of_one_moment, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(
			no_room_is_told_and_nothing_stays, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(
			too_slow_is_given_up, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(
			connections_come_back, dbtest_setup, dbtest_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
