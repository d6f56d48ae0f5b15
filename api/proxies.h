/*
 * Proxies in front of the API, and whom they speak for: the one place that decides whose address a
 * request goes by, in limits, audit rows and logins.
 *
 *   X-Forwarded-For: whatever the client wrote, its address, an inner proxy     <- the peer
 *                    '--- worth nothing ---'   the answer   '--- IREKO_TRUSTED_PROXIES ---'
 *
 * Each proxy appends whom it was asked by, so the list is as true as who wrote it, and is read from
 * the right only as far as proxies of ours wrote it. Pure: no I/O, no libmicrohttpd.
 */
#ifndef API_PROXIES_H
#define API_PROXIES_H

#include <stdbool.h>
#include <stddef.h>

#include "api/police.h"
#include "base/addr.h"

enum { PROXIES_HOPS_MAX = 16 };

/* Those that are trusted. The list is borrowed. */
struct proxies {
	const struct ip_prefix *list;
	size_t n;
};

/* Whether a is one of them. */
bool proxies_has(const struct proxies *p, const struct ip_addr *a);

/* Whose request h is, that peer sent: peer's own unless it is a trusted proxy; then what
 * X-Forwarded-For names last that is no trusted proxy. Where that can't be told (no such field,
 * only proxies, an entry on the way that is no address, more than PROXIES_HOPS_MAX proxies) it is
 * peer's own. h is a head that the police has let pass. */
struct ip_addr proxies_client(
	const struct proxies *p, const struct ip_addr *peer, const struct head *h);

#endif
