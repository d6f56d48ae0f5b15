/*
 * The peers that should exist, in memory: the database's picture, and what the dataplane is made
 * equal to. Belongs to the loop thread; no locks.
 *
 * A device has tunnel addresses, one slot in the dataplane (its peer id) and any number of
 * credentials. A device or credential that is disabled, revoked or expired is not in here.
 */
#ifndef DIRECTORY_DIRECTORY_H
#define DIRECTORY_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"

enum dir_protocol { DIR_WIREGUARD = 1, DIR_OPENVPN = 2 };

/* What the service hands over, as plain values. */
struct dir_device_conf {
	struct ulid id, user_id;
	uint32_t peer; /* the dataplane's slot */
	struct ip_addr addr4, addr6;
	int64_t expires_at; /* Unix ms, 0: never */
};
struct dir_credential_conf {
	struct ulid id, device_id;
	uint8_t protocol;      /* enum dir_protocol */
	uint8_t wg_public[32]; /* WireGuard: the client's */
	uint8_t wg_psk[32];    /* WireGuard: the pre-shared key, secret */
	uint8_t ovpn_cert[32]; /* OpenVPN: SHA-256 of the client's certificate (DER) */
	uint8_t ovpn_serial[16];
	int64_t expires_at; /* Unix ms, 0: never */
};

struct dir_credential {
	struct dir_credential_conf conf;
	struct dir_device *device;
	struct dir_credential *next; /* of the same device */
	UT_hash_handle by_id;
	UT_hash_handle by_wg_public; /* WireGuard ones */
	UT_hash_handle by_ovpn_cert; /* OpenVPN ones */
};
struct dir_device {
	struct dir_device_conf conf;
	struct dir_credential *credentials;
	UT_hash_handle by_id;
	UT_hash_handle by_peer;
};

struct directory;

int directory_new(struct directory **out) must_check;
void directory_free(struct directory *d); /* wipes pre-shared keys */

/* Adds, or changes the one with this id. Returns: 0, -EEXIST (peer id is another's), -ENOMEM. */
int directory_device_put(struct directory *d, const struct dir_device_conf *c) must_check;
/* Also its credentials. Returns: 0, -ENOENT. */
int directory_device_del(struct directory *d, const struct ulid *id);
/* Returns: 0, -ENOENT (no such device), -EEXIST (public key or certificate in use), -ENOMEM. */
int directory_credential_put(struct directory *d, const struct dir_credential_conf *c) must_check;
int directory_credential_del(struct directory *d, const struct ulid *id);

/* Borrowed until the next change; NULL when there is none. */
struct dir_device *directory_device(struct directory *d, const struct ulid *id);
struct dir_device *directory_device_by_peer(struct directory *d, uint32_t peer);
struct dir_credential *directory_credential(struct directory *d, const struct ulid *id);
struct dir_credential *directory_credential_by_wg_public(
	struct directory *d, const uint8_t key[32]);
struct dir_credential *directory_credential_by_ovpn_cert(
	struct directory *d, const uint8_t cert_sha256[32]);

size_t directory_device_count(const struct directory *d);
/* Calls fn for every device; fn may delete that device or credentials of it and must not change
 * anything else; a result other than 0 ends the walk and is returned. */
int directory_each_device(
	struct directory *d, int (*fn)(void *arg, struct dir_device *dev), void *arg);

#endif
