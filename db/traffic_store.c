#include "db/traffic_store.h"

#include <errno.h>

#include "db/stmt.h"

/* So many of the oldest steps go in one transaction. */
enum { PURGE_STEPS = 4 };

static struct traffic_mark read_mark(struct stmt *st)
{
	struct traffic_mark m;

	m.number = stmt_i64(st);
	m.device_id = stmt_ulid(st);
	m.boot_id = stmt_ulid(st);
	m.epoch = stmt_u64(st);
	m.rx_bytes = stmt_u64(st);
	m.tx_bytes = stmt_u64(st);
	return m;
}

int traffic_mark_list(struct db_conn *tx, int64_t after, struct traffic_mark *out, size_t cap)
{
	size_t n = 0;
	int got;
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"SELECT number, device_id, boot_id, epoch, rx_bytes, tx_bytes FROM "
		"traffic_series WHERE number > ? AND device_id IS NOT NULL ORDER BY number "
		"LIMIT ?");

	stmt_put_i64(&st, after);
	stmt_put_i64(&st, (int64_t)cap);
	while (n < cap && (got = stmt_row(&st)) == 1)
		out[n++] = read_mark(&st);
	return stmt_err(&st) ? stmt_err(&st) : (int)n;
}

int traffic_number(struct db_conn *tx, const struct ulid *device, int64_t *number)
{
	int err;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT number FROM traffic_series WHERE device_id = ?");

	stmt_put_ulid(&st, device);
	err = stmt_find(&st);
	if (err)
		return err;
	*number = stmt_i64(&st);
	return stmt_err(&st);
}

static int mark_insert(struct db_conn *tx, const struct traffic_mark *m)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO traffic_series (device_id, boot_id, epoch, rx_bytes, tx_bytes) "
		"SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM devices WHERE id = ?1) "
		"ON CONFLICT (device_id) DO UPDATE SET boot_id = excluded.boot_id, epoch = "
		"excluded.epoch, rx_bytes = excluded.rx_bytes, tx_bytes = excluded.tx_bytes");

	stmt_put_ulid(&st, &m->device_id);
	stmt_put_ulid(&st, &m->boot_id);
	stmt_put_u64(&st, m->epoch);
	stmt_put_u64(&st, m->rx_bytes);
	stmt_put_u64(&st, m->tx_bytes);
	return stmt_run(&st);
}

static int mark_update(struct db_conn *tx, const struct traffic_mark *m)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE traffic_series SET boot_id = ?, epoch = ?, rx_bytes = ?, "
			      "tx_bytes = ? WHERE number = ?");

	stmt_put_ulid(&st, &m->boot_id);
	stmt_put_u64(&st, m->epoch);
	stmt_put_u64(&st, m->rx_bytes);
	stmt_put_u64(&st, m->tx_bytes);
	stmt_put_i64(&st, m->number);
	return stmt_run(&st);
}

int traffic_mark_set(struct db_conn *tx, struct traffic_mark *m)
{
	int err;

	if (m->number) {
		err = mark_update(tx, m);
		return err ? err : stmt_changes(tx) == 0 ? -ENOENT : 0;
	}
	err = mark_insert(tx, m);
	return err ? err : traffic_number(tx, &m->device_id, &m->number);
}

static int add(struct db_conn *tx, uint32_t step, int64_t number, const struct traffic_sum *s)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO traffic (step, at, series, rx_bytes, tx_bytes) VALUES (?, ?, ?, ?, ?) "
		"ON CONFLICT (step, at, series) DO UPDATE SET rx_bytes = rx_bytes + "
		"excluded.rx_bytes, tx_bytes = tx_bytes + excluded.tx_bytes");

	stmt_put_i64(&st, step);
	stmt_put_i64(&st, s->at - s->at % step);
	stmt_put_i64(&st, number);
	stmt_put_u64(&st, s->rx_bytes);
	stmt_put_u64(&st, s->tx_bytes);
	return stmt_run(&st);
}

int traffic_add(struct db_conn *tx, int64_t number, const struct traffic_sum *s)
{
	static const uint32_t steps[] = {TRAFFIC_MINUTE, TRAFFIC_HOUR, TRAFFIC_DAY};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(steps) && !err; i++)
		err = add(tx, steps[i], number, s);
	return err;
}

int traffic_sums(struct db_conn *tx, uint32_t step, int64_t number, int64_t from, int64_t to,
	struct traffic_sum *out, size_t cap)
{
	size_t n = 0;
	/* One look-up a step: a range of the table would read everybody's rows. */
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"WITH RECURSIVE steps (at) AS (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT at + ?3 "
		"FROM steps WHERE at + ?3 < ?2) SELECT steps.at, rx_bytes, tx_bytes FROM steps "
		"CROSS JOIN traffic ON traffic.step = ?3 AND traffic.at = steps.at AND "
		"traffic.series = ?4");

	stmt_put_i64(&st, from);
	stmt_put_i64(&st, to);
	stmt_put_i64(&st, step);
	stmt_put_i64(&st, number);
	while (n < cap && stmt_row(&st) == 1) {
		out[n].at = stmt_i64(&st);
		out[n].rx_bytes = stmt_u64(&st);
		out[n].tx_bytes = stmt_u64(&st);
		n++;
	}
	return stmt_err(&st) ? stmt_err(&st) : (int)n;
}

int traffic_purge(struct db_conn *tx, uint32_t step, int64_t before)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"DELETE FROM traffic WHERE step = ?1 AND at < min(?2, (SELECT min(at) FROM traffic "
		"WHERE step = ?1) + ?3)");

	stmt_put_i64(&st, step);
	stmt_put_i64(&st, before);
	stmt_put_i64(&st, (int64_t)step * PURGE_STEPS);
	return stmt_run(&st);
}
