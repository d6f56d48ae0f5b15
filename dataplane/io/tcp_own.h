/* What tcp.c and tcp_send.c share. */
#ifndef IO_TCP_OWN_H
#define IO_TCP_OWN_H

#include "io/tcp.h"
#include "io/tcp_table.h"

/* Of one worker, only its own thread touches it. */
struct tcp_worker {
	int epoll;
	struct tcp_connection *connections;
	uint64_t ticked;
	bool deaf; /* no descriptor was left for a connection: listen again at the next tick */
	/* What was read and not taken yet: buffer[at..end), of reading (NULL: nothing). */
	struct tcp_connection *reading;
	uint8_t *buffer;
	size_t at, end;
	bool full; /* it was as much as is read at once */
};

struct tcp {
	struct tcp_conf conf;
	struct tcp_table *table;
	struct tcp_worker workers[];
};

/* How epoll names a connection. */
static inline uint64_t tcp_event(uint32_t number)
{
	return 1ull << 32 | number;
}

/* With the lock held: */

/* Sends what waits, as much as there is room for. */
void tcp_flush(struct tcp_connection *c);
/* The stream is broken or not wanted any more: the owner sees that and ends it. */
void tcp_cut(struct tcp_connection *c);

#endif
