/*
 * What makes the audit log tamper-evident. Computation and reading, no decisions.
 *
 *	hash(n) = SHA-256(label | hash(n - 1) | row n, every field with its length before it)
 *	mac     = HMAC-SHA-256(key from the master key, both ends of the chain)
 *
 * Whoever can write the database but has no master key can compute hashes, so a log that was
 * rewritten from some row on is consistent in itself; the MAC of its end is what he can't make.
 */
#ifndef SERVICE_AUDIT_CHAIN_H
#define SERVICE_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "db/audit_store.h"

struct keystore;

/* The hash of r (whose own hash is not looked at) after the row with the hash before.
 * Returns: 0, -EIO. */
int audit_chain_hash(
	const uint8_t before[32], const struct audit_row *r, uint8_t out[32]) must_check;

/* Puts the MAC into h. Returns: 0, -EIO. */
int audit_chain_seal(struct keystore *ks, struct audit_head *h) must_check;
/* The MAC is right, or nothing was written yet. */
bool audit_chain_genuine(struct keystore *ks, const struct audit_head *h);

struct audit_walk {
	uint64_t next;	  /* the number that must come */
	uint8_t hash[32]; /* of the row before it */
	uint64_t rows;	  /* seen */
	uint64_t broken;  /* the first number whose row is not what was written, 0: none */
};
/* Follows the chain over at most `most` rows whose time is before older_than.
 * Returns: 0 (a broken chain too, see broken), -errno. */
int audit_chain_walk(
	struct db_conn *tx, struct audit_walk *w, uint64_t most, int64_t older_than) must_check;

#endif
