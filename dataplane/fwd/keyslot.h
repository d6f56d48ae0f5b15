/*
 * A peer's three key slots (reference B7, A18).
 *
 *      responder's new keys -> next --first valid packet--> current -> previous -> out
 *      initiator's new keys ------------------------------> current
 *
 * OpenVPN's keys are a responder's. Its client may rekey again before it has used the last keys;
 * those then wait in previous, from where their first packet makes them current as well.
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

enum { KEYSLOT_LINGER_MS = 60 * 1000 };

struct keyslots {
	_Atomic(struct session *) current, next, previous;
	_Atomic(struct session *) out; /* list through session.next */
};

struct session *keyslot_current(const struct keyslots *k);
struct session *keyslot_next(const struct keyslots *k);
/* Returns: current; or, when there is none, the OpenVPN session in next, which is the peer's last
 * news; or NULL. */
struct session *keyslot_in_use(const struct keyslots *k);
/* Returns: a session whose peer said goodbye, or NULL. */
struct session *keyslot_farewell(const struct keyslots *k);
bool keyslot_has_out(const struct keyslots *k);
bool keyslots_empty(const struct keyslots *k); /* also out */

/* Our response is about to go: into next, an older next and previous leave. OpenVPN: previous
 * stays, and an older next of the same tunnel takes its place. */
void keyslot_install_responder(struct keyslots *k, struct session *s);
/* A response was verified: into current. Slots of another credential leave, and when either is
 * OpenVPN's, those of another tunnel. */
void keyslot_install_initiator(struct keyslots *k, struct session *s);
/* The first valid packet came on s. When s is in next it becomes current, and slots of others
 * leave as above. Returns: whether s is in a slot at all. */
bool keyslot_promote(struct keyslots *k, struct session *s);

/* Returns: the session of that number, or NULL. */
struct session *keyslot_find(const struct keyslots *k, uint64_t seq);

/* Everything of that credential leaves, or everything when it is NULL. Returns: how many. */
uint32_t keyslot_drop(struct keyslots *k, const struct ulid *credential);
void keyslot_drop_tunnel(struct keyslots *k, const struct ulid *tunnel);
/* connection is not 0. */
void keyslot_drop_connection(struct keyslots *k, uint32_t connection);
/* What is too old leaves (T10); of OpenVPN also what is used up, and what has been previous for
 * KEYSLOT_LINGER_MS. Tick only: it notes there since when that is. */
void keyslot_expire(struct keyslots *k, uint64_t now);
/* Hands over the list of those that left. */
struct session *keyslot_take_out(struct keyslots *k);

#endif
