#include "db/audit_store.h"

#include <errno.h>
#include <string.h>

#include "db/stmt.h"

#define COLUMNS                                                                                    \
	"seq, at, actor_id, actor_name, via, via_id, source, action, object_kind, object_id, "     \
	"outcome, detail, hash"

int audit_head_get(struct db_conn *tx, struct audit_head *out)
{
	int got;
	struct stmt st cleanup(stmt_close) = stmt_open(
		tx, "SELECT first, before, last, hash, broken, mac FROM audit_head WHERE one = 1");

	memset(out, 0, sizeof(*out));
	got = stmt_row(&st);
	if (got != 1)
		return got ? got : -ENOENT;
	out->first = stmt_u64(&st);
	stmt_blob(&st, out->before, sizeof(out->before));
	out->last = stmt_u64(&st);
	stmt_blob(&st, out->hash, sizeof(out->hash));
	out->broken = stmt_u64(&st);
	out->mac_len = stmt_blob_upto(&st, out->mac, sizeof(out->mac));
	return stmt_err(&st);
}

int audit_head_set(struct db_conn *tx, const struct audit_head *h)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT OR REPLACE INTO audit_head (one, first, before, last, hash, broken, "
		"mac) VALUES (1, ?, ?, ?, ?, ?, ?)");

	stmt_put_u64(&st, h->first);
	stmt_put_blob(&st, h->before, sizeof(h->before));
	stmt_put_u64(&st, h->last);
	stmt_put_blob(&st, h->hash, sizeof(h->hash));
	stmt_put_u64(&st, h->broken);
	stmt_put_blob(&st, h->mac, h->mac_len);
	return stmt_run(&st);
}

int audit_insert(struct db_conn *tx, const struct audit_row *r)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO audit (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	stmt_put_u64(&st, r->seq);
	stmt_put_i64(&st, r->at);
	stmt_put_ulid(&st, &r->actor_id);
	stmt_put_text(&st, r->actor_name);
	stmt_put_i64(&st, r->via);
	stmt_put_ulid(&st, &r->via_id);
	stmt_put_blob(&st, r->from.bytes, ip_addr_size(&r->from));
	stmt_put_text(&st, r->action);
	stmt_put_text(&st, r->kind);
	stmt_put_ulid(&st, &r->object_id);
	stmt_put_text(&st, r->outcome);
	stmt_put_text(&st, r->detail);
	stmt_put_blob(&st, r->hash, sizeof(r->hash));
	return stmt_run(&st);
}

static struct ip_addr read_addr(struct stmt *st)
{
	struct ip_addr a = {0};
	size_t n = stmt_blob_upto(st, a.bytes, sizeof(a.bytes));

	a.family = n == 4 ? IP_V4 : n == 16 ? IP_V6 : IP_NONE;
	return a;
}

static int read_rows(struct stmt *st, struct audit_row *out)
{
	int got, n = 0;

	while ((got = stmt_row(st)) == 1) {
		struct audit_row *r = &out[n++];

		memset(r, 0, sizeof(*r));
		r->seq = stmt_u64(st);
		r->at = stmt_i64(st);
		r->actor_id = stmt_ulid(st);
		stmt_text(st, r->actor_name, sizeof(r->actor_name));
		r->via = (uint8_t)stmt_i64(st);
		r->via_id = stmt_ulid(st);
		r->from = read_addr(st);
		stmt_text(st, r->action, sizeof(r->action));
		stmt_text(st, r->kind, sizeof(r->kind));
		r->object_id = stmt_ulid(st);
		stmt_text(st, r->outcome, sizeof(r->outcome));
		stmt_text(st, r->detail, sizeof(r->detail));
		stmt_blob(st, r->hash, sizeof(r->hash));
	}
	return got ? got : n;
}

int audit_list_up(struct db_conn *tx, uint64_t after, struct audit_row *out, size_t cap)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT " COLUMNS " FROM audit WHERE seq > ? ORDER BY seq LIMIT ?");

	stmt_put_u64(&st, after);
	stmt_put_u64(&st, cap);
	return read_rows(&st, out);
}

/* ?1 to ?4 are the filter, ?5 the number, ?6 the most. Each statement has the index that its first
 * condition needs; the other conditions are looked at row by row. */
#define DOWN(first)                                                                                \
	"SELECT " COLUMNS " FROM audit WHERE " first                                               \
	" AND (?1 = zeroblob(16) OR actor_id = ?1) AND (?2 = zeroblob(16) OR object_id = ?2) "     \
	"AND (?3 = '' OR object_kind = ?3) AND (?4 = '' OR action = ?4) "                          \
	"AND seq < ?5 ORDER BY seq DESC LIMIT ?6"

int audit_list_down(struct db_conn *tx, const struct audit_filter *f, uint64_t before,
	struct audit_row *out, size_t cap)
{
	const char *sql = !ulid_is_zero(&f->object)  ? DOWN("object_id = ?2")
			  : !ulid_is_zero(&f->actor) ? DOWN("actor_id = ?1")
			  : f->action[0]	     ? DOWN("action = ?4")
						     : DOWN("seq > 0");
	struct stmt st cleanup(stmt_close) = stmt_open(tx, sql);

	stmt_put_ulid(&st, &f->actor);
	stmt_put_ulid(&st, &f->object);
	stmt_put_text(&st, f->kind);
	stmt_put_text(&st, f->action);
	stmt_put_i64(&st, before && before < INT64_MAX ? (int64_t)before : INT64_MAX);
	stmt_put_u64(&st, cap);
	return read_rows(&st, out);
}

int audit_greatest(struct db_conn *tx, uint64_t *seq)
{
	int got;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT coalesce(max(seq), 0) FROM audit");

	*seq = 0;
	got = stmt_row(&st);
	if (got != 1)
		return got ? got : -EUCLEAN;
	*seq = stmt_u64(&st);
	return stmt_err(&st);
}

int audit_delete_upto(struct db_conn *tx, uint64_t seq)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM audit WHERE seq <= ?");

	stmt_put_u64(&st, seq);
	return stmt_run(&st);
}
