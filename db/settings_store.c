#include "db/settings_store.h"

#include <errno.h>
#include <string.h>

#include "db/stmt.h"

static bool read_text(struct stmt *st, char out[SETTINGS_TEXT])
{
	const bool there = !stmt_is_null(st);

	stmt_text(st, out, SETTINGS_TEXT);
	return there;
}

static bool read_number(struct stmt *st, int64_t *out)
{
	const bool there = !stmt_is_null(st);

	if (there)
		*out = stmt_i64(st);
	else
		st->next_column++;
	return there;
}

int settings_get(struct db_conn *tx, struct settings_row *out)
{
	int got;
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"SELECT endpoint, dns, mtu, keepalive, credential_lifetime, traffic_minutes, "
		"traffic_hours, traffic_days, audit_retention, updated_at, revision FROM settings "
		"WHERE one = 1");

	memset(out, 0, sizeof(*out));
	got = stmt_row(&st);
	if (got != 1)
		return got ? got : -EUCLEAN;
	out->has_endpoint = read_text(&st, out->endpoint);
	out->has_dns = read_text(&st, out->dns);
	for (size_t i = 0; i < SETTINGS_NUMBERS; i++)
		out->has[i] = read_number(&st, &out->number[i]);
	out->updated_at = stmt_i64(&st);
	out->revision = stmt_u64(&st);
	return stmt_err(&st);
}

int settings_set(struct db_conn *tx, const struct settings_row *r)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "UPDATE settings SET endpoint = ?, dns = ?, mtu = ?, keepalive = ?, "
			      "credential_lifetime = ?, traffic_minutes = ?, traffic_hours = ?, "
			      "traffic_days = ?, audit_retention = ?, updated_at = ?, revision = ? "
			      "WHERE one = 1");

	stmt_put_text(&st, r->has_endpoint ? r->endpoint : NULL);
	stmt_put_text(&st, r->has_dns ? r->dns : NULL);
	for (size_t i = 0; i < SETTINGS_NUMBERS; i++) {
		if (r->has[i])
			stmt_put_i64(&st, r->number[i]);
		else
			stmt_put_null(&st);
	}
	stmt_put_i64(&st, r->updated_at);
	stmt_put_u64(&st, r->revision);
	return stmt_run(&st);
}
