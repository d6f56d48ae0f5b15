/* Devices. Addresses are tunnel addresses; their leases are lease_store's. */
#ifndef DB_DEVICE_STORE_H
#define DB_DEVICE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { DEVICE_NAME = 65, DEVICE_PEERS = 65536 };

struct device_row {
	struct ulid id, user_id;
	char name[DEVICE_NAME];
	uint32_t peer; /* slot in the dataplane, below DEVICE_PEERS */
	struct ip_addr address4, address6;
	bool enabled;
	int64_t expires_at, created_at, updated_at; /* Unix ms, 0: never */
	uint64_t revision;
	bool user_disabled; /* read only, from its user */
};

/* Its leases are taken and released in the same transaction, checked at its commit.
 * Returns: 0, -EEXIST (name, slot or address is taken), -ENOENT (no such user), -ENOSPC, -errno. */
int device_insert(struct db_conn *tx, const struct device_row *d) must_check;
/* Writes name, addresses, enabled, expires_at, updated_at, revision. Returns: the same. */
int device_update(struct db_conn *tx, const struct device_row *d) must_check;
/* Its credentials go with it. Returns: 0, -ENOENT, -errno. */
int device_delete(struct db_conn *tx, const struct ulid *id) must_check;
/* The device's own representation has changed (its credentials): revision and updated_at. */
int device_touch(struct db_conn *tx, const struct ulid *id, int64_t now) must_check;
/* Returns: 0, -ENOENT, -errno. */
int device_get(struct db_conn *tx, const struct ulid *id, struct device_row *out) must_check;
/* Returns: 1 the user has a device of this name, 0, -errno. */
int device_name_taken(struct db_conn *tx, const struct ulid *user, const char *name) must_check;
/* At most cap rows with an id above after, in the order of their ids; user NULL: everybody's.
 * Returns: how many, -errno. */
int device_list(struct db_conn *tx, const struct ulid *user, const struct ulid *after,
	struct device_row *out, size_t cap) must_check;

#endif
