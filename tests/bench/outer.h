/* The socket that is connected to the server: datagrams, or OpenVPN's packets in a TCP stream, each
 * behind its length. */
#ifndef BENCH_OUTER_H
#define BENCH_OUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { OUTER_FRAME = 2, OUTER_ROOM = 1 << 16 };

struct outer {
	int fd;
	bool stream;
	size_t have; /* stream: bytes that belong to a packet which is not whole yet, or to more */
	uint8_t bytes[2 * OUTER_ROOM];
};

/* fd stays the caller's. */
void outer_init(struct outer *o, int fd);
/* Bytes that stand before each packet: OUTER_FRAME in a stream. */
size_t outer_head(const struct outer *o);
void outer_put_head(const struct outer *o, uint8_t *at, size_t packet);
/* Bytes as they are, heads included. Returns: 0, -errno. */
int outer_send_raw(const struct outer *o, const void *bytes, size_t n) must_check;
/* One packet. Returns: 0, -errno. */
int outer_send(const struct outer *o, const void *packet, size_t n) must_check;
/* Returns: bytes of a packet, 0 after ms without one, or when it is longer than room. */
size_t outer_hear(struct outer *o, uint8_t *packet, size_t room, int ms) must_check;
/* How many packets of at least `least` bytes have come meanwhile; they are thrown away. With
 * UDP_GRO several are one read. */
uint64_t outer_take(struct outer *o, size_t least);

#endif
