/* The REST API as the command sees it: one request, one answer. */
#ifndef API_CLI_REST_H
#define API_CLI_REST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct rest {
	const char *url;    /* "http://127.0.0.1:8080", no slash at the end */
	const char *token;  /* NULL: none */
	const char *cacert; /* PEM file to trust instead of the system's, or NULL */
	char csrf[64];	    /* of a login; its cookie is in the handle */
	void *handle;	    /* libcurl's */
};

/* Returns: 0, -ENOMEM. */
int rest_open(struct rest *r) must_check;
void rest_close(struct rest *r);

struct rest_answer {
	long status;   /* 0: no answer, or half of one; -1: nothing was asked */
	json_t *doc;   /* owned; NULL when there is none */
	char why[320]; /* for people, when it is no success */
};

/* Sends body (taken, NULL: none) as JSON. Returns: whether the status is 2xx. */
bool rest_call(struct rest *r, const char *method, const char *path, json_t *body,
	struct rest_answer *a) must_check;
void rest_answer_fini(struct rest_answer *a);
/* A long answer in pieces, for a stream of events or a download. */
struct rest_stream {
	const char *accept;	   /* media type */
	const char *last_event_id; /* "": none */
	long stall_s;		   /* nothing for so long is an end */
	/* A header of a 2xx answer; value is terminated. NULL: nobody asks. */
	void (*on_header)(void *arg, const char *name, const char *value);
	/* A piece of a 2xx answer's body. false ends it. */
	bool (*on_data)(void *arg, const char *data, size_t n);
	/* How much of how much is there; total 0: nobody knows. NULL: nobody asks. */
	void (*on_progress)(void *arg, uint64_t now, uint64_t total);
	void *arg;
};
/* Returns: whether the status is 2xx and the answer whole; on_data's false counts as an end. */
bool rest_follow(struct rest *r, const char *path, const struct rest_stream *s,
	struct rest_answer *a) must_check;

/* Percent-encodes text for a query. Returns: out, of cap bytes ("" when it does not fit). */
const char *rest_escape(const char *text, char *out, size_t cap);

/* Adds name=value, escaped, to a path of cap bytes; nothing when value is NULL. */
void rest_query(char *path, size_t cap, const char *name, const char *value);

/* Text of a member, or "". Borrowed. */
const char *rest_text(const json_t *doc, const char *name);

#endif
