/*
 * The punt connection: handshake datagrams up, answers down. Bounded and lossy, so that a flood
 * can delay nothing else.
 *
 * Workers send while the control thread may replace the connection. They share one descriptor
 * number that always names a socket; replacing is one dup3, so no lock and no moment at which the
 * number could mean something else. Without a control plane it names a socket that nobody reads.
 */
#ifndef IO_PUNT_H
#define IO_PUNT_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct punt {
	int fd;	  /* what workers send to */
	int dead; /* what it names when nobody is connected */
};

/* Returns: 0, -errno. */
int punt_init(struct punt *p) must_check;
void punt_fini(struct punt *p);
/* Control thread. Borrows connection, which stays open for receiving. Returns: 0, -errno. */
int punt_attach(struct punt *p, int connection) must_check;
void punt_detach(struct punt *p);

/* Any thread. Returns: 0, -EAGAIN (the control plane is behind), -errno (nobody is there). */
int punt_send(const struct punt *p, const struct path *path, const uint8_t *datagram,
	size_t len) must_check;

/* Where REINJECT datagrams go. */
struct punt_sink {
	void (*send)(void *arg, const struct path *path, const uint8_t *datagram, size_t len);
	void *arg;
};
/* Reads one frame that came down. Only datagrams of a handshake are let through to the sink, and
 * what is as short as the farewell that an earlier dataplane has sealed (SESSION_SET_REPLY): this
 * way carries nobody's traffic. Returns: 0, -EBADMSG, -EPROTO: close the connection. */
int punt_receive(const uint8_t *frame, size_t len, const struct punt_sink *sink) must_check;

#endif
