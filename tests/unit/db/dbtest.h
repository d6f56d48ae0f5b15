/* A database in a folder of its own, and short ways to fill it. */
#ifndef TESTS_DBTEST_H
#define TESTS_DBTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/db.h"
#include "db/device_store.h"
#include "db/user_store.h"

struct dbtest {
	char dir[64];
	struct db *db;
};

static inline struct ulid id_of(unsigned n)
{
	struct ulid id = {0};

	id.bytes[12] = 1;
	id.bytes[14] = (uint8_t)(n >> 8);
	id.bytes[15] = (uint8_t)n;
	return id;
}

static inline void dir_make(char dir[64])
{
	snprintf(dir, 64, "/tmp/ireko-db-XXXXXX");
	assert_non_null(mkdtemp(dir));
}

static inline void dir_remove(const char *dir)
{
	static const char *const names[] = {"ireko.db", "ireko.db-wal", "ireko.db-shm",
		"ireko.lock", "ireko.db.new", "ireko.db.new-wal", "ireko.db.new-shm", "master.key",
		"other", "ireko.db.before-restore", "ireko.db.before-restore-wal", "backup.db"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)!unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
}

static inline int dbtest_setup(void **state)
{
	struct dbtest *t = calloc(1, sizeof(*t));
	char why[128];

	dir_make(t->dir);
	assert_int_equal(db_open(&t->db, t->dir, why), 0);
	*state = t;
	return 0;
}

static inline int dbtest_teardown(void **state)
{
	struct dbtest *t = *state;

	db_close(t->db);
	dir_remove(t->dir);
	free(t);
	return 0;
}

static inline struct db_conn *begin(struct dbtest *t)
{
	struct db_conn *tx;

	assert_int_equal(db_write(t->db, &tx), 0);
	return tx;
}

static inline void commit(struct db_conn *tx)
{
	assert_int_equal(db_commit(&tx), 0);
}

static inline struct user_row a_user(unsigned n, const char *name)
{
	struct user_row u = {.id = id_of(n), .created_at = 1, .updated_at = 1, .revision = 1};

	snprintf(u.name, sizeof(u.name), "%s", name);
	return u;
}

/* Its addresses and slot are made of n. */
static inline struct device_row a_device(unsigned n, struct ulid user, const char *name)
{
	struct device_row d = {
		.id = id_of(n),
		.user_id = user,
		.peer = n,
		.address4 = {IP_V4, {10, 0, (uint8_t)(n >> 8), (uint8_t)n}},
		.address6 = {IP_V6, {0xfd, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}},
		.enabled = true,
		.created_at = 1,
		.updated_at = 1,
		.revision = 1,
	};

	snprintf(d.name, sizeof(d.name), "%s", name);
	return d;
}

#endif
