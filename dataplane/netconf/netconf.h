/*
 * What the kernel must know about the tunnel: addresses and routes of the TUN device, forwarding,
 * NAT and isolation. Netlink through libmnl, rules through libnftables; never a shell.
 *
 * A helper process keeps CAP_NET_ADMIN and does only this, because the process that faces the
 * network must have no capability:
 *
 *   ireko-dataplane (no capability) --socketpair: CONFIG--> netconf helper (CAP_NET_ADMIN)
 *
 * The helper is forked before threads exist. It answers each CONFIG after everything stands; rules
 * stand before the device is up. When its socket closes, however the dataplane ended, it removes
 * its table and gives the changed sysctls back, then exits. A lock file in the run folder makes a
 * restarted dataplane's helper wait for the old one's clean-up.
 */
#ifndef NETCONF_NETCONF_H
#define NETCONF_NETCONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/isolate.h"

enum { NETCONF_PORTS = 16 };

struct netconf_static {
	char tun[16]; /* the device, which exists already; also the nftables table's name */
	bool nat;     /* masquerade what leaves the tunnel network */
	uint16_t ports[NETCONF_PORTS]; /* our listening ports, UDP and TCP alike: never shadowed by
					  NAT */
	uint32_t n_ports;
	char lock_path[108];
	struct identity who; /* the helper becomes this, with CAP_NET_ADMIN only */
};
struct netconf_networks {
	struct ip_prefix net4, net6; /* the server is the first address of each */
	uint16_t mtu;
};

struct netconf;

/* Forks the helper, waits until it has the lock and has given up its privileges. An earlier one
 * gets 5 s for its clean-up. Conf is borrowed for the call. Returns: 0, -EINVAL for a name or port
 * that can't be, -ENODEV, -EBUSY when another dataplane holds the lock, -errno. */
int netconf_start(struct netconf **out, const struct netconf_static *conf) must_check;
/* Makes the kernel equal to this; called again it changes what differs, in one atomic replacement
 * of the rules. Blocks until done (at most 5 s). Returns: 0, -errno of the step that failed (the
 * helper has logged which). */
int netconf_apply(struct netconf *n, const struct netconf_networks *w) must_check;
/* Descriptor that becomes readable when the helper has died. The dataplane must end then, because
 * the kernel has removed the rules with their owner. */
int netconf_fd(const struct netconf *n);
/* Ends the helper, waits for its clean-up. */
void netconf_stop(struct netconf *n);

#endif
