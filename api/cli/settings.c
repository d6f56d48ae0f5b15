#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/columns.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"

enum { NAME_CAP = 64, VALUE_CAP = 512 };

/* What a value is in JSON. */
enum setting_type { TEXT, NUMBER, LIST };

static const struct setting_name {
	const char *name; /* "traffic_retention.days": a path */
	enum setting_type type;
} names[] = {
	{"endpoint", TEXT},
	{"dns", LIST},
	{"mtu", NUMBER},
	{"keepalive", NUMBER},
	{"credential_lifetime_s", NUMBER},
	{"traffic_retention.minutes", NUMBER},
	{"traffic_retention.hours", NUMBER},
	{"traffic_retention.days", NUMBER},
	{"audit_retention_days", NUMBER},
};

static void add_row(json_t *rows, const json_t *doc, const char *name)
{
	const json_t *value = columns_member(doc, name);
	const json_t *initial = columns_member(json_object_get(doc, "defaults"), name);

	if (value)
		json_array_append_new(rows, json_pack("{s:s, s:O, s:O*}", "name", name, "value",
						    value, "default", initial ? initial : value));
}

static void show(const json_t *doc)
{
	static const struct column columns[] = {{"NAME", "name", COLUMN_TEXT},
		{"VALUE", "value", COLUMN_TEXT}, {"DEFAULT", "default", COLUMN_TEXT}};
	JSON_OWNED rows = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		add_row(rows, doc, names[i].name);
	columns_print(stdout, columns_width(stdout), columns, ARRAY_SIZE(columns), rows);
}

static enum exit_code answer(struct args *a, const struct rest_answer *got)
{
	if (option(a, OPT_JSON))
		print_json(got->doc);
	else
		show(got->doc);
	return EXIT_FINE;
}

enum exit_code run_settings_show(struct args *a)
{
	ANSWER got = {.status = 0};

	if (!rest_call(&a->rest, "GET", "/v1/settings", NULL, &got))
		return fail_rest("settings show", &got);
	return answer(a, &got);
}

/* ---- set ---- */

static json_t *list_of(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		const size_t n = strcspn(text, ",");

		json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == ',');
	}
	return list;
}

/* An empty value takes the default again. Returns: NULL when it can't be one of that type. */
static json_t *value_of(enum setting_type type, const char *text)
{
	char *end;
	long long n;

	if (text[0] == '\0')
		return json_null();
	switch (type) {
	case TEXT:
		return json_string(text);
	case LIST:
		return list_of(text);
	case NUMBER:
		break;
	}
	n = strtoll(text, &end, 10);
	return *end ? NULL : json_integer(n);
}

static json_t *inner_of(json_t *body, const char *name)
{
	json_t *inner = json_object_get(body, name);

	if (!inner) {
		inner = json_object();
		json_object_set_new(body, name, inner);
	}
	return inner;
}

static void put(json_t *body, const char *path, json_t *value)
{
	char outer[NAME_CAP];
	const char *dot = strchr(path, '.');

	if (!dot) {
		json_object_set_new(body, path, value);
		return;
	}
	snprintf(outer, sizeof(outer), "%.*s", (int)(dot - path), path);
	json_object_set_new(inner_of(body, outer), dot + 1, value);
}

static const struct setting_name *named(const char *text, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == n && strncmp(names[i].name, text, n) == 0)
			return &names[i];
	return NULL;
}

static enum exit_code take(json_t *body, const char *operand)
{
	const size_t n = strcspn(operand, "=");
	const struct setting_name *s = named(operand, n);
	json_t *value;

	if (operand[n] != '=')
		return fail_usage("settings set: %s is not NAME=VALUE", operand);
	if (!s)
		return fail_usage("settings set: there is no setting %.*s", (int)n, operand);
	value = value_of(s->type, operand + n + 1);
	if (!value)
		return fail_usage("settings set: %s is not a number", operand);
	put(body, s->name, value);
	return EXIT_FINE;
}

enum exit_code run_settings_set(struct args *a)
{
	JSON_OWNED body = json_object();
	ANSWER got = {.status = 0};

	for (size_t i = 0; i < a->n_operands; i++) {
		const enum exit_code rc = take(body, a->operand[i]);

		if (rc)
			return rc;
	}
	if (!rest_call(&a->rest, "PATCH", "/v1/settings", json_incref(body), &got))
		return fail_rest("settings set", &got);
	return answer(a, &got);
}
