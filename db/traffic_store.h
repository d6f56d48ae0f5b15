/* Traffic history: bytes of a series in steps of a minute, an hour and a day. Times are Unix
 * seconds. */
#ifndef DB_TRAFFIC_STORE_H
#define DB_TRAFFIC_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { TRAFFIC_MINUTE = 60, TRAFFIC_HOUR = 3600, TRAFFIC_DAY = 86400 };
enum { TRAFFIC_ALL = 1 }; /* number of the series of all devices */

/* What of the dataplane's counters is in the history. */
struct traffic_mark {
	int64_t number; /* of the series; 0: not known yet */
	struct ulid device_id, boot_id;
	uint64_t epoch, rx_bytes, tx_bytes;
};
struct traffic_sum {
	int64_t at;
	uint64_t rx_bytes, tx_bytes;
};

/* At most cap marks of devices with a number above after, in the order of their numbers. Returns:
 * how many, -errno. */
int traffic_mark_list(
	struct db_conn *tx, int64_t after, struct traffic_mark *out, size_t cap) must_check;
/* Writes the mark; one without a number gets the device's, or a new one. Returns: 0, -ENOENT (no
 * such device), -ENOSPC, -errno. */
int traffic_mark_set(struct db_conn *tx, struct traffic_mark *m) must_check;
/* Returns: 0, -ENOENT (nothing was written of it), -errno. */
int traffic_number(struct db_conn *tx, const struct ulid *device, int64_t *number) must_check;

/* Adds to the steps of every length that hold that time. Returns: 0, -ENOSPC, -errno. */
int traffic_add(struct db_conn *tx, int64_t number, const struct traffic_sum *s) must_check;
/* Sums of one length from `from` on and before `to`, which are multiples of step; what moved
 * nothing is left out. Returns: how many (at most cap), -errno. */
int traffic_sums(struct db_conn *tx, uint32_t step, int64_t number, int64_t from, int64_t to,
	struct traffic_sum *out, size_t cap) must_check;
/* Removes what is older than before, the oldest steps only so that no transaction grows long.
 * Returns: 0, -errno. */
int traffic_purge(struct db_conn *tx, uint32_t step, int64_t before) must_check;

#endif
