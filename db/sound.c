#include "db/sound.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "db/migrate.h"
#include "db/stmt.h"

enum { WHY = 128 };

/* SQLite reports damage in several lines; ours is one. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ')
			*text = ' ';
}

int sound_check(sqlite3 *raw, const char *pragma, const char *good, char *why)
{
	sqlite3_stmt *st = NULL;
	int err = 0, rc = sqlite3_prepare_v2(raw, pragma, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const char *said = (const char *)sqlite3_column_text(st, 0);

		if (!said || strcmp(said, good) != 0) {
			snprintf(why, WHY, "the database is damaged: %.30s says %.60s", pragma + 7,
				said ? said : "");
			one_line(why);
			err = -EUCLEAN;
		}
	} else if (rc != SQLITE_DONE) {
		err = stmt_errno(raw, rc);
		snprintf(why, WHY, "check: %s%.70s",
			err == -EUCLEAN ? "the database is damaged, " : "", sqlite3_errmsg(raw));
		one_line(why);
	}
	sqlite3_finalize(st);
	return err;
}

/* ---- the schema ---- */

static const char list[] = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema "
			   "WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY type, name";

static bool same_row(sqlite3_stmt *a, sqlite3_stmt *b)
{
	for (int i = 0; i < sqlite3_column_count(a); i++) {
		const char *one = (const char *)sqlite3_column_text(a, i);
		const char *other = (const char *)sqlite3_column_text(b, i);

		if (!one || !other || strcmp(one, other) != 0)
			return false;
	}
	return true;
}

/* Row by row; the first that differs is named. */
static int compare(sqlite3_stmt *is, sqlite3_stmt *should, char *why)
{
	int a, b;

	for (;;) {
		a = sqlite3_step(is);
		b = sqlite3_step(should);
		if (a != SQLITE_ROW || b != SQLITE_ROW)
			break;
		if (!same_row(is, should)) {
			snprintf(why, WHY, "its table or index %.60s is not ours",
				(const char *)sqlite3_column_text(is, 1));
			one_line(why);
			return -EUCLEAN;
		}
	}
	if (a == SQLITE_DONE && b == SQLITE_DONE)
		return 0;
	snprintf(why, WHY, "its tables are not ours");
	return -EUCLEAN;
}

/* What the migrations up to that version make of an empty database. */
static int model_open(uint32_t version, sqlite3 **out, char *why)
{
	const struct migration *steps;
	size_t n;
	int rc =
		sqlite3_open_v2(":memory:", out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	steps = migrations(&n);
	if (version > n) {
		snprintf(why, WHY, "it was made by a newer version (schema %u, this has %zu)",
			(unsigned)version, n);
		return -EPROTONOSUPPORT;
	}
	return rc == SQLITE_OK ? migrate(*out, steps, version, why) : stmt_errno(*out, rc);
}

static int compare_with_model(struct sqlite3 *raw, sqlite3 *model, char *why)
{
	sqlite3_stmt *is = NULL, *should = NULL;
	int err = 0, rc = sqlite3_prepare_v2(raw, list, -1, &is, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(model, list, -1, &should, NULL);
	if (rc != SQLITE_OK) {
		snprintf(why, WHY, "its schema can't be read");
		err = -EUCLEAN;
	} else {
		err = compare(is, should, why);
	}
	sqlite3_finalize(is);
	sqlite3_finalize(should);
	return err;
}

int sound_schema(struct sqlite3 *raw, char *why)
{
	sqlite3 *model = NULL;
	uint32_t version = 0;
	int err = migrate_version(raw, &version);

	if (err || version == 0) {
		snprintf(why, WHY, "it is no database of Ireko");
		return err ? err : -EUCLEAN;
	}
	err = model_open(version, &model, why);
	if (!err)
		err = compare_with_model(raw, model, why);
	sqlite3_close(model);
	return err;
}
