#include "db/once_store.h"

#include <errno.h>
#include <string.h>

#include "db/stmt.h"

int once_put(struct db_conn *tx, const struct once_row *r, const char *body)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT OR REPLACE INTO requests_made (user_id, key_sha256, request, created_at, "
		"object, status, location, etag, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");

	stmt_put_ulid(&st, &r->user_id);
	stmt_put_blob(&st, r->key_sha256, sizeof(r->key_sha256));
	stmt_put_blob(&st, r->request, r->request_len);
	stmt_put_i64(&st, r->created_at);
	stmt_put_text(&st, r->object);
	stmt_put_i64(&st, r->status);
	stmt_put_text(&st, r->location);
	stmt_put_text(&st, r->etag);
	stmt_put_text(&st, body && strlen(body) < ONCE_BODY_MAX ? body : NULL);
	return stmt_run(&st);
}

int once_get(struct db_conn *tx, const struct ulid *user, const uint8_t key_sha256[32],
	int64_t since, struct once_row *out, char *body)
{
	int got;
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"SELECT request, created_at, object, status, location, etag, body FROM "
		"requests_made WHERE user_id = ? AND key_sha256 = ? AND created_at >= ?");

	memset(out, 0, sizeof(*out));
	if (body)
		body[0] = '\0';
	stmt_put_ulid(&st, user);
	stmt_put_blob(&st, key_sha256, 32);
	stmt_put_i64(&st, since);
	got = stmt_row(&st);
	if (got != 1)
		return got ? got : -ENOENT;
	out->user_id = *user;
	memcpy(out->key_sha256, key_sha256, sizeof(out->key_sha256));
	out->request_len = stmt_blob_upto(&st, out->request, sizeof(out->request));
	out->created_at = stmt_i64(&st);
	stmt_text(&st, out->object, sizeof(out->object));
	out->status = (uint32_t)stmt_i64(&st);
	stmt_text(&st, out->location, sizeof(out->location));
	stmt_text(&st, out->etag, sizeof(out->etag));
	out->has_body = !stmt_is_null(&st);
	if (body)
		stmt_text(&st, body, ONCE_BODY_MAX);
	return stmt_err(&st);
}

int once_prune_user(struct db_conn *tx, const struct ulid *user, size_t keep)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"DELETE FROM requests_made WHERE rowid IN (SELECT rowid FROM requests_made WHERE "
		"user_id = ? ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?)");

	stmt_put_ulid(&st, user);
	stmt_put_u64(&st, keep);
	return stmt_run(&st);
}

int once_delete_old(struct db_conn *tx, int64_t made)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "DELETE FROM requests_made WHERE created_at <= ?");

	stmt_put_i64(&st, made);
	return stmt_run(&st);
}
