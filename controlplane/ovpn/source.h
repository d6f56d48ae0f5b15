/* Whom a limit is for: a /24 of IPv4, a /64 of IPv6. What is behind one of them is taken for one.
 */
#ifndef OVPN_SOURCE_H
#define OVPN_SOURCE_H

#include <stdint.h>
#include <string.h>

#include "base/addr.h"

struct source {
	uint8_t family;
	uint8_t net[8]; /* the rest is zero */
};

static inline struct source source_of(const struct ip_addr *a)
{
	struct source s = {.family = a->family};

	memcpy(s.net, a->bytes, a->family == IP_V4 ? 3 : sizeof(s.net));
	return s;
}

#endif
