/*
 *   reader: BEGIN, a read (the snapshot is open) -> sqlite3_backup_step ... -> END
 *   copy:   ireko.db.backup, out of WAL mode so that it is one file -> open, unlink -> descriptor
 */
#include "db/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/db.h"
#include "db/folder.h"
#include "db/stmt.h"

enum { STEP_PAGES = 256, PATH_CAP = FOLDER_PATH };

static void copy_path(char out[PATH_CAP], const char *path)
{
	snprintf(out, PATH_CAP, "%.4000s.backup", path);
}

void db_backup_clear(const char *path)
{
	char copy[PATH_CAP];

	copy_path(copy, path);
	folder_remove(copy);
}

/* SQLite would make it with a mode of its own choice. */
static int open_copy(const char *path, sqlite3 **out)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc;

	*out = NULL;
	if (fd < 0)
		return -errno;
	close(fd);
	rc = sqlite3_open_v2(path, out,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	/* Nobody else has it and nobody needs it after a crash. */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*out,
			"PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF;"
			"PRAGMA journal_mode = OFF;",
			NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : stmt_errno(*out, rc);
}

/* A BEGIN alone opens no snapshot: the first read does. */
static int open_snapshot(struct db_conn *tx)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT count(*) FROM lease_next");
	const int rc = stmt_row(&st);

	return rc < 0 ? rc : 0;
}

static int copy_pages(sqlite3 *from, sqlite3 *to, const struct clock *clock, uint64_t end)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
	int rc = SQLITE_OK, last;

	if (!b)
		return stmt_errno(to, sqlite3_extended_errcode(to));
	while (rc == SQLITE_OK && clock_mono_ms(clock) < end)
		rc = sqlite3_backup_step(b, STEP_PAGES);
	last = sqlite3_backup_finish(b);
	if (rc == SQLITE_DONE && last == SQLITE_OK)
		return 0;
	return rc == SQLITE_OK ? -ETIMEDOUT : stmt_errno(to, rc);
}

/* The copy says of itself what the original is; without a log it is whole by itself. */
static int leave_wal(sqlite3 *copy)
{
	const int rc = sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : stmt_errno(copy, rc);
}

static int take_descriptor(const char *path, int *fd, uint64_t *size)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	if (fstat(*fd, &st)) {
		const int err = -errno;

		close(*fd);
		return err;
	}
	*size = (uint64_t)st.st_size;
	return 0;
}

int db_backup(struct db *db, const struct clock *clock, uint32_t limit_ms, int *fd, uint64_t *size)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	sqlite3 *copy = NULL;
	char path[PATH_CAP];
	const char *own;
	int err = db_read(db, &tx);

	if (err)
		return err;
	own = sqlite3_db_filename(db_conn_raw(tx), "main");
	db_backup_clear(own);
	copy_path(path, own);
	err = open_snapshot(tx);
	if (!err)
		err = open_copy(path, &copy);
	if (!err)
		err = copy_pages(db_conn_raw(tx), copy, clock, clock_mono_ms(clock) + limit_ms);
	if (!err)
		err = leave_wal(copy);
	if (sqlite3_close(copy) != SQLITE_OK && !err)
		err = -EIO;
	if (!err)
		err = take_descriptor(path, fd, size);
	db_backup_clear(own);
	return err;
}
