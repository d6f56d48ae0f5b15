/*
 * REST API and dashboard over HTTP or HTTPS. The only rooms that know HTTP and JSON.
 *
 * One event thread does the sockets, a few worker threads the requests; a request is policed (its
 * framing, sizes and deadline) before it is routed, routed before it is authenticated, and
 * authenticated before its body is looked at.
 */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct api;
struct service;

struct api_conf {
	struct endpoint listen;
	bool tls;		/* serve HTTPS */
	const char *public_url; /* what links begin with, "https://vpn.example.net"; NULL: as the
				   request that asks for the link came. Borrowed until api_stop */
	const char *tls_cert_file, *tls_key_file; /* PEM, read again when they change */
	const char *tls_cert_pem, *tls_key_pem;	  /* or given, from our own authority */
	const struct ip_prefix *proxies; /* whose X-Forwarded-For is believed; borrowed until
					    api_stop */
	size_t n_proxies;
	uint32_t max_connections; /* in all; per /24 or /64: a quarter of it */
	bool metrics_devices;	  /* /metrics has series of each device */
	uint32_t request_ms;	  /* from a request's first byte to its last answer byte: 15000 */
	uint32_t stuck_ms;	  /* the client of a long answer takes nothing: 30000 */
};

/* Starts serving. Returns: 0, -EADDRINUSE, -errno; why has 160 bytes. */
int api_start(
	struct api **out, const struct api_conf *conf, struct service *s, char *why) must_check;
/* The bound address (port 0 in conf: the kernel's choice). */
struct endpoint api_address(const struct api *a);
/* Lets running requests finish (at most 5 s), closes everything. */
void api_stop(struct api *a);

#endif
