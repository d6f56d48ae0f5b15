/*
 * Clients that nobody can call: OpenVPN over UDP, after a restart of the dataplane, when their TLS
 * session has died with a control plane before us.
 *
 *   SESSION_SET_REPLY: a goodbye, sealed by the dataplane -> confirmed -> device_state, stored
 *   another boot, no control channel -> REINJECT of it, as it is -> AGAIN_MS -> once more
 *
 * The client takes it for its server's goodbye and connects anew. Twice, as datagrams get lost, and
 * then it is forgotten. It lets nobody in; still, who may not come back is told nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "session/loop.h"
#include "wire/classify.h"

/* A client that has heard it rests for a second and has shaken hands by then. */
enum { AGAIN_MS = 1500 };

int farewell_plan(struct coordinator *c, size_t most)
{
	free(c->again);
	c->n_again = c->told_again = 0;
	c->again = calloc(most + 1, sizeof(*c->again));
	return c->again ? 0 : -ENOMEM;
}

/* What was stored may be damaged, and a dataplane hangs up on whoever has it send anything else. */
static bool can_be_said(const struct device_state *s)
{
	return s->path.remote.addr.family != IP_NONE &&
	       wire_is_ovpn_occ(s->farewell.bytes, s->farewell.len);
}

/* NULL: there is nobody to tell, he may not come back, or he is on his way. */
static struct live *whom_to_tell(struct coordinator *c, struct dir_device *dev)
{
	struct live *l = session_table_find(c->table, &dev->conf.id);
	if (!l || l->up || l->pending.seq || !l->state.was_up || !can_be_said(&l->state))
		return NULL;
	const struct dir_credential *cr = directory_credential(c->dir, &l->state.credential);
	return cr && cr->device == dev && cr->conf.protocol == DIR_OPENVPN ? l : NULL;
}

static void say(struct coordinator *c, const struct live *l)
{
	dp_client_reinject(c->dp, &l->state.path, l->state.farewell.bytes, l->state.farewell.len);
}

void farewell_tell(struct coordinator *c, struct dir_device *dev)
{
	struct live *l = whom_to_tell(c, dev);
	if (!l)
		return;
	char id[ULID_TEXT];
	log_debug("session", "device dev_%s: told to connect anew: the dataplane was restarted",
		ulid_format(&dev->conf.id, id));
	say(c, l);
	c->again[c->n_again++] = (struct farewell_again){dev->conf.id, loop_now(c) + AGAIN_MS};
}

void farewell_tick(struct coordinator *c)
{
	for (int i = 0; i < RECALLS_PER_TURN && c->told_again < c->n_again; i++) {
		const struct farewell_again *a = &c->again[c->told_again];
		if (a->due > loop_now(c))
			return;
		c->told_again++;
		struct dir_device *dev = directory_device(c->dir, &a->device);
		struct live *l = dev ? whom_to_tell(c, dev) : NULL;
		if (!l)
			continue;
		say(c, l);
		session_table_farewell(c->table, l, NULL);
	}
}
