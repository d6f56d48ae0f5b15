/*
 * What the route table does not say about a route: one struct route_doc for each, named doc_ and
 * its handler. A route without one does not link.
 */
#ifndef API_OPENAPI_DOCS_H
#define API_OPENAPI_DOCS_H

#include <stdbool.h>
#include <stdint.h>

#include "api/objects.h"
#include "api/routes.h"
#include "service/events.h"

enum { DOC_FAILS = 4, DOC_HEADERS = 2 };

struct route_doc {
	const char *tag, *summary;
	const char *about;		  /* more than the summary, or NULL */
	unsigned status;		  /* of success */
	const struct json_object *answer; /* its body; NULL: none, or of another type */
	const char *type;    /* media type of an answer that is (also) not JSON, or NULL */
	const char *example; /* of such an answer; NULL: it is bytes */
	bool page;	     /* it is a page of that object */
	bool revision;	     /* it has an ETag, and changes take If-Match */
	const char *headers[DOC_HEADERS]; /* of the answer, beside those that all have */
	uint16_t fails[DOC_FAILS];	  /* statuses that the route table does not imply */
};

/* The data of each event of a stream. */
extern const struct json_object *const event_objects[EVENT_TYPE_COUNT];

struct doc_tag {
	const char *name, *about;
};
extern const struct doc_tag doc_tags[];
extern const size_t n_doc_tags;

#define DOC_DECLARE(method, pattern, lane, access, query, body, handler)                           \
	extern const struct route_doc doc_##handler;
ROUTES(DOC_DECLARE)
#undef DOC_DECLARE

#endif
