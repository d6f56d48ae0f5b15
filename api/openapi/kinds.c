#include "api/openapi/kinds.h"

#include <string.h>

#include "service/service.h"

#define ULID_PATTERN "[0-7][0-9A-HJKMNP-TV-Z]{25}$"
#define ULID_EXAMPLE "01JQ2V8W9XKAB3M4N5P6Q7R8S9"
#define ID(prefix)                                                                                 \
	{.type = "string", .pattern = "^" prefix ULID_PATTERN, .example = prefix ULID_EXAMPLE}
#define CHOICE(values_, example_) {.type = "string", .values = values_, .example = example_}
#define ADDRESS(family, example_) {.type = "string", .format = family, .example = example_}
#define ROLES			  CHOICE("admin operator auditor user", "user")
#define PROTOCOLS		  CHOICE("wireguard openvpn", "wireguard")
#define NO_CONTROLS		  "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$"
#define TIME_EXAMPLE		  "2030-01-31T12:00:00.000Z"

const struct value_kind in_kinds[IN_KINDS] = {
	[IN_TEXT] = {.type = "string", .example = "text"},
	[IN_NAME] = {.type = "string",
		.pattern = "^[A-Za-z0-9._@-]+$",
		.min = 1,
		.example = "alice"},
	[IN_LABEL] = {.type = "string", .pattern = NO_CONTROLS, .min = 1, .example = "laptop"},
	[IN_EMAIL] = {.type = "string", .format = "email", .example = "alice@example.org"},
	[IN_PASSWORD] = {.type = "string",
		.format = "password",
		.pattern = NO_CONTROLS,
		.min = SVC_PASSWORD_MIN,
		.example = "correct horse battery staple"},
	[IN_CODE] = {.type = "string", .example = "123456"},
	[IN_CSR] = {.type = "string", .example = "-----BEGIN CERTIFICATE REQUEST-----\n..."},
	[IN_BOOL] = {.type = "boolean", .example = "true"},
	[IN_TIME] = {.type = "string", .format = "date-time", .example = TIME_EXAMPLE},
	[IN_ROLE] = ROLES,
	[IN_ADDR4] = ADDRESS("ipv4", "10.77.0.9"),
	[IN_ADDR6] = ADDRESS("ipv6", "fd00:77::9"),
	[IN_USER_ID] = ID("usr_"),
	[IN_PROTOCOL] = PROTOCOLS,
	[IN_KEY] = {.type = "string",
		.pattern = "^[A-Za-z0-9+/]{43}=$",
		.min = 44,
		.example = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="},
	[IN_NUMBER] = {.type = "integer", .example = "1"},
	[IN_ADDRS] = {.type = "array", .example = "[\"9.9.9.9\"]"},
	[IN_OBJECT] = {.type = "object", .example = "{}"},
};

const struct value_kind out_kinds[OUT_KINDS] = {
	[OUT_TEXT] = {.type = "string", .example = "text"},
	[OUT_TEXT_AT] = {.type = "string", .example = "text"},
	[OUT_SHA256] = {.type = "string",
		.pattern = "^[0-9a-f]{64}$",
		.example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
	[OUT_SECRET] = {.type = "string",
		.pattern = "^[A-Za-z0-9_-]{43}$",
		.example = "f81zSuU8xqIRnEUrPBBnUaMQwdtWHlD1cqhKbBBfZ4A"},
	[OUT_TOKEN] = {.type = "string",
		.pattern = "^ireko_[A-Za-z0-9_-]{43}$",
		.example = "ireko_f81zSuU8xqIRnEUrPBBnUaMQwdtWHlD1cqhKbBBfZ4A"},
	[OUT_BOOL] = {.type = "boolean", .example = "true"},
	[OUT_TIME] = {.type = "string", .format = "date-time", .example = TIME_EXAMPLE},
	[OUT_NUMBER] = {.type = "integer", .whole = true, .example = "1"},
	[OUT_COUNT] = {.type = "integer", .format = "int64", .whole = true, .example = "123456"},
	[OUT_ROLE] = ROLES,
	[OUT_ADDR] = {.type = "string", .example = "203.0.113.7"},
	[OUT_ADDR4] = ADDRESS("ipv4", "10.77.0.9"),
	[OUT_ADDR6] = ADDRESS("ipv6", "fd00:77::9"),
	[OUT_ENDPOINT] = {.type = "string", .example = "203.0.113.7:51820"},
	[OUT_USER_ID] = ID("usr_"),
	[OUT_DEVICE_ID] = ID("dev_"),
	[OUT_CREDENTIAL_ID] = ID("crd_"),
	[OUT_SESSION_ID] = ID("ses_"),
	[OUT_TOKEN_ID] = ID("tok_"),
	[OUT_CODE_SECRET] = {.type = "string",
		.pattern = "^[A-Z2-7]+$",
		.example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"},
	[OUT_INVITE_ID] = ID("inv_"),
	[OUT_ANY_ID] = {.type = "string",
		.pattern = "^[a-z]{3}_" ULID_PATTERN,
		.example = "dev_" ULID_EXAMPLE},
	[OUT_VIA] = CHOICE("token login", "token"),
	[OUT_OUTCOME] = CHOICE("ok failed limited denied", "ok"),
	[OUT_PROTOCOL] = PROTOCOLS,
	[OUT_TRANSPORT] = CHOICE("udp tcp", "udp"),
	[OUT_CIPHER] = CHOICE("CHACHA20-POLY1305 AES-256-GCM AES-128-GCM", "CHACHA20-POLY1305"),
	[OUT_TLS] = CHOICE("TLSv1.2 TLSv1.3", "TLSv1.3"),
	[OUT_OBJECT] = {.type = "object"},
	[OUT_LIST] = {.type = "array"},
	[OUT_TEXTS] = {.type = "array", .example = "[\"text\"]"},
	[OUT_COUNTS] = {.type = "object", .example = "{\"name\": 0}"},
	[OUT_LABELS] = {.type = "object", .example = "{\"name\": \"text\"}"},
	[OUT_POINTS] = {.type = "array",
		.example = "[[\"2030-01-31T12:00:00.000Z\", 123456, 654321]]"},
	[OUT_MOVED] = {.type = "array", .example = "[[\"dev_" ULID_EXAMPLE "\", 123456, 654321]]"},
	[OUT_ANY] = {.example = "{}"},
};

static json_t *values_of(const char *text, bool nullable)
{
	json_t *list = json_array();

	for (size_t n; *text; text += n + (text[n] == ' ')) {
		n = strcspn(text, " ");
		json_array_append_new(list, json_stringn(text, n));
	}
	if (nullable)
		json_array_append_new(list, json_null());
	return list;
}

/* An absent text leaves its key out. */
static json_t *text_of(const char *text)
{
	return text ? json_string(text) : NULL;
}

json_t *kind_schema(const struct value_kind *k, unsigned max, bool nullable)
{
	const bool text = k->type && strcmp(k->type, "string") == 0;
	json_t *type = nullable ? json_pack("[s, s]", k->type, "null") : text_of(k->type);
	/* A choice has no length. */
	const bool sized = text && !k->values;

	return json_pack("{s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*}", "type", type, "format",
		text_of(k->format), "pattern", text_of(k->pattern), "enum",
		k->values ? values_of(k->values, nullable) : NULL, "minLength",
		sized && k->min ? json_integer(k->min) : NULL, "maxLength",
		sized && max ? json_integer(max) : NULL, "minimum",
		k->whole ? json_integer(0) : NULL);
}

json_t *kind_example(const struct value_kind *k, const char *example, bool nullable)
{
	if (nullable && example && example[0] == '\0')
		return json_null();
	if (!example)
		example = k->example;
	if (k->type && strcmp(k->type, "string") == 0)
		return json_string(example);
	return json_loads(example, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
}
