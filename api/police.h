/*
 * Framing police: judges the head of a request before anything else looks at it.
 *
 * libmicrohttpd 0.9 accepts what other HTTP software reads differently (two Content-Length, two
 * Host, any Transfer-Encoding, bare line feeds, folded lines, a space before the colon), and where
 * two readers disagree requests can be smuggled. What is not plain HTTP/1.1 is refused here and the
 * connection closed. Pure: no I/O, no libmicrohttpd.
 */
#ifndef API_POLICE_H
#define API_POLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum {
	POLICE_FIELDS_MAX = 64,
	POLICE_HEAD_MAX = 16 * 1024,
	POLICE_TARGET_MAX = 4 * 1024,
};

#define HTTP_METHODS(X)	    X(GET) X(HEAD) X(POST) X(PUT) X(PATCH) X(DELETE) X(OPTIONS)
#define HTTP_METHOD_ENUM(m) HTTP_##m,
enum http_method { HTTP_METHODS(HTTP_METHOD_ENUM) HTTP_METHOD_COUNT };
#undef HTTP_METHOD_ENUM
/* "GET" and so on. */
const char *http_method_name(enum http_method m);

struct head_field {
	const char *name, *value; /* not necessarily terminated */
	size_t name_len, value_len;
};

/* A head as it stood on the wire. Everything is borrowed. */
struct head {
	const char *method, *target, *version;
	size_t target_len; /* may be more than target holds: then it is too long anyway */
	size_t size;	   /* bytes of the whole head */
	size_t n_fields;   /* may be more than fields holds: then there are too many anyway */
	bool ragged;	   /* not exactly one CRLF between the lines, or a NUL inside one */
	struct head_field fields[POLICE_FIELDS_MAX];
};

/* Fields that the api asks for; a request has each at most once. X(member, name) */
#define POLICE_SINGLES(X)                                                                          \
	X(host, "Host")                                                                            \
	X(content_length, "Content-Length")                                                        \
	X(content_type, "Content-Type")                                                            \
	X(content_encoding, "Content-Encoding")                                                    \
	X(authorization, "Authorization")                                                          \
	X(cookie, "Cookie")                                                                        \
	X(csrf_token, "X-CSRF-Token")                                                              \
	X(origin, "Origin")                                                                        \
	X(if_match, "If-Match")                                                                    \
	X(if_none_match, "If-None-Match")                                                          \
	X(idempotency_key, "Idempotency-Key")                                                      \
	X(sec_fetch_site, "Sec-Fetch-Site")                                                        \
	X(last_event_id, "Last-Event-ID")                                                          \
	X(expect, "Expect")

/* A piece of text, trimmed of blanks; at is NULL when the field is absent. */
struct span {
	const char *at;
	size_t len;
};

/* What the rest of the api may rely on; spans point into the head. */
struct admitted {
	enum http_method method;
	struct span path,
		query; /* path: plain characters only, begins with '/', no "//", ".", ".." */
#define POLICE_MEMBER(member, name) struct span member;
	POLICE_SINGLES(POLICE_MEMBER)
#undef POLICE_MEMBER
	struct span accept, accept_encoding; /* may stand there several times: the first */
	uint64_t body_len;
	bool forwarded; /* a proxy says that it is somebody else's request: never a local one */
};

/* Judges h. Returns: 0 and *out, or the HTTP status to refuse with (400, 414, 417, 431, 501, 505);
 * *why then says what is wrong, a constant. After a refusal the connection must be closed. */
unsigned police_check(const struct head *h, struct admitted *out, const char **why) must_check;

/* Compares ignoring ASCII case. */
bool span_is(struct span s, const char *text);
/* The n bytes at p without the blanks around them. */
struct span span_trim(const char *p, size_t n);

#endif
