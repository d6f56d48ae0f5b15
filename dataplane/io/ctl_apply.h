/*
 * Requests of the control plane, applied. A frame in, a reply frame out; no socket here.
 *
 *   ctl_server -> ctl_apply -> fwd, and through callbacks: netconf, admission, workers, TCP
 */
#ifndef IO_CTL_APPLY_H
#define IO_CTL_APPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "base/usage.h"
#include "fwd/fwd.h"
#include "io/offloads.h"
#include "netconf/netconf.h"

/* What lies outside of fwd; plugged in by main. */
struct ctl_ops {
	/* Makes the kernel's side equal to the networks. Returns: 0, -errno. */
	int (*configure)(void *arg, const struct netconf_networks *networks);
	/* From now on admission goes by this public key and these bits of enum uapi_openvpn. */
	void (*admission)(void *arg, const uint8_t wg_public[32], uint8_t openvpn);
	/* A session that can seal has just been installed: run the timers and look for staged
	 * packets. A responder's can't before its first packet. */
	void (*session_installed)(void *arg);
	/* That TCP connection ends after what is queued. */
	void (*connection_close)(void *arg, uint32_t connection);
	/* What this process takes of the machine. */
	void (*usage)(void *arg, struct usage *out);
	void *arg;
};

/* What STATUS_GET and HELLO tell, const after start (but for the offloads, which workers drop). */
struct ctl_facts {
	struct ulid boot_id;
	uint32_t max_peers;
	uint32_t max_indices;
	uint32_t max_peer_ids;
	uint32_t workers;
	uint64_t started_ms; /* monotonic */
	char tun[16];
	const char *const *listeners; /* texts in the order of listener numbers */
	uint32_t n_listeners;
	uint32_t udp_listeners; /* bit n: listener n is open, so a path may name it */
	uint32_t tcp_listeners;
	const struct offloads *offloads;
};

struct ctl_apply {
	struct fwd *fwd;
	struct clock clock;
	struct ctl_ops ops;
	const struct ctl_facts *facts;
};

/* Applies one request of the ctl connection, after HELLO, and writes its reply. Requests that fail
 * are answered with an errno. The caller wipes the frame.
 * Returns: length of the reply, -EBADMSG or -EPROTO (close the connection). */
int ctl_apply(const struct ctl_apply *a, const uint8_t *frame, size_t len, uint8_t *reply,
	size_t cap) must_check;

/* Write an event frame. Return: its length, 0 when it does not fit. */
size_t ctl_event(const struct fwd_event *e, uint8_t *frame, size_t cap);
size_t ctl_event_closed(uint32_t connection, uint8_t *frame, size_t cap);

#endif
