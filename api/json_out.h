/*
 * Answers: a struct into a JSON object, by a table of fields. The same table is the object's schema
 * in the OpenAPI document, so what is answered and what is promised can't differ.
 */
#ifndef API_JSON_OUT_H
#define API_JSON_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a field holds in C, and how it looks in JSON. */
enum json_out_kind {
	OUT_TEXT,	   /* char[] */
	OUT_TEXT_AT,	   /* const char * */
	OUT_SHA256,	   /* char[], hexadecimal */
	OUT_SECRET,	   /* const char *, base64url of 32 bytes */
	OUT_TOKEN,	   /* const char *, a bearer token */
	OUT_BOOL,	   /* bool */
	OUT_TIME,	   /* int64_t Unix milliseconds */
	OUT_NUMBER,	   /* uint32_t */
	OUT_COUNT,	   /* uint64_t */
	OUT_ROLE,	   /* enum svc_role */
	OUT_ADDR,	   /* struct ip_addr, of either family */
	OUT_ADDR4,	   /* struct ip_addr */
	OUT_ADDR6,	   /* struct ip_addr */
	OUT_ENDPOINT,	   /* struct endpoint */
	OUT_USER_ID,	   /* struct ulid, as all ids */
	OUT_DEVICE_ID,	   /* "dev_..." */
	OUT_CREDENTIAL_ID, /* "crd_..." */
	OUT_SESSION_ID,	   /* "ses_..." */
	OUT_TOKEN_ID,	   /* "tok_..." */
	OUT_CODE_SECRET,   /* char[], base32 */
	OUT_INVITE_ID,	   /* "inv_..." */
	OUT_ANY_ID,	   /* of any kind, by hand only */
	OUT_VIA,	   /* token or login, by hand only */
	OUT_OUTCOME,	   /* char[], of an audit row */
	OUT_PROTOCOL,	   /* uint8_t, enum dir_protocol */
	OUT_TRANSPORT,	   /* uint8_t, enum uapi_transport */
	OUT_CIPHER,	   /* uint8_t, enum aead_cipher */
	OUT_TLS,	   /* uint16_t, 0 is null */
	OUT_OBJECT,	   /* a struct inside, by its own table */
	OUT_LIST,	   /* pointer to n of them, n is a size_t */
	OUT_TEXTS,	   /* a list of texts, by hand only */
	OUT_COUNTS,	   /* an object of counters by name, by hand only */
	OUT_LABELS,	   /* an object of texts by name, by hand only */
	OUT_POINTS,	   /* [[time, received, sent], ...], by hand only */
	OUT_MOVED,	   /* [[device, received, sent], ...], by hand only */
	OUT_ANY,	   /* an object that the document leaves open, by hand only */
	OUT_KINDS
};

/* NULLABLE: nothing (0, "", IP_NONE, zero) is null. OPTIONAL: may be absent; by hand only. */
enum { OUT_NULLABLE = 1, OUT_OPTIONAL = 2 };
/* An offset that is none. at: the handler sets the field by hand, which until then is null. */
enum { OUT_NOWHERE = 0xffff };

struct json_object;

struct json_out_field {
	const char *name;
	uint8_t kind;  /* enum json_out_kind */
	uint8_t flags; /* OUT_NULLABLE and so on */
	uint16_t at;   /* offset of the value */
	uint16_t n;    /* of a list's length */
	uint16_t when; /* of a bool without which the value is null, or OUT_NOWHERE */
	const struct json_object *of; /* of objects and lists */
	const char *about;	      /* for people */
	const char *example;	      /* text, or JSON for what is no text; NULL: the kind's */
};

struct json_object {
	const char *name;
	const char *about;
	const struct json_out_field *fields;
	size_t n;
	size_t size; /* of the struct that it reads */
};

/* Returns: owned, or NULL when there is no memory. */
json_t *json_out(const struct json_object *o, const void *at);
/* A JSON array of n of them, one behind the other. Returns: owned, or NULL. */
json_t *json_out_list(const struct json_object *o, const void *at, size_t n);

#endif
