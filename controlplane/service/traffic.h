/*
 * Traffic of devices over time.
 *
 *   dataplane's counters, once a second
 *     -> what has moved: seconds (memory, 5 min) and the event `traffic`
 *     -> what is pending --once a minute, one transaction--> minutes, hours, days (db)
 *
 * The mark of a device is what of the dataplane's counters has been seen. It is stored with the
 * rows, in the same transaction: after a crash counting goes on at the mark, so nothing is counted
 * twice, and what the dataplane has counted meanwhile is not lost either.
 *
 * Rows are written for devices that moved. What could not be written (the disk is full) stays
 * pending and goes into a later minute.
 */
#ifndef SERVICE_TRAFFIC_H
#define SERVICE_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "db/traffic_store.h"
#include "session/coordinator.h"

struct db;
struct db_conn;
struct events;
struct traffic;

enum {
	TRAFFIC_SECONDS = 300,	    /* how many are kept in memory */
	TRAFFIC_SECONDS_OF = 10000, /* devices at most: 2.4 kB each */
	TRAFFIC_GAP_MS = 3000,	    /* rounds further apart say nothing about a second */
};

/* How long rows are kept, in seconds. */
struct traffic_retention {
	int64_t minutes, hours, days;
};
extern const struct traffic_retention traffic_retention_default;

/* Reads the marks, starts the thread that writes. Borrows db and ev. */
int traffic_new(struct traffic **out, struct db *db, const struct clock *clock,
	struct events *ev) must_check;
/* Ends the thread and writes what is pending. */
void traffic_stop(struct traffic *t);
void traffic_free(struct traffic *t);
/* Takes effect with the next minute that is written. */
void traffic_keep(struct traffic *t, const struct traffic_retention *keep);

void traffic_kept(struct traffic *t, struct traffic_retention *keep);

/* One round of the dataplane's counters. Does not block on the database. */
void traffic_counted(
	struct traffic *t, const struct ulid *boot, const struct device_counters *c, size_t n);
/* The device is gone. */
void traffic_forget(struct traffic *t, const struct ulid *device);
/* Writes what is pending when its minute is over, or in any case. Returns: 0, -errno (it is kept).
 */
int traffic_flush(struct traffic *t, bool in_any_case) must_check;

/* ---- reading ---- */

/* What is not in the database yet; its minute began at `at`, 0: nothing. */
struct traffic_pending {
	struct ulid device_id; /* in; zero: all devices */
	struct traffic_sum sum;
};
/* Begins a read transaction and fills in what that snapshot does not hold yet. Returns: 0, -errno.
 */
int traffic_read(
	struct traffic *t, struct traffic_pending *p, size_t n, struct db_conn **tx) must_check;
/* Seconds from `from` on and before `to`, of a device or (zero) of all; those in which nothing
 * moved are left out. Returns: how many, at most cap. */
size_t traffic_seconds(struct traffic *t, const struct ulid *device, int64_t from, int64_t to,
	struct traffic_sum *out, size_t cap);

#endif
