/* Bytes that wait for a connection: a ring with a bound, whose memory is there only while something
 * waits. No lock of its own. */
#ifndef IO_TCP_QUEUE_H
#define IO_TCP_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"

/* All zero it is empty. */
struct tcp_queue {
	uint8_t *bytes; /* NULL: nothing waits */
	size_t cap, at, len;
};

/* How many bytes may be put, when an empty one may grow to cap. */
size_t tcp_queue_room(const struct tcp_queue *q, size_t cap);
/* Appends; n is at most the room for that cap. Returns: 0, -ENOMEM. */
int tcp_queue_put(struct tcp_queue *q, size_t cap, const void *bytes, size_t n) must_check;
/* What waits, in order. Returns: how many of iov are used, 0 to 2. */
size_t tcp_queue_view(const struct tcp_queue *q, struct iovec iov[2]);
/* The first n bytes have gone; gives the memory back with the last. */
void tcp_queue_take(struct tcp_queue *q, size_t n);
void tcp_queue_drop(struct tcp_queue *q);

#endif
