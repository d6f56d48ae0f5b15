#include "db/totp_store.h"

#include <string.h>

#include "db/stmt.h"

int totp_set(struct db_conn *tx, const struct totp_row *t)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO totp (user_id, secret, confirmed, used_step, created_at) "
		"VALUES (?, ?, ?, ?, ?) ON CONFLICT (user_id) DO UPDATE SET "
		"secret = excluded.secret, confirmed = excluded.confirmed, "
		"used_step = excluded.used_step, created_at = excluded.created_at");

	stmt_put_ulid(&st, &t->user_id);
	stmt_put_blob(&st, t->secret, t->secret_len);
	stmt_put_i64(&st, t->confirmed);
	stmt_put_u64(&st, t->used_step);
	stmt_put_i64(&st, t->created_at);
	return stmt_run(&st);
}

int totp_get(struct db_conn *tx, const struct ulid *user, struct totp_row *out)
{
	int err;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT user_id, secret, confirmed, used_step, created_at FROM totp "
			      "WHERE user_id = ?");

	memset(out, 0, sizeof(*out));
	stmt_put_ulid(&st, user);
	err = stmt_find(&st);
	if (err)
		return err;
	out->user_id = stmt_ulid(&st);
	out->secret_len = stmt_blob_upto(&st, out->secret, sizeof(out->secret));
	out->confirmed = stmt_i64(&st) != 0;
	out->used_step = stmt_u64(&st);
	out->created_at = stmt_i64(&st);
	return stmt_err(&st);
}

int totp_delete(struct db_conn *tx, const struct ulid *user)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM totp WHERE user_id = ?");

	stmt_put_ulid(&st, user);
	return stmt_change(&st);
}
