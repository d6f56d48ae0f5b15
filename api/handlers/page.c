/* Lists: {"items": [...], "next_cursor": ...}. */
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

void reply_page(struct request *rq, json_t *items, bool more, const struct ulid *last)
{
	const unsigned kind = rq->route->query & QUERY_KIND;
	char cursor[CURSOR_TEXT];

	reply_json(&rq->reply, 200,
		json_pack("{s:o, s:o}", "items", items, "next_cursor",
			more ? json_string(cursor_format(kind, last, cursor)) : json_null()));
}
