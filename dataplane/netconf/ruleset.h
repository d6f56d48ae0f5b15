/* Text of our nftables table, as one transaction. Pure: settings in, text out. */
#ifndef NETCONF_RULESET_H
#define NETCONF_RULESET_H

#include <stddef.h>

#include "base/compiler.h"
#include "netconf/netconf.h"

enum { RULESET_TEXT = 16384, RULESET_FLOWS = 4096 /* tracked flows one inner address may hold */ };

/* What an old kernel may lack; RULESET_REPLACE says that our own table stands already. */
enum ruleset_flag {
	RULESET_OWNER = 1 << 0, /* nobody else's "flush ruleset" can take the table away (5.12) */
	RULESET_FLOW_CAP = 1 << 1, /* RULESET_FLOWS is enforced (nft_connlimit) */
	RULESET_REPLACE = 1 << 2,
};

/* Longest range of ports from 1024 up that holds none of our own. */
struct port_range {
	uint16_t first, last;
};
struct port_range ruleset_nat_ports(const struct netconf_static *conf);

/* Refuses names that are not plain words for nft, and too many or zero ports. Returns: 0, -EINVAL.
 */
int ruleset_check_static(const struct netconf_static *conf) must_check;
/* Refuses networks that are too wide or have no room for server and device, and an MTU that no
 * link may have. At least one family must be there; IP_NONE says which is not.
 * Returns: 0, -EINVAL. */
int ruleset_check_networks(const struct netconf_networks *w) must_check;

/* Writes the transaction into buf with its NUL; flags are of enum ruleset_flag. Checks first.
 * Returns: 0, -EINVAL, -ENOSPC when cap is too small (RULESET_TEXT never is). */
int ruleset_text(char *buf, size_t cap, const struct netconf_static *conf,
	const struct netconf_networks *w, unsigned flags) must_check;

#endif
