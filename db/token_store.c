#include "db/token_store.h"

#include "db/stmt.h"

#define SELECT                                                                                     \
	"SELECT id, user_id, name, role, sha256, created_at, expires_at, last_used_at FROM "       \
	"tokens "

static void read_row(struct stmt *st, struct token_row *t)
{
	t->id = stmt_ulid(st);
	t->user_id = stmt_ulid(st);
	stmt_text(st, t->name, sizeof(t->name));
	t->role = (uint8_t)stmt_i64(st);
	stmt_blob(st, t->sha256, sizeof(t->sha256));
	t->created_at = stmt_i64(st);
	t->expires_at = stmt_i64(st);
	t->last_used_at = stmt_i64(st);
}

static int read_one(struct stmt *st, struct token_row *out)
{
	int err = stmt_find(st);

	if (err)
		return err;
	read_row(st, out);
	return stmt_err(st);
}

int token_insert(struct db_conn *tx, const struct token_row *t)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO tokens (id, user_id, name, role, sha256, created_at, expires_at, "
		"last_used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");

	stmt_put_ulid(&st, &t->id);
	stmt_put_ulid(&st, &t->user_id);
	stmt_put_text(&st, t->name);
	stmt_put_i64(&st, t->role);
	stmt_put_blob(&st, t->sha256, sizeof(t->sha256));
	stmt_put_i64(&st, t->created_at);
	stmt_put_i64(&st, t->expires_at);
	stmt_put_i64(&st, t->last_used_at);
	return stmt_run(&st);
}

int token_delete(struct db_conn *tx, const struct ulid *id)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM tokens WHERE id = ?");

	stmt_put_ulid(&st, id);
	return stmt_change(&st);
}

int token_get(struct db_conn *tx, const struct ulid *id, struct token_row *out)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE id = ?");

	stmt_put_ulid(&st, id);
	return read_one(&st, out);
}

int token_get_by_sha256(struct db_conn *tx, const uint8_t sha256[32], struct token_row *out)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE sha256 = ?");

	stmt_put_blob(&st, sha256, 32);
	return read_one(&st, out);
}

int token_list(struct db_conn *tx, const struct ulid *user, const struct ulid *after,
	struct token_row *out, size_t cap)
{
	int got, n = 0;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, user ? SELECT "WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?"
				   : SELECT "WHERE id > ? ORDER BY id LIMIT ?");

	if (user)
		stmt_put_ulid(&st, user);
	stmt_put_ulid(&st, after);
	stmt_put_u64(&st, cap);
	while ((got = stmt_row(&st)) == 1)
		read_row(&st, &out[n++]);
	return got ? got : n;
}

static int delete_expired(struct db_conn *tx, const struct ulid *user, int64_t now)
{
	struct stmt st cleanup(stmt_close) = stmt_open(
		tx, "DELETE FROM tokens WHERE user_id = ? AND expires_at BETWEEN 1 AND ?");

	stmt_put_ulid(&st, user);
	stmt_put_i64(&st, now);
	return stmt_run(&st);
}

int token_count_user(struct db_conn *tx, const struct ulid *user, int64_t now, uint64_t *n)
{
	int got = delete_expired(tx, user, now);
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT count(*) FROM tokens WHERE user_id = ?");

	*n = 0;
	if (got)
		return got;
	stmt_put_ulid(&st, user);
	return stmt_number(&st, n);
}

int token_used(struct db_conn *tx, const struct ulid *id, int64_t at)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE tokens SET last_used_at = max(last_used_at, ?) WHERE id = ?");

	stmt_put_i64(&st, at);
	stmt_put_ulid(&st, id);
	return stmt_run(&st);
}
