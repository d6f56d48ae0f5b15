/* What the outer sockets of UDP and TCP have in common: an address of either family, shared by one
 * socket per worker. */
#ifndef IO_OUTER_H
#define IO_OUTER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/compiler.h"

/* A socket of that type for that address, not bound yet; [::] takes IPv4 as well. Shared: others
 * with the same address may be opened beside it. v4 says that it is an AF_INET one: the address is
 * an IPv4 one, or the machine has no IPv6. Non-blocking, close-on-exec.
 * Returns: the descriptor, -errno. */
int outer_socket(const struct endpoint *at, int type, bool shared, bool *v4) must_check;
/* Returns: 0, -EADDRINUSE, -errno. */
int outer_bind(int fd, const struct endpoint *at, bool v4) must_check;
/* Sets an option that is an int. Returns: 0, -errno. */
int outer_set(int fd, int level, int name, int value) must_check;
/* For an AF_INET socket; returns its length. */
socklen_t outer_sockaddr4(const struct endpoint *e, struct sockaddr_storage *out);

#endif
