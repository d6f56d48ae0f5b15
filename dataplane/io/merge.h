/*
 * Runs of inner packets, put together into super-packets for the TUN device. Pure: nothing is
 * copied, a frame is a list of pieces.
 *
 *      packet 1: header payload, packet 2: header payload, ...
 *      --> virtio header | header' payload 1 | payload 2 | ...
 *
 * Packets join when the kernel, cutting the super-packet, would make the same ones again: one flow,
 * same header but for length, number and checksum, payload of one size but for a shorter last one.
 * Their checksums are verified before, as the frame asks the kernel to make new ones. What can't
 * join stands alone. Frames come in the order of their first packets, and a packet never joins
 * a frame before one of its own flow that stands alone; fragments, options and whatever else has no
 * flow that can be seen end all runs.
 */
#ifndef IO_MERGE_H
#define IO_MERGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "wire/vnet_hdr.h"

enum {
	MERGE_PACKETS = 256,
	MERGE_RUN = 64,	  /* packets of one frame; the kernel cuts UDP into no more */
	MERGE_OPEN = 16,  /* runs that packets may still join */
	MERGE_HEAD = 100, /* longest IPv6 and TCP header */
};

struct merge_run {
	uint32_t first, last; /* packets, linked by next */
	uint32_t n;
	uint32_t len;  /* of the super-packet so far */
	uint32_t size; /* payload of its first packet */
	uint32_t seq;  /* TCP: what the next packet must have */
	uint16_t l4, head;
	bool v6, udp;
	bool open;
	bool verified;	 /* the first packet's checksums are right */
	uint8_t id_step; /* IPv4: how the identification rises; known from the second packet on */
};

struct merge {
	bool tcp, udp; /* what may be merged */
	uint32_t n_packets, n_runs, n_open;
	struct {
		uint8_t *data;
		uint32_t len, next;
	} packets[MERGE_PACKETS];
	struct merge_run runs[MERGE_PACKETS];
	uint32_t open[MERGE_OPEN]; /* in the order of their beginning */
	uint8_t saved[MERGE_HEAD]; /* header of the last frame */
};

void merge_begin(struct merge *m, bool tcp, bool udp);
/* Takes an IP packet whose length agrees with its header; data is borrowed until merge_begin.
 * Returns: false when there is no more room. */
bool merge_add(struct merge *m, uint8_t *data, uint32_t len);

/* Frames 0 to n_runs - 1, when all packets were added: writes what is to be put before it and its
 * pieces (MERGE_RUN of them at most); the first packet's header is changed. Returns: how many
 * pieces. */
size_t merge_frame(struct merge *m, uint32_t run, struct vnet_hdr *h, struct iovec *iov);
/* Takes that back, right after it, and gives its packets one by one, as they came. */
size_t merge_apart(struct merge *m, uint32_t run, struct iovec *packets);

#endif
