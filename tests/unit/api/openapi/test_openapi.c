/* The OpenAPI document: whole, and nothing in it that points nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/bodies.h"
#include "api/memory.h"
#include "api/openapi/docs.h"
#include "api/openapi/kinds.h"
#include "api/openapi/openapi.h"
#include "api/openapi/operation.h"
#include "api/query.h"

static struct openapi made;
static json_t *doc;

static int make(void **state)
{
	(void)state;
	memory_adopt_json();
	assert_int_equal(openapi_make(&made), 0);
	doc = json_loadb(made.text, made.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(doc);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	json_decref(doc);
	openapi_fini(&made);
	assert_null(made.text);
	return 0;
}

/* One step after the other; the last argument is NULL. */
static json_t *at(json_t *o, ...)
{
	const char *key;
	va_list ap;

	va_start(ap, o);
	while ((key = va_arg(ap, const char *)) != NULL) {
		if (!json_object_get(o, key))
			fail_msg("no %s", key);
		o = json_object_get(o, key);
	}
	va_end(ap);
	return o;
}

static const char *text_at(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static json_t *follow(json_t *o)
{
	const char *ref = text_at(o, "$ref");
	char path[128], *save = NULL;
	json_t *to = doc;

	if (!ref)
		return o;
	assert_memory_equal(ref, "#/", 2);
	snprintf(path, sizeof(path), "%s", ref + 2);
	for (char *p = strtok_r(path, "/", &save); p; p = strtok_r(NULL, "/", &save))
		to = json_object_get(to, p);
	if (!to)
		fail_msg("%s points nowhere", ref);
	return to;
}

static json_t *described(const struct route *r)
{
	static const char *const methods[HTTP_METHOD_COUNT] = {[HTTP_GET] = "get",
		[HTTP_POST] = "post",
		[HTTP_PATCH] = "patch",
		[HTTP_PUT] = "put",
		[HTTP_DELETE] = "delete"};
	char path[OPERATION_PATH];

	operation_path(r, path);
	return at(doc, "paths", path, methods[r->method], NULL);
}

static void every_route_is_in_it(void **state)
{
	const char *path;
	json_t *methods;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];
		json_t *op = described(r), *access = at(op, "x-ireko-access", NULL);
		char status[8];
		unsigned roles = 0;

		for (size_t k = 0; k < json_array_size(access); k++) {
			const char *role = json_string_value(json_array_get(access, k));
			enum svc_role parsed;

			if (strcmp(role, "public") == 0)
				roles |= ACCESS_PUBLIC;
			else if (strcmp(role, "local") == 0)
				roles |= ACCESS_LOCAL;
			else if (svc_role_parse(role, &parsed) == 0)
				roles |= access_of_role(parsed);
		}
		assert_int_equal(roles, r->access);
		assert_int_equal(json_array_size(at(op, "security", NULL)) == 0,
			(r->access & ACCESS_PUBLIC) != 0);
		assert_true(strlen(text_at(op, "summary")) > 5);
		snprintf(status, sizeof(status), "%u", r->doc->status);
		at(op, "responses", status, "description", NULL);
		assert_int_equal(json_object_get(op, "requestBody") != NULL, r->body != NULL);
		/* One parameter for each that the query takes, the id, If-Match. */
		if (route_has_id(r))
			assert_string_equal(
				text_at(json_array_get(at(op, "parameters", NULL), 0), "name"),
				"id");
	}
	json_object_foreach(at(doc, "paths", NULL), path, methods) n += json_object_size(methods);
	assert_int_equal(n, n_routes);
}

static void check_refs(json_t *v)
{
	const char *key;
	json_t *inner;
	size_t i;

	if (json_is_object(v) && text_at(v, "$ref"))
		follow(v);
	json_object_foreach(v, key, inner) check_refs(inner);
	json_array_foreach(v, i, inner) check_refs(inner);
}

static void every_reference_leads_somewhere(void **state)
{
	const char *name;
	json_t *schema;

	(void)state;
	check_refs(doc);
	/* And every schema is referred to. */
	json_object_foreach(at(doc, "components", "schemas", NULL), name, schema)
	{
		char ref[128];

		snprintf(ref, sizeof(ref), "\"#/components/schemas/%s\"", name);
		if (!strstr(made.text, ref))
			fail_msg("%s is not used", name);
		assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
	}
}

static void bodies_are_described_as_they_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		const struct json_schema *body = routes[i].body;
		json_t *schema, *properties;
		size_t n = 0;

		if (!body || body == &body_form)
			continue;
		schema = follow(at(described(&routes[i]), "requestBody", "content",
			"application/json", "schema", NULL));
		properties = at(schema, "properties", NULL);
		for (size_t k = 0; k < body->n; k++) {
			const struct json_field *f = &body->fields[k];
			const char *dot = strchr(f->name, '.');
			char object[32];
			json_t *p, *type;

			/* A member stands in its object. */
			snprintf(object, sizeof(object), "%.*s", dot ? (int)(dot - f->name) : 0,
				f->name);
			p = dot ? at(properties, object, "properties", dot + 1, NULL)
				: at(properties, f->name, NULL);
			type = at(p, "type", NULL);
			n += !dot;
			assert_true(strlen(text_at(p, "description")) > 5);
			assert_int_equal(json_is_array(type),
				(f->flags & (IN_NULLABLE | IN_NULL_IS_ABSENT)) != 0);
			if (json_object_get(p, "maxLength"))
				assert_int_equal(
					json_integer_value(json_object_get(p, "maxLength")),
					f->max);
		}
		assert_int_equal(json_object_size(properties), n);
	}
}

/* What the document gives as an example is taken by the API. */
static void examples_of_bodies_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		struct field_errors errors = {.n = 0};
		const char *detail = NULL;
		json_t *example, *parsed = NULL;
		union body out;
		char *text;
		int rc;

		if (!routes[i].body || routes[i].body == &body_form)
			continue;
		example = at(described(&routes[i]), "requestBody", "content", "application/json",
			"example", NULL);
		text = json_dumps(example, 0);
		rc = json_in_read(
			text, strlen(text), routes[i].body, &out, &parsed, &errors, &detail);
		if (rc)
			fail_msg("%s: %s", routes[i].pattern, errors.list[0].message);
		json_decref(parsed);
		memory_free(text);
	}
}

static void every_kind_is_described(void **state)
{
	(void)state;
	for (size_t i = 0; i < IN_KINDS; i++)
		assert_true(in_kinds[i].type && in_kinds[i].example);
	for (size_t i = 0; i < OUT_KINDS; i++)
		assert_true(out_kinds[i].type || i == OUT_ANY);
	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++)
		assert_non_null(event_objects[i]);
}

static void the_tag_changes_with_the_text(void **state)
{
	struct openapi again;

	(void)state;
	assert_int_equal(strlen(made.etag), 18);
	assert_int_equal(openapi_make(&again), 0);
	assert_string_equal(again.text, made.text);
	assert_string_equal(again.etag, made.etag);
	openapi_fini(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_in_it),
		cmocka_unit_test(every_reference_leads_somewhere),
		cmocka_unit_test(bodies_are_described_as_they_are_read),
		cmocka_unit_test(examples_of_bodies_are_taken),
		cmocka_unit_test(every_kind_is_described),
		cmocka_unit_test(the_tag_changes_with_the_text),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
