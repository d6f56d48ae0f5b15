#include "db/migrate.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>

#include "db/stmt.h"

enum { WHY = 128 };

static const struct migration built_in[] = {
#include "migrations.inc"
};

const struct migration *migrations(size_t *n)
{
	*n = ARRAY_SIZE(built_in);
	return built_in;
}

int migrate_version(struct sqlite3 *raw, uint32_t *version)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(raw, "PRAGMA user_version", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*version = (uint32_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : stmt_errno(raw, rc);
}

/* The number moves in the same transaction as the tables do. */
static int apply(struct sqlite3 *raw, const struct migration *m, char *why)
{
	char set[48];
	int rc, err = 0;

	snprintf(set, sizeof(set), "PRAGMA user_version = %u", (unsigned)m->version);
	rc = sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(raw, m->sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(raw, set, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		err = stmt_errno(raw, rc);
		snprintf(why, WHY, "migration %u failed: %.80s", (unsigned)m->version,
			sqlite3_errmsg(raw));
	}
	if (!sqlite3_get_autocommit(raw))
		(void)sqlite3_exec(raw, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

int migrate(struct sqlite3 *raw, const struct migration *list, size_t n, char *why)
{
	uint32_t version = 0;
	int err = migrate_version(raw, &version);

	if (err) {
		snprintf(why, WHY, "the schema's version can't be read");
		return err;
	}
	if (version > n) {
		snprintf(why, WHY,
			"the database was made by a newer version (schema %u, this has %zu)",
			(unsigned)version, n);
		return -EPROTONOSUPPORT;
	}
	for (size_t i = version; i < n; i++) {
		if (list[i].version != i + 1) {
			snprintf(why, WHY, "migration %zu is missing", i + 1);
			return -EINVAL;
		}
		err = apply(raw, &list[i], why);
		if (err)
			return err;
	}
	return 0;
}
