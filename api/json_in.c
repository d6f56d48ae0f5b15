#include "api/json_in.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/ulid.h"
#include "directory/directory.h"
#include "service/service.h"

/* Copies as much of text as fits without cutting a UTF-8 sequence. */
static void copy_cut(char *out, size_t cap, const char *text)
{
	size_t n = strnlen(text, cap);

	if (n == cap) {
		n = cap - 1;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(out, text, n);
	out[n] = '\0';
}

void field_errors_add(struct field_errors *e, const char *field, const char *fmt, ...)
{
	struct field_error *f;
	va_list ap;

	if (e->n == FIELD_ERRORS_MAX)
		return;
	f = &e->list[e->n++];
	copy_cut(f->field, sizeof(f->field), field);
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
}

int json_in_prescan(const char *text, size_t len)
{
	bool in_string = false;
	unsigned depth = 0, elements = 0;

	for (size_t i = 0; i < len; i++) {
		const char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			if (++depth > JSON_IN_DEPTH)
				return -EINVAL;
		} else if (c == ']' || c == '}') {
			if (depth-- == 0)
				return -EINVAL;
		} else if (c == ',') {
			if (++elements > JSON_IN_ELEMENTS)
				return -EINVAL;
		}
	}
	return 0;
}

/* ---- one function a kind: text into at; on an error says why ---- */

static int parse_time(const char *text, void *at, const char **why)
{
	int64_t ms = 0;
	const int rc = clock_parse_ms(text, &ms);

	*why = "is not a time like 2030-01-31T12:00:00Z";
	if (rc)
		return rc;
	/* Zero means none further down: the first millisecond must not become "never". */
	if (ms == 0)
		return -EINVAL;
	memcpy(at, &ms, sizeof(ms));
	return 0;
}

static int parse_role(const char *text, void *at, const char **why)
{
	*why = "is not admin, operator, auditor or user";
	return svc_role_parse(text, at);
}

static int parse_address(const char *text, void *at, enum ip_family family)
{
	struct ip_addr a;
	const int rc = ip_addr_parse(&a, text);

	if (rc)
		return rc;
	if (a.family != family)
		return -EINVAL;
	memcpy(at, &a, sizeof(a));
	return 0;
}

static int parse_addr4(const char *text, void *at, const char **why)
{
	*why = "is not an IPv4 address";
	return parse_address(text, at, IP_V4);
}

static int parse_addr6(const char *text, void *at, const char **why)
{
	*why = "is not an IPv6 address";
	return parse_address(text, at, IP_V6);
}

static int parse_user_id(const char *text, void *at, const char **why)
{
	*why = "is not the id of a user";
	return strncmp(text, "usr_", 4) == 0 ? ulid_parse(at, text + 4) : -EINVAL;
}

static int parse_protocol(const char *text, void *at, const char **why)
{
	static const char *const names[] = {
		[DIR_WIREGUARD] = "wireguard", [DIR_OPENVPN] = "openvpn"};
	uint8_t *out = at;

	*why = "is not wireguard or openvpn";
	for (uint8_t i = DIR_WIREGUARD; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*out = i;
		return 0;
	}
	return -EINVAL;
}

static int parse_key(const char *text, void *at, const char **why)
{
	*why = "is not 32 bytes in base64";
	return base64_decode(text, at, 32);
}

/* What has no parser is text as it is. */
static int (*const text_parsers[IN_KINDS])(const char *text, void *at, const char **why) = {
	[IN_TIME] = parse_time,
	[IN_ROLE] = parse_role,
	[IN_ADDR4] = parse_addr4,
	[IN_ADDR6] = parse_addr6,
	[IN_USER_ID] = parse_user_id,
	[IN_PROTOCOL] = parse_protocol,
	[IN_KEY] = parse_key,
};

/* ---- one function a kind that is no string ---- */

static void take_bool(const struct json_field *f, const json_t *v, void *at, struct field_errors *e)
{
	const bool yes = json_is_true(v);

	if (!json_is_boolean(v))
		field_errors_add(e, f->name, "must be true or false");
	memcpy(at, &yes, sizeof(yes));
}

static void take_number(
	const struct json_field *f, const json_t *v, void *at, struct field_errors *e)
{
	const struct svc_number n = {.there = true, .n = json_integer_value(v)};

	if (!json_is_integer(v))
		field_errors_add(e, f->name, "must be a whole number");
	else if (n.n < f->least || n.n > f->most)
		field_errors_add(e, f->name, "must be between %lld and %lld", (long long)f->least,
			(long long)f->most);
	memcpy(at, &n, sizeof(n));
}

static void take_addresses(
	const struct json_field *f, const json_t *v, void *at, struct field_errors *e)
{
	struct svc_addresses list = {.there = true};

	if (!json_is_array(v) || json_array_size(v) > SVC_DNS_MAX) {
		field_errors_add(e, f->name, "must be a list of at most %d addresses", SVC_DNS_MAX);
		return;
	}
	for (; list.n < json_array_size(v); list.n++) {
		const json_t *item = json_array_get(v, list.n);

		if (!json_is_string(item) || json_string_length(item) > f->max ||
			ip_addr_parse(&list.list[list.n], json_string_value(item))) {
			field_errors_add(e, f->name, "entry %zu is not an address", list.n + 1);
			return;
		}
	}
	memcpy(at, &list, sizeof(list));
}

static void take_text(const struct json_field *f, const json_t *v, void *at, struct field_errors *e)
{
	const char *text = json_string_value(v), *why = NULL;

	if (!text)
		field_errors_add(e, f->name, "must be a string");
	else if (json_string_length(v) > f->max)
		field_errors_add(e, f->name, "is longer than %u bytes", f->max);
	else if (!text_parsers[f->kind])
		memcpy(at, &text, sizeof(text));
	else if (text_parsers[f->kind](text, at, &why))
		field_errors_add(e, f->name, "%s", why);
}

/* Takes one value; returns whether it counts as given. */
static bool take(const struct json_field *f, const json_t *v, void *out, struct field_errors *e)
{
	void *at = (char *)out + f->at;

	if (json_is_null(v)) {
		if (!(f->flags & (IN_NULLABLE | IN_NULL_IS_ABSENT)))
			field_errors_add(e, f->name, "must not be null");
		return (f->flags & IN_NULLABLE) != 0;
	}
	if (f->kind == IN_BOOL)
		take_bool(f, v, at, e);
	else if (f->kind == IN_NUMBER)
		take_number(f, v, at, e);
	else if (f->kind == IN_ADDRS)
		take_addresses(f, v, at, e);
	else
		take_text(f, v, at, e);
	return true;
}

static void mark(const struct json_field *f, void *out)
{
	if (f->set != IN_NO_FLAG)
		*(bool *)((char *)out + f->set) = true;
}

/* A field by its name; a member's stands behind the dot. */
static const struct json_field *field_of(const struct json_schema *s, const char *name, bool member)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *dot = strchr(s->fields[i].name, '.');

		if (member == (dot != NULL) && strcmp(dot ? dot + 1 : s->fields[i].name, name) == 0)
			return &s->fields[i];
	}
	return NULL;
}

/* null stands for null in each of them. Objects hold no objects. */
static void take_members(
	const struct json_field *f, const json_t *v, void *out, struct field_errors *e)
{
	const struct json_schema *s = f->members;
	const char *name;
	json_t *one;

	if (json_is_null(v) && f->flags & IN_NULLABLE) {
		for (size_t i = 0; i < s->n; i++)
			mark(&s->fields[i], out);
		return;
	}
	if (!json_is_object(v)) {
		field_errors_add(e, f->name, "must be an object");
		return;
	}
	json_object_foreach((json_t *)v, name, one)
	{
		const struct json_field *member = field_of(s, name, true);

		if (!member)
			field_errors_add(e, f->name, "has unknown members");
		else if (take(member, one, out, e))
			mark(member, out);
	}
}

static void fill(json_t *doc, const struct json_schema *s, void *out, struct field_errors *e)
{
	const char *name;
	json_t *v;

	memset(out, 0, s->size);
	json_object_foreach(doc, name, v)
	{
		const struct json_field *f = field_of(s, name, false);

		if (!f)
			field_errors_add(e, name, "is unknown or can't be set here");
		else if (f->kind == IN_OBJECT)
			take_members(f, v, out, e);
		else if (take(f, v, out, e))
			mark(f, out);
	}
	for (size_t i = 0; i < s->n; i++) {
		if ((s->fields[i].flags & IN_REQUIRED) && !json_object_get(doc, s->fields[i].name))
			field_errors_add(e, s->fields[i].name, "is required");
	}
}

int json_in_read(const char *text, size_t len, const struct json_schema *schema, void *out,
	json_t **doc, struct field_errors *e, const char **detail)
{
	json_error_t error;
	json_t *root;

	e->n = 0;
	if (json_in_prescan(text, len)) {
		*detail = "The JSON is nested too deeply or has too many elements.";
		return 400;
	}
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		/* jansson's own text quotes the input, which may be a secret. */
		const enum json_error_code code = json_error_code(&error);

		*detail = code == json_error_duplicate_key ? "A key is there twice."
							   : "The body is not JSON in UTF-8.";
		return code == json_error_out_of_memory ? -ENOMEM : 400;
	}
	if (!json_is_object(root)) {
		json_decref(root);
		*detail = "The body is not a JSON object.";
		return 400;
	}
	fill(root, schema, out, e);
	if (e->n > 0) {
		json_decref(root);
		memset(out, 0, schema->size);
		*detail = "Some fields can't be taken.";
		return 422;
	}
	*doc = root;
	return 0;
}
