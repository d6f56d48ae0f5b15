/*
 * A peer's three key slots (reference B7).
 *
 *      responder's new keys -> next --first valid packet--> current -> previous -> out
 *      initiator's new keys ------------------------------> current
 *
 * next and previous only receive, current also sends. Readers load a slot without a lock; the
 * functions below change them under the peer's lock. A session that leaves goes to out, marked
 * dead, until the control thread fetches it, unpublishes its index and frees it.
 */
#ifndef FWD_KEYSLOT_H
#define FWD_KEYSLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ulid.h"

struct session;

struct keyslots {
	_Atomic(struct session *) current, next, previous;
	_Atomic(struct session *) out; /* list through session.next */
};

struct session *keyslot_current(const struct keyslots *k);
struct session *keyslot_next(const struct keyslots *k);
bool keyslot_has_out(const struct keyslots *k);
bool keyslots_empty(const struct keyslots *k); /* also out */

/* Our response is about to go: into next, an older next and previous leave. */
void keyslot_install_responder(struct keyslots *k, struct session *s);
/* A response was verified: into current. Slots of another credential leave. */
void keyslot_install_initiator(struct keyslots *k, struct session *s);
/* The first valid packet came on s. When s is in next it becomes current, and slots of another
 * credential leave. Returns: whether s is in a slot at all. */
bool keyslot_promote(struct keyslots *k, struct session *s);

/* Everything of that credential leaves, or everything when it is NULL. Returns: how many. */
uint32_t keyslot_drop(struct keyslots *k, const struct ulid *credential);
/* What is too old leaves (T10). */
void keyslot_expire(struct keyslots *k, uint64_t now);
/* Hands over the list of those that left. */
struct session *keyslot_take_out(struct keyslots *k);

#endif
