#include "db/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/db.h"
#include "db/folder.h"
#include "db/sound.h"
#include "db/stmt.h"

enum { WHY = 128, DIR_CAP = FOLDER_PATH - 64, PIECE = 64 * 1024, PAGE_MIN = 512 };

struct db_restore {
	int lock_fd;
	struct db *staged; /* NULL before begin is through, and after commit */
	uint8_t sha256[32];
	char dir[DIR_CAP], at[FOLDER_PATH], stage_dir[FOLDER_PATH], stage[FOLDER_PATH],
		before[FOLDER_PATH];
};

void db_restore_clear(const char *data_dir)
{
	char path[FOLDER_PATH];

	snprintf(path, sizeof(path), "%s/ireko.restore/ireko.lock", data_dir);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/ireko.restore/ireko.db.new", data_dir);
	folder_remove(path);
	snprintf(path, sizeof(path), "%s/ireko.restore/ireko.db", data_dir);
	folder_remove(path);
	snprintf(path, sizeof(path), "%s/ireko.restore", data_dir);
	(void)rmdir(path);
}

static int say(char *why, int err, const char *what)
{
	snprintf(why, WHY, "%.60s: %.60s", what, strerror(-err));
	return err;
}

/* ---- the copy ---- */

static int write_piece(int fd, const char *at, size_t n)
{
	while (n > 0) {
		const ssize_t put = write(fd, at, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

static int copy_hashed(int from, int to, EVP_MD_CTX *md)
{
	char piece[PIECE];
	off_t at = 0;
	ssize_t n;
	int err = 0;

	while (!err && (n = pread(from, piece, sizeof(piece), at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		err = n < 0 ? -errno : write_piece(to, piece, (size_t)n);
		if (!err && EVP_DigestUpdate(md, piece, (size_t)n) != 1)
			err = -EIO;
		at += n;
	}
	return err ? err : fsync(to) ? -errno : 0;
}

/* The hash is of what was copied, whatever becomes of the file meanwhile. */
static int copy_all(int from, int to, uint8_t sha256[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int err = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;

	if (!err)
		err = copy_hashed(from, to, md);
	if (!err && EVP_DigestFinal_ex(md, sha256, NULL) != 1)
		err = -EIO;
	EVP_MD_CTX_free(md);
	return err;
}

/* https://sqlite.org/fileformat2.html 1.3: magic, page size at 16 (1: 65536), pages at 28. */
enum { HEAD = 32, PAGE_SIZE_AT = 16, PAGES_AT = 28 };

static bool is_head(const uint8_t *head)
{
	static const char magic[] = "SQLite format 3";

	return memcmp(head, magic, sizeof(magic)) == 0;
}

/* SQLite reads what a last page lacks as zeros, so it would not miss it. */
static bool is_cut(const uint8_t *head, uint64_t size)
{
	const uint8_t *p = head + PAGES_AT;
	const uint64_t pages =
		(uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
	const uint64_t named = (uint64_t)head[PAGE_SIZE_AT] << 8 | head[PAGE_SIZE_AT + 1];
	const uint64_t page = named == 1 ? 65536 : named;

	return page < PAGE_MIN || size % page != 0 || size / page < pages;
}

/* An empty file would be a new database to SQLite. */
static int is_candidate(int fd, char *why)
{
	uint8_t head[HEAD] = {0};
	struct stat st;

	if (fstat(fd, &st))
		return say(why, -errno, "it can't be read");
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, WHY, "it is no regular file");
		return -EINVAL;
	}
	if (pread(fd, head, sizeof(head), 0) != sizeof(head) || !is_head(head)) {
		snprintf(why, WHY, "it is no database");
		return -EUCLEAN;
	}
	if (is_cut(head, (uint64_t)st.st_size)) {
		snprintf(why, WHY, "it is cut off");
		return -EUCLEAN;
	}
	return 0;
}

static int stage(struct db_restore *r, int fd, char *why)
{
	int to, err = is_candidate(fd, why);

	if (err)
		return err;
	db_restore_clear(r->dir);
	if (mkdir(r->stage_dir, 0700))
		return say(why, -errno, "ireko.restore");
	to = open(r->stage, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return say(why, -errno, "ireko.restore");
	err = copy_all(fd, to, r->sha256);
	if (close(to) && !err)
		err = -errno;
	return err ? say(why, err, "copying it") : 0;
}

/* ---- is it whole, and ours ---- */

static int look_through(sqlite3 *raw, char *why)
{
	int err = sound_check(raw, "PRAGMA integrity_check(1)", "ok", why);

	if (!err)
		err = sound_schema(raw, why);
	if (!err)
		err = sound_check(raw, "PRAGMA foreign_key_check", "", why);
	return err;
}

/* Nothing that stands in a file from outside may run. */
static int open_foreign(const char *path, sqlite3 **raw)
{
	int rc = sqlite3_open_v2(path, raw,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(*raw, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(*raw, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*raw,
			"PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
			"PRAGMA temp_store = MEMORY;",
			NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : stmt_errno(*raw, rc);
}

static int check_staged(const char *path, char *why)
{
	sqlite3 *raw = NULL;
	int err = open_foreign(path, &raw);

	if (err)
		snprintf(why, WHY, "the database is damaged (%.60s)", sqlite3_errmsg(raw));
	else
		err = look_through(raw, why);
	sqlite3_close(raw);
	return err;
}

int db_restore_begin(struct db_restore **out, const char *data_dir, int fd, char *why)
{
	struct db_restore *r;
	int err;

	*out = NULL;
	why[0] = '\0';
	if (strlen(data_dir) >= DIR_CAP)
		return -ENAMETOOLONG;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	snprintf(r->dir, sizeof(r->dir), "%s", data_dir);
	snprintf(r->at, sizeof(r->at), "%s/ireko.db", data_dir);
	snprintf(r->before, sizeof(r->before), "%s/ireko.db.before-restore", data_dir);
	snprintf(r->stage_dir, sizeof(r->stage_dir), "%s/ireko.restore", data_dir);
	snprintf(r->stage, sizeof(r->stage), "%s/ireko.restore/ireko.db", data_dir);
	err = folder_lock(data_dir, &r->lock_fd, why);
	if (!err)
		err = stage(r, fd, why);
	if (!err)
		err = check_staged(r->stage, why);
	if (!err)
		err = db_open(&r->staged, r->stage_dir, why);
	if (err) {
		db_restore_end(r);
		return err;
	}
	*out = r;
	return 0;
}

struct db *db_restore_staged(struct db_restore *r)
{
	return r->staged;
}

const uint8_t *db_restore_sha256(const struct db_restore *r)
{
	return r->sha256;
}

/* ---- the change ---- */

/* What is only in its log goes into the file, so that the log can go. A damaged one keeps it. */
static void fold_log(const char *path)
{
	sqlite3 *raw = NULL;

	if (sqlite3_open_v2(path, &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
		SQLITE_OK)
		(void)sqlite3_exec(raw, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	sqlite3_close(raw);
}

static int beside(const char *path, const char *tail, char out[FOLDER_PATH + 8])
{
	snprintf(out, FOLDER_PATH + 8, "%s%s", path, tail);
	return access(out, F_OK) == 0;
}

/* A second name first, so that at no moment a start finds no database and makes a new one. A log
 * that is still there belongs to the old file and must not be replayed into the new one. */
static int keep_old(struct db_restore *r)
{
	char from[FOLDER_PATH + 8], to[FOLDER_PATH + 8];

	if (access(r->at, F_OK) == 0)
		fold_log(r->at);
	if (access(r->at, F_OK) == 0 || beside(r->at, "-wal", from)) {
		folder_remove(r->before);
		if (link(r->at, r->before) && errno != ENOENT)
			return -errno;
	}
	(void)beside(r->before, "-wal", to);
	if (beside(r->at, "-wal", from) && rename(from, to))
		return -errno;
	if (beside(r->at, "-shm", from) && unlink(from))
		return -errno;
	return folder_sync(r->dir);
}

static int sync_file(const char *path)
{
	const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

int db_restore_commit(struct db_restore *r, char *why)
{
	char log[FOLDER_PATH + 8];
	int err;

	db_close(r->staged); /* the last one: its log is folded in and goes */
	r->staged = NULL;
	err = beside(r->stage, "-wal", log) ? -EIO : sync_file(r->stage);
	if (!err)
		err = keep_old(r);
	if (!err && rename(r->stage, r->at))
		err = -errno;
	if (!err)
		err = folder_sync(r->dir);
	return err ? say(why, err, "putting it in its place") : 0;
}

void db_restore_end(struct db_restore *r)
{
	db_close(r->staged);
	/* Without the lock the folder is somebody else's. */
	if (r->lock_fd >= 0) {
		db_restore_clear(r->dir);
		close(r->lock_fd);
	}
	free(r);
}

/* ---- what works again ---- */

static const char returned[] =
	"SELECT 'credential', c.id, d.name, u.name FROM credentials c"
	" JOIN devices d ON d.id = c.device_id JOIN users u ON u.id = d.user_id"
	" LEFT JOIN old.credentials o ON o.id = c.id"
	" WHERE c.revoked_at = 0 AND (o.id IS NULL OR o.revoked_at <> 0) "
	"UNION ALL "
	"SELECT 'token', t.id, t.name, u.name FROM tokens t JOIN users u ON u.id = t.user_id"
	" WHERE NOT EXISTS (SELECT 1 FROM old.tokens o WHERE o.id = t.id) "
	"UNION ALL "
	"SELECT 'device', d.id, d.name, u.name FROM devices d JOIN users u ON u.id = d.user_id"
	" LEFT JOIN old.devices o ON o.id = d.id"
	" WHERE d.enabled = 1 AND (o.id IS NULL OR o.enabled = 0) "
	"UNION ALL "
	"SELECT 'user', u.id, u.name, u.name FROM users u LEFT JOIN old.users o ON o.id = u.id"
	" WHERE u.disabled = 0 AND (o.id IS NULL OR o.disabled = 1) "
	"UNION ALL "
	"SELECT 'password', u.id, u.name, u.name FROM users u JOIN old.users o ON o.id = u.id"
	" WHERE u.password IS NOT NULL AND u.password IS NOT o.password "
	"UNION ALL "
	"SELECT 'factor', u.id, u.name, u.name FROM users u"
	" JOIN old.totp o ON o.user_id = u.id AND o.confirmed = 1"
	" WHERE NOT EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id AND t.confirmed = 1"
	" AND t.secret = o.secret) "
	"UNION ALL "
	"SELECT 'invite', i.id, d.name, u.name FROM invites i JOIN devices d ON d.id = i.device_id"
	" JOIN users u ON u.id = d.user_id LEFT JOIN old.invites o ON o.id = i.id"
	" WHERE i.used_at = 0 AND (o.id IS NULL OR o.used_at <> 0)";

static int attach_old(sqlite3 *raw, const char *path)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(raw, "ATTACH ? AS old", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : stmt_errno(raw, rc);
}

static int tell_all(sqlite3 *raw, db_restore_tell *tell, void *arg)
{
	sqlite3_stmt *st = NULL;
	int n = 0, rc = sqlite3_prepare_v2(raw, returned, -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		struct ulid id;

		rc = sqlite3_step(st);
		if (rc != SQLITE_ROW || sqlite3_column_bytes(st, 1) != sizeof(id.bytes))
			break;
		memcpy(id.bytes, sqlite3_column_blob(st, 1), sizeof(id.bytes));
		tell(arg, (const char *)sqlite3_column_text(st, 0), &id,
			(const char *)sqlite3_column_text(st, 2),
			(const char *)sqlite3_column_text(st, 3));
		n++;
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? n : rc == SQLITE_ROW ? -EUCLEAN : stmt_errno(raw, rc);
}

int db_restore_returned(struct db_restore *r, db_restore_tell *tell, void *arg)
{
	sqlite3 *raw = NULL;
	int err;

	if (access(r->before, F_OK))
		return -ENOENT;
	err = open_foreign(r->at, &raw);
	if (!err)
		err = attach_old(raw, r->before);
	if (!err)
		err = tell_all(raw, tell, arg);
	sqlite3_close(raw);
	return err;
}
