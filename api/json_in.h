/*
 * Request bodies: strict JSON into a struct, by a table of fields.
 *
 * A prescan bounds depth and number of elements before the parser allocates anything; the parser
 * refuses duplicate keys, broken UTF-8, \u0000 and trailing bytes; the table refuses unknown
 * fields, wrong types and over-long text, and names every one of them.
 */
#ifndef API_JSON_IN_H
#define API_JSON_IN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { JSON_IN_MAX = 64 * 1024, JSON_IN_DEPTH = 16, JSON_IN_ELEMENTS = 1024 };

/* What a field holds, and the C type it is parsed into. */
enum json_in_kind {
	IN_TEXT,     /* const char *, borrowed from the document; NULL for null */
	IN_NAME,     /* the same; the service judges what stands in it */
	IN_LABEL,    /* the same */
	IN_EMAIL,    /* the same */
	IN_PASSWORD, /* the same */
	IN_CODE,     /* the same */
	IN_CSR,	     /* the same; the last of those that are text as it is */
	IN_BOOL,     /* bool */
	IN_TIME,     /* int64_t Unix milliseconds, from RFC 3339; 0 for null */
	IN_ROLE,     /* enum svc_role */
	IN_ADDR4,    /* struct ip_addr */
	IN_ADDR6,    /* struct ip_addr */
	IN_USER_ID,  /* struct ulid, from "usr_..." */
	IN_PROTOCOL, /* uint8_t, enum dir_protocol */
	IN_KEY,	     /* uint8_t[32], from base64 */
	IN_NUMBER,   /* struct svc_number, a whole number from least to most */
	IN_ADDRS,    /* struct svc_addresses, a list of at most SVC_DNS_MAX */
	IN_OBJECT,   /* fields of the same struct, in an object of their own; 0 */
	IN_KINDS
};

enum { IN_REQUIRED = 1, IN_NULLABLE = 2, IN_NULL_IS_ABSENT = 4 };
enum { IN_NO_FLAG = 0xffff };

struct json_field {
	const char *name;
	uint8_t kind;	     /* enum json_in_kind */
	uint8_t flags;	     /* IN_REQUIRED and so on */
	uint16_t max;	     /* longest text in bytes */
	uint16_t at;	     /* offset of the value */
	uint16_t set;	     /* offset of the bool that says it was there, or IN_NO_FLAG */
	int64_t least, most; /* IN_NUMBER */
	const struct json_schema *members; /* IN_OBJECT: fields whose names are "object.member" */
	const char *about;		   /* for people, in the OpenAPI document */
	const char *example;		   /* NULL: none when it may be left out, else the kind's */
};

struct json_schema {
	const char *name;
	const struct json_field *fields;
	size_t n;
	size_t size; /* of the struct that it fills */
};

enum { FIELD_ERRORS_MAX = 16 };
struct field_error {
	char field[64];
	char message[96];
};
/* The first FIELD_ERRORS_MAX of them. */
struct field_errors {
	size_t n;
	struct field_error list[FIELD_ERRORS_MAX];
};
/* Adds one; field is cut at a character's end when it is long. */
void field_errors_add(struct field_errors *e, const char *field, const char *fmt, ...)
	printf_like(3, 4);

/* Depth and number of elements, without allocating. Returns: 0, -EINVAL. */
int json_in_prescan(const char *text, size_t len) must_check;

/* Parses text and fills the zeroed struct out (schema->size bytes). On 0 *doc is owned by the
 * caller (json_decref) and must outlive out's text. On an outcome nothing is owned, *detail is a
 * constant for people and e lists the fields.
 * Returns: 0, 400 (no JSON object), 422 (fields), -ENOMEM. */
int json_in_read(const char *text, size_t len, const struct json_schema *schema, void *out,
	json_t **doc, struct field_errors *e, const char **detail) must_check;

#endif
