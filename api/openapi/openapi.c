/*
 *   info, servers, tags, security schemes      constants of here
 *   paths: one operation a route               routes.h, docs.c, query.c, statuses.c
 *   components.schemas                         what the operations refer to, and what that does
 *   components.responses                       statuses.c
 *
 * A value that could not be made is NULL; jansson refuses to set one, and that makes the whole
 * document bad.
 */
#include "api/openapi/openapi.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "api/memory.h"
#include "api/openapi/docs.h"
#include "api/openapi/schema.h"
#include "api/openapi/statuses.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/codec.h"
#include "base/settings.h"

enum { PATH = 128 };

struct maker {
	json_t *schemas; /* by name */
	bool bad;
};

/* Takes v. */
static void put(struct maker *m, json_t *o, const char *name, json_t *v)
{
	if (json_object_set_new(o, name, v))
		m->bad = true;
}

static void append(struct maker *m, json_t *list, json_t *v)
{
	if (json_array_append_new(list, v))
		m->bad = true;
}

/* ---- schemas: each once, with what it refers to ---- */

static json_t *use_object(struct maker *m, const struct json_object *o)
{
	if (!json_object_get(m->schemas, o->name)) {
		put(m, m->schemas, o->name, schema_of_object(o));
		for (size_t i = 0; i < o->n; i++) {
			if (o->fields[i].of)
				json_decref(use_object(m, o->fields[i].of));
		}
	}
	return schema_ref(o->name);
}

static json_t *use_page(struct maker *m, const struct json_object *o)
{
	char name[SCHEMA_NAME];

	json_decref(use_object(m, o));
	snprintf(name, sizeof(name), "%s_page", o->name);
	if (!json_object_get(m->schemas, name))
		put(m, m->schemas, name, schema_of_page(o));
	return schema_ref(name);
}

static json_t *use_body(struct maker *m, const struct json_schema *s)
{
	char name[SCHEMA_NAME];

	schema_body_name(s, name);
	if (!json_object_get(m->schemas, name))
		put(m, m->schemas, name, schema_of_body(s));
	return schema_ref(name);
}

static json_t *content(const char *type, json_t *schema, json_t *example)
{
	return json_pack("{s:{s:o, s:o}}", type, "schema", schema, "example", example);
}

/* ---- one operation ---- */

static json_t *access_of(struct maker *m, const struct route *r)
{
	json_t *list = json_array();

	if (r->access & ACCESS_PUBLIC)
		append(m, list, json_string("public"));
	for (int role = SVC_ROLE_USER; role <= SVC_ROLE_ADMIN; role++) {
		if (r->access & access_of_role((enum svc_role)role))
			append(m, list, json_string(svc_role_name((enum svc_role)role)));
	}
	return list;
}

static json_t *security_of(const struct route *r)
{
	if (r->access & ACCESS_PUBLIC)
		return json_array();
	if (r->method == HTTP_GET)
		return json_pack("[{s:[]}, {s:[]}]", "token", "cookie");
	return json_pack("[{s:[]}, {s:[], s:[]}]", "token", "cookie", "csrf");
}

static json_t *parameter(
	const char *name, const char *in, const char *about, bool required, json_t *schema)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", name, "in", in, "description", about,
		"required", required, "schema", schema);
}

static json_t *parameters_of(struct maker *m, const struct route *r)
{
	const char *brace = strchr(r->pattern, '{');
	json_t *list = json_array();

	if (brace)
		append(m, list,
			parameter("id", "path", "Of the object.", true,
				json_pack("{s:s, s:o}", "type", "string", "pattern",
					json_sprintf(
						"^%.3s_[0-7][0-9A-HJKMNP-TV-Z]{25}$", brace + 1))));
	for (size_t i = 0; i < n_query_params; i++) {
		const struct query_param *q = &query_params[i];

		if (r->query & q->needs)
			append(m, list,
				parameter(q->name, "query", q->about, false,
					json_loads(q->schema, 0, NULL)));
	}
	if (r->doc->revision && (r->method == HTTP_PATCH || r->method == HTTP_DELETE))
		append(m, list,
			parameter("If-Match", "header",
				"ETag of the object as it was read: 412 when it has changed since.",
				false, json_pack("{s:s}", "type", "string")));
	return list;
}

static json_t *body_of(struct maker *m, const struct route *r)
{
	json_t *types =
		content("application/json", use_body(m, r->body), schema_body_example(r->body));

	if (r->method == HTTP_PATCH)
		put(m, types, "application/merge-patch+json",
			json_incref(json_object_get(types, "application/json")));
	return json_pack("{s:b, s:o}", "required", 1, "content", types);
}

static void put_header(struct maker *m, json_t *answer, const char *name, const char *about)
{
	json_t *headers = json_object_get(answer, "headers");

	if (!headers) {
		put(m, answer, "headers", json_object());
		headers = json_object_get(answer, "headers");
	}
	put(m, headers, name,
		json_pack("{s:s, s:{s:s}}", "description", about, "schema", "type", "string"));
}

/* What is not JSON: text with an example, or bytes. */
static json_t *other_content(const struct route_doc *d)
{
	if (!d->example)
		return json_pack("{s:{}}", d->type);
	return content(d->type, json_pack("{s:s}", "type", "string"), json_string(d->example));
}

static json_t *success_of(struct maker *m, const struct route *r)
{
	const struct route_doc *d = r->doc;
	json_t *answer = json_pack("{s:s}", "description", d->answer ? d->answer->about : "Done.");

	if (d->type)
		put(m, answer, "content", other_content(d));
	else if (d->answer && d->page)
		put(m, answer, "content",
			content("application/json", use_page(m, d->answer),
				schema_page_example(d->answer)));
	else if (d->answer)
		put(m, answer, "content",
			content("application/json", use_object(m, d->answer),
				schema_object_example(d->answer)));
	for (size_t i = 0; i < DOC_HEADERS && d->headers[i]; i++)
		put_header(m, answer, d->headers[i], "As in its RFC.");
	if (d->status == 201)
		put_header(m, answer, "Location", "Path of the new object.");
	if (d->revision && d->answer)
		put_header(m, answer, "ETag", "Of this state of the object, for If-Match.");
	return answer;
}

static json_t *answers_of(struct maker *m, const struct route *r)
{
	json_t *all = json_object();
	char status[8];

	snprintf(status, sizeof(status), "%u", r->doc->status);
	put(m, all, status, success_of(m, r));
	for (size_t i = 0; i < n_status_docs; i++) {
		if (!status_applies(&status_docs[i], r))
			continue;
		snprintf(status, sizeof(status), "%u", status_docs[i].status);
		put(m, all, status,
			json_pack("{s:o}", "$ref",
				json_sprintf("#/components/responses/%s", status)));
	}
	put(m, all, "default", json_pack("{s:s}", "$ref", "#/components/responses/default"));
	return all;
}

static json_t *operation(struct maker *m, const struct route *r)
{
	const struct route_doc *d = r->doc;
	json_t *op = json_pack("{s:s, s:s, s:[s], s:o, s:o, s:o, s:o}", "operationId", r->name,
		"summary", d->summary, "tags", d->tag, "x-ireko-access", access_of(m, r),
		"security", security_of(r), "parameters", parameters_of(m, r), "responses",
		answers_of(m, r));

	if (d->about)
		put(m, op, "description", json_string(d->about));
	if (r->body)
		put(m, op, "requestBody", body_of(m, r));
	return op;
}

/* "/v1/users/{usr}" as "/v1/users/{id}". */
static const char *path_of(const struct route *r, char buf[PATH])
{
	const char *brace = strchr(r->pattern, '{');

	if (brace)
		snprintf(buf, PATH, "%.*s{id}%s", (int)(brace - r->pattern), r->pattern,
			strchr(brace, '}') + 1);
	else
		snprintf(buf, PATH, "%s", r->pattern);
	return buf;
}

static json_t *paths(struct maker *m)
{
	json_t *all = json_object();

	for (size_t i = 0; i < n_routes; i++) {
		char path[PATH], method[16] = "";
		const char *name = http_method_name(routes[i].method);
		json_t *at;

		path_of(&routes[i], path);
		for (size_t k = 0; name[k] && k + 1 < sizeof(method); k++)
			method[k] = (char)(name[k] | 0x20);
		at = json_object_get(all, path);
		if (!at) {
			put(m, all, path, json_object());
			at = json_object_get(all, path);
		}
		put(m, at, method, operation(m, &routes[i]));
	}
	return all;
}

/* ---- what all share ---- */

static json_t *problem_example(unsigned status, const char *detail)
{
	json_t *p = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
		reply_title(status), "status", (int)status, "detail", detail);

	if (status == 422)
		json_object_set_new(p, "errors",
			json_pack("[{s:s, s:s}]", "field", "name", "message", "must not be empty"));
	return p;
}

static json_t *problem(struct maker *m, unsigned status, const char *about)
{
	return json_pack("{s:s, s:o}", "description", about, "content",
		content("application/problem+json", use_object(m, &object_problem),
			problem_example(status, about)));
}

static json_t *shared_answers(struct maker *m)
{
	json_t *all = json_object(), *one;
	char name[8];

	for (size_t i = 0; i < n_status_docs; i++) {
		const struct status_doc *s = &status_docs[i];

		one = s->status < 400 ? json_pack("{s:s}", "description", s->about)
				      : problem(m, s->status, s->about);
		if (s->header)
			put_header(m, one, s->header, "As in its RFC.");
		snprintf(name, sizeof(name), "%u", s->status);
		put(m, all, name, one);
	}
	put(m, all, "default",
		problem(m, 405,
			"Refused before it came to this operation: another method (405 with "
			"Allow), a target or head that is too long (414, 431), what is not plain "
			"HTTP/1.1 (417, 501, 505)."));
	return all;
}

static json_t *security_schemes(void)
{
	return json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s}}",
		"token", "type", "http", "scheme", "bearer", "description",
		"A token of POST /v1/tokens: ireko_ and 43 characters.", "cookie", "type", "apiKey",
		"in", "cookie", "name", "ireko", "description",
		"The cookie of POST /v1/login; over HTTPS its name is __Host-ireko.", "csrf",
		"type", "apiKey", "in", "header", "name", "X-CSRF-Token", "description",
		"csrf_token of that login; needed beside the cookie on anything but GET and "
		"HEAD.");
}

static json_t *info(void)
{
	static const char about[] =
		"A managed VPN service for WireGuard and OpenVPN clients as they are.\n\n"
		"JSON in UTF-8 both ways. Lengths count bytes. Times are RFC 3339 in UTC. Unknown "
		"fields, wrong types, keys that are there twice and broken UTF-8 are refused, and "
		"a request that is refused has changed nothing. HEAD is answered wherever GET is. "
		"An answer to a change is sent after it is durable. An object of somebody else is "
		"not there (404). x-ireko-access names the roles that may ask; a token or login "
		"has one.";

	return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "title", "Ireko", "version",
		ireko_version(), "description", about, "license", "name", "Apache-2.0",
		"identifier", "Apache-2.0");
}

static json_t *tags(struct maker *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n_doc_tags; i++)
		append(m, list,
			json_pack("{s:s, s:s}", "name", doc_tags[i].name, "description",
				doc_tags[i].about));
	return list;
}

static json_t *document(struct maker *m)
{
	json_t *all_paths = paths(m), *answers = shared_answers(m);

	return json_pack("{s:s, s:o, s:[{s:s, s:s}], s:o, s:o, s:{s:o, s:o, s:o}}", "openapi",
		"3.1.0", "info", info(), "servers", "url", "/", "description", "This one.", "tags",
		tags(m), "paths", all_paths, "components", "schemas", json_incref(m->schemas),
		"responses", answers, "securitySchemes", security_schemes());
}

static int make_etag(struct openapi *o)
{
	uint8_t hash[32];
	char hex[17];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, o->text, o->len, hash))
		return -EIO;
	hex_encode(hash, 8, hex);
	snprintf(o->etag, sizeof(o->etag), "\"%s\"", hex);
	return 0;
}

int openapi_make(struct openapi *out)
{
	struct maker m = {.schemas = json_object()};
	json_t *doc = document(&m);

	memset(out, 0, sizeof(*out));
	out->text = doc && !m.bad ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	json_decref(m.schemas);
	if (!out->text)
		return -ENOMEM;
	out->len = strlen(out->text);
	return make_etag(out);
}

void openapi_fini(struct openapi *o)
{
	memory_free(o->text);
	memset(o, 0, sizeof(*o));
}
