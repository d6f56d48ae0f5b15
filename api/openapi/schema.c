#include "api/openapi/schema.h"

#include <stdio.h>
#include <string.h>

#include "api/openapi/kinds.h"
#include "service/service.h"

const char *schema_body_name(const struct json_schema *s, char *buf)
{
	snprintf(buf, SCHEMA_NAME, "%s_body", s->name);
	return buf;
}

json_t *schema_ref(const char *name)
{
	return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", name));
}

/* Takes all; NULL anywhere gives NULL. */
static json_t *object_schema(const char *about, json_t *properties, json_t *required)
{
	json_t *o = json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
		"required", required, "additionalProperties", 0);

	if (o && about)
		json_object_set_new(o, "description", json_string(about));
	return o;
}

/* ---- bodies ---- */

/* "minutes" of "traffic_retention.minutes"; NULL: it is no member. */
static const char *member_name(const struct json_field *f)
{
	const char *dot = strchr(f->name, '.');

	return dot ? dot + 1 : NULL;
}

static json_t *body_field(const struct json_field *f);

static json_t *members_of(const struct json_schema *s)
{
	json_t *properties = json_object();

	for (size_t i = 0; i < s->n; i++)
		json_object_set_new(
			properties, member_name(&s->fields[i]), body_field(&s->fields[i]));
	return properties;
}

static void put_bounds(json_t *s, const struct json_field *f)
{
	if (f->kind == IN_NUMBER) {
		json_object_set_new(s, "minimum", json_integer(f->least));
		json_object_set_new(s, "maximum", json_integer(f->most));
	} else if (f->kind == IN_ADDRS) {
		json_object_set_new(s, "maxItems", json_integer(SVC_DNS_MAX));
		json_object_set_new(s, "items",
			json_pack("{s:s, s:i}", "type", "string", "maxLength", (int)f->max));
	} else if (f->kind == IN_OBJECT) {
		json_object_set_new(s, "properties", members_of(f->members));
		json_object_set_new(s, "additionalProperties", json_false());
	}
}

static json_t *body_field(const struct json_field *f)
{
	const bool nullable = (f->flags & (IN_NULLABLE | IN_NULL_IS_ABSENT)) != 0;
	struct value_kind k = in_kinds[f->kind];
	json_t *s;

	/* A text that null clears may as well be empty; a password may not. */
	if (f->kind == IN_LABEL && (f->flags & IN_NULLABLE))
		k.min = 0;
	s = kind_schema(&k, f->max, nullable);
	put_bounds(s, f);
	json_object_set_new(s, "description", json_string(f->about));
	return s;
}

json_t *schema_of_body(const struct json_schema *s)
{
	json_t *properties = json_object(), *required = json_array();

	for (size_t i = 0; i < s->n; i++) {
		const struct json_field *f = &s->fields[i];

		if (member_name(f))
			continue;
		json_object_set_new(properties, f->name, body_field(f));
		if (f->flags & IN_REQUIRED)
			json_array_append_new(required, json_string(f->name));
	}
	return object_schema(NULL, properties, required);
}

json_t *schema_body_example(const struct json_schema *s)
{
	json_t *o = json_object();

	for (size_t i = 0; i < s->n; i++) {
		const struct json_field *f = &s->fields[i];

		if (f->example || (f->flags & IN_REQUIRED))
			json_object_set_new(
				o, f->name, kind_example(&in_kinds[f->kind], f->example, false));
	}
	return o;
}

/* ---- answers ---- */

/* What was when, or whose; received; sent. */
static json_t *triple_of(unsigned kind)
{
	const enum json_out_kind first = kind == OUT_POINTS ? OUT_TIME : OUT_DEVICE_ID;

	return json_pack("{s:s, s:[o, o, o], s:{}, s:i, s:i}", "type", "array", "prefixItems",
		kind_schema(&out_kinds[first], 0, false),
		kind_schema(&out_kinds[OUT_COUNT], 0, false),
		kind_schema(&out_kinds[OUT_COUNT], 0, false), "items", "minItems", 3, "maxItems",
		3);
}

static json_t *object_field(const struct json_out_field *f)
{
	const bool nullable = (f->flags & OUT_NULLABLE) != 0;
	json_t *s;

	if (f->kind == OUT_OBJECT && nullable)
		s = json_pack("{s:[o, {s:s}]}", "anyOf", schema_ref(f->of->name), "type", "null");
	else if (f->kind == OUT_OBJECT)
		s = schema_ref(f->of->name);
	else
		s = kind_schema(&out_kinds[f->kind], 0, nullable);
	if (f->kind == OUT_LIST)
		json_object_set_new(s, "items", schema_ref(f->of->name));
	if (f->kind == OUT_TEXTS)
		json_object_set_new(s, "items", json_pack("{s:s}", "type", "string"));
	if (f->kind == OUT_POINTS || f->kind == OUT_MOVED)
		json_object_set_new(s, "items", triple_of(f->kind));
	if (f->kind == OUT_COUNTS)
		json_object_set_new(s, "additionalProperties",
			json_pack("{s:s, s:i}", "type", "integer", "minimum", 0));
	if (f->kind == OUT_LABELS)
		json_object_set_new(
			s, "additionalProperties", json_pack("{s:s}", "type", "string"));
	json_object_set_new(s, "description", json_string(f->about));
	return s;
}

json_t *schema_of_object(const struct json_object *o)
{
	json_t *properties = json_object(), *required = json_array();

	for (size_t i = 0; i < o->n; i++) {
		const struct json_out_field *f = &o->fields[i];

		json_object_set_new(properties, f->name, object_field(f));
		if (!(f->flags & OUT_OPTIONAL))
			json_array_append_new(required, json_string(f->name));
	}
	return object_schema(o->about, properties, required);
}

json_t *schema_object_example(const struct json_object *o)
{
	json_t *doc = json_object();

	for (size_t i = 0; i < o->n; i++) {
		const struct json_out_field *f = &o->fields[i];
		json_t *value;

		if (f->kind == OUT_OBJECT)
			value = schema_object_example(f->of);
		else if (f->kind == OUT_LIST)
			value = json_pack("[o]", schema_object_example(f->of));
		else
			value = kind_example(
				&out_kinds[f->kind], f->example, (f->flags & OUT_NULLABLE) != 0);
		json_object_set_new(doc, f->name, value);
	}
	return doc;
}

json_t *schema_of_page(const struct json_object *o)
{
	return object_schema(NULL,
		json_pack("{s:{s:s, s:o}, s:{s:[s, s], s:s}}", "items", "type", "array", "items",
			schema_ref(o->name), "next_cursor", "type", "string", "null", "description",
			"Value of ?cursor= for the next page; null: this is the last."),
		json_pack("[s, s]", "items", "next_cursor"));
}

json_t *schema_page_example(const struct json_object *o)
{
	return json_pack("{s:[o], s:n}", "items", schema_object_example(o), "next_cursor");
}
