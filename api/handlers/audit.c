#include <stdio.h>
#include <stdlib.h>

#include "api/handlers/handlers.h"

/* null for what the service did itself, and for a stranger. */
static json_t *actor_json(const struct svc_audit_entry *a)
{
	if (ulid_is_zero(&a->actor_id))
		return json_null();
	return json_pack("{s:o, s:s, s:o, s:o}", "user_id", json_id("usr_", &a->actor_id), "name",
		a->actor_name, "via",
		a->by_token   ? json_string("token")
		: a->by_login ? json_string("login")
			      : json_null(),
		"token_id", json_id("tok_", &a->token_id));
}

static json_t *object_json(const struct svc_audit_entry *a)
{
	char prefix[sizeof(a->object_kind) + 1];

	if (a->object_kind[0] == '\0')
		return json_null();
	snprintf(prefix, sizeof(prefix), "%s_", a->object_kind);
	return json_id(prefix, &a->object_id);
}

json_t *audit_json(const struct svc_audit_entry *a)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:s, s:o, s:s}", "sequence",
		json_counter(a->sequence), "at", json_time(a->at), "actor", actor_json(a), "from",
		json_address(&a->from), "action", a->action, "object", object_json(a), "outcome",
		a->outcome, "detail", json_text(a->detail), "hash", a->hash);
}

static json_t *one(const void *entry)
{
	return audit_json(entry);
}

void handle_audit_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_audit_entry *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc = svc_audit_list(
		rq->service, &rq->actor, &rq->query.page, &rq->query.audit, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){list, n, sizeof(*list), more, one});
	free(list);
}

static json_t *number_or_null(uint64_t n)
{
	return n ? json_counter(n) : json_null();
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
	reply_json(&rq->reply, 200,
		json_pack("{s:b, s:o, s:o, s:o, s:o, s:s}", "ok", st.ok, "rows",
			json_counter(st.rows), "first", number_or_null(st.first), "last",
			number_or_null(st.last), "broken_at", number_or_null(st.broken_at), "hash",
			st.hash));
}
