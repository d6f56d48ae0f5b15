/*
 * Super-packets from the TUN device, cut into the packets that they stand for. Pure.
 *
 *      virtio header | IP, TCP or UDP header | payload 1 | payload 2 | ... | the rest
 *      --> header' payload 1, header' payload 2, ..., header' rest
 *
 * Every packet gets its own lengths, numbers, flags and checksums; copying and summing are one
 * pass. What is a packet already only gets the checksum that the kernel left to us.
 */
#ifndef IO_SEGMENT_H
#define IO_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/vnet_hdr.h"

struct segments {
	const uint8_t *packet;
	uint32_t len;
	uint16_t l4;   /* where TCP or UDP begins */
	uint16_t head; /* where the payload begins */
	uint16_t size; /* payload of each but the last */
	bool v6, udp;
	/* Running sums (wire/inet_sum.h) of what no packet changes: of the IPv4 header; of the
	 * pseudo-header and the header of TCP or UDP. */
	uint64_t ip_sum, l4_sum;
	uint32_t at; /* what has been cut off ends here */
	uint32_t n;  /* packets cut off so far */
};

enum segment_outcome {
	SEGMENT_WHOLE = 0, /* one packet, finished where it is */
	SEGMENT_SUPER = 1, /* s gives the packets */
	SEGMENT_BAD = 2,   /* header and packet contradict each other */
};

/* Looks at what was read; packet is borrowed until the last segment. */
enum segment_outcome segment_begin(
	struct segments *s, const struct vnet_hdr *h, uint8_t *packet, uint32_t len) must_check;
/* How many packets are left, and the length of the longest of them. */
uint32_t segment_left(const struct segments *s);
uint32_t segment_max(const struct segments *s);
/* Writes the next packet. Returns: its length. */
uint32_t segment_next(struct segments *s, uint8_t *out);

#endif
