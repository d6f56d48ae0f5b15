/* The REST API as the command sees it: one request, one answer. */
#ifndef API_CLI_REST_H
#define API_CLI_REST_H

#include <jansson.h>
#include <stdbool.h>

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
	long status;   /* 0: no answer */
	json_t *doc;   /* owned; NULL when there is none */
	char why[320]; /* for people, when it is no success */
};

/* Sends body (taken, NULL: none) as JSON. Returns: whether the status is 2xx. */
bool rest_call(struct rest *r, const char *method, const char *path, json_t *body,
	struct rest_answer *a) must_check;
void rest_answer_fini(struct rest_answer *a);
/* Text of a member, or "". Borrowed. */
const char *rest_text(const json_t *doc, const char *name);

#endif
