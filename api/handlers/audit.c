#include <stdio.h>
#include <stdlib.h>

#include "api/handlers/handlers.h"

/* null for what the service did itself, and for a stranger. */
static json_t *actor_json(const struct svc_audit_entry *a)
{
	json_t *o;

	if (ulid_is_zero(&a->actor_id))
		return json_null();
	o = json_out(&object_audit_actor, a);
	if (json_object_set_new(o, "via",
		    a->by_token	  ? json_string("token")
		    : a->by_login ? json_string("login")
				  : json_null())) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *object_json(const struct svc_audit_entry *a)
{
	char prefix[sizeof(a->object_kind) + 1];

	if (a->object_kind[0] == '\0')
		return json_null();
	snprintf(prefix, sizeof(prefix), "%s_", a->object_kind);
	return json_id(prefix, &a->object_id);
}

static json_t *one(const void *entry)
{
	json_t *o = json_out(&object_audit_entry, entry);

	if (json_object_set_new(o, "actor", actor_json(entry)) ||
		json_object_set_new(o, "object", object_json(entry))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

void handle_audit_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_audit_entry *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc = svc_audit_list(
		rq->service, &rq->actor, &rq->query.page, &rq->query.audit, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){&object_audit_entry, list, n, more, one});
	free(list);
}

void handle_audit_verify(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_audit_state st;
	const int rc = svc_audit_verify(rq->service, &rq->actor, &st, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	reply_json(&rq->reply, 200, json_out(&object_audit_state, &st));
}
