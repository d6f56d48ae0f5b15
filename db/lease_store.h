/*
 * What devices hold of scarce kinds: dataplane slots and tunnel addresses.
 *
 * One that was released is not given out again for LEASE_QUARANTINE_MS, so that nobody gets the
 * packets of the one who had it before. Allocation goes round: it takes the first free one from
 * where the last was taken, which costs a few index steps, and at worst one walk along the index
 * when the pool is as good as full.
 */
#ifndef DB_LEASE_STORE_H
#define DB_LEASE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { LEASE_QUARANTINE_MS = 180000 };
enum lease_kind { LEASE_SLOT = 0, LEASE_ADDRESS4 = 4, LEASE_ADDRESS6 = 6 };
enum lease_outcome {
	LEASE_OK = 0,
	LEASE_FULL = 1,	   /* nothing in the range is free */
	LEASE_TAKEN,	   /* another device has it */
	LEASE_QUARANTINED, /* it was released a short while ago */
};

/* A big-endian number of 2 (slot), 4 or 16 bytes. */
struct lease_value {
	uint8_t len;
	uint8_t bytes[16];
};

/* Takes the next free value of first..last for the device. now is Unix ms.
 * Returns: LEASE_OK with *out set, LEASE_FULL, -errno. */
int lease_take_next(struct db_conn *tx, enum lease_kind kind, const struct lease_value *first,
	const struct lease_value *last, const struct ulid *device, int64_t now,
	struct lease_value *out) must_check;
/* Takes exactly this one. Returns: LEASE_OK, LEASE_TAKEN, LEASE_QUARANTINED, -errno. */
int lease_take(struct db_conn *tx, enum lease_kind kind, const struct lease_value *v,
	const struct ulid *device, int64_t now) must_check;
/* Returns: 0, -ENOENT (nobody has it), -errno. */
int lease_release(struct db_conn *tx, enum lease_kind kind, const struct lease_value *v,
	int64_t now) must_check;
/* Everything that the device holds, or that all devices of the user hold. */
int lease_release_device(struct db_conn *tx, const struct ulid *device, int64_t now) must_check;
int lease_release_user(struct db_conn *tx, const struct ulid *user, int64_t now) must_check;
/* How many devices the user has, those included that are gone but whose leases still rest. */
int lease_count_user(
	struct db_conn *tx, const struct ulid *user, int64_t now, uint64_t *n) must_check;

#endif
