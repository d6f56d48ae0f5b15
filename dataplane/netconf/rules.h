/* Our nftables table in the kernel: replaced whole, removed whole. */
#ifndef NETCONF_RULES_H
#define NETCONF_RULES_H

#include "base/compiler.h"
#include "netconf/netconf.h"

struct rules;

/* Opens libnftables; touches nothing. Returns owned: *out. Returns: 0, -ENOMEM. */
int rules_new(struct rules **out) must_check;
/* Replaces the table in one transaction: on an error the old one stands. Returns: 0, -EINVAL for
 * settings that ruleset_text refuses, -EPROTO when nft refused (logged). */
int rules_apply(struct rules *r, const struct netconf_static *conf,
	const struct netconf_networks *w) must_check;
/* Removes the table, if rules_apply made one. */
void rules_remove(struct rules *r);
void rules_free(struct rules *r);

#endif
