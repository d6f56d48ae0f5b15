/*
 *   authenticate -> authorise -> CSRF -> id -> If-Match -> query -> body -> Idempotency-Key
 *     -> handler -> If-None-Match
 *
 * Each step either answers, and then nothing after it runs, or passes on.
 */
#include "api/request.h"

#include <errno.h>
#include <string.h>

#include "api/auth.h"
#include "api/repeat.h"
#include "api/routes.h"
#include "base/secret.h"

/* A session of a browser is by cookie; a public route that changes something is called from pages
 * as well, so both have to come from our own origin. */
static void authorise(struct request *rq)
{
	const struct route *route = rq->route;
	int rc;

	if (route->body == &body_form ? !auth_form_is_ours(&rq->head)
				      : !auth_same_origin(&rq->head)) {
		reply_problem(&rq->reply, 403, "Origin is another site.");
		return;
	}
	if (route->access & ACCESS_PUBLIC)
		return;
	if (route->access & ACCESS_LOCAL && auth_is_local(&rq->head, &rq->peer))
		return;
	rc = auth_identify(rq->service, &rq->head, rq->tls, &rq->from, &rq->actor);
	if (rc) {
		struct svc_error none = {.field = ""};

		reply_outcome(&rq->reply, rc, &none);
		return;
	}
	if (!(route->access & access_of_role(rq->actor.role))) {
		reply_problem(&rq->reply, 403, "Your role does not allow this.");
		return;
	}
	if (!auth_csrf_ok(&rq->head, &rq->actor))
		reply_problem(&rq->reply, 403, "X-CSRF-Token is missing or wrong.");
}

/* If-Match: one strong entity tag of ours, or "*". Of a tag only the revision counts: what else is
 * in it changes by itself. Returns false when it can't match anything. */
static bool read_if_match(struct span s, uint64_t *revision)
{
	*revision = 0;
	if (!s.at || span_is(s, "*"))
		return true;
	return etag_parse(s, revision);
}

static void read_conditions(struct request *rq)
{
	struct field_errors errors = {.n = 0};

	if (route_has_id(rq->route) && !rq->id_ok) {
		reply_problem(&rq->reply, 404, "There is no such object.");
		return;
	}
	if (!read_if_match(rq->head.if_match, &rq->if_match)) {
		reply_problem(&rq->reply, 412, "The object has changed in the meantime.");
		return;
	}
	query_read(&rq->query, rq->head.query, rq->route->query, &errors);
	if (errors.n > 0)
		reply_fields(&rq->reply, 422, "The query can't be taken.", &errors);
}

static void read_body(struct request *rq)
{
	struct field_errors errors = {.n = 0};
	const char *detail = NULL;
	int rc;

	if (rq->route->body == &body_form)
		return;
	if (!rq->route->body) {
		if (rq->head.body_len > 0)
			reply_problem(&rq->reply, 400, "This takes no body.");
		return;
	}
	if (rq->head.body_len == 0) {
		reply_problem(&rq->reply, 400, "A JSON body is needed.");
		return;
	}
	rc = json_in_read(rq->raw_body, rq->head.body_len, rq->route->body, &rq->body, &rq->doc,
		&errors, &detail);
	if (rc < 0)
		reply_problem(&rq->reply, 500, NULL);
	else if (rc > 0)
		reply_fields(&rq->reply, (unsigned)rc, detail, &errors);
}

/* Refused writes of somebody who is known go into the audit log, whoever it was that refused. */
static void note_refusal(struct request *rq)
{
	const unsigned status = rq->reply.status;
	const char *brace = strchr(rq->route->pattern, '{');
	char action[ACTION_TEXT], kind[4] = "";

	if ((status != 403 && status != 429) || ulid_is_zero(&rq->actor.user_id) ||
		rq->head.method == HTTP_GET || rq->head.method == HTTP_HEAD)
		return;
	if (brace && rq->id_ok)
		memcpy(kind, brace + 1, 3);
	svc_audit_refused(rq->service, &rq->actor, status == 403 ? SVC_FORBIDDEN : SVC_RATE_LIMITED,
		route_action(rq->route, action), kind, &rq->id);
}

void request_run(struct request *rq)
{
	static void (*const steps[])(struct request *rq) = {
		authorise, read_conditions, read_body, repeat_begin};

	for (size_t i = 0; i < ARRAY_SIZE(steps) && !rq->reply.status; i++)
		steps[i](rq);
	if (!rq->reply.status)
		rq->route->handler(rq);
	if (!rq->reply.status)
		reply_problem(&rq->reply, 500, NULL);
	repeat_end(rq);
	note_refusal(rq);
	if (rq->head.method == HTTP_GET || rq->head.method == HTTP_HEAD)
		reply_unless_match(&rq->reply, rq->head.if_none_match);
}

void request_fini(struct request *rq)
{
	json_decref(rq->doc);
	reply_fini(&rq->reply);
	secret_wipe(&rq->body, sizeof(rq->body));
	secret_wipe(&rq->actor, sizeof(rq->actor));
}
