/* The TUN device in the kernel's tables: addresses, MTU, queue, up and down. By rtnetlink. */
#ifndef NETCONF_LINK_H
#define NETCONF_LINK_H

#include "base/compiler.h"
#include "netconf/netconf.h"

struct link_nl;

/* Finds the device by name and holds on to its index: a later device of the same name is another
 * one. Returns owned: *out. Returns: 0, -ENODEV, -ENOMEM, -errno of the netlink socket. */
int link_new(struct link_nl **out, const char *name) must_check;
/* Gives the device the first address of each network and no other, with the network's length, so
 * that the kernel adds the routes; sets the MTU and brings it up. Nothing is sent on the device by
 * itself: no autoconfigured address, no duplicate detection, no multicast reports.
 * Returns: 0, -errno of the first step that the kernel refused (logged). */
int link_apply(struct link_nl *l, const struct netconf_networks *w) must_check;
/* Takes the device down, if it is still there. */
void link_down(struct link_nl *l);
void link_free(struct link_nl *l);

#endif
