#include "api/repeat.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "api/memory.h"
#include "api/routes.h"

static bool is_key(struct span key)
{
	for (size_t i = 0; i < key.len; i++) {
		if (key.at[i] < 0x20 || key.at[i] > 0x7e)
			return false;
	}
	return key.len >= 1 && key.len <= REPEAT_KEY_MAX;
}

static void refuse_key(struct request *rq)
{
	static const char wrong[] = "has 1 to 255 printable ASCII characters";
	struct field_errors errors = {.n = 0};

	field_errors_add(&errors, "Idempotency-Key", "%s", wrong);
	reply_fields(&rq->reply, 400, "Idempotency-Key has 1 to 255 printable ASCII characters.",
		&errors);
}

/* The role is part of it: a weaker token of the same user must not get what it could not make. */
static void describe(const struct request *rq, struct svc_once *once)
{
	const struct span path = rq->head.path, key = rq->head.idempotency_key;
	uint8_t all[1 + 2 * SHA256_DIGEST_LENGTH] = {(uint8_t)rq->actor.role};

	SHA256((const unsigned char *)path.at, path.len, all + 1);
	SHA256((const unsigned char *)rq->raw_body, rq->head.body_len,
		all + 1 + SHA256_DIGEST_LENGTH);
	SHA256(all, sizeof(all), once->request_sha256);
	SHA256((const unsigned char *)key.at, key.len, once->key_sha256);
	once->arg = NULL;
	once->render = NULL;
}

static void answer_again(struct request *rq, struct svc_answer *given)
{
	const size_t n = given->body ? strlen(given->body) : 0;
	char *body = n ? memory_alloc(n + 1) : NULL;

	if (n && !body) {
		reply_problem(&rq->reply, 500, NULL);
		return;
	}
	snprintf(rq->reply.location, sizeof(rq->reply.location), "%s", given->location);
	snprintf(rq->reply.etag, sizeof(rq->reply.etag), "%s", given->etag);
	rq->reply.replayed = true;
	if (!n) {
		reply_empty(&rq->reply, given->status);
		return;
	}
	memcpy(body, given->body, n + 1);
	reply_text(&rq->reply, given->status, "application/json", body);
}

void repeat_begin(struct request *rq)
{
	struct svc_answer given cleanup(svc_answer_fini) = {0};
	struct svc_error e = {.field = ""};
	int rc;

	if (!rq->head.idempotency_key.at || rq->head.method != HTTP_POST ||
		(rq->route->access & ACCESS_PUBLIC))
		return;
	if (!is_key(rq->head.idempotency_key)) {
		refuse_key(rq);
		return;
	}
	/* Whoever became an auditor gets no secrets, his own earlier ones neither. */
	if (!rq->route->body || rq->actor.read_only || rq->actor.role == SVC_ROLE_AUDITOR)
		return;
	describe(rq, &rq->once);
	rq->actor.once = &rq->once;
	rc = svc_once_begin(rq->service, &rq->actor, &given, &e);
	if (rc == 0)
		return;
	rq->actor.once = NULL;
	if (rc == ONCE_REPEAT) {
		answer_again(rq, &given);
		return;
	}
	snprintf(rq->reply.location, sizeof(rq->reply.location), "%s", given.location);
	rq->reply.retry_after_s = e.retry_after_s;
	reply_outcome(&rq->reply, rc, &e);
}

void repeat_end(struct request *rq)
{
	const struct reply *r = &rq->reply;
	struct svc_answer given = {.status = r->status, .body = r->body};
	const bool fine = r->status >= 200 && r->status < 300;

	if (!rq->actor.once)
		return;
	snprintf(given.location, sizeof(given.location), "%s", r->location);
	snprintf(given.etag, sizeof(given.etag), "%s", r->etag);
	svc_once_end(rq->service, &rq->actor, fine ? &given : NULL);
	rq->actor.once = NULL;
}

int repeat_keep(struct reply *r, struct svc_answer *out)
{
	*out = (struct svc_answer){.status = r->status};
	snprintf(out->location, sizeof(out->location), "%s", r->location);
	snprintf(out->etag, sizeof(out->etag), "%s", r->etag);
	out->body = r->body ? strdup(r->body) : NULL;
	reply_fini(r);
	return out->body ? 0 : -ENOMEM;
}
