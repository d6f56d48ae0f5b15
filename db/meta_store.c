#include "db/meta_store.h"

#include <errno.h>
#include <string.h>

#include "db/db.h"
#include "db/stmt.h"

int meta_get_text(struct db *db, const char *key, char *out, size_t cap)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(db, &tx);

	if (err)
		return err;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT length(CAST(txt AS BLOB)), txt FROM meta WHERE key = ? AND "
			      "txt IS NOT NULL");
	stmt_put_text(&st, key);
	err = stmt_find(&st);
	if (err)
		return err;
	if (stmt_u64(&st) >= cap)
		return -EMSGSIZE;
	stmt_text(&st, out, cap);
	return stmt_err(&st);
}

int meta_get_blob(struct db *db, const char *key, void *out, size_t cap, size_t *len)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(db, &tx);

	*len = 0;
	if (err)
		return err;
	struct stmt st cleanup(stmt_close) = stmt_open(
		tx, "SELECT length(bin), bin FROM meta WHERE key = ? AND bin IS NOT NULL");
	stmt_put_text(&st, key);
	err = stmt_find(&st);
	if (err)
		return err;
	if (stmt_u64(&st) > cap)
		return -EMSGSIZE;
	*len = stmt_blob_upto(&st, out, cap);
	return stmt_err(&st);
}

static int set(struct db *db, const char *key, const char *text, const void *blob, size_t len)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_write(db, &tx);

	if (err)
		return err;
	/* The statement must be closed before the commit. */
	{
		struct stmt st cleanup(stmt_close) =
			stmt_open(tx, "INSERT INTO meta (key, txt, bin) VALUES (?, ?, ?) ON "
				      "CONFLICT (key) DO UPDATE "
				      "SET txt = excluded.txt, bin = excluded.bin");
		stmt_put_text(&st, key);
		stmt_put_text(&st, text);
		if (text)
			stmt_put_null(&st);
		else
			stmt_put_blob(&st, blob, len);
		err = stmt_run(&st);
	}
	return err ? err : db_commit(&tx);
}

int meta_set_text(struct db *db, const char *key, const char *value)
{
	return set(db, key, value, NULL, 0);
}

int meta_set_blob(struct db *db, const char *key, const void *value, size_t len)
{
	return set(db, key, NULL, value, len);
}
