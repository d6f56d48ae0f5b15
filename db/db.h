/*
 * The database: one SQLite file, one read-write connection, readers apart.
 *
 * WAL, synchronous=FULL, foreign keys, STRICT tables. SQLite before 3.51.3 can lose committed
 * writes when several connections write or checkpoint, so there is exactly one that may, behind a
 * lock; readers are opened read-only. The only room with <sqlite3.h>; SQL text stays in here.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct db;

/* Opens or creates <data_dir>/ireko.db (0600), checks its integrity and migrates it. On failure one
 * sentence is in why (128 bytes).
 * Returns: 0, -EUCLEAN (damaged), -EPROTONOSUPPORT (made by a newer version), -EBUSY (another
 * process has it), -ENOSPC, -errno. */
int db_open(struct db **out, const char *data_dir, char *why) must_check;
void db_close(struct db *db);
uint32_t db_schema_version(struct db *db);
/* For those who watch the machine. */
struct db_figures {
	uint64_t bytes, wal_bytes;  /* of the files */
	uint64_t commits, failures; /* of write transactions, since it was opened */
};
void db_figures(struct db *db, struct db_figures *out);
/* True when a trivial read works. */
bool db_answers(struct db *db);
/* NULL, or in one sentence why nothing can be written: the files were deleted or replaced, their
 * file system is read-only or full, or the last write failed. */
const char *db_fault(struct db *db);
/* Tries whether a write would work, when the last one failed or in any case; changes nothing. Call
 * it now and then, or a disk that nobody writes is said to be well. */
void db_try(struct db *db, bool when_well);

/*
 * Transactions. The stores take one; whoever begins it decides what happens in one piece:
 *
 *	struct db_conn *tx cleanup(db_end) = NULL;
 *	err = db_write(db, &tx);            waits for the writer before us
 *	... store functions on tx ...
 *	err = db_commit(&tx);               durable when 0; otherwise nothing was changed
 *
 * A thread holds at most one. A read transaction sees one snapshot.
 */
struct db_conn;

/* Returns: 0, -ESTALE (the files are not there any more), -ENOSPC, -EIO, -errno. */
int db_write(struct db *db, struct db_conn **tx) must_check;
int db_read(struct db *db, struct db_conn **tx) must_check;
/* Sets *tx to NULL on every outcome. Returns: 0, -ESTALE, -ENOSPC (the disk is full), -EIO, -errno.
 */
int db_commit(struct db_conn **tx) must_check;
/* Rolls back what was not committed and gives the connection back; NULL is fine. */
void db_end(struct db_conn **tx);

#endif
