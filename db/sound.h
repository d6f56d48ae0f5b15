/* Whether a database is whole, and ours. For this room. */
#ifndef DB_SOUND_H
#define DB_SOUND_H

#include "base/compiler.h"

struct sqlite3;

/* Runs a pragma that checks and answers with rows; good is a first row that says what it should,
 * or no row. why has 128 bytes, one line. Returns: 0, -EUCLEAN, -errno. */
int sound_check(struct sqlite3 *raw, const char *pragma, const char *good, char *why) must_check;
/* Its tables, indexes and nothing else are those of its own schema version, to the letter.
 * Returns: 0, -EUCLEAN, -EPROTONOSUPPORT (a newer version), -errno. */
int sound_schema(struct sqlite3 *raw, char *why) must_check;

#endif
