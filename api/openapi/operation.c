#include "api/openapi/operation.h"

#include <stdio.h>
#include <string.h>

#include "api/bodies.h"
#include "api/openapi/answers.h"
#include "api/openapi/schema.h"
#include "api/openapi/statuses.h"
#include "api/query.h"

/* ---- who ---- */

static json_t *access_of(struct maker *m, const struct route *r)
{
	json_t *list = json_array();

	if (r->access & ACCESS_PUBLIC)
		maker_append(m, list, json_string("public"));
	for (int role = SVC_ROLE_USER; role <= SVC_ROLE_ADMIN; role++) {
		if (r->access & access_of_role((enum svc_role)role))
			maker_append(m, list, json_string(svc_role_name((enum svc_role)role)));
	}
	if (r->access & ACCESS_LOCAL)
		maker_append(m, list, json_string("local"));
	return list;
}

static json_t *security_of(const struct route *r)
{
	if (r->access & ACCESS_PUBLIC)
		return json_array();
	if (r->access & ACCESS_LOCAL)
		return json_pack("[{s:[]}, {s:[]}, {}]", "token", "cookie");
	if (r->method == HTTP_GET)
		return json_pack("[{s:[]}, {s:[]}]", "token", "cookie");
	return json_pack("[{s:[]}, {s:[], s:[]}]", "token", "cookie", "csrf");
}

/* ---- with what ---- */

static const struct {
	const char *name, *about;
	bool (*applies)(const struct route *r);
} headers[] = {
	{"If-Match", "ETag of the object as it was read: 412 when it has changed since.",
		route_takes_if_match},
	{"If-None-Match", "ETags of copies: 304 when one is still right.", route_has_etag},
	{"Last-Event-ID", "Id of the last event that was seen: the stream goes on after it.",
		route_is_stream},
	{"Idempotency-Key",
		"1 to 255 printable characters of the caller's own: for 24 hours a repeat of the "
		"request gets the first answer again and makes nothing. Of an answer with a "
		"secret each repeat is a row of the audit log.",
		route_may_repeat},
};

static json_t *parameter(
	const char *name, const char *in, const char *about, bool required, json_t *schema)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", name, "in", in, "description", about,
		"required", required, "schema", schema);
}

/* The path's one variable: an id, or any text. */
static json_t *path_parameter(const struct route *r)
{
	if (!route_has_id(r))
		return parameter("text", "path", "What stands in the link.", true,
			json_pack("{s:s}", "type", "string"));
	return parameter("id", "path", "Of the object.", true,
		json_pack("{s:s, s:o}", "type", "string", "pattern",
			json_sprintf("^%.3s_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
				strchr(r->pattern, '{') + 1)));
}

static json_t *parameters_of(struct maker *m, const struct route *r)
{
	json_t *list = json_array();

	if (strchr(r->pattern, '{'))
		maker_append(m, list, path_parameter(r));
	for (size_t i = 0; i < n_query_params; i++) {
		const struct query_param *q = &query_params[i];

		if (r->query & q->needs)
			maker_append(m, list,
				parameter(q->name, "query", q->about, false,
					json_loads(q->schema, 0, NULL)));
	}
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		if (headers[i].applies(r))
			maker_append(m, list,
				parameter(headers[i].name, "header", headers[i].about, false,
					json_pack("{s:s}", "type", "string")));
	}
	return list;
}

static json_t *body_of(struct maker *m, const struct route *r)
{
	json_t *types;

	/* What a page's form without fields sends. */
	if (r->body == &body_form)
		return json_pack("{s:b, s:{s:{s:{s:s}}}}", "required", 0, "content",
			"application/x-www-form-urlencoded", "schema", "type", "object");
	types = answers_content(
		"application/json", maker_body(m, r->body), schema_body_example(r->body));
	if (r->method == HTTP_PATCH)
		maker_put(m, types, "application/merge-patch+json",
			json_incref(json_object_get(types, "application/json")));
	return json_pack("{s:b, s:o}", "required", 1, "content", types);
}

static json_t *events_of(struct maker *m)
{
	json_t *all = json_object();

	for (int i = 0; i < EVENT_TYPE_COUNT; i++)
		maker_put(m, all, event_type_name((enum event_type)i),
			maker_object(m, event_objects[i]));
	maker_put(m, all, "hello", maker_object(m, &object_event_hello));
	maker_put(m, all, "gap", maker_object(m, &object_event_gap));
	return all;
}

json_t *operation_of(struct maker *m, const struct route *r)
{
	const struct route_doc *d = r->doc;
	json_t *op = json_pack("{s:s, s:s, s:[s], s:o, s:o, s:o, s:o}", "operationId", r->name,
		"summary", d->summary, "tags", d->tag, "x-ireko-access", access_of(m, r),
		"security", security_of(r), "parameters", parameters_of(m, r), "responses",
		answers_of(m, r));

	if (d->about)
		maker_put(m, op, "description", json_string(d->about));
	if (r->body)
		maker_put(m, op, "requestBody", body_of(m, r));
	if (r->query & QUERY_TYPES)
		maker_put(m, op, "x-ireko-events", events_of(m));
	return op;
}

const char *operation_path(const struct route *r, char *buf)
{
	const char *brace = strchr(r->pattern, '{');

	if (brace)
		snprintf(buf, OPERATION_PATH, "%.*s{%s}%s", (int)(brace - r->pattern), r->pattern,
			route_has_id(r) ? "id" : "text", strchr(brace, '}') + 1);
	else
		snprintf(buf, OPERATION_PATH, "%s", r->pattern);
	return buf;
}
