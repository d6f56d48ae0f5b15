/* Second factors of users. */
#ifndef DB_TOTP_STORE_H
#define DB_TOTP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { TOTP_SEALED = 64 };

struct totp_row {
	struct ulid user_id;
	uint8_t secret[TOTP_SEALED]; /* sealed */
	size_t secret_len;
	bool confirmed;
	uint64_t used_step;
	int64_t created_at; /* Unix ms */
};

/* Adds or replaces. Returns: 0, -ENOENT (no such user), -ENOSPC, -errno. */
int totp_set(struct db_conn *tx, const struct totp_row *t) must_check;
/* Returns: 0, -ENOENT, -errno. */
int totp_get(struct db_conn *tx, const struct ulid *user, struct totp_row *out) must_check;
int totp_delete(struct db_conn *tx, const struct ulid *user) must_check;

#endif
