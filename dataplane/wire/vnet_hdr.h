/*
 * What the kernel puts in front of every packet of a TUN device with IFF_VNET_HDR, and expects
 * there (virtio 1.2, 5.1.6). The short form of ten bytes, in the machine's own byte order.
 */
#ifndef WIRE_VNET_HDR_H
#define WIRE_VNET_HDR_H

#include <stdint.h>

enum {
	VNET_NEEDS_CSUM = 1, /* flags: the sum at csum_start + csum_offset is begun only */
	/* gso_type */
	VNET_NONE = 0,
	VNET_TCP4 = 1,
	VNET_TCP6 = 4,
	VNET_UDP = 5,	 /* datagrams of gso_size, not fragments */
	VNET_ECN = 0x80, /* a bit beside the type */
};

struct vnet_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size; /* payload of one segment */
	uint16_t csum_start;
	uint16_t csum_offset;
};
_Static_assert(sizeof(struct vnet_hdr) == 10, "the short form");

#endif
