/*
 * OpenVPN over TCP: connections, their frames (u16 length, packet; reference A1) and their queues.
 *
 *   accept --limits--> guest --first valid packet--> known --> closed --> told --> number is free
 *                        '--10 s without a packet, 90 s--> closed     '--silent for 180 s
 *
 * A connection belongs to the worker that accepted it: only that one reads it and closes it. Any
 * thread may send on it, and takes its lock for that: packets are sealed under it, so that their
 * ids rise along the stream (a stock client ends the connection otherwise), and what the kernel
 * does not take at once waits in a bounded queue until the owner's epoll says that there is room.
 * Nothing here ever waits for the other side.
 *
 * Connections stand in a table that does not move and is never freed while threads run. A number
 * is slot and generation, so a stale one finds nothing. A closed connection keeps its slot until
 * the control thread has told it.
 */
#ifndef IO_TCP_H
#define IO_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "fwd/fwd.h"

enum {
	TCP_LISTENERS = 16,
	TCP_CONNECTIONS = 4096, /* a power of two */
	/* Guests have not shown yet that they hold a session's keys. */
	TCP_GUESTS = 1024,
	TCP_GUESTS_PER_PREFIX = 64, /* /32, /64 */
	TCP_FIRST_MS = 10 * 1000,   /* for the first whole packet */
	TCP_GUEST_MS = 90 * 1000,   /* for the first valid data packet */
	TCP_SILENT_MS = 180 * 1000, /* between valid data packets */
	TCP_LINGER_MS = 1000,	    /* for what is queued when a connection is closed from here */
	TCP_TICK_MS = 250,	    /* how often deadlines are looked at */
	TCP_GUEST_QUEUE = 8 << 10,  /* bytes that wait for the client, at most */
	TCP_QUEUE = 256 << 10,
	TCP_RUN = 64, /* packets sent together */
};

struct tcp_conf {
	struct fwd *fwd; /* its control thread's number is n_workers */
	uint32_t n_workers;
	/* Borrowed: listeners[worker * TCP_LISTENERS + listener], -1 where there is none. */
	const int *listeners;
};

struct tcp;

/* Returns owned. Returns: 0, -ENOMEM. */
int tcp_new(struct tcp **out, const struct tcp_conf *conf) must_check;
/* Closes all; only when no thread runs. */
void tcp_free(struct tcp *t);

/* ---- the worker with that number ---- */

/* From now on that epoll tells of the worker's listeners, by their numbers in data.u64, and of its
 * connections, by numbers that tcp_is_connection knows. Returns: 0, -errno. */
int tcp_attach(struct tcp *t, uint32_t worker, int epoll) must_check;
bool tcp_is_connection(uint64_t event);
/* That listener is readable. */
void tcp_accept(struct tcp *t, uint32_t worker, uint32_t listener, uint64_t now);
/* Deals with the event of a connection: sends what waits, reads once. Returns: whether there may be
 * frames to be taken. */
bool tcp_ready(struct tcp *t, uint32_t worker, uint64_t event, uint32_t events) must_check;
/* Whether that was as much as is read at once. */
bool tcp_read_full(const struct tcp *t, uint32_t worker);
/* Takes up to n whole frames of what was read, all of one connection: sets data, len and path. They
 * stay where they were read, without room around them, until the next call. Until it returns 0, no
 * other event may be dealt with. */
uint32_t tcp_frames(struct tcp *t, uint32_t worker, struct fwd_packet *p, uint32_t n) must_check;
/* A packet of it was given to the control plane, which must then hear of its end. */
void tcp_punted(struct tcp *t, uint32_t worker, uint32_t connection);
/* A valid data packet of that peer came on it. */
void tcp_valid(struct tcp *t, uint32_t worker, uint32_t connection, uint32_t peer, uint64_t now);
/* Something that is no OpenVPN came on it. */
void tcp_refuse(struct tcp *t, uint32_t worker, uint32_t connection);
/* Deadlines. Call at least every TCP_TICK_MS while tcp_has_deadlines says so; cheap when nothing
 * is due. */
void tcp_tick(struct tcp *t, uint32_t worker, uint64_t now);
bool tcp_has_deadlines(const struct tcp *t, uint32_t worker);

/* ---- any thread, with its number at the engine ---- */

/* Seals and sends packets with the verdict STREAM, at most TCP_RUN, all to one peer on one
 * connection. What finds no room, and what comes for a connection that is gone, is dropped before
 * it is sealed. All verdicts are counted. Between fwd_enter and fwd_leave on workers. */
void tcp_send_run(
	struct tcp *t, uint32_t worker, struct fwd_packet *const *p, size_t n, uint64_t now);

/* ---- control thread ---- */

/* Sends one packet as it is. Returns: 0, -ENOTCONN (no such connection), -ENOBUFS (no room). */
int tcp_send(struct tcp *t, uint32_t connection, const uint8_t *packet, size_t len) must_check;
/* Ends a connection: nothing more is read or queued, what is queued gets TCP_LINGER_MS. */
void tcp_close(struct tcp *t, uint32_t connection, uint64_t now);

struct tcp_news {
	/* First, and once: it is gone; peer is who last sent a valid packet on it. */
	void (*gone)(void *arg, uint32_t peer, uint32_t connection);
	/* Then, until it returns true: tells the control plane. */
	bool (*tell)(void *arg, uint32_t connection);
	void *arg;
};
/* Tells of closed connections, in order. Call with every tick. */
void tcp_tell(struct tcp *t, const struct tcp_news *news);

/* ---- before threads run ---- */

/* Opens n listening sockets on one address, the first for worker 0. Fails when anybody else has the
 * port. Returns: 0, -EADDRINUSE, -errno: none is open. */
int tcp_open(const struct endpoint *at, int *out, uint32_t n) must_check;

#endif
