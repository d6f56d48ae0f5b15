#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "base/secret.h"

json_t *token_json(const struct svc_token *t)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "id", json_id("tok_", &t->id),
		"user_id", json_id("usr_", &t->user_id), "name", t->name, "role",
		svc_role_name(t->role), "created_at", json_time(t->created_at), "expires_at",
		json_time(t->expires_at), "last_used_at", json_time(t->last_used_at));
}

static json_t *one(const void *t)
{
	return token_json(t);
}

void handle_token_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_token *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc =
		svc_token_list(rq->service, &rq->actor, &rq->query.page, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){list, n, sizeof(*list), more, one});
	free(list);
}

/* The token itself is in this answer and nowhere else. */
void handle_token_create(struct request *rq)
{
	struct svc_error e = {.field = ""};
	char id[REPLY_ID_TEXT], secret[SVC_TOKEN_TEXT] = "";
	struct svc_token t;
	json_t *doc;
	const int rc = svc_token_create(rq->service, &rq->actor, &rq->body.token, &t, secret, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	doc = token_json(&t);
	if (doc && json_object_set_new(doc, "token", json_string(secret))) {
		json_decref(doc);
		doc = NULL;
	}
	secret_wipe(secret, sizeof(secret));
	reply_location(&rq->reply, "/v1/tokens", id_format("tok_", &t.id, id));
	reply_json(&rq->reply, 201, doc);
}

void handle_token_delete(struct request *rq)
{
	struct svc_error e = {.field = ""};
	int rc;

	if (reply_unversioned(&rq->reply, rq->if_match))
		return;
	rc = svc_token_delete(rq->service, &rq->actor, &rq->id, &e);

	if (rc)
		reply_outcome(&rq->reply, rc, &e);
	else
		reply_empty(&rq->reply, 204);
}
