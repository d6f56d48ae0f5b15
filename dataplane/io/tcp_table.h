/*
 * Who may have a connection, and its number: the table of all of them, with the limits for guests.
 *
 *   free --take--> guest --known--> known
 *     ^              '------.-------'
 *     |                    put --nobody has heard of it--> free
 *     '--told-- untold <----'
 *
 * When there are as many guests as may be, who came as the k-th of its prefix makes room for one
 * that comes as an earlier one of another: a few addresses can't keep everybody else out.
 */
#ifndef IO_TCP_TABLE_H
#define IO_TCP_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "io/tcp.h"
#include "io/tcp_queue.h"
#include "wire/ovpn_wire.h"

struct tcp_connection {
	pthread_mutex_t lock;
	/* Under the lock: */
	uint32_t number; /* 0: nobody's; only the owner changes it and fd */
	int fd;
	int epoll;   /* the owner's */
	bool is_big; /* its queue may be */
	bool waits;  /* for room: the owner will be told */
	bool ended;  /* nothing more is queued or read */
	uint64_t close_at;
	struct tcp_queue queue;
	/* The owner's alone: */
	struct tcp_connection *next, **link; /* in its list */
	struct path path;
	uint64_t since, valid_at;
	bool heard;    /* a whole packet came */
	bool known;    /* a valid data packet came */
	bool punted;   /* the control plane knows of it */
	uint32_t peer; /* of the last valid packet, when known */
	uint8_t *part; /* of a frame: room for the longest */
	size_t part_len;
	/* The table's: */
	uint32_t generation;
	uint32_t last_number;
	uint32_t guest; /* place among the guests, or TCP_NO_GUEST */
};
enum { TCP_NO_GUEST = UINT16_MAX, TCP_PART = OVPN_FRAME_HEAD + OVPN_FRAME_MAX };

struct tcp_table;

/* Returns owned. Returns: 0, -ENOMEM. */
int tcp_table_new(struct tcp_table **out) must_check;
void tcp_table_free(struct tcp_table *t);

/* Any thread. Returns: the connection with its lock held, or NULL when that number is nobody's. */
struct tcp_connection *tcp_table_hold(struct tcp_table *t, uint32_t number);
void tcp_table_release(struct tcp_connection *c);

/* A place for who comes from there. For *evicted != 0 that connection is no guest any more and must
 * be ended. The number is not set yet: *number is what it will be.
 * Returns: NULL when none may come. */
struct tcp_connection *tcp_table_take(struct tcp_table *t, const struct ip_addr *from, uint64_t now,
	uint32_t *number, uint32_t *evicted);
/* It is no guest any more. */
void tcp_table_known(struct tcp_table *t, struct tcp_connection *c);
/* Gives a connection back that has no number any more; it is told when somebody has heard of it.
 */
void tcp_table_put(struct tcp_table *t, struct tcp_connection *c);

/* Control thread: see tcp_tell. */
void tcp_table_tell(struct tcp_table *t, const struct tcp_news *news);

#endif
