/*
 * Requests that may be repeated: who sends an Idempotency-Key with a POST gets the first answer
 * again instead of a second object, for 24 hours.
 *
 *	svc_once_begin -> the use-case, with once in its actor -> svc_once_end
 *
 * The use-case writes a row in the transaction of what it makes (once_add in inside.h), so however
 * a process ends, row and object are both there or both not. Keys are the user's own. An answer
 * with a secret in it is never stored: this process keeps it in memory, and after it the repeat is
 * told what was made. Only what succeeded is remembered.
 *
 * A secret that goes out again is in the audit log before it does, each time, or it does not.
 */
#ifndef SERVICE_ONCE_H
#define SERVICE_ONCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct once_table;
struct service;
struct svc_actor;
struct svc_error;

enum {
	ONCE_MS = 24 * 3600 * 1000,
	ONCE_MEMORY = 16 * 1024 * 1024, /* for all answers together; the oldest go */
	ONCE_USER_ROWS = 4096,		/* of one user; the oldest go */
};
enum once_outcome { ONCE_REPEAT = 64 }; /* beside those of enum svc_outcome */

struct svc_answer {
	unsigned status;
	char location[64], etag[64];
	char *body; /* text from malloc, or NULL */
};
/* Wipes and frees the body, wipes the rest. */
void svc_answer_fini(struct svc_answer *a);

/* What a request has done, in the audit log's words; action "" while it has done nothing. */
struct once_done {
	char action[33], kind[4];
	struct ulid object; /* zero: none */
	bool read_only;	    /* by an auditor */
};

struct svc_once {
	uint8_t key_sha256[32];
	uint8_t request_sha256[32]; /* of everything that makes two requests the same one */
	/* Writes the answer for the object (struct svc_user, ...) that is about to be committed.
	 * NULL: it holds a secret. Returns: 0, -ENOMEM. */
	int (*render)(void *arg, const void *object, struct svc_answer *out);
	void *arg;
	bool recorded; /* the use-case has written the row, */
	bool whole;    /* and the answer in it */
	struct once_done done;
};

/* a->once is the request. Returns: 0: go on, and call svc_once_end in any case; ONCE_REPEAT with
 * *out owned by the caller; SVC_INVALID: the key was used for another request; SVC_CONFLICT: the
 * first one is not finished (retry_after_s), or its answer is gone (then out->location may say
 * where the object is); of an answer with a secret SVC_UNAUTHENTICATED or SVC_FORBIDDEN (he is not
 * any more who he was), SVC_NO_SPACE (the audit log can't be written), and then *out is empty;
 * -errno. */
int svc_once_begin(struct service *s, const struct svc_actor *a, struct svc_answer *out,
	struct svc_error *e) must_check;
/* given: what was answered, borrowed; NULL when it is not to be remembered. */
void svc_once_end(struct service *s, const struct svc_actor *a, const struct svc_answer *given);

/* For the service itself. */
int once_table_new(struct once_table **out) must_check;
void once_table_free(struct once_table *t); /* wipes */
/* Forgets what is older than ONCE_MS. now is Unix ms. */
void once_table_purge(struct once_table *t, int64_t now);

#endif
