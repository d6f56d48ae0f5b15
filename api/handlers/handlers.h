/*
 * One function a route: a request that is authenticated, authorised and parsed in; an answer out.
 * Here REST's words meet the service's.
 */
#ifndef API_HANDLERS_HANDLERS_H
#define API_HANDLERS_HANDLERS_H

#include <jansson.h>

#include "api/objects.h"
#include "api/request.h"
#include "api/routes.h"
#include "service/invites.h"

#define HANDLER_DECLARE(method, pattern, lane, access, query, body, handler)                       \
	void handle_##handler(struct request *rq);
ROUTES(HANDLER_DECLARE)
#undef HANDLER_DECLARE

/* False for verdicts that are no loss: the packet arrived, or still may. */
bool verdict_is_drop(const char *verdict);

/* A page of a list: n structs of that object, which begin with their id. one: NULL, or what makes
 * the object where its table alone can't. */
struct page {
	const struct json_object *of;
	const void *at;
	size_t n;
	bool more;
	json_t *(*one)(const void *s);
};
/* Answers with the page, or with the outcome rc when that is not 0. Borrows p. */
void reply_page(struct request *rq, int rc, const struct svc_error *e, const struct page *p);

/* SVG of the text as a QR code. Secret. Returns: owned (memory_free), or NULL when it does not fit
 * or there is no memory. */
char *qr_svg(const char *text);
/* The same as a member of doc, which is taken: "qr_svg", null when it does not fit.
 * Returns: doc, or NULL when there was no memory. */
json_t *qr_added(json_t *doc, const char *text);

/* Ends an object that has no version: answers 204, 412 or the outcome of end. */
void reply_end(struct request *rq, int (*end)(struct service *s, const struct svc_actor *a,
					   const struct ulid *id, struct svc_error *e));

#endif
