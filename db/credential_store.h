/* Credentials of devices. Revoked ones stay for a while, without their secret. */
#ifndef DB_CREDENTIAL_STORE_H
#define DB_CREDENTIAL_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct db_conn;

enum { CREDENTIAL_PSK = 64, CREDENTIAL_PAGE = 256 };

struct credential_row {
	struct ulid id, device_id;
	uint8_t protocol;	 /* 1 WireGuard, 2 OpenVPN */
	uint8_t fingerprint[32]; /* WireGuard: SHA-256 of the public key, OpenVPN: of the
				    certificate */
	uint8_t wg_public[32];
	uint8_t wg_psk[CREDENTIAL_PSK]; /* sealed */
	size_t wg_psk_len;		/* 0 when revoked */
	uint8_t ovpn_serial[16];
	int64_t created_at, expires_at, revoked_at;
};

/* Returns: 0, -EEXIST (the public key is in use), -ENOENT (no such device), -ENOSPC, -errno. */
int credential_insert(struct db_conn *tx, const struct credential_row *c) must_check;
/* Forgets the sealed key as well. Returns: 0, -ENOENT (no such, or revoked already), -errno. */
int credential_revoke(struct db_conn *tx, const struct ulid *id, int64_t now) must_check;
/* Returns: 0, -ENOENT, -errno. */
int credential_get(
	struct db_conn *tx, const struct ulid *id, struct credential_row *out) must_check;
/* Returns: 1 an unrevoked credential has this key, 0, -errno. */
int credential_wg_public_taken(struct db_conn *tx, const uint8_t key[32]) must_check;
/* How many unrevoked ones the device has, expired ones included. */
int credential_count(struct db_conn *tx, const struct ulid *device, uint64_t *n) must_check;
/* Deletes the device's revoked ones but for the newest keep. */
int credential_prune(struct db_conn *tx, const struct ulid *device, size_t keep) must_check;
/* At most cap of the device's credentials with an id above after, oldest first. Returns: how many,
 * -errno. */
int credential_list(struct db_conn *tx, const struct ulid *device, const struct ulid *after,
	struct credential_row *out, size_t cap) must_check;

#endif
