/* Kernel switches that the tunnel needs, set and given back. */
#ifndef NETCONF_SYSCTL_H
#define NETCONF_SYSCTL_H

#include <stdbool.h>

#include "base/compiler.h"

struct sysctls;

/* Remembers nothing yet. Root is "/proc/sys/net" outside tests; borrowed. Returns owned: *out.
 * Returns: 0, -ENOMEM. */
int sysctls_new(struct sysctls **out, const char *root) must_check;
bool sysctls_have_ipv6(const struct sysctls *s);
/* Turns forwarding on for both families and strictness on for the TUN. What it finds as wanted it
 * doesn't write, so a read-only /proc/sys that was prepared is fine.
 * Returns: 0, -errno when forwarding of a wanted family can't be turned on (logged). */
int sysctls_apply(struct sysctls *s, const char *tun, bool ipv6) must_check;
/* Gives back what was changed and nobody changed since, last first. */
void sysctls_restore(struct sysctls *s);
void sysctls_free(struct sysctls *s);

#endif
