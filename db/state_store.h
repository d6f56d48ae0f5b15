/* What the control plane wants to know again after a restart: counters, paths, replay guards. */
#ifndef DB_STATE_STORE_H
#define DB_STATE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

struct traffic_row {
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
};
enum { DEVICE_FAREWELL_MAX = 64 };
struct device_state_row {
	struct ulid device_id, boot_id;
	uint64_t epoch;
	struct traffic_row total, seen; /* since creation; of it counted in that boot and epoch */
	struct path path;
	struct ulid credential_id;
	int64_t last_handshake_at;
	bool was_up;
	uint8_t farewell[DEVICE_FAREWELL_MAX]; /* a packet for its client (db/README.md) */
	uint8_t farewell_len;
};

/* Adds or replaces; for a device or credential that is gone nothing is written, and that is no
 * error. Returns: 0, -ENOSPC, -errno. */
int device_state_set(struct db_conn *tx, const struct device_state_row *s) must_check;
/* Never goes back: a smaller timestamp is not written. */
int credential_state_set(struct db_conn *tx, const struct ulid *credential,
	const uint8_t wg_greatest[12]) must_check;
/* Returns: 0, -ENOENT, -errno. */
int device_state_get(
	struct db_conn *tx, const struct ulid *device, struct device_state_row *out) must_check;
int credential_state_get(
	struct db_conn *tx, const struct ulid *credential, uint8_t wg_greatest[12]) must_check;

#endif
