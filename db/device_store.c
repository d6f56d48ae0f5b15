#include "db/device_store.h"

#include <string.h>

#include "db/stmt.h"

#define SELECT                                                                                     \
	"SELECT d.id, d.user_id, d.name, d.peer_id, d.address4, d.address6, d.enabled, "           \
	"d.expires_at, d.created_at, d.updated_at, d.revision, u.disabled "                        \
	"FROM devices d JOIN users u ON u.id = d.user_id "

static struct ip_addr read_addr(struct stmt *st, uint8_t family)
{
	struct ip_addr a = {.family = family};

	stmt_blob(st, a.bytes, ip_addr_size(&a));
	return a;
}

static void read_row(struct stmt *st, struct device_row *d)
{
	memset(d, 0, sizeof(*d));
	d->id = stmt_ulid(st);
	d->user_id = stmt_ulid(st);
	stmt_text(st, d->name, sizeof(d->name));
	d->peer = (uint32_t)stmt_i64(st);
	d->address4 = read_addr(st, IP_V4);
	d->address6 = read_addr(st, IP_V6);
	d->enabled = stmt_i64(st) != 0;
	d->expires_at = stmt_i64(st);
	d->created_at = stmt_i64(st);
	d->updated_at = stmt_i64(st);
	d->revision = stmt_u64(st);
	d->user_disabled = stmt_i64(st) != 0;
}

/* The values that insert and update have in common, in the order of both. */
static void put_values(struct stmt *st, const struct device_row *d)
{
	stmt_put_text(st, d->name);
	stmt_put_blob(st, d->address4.bytes, 4);
	stmt_put_blob(st, d->address6.bytes, 16);
	stmt_put_i64(st, d->enabled);
	stmt_put_i64(st, d->expires_at);
	stmt_put_i64(st, d->updated_at);
	stmt_put_u64(st, d->revision);
	stmt_put_ulid(st, &d->id);
}

int device_insert(struct db_conn *tx, const struct device_row *d)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO devices (name, address4, address6, enabled, expires_at, updated_at, "
		"revision, id, user_id, peer_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
		"?)");

	put_values(&st, d);
	stmt_put_ulid(&st, &d->user_id);
	stmt_put_i64(&st, d->peer);
	stmt_put_i64(&st, d->created_at);
	return stmt_run(&st);
}

int device_update(struct db_conn *tx, const struct device_row *d)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE devices SET name = ?, address4 = ?, address6 = ?, enabled = "
			      "?, expires_at = ?, "
			      "updated_at = ?, revision = ? WHERE id = ?");

	put_values(&st, d);
	return stmt_change(&st);
}

int device_delete(struct db_conn *tx, const struct ulid *id)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM devices WHERE id = ?");

	stmt_put_ulid(&st, id);
	return stmt_change(&st);
}

int device_touch(struct db_conn *tx, const struct ulid *id, int64_t now)
{
	struct stmt st cleanup(stmt_close) = stmt_open(
		tx, "UPDATE devices SET updated_at = ?, revision = revision + 1 WHERE id = ?");

	stmt_put_i64(&st, now);
	stmt_put_ulid(&st, id);
	return stmt_run(&st);
}

int device_get(struct db_conn *tx, const struct ulid *id, struct device_row *out)
{
	int err;
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE d.id = ?");

	stmt_put_ulid(&st, id);
	err = stmt_find(&st);
	if (err)
		return err;
	read_row(&st, out);
	return stmt_err(&st);
}

int device_name_taken(struct db_conn *tx, const struct ulid *user, const char *name)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT 1 FROM devices WHERE user_id = ? AND name = ?");

	stmt_put_ulid(&st, user);
	stmt_put_text(&st, name);
	return stmt_row(&st);
}

int device_list(struct db_conn *tx, const struct ulid *user, const struct ulid *after,
	struct device_row *out, size_t cap)
{
	int got, n = 0;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, user ? SELECT "WHERE d.user_id = ? AND d.id > ? ORDER BY d.id LIMIT ?"
				   : SELECT "WHERE d.id > ? ORDER BY d.id LIMIT ?");

	if (user)
		stmt_put_ulid(&st, user);
	stmt_put_ulid(&st, after);
	stmt_put_u64(&st, cap);
	while ((got = stmt_row(&st)) == 1)
		read_row(&st, &out[n++]);
	return got ? got : n;
}
