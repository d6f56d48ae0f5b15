#include "api/openapi/answers.h"

#include <stdio.h>

#include "api/bodies.h"
#include "api/openapi/schema.h"
#include "api/openapi/statuses.h"
#include "api/reply.h"

json_t *answers_content(const char *type, json_t *schema, json_t *example)
{
	return json_pack("{s:{s:o, s:o}}", type, "schema", schema, "example", example);
}

static void put_header(
	struct maker *m, json_t *answer, const char *name, const char *about, bool always)
{
	json_t *headers = json_object_get(answer, "headers");

	if (!headers) {
		maker_put(m, answer, "headers", json_object());
		headers = json_object_get(answer, "headers");
	}
	maker_put(m, headers, name,
		json_pack("{s:s, s:b, s:{s:s}}", "description", about, "required", always, "schema",
			"type", "string"));
}

/* ---- success ---- */

/* What is not JSON: text with an example, or bytes. */
static json_t *other_content(const struct route_doc *d)
{
	if (!d->example)
		return json_pack("{s:{}}", d->type);
	return answers_content(
		d->type, json_pack("{s:s}", "type", "string"), json_string(d->example));
}

static json_t *json_content(struct maker *m, const struct route_doc *d)
{
	if (!d->answer)
		return json_object();
	if (d->page)
		return answers_content("application/json", maker_page(m, d->answer),
			schema_page_example(d->answer));
	return answers_content(
		"application/json", maker_object(m, d->answer), schema_object_example(d->answer));
}

static void put_headers(struct maker *m, json_t *answer, const struct route *r)
{
	const struct route_doc *d = r->doc;

	for (size_t i = 0; i < DOC_HEADERS && d->headers[i]; i++)
		put_header(m, answer, d->headers[i], "As in its RFC.", true);
	if (d->status == 201)
		put_header(m, answer, "Location", "Path of the new object.", true);
	if (route_may_repeat(r))
		put_header(m, answer, "Idempotency-Replayed",
			"true: the first answer again, to a repeated Idempotency-Key.", false);
	if (d->revision && (d->answer || d->type))
		put_header(m, answer, "ETag", "Of this state of the object.", true);
}

static json_t *success_of(struct maker *m, const struct route *r)
{
	const struct route_doc *d = r->doc;
	json_t *answer = json_pack("{s:s}", "description", d->answer ? d->answer->about : "Done.");
	json_t *content;

	if (d->answer || d->type) {
		content = json_content(m, d);
		if (d->type && json_object_update_new(content, other_content(d)))
			m->bad = true;
		maker_put(m, answer, "content", content);
	}
	put_headers(m, answer, r);
	return answer;
}

/* ---- failure ---- */

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
		answers_content("application/problem+json", maker_object(m, &object_problem),
			problem_example(status, about)));
}

static json_t *failure(struct maker *m, const struct status_doc *s)
{
	json_t *one = s->status < 400 ? json_pack("{s:s}", "description", s->about)
				      : problem(m, s->status, s->about);

	if (s->header)
		put_header(m, one, s->header, "As in its RFC.", true);
	return one;
}

/* A reference to what all share; written out where a page of our own may stand for it. */
static json_t *failure_of(struct maker *m, const struct route *r, const struct status_doc *s)
{
	json_t *own;

	if (r->body != &body_form)
		return json_pack(
			"{s:o}", "$ref", json_sprintf("#/components/responses/%u", s->status));
	own = failure(m, s);
	if (json_object_update_new(json_object_get(own, "content"), other_content(r->doc)))
		m->bad = true;
	return own;
}

json_t *answers_of(struct maker *m, const struct route *r)
{
	json_t *all = json_object();
	char status[12];

	snprintf(status, sizeof(status), "%u", r->doc->status);
	maker_put(m, all, status, success_of(m, r));
	for (size_t i = 0; i < n_status_docs; i++) {
		if (!status_applies(&status_docs[i], r))
			continue;
		snprintf(status, sizeof(status), "%u", status_docs[i].status);
		maker_put(m, all, status, failure_of(m, r, &status_docs[i]));
	}
	maker_put(m, all, "default", json_pack("{s:s}", "$ref", "#/components/responses/default"));
	return all;
}

json_t *answers_shared(struct maker *m)
{
	json_t *all = json_object();
	char name[12];

	for (size_t i = 0; i < n_status_docs; i++) {
		snprintf(name, sizeof(name), "%u", status_docs[i].status);
		maker_put(m, all, name, failure(m, &status_docs[i]));
	}
	maker_put(m, all, "default",
		problem(m, 405,
			"Refused before it came to this operation: another method (405 with "
			"Allow), an If-Match that is no ETag of ours (412), a target or head that "
			"is too long (414, 431), what is not plain HTTP/1.1 (417, 501, 505)."));
	return all;
}
