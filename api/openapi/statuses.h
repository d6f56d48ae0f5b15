/*
 * Which statuses an operation can answer with, as far as they follow from the route table.
 */
#ifndef API_OPENAPI_STATUSES_H
#define API_OPENAPI_STATUSES_H

#include <stdbool.h>

#include "api/openapi/docs.h"

struct status_doc {
	unsigned status;
	const char *about;
	bool (*applies)(const struct route *r); /* NULL: only where a route_doc names it */
	const char *header;			/* that comes with it, or NULL */
};

extern const struct status_doc status_docs[];
extern const size_t n_status_docs;

/* It changes an object that has an ETag; it shows one; it makes one. */
bool route_takes_if_match(const struct route *r);
bool route_has_etag(const struct route *r);
bool route_may_repeat(const struct route *r);
bool route_is_stream(const struct route *r);

bool status_applies(const struct status_doc *s, const struct route *r);

#endif
