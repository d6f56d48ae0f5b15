/*
 * Answers: JSON, or problem+json (RFC 9457). Handlers fill a struct reply; the server turns it into
 * what libmicrohttpd sends. The first answer stands: whatever is set later is dropped, so nothing
 * can follow a 401.
 */
#ifndef API_REPLY_H
#define API_REPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/json_in.h"
#include "api/police.h"
#include "base/addr.h"
#include "base/ulid.h"
#include "service/service.h"

enum { REPLY_ID_TEXT = 31 };

/* A body that comes from a file. */
struct reply_file {
	bool is; /* there is one */
	int fd;	 /* owned; -1: handed over */
	uint64_t len;
	char name[64]; /* what the client may call it */
	uint8_t sha256[32];
	void (*done)(void *arg); /* when the answer has ended, however it did */
	void *arg;
};

struct stream;

struct reply {
	unsigned status;      /* 0: not answered yet */
	char *body;	      /* from memory_alloc, owned; NULL for none */
	const char *constant; /* instead of body: bytes that stay */
	size_t len;
	const char *type;     /* constant */
	const char *cache;    /* constant; NULL: to be stored by nobody */
	const char *encoding; /* Content-Encoding, constant, or NULL */
	bool encoded;	      /* which it is depends on Accept-Encoding */
	char location[64], etag[64], allow[64];
	char cookie[160]; /* Set-Cookie; secret */
	uint32_t retry_after_s;
	bool replayed; /* an earlier request's answer */
	bool close;
	struct reply_file file; /* instead of body */
	struct stream *stream;	/* the body has no end: that instead of body; owned */
};

/* The type of the problem that asks for a second factor. */
#define REPLY_TOTP_REQUIRED "urn:ireko:problem:totp-required"

void reply_fini(struct reply *r);
/* Takes body (memory_alloc); NULL (there was no memory) becomes a 500. type: constant. */
void reply_bytes(struct reply *r, unsigned status, const char *type, char *body, size_t len);
/* Bytes that stay and that nobody owns. type: constant. */
void reply_constant(
	struct reply *r, unsigned status, const char *type, const char *bytes, size_t len);
/* Takes doc; NULL (it could not be built) becomes a 500. */
void reply_json(struct reply *r, unsigned status, json_t *doc);
void reply_empty(struct reply *r, unsigned status);
/* 200 with the file as its body; takes its descriptor, and calls done, on every path. */
void reply_with_file(struct reply *r, const char *type, const struct reply_file *f);
/* Takes text (from memory_alloc); NULL becomes a 500. type is a constant. */
void reply_text(struct reply *r, unsigned status, const char *type, char *text);
/* detail may be NULL. 401 tells how to authenticate. */
void reply_problem(struct reply *r, unsigned status, const char *detail);
void reply_fields(
	struct reply *r, unsigned status, const char *detail, const struct field_errors *e);
/* What the service said (not 0): an outcome with its error, or a negative errno as 500. */
void reply_outcome(struct reply *r, int rc, const struct svc_error *e);
/* 204, or the outcome rc when that is not 0. */
void reply_done(struct reply *r, int rc, const struct svc_error *e);

/* The status in words. */
const char *reply_title(unsigned status);

/* ETag of a revision; Location of a new object. */
void reply_etag(struct reply *r, uint64_t revision);
/* The same of an object that also changes without an edit: the body has its part in the tag. After
 * the body was set. */
void reply_etag_live(struct reply *r, uint64_t revision);
/* The revision in an entity tag of ours. Returns false for all others. */
bool etag_parse(struct span tag, uint64_t *revision);
/* If-None-Match (absent: at is NULL): a 200 whose ETag is in it becomes a 304 (RFC 9110 13.1.2). */
void reply_unless_match(struct reply *r, struct span if_none_match);
/* If-Match on an object that has no ETag matches nothing. Returns true when it has answered. */
bool reply_unversioned(struct reply *r, uint64_t if_match);
void reply_location(struct reply *r, const char *collection, const char *id);

/* "usr_" and the ULID; buf has REPLY_ID_TEXT bytes, returned. */
const char *id_format(const char *prefix, const struct ulid *id, char *buf);

/* JSON values, NULL when there is no memory. Absent (0, "", IP_NONE, zero) is null. */
json_t *json_time(int64_t unix_ms);
json_t *json_text(const char *text);
json_t *json_id(const char *prefix, const struct ulid *id);
json_t *json_address(const struct ip_addr *a);
json_t *json_endpoint(const struct endpoint *e);
json_t *json_counter(uint64_t n);

/* A header that every answer carries. */
struct standing_header {
	const char *name, *value;
	bool tls_only;
};
extern const struct standing_header standing_headers[];
extern const size_t n_standing_headers;

#endif
