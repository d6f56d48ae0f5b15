/*
 * Lowering the MSS option of TCP's SYN packets, so that what the inner connection sends fits the
 * outer path without fragments (reference A21). Pure; the packet is changed in place.
 */
#ifndef FWD_MSS_H
#define FWD_MSS_H

#include <stdint.h>

#include "base/addr.h"

/* Longest inner packet that should come from TCP over a path: outer IP and UDP or TCP, and the
 * data packet's overhead, within 1492 bytes. */
uint32_t mss_inner_max(const struct path *path, uint32_t overhead);

/* When the IP packet at p (len is its total length, its header was checked by ip_hdr_parse) is a
 * SYN whose MSS would allow packets longer than inner_max, its MSS is lowered and the checksum
 * adjusted. Anything else, or whose lengths do not agree, stays as it is. */
void mss_clamp(uint8_t *p, uint32_t len, uint32_t inner_max);

#endif
