#include "db/credential_store.h"

#include <string.h>

#include "db/stmt.h"

#define SELECT                                                                                     \
	"SELECT id, device_id, protocol, fingerprint, wg_public, wg_psk, ovpn_serial, "            \
	"created_at, "                                                                             \
	"expires_at, revoked_at FROM credentials "

enum { WIREGUARD = 1 };

static void read_row(struct stmt *st, struct credential_row *c)
{
	memset(c, 0, sizeof(*c));
	c->id = stmt_ulid(st);
	c->device_id = stmt_ulid(st);
	c->protocol = (uint8_t)stmt_i64(st);
	stmt_blob(st, c->fingerprint, sizeof(c->fingerprint));
	(void)stmt_blob_upto(st, c->wg_public, sizeof(c->wg_public));
	c->wg_psk_len = stmt_blob_upto(st, c->wg_psk, sizeof(c->wg_psk));
	(void)stmt_blob_upto(st, c->ovpn_serial, sizeof(c->ovpn_serial));
	c->created_at = stmt_i64(st);
	c->expires_at = stmt_i64(st);
	c->revoked_at = stmt_i64(st);
}

int credential_insert(struct db_conn *tx, const struct credential_row *c)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO credentials (id, device_id, protocol, fingerprint, wg_public, wg_psk, "
		"ovpn_serial, created_at, expires_at, revoked_at) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	stmt_put_ulid(&st, &c->id);
	stmt_put_ulid(&st, &c->device_id);
	stmt_put_i64(&st, c->protocol);
	stmt_put_blob(&st, c->fingerprint, sizeof(c->fingerprint));
	if (c->protocol == WIREGUARD) {
		stmt_put_blob(&st, c->wg_public, sizeof(c->wg_public));
		stmt_put_blob(&st, c->wg_psk, c->wg_psk_len);
		stmt_put_null(&st);
	} else {
		stmt_put_null(&st);
		stmt_put_null(&st);
		stmt_put_blob(&st, c->ovpn_serial, sizeof(c->ovpn_serial));
	}
	stmt_put_i64(&st, c->created_at);
	stmt_put_i64(&st, c->expires_at);
	stmt_put_i64(&st, c->revoked_at);
	return stmt_run(&st);
}

int credential_revoke(struct db_conn *tx, const struct ulid *id, int64_t now)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE credentials SET revoked_at = ?, wg_psk = NULL WHERE id = ? "
			      "AND revoked_at = 0");

	stmt_put_i64(&st, now);
	stmt_put_ulid(&st, id);
	return stmt_change(&st);
}

int credential_get(struct db_conn *tx, const struct ulid *id, struct credential_row *out)
{
	int err;
	struct stmt st cleanup(stmt_close) = stmt_open(tx, SELECT "WHERE id = ?");

	stmt_put_ulid(&st, id);
	err = stmt_find(&st);
	if (err)
		return err;
	read_row(&st, out);
	return stmt_err(&st);
}

int credential_wg_public_taken(struct db_conn *tx, const uint8_t key[32])
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT 1 FROM credentials WHERE wg_public = ? AND revoked_at = 0");

	stmt_put_blob(&st, key, 32);
	return stmt_row(&st);
}

int credential_count(struct db_conn *tx, const struct ulid *device, uint64_t *n)
{
	struct stmt st cleanup(stmt_close) = stmt_open(
		tx, "SELECT count(*) FROM credentials WHERE device_id = ? AND revoked_at = 0");

	stmt_put_ulid(&st, device);
	return stmt_number(&st, n);
}

int credential_prune(struct db_conn *tx, const struct ulid *device, size_t keep)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE device_id = "
		"? AND revoked_at <> 0 ORDER BY revoked_at DESC, id DESC LIMIT -1 OFFSET ?)");

	stmt_put_ulid(&st, device);
	stmt_put_u64(&st, keep);
	return stmt_run(&st);
}

int credential_list(struct db_conn *tx, const struct ulid *device, const struct ulid *after,
	struct credential_row *out, size_t cap)
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
