/*
 * Putting a backup in the place of the database, while nobody uses it.
 *
 *   begin   ireko.lock; copy -> ireko.restore/ireko.db; is it whole, and ours?; migrate; open
 *   (the caller looks whether its keys open what is sealed in it, and adds what is to be said)
 *   commit  the old one gets the name ireko.db.before-restore, the new one its own; durable
 *   end     what was staged and not committed goes; the lock too
 *
 * Up to the rename in commit the database that is there stays as it is.
 */
#ifndef DB_RESTORE_H
#define DB_RESTORE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db;
struct db_restore;

/* Borrows fd, a regular file. why has 128 bytes, one line.
 * Returns: 0, -EBUSY (the service runs), -EUCLEAN (not whole, or not ours), -EPROTONOSUPPORT (made
 * by a newer version), -EINVAL (no regular file), -ENOSPC, -errno. */
int db_restore_begin(struct db_restore **out, const char *data_dir, int fd, char *why) must_check;
/* The staged database, open and of this version's schema. Borrowed, until commit or end. */
struct db *db_restore_staged(struct db_restore *r);
/* 32 bytes: the SHA-256 of the file as it came. Borrowed, until end. */
const uint8_t *db_restore_sha256(const struct db_restore *r);
/* Returns: 0, -ENOSPC, -errno. */
int db_restore_commit(struct db_restore *r, char *why) must_check;
void db_restore_end(struct db_restore *r);

/* What works again although it was taken away after the backup was made: kind is "credential",
 * "token", "device", "user", "password", "factor" (a login without the second factor that was
 * there) or "invite"; name and owner are text from users. */
typedef void db_restore_tell(
	void *arg, const char *kind, const struct ulid *id, const char *name, const char *owner);
/* After commit: compares with the database before. Returns: how many were told, -ENOENT (there was
 * none), -errno (it can't be read, so nobody knows). */
int db_restore_returned(struct db_restore *r, db_restore_tell *tell, void *arg) must_check;

/* What a restore that was killed has left in the folder. */
void db_restore_clear(const char *data_dir);

#endif
