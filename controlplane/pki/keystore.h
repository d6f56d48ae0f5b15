/*
 * All long-term private keys, behind a few calls. Nothing here hands a private key out except to
 * be sealed with the master key for the database. Calls may come from any thread.
 */
#ifndef PKI_KEYSTORE_H
#define PKI_KEYSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct keystore;

enum { KEYSTORE_MASTER = 32, KEYSTORE_SEAL_OVERHEAD = 1 + 12 + 16 /* version, nonce, tag */ };

/* Reads the 32-byte master key, or makes the file (0600, durable) when it is missing and create is
 * true. Returns: 0, -ENOENT, -EINVAL (not 32 bytes), -EPERM (others can read it), -errno. */
int keystore_open(struct keystore **out, const char *master_key_file, bool create) must_check;
void keystore_free(struct keystore *ks); /* wipes */

/* AES-256-GCM under the master key with a random nonce; label binds the blob to its purpose and row
 * ("wg-psk:crd_...") and must be given again. out has n + KEYSTORE_SEAL_OVERHEAD bytes.
 * Returns: 0, -EIO. */
int keystore_seal(struct keystore *ks, const char *label, const void *plain, size_t n,
	uint8_t *out) must_check;
/* n is the length of the blob; out has n - KEYSTORE_SEAL_OVERHEAD bytes.
 * Returns: 0, -EBADMSG (wrong key, wrong label, changed). */
int keystore_open_blob(struct keystore *ks, const char *label, const uint8_t *blob, size_t n,
	void *out) must_check;

/* HMAC-SHA-256 under a key that is derived from the master key for this label only.
 * Returns: 0, -EIO. */
int keystore_mac(struct keystore *ks, const char *label, const void *p, size_t n,
	uint8_t out[32]) must_check;

/* The WireGuard server key. Made anew, or taken from its sealed blob; the blob to store is
 * 32 + KEYSTORE_SEAL_OVERHEAD bytes, sealed under KEYSTORE_WG_LABEL. One of the two is called
 * once, before other threads use the keystore. Returns: 0, -EIO; load also -EBADMSG. */
enum { KEYSTORE_WG_BLOB = 32 + KEYSTORE_SEAL_OVERHEAD };
#define KEYSTORE_WG_LABEL "wg-server-key"
int keystore_wg_create(struct keystore *ks, uint8_t blob[KEYSTORE_WG_BLOB]) must_check;
int keystore_wg_load(struct keystore *ks, const uint8_t blob[KEYSTORE_WG_BLOB]) must_check;
/* The server's public key. */
const uint8_t *keystore_wg_public(const struct keystore *ks);
/* X25519(server private, peer). Returns: 0, -EINVAL (all-zero result), -EIO. */
int keystore_wg_dh(struct keystore *ks, const uint8_t peer[32], uint8_t out[32]) must_check;

/* A key pair for a client, WireGuard's form (clamped private key). The caller wipes private_key. */
int keystore_wg_keypair(uint8_t private_key[32], uint8_t public_key[32]) must_check;

#endif
