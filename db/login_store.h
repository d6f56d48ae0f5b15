/* Logins of the dashboard: only the SHA-256 of cookie and CSRF token. */
#ifndef DB_LOGIN_STORE_H
#define DB_LOGIN_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

struct login_row {
	struct ulid id, user_id;
	uint8_t cookie_sha256[32], csrf_sha256[32];
	int64_t created_at, last_used_at; /* Unix ms */
};

/* Keeps at most keep logins of the user: the oldest others are ended.
 * Returns: 0, -EEXIST, -ENOENT (no such user), -ENOSPC, -errno. */
int login_insert(struct db_conn *tx, const struct login_row *l, size_t keep) must_check;
/* Returns: 0, -ENOENT, -errno. */
int login_delete(struct db_conn *tx, const struct ulid *id) must_check;
/* All of the user's but this one (NULL: all). */
int login_delete_user(
	struct db_conn *tx, const struct ulid *user, const struct ulid *except) must_check;
/* Those that began or were last used at or before. */
int login_delete_old(struct db_conn *tx, int64_t began, int64_t used) must_check;
int login_get(struct db_conn *tx, const struct ulid *id, struct login_row *out) must_check;
int login_get_by_cookie(
	struct db_conn *tx, const uint8_t sha256[32], struct login_row *out) must_check;
/* One that is gone is not an error. */
int login_used(struct db_conn *tx, const struct ulid *id, int64_t at) must_check;

#endif
