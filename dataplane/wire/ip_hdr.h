/*
 * The header of an inner IP packet, as far as forwarding needs it (RFC 791, RFC 8200).
 *
 * Nothing of the payload is looked at: extension headers, fragments and options pass unseen.
 */
#ifndef WIRE_IP_HDR_H
#define WIRE_IP_HDR_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct ip_hdr {
	struct ip_addr src, dst; /* an IPv4-mapped IPv6 address stays IPv6 here */
	uint32_t total;		 /* bytes of the whole packet, at most what was available */
};

enum ip_hdr_outcome {
	IP_HDR_OK = 0,
	IP_HDR_BAD = 1, /* no version 4 or 6, or lengths that contradict each other or len */
};

/* Reads the header at p, of which len bytes are there; more than the packet's own length may
 * follow (padding). Writes out only on success. Returns: IP_HDR_OK, IP_HDR_BAD. */
enum ip_hdr_outcome ip_hdr_parse(struct ip_hdr *out, const uint8_t *p, size_t len) must_check;

#endif
