/*
 * Requests with an Idempotency-Key that were carried out, and what was answered. A row is written
 * in the transaction of what the request made, so one is never there without the other.
 */
#ifndef DB_ONCE_STORE_H
#define DB_ONCE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { ONCE_REQUEST = 96, ONCE_OBJECT = 32, ONCE_LOCATION = 64, ONCE_ETAG = 64 };
enum { ONCE_BODY_MAX = 16 * 1024 }; /* a longer one is not kept */

struct once_row {
	struct ulid user_id;
	uint8_t key_sha256[32];
	uint8_t request[ONCE_REQUEST]; /* sealed */
	size_t request_len;
	int64_t created_at;	  /* Unix ms */
	char object[ONCE_OBJECT]; /* "dev_..." or "" */
	uint32_t status;
	char location[ONCE_LOCATION], etag[ONCE_ETAG];
	bool has_body; /* false: it held a secret, or the answer was never made */
};

/* Adds it, or replaces the user's row of the same key. body: NULL for none.
 * Returns: 0, -ENOENT (no such user), -ENOSPC, -errno. */
int once_put(struct db_conn *tx, const struct once_row *r, const char *body) must_check;
/* The user's row of that key, unless it is older than since. body: NULL, or ONCE_BODY_MAX bytes, a
 * text. Returns: 0, -ENOENT, -errno. */
int once_get(struct db_conn *tx, const struct ulid *user, const uint8_t key_sha256[32],
	int64_t since, struct once_row *out, char *body) must_check;
/* Deletes the user's rows but for the newest keep. */
int once_prune_user(struct db_conn *tx, const struct ulid *user, size_t keep) must_check;
/* Deletes those made at or before. */
int once_delete_old(struct db_conn *tx, int64_t made) must_check;

#endif
