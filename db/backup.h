/*
 * A copy of the database as it is at one moment, while it is in use.
 *
 * SQLite's online backup reads one snapshot through a read-only connection, so writers never wait
 * for it and it never starts anew; what it holds back meanwhile is only the reuse of the log.
 */
#ifndef DB_BACKUP_H
#define DB_BACKUP_H

#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"

struct db;

/* Copies into a file beside the database (0600) that has no name any more when this returns, so it
 * goes with its descriptor. One at a time: the caller sees to that. Gives up after limit_ms.
 * Returns: 0 with *fd owned, at its beginning, and its *size in bytes; -ENOSPC, -ETIMEDOUT, -EIO,
 * -errno. */
int db_backup(struct db *db, const struct clock *clock, uint32_t limit_ms, int *fd,
	uint64_t *size) must_check;

/* What a process that was killed has left of one; path is that of the database. */
void db_backup_clear(const char *path);

#endif
