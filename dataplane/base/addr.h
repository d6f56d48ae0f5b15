/*
 * IP addresses, prefixes, endpoints and packet paths, as values.
 *
 * An address knows its family; an IPv4-mapped IPv6 address never appears in a struct ip_addr,
 * it is turned into IPv4 on the way in. Bytes are in network order.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip_addr {
	uint8_t family;	   /* enum ip_family */
	uint8_t bytes[16]; /* 4 or 16 are used, the rest is zero */
};

struct ip_prefix {
	struct ip_addr addr; /* host bits may be set */
	uint8_t len;	     /* bits */
};

struct endpoint {
	struct ip_addr addr;
	uint16_t port;	   /* host order */
	uint32_t scope_id; /* interface index of a link-local IPv6 address, otherwise 0 */
};

/* Where an outer datagram came from and how to answer on the same way. */
struct path {
	struct endpoint remote;
	struct ip_addr local; /* our address that it arrived on; IP_NONE lets the kernel choose */
	uint8_t listener; /* number of the dataplane's listening socket, in order of IREKO_LISTEN */
	uint32_t connection; /* TCP: the dataplane's number of the connection, never used twice
				soon; 0: UDP */
};

enum {
	IP_ADDR_TEXT = 46,   /* longest textual address with its NUL */
	IP_PREFIX_TEXT = 50, /* "address/len" */
	ENDPOINT_TEXT = 72,  /* "1.2.3.4:5" or "[fe80::1%12]:5" */
};

/* Parses exactly one textual address. Returns: 0, -EINVAL. */
int ip_addr_parse(struct ip_addr *out, const char *text) must_check;
/* Writes the canonical text (RFC 5952) into buf of IP_ADDR_TEXT bytes and returns buf; "" for
 * IP_NONE. */
const char *ip_addr_format(const struct ip_addr *a, char *buf);
/* Here, as are the two below, because every packet asks: no call, and lengths known beforehand. */
static inline bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family != b->family)
		return false;
	return a->family == IP_V4 ? memcmp(a->bytes, b->bytes, 4) == 0
				  : memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
/* 127.0.0.0/8 or ::1. */
bool ip_addr_is_loopback(const struct ip_addr *a);
/* Bytes of the address: 4, 16, or 0. */
size_t ip_addr_size(const struct ip_addr *a);
/* Whether the value keeps the promises above: a known family, unused bytes zero, not mapped. For
 * values that arrive in this form from outside. */
bool ip_addr_valid(const struct ip_addr *a);

/* Parses "address/len"; a missing length means a host. Returns: 0, -EINVAL. */
int ip_prefix_parse(struct ip_prefix *out, const char *text) must_check;
/* Buf has IP_PREFIX_TEXT bytes; returns buf. */
const char *ip_prefix_format(const struct ip_prefix *p, char *buf);
bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a);
/* The prefix's address with the host bits cleared. */
struct ip_addr ip_prefix_network(const struct ip_prefix *p);
/* network + n, as an unsigned big-endian addition; may leave the prefix, the caller checks. */
struct ip_addr ip_prefix_nth(const struct ip_prefix *p, uint64_t n);

/* Parses "1.2.3.4:5" or "[::1]:5". Returns: 0, -EINVAL. */
int endpoint_parse(struct endpoint *out, const char *text) must_check;
/* Buf has ENDPOINT_TEXT bytes; returns buf; "" for IP_NONE. */
const char *endpoint_format(const struct endpoint *e, char *buf);
static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope_id == b->scope_id &&
	       ip_addr_equal(&a->addr, &b->addr);
}
static inline bool path_equal(const struct path *a, const struct path *b)
{
	return a->listener == b->listener && a->connection == b->connection &&
	       endpoint_equal(&a->remote, &b->remote) && ip_addr_equal(&a->local, &b->local);
}

/* From AF_INET or AF_INET6 (mapped addresses become IPv4). Returns: 0, -EAFNOSUPPORT. */
int endpoint_from_sockaddr(struct endpoint *out, const struct sockaddr *sa) must_check;
/* To an AF_INET6 socket address (IPv4 as mapped), which dual-stack sockets take. Returns its
 * length. */
socklen_t endpoint_to_sockaddr6(const struct endpoint *e, struct sockaddr_storage *out);

#endif
