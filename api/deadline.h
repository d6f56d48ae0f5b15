/*
 * Connections and their time: how many there may be, and how long each may take.
 *
 *   HANDSHAKE (TLS only) -> NEW -> RECEIVING -> SERVING -> IDLE -> RECEIVING -> ...
 *                                           -> LONG -> SENDING -> IDLE
 *                                                  \-> STREAMING (no end; each write has its time)
 *
 * libmicrohttpd only knows a timeout of inactivity, which one byte now and then keeps at bay. Here
 * a request has a total, from its first byte to the last byte of its answer; a reaper thread looks
 * four times a second and shuts sockets down that are over it. When the first byte of a next
 * request came is told by the kernel's count of received bytes (TCP_INFO).
 *
 * A long request (a backup) has its own: how long it may take to be made, then how long its client
 * may go without acknowledging a byte (the same count), and how long it may be sent in all.
 *
 * Safe from any thread; a struct conn may be used until conn_close.
 */
#ifndef API_DEADLINE_H
#define API_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/compiler.h"

struct conn;
struct conn_table;

struct conn_limits {
	uint32_t max;	       /* connections in all */
	uint32_t per_prefix;   /* from one /24 or /64; a proxy is exempt */
	uint32_t request_ms;   /* a request in all; a new connection's first request too */
	uint32_t idle_ms;      /* between requests */
	uint32_t handshake_ms; /* TLS */
	uint32_t long_ms;      /* until a long request's answer begins */
	uint32_t stuck_ms;     /* its client acknowledges nothing */
	uint32_t stream_ms;    /* a stream whose client takes nothing */
	uint32_t sending_ms;   /* its answer in all */
};

/* Starts the reaper; owner is what conn_owner gives back. Returns: 0, -errno. */
int conn_table_new(struct conn_table **out, const struct conn_limits *l, struct clock clock,
	void *owner) must_check;
void *conn_owner(const struct conn *c);
/* Ends the reaper; no connection is left. */
void conn_table_free(struct conn_table *t);

/* Whether one more may come; is_proxy: from may be many people. At the total, the connection that
 * has waited longest for its client is shut down in its favour. */
bool conn_admit(struct conn_table *t, const struct ip_addr *from, bool is_proxy);
/* Borrows fd until conn_close. Returns: the connection, or NULL when there is no memory. */
struct conn *conn_open(struct conn_table *t, int fd, const struct ip_addr *from, bool tls);
void conn_close(struct conn_table *t, struct conn *c);

void conn_on_handshake_done(struct conn_table *t, struct conn *c);
/* Its request line is here. */
void conn_on_request_begun(struct conn_table *t, struct conn *c);
/* All of it is here. */
void conn_on_request_received(struct conn_table *t, struct conn *c, bool is_long);
/* A long one's answer begins to be sent. */
void conn_on_answer_begun(struct conn_table *t, struct conn *c);
/* Its answer is a stream: it has no total, but something has to be taken now and then. The kernel
 * is told to buffer little for it. */
void conn_on_stream(struct conn_table *t, struct conn *c);
void conn_on_stream_progress(struct conn_table *t, struct conn *c);
/* Whether its client has closed it (nobody else looks while libmicrohttpd has it suspended). */
bool conn_hung_up(struct conn_table *t, struct conn *c);
/* Shuts it down. */
void conn_doom(struct conn_table *t, struct conn *c, const char *why);
/* Its answer is out. */
void conn_on_request_done(struct conn_table *t, struct conn *c);
/* Whether the request's time is over (or there is no such connection): nobody waits any more. */
bool conn_is_late(struct conn_table *t, const struct conn *c);

/* Connections in all, and those whose request is being served. */
size_t conn_count(struct conn_table *t, size_t *serving);

#endif
