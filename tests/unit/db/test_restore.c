/* A backup in the place of the database: what is taken, what is refused, what stays. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "db/backup.h"
#include "db/credential_store.h"
#include "db/meta_store.h"
#include "db/restore.h"
#include "tests/unit/db/dbtest.h"

static void path_of(const struct dbtest *t, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", t->dir, name);
}

static void exec(const char *path, const char *sql)
{
	sqlite3 *raw;

	assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
	assert_int_equal(sqlite3_exec(raw, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(raw);
}

static void copy_fd(int fd, const char *path)
{
	char piece[4096];
	ssize_t n;
	const int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	while ((n = read(fd, piece, sizeof(piece))) > 0)
		assert_int_equal(write(to, piece, (size_t)n), n);
	close(to);
}

/* A backup in backup.db with "k" = "then"; the database then goes on to "now" and is closed. */
static void make_backup(struct dbtest *t, char path[128])
{
	const struct clock clock = clock_system();
	uint64_t size;
	int fd;

	assert_int_equal(meta_set_text(t->db, "k", "then"), 0);
	assert_int_equal(db_backup(t->db, &clock, 10000, &fd, &size), 0);
	path_of(t, "backup.db", path);
	copy_fd(fd, path);
	close(fd);
	assert_int_equal(meta_set_text(t->db, "k", "now"), 0);
}

static void hash_of(const char *path, uint8_t out[32])
{
	static uint8_t all[4 << 20];
	FILE *f = fopen(path, "rb");
	const size_t n = f ? fread(all, 1, sizeof(all), f) : 0;

	assert_true(n > 0 && n < sizeof(all));
	fclose(f);
	assert_non_null(SHA256(all, n, out));
}

static void shut(struct dbtest *t)
{
	db_close(t->db);
	t->db = NULL;
}

static void reopen(struct dbtest *t, const char *expect)
{
	char why[128], text[16];

	assert_int_equal(db_open(&t->db, t->dir, why), 0);
	assert_int_equal(meta_get_text(t->db, "k", text, sizeof(text)), 0);
	assert_string_equal(text, expect);
}

static int begin_restore(struct dbtest *t, const char *path, struct db_restore **r, char *why)
{
	const int fd = open(path, O_RDONLY);
	int rc;

	assert_true(fd >= 0);
	rc = db_restore_begin(r, t->dir, fd, why);
	close(fd);
	return rc;
}

static void takes_its_place(void **state)
{
	struct dbtest *t = *state;
	char path[128], why[128] = "", text[16];
	uint8_t sha256[32];
	struct db_restore *r;
	sqlite3 *raw;

	make_backup(t, path);
	shut(t);
	hash_of(path, sha256);
	assert_int_equal(begin_restore(t, path, &r, why), 0);
	assert_int_equal(meta_get_text(db_restore_staged(r), "k", text, sizeof(text)), 0);
	assert_string_equal(text, "then");
	assert_memory_equal(db_restore_sha256(r), sha256, sizeof(sha256));
	assert_int_equal(db_restore_commit(r, why), 0);
	db_restore_end(r);
	reopen(t, "then");
	path_of(t, "ireko.db.before-restore", path);
	assert_int_equal(sqlite3_open_v2(path, &raw, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(raw, "SELECT 1 FROM meta WHERE txt = 'now'", NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(raw);
}

static void without_commit_nothing_changes(void **state)
{
	struct dbtest *t = *state;
	char path[128], why[128] = "";
	struct db_restore *r;

	make_backup(t, path);
	shut(t);
	assert_int_equal(begin_restore(t, path, &r, why), 0);
	db_restore_end(r);
	reopen(t, "now");
	path_of(t, "ireko.db.before-restore", path);
	assert_int_equal(access(path, F_OK), -1);
	path_of(t, "ireko.restore", path);
	assert_int_equal(access(path, F_OK), -1);
}

static void refused_while_in_use(void **state)
{
	struct dbtest *t = *state;
	char path[128], why[128] = "", stage[128];
	struct db_restore *r;

	make_backup(t, path);
	/* What another restore has staged is not ours to clear. */
	path_of(t, "ireko.restore", stage);
	assert_int_equal(mkdir(stage, 0700), 0);
	assert_int_equal(begin_restore(t, path, &r, why), -EBUSY);
	assert_null(r);
	assert_int_equal(access(stage, F_OK), 0);
	assert_int_equal(rmdir(stage), 0);
}

static void foreign_and_broken_ones_are_refused(void **state)
{
	static const struct {
		const char *sql;
		int rc;
	} cases[] = {
		{"PRAGMA user_version = 9999", -EPROTONOSUPPORT},
		{"PRAGMA user_version = 0", -EUCLEAN},
		{"CREATE TABLE more (x)", -EUCLEAN},
		{"CREATE VIEW v AS SELECT 1", -EUCLEAN},
		{"CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM users; END", -EUCLEAN},
		{"DROP INDEX devices_by_user", -EUCLEAN},
		{"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, "
		 "'BETWEEN 0 AND 3', 'BETWEEN 0 AND 9')",
			-EUCLEAN},
		{"PRAGMA foreign_keys = OFF; INSERT INTO tokens VALUES (zeroblob(16), "
		 "zeroblob(16), "
		 "'x', 0, zeroblob(32), 0, 0, 0)",
			-EUCLEAN},
	};
	struct dbtest *t = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct db_restore *r;
		char why[128] = "";

		make_backup(t, path);
		exec(path, cases[i].sql);
		shut(t);
		assert_int_equal(begin_restore(t, path, &r, why), cases[i].rc);
		assert_true(why[0] != '\0' && !strchr(why, '\n'));
		reopen(t, "now");
	}
}

static void every_cut_is_refused(void **state)
{
	struct dbtest *t = *state;
	char path[128], why[128];
	struct db_restore *r;
	struct stat st;

	make_backup(t, path);
	shut(t);
	assert_int_equal(stat(path, &st), 0);
	for (off_t n = st.st_size - 1; n >= 0; n = n > 4096 ? n - 4095 : n - 512) {
		assert_int_equal(truncate(path, n), 0);
		assert_int_equal(begin_restore(t, path, &r, why), -EUCLEAN);
	}
	reopen(t, "now");
}

/* The log of the database before is folded into it, and never played into the new one. */
static void the_old_log_goes_with_the_old_file(void **state)
{
	struct dbtest *t = *state;
	char path[128], wal[128], spare[128], why[128];
	struct db_restore *r;
	int fd;

	make_backup(t, path);
	/* As a killed process leaves it: file and log, copied while in use. */
	path_of(t, "ireko.db-wal", wal);
	path_of(t, "other", spare);
	fd = open(wal, O_RDONLY);
	copy_fd(fd, spare);
	close(fd);
	shut(t);
	assert_int_equal(rename(spare, wal), 0);
	assert_int_equal(begin_restore(t, path, &r, why), 0);
	assert_int_equal(db_restore_commit(r, why), 0);
	assert_int_equal(access(wal, F_OK), -1);
	db_restore_end(r);
	reopen(t, "then");
}

static void count(
	void *arg, const char *kind, const struct ulid *id, const char *name, const char *owner)
{
	char *seen = arg;
	const size_t n = strlen(seen);

	(void)id;
	snprintf(seen + n, 256 - n, "%s:%s:%s ", kind, name, owner);
}

static void what_works_again_is_told(void **state)
{
	struct dbtest *t = *state;
	struct user_row u = a_user(1, "ann");
	struct device_row d = a_device(2, u.id, "phone");
	struct credential_row c = {.id = id_of(3), .device_id = d.id, .protocol = 1};
	char path[128], why[128], seen[256] = "";
	struct db_restore *r;
	struct db_conn *tx = begin(t);

	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(device_insert(tx, &d), 0);
	assert_int_equal(credential_insert(tx, &c), 0);
	c.id = id_of(4);
	memset(c.wg_public, 4, sizeof(c.wg_public));
	assert_int_equal(credential_insert(tx, &c), 0);
	commit(tx);
	make_backup(t, path);
	tx = begin(t);
	assert_int_equal(credential_revoke(tx, &c.id, 5), 0);
	commit(tx);
	shut(t);
	assert_int_equal(begin_restore(t, path, &r, why), 0);
	assert_int_equal(db_restore_commit(r, why), 0);
	assert_int_equal(db_restore_returned(r, count, seen), 1);
	assert_string_equal(seen, "credential:phone:ann ");
	db_restore_end(r);
	reopen(t, "then");
}

static void into_an_empty_folder(void **state)
{
	struct dbtest *t = *state;
	char path[128], old[128], why[128], seen[256] = "";
	struct db_restore *r;

	make_backup(t, path);
	shut(t);
	path_of(t, "ireko.db", old);
	assert_int_equal(unlink(old), 0);
	assert_int_equal(begin_restore(t, path, &r, why), 0);
	assert_int_equal(db_restore_commit(r, why), 0);
	assert_int_equal(db_restore_returned(r, count, seen), -ENOENT);
	db_restore_end(r);
	reopen(t, "then");
}

#define WITH_DB(test) cmocka_unit_test_setup_teardown(test, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DB(takes_its_place),
		WITH_DB(without_commit_nothing_changes),
		WITH_DB(refused_while_in_use),
		WITH_DB(foreign_and_broken_ones_are_refused),
		WITH_DB(every_cut_is_refused),
		WITH_DB(the_old_log_goes_with_the_old_file),
		WITH_DB(what_works_again_is_told),
		WITH_DB(into_an_empty_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
