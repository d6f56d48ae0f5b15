/*
 * One file, one writer, a few readers.
 *
 *   ireko.lock   held as long as we live: a second process is refused
 *   ireko.db     opened by the writer first and closed by it last; the only connection that may
 *                write, and the only one that checkpoints (the WAL-reset defect before 3.51.3)
 *   readers      opened read-only, handed out one a transaction
 *
 * A new database is made under another name and renamed when its schema is complete. So an empty or
 * half-made ireko.db is never "new", it is damage, and damage is refused: a service that starts
 * with an empty database would let nobody in and everybody's address be given out again.
 */
#include "db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "db/backup.h"
#include "db/folder.h"
#include "db/migrate.h"
#include "db/restore.h"
#include "db/sound.h"
#include "db/stmt.h"
#include "db/storage.h"

enum { WHY = 128, READERS = 6, BUSY_MS = 10000, PATH_CAP = FOLDER_PATH };

struct db_conn {
	struct db *db;
	sqlite3 *raw;
	struct stmt_cache *cache;
	bool writer, in_use;
};

struct db {
	int lock_fd;
	char *path;
	uint32_t schema_version;
	_Atomic uint64_t commits, failures;
	struct storage storage;
	_Atomic int fault;	    /* what the last commit failed with; 0: it did not */
	int64_t changes;	    /* of the writer, when its transaction began */
	pthread_mutex_t write_lock; /* held from db_write to db_commit or db_end */
	struct db_conn writer;
	pthread_mutex_t read_lock; /* guards in_use of the readers */
	pthread_cond_t reader_free;
	struct db_conn readers[READERS];
};

struct stmt_cache *db_conn_cache(struct db_conn *tx)
{
	return tx->cache;
}

sqlite3 *db_conn_raw(struct db_conn *tx)
{
	return tx->raw;
}

static int failed(sqlite3 *raw, int rc, const char *what, char *why)
{
	int err = stmt_errno(raw, rc);

	if (err == -EUCLEAN)
		snprintf(
			why, WHY, "%s: the database is damaged (%.60s)", what, sqlite3_errmsg(raw));
	else
		snprintf(why, WHY, "%s: %.90s", what,
			raw ? sqlite3_errmsg(raw) : sqlite3_errstr(rc));
	return err;
}

static int configure(sqlite3 *raw, bool writer)
{
	static const char common[] = "PRAGMA trusted_schema = OFF;"
				     "PRAGMA cell_size_check = ON;"
				     "PRAGMA temp_store = MEMORY;"
				     "PRAGMA foreign_keys = ON;";
	/* A deleted secret is overwritten; what was acknowledged survives power loss. */
	static const char writing[] = "PRAGMA journal_mode = WAL;"
				      "PRAGMA synchronous = FULL;"
				      "PRAGMA secure_delete = ON;"
				      "PRAGMA wal_autocheckpoint = 1000;"
				      "PRAGMA journal_size_limit = 16777216;";
	static const char reading[] = "PRAGMA query_only = ON;"
				      "PRAGMA wal_autocheckpoint = 0;";
	int rc;

	sqlite3_extended_result_codes(raw, 1);
	sqlite3_busy_timeout(raw, BUSY_MS);
	(void)sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(raw, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	(void)sqlite3_db_config(raw, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	rc = sqlite3_exec(raw, common, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(raw, writer ? writing : reading, NULL, NULL, NULL);
	return rc;
}

static int conn_open(struct db_conn *c, const char *path, bool writer, char *why)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		    (writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
	int rc = sqlite3_open_v2(path, &c->raw, flags, NULL);

	c->writer = writer;
	if (rc == SQLITE_OK)
		rc = configure(c->raw, writer);
	if (rc != SQLITE_OK)
		return failed(c->raw, rc, "open", why);
	return stmt_cache_new(&c->cache, c->raw);
}

static void conn_close(struct db_conn *c)
{
	stmt_cache_free(c->cache);
	if (sqlite3_close(c->raw) != SQLITE_OK)
		log_error("db", "close: a statement is still open");
	c->cache = NULL;
	c->raw = NULL;
}

/* Makes a complete database under another name, then gives it its own. */
static int create(const char *dir, const char *path, char *why)
{
	char made[PATH_CAP + 8];
	struct db_conn c = {0};
	const struct migration *list;
	int64_t size;
	size_t n;
	int err;

	snprintf(made, sizeof(made), "%s.new", path);
	folder_remove(made);
	err = folder_own_file(made, O_CREAT | O_EXCL, &size);
	if (err) {
		snprintf(why, WHY, "can't create the database: %s", strerror(-err));
		return err;
	}
	list = migrations(&n);
	err = conn_open(&c, made, true, why);
	if (!err)
		err = migrate(c.raw, list, n, why);
	conn_close(&c); /* the last one: checkpoints and removes its log */
	if (!err && rename(made, path) != 0)
		err = -errno;
	if (!err)
		err = folder_sync(dir);
	if (err)
		folder_remove(made);
	return err;
}

/* Creates the file when there is none; refuses what can't be the file that we left. */
static int prepare(const char *dir, const char *path, char *why)
{
	char wal[PATH_CAP + 8];
	int64_t size;
	int err = folder_own_file(path, 0, &size);

	snprintf(wal, sizeof(wal), "%s-wal", path);
	db_backup_clear(path);
	db_restore_clear(dir);
	if (err == -ENOENT) {
		/* SQLite would replay a log that belongs to another file. */
		if (access(wal, F_OK) == 0) {
			snprintf(why, WHY,
				"the database is damaged: ireko.db is gone, its log is there");
			return -EUCLEAN;
		}
		return create(dir, path, why);
	}
	if (err) {
		snprintf(why, WHY, "can't open ireko.db: %s", strerror(-err));
		return err;
	}
	if (size == 0) {
		snprintf(why, WHY, "the database is damaged: ireko.db is empty");
		return -EUCLEAN;
	}
	return 0;
}

/* The writer's part of opening: looks at everything before anything is changed. */
static int open_writer(struct db *db, const char *path, char *why)
{
	const struct migration *list;
	uint32_t version = 0;
	size_t n;
	int err = conn_open(&db->writer, path, true, why);

	if (!err)
		err = sound_check(db->writer.raw, "PRAGMA quick_check(1)", "ok", why);
	if (!err)
		err = sound_check(db->writer.raw, "PRAGMA foreign_key_check", "", why);
	/* Asking for it can fail silently, and then commits would not be as durable as we say. */
	if (!err)
		err = sound_check(db->writer.raw, "PRAGMA journal_mode", "wal", why);
	if (err)
		return err;
	err = migrate_version(db->writer.raw, &version);
	if (!err && version == 0) {
		snprintf(why, WHY, "the database is damaged: ireko.db is not ours");
		err = -EUCLEAN;
	}
	list = migrations(&n);
	if (!err)
		err = migrate(db->writer.raw, list, n, why);
	db->schema_version = (uint32_t)n;
	return err;
}

/* Not before its first read does SQLite open the log: it has to be while the file is there, or this
 * reader would later see the database without it. */
static int open_reader(struct db *db, struct db_conn *c, const char *path, char *why)
{
	int err = conn_open(c, path, false, why);

	c->db = db;
	return err ? err : sound_check(c->raw, "PRAGMA journal_mode", "wal", why);
}

int db_open(struct db **out, const char *data_dir, char *why)
{
	char path[PATH_CAP];
	struct db *db;
	int err;

	*out = NULL;
	why[0] = '\0';
	if (strlen(data_dir) > PATH_CAP - 64)
		return -ENAMETOOLONG;
	db = calloc(1, sizeof(*db));
	if (!db)
		return -ENOMEM;
	db->lock_fd = -1;
	pthread_mutex_init(&db->write_lock, NULL);
	pthread_mutex_init(&db->read_lock, NULL);
	pthread_cond_init(&db->reader_free, NULL);
	db->writer.db = db;
	snprintf(path, sizeof(path), "%s/ireko.db", data_dir);
	db->path = strdup(path);
	if (!db->path) {
		err = -ENOMEM;
		goto out;
	}
	if (mkdir(data_dir, 0700) != 0 && errno != EEXIST) {
		err = -errno;
		goto out;
	}
	err = folder_lock(data_dir, &db->lock_fd, why);
	if (!err)
		err = prepare(data_dir, path, why);
	if (!err)
		err = open_writer(db, path, why);
	if (!err)
		err = storage_note(&db->storage, path);
	for (size_t i = 0; i < READERS && !err; i++)
		err = open_reader(db, &db->readers[i], path, why);
out:
	if (err) {
		if (!why[0])
			snprintf(why, WHY, "can't open the database: %s", strerror(-err));
		db_close(db);
		return err;
	}
	*out = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < READERS; i++)
		conn_close(&db->readers[i]);
	conn_close(&db->writer);
	if (db->lock_fd >= 0)
		close(db->lock_fd);
	pthread_cond_destroy(&db->reader_free);
	pthread_mutex_destroy(&db->read_lock);
	pthread_mutex_destroy(&db->write_lock);
	storage_fini(&db->storage);
	free(db->path);
	free(db);
}

uint32_t db_schema_version(struct db *db)
{
	return db->schema_version;
}

static uint64_t file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

void db_figures(struct db *db, struct db_figures *out)
{
	char wal[PATH_CAP + 8];

	snprintf(wal, sizeof(wal), "%s-wal", db->path);
	*out = (struct db_figures){
		.bytes = file_bytes(db->path),
		.wal_bytes = file_bytes(wal),
		.commits = atomic_load(&db->commits),
		.failures = atomic_load(&db->failures),
	};
}

bool db_answers(struct db *db)
{
	struct db_conn *tx cleanup(db_end) = NULL;

	if (db_read(db, &tx) != 0)
		return false;
	struct stmt st cleanup(stmt_close) = stmt_open(tx, "SELECT count(*) FROM lease_next");
	return stmt_row(&st) == 1;
}

static int execute(struct db_conn *c, const char *sql)
{
	struct stmt st cleanup(stmt_close) = stmt_open(c, sql);

	return stmt_run(&st);
}

static void reader_release(struct db_conn *c)
{
	pthread_mutex_lock(&c->db->read_lock);
	c->in_use = false;
	pthread_cond_signal(&c->db->reader_free);
	pthread_mutex_unlock(&c->db->read_lock);
}

int db_write(struct db *db, struct db_conn **tx)
{
	int err;

	*tx = NULL;
	pthread_mutex_lock(&db->write_lock);
	err = storage_stands(&db->storage);
	if (!err)
		err = execute(&db->writer, "BEGIN IMMEDIATE");
	db->changes = sqlite3_total_changes64(db->writer.raw);
	if (err) {
		pthread_mutex_unlock(&db->write_lock);
		return err;
	}
	*tx = &db->writer;
	return 0;
}

int db_read(struct db *db, struct db_conn **tx)
{
	struct db_conn *c = NULL;
	int err;

	*tx = NULL;
	pthread_mutex_lock(&db->read_lock);
	while (!c) {
		for (size_t i = 0; i < READERS && !c; i++)
			c = db->readers[i].in_use ? NULL : &db->readers[i];
		if (!c)
			pthread_cond_wait(&db->reader_free, &db->read_lock);
	}
	c->in_use = true;
	pthread_mutex_unlock(&db->read_lock);
	err = execute(c, "BEGIN");
	if (err) {
		reader_release(c);
		return err;
	}
	*tx = c;
	return 0;
}

/* Whether the files stand is looked at whenever it is asked, so it is nothing to remember. */
static void note_fault(struct db *db, int err)
{
	if (err != -ESTALE)
		atomic_store(&db->fault, err);
}

/* A commit that changed nothing says nothing of the disk. */
static void note_commit(struct db *db, int err)
{
	atomic_fetch_add(err ? &db->failures : &db->commits, 1);
	if (err || sqlite3_total_changes64(db->writer.raw) != db->changes)
		note_fault(db, err);
}

/* What was deleted meanwhile would take the commit and keep nothing. */
static int commit_write(struct db_conn *c)
{
	int err = storage_stands(&c->db->storage);

	if (!err)
		err = execute(c, "COMMIT");
	note_commit(c->db, err);
	return err;
}

int db_commit(struct db_conn **tx)
{
	struct db_conn *c = *tx;
	int err = c->writer ? commit_write(c) : execute(c, "COMMIT");

	db_end(tx);
	return err;
}

/* Writes the version that stands there already: a page of the log, and no row. */
static int write_version(struct db *db)
{
	char sql[64];
	int rc;

	snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", db->schema_version);
	rc = sqlite3_exec(db->writer.raw, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : stmt_errno(db->writer.raw, rc);
}

void db_try(struct db *db, bool when_well)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err;

	if (atomic_load(&db->fault) == 0 && !when_well)
		return;
	err = db_write(db, &tx);
	if (!err)
		err = write_version(db);
	if (!err)
		err = db_commit(&tx);
	note_fault(db, err);
}

const char *db_fault(struct db *db)
{
	int err = storage_check(&db->storage);

	if (!err)
		err = atomic_load(&db->fault);
	return err ? storage_fault(err) : NULL;
}

void db_end(struct db_conn **tx)
{
	struct db_conn *c = *tx;

	if (!c)
		return;
	*tx = NULL;
	/* A commit that failed for want of space leaves the transaction open. */
	if (!sqlite3_get_autocommit(c->raw) && execute(c, "ROLLBACK") != 0)
		log_error("db", "rollback: %s", sqlite3_errmsg(c->raw));
	if (c->writer)
		pthread_mutex_unlock(&c->db->write_lock);
	else
		reader_release(c);
}
