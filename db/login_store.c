#include "db/login_store.h"

#include "db/stmt.h"

#define SELECT                                                                                     \
	"SELECT id, user_id, cookie_sha256, csrf_sha256, created_at, last_used_at FROM logins "

static int read_one(struct stmt *st, struct login_row *out)
{
	int err = stmt_find(st);

	if (err)
		return err;
	out->id = stmt_ulid(st);
	out->user_id = stmt_ulid(st);
	stmt_blob(st, out->cookie_sha256, sizeof(out->cookie_sha256));
	stmt_blob(st, out->csrf_sha256, sizeof(out->csrf_sha256));
	out->created_at = stmt_i64(st);
	out->last_used_at = stmt_i64(st);
	return stmt_err(st);
}

static int keep_newest(struct db_conn *tx, const struct ulid *user, size_t keep)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"DELETE FROM logins WHERE user_id = ?1 AND id NOT IN (SELECT id FROM logins "
		"WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2)");

	stmt_put_ulid(&st, user);
	stmt_put_u64(&st, keep);
	return stmt_run(&st);
}

int login_insert(struct db_conn *tx, const struct login_row *l, size_t keep)
{
	int err;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "INSERT INTO logins (id, user_id, cookie_sha256, csrf_sha256, "
			      "created_at, last_used_at) "
			      "VALUES (?, ?, ?, ?, ?, ?)");

	stmt_put_ulid(&st, &l->id);
	stmt_put_ulid(&st, &l->user_id);
	stmt_put_blob(&st, l->cookie_sha256, sizeof(l->cookie_sha256));
	stmt_put_blob(&st, l->csrf_sha256, sizeof(l->csrf_sha256));
	stmt_put_i64(&st, l->created_at);
	stmt_put_i64(&st, l->last_used_at);
	err = stmt_run(&st);
	return err ? err : keep_newest(tx, &l->user_id, keep);
}

int login_delete(struct db_conn *tx, const struct ulid *id)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM logins WHERE id = ?");

	stmt_put_ulid(&st, id);
	return stmt_change(&st);
}

int login_delete_user(struct db_conn *tx, const struct ulid *user, const struct ulid *except)
{
	static const struct ulid nobody;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "DELETE FROM logins WHERE user_id = ? AND id <> ?");

	stmt_put_ulid(&st, user);
	stmt_put_ulid(&st, except ? except : &nobody);
	return stmt_run(&st);
}

int login_delete_old(struct db_conn *tx, int64_t began, int64_t used)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "DELETE FROM logins WHERE created_at <= ? OR last_used_at <= ?");

	stmt_put_i64(&st, began);
	stmt_put_i64(&st, used);
	return stmt_run(&st);
}

int login_get(struct db_conn *tx, const struct ulid *id, struct login_row *out)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE id = ?");

	stmt_put_ulid(&st, id);
	return read_one(&st, out);
}

int login_get_by_cookie(struct db_conn *tx, const uint8_t sha256[32], struct login_row *out)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE cookie_sha256 = ?");

	stmt_put_blob(&st, sha256, 32);
	return read_one(&st, out);
}

int login_used(struct db_conn *tx, const struct ulid *id, int64_t at)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE logins SET last_used_at = max(last_used_at, ?) WHERE id = ?");

	stmt_put_i64(&st, at);
	stmt_put_ulid(&st, id);
	return stmt_run(&st);
}
