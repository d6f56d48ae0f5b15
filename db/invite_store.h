/* One-time links to a credential: only the SHA-256 of what stands in the link. */
#ifndef DB_INVITE_STORE_H
#define DB_INVITE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

struct invite_row {
	struct ulid id, device_id, created_by;
	uint8_t role; /* that it was made with */
	uint8_t protocol;
	int64_t created_at, expires_at, used_at; /* Unix ms; used_at 0: not yet */
	struct ulid credential_id;		 /* zero while it is not used */
};

/* Returns: 0, -EEXIST, -ENOENT (no such device or user), -ENOSPC, -errno. */
int invite_insert(
	struct db_conn *tx, const struct invite_row *i, const uint8_t sha256[32]) must_check;
/* Returns: 0, -ENOENT, -errno. */
int invite_get(struct db_conn *tx, const struct ulid *id, struct invite_row *out) must_check;
/* Used and expired ones too. */
int invite_get_by_sha256(
	struct db_conn *tx, const uint8_t sha256[32], struct invite_row *out) must_check;
/* Burns it. Returns: 0, -ENOENT (not there, used or expired), -errno. */
int invite_use(struct db_conn *tx, const struct ulid *id, const struct ulid *credential,
	int64_t now) must_check;
/* Returns: 0, -ENOENT, -errno. */
int invite_delete(struct db_conn *tx, const struct ulid *id) must_check;
/* The unused ones of a device; those of a user's devices and those that he made. */
int invite_delete_device(struct db_conn *tx, const struct ulid *device) must_check;
int invite_delete_user(struct db_conn *tx, const struct ulid *user) must_check;
/* Those whose time was over at or before. */
int invite_delete_old(struct db_conn *tx, int64_t expired) must_check;
/* How many of the device's can still be opened. */
int invite_count_open(
	struct db_conn *tx, const struct ulid *device, int64_t now, uint64_t *n) must_check;
/* Deletes the device's used and expired ones but for the newest keep. */
int invite_prune(
	struct db_conn *tx, const struct ulid *device, int64_t now, size_t keep) must_check;
/* At most cap of the device's with an id above after, oldest first. Returns: how many, -errno. */
int invite_list(struct db_conn *tx, const struct ulid *device, const struct ulid *after,
	struct invite_row *out, size_t cap) must_check;

#endif
