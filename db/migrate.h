/*
 * The schema, step by step, append-only. PRAGMA user_version holds the number of the last
 * migration that was applied; each is one transaction, so the file has the old or the new schema.
 */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct sqlite3;

struct migration {
	uint32_t version; /* 1, 2, 3, ... without a gap */
	const char *sql;
};

/* Those that were built in: db/migrations/NNNN_*.sql. */
const struct migration *migrations(size_t *n);

/* Applies what is missing. why has 128 bytes.
 * Returns: 0, -EPROTONOSUPPORT (the schema is newer than the list), -ENOSPC, -errno. */
int migrate(struct sqlite3 *raw, const struct migration *list, size_t n, char *why) must_check;

/* Returns: 0, -errno. */
int migrate_version(struct sqlite3 *raw, uint32_t *version) must_check;

#endif
