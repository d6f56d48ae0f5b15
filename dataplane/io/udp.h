/*
 * The outer sockets: one per listening address and worker, in batches.
 *
 * All sockets of one address share the port (SO_REUSEPORT). A filter in the kernel hands a data
 * datagram to the worker that its receiver index or peer-id names, so that a session has one worker
 * whatever address it comes from or to; other datagrams are spread by their addresses.
 *
 * Every datagram is sent from the address that its path names as local. The kernel may fragment:
 * an outer datagram that is too big for some link is better late than lost.
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

enum {
	UDP_BATCH = 64,
	UDP_LISTENERS = 16, /* listener numbers in a path are below it */
	UDP_CONTROL = 64,   /* bytes of ancillary data per datagram */
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

/* Room for one batch of system calls; one per thread. */
struct udp_batch {
	struct mmsghdr msgs[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	struct sockaddr_storage names[UDP_BATCH];
	union {
		struct cmsghdr align;
		uint8_t bytes[UDP_CONTROL];
	} control[UDP_BATCH];
};

/* Receives up to n (at most UDP_BATCH) datagrams into p[i].data, cap bytes each; sets len and path.
 * One that did not fit has length 0. Returns: how many, 0 when there are none, -errno. */
int udp_receive(struct udp_batch *b, const struct udp_socket *s, uint8_t listener,
	struct fwd_packet *p, uint32_t n, size_t cap) must_check;
/* Sends p[0..n), all through s, in order; never waits. Returns: how many the kernel refused. */
uint32_t udp_send(
	struct udp_batch *b, const struct udp_socket *s, const struct fwd_packet *p, uint32_t n);
/* One datagram, from a thread without a batch. Returns: 0, -errno. */
int udp_send_one(const struct udp_socket *s, const struct path *path, const void *bytes,
	size_t len) must_check;

#endif
