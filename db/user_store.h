/* Users. A row is plain values; what they may be is the service's to check. */
#ifndef DB_USER_STORE_H
#define DB_USER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { USER_NAME = 65, USER_DISPLAY = 129, USER_EMAIL = 255, USER_PASSWORD = 160 };

struct user_row {
	struct ulid id;
	char name[USER_NAME], display_name[USER_DISPLAY], email[USER_EMAIL];
	uint8_t role;
	char password[USER_PASSWORD]; /* scrypt text, "" for none */
	bool disabled;
	int64_t created_at, updated_at; /* Unix ms */
	uint64_t revision;
	bool totp; /* read only: has a confirmed second factor */
};

/* Returns: 0, -EEXIST (id or name is taken, whatever its case), -ENOSPC, -errno. */
int user_insert(struct db_conn *tx, const struct user_row *u) must_check;
/* Writes everything but id and created_at. Returns: as user_insert, -ENOENT. */
int user_update(struct db_conn *tx, const struct user_row *u) must_check;
/* Its devices, credentials, tokens and logins go with it; the caller has released their leases.
 * Returns: 0, -ENOENT, -errno. */
int user_delete(struct db_conn *tx, const struct ulid *id) must_check;
/* Returns: 0, -ENOENT, -errno. */
int user_get(struct db_conn *tx, const struct ulid *id, struct user_row *out) must_check;
/* The name in any case. */
int user_get_by_name(struct db_conn *tx, const char *name, struct user_row *out) must_check;
/* At most cap rows with an id above after, in the order of their ids. Returns: how many, -errno. */
int user_list(
	struct db_conn *tx, const struct ulid *after, struct user_row *out, size_t cap) must_check;
/* Users at all, and users with this role that are not disabled. */
int user_count(struct db_conn *tx, uint64_t *n) must_check;
int user_count_enabled(struct db_conn *tx, uint8_t role, uint64_t *n) must_check;

#endif
