/*
 * What is written in the background, one transaction a second: state from the coordinator, and
 * when tokens and logins were last used. Of everything only the latest is kept, so memory is
 * bounded by the number of devices, credentials and logins. What could not be written (the disk is
 * full) stays and is tried again.
 */
#ifndef SERVICE_RECORDER_H
#define SERVICE_RECORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "session/coordinator.h"

struct db;
struct recorder;

/* A login ends when it was not used for so long, and after so long in any case. */
enum { LOGIN_IDLE_MS = 30 * 60 * 1000, LOGIN_MAX_MS = 12 * 3600 * 1000 };
/* Use of tokens and logins is written at most this often. */
enum { RECORDER_USE_MS = 60 * 1000 };
enum recorder_use { RECORDER_TOKEN, RECORDER_LOGIN };

/* Borrows db. Starts the thread, which also calls also(arg) (unless NULL) after each flush: for
 * what else there is to do in the background, in transactions of its own. */
int recorder_new(struct recorder **out, struct db *db, const struct clock *clock,
	int (*also)(void *arg), void *arg) must_check;
/* Ends the thread and writes what is left; also is not called any more. */
void recorder_stop(struct recorder *r);
void recorder_free(struct recorder *r);

/* Do not block on the database. */
void recorder_device_state(struct recorder *r, const struct device_state *st, size_t n);
void recorder_credential_state(struct recorder *r, const struct credential_state *st, size_t n);

/* When it was last used, to our knowledge; stored is what the database says. */
int64_t recorder_last_use(struct recorder *r, const struct ulid *id, int64_t stored);
void recorder_use(struct recorder *r, enum recorder_use what, const struct ulid *id, int64_t stored,
	int64_t now);

/* Writes what is due now. Returns: 0, -errno (it is kept). */
int recorder_flush(struct recorder *r) must_check;

#endif
