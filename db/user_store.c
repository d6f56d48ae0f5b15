#include "db/user_store.h"

#include "db/stmt.h"

#define COLUMNS                                                                                    \
	"id, name, display_name, email, role, password, disabled, created_at, updated_at, "        \
	"revision, EXISTS (SELECT 1 FROM totp WHERE user_id = users.id AND confirmed = 1)"

/* Names are ASCII, so this is what lower case means here. */
static void name_key(const char *name, char key[USER_NAME])
{
	size_t i;

	for (i = 0; i < USER_NAME - 1 && name[i]; i++)
		key[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	key[i] = '\0';
}

static void read_row(struct stmt *st, struct user_row *u)
{
	u->id = stmt_ulid(st);
	stmt_text(st, u->name, sizeof(u->name));
	stmt_text(st, u->display_name, sizeof(u->display_name));
	stmt_text(st, u->email, sizeof(u->email));
	u->role = (uint8_t)stmt_i64(st);
	stmt_text(st, u->password, sizeof(u->password));
	u->disabled = stmt_i64(st) != 0;
	u->created_at = stmt_i64(st);
	u->updated_at = stmt_i64(st);
	u->revision = stmt_u64(st);
	u->totp = stmt_i64(st) != 0;
}

/* The row that st finds. */
static int read_one(struct stmt *st, struct user_row *out)
{
	int err = stmt_find(st);

	if (err)
		return err;
	read_row(st, out);
	return stmt_err(st);
}

/* The values that insert and update have in common, in the order of both. */
static void put_values(struct stmt *st, const struct user_row *u, const char *key)
{
	stmt_put_text(st, u->name);
	stmt_put_text(st, key);
	stmt_put_text(st, u->display_name);
	stmt_put_text(st, u->email);
	stmt_put_i64(st, u->role);
	stmt_put_text(st, u->password[0] ? u->password : NULL);
	stmt_put_i64(st, u->disabled);
	stmt_put_i64(st, u->updated_at);
	stmt_put_u64(st, u->revision);
}

int user_insert(struct db_conn *tx, const struct user_row *u)
{
	char key[USER_NAME];
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"INSERT INTO users (name, name_key, display_name, email, role, password, disabled, "
		"updated_at, revision, id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	name_key(u->name, key);
	put_values(&st, u, key);
	stmt_put_ulid(&st, &u->id);
	stmt_put_i64(&st, u->created_at);
	return stmt_run(&st);
}

int user_update(struct db_conn *tx, const struct user_row *u)
{
	char key[USER_NAME];
	struct stmt st cleanup(stmt_close) = stmt_open(tx,
		"UPDATE users SET name = ?, name_key = ?, display_name = ?, email = ?, role = ?, "
		"password = ?, disabled = ?, updated_at = ?, revision = ? WHERE id = ?");

	name_key(u->name, key);
	put_values(&st, u, key);
	stmt_put_ulid(&st, &u->id);
	return stmt_change(&st);
}

int user_delete(struct db_conn *tx, const struct ulid *id)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM users WHERE id = ?");

	stmt_put_ulid(&st, id);
	return stmt_change(&st);
}

int user_get(struct db_conn *tx, const struct ulid *id, struct user_row *out)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT " COLUMNS " FROM users WHERE id = ?");

	stmt_put_ulid(&st, id);
	return read_one(&st, out);
}

int user_get_by_name(struct db_conn *tx, const char *name, struct user_row *out)
{
	char key[USER_NAME];
	struct stmt st cleanup(stmt_close) = stmt_open(
		tx, "SELECT " COLUMNS " FROM users WHERE name_key = ? AND length(?) < 65");

	name_key(name, key);
	stmt_put_text(&st, key);
	stmt_put_text(&st, name); /* one that was cut is nobody's */
	return read_one(&st, out);
}

int user_list(struct db_conn *tx, const struct ulid *after, struct user_row *out, size_t cap)
{
	int got, n = 0;
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT " COLUMNS " FROM users WHERE id > ? ORDER BY id LIMIT ?");

	stmt_put_ulid(&st, after);
	stmt_put_u64(&st, cap);
	while ((got = stmt_row(&st)) == 1)
		read_row(&st, &out[n++]);
	return got ? got : n;
}

int user_count(struct db_conn *tx, uint64_t *n)
{
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT count(*) FROM users");

	return stmt_number(&st, n);
}

int user_count_enabled(struct db_conn *tx, uint8_t role, uint64_t *n)
{
	struct stmt st cleanup(stmt_close) =
		stmt_open(tx, "SELECT count(*) FROM users WHERE role = ? AND disabled = 0");

	stmt_put_i64(&st, role);
	return stmt_number(&st, n);
}
