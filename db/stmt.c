/*
 * The cache is a small open-addressed table keyed by the address of the SQL literal; it never
 * holds more statements than the sources have literals.
 */
#include "db/stmt.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_SLOTS = 256 };

struct stmt_cache {
	sqlite3 *raw;
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
	} slots[CACHE_SLOTS];
};

int stmt_cache_new(struct stmt_cache **out, struct sqlite3 *raw)
{
	struct stmt_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->raw = raw;
	*out = c;
	return 0;
}

void stmt_cache_free(struct stmt_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		sqlite3_finalize(c->slots[i].stmt);
	free(c);
}

/* sqlite3_system_errno knows nothing of commits; the log's own file remembers its last error. */
static int log_errno(struct sqlite3 *raw)
{
	sqlite3_file *log = NULL;
	int last = 0;

	if (sqlite3_file_control(raw, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
		!log || !log->pMethods ||
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &last) != SQLITE_OK)
		return 0;
	return last;
}

/* Without a word of the system it is a matter of room. */
static int write_errno(struct sqlite3 *raw)
{
	switch (raw ? log_errno(raw) : 0) {
	case EROFS:
		return -EROFS;
	case EIO:
		return -EREMOTEIO;
	default:
		return -ENOSPC;
	}
}

int stmt_errno(struct sqlite3 *raw, int rc)
{
	int extended = raw ? sqlite3_extended_errcode(raw) : rc;

	switch (extended) {
	/* No room: also a quota, which the system reports as a failed write, and the shared index
	 * of the log that can't grow. After a failed sync nobody knows what is on the disk; SQLite
	 * has rolled back, the caller may try again. */
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR_WRITE:
	case SQLITE_IOERR_FSYNC:
	case SQLITE_IOERR_DIR_FSYNC:
	case SQLITE_IOERR_TRUNCATE:
	case SQLITE_IOERR_SHMSIZE:
	case SQLITE_IOERR_SHMOPEN:
		return write_errno(raw);
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return -ENOENT;
	}
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
	case SQLITE_RANGE:
		return -EINVAL;
	default: /* SQLite's list, not ours */
		return -EIO;
	}
}

static int cached(struct stmt_cache *c, const char *sql, sqlite3_stmt **out)
{
	size_t at = ((uintptr_t)sql >> 3) * 0x9e3779b97f4a7c15u >> 56;
	int rc;

	for (size_t i = 0; i < CACHE_SLOTS; i++) {
		size_t slot = (at + i) % CACHE_SLOTS;

		if (c->slots[slot].sql == sql) {
			*out = c->slots[slot].stmt;
			return 0;
		}
		if (c->slots[slot].sql)
			continue;
		rc = sqlite3_prepare_v3(c->raw, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
		if (rc != SQLITE_OK)
			return stmt_errno(c->raw, rc);
		c->slots[slot].sql = sql;
		c->slots[slot].stmt = *out;
		return 0;
	}
	return -ENOBUFS;
}

struct stmt stmt_open(struct db_conn *tx, const char *sql)
{
	struct stmt st = {.next_put = 1};

	st.err = cached(db_conn_cache(tx), sql, &st.raw);
	/* In use further up the stack: two cursors on one statement would trample each other. */
	if (!st.err && sqlite3_stmt_busy(st.raw)) {
		st.raw = NULL;
		st.err = -EDEADLK;
	}
	return st;
}

void stmt_close(struct stmt *st)
{
	if (!st->raw)
		return;
	sqlite3_reset(st->raw);
	sqlite3_clear_bindings(st->raw);
	st->raw = NULL;
}

static void note(struct stmt *st, int rc)
{
	if (rc != SQLITE_OK && !st->err)
		st->err = stmt_errno(sqlite3_db_handle(st->raw), rc);
}

void stmt_put_i64(struct stmt *st, int64_t v)
{
	if (!st->err)
		note(st, sqlite3_bind_int64(st->raw, st->next_put++, v));
}

void stmt_put_u64(struct stmt *st, uint64_t v)
{
	stmt_put_i64(st, (int64_t)v);
}

void stmt_put_text(struct stmt *st, const char *text)
{
	if (!st->err)
		note(st, sqlite3_bind_text(st->raw, st->next_put++, text, -1, SQLITE_STATIC));
}

void stmt_put_blob(struct stmt *st, const void *p, size_t n)
{
	if (st->err)
		return;
	if (n > INT_MAX) {
		st->err = -EMSGSIZE;
		return;
	}
	/* A NULL pointer would bind SQL's NULL. */
	note(st, sqlite3_bind_blob(st->raw, st->next_put++, n ? p : "", (int)n, SQLITE_STATIC));
}

void stmt_put_ulid(struct stmt *st, const struct ulid *id)
{
	stmt_put_blob(st, id->bytes, sizeof(id->bytes));
}

void stmt_put_null(struct stmt *st)
{
	if (!st->err)
		note(st, sqlite3_bind_null(st->raw, st->next_put++));
}

int stmt_row(struct stmt *st)
{
	int rc;

	if (st->err)
		return st->err;
	rc = sqlite3_step(st->raw);
	st->next_column = 0;
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	note(st, rc);
	return st->err;
}

int stmt_find(struct stmt *st)
{
	const int got = stmt_row(st);

	return got == 1 ? 0 : got ? got : -ENOENT;
}

int stmt_run(struct stmt *st)
{
	int got = stmt_row(st);

	while (got == 1)
		got = stmt_row(st);
	return got;
}

int stmt_change(struct stmt *st)
{
	const int err = stmt_run(st);

	return err ? err : sqlite3_changes64(sqlite3_db_handle(st->raw)) ? 0 : -ENOENT;
}

uint64_t stmt_changes(struct db_conn *tx)
{
	return (uint64_t)sqlite3_changes64(db_conn_cache(tx)->raw);
}

/* The next column, when it has the type that is asked for. */
static int column(struct stmt *st, int type)
{
	int at = st->next_column++;

	if (st->err)
		return -1;
	if (at < sqlite3_data_count(st->raw) && sqlite3_column_type(st->raw, at) == type)
		return at;
	st->err = -EUCLEAN;
	return -1;
}

bool stmt_is_null(const struct stmt *st)
{
	return !st->err && sqlite3_column_type(st->raw, st->next_column) == SQLITE_NULL;
}

int64_t stmt_i64(struct stmt *st)
{
	int at = column(st, SQLITE_INTEGER);

	return at < 0 ? 0 : sqlite3_column_int64(st->raw, at);
}

uint64_t stmt_u64(struct stmt *st)
{
	return (uint64_t)stmt_i64(st);
}

int stmt_number(struct stmt *st, uint64_t *n)
{
	const int got = stmt_row(st);

	*n = 0;
	if (got != 1)
		return got ? got : -EUCLEAN;
	*n = stmt_u64(st);
	return stmt_err(st);
}

void stmt_text(struct stmt *st, char *out, size_t cap)
{
	const unsigned char *text;
	size_t n;
	int at;

	out[0] = '\0';
	if (stmt_is_null(st)) {
		st->next_column++;
		return;
	}
	at = column(st, SQLITE_TEXT);
	if (at < 0)
		return;
	text = sqlite3_column_text(st->raw, at);
	n = (size_t)sqlite3_column_bytes(st->raw, at);
	if (!text || n >= cap || memchr(text, 0, n)) {
		st->err = text ? -EUCLEAN : -ENOMEM;
		return;
	}
	memcpy(out, text, n);
	out[n] = '\0';
}

size_t stmt_blob_upto(struct stmt *st, void *out, size_t cap)
{
	size_t n;
	int at;

	if (stmt_is_null(st)) {
		st->next_column++;
		return 0;
	}
	at = column(st, SQLITE_BLOB);
	if (at < 0)
		return 0;
	n = (size_t)sqlite3_column_bytes(st->raw, at);
	if (n > cap) {
		st->err = -EUCLEAN;
		return 0;
	}
	if (n)
		memcpy(out, sqlite3_column_blob(st->raw, at), n);
	return n;
}

void stmt_blob(struct stmt *st, void *out, size_t n)
{
	memset(out, 0, n);
	if (stmt_blob_upto(st, out, n) != n && !st->err)
		st->err = -EUCLEAN;
}

struct ulid stmt_ulid(struct stmt *st)
{
	struct ulid id;

	stmt_blob(st, id.bytes, sizeof(id.bytes));
	return id;
}

int stmt_err(const struct stmt *st)
{
	return st->err;
}
