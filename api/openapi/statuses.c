#include "api/openapi/statuses.h"

#include "api/bodies.h"
#include "base/compiler.h"

static bool always(const struct route *r)
{
	(void)r;
	return true;
}

static bool is_private(const struct route *r)
{
	return !(r->access & ACCESS_PUBLIC);
}

/* Roles, the CSRF token, and a foreign Origin. */
static bool may_forbid(const struct route *r)
{
	return is_private(r) || r->method != HTTP_GET;
}

/* Looked at before anybody asks whether the route takes one. */
static bool may_carry(const struct route *r)
{
	return r->method == HTTP_POST || r->method == HTTP_PATCH;
}

static bool has_fields(const struct route *r)
{
	return (r->body && r->body != &body_form) || r->query != QUERY_NONE;
}

bool route_has_etag(const struct route *r)
{
	return r->doc->revision && r->method == HTTP_GET;
}

bool route_takes_if_match(const struct route *r)
{
	return r->doc->revision && (r->method == HTTP_PATCH || r->method == HTTP_DELETE);
}

bool route_may_repeat(const struct route *r)
{
	return r->method == HTTP_POST && r->body && is_private(r);
}

bool route_is_stream(const struct route *r)
{
	return r->query & QUERY_TYPES;
}

/* An object without an ETag has none that If-Match could name. */
static bool looks_at_if_match(const struct route *r)
{
	return r->method == HTTP_PATCH || r->method == HTTP_DELETE;
}

static bool waits(const struct route *r)
{
	return r->lane != LANE_NOW;
}

static bool writes(const struct route *r)
{
	return r->lane == LANE_WRITE || r->lane == LANE_LOGIN;
}

const struct status_doc status_docs[] = {
	{304, "The copy that If-None-Match names is still right.", route_has_etag, "ETag"},
	{400, "Not plain HTTP/1.1, no JSON object in UTF-8, a key twice, or an unwanted body.",
		always, NULL},
	{401, "Credentials are missing, wrong or expired.", is_private, "WWW-Authenticate"},
	{403, "The role does not allow it, the CSRF token is missing, or Origin is another site.",
		may_forbid, NULL},
	{404, "There is no such object, or it is somebody else's.", route_has_id, NULL},
	{409, "Something else has that already, or a limit is reached.", route_may_repeat, NULL},
	{412, "If-Match does not match any more.", looks_at_if_match, NULL},
	{413, "A body has at most 64 KiB.", may_carry, NULL},
	{415, "A body is application/json, not encoded.", may_carry, NULL},
	{422, "Fields or parameters can't be taken; errors names them. Nothing was changed.",
		has_fields, NULL},
	{429, "Too many attempts.", NULL, "Retry-After"},
	{500, "Something here went wrong; the log says what.", always, NULL},
	{503, "Too many requests are waiting, or what was done is not acknowledged yet.", waits,
		"Retry-After"},
	{507, "The disk is full, read-only or gone; nothing was changed.", writes, NULL},
};
const size_t n_status_docs = ARRAY_SIZE(status_docs);

bool status_applies(const struct status_doc *s, const struct route *r)
{
	if (s->applies && s->applies(r))
		return true;
	for (size_t i = 0; i < DOC_FAILS; i++) {
		if (r->doc->fails[i] == s->status)
			return true;
	}
	return false;
}
