/*
 * Prepared statements: cached by connection, bound and read in order, with a sticky error.
 *
 *	struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT name FROM users WHERE id = ?");
 *	stmt_put_ulid(&st, id);
 *	err = stmt_row(&st);
 *
 * The first error makes the statement bad for good and comes out of stmt_row, stmt_run or
 * stmt_err. For the stores only: SQL text stays in this room. The text must be a literal, it is
 * the key of the cache.
 */
#ifndef DB_STMT_H
#define DB_STMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;
struct sqlite3;
struct sqlite3_stmt;

struct stmt {
	struct sqlite3_stmt *raw;
	int err;	 /* 0 or the first negative errno */
	int next_put;	 /* 1-based */
	int next_column; /* 0-based, in the current row */
};

struct stmt stmt_open(struct db_conn *tx, const char *sql);
/* Gives the statement back to the cache, bindings cleared. */
void stmt_close(struct stmt *st);

/* Bind the next parameter. Text and bytes are borrowed until stmt_close. */
void stmt_put_i64(struct stmt *st, int64_t v);
/* All 64 bits are kept, SQLite sees them as a signed number. */
void stmt_put_u64(struct stmt *st, uint64_t v);
void stmt_put_text(struct stmt *st, const char *text /* NULL: SQL's NULL */);
void stmt_put_blob(struct stmt *st, const void *p, size_t n);
void stmt_put_ulid(struct stmt *st, const struct ulid *id);
void stmt_put_null(struct stmt *st);

/* Steps. Returns: 1 there is a row, 0 there is no (more) row, -errno. */
int stmt_row(struct stmt *st) must_check;
/* Steps to the one row that should be there. Returns: 0, -ENOENT there is none, -errno. */
int stmt_find(struct stmt *st) must_check;
/* Steps and reads the one number of the one row that there always is; 0 on an error. */
int stmt_number(struct stmt *st, uint64_t *n) must_check;
/* Runs a statement without rows. Returns: 0, -EEXIST (not unique), -ENOENT (a reference to what is
 * not there), -ENOSPC, -errno. */
int stmt_run(struct stmt *st) must_check;
/* The same, of one that should change a row: -ENOENT also when there was none to change. */
int stmt_change(struct stmt *st) must_check;
/* Rows that the last stmt_run on this connection changed. */
uint64_t stmt_changes(struct db_conn *tx);

/* Read the next column of the row. A value of another type or size than asked for is -EUCLEAN. */
int64_t stmt_i64(struct stmt *st);
uint64_t stmt_u64(struct stmt *st);
/* NULL reads as "". */
void stmt_text(struct stmt *st, char *out, size_t cap);
/* Exactly n bytes. */
void stmt_blob(struct stmt *st, void *out, size_t n);
/* At most cap bytes; NULL reads as none. Returns the length. */
size_t stmt_blob_upto(struct stmt *st, void *out, size_t cap);
struct ulid stmt_ulid(struct stmt *st);
bool stmt_is_null(const struct stmt *st); /* the next column */
int stmt_err(const struct stmt *st) must_check;

/* What SQLite's last error on this connection means to us: a negative errno. Of what can't be
 * written: -ENOSPC, -EROFS, -EREMOTEIO (the disk reports an error). */
int stmt_errno(struct sqlite3 *raw, int rc) must_check;

/* The cache of one connection; db.c owns it. */
struct stmt_cache;
int stmt_cache_new(struct stmt_cache **out, struct sqlite3 *raw) must_check;
void stmt_cache_free(struct stmt_cache *c); /* before the connection is closed */
/* Implemented in db.c. */
struct stmt_cache *db_conn_cache(struct db_conn *tx);
struct sqlite3 *db_conn_raw(struct db_conn *tx);

#endif
