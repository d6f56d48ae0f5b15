#include "db/invite_store.h"

#include <string.h>

#include "db/stmt.h"

#define SELECT                                                                                     \
	"SELECT id, device_id, created_by, role, protocol, created_at, expires_at, used_at, "      \
	"credential_id FROM invites "

static void read_row(struct stmt *st, struct invite_row *i)
{
	memset(i, 0, sizeof(*i));
	i->id = stmt_ulid(st);
	i->device_id = stmt_ulid(st);
	i->created_by = stmt_ulid(st);
	i->role = (uint8_t)stmt_i64(st);
	i->protocol = (uint8_t)stmt_i64(st);
	i->created_at = stmt_i64(st);
	i->expires_at = stmt_i64(st);
	i->used_at = stmt_i64(st);
	(void)stmt_blob_upto(st, i->credential_id.bytes, sizeof(i->credential_id.bytes));
}

static int read_one(struct stmt *st, struct invite_row *out)
{
	int err = stmt_find(st);

	if (err)
		return err;
	read_row(st, out);
	return stmt_err(st);
}

int invite_insert(struct db_conn *tx, const struct invite_row *i, const uint8_t sha256[32])
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO invites (id, device_id, created_by, role, protocol, sha256, "
		"created_at, expires_at, used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)");

	stmt_put_ulid(&st, &i->id);
	stmt_put_ulid(&st, &i->device_id);
	stmt_put_ulid(&st, &i->created_by);
	stmt_put_i64(&st, i->role);
	stmt_put_i64(&st, i->protocol);
	stmt_put_blob(&st, sha256, 32);
	stmt_put_i64(&st, i->created_at);
	stmt_put_i64(&st, i->expires_at);
	return stmt_run(&st);
}

int invite_get(struct db_conn *tx, const struct ulid *id, struct invite_row *out)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE id = ?");

	stmt_put_ulid(&st, id);
	return read_one(&st, out);
}

int invite_get_by_sha256(struct db_conn *tx, const uint8_t sha256[32], struct invite_row *out)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE sha256 = ?");

	stmt_put_blob(&st, sha256, 32);
	return read_one(&st, out);
}

int invite_use(
	struct db_conn *tx, const struct ulid *id, const struct ulid *credential, int64_t now)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE invites SET used_at = ?, credential_id = ? WHERE id = ? AND "
			      "used_at = 0 AND expires_at > ?");

	stmt_put_i64(&st, now);
	stmt_put_ulid(&st, credential);
	stmt_put_ulid(&st, id);
	stmt_put_i64(&st, now);
	return stmt_change(&st);
}

int invite_delete(struct db_conn *tx, const struct ulid *id)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM invites WHERE id = ?");

	stmt_put_ulid(&st, id);
	return stmt_change(&st);
}

int invite_delete_device(struct db_conn *tx, const struct ulid *device)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "DELETE FROM invites WHERE device_id = ? AND used_at = 0");

	stmt_put_ulid(&st, device);
	return stmt_run(&st);
}

int invite_delete_user(struct db_conn *tx, const struct ulid *user)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"DELETE FROM invites WHERE used_at = 0 AND (created_by = ? OR device_id IN "
		"(SELECT id FROM devices WHERE user_id = ?))");

	stmt_put_ulid(&st, user);
	stmt_put_ulid(&st, user);
	return stmt_run(&st);
}

int invite_delete_old(struct db_conn *tx, int64_t expired)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "DELETE FROM invites WHERE expires_at <= ?");

	stmt_put_i64(&st, expired);
	return stmt_run(&st);
}

int invite_count_open(struct db_conn *tx, const struct ulid *device, int64_t now, uint64_t *n)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT count(*) FROM invites WHERE device_id = ? AND used_at = 0 "
			      "AND expires_at > ?");

	stmt_put_ulid(&st, device);
	stmt_put_i64(&st, now);
	return stmt_number(&st, n);
}

int invite_prune(struct db_conn *tx, const struct ulid *device, int64_t now, size_t keep)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"DELETE FROM invites WHERE id IN (SELECT id FROM invites WHERE device_id = ? AND "
		"(used_at <> 0 OR expires_at <= ?) ORDER BY id DESC LIMIT -1 OFFSET ?)");

	stmt_put_ulid(&st, device);
	stmt_put_i64(&st, now);
	stmt_put_u64(&st, keep);
	return stmt_run(&st);
}

int invite_list(struct db_conn *tx, const struct ulid *device, const struct ulid *after,
	struct invite_row *out, size_t cap)
{
	int got, n = 0;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, SELECT "WHERE device_id = ? AND id > ? ORDER BY id LIMIT ?");

	stmt_put_ulid(&st, device);
	stmt_put_ulid(&st, after);
	stmt_put_u64(&st, cap);
	while ((got = stmt_row(&st)) == 1)
		read_row(&st, &out[n++]);
	return got ? got : n;
}
