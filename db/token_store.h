/* API tokens: only the SHA-256 of their text. */
#ifndef DB_TOKEN_STORE_H
#define DB_TOKEN_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { TOKEN_NAME = 65 };

struct token_row {
	struct ulid id, user_id;
	char name[TOKEN_NAME];
	uint8_t role;
	uint8_t sha256[32];
	int64_t created_at, expires_at, last_used_at; /* Unix ms, 0: never */
};

/* Returns: 0, -EEXIST, -ENOENT (no such user), -ENOSPC, -errno. */
int token_insert(struct db_conn *tx, const struct token_row *t) must_check;
/* Returns: 0, -ENOENT, -errno. */
int token_delete(struct db_conn *tx, const struct ulid *id) must_check;
int token_get(struct db_conn *tx, const struct ulid *id, struct token_row *out) must_check;
int token_get_by_sha256(
	struct db_conn *tx, const uint8_t sha256[32], struct token_row *out) must_check;
/* At most cap rows with an id above after; user NULL: everybody's. Returns: how many, -errno. */
int token_list(struct db_conn *tx, const struct ulid *user, const struct ulid *after,
	struct token_row *out, size_t cap) must_check;
/* Deletes what has expired of a user's tokens, and counts the others. */
int token_count_user(
	struct db_conn *tx, const struct ulid *user, int64_t now, uint64_t *n) must_check;
/* One that is gone is not an error. */
int token_used(struct db_conn *tx, const struct ulid *id, int64_t at) must_check;

#endif
