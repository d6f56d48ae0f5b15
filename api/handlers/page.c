/* Lists: {"items": [...], "next_cursor": ...}. */
#include <stddef.h>

#include "api/handlers/handlers.h"

json_t *json_list(const void *at, size_t n, size_t size, json_t *(*one)(const void *object))
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, one((const char *)at + i * size))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

_Static_assert(offsetof(struct svc_user, id) == 0 && offsetof(struct svc_device, id) == 0 &&
		       offsetof(struct session_info, id) == 0 &&
		       offsetof(struct svc_token, id) == 0 &&
		       offsetof(struct svc_invite, id) == 0 &&
		       offsetof(struct svc_audit_entry, place) == 0,
	"an object of a page begins with its id");

void reply_page(struct request *rq, int rc, const struct svc_error *e, const struct page *p)
{
	const unsigned kind = rq->route->query & QUERY_KIND;
	const bool more = p->more && p->n > 0;
	char cursor[CURSOR_TEXT];

	if (rc) {
		reply_outcome(&rq->reply, rc, e);
		return;
	}
	const struct ulid *last =
		more ? (const void *)((const char *)p->at + (p->n - 1) * p->size) : NULL;
	reply_json(&rq->reply, 200,
		json_pack("{s:o, s:o}", "items", json_list(p->at, p->n, p->size, p->one),
			"next_cursor",
			more ? json_string(cursor_format(kind, last, cursor)) : json_null()));
}
