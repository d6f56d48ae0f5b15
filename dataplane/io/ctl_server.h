/*
 * The door's side in the dataplane: connections, HELLO, requests in, replies and events out.
 *
 *   accepted -> SO_PEERCRED allowed? -> HELLO -> ctl or punt -> frames ... -> closed
 *
 * At most one ctl and one punt connection; a newer one that said HELLO replaces the older, because
 * a restarted control plane must not wait for the corpse of the former. Nothing here ever waits
 * for the other side: a reply that does not fit is kept, and until it is gone nothing more is read.
 * Who asks for the health instead of saying HELLO is answered and takes nobody's place.
 */
#ifndef IO_CTL_SERVER_H
#define IO_CTL_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/isolate.h"
#include "io/ctl_apply.h"
#include "io/punt.h"

struct ctl_server_conf {
	int listener;	     /* borrowed */
	struct identity who; /* its user, its primary group and root may come in */
	const struct ctl_apply *apply;
	struct punt *punt;
	struct punt_sink sink; /* for what comes down the punt connection */
};

struct ctl_server;

/* Returns owned. Returns: 0, -ENOMEM, -errno. */
int ctl_server_new(struct ctl_server **out, const struct ctl_server_conf *conf) must_check;
/* Closes all connections. */
void ctl_server_free(struct ctl_server *s);
/* Readable when a turn has something to do. */
int ctl_server_fd(const struct ctl_server *s);
/* Does what is ready now, a bounded amount of it. */
void ctl_server_turn(struct ctl_server *s);
/* Closes connections that have not said HELLO in time. Call now and then. */
void ctl_server_tick(struct ctl_server *s);
/* Whether a control plane has the ctl connection. */
bool ctl_server_has_control(const struct ctl_server *s);
/* Send an event. Return: false when there is no ctl connection or it is full. */
bool ctl_server_event(struct ctl_server *s, const struct fwd_event *e);
bool ctl_server_closed(struct ctl_server *s, uint32_t connection);

#endif
