#include "db/lease_store.h"

#include <stdbool.h>
#include <string.h>

#include "db/stmt.h"

static int compare(const struct lease_value *a, const struct lease_value *b)
{
	return memcmp(a->bytes, b->bytes, a->len);
}

/* a + 1; false when it was the greatest. */
static bool increment(struct lease_value *v)
{
	for (size_t i = v->len; i-- > 0;)
		if (++v->bytes[i])
			return true;
	return false;
}

/* After it a row means: not free. */
static int end_quarantines(struct db_conn *tx, int64_t now)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "DELETE FROM leases WHERE released_at <= ?");

	stmt_put_i64(&st, now - LEASE_QUARANTINE_MS);
	return stmt_run(&st);
}

static int insert(struct db_conn *tx, enum lease_kind kind, const struct lease_value *v,
	const struct ulid *device)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "INSERT INTO leases (kind, value, device_id) VALUES (?, ?, ?)");

	stmt_put_i64(&st, kind);
	stmt_put_blob(&st, v->bytes, v->len);
	stmt_put_ulid(&st, device);
	return stmt_run(&st);
}

/* The first value of from..to that no row has. Rows come in order, so it is the first that is not
 * what we expect next. */
static int first_gap(struct db_conn *tx, enum lease_kind kind, const struct lease_value *from,
	const struct lease_value *to, struct lease_value *out)
{
	struct lease_value row = {.len = from->len};
	int got;
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"SELECT value FROM leases WHERE kind = ? AND value BETWEEN ? AND ? ORDER BY value");

	*out = *from;
	stmt_put_i64(&st, kind);
	stmt_put_blob(&st, from->bytes, from->len);
	stmt_put_blob(&st, to->bytes, to->len);
	while ((got = stmt_row(&st)) == 1) {
		stmt_blob(&st, row.bytes, row.len);
		if (stmt_err(&st))
			return stmt_err(&st);
		if (compare(&row, out) != 0)
			return LEASE_OK;
		if (!increment(out))
			return LEASE_FULL;
	}
	if (got)
		return got;
	return compare(out, to) <= 0 ? LEASE_OK : LEASE_FULL;
}

/* Where to look first: behind the one that was taken last, when that is in the range. */
static int next_start(struct db_conn *tx, enum lease_kind kind, const struct lease_value *first,
	const struct lease_value *last, struct lease_value *out)
{
	int got;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT value FROM lease_next WHERE kind = ? AND length(value) = ?");

	*out = *first;
	stmt_put_i64(&st, kind);
	stmt_put_u64(&st, first->len);
	got = stmt_row(&st);
	if (got != 1)
		return got;
	stmt_blob(&st, out->bytes, out->len);
	if (compare(out, first) < 0 || compare(out, last) > 0)
		*out = *first;
	return stmt_err(&st);
}

static int remember_next(struct db_conn *tx, enum lease_kind kind, struct lease_value taken)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "INSERT INTO lease_next (kind, value) VALUES (?, ?) ON CONFLICT "
			      "(kind) DO UPDATE SET "
			      "value = excluded.value");

	(void)increment(&taken); /* wraps to zero: out of range, and so the first again */
	stmt_put_i64(&st, kind);
	stmt_put_blob(&st, taken.bytes, taken.len);
	return stmt_run(&st);
}

int lease_take_next(struct db_conn *tx, enum lease_kind kind, const struct lease_value *first,
	const struct lease_value *last, const struct ulid *device, int64_t now,
	struct lease_value *out)
{
	struct lease_value start;
	int err;

	if (compare(first, last) > 0)
		return LEASE_FULL;
	err = end_quarantines(tx, now);
	if (!err)
		err = next_start(tx, kind, first, last, &start);
	if (err)
		return err;
	err = first_gap(tx, kind, &start, last, out);
	if (err == LEASE_FULL && compare(first, &start) < 0)
		err = first_gap(tx, kind, first, &start, out);
	if (!err)
		err = insert(tx, kind, out, device);
	if (!err)
		err = remember_next(tx, kind, *out);
	return err;
}

int lease_take(struct db_conn *tx, enum lease_kind kind, const struct lease_value *v,
	const struct ulid *device, int64_t now)
{
	int got = end_quarantines(tx, now);

	if (got)
		return got;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT device_id FROM leases WHERE kind = ? AND value = ?");
	stmt_put_i64(&st, kind);
	stmt_put_blob(&st, v->bytes, v->len);
	got = stmt_row(&st);
	if (got == 1)
		return stmt_is_null(&st) ? LEASE_QUARANTINED : LEASE_TAKEN;
	return got ? got : insert(tx, kind, v, device);
}

int lease_release(
	struct db_conn *tx, enum lease_kind kind, const struct lease_value *v, int64_t now)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE leases SET device_id = NULL, released_at = ?, rests_of = "
			      "(SELECT user_id FROM devices WHERE id = leases.device_id) "
			      "WHERE kind = ? AND value = ? AND device_id IS NOT NULL");

	stmt_put_i64(&st, now);
	stmt_put_i64(&st, kind);
	stmt_put_blob(&st, v->bytes, v->len);
	return stmt_change(&st);
}

int lease_release_device(struct db_conn *tx, const struct ulid *device, int64_t now)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE leases SET device_id = NULL, released_at = ?, rests_of = "
			      "(SELECT user_id FROM devices WHERE id = leases.device_id) "
			      "WHERE device_id = ?");

	stmt_put_i64(&st, now);
	stmt_put_ulid(&st, device);
	return stmt_run(&st);
}

int lease_release_user(struct db_conn *tx, const struct ulid *user, int64_t now)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"UPDATE leases SET device_id = NULL, released_at = ? WHERE device_id IN "
		"(SELECT id FROM devices WHERE user_id = ?)");

	stmt_put_i64(&st, now);
	stmt_put_ulid(&st, user);
	return stmt_run(&st);
}

int lease_count_user(struct db_conn *tx, const struct ulid *user, int64_t now, uint64_t *n)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"SELECT (SELECT count(*) FROM devices WHERE user_id = ?1) + (SELECT count(*) FROM "
		"leases WHERE rests_of = ?1 AND kind = 0 AND released_at > ?2)");

	stmt_put_ulid(&st, user);
	stmt_put_i64(&st, now - LEASE_QUARANTINE_MS);
	return stmt_number(&st, n);
}
