/*
 * The audit log: who did what to what, when and from where. Rows are only added, each chained to
 * the one before it by its hash; the ends of the chain are under a MAC that needs the master key.
 * So a row that was removed, changed, added or moved shows, and so does a cut tail.
 *
 * What it can't show: a whole database that was put back to an older state. Whoever must see that
 * keeps the sequence and hash that /v1/audit/verify tells, outside.
 *
 * A mutation's row is part of its transaction. What changes nothing (a failed login, a refused
 * write) is written on its own, and only so much of it: the rest is counted, and the count written
 * every ten minutes, so that a flood fills neither log nor disk.
 */
#ifndef SERVICE_AUDIT_H
#define SERVICE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct audit_log;
struct db;
struct db_conn;
struct keystore;
struct service;
struct svc_actor;

enum audit_outcome {
	AUDIT_OK,
	AUDIT_FAILED,  /* a wrong password or code */
	AUDIT_LIMITED, /* too many attempts */
	AUDIT_DENIED,  /* not allowed */
	AUDIT_OUTCOMES
};

struct audit_event {
	const char *action; /* "user.create": object, dot, verb; at most 32 characters */
	const char *kind;   /* prefix of the object's id: "usr", "dev", ...; NULL: no object */
	const struct ulid *object;
	enum audit_outcome outcome;
	const char *detail; /* our own words about what changed ("name, role"), at most 160
			       characters of ASCII; from outside at most a user's name, an id or a
			       number; never a secret; NULL: none */
};

/* Rows that are kept at most, whatever their age: about 700 MB. */
enum { AUDIT_MOST = 1 << 21 };

/* Writes the names of what is set, with commas between them, into out. Returns: out. */
struct audit_field {
	bool set;
	const char *name;
};
enum { AUDIT_FIELDS_TEXT = 161 };
const char *audit_fields(const struct audit_field *f, size_t n, char out[AUDIT_FIELDS_TEXT]);

int audit_new(struct audit_log **out) must_check;
void audit_free(struct audit_log *l);
/* At start: the first row of a new log; of one that is there, tells the last row in our own log,
 * where a later cut can be seen. Returns: 0, -errno. */
int audit_begin(struct service *s) must_check;
/* The row that says that this database was a backup, in a transaction of its own and before it is
 * anybody's database; no service runs. sha256: of the backup as it came; now is Unix ms.
 * Returns: 0, -ENOSPC, -errno. */
int audit_restored(
	struct db *db, struct keystore *ks, int64_t now, const uint8_t sha256[32]) must_check;

/* Adds a row in the write transaction of the mutation that it tells of, after the mutation and
 * right before the commit; the mutation must not be committed when this fails. a: who acts (NULL:
 * the service itself). What was done is kept in a->once, for repeats of the request.
 * Returns: 0, -ENOSPC, -errno. */
int audit_add(struct db_conn *tx, struct service *s, const struct svc_actor *a,
	const struct audit_event *ev) must_check;

/* Adds a row for what changed nothing (ev->outcome is not AUDIT_OK) in a transaction of its own, or
 * counts it when there were many of that outcome. The caller holds no transaction. Never fails:
 * what can't be written is counted. */
void audit_note(struct service *s, const struct svc_actor *a, const struct audit_event *ev);

/* Every second, from the background: writes what was counted, and once an hour
 * takes rows away whose time is over. Returns: 0, -errno (it is tried again). */
int audit_tick(struct service *s) must_check;
/* The time that rows are kept has changed: the next tick looks. */
void audit_end_soon(struct service *s);
/* At the end: writes what was counted. Returns: 0, -errno. */
int audit_flush(struct service *s) must_check;

#endif
