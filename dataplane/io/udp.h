/*
 * The outer sockets: one per listening address and worker, in batches.
 *
 * All sockets of one address share the port (SO_REUSEPORT). A filter in the kernel hands a data
 * datagram to the worker that its receiver index or peer-id names, so that a session has one worker
 * whatever address it comes from or to; other datagrams are spread by their addresses.
 *
 * Every datagram is sent from the address that its path names as local. The kernel may fragment:
 * an outer datagram that is too big for some link is better late than lost.
 *
 * Where the kernel can, runs of datagrams of one size cross the door as one: UDP_SEGMENT when they
 * are sent to one peer, UDP_GRO when they come from one. A run that it refuses is sent again, one
 * by one, and what it refuses for good is not tried again.
 */
#ifndef IO_UDP_H
#define IO_UDP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "fwd/fwd.h"
#include "io/offloads.h"

enum {
	UDP_BATCH = 64,
	UDP_LISTENERS = 16, /* listener numbers in a path are below it */
	UDP_CONTROL = 64,   /* bytes of ancillary data per datagram */
	UDP_GRO_BATCH = 32, /* messages of many datagrams that are received at once */
	UDP_GRO_ROOM = 65536,
	UDP_RUN = 64,	       /* datagrams of one message; what every kernel takes */
	UDP_RUN_BYTES = 65507, /* and bytes, over IPv4 */
};

/* fd is -1 where the listener is not a UDP one. */
struct udp_socket {
	int fd;
	bool v4; /* AF_INET: the address is an IPv4 one, or the machine has no IPv6 */
};

enum udp_outcome { UDP_STEERED = 0, UDP_NOT_STEERED = 1 };

/* Opens n sockets on one address, the first for worker 0. With n > 1 and no filter in the kernel
 * everything is closed again. Fails when anybody else has the port.
 * Returns: UDP_STEERED, UDP_NOT_STEERED, -EADDRINUSE, -errno. */
int udp_open(const struct endpoint *at, struct udp_socket *out, uint32_t n) must_check;
void udp_close(struct udp_socket *s);

/* Asks the kernel to give runs of datagrams at once, or not to any more. Returns: 0, -errno. */
int udp_gro_set(const struct udp_socket *s, bool on) must_check;
/* Whether the kernel takes them so. Returns: 0, -errno. */
int udp_gso_probe(const struct udp_socket *s) must_check;

/* Runs to a peer whose segments are too long for some link on the way. */
struct udp_refused {
	struct endpoint to;
	uint32_t size; /* that of the shortest that was refused */
	uint32_t left; /* runs that are not tried; then the way may have changed */
};

/* Room for one batch of system calls; one per thread. */
struct udp_batch {
	struct offloads *offloads;
	/* What is received: room for n messages. */
	uint8_t *room;
	size_t room_size;
	uint32_t n;
	size_t cap;
	/* What was received and not taken yet: from byte at of message next; its datagrams have
	 * that size and came that way. */
	uint32_t got, next, at, size;
	struct path path;
	uint32_t first[UDP_BATCH + 1]; /* sending: each message's first packet */
	struct udp_refused refused[8];
	struct mmsghdr msgs[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	struct sockaddr_storage names[UDP_BATCH];
	union {
		struct cmsghdr align;
		uint8_t bytes[UDP_CONTROL];
	} control[UDP_BATCH];
};

/* For datagrams of up to cap bytes, by the offloads in use now. Returns owned. Returns: 0, -ENOMEM.
 */
int udp_batch_new(struct udp_batch **out, struct offloads *o, size_t cap) must_check;
/* Wipes: datagrams were opened in it. */
void udp_batch_free(struct udp_batch *b);

/* Receives what has come, at most one batch; what was not taken of the last one is gone.
 * Returns: how many messages, 0 when there are none, -errno. */
int udp_receive(struct udp_batch *b, const struct udp_socket *s) must_check;
/* Takes up to n of the datagrams, in order: data, len and path are set, and stay valid until the
 * next udp_receive. One longer than cap has length 0. Returns: how many, 0 after the last. */
uint32_t udp_take(struct udp_batch *b, uint8_t listener, struct fwd_packet *p, uint32_t n);
/* Sends p[0..n), at most UDP_BATCH, all through s, in order; never waits. Returns: how many the
 * kernel refused. */
uint32_t udp_send(
	struct udp_batch *b, const struct udp_socket *s, const struct fwd_packet *p, uint32_t n);
/* One datagram, from a thread without a batch. Returns: 0, -errno. */
int udp_send_one(const struct udp_socket *s, const struct path *path, const void *bytes,
	size_t len) must_check;

#endif
