#include "db/state_store.h"

#include <string.h>

#include "db/stmt.h"

static void put_addr(struct stmt *st, const struct ip_addr *a)
{
	stmt_put_blob(st, a->bytes, ip_addr_size(a));
}

static struct ip_addr read_addr(struct stmt *st)
{
	struct ip_addr a = {0};
	size_t n = stmt_blob_upto(st, a.bytes, sizeof(a.bytes));

	a.family = n == 4 ? IP_V4 : n == 16 ? IP_V6 : IP_NONE;
	return a;
}

static void put_traffic(struct stmt *st, const struct traffic_row *t)
{
	stmt_put_u64(st, t->rx_bytes);
	stmt_put_u64(st, t->tx_bytes);
	stmt_put_u64(st, t->rx_packets);
	stmt_put_u64(st, t->tx_packets);
}

static struct traffic_row read_traffic(struct stmt *st)
{
	struct traffic_row t;

	t.rx_bytes = stmt_u64(st);
	t.tx_bytes = stmt_u64(st);
	t.rx_packets = stmt_u64(st);
	t.tx_packets = stmt_u64(st);
	return t;
}

int device_state_set(struct db_conn *tx, const struct device_state_row *s)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT OR REPLACE INTO device_state (device_id, boot_id, epoch, rx_bytes, "
		"tx_bytes, "
		"rx_packets, tx_packets, seen_rx_bytes, seen_tx_bytes, seen_rx_packets, "
		"seen_tx_packets, remote_address, remote_port, remote_scope, local_address, "
		"listener, "
		"credential_id, last_handshake_at, was_up, farewell) "
		"SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
		"?17, "
		"?18, ?19, ?20 WHERE EXISTS (SELECT 1 FROM devices WHERE id = ?1)");

	stmt_put_ulid(&st, &s->device_id);
	stmt_put_ulid(&st, &s->boot_id);
	stmt_put_u64(&st, s->epoch);
	put_traffic(&st, &s->total);
	put_traffic(&st, &s->seen);
	put_addr(&st, &s->path.remote.addr);
	stmt_put_i64(&st, s->path.remote.port);
	stmt_put_i64(&st, s->path.remote.scope_id);
	put_addr(&st, &s->path.local);
	stmt_put_i64(&st, s->path.listener);
	stmt_put_ulid(&st, &s->credential_id);
	stmt_put_i64(&st, s->last_handshake_at);
	stmt_put_i64(&st, s->was_up);
	stmt_put_blob(&st, s->farewell, s->farewell_len);
	return stmt_run(&st);
}

int device_state_get(struct db_conn *tx, const struct ulid *device, struct device_state_row *out)
{
	int err;
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"SELECT device_id, boot_id, epoch, rx_bytes, tx_bytes, rx_packets, tx_packets, "
		"seen_rx_bytes, seen_tx_bytes, seen_rx_packets, seen_tx_packets, remote_address, "
		"remote_port, remote_scope, local_address, listener, credential_id, "
		"last_handshake_at, was_up, farewell FROM device_state WHERE device_id = ?");

	memset(out, 0, sizeof(*out));
	stmt_put_ulid(&st, device);
	err = stmt_find(&st);
	if (err)
		return err;
	out->device_id = stmt_ulid(&st);
	out->boot_id = stmt_ulid(&st);
	out->epoch = stmt_u64(&st);
	out->total = read_traffic(&st);
	out->seen = read_traffic(&st);
	out->path.remote.addr = read_addr(&st);
	out->path.remote.port = (uint16_t)stmt_i64(&st);
	out->path.remote.scope_id = (uint32_t)stmt_i64(&st);
	out->path.local = read_addr(&st);
	out->path.listener = (uint8_t)stmt_i64(&st);
	out->credential_id = stmt_ulid(&st);
	out->last_handshake_at = stmt_i64(&st);
	out->was_up = stmt_i64(&st) != 0;
	out->farewell_len = (uint8_t)stmt_blob_upto(&st, out->farewell, sizeof(out->farewell));
	return stmt_err(&st);
}

int credential_state_set(
	struct db_conn *tx, const struct ulid *credential, const uint8_t wg_greatest[12])
{
	/* TAI64N is big-endian, so comparing bytes compares times. */
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "INSERT INTO credential_state (credential_id, wg_greatest) SELECT "
			      "?1, ?2 WHERE EXISTS "
			      "(SELECT 1 FROM credentials WHERE id = ?1) ON CONFLICT "
			      "(credential_id) DO UPDATE SET "
			      "wg_greatest = max(wg_greatest, excluded.wg_greatest)");

	stmt_put_ulid(&st, credential);
	stmt_put_blob(&st, wg_greatest, 12);
	return stmt_run(&st);
}

int credential_state_get(struct db_conn *tx, const struct ulid *credential, uint8_t wg_greatest[12])
{
	int err;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT wg_greatest FROM credential_state WHERE credential_id = ?");

	stmt_put_ulid(&st, credential);
	err = stmt_find(&st);
	if (err)
		return err;
	stmt_blob(&st, wg_greatest, 12);
	return stmt_err(&st);
}
