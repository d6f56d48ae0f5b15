/*
 * A request as handlers see it: admitted by the police, matched with its route, and, by the time a
 * handler runs, authenticated, authorised and with its query and body parsed.
 */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/bodies.h"
#include "api/police.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/addr.h"
#include "base/clock.h"
#include "base/ulid.h"
#include "service/once.h"
#include "service/service.h"

struct metrics;
struct openapi;
struct route;
struct streams;

struct request {
	struct service *service; /* borrowed, as the next three */
	const struct openapi *openapi;
	struct streams *streams;
	struct metrics *metrics;
	const struct route *route;
	struct admitted head;
	struct clock clock;
	bool tls;
	const char *public_url; /* what links begin with; NULL: as the request came */
	struct ip_addr from;	/* whose request it is: what is limited and written down */
	struct ip_addr peer;	/* the connection's other end: he, or a proxy */
	struct ulid id;		/* of the path, when the route has one */
	bool id_ok;		/* it could be parsed */
	struct span text;	/* of the path's "{txt}" */
	char *raw_body;		/* from memory_alloc, owned by the server; head.body_len bytes */
	struct svc_actor actor; /* unless the route is public */
	struct svc_once once;	/* when the actor points to it: a request with an Idempotency-Key */
	struct query query;
	uint64_t if_match; /* 0: none */
	union body body;   /* text in it belongs to doc */
	json_t *doc;
	struct reply reply;
};

/* Everything from authentication to the handler's answer, in the order that counts. Sets
 * rq->reply. Runs on a worker thread; may block as long as the service does. */
void request_run(struct request *rq);
/* Frees the document, wipes what was secret. */
void request_fini(struct request *rq);

#endif
