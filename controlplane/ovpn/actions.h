/* What the engine wants done, in order: a queue whose nodes are as long as what they carry. */
#ifndef OVPN_ACTIONS_H
#define OVPN_ACTIONS_H

#include <stdbool.h>

#include "base/compiler.h"
#include "ovpn/ovpn_engine.h"

struct queued;
/* Zeroed is empty. */
struct actions {
	struct queued *first, *last;
};

void actions_clear(struct actions *q); /* wipes */
/* Copies a, of its bytes the first a->len. Returns: 0, -ENOMEM. */
int actions_push(struct actions *q, const struct ovpn_action *a) must_check;
/* Memory for an action without bytes that must not get lost; NULL when there is none. */
struct queued *actions_reserve(void);
void actions_release(struct queued *reserved);
/* Takes reserved. */
void actions_push_reserved(struct actions *q, struct queued *reserved, const struct ovpn_action *a);
bool actions_pop(struct actions *q, struct ovpn_action *out);
/* Takes back what was asked for a session, but for what is to be sent and closed. */
void actions_forget(struct actions *q, uint64_t session);

void ovpn_action_wipe(struct ovpn_action *a);

#endif
