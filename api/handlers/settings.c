/* Two objects of the same shape: what holds, and what would without the changes. */
#include <string.h>

#include "api/handlers/handlers.h"

/* "a, b" */
static json_t *dns_json(const char *dns)
{
	json_t *list = json_array();

	while (*dns) {
		const size_t n = strcspn(dns, ",");

		if (json_array_append_new(list, json_stringn(dns, n))) {
			json_decref(list);
			return NULL;
		}
		dns += n + (dns[n] == ',');
		dns += strspn(dns, " ");
	}
	return list;
}

static json_t *settings_json(const struct svc_settings_state *st)
{
	json_t *doc = json_out(&object_settings, st);

	if (json_object_set_new(doc, "dns", dns_json(st->now.dns)) ||
		json_object_set_new(
			json_object_get(doc, "defaults"), "dns", dns_json(st->defaults.dns))) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

static void answer(
	struct request *rq, int rc, const struct svc_settings_state *st, const struct svc_error *e)
{
	if (rc) {
		reply_outcome(&rq->reply, rc, e);
		return;
	}
	reply_etag(&rq->reply, st->revision);
	reply_json(&rq->reply, 200, settings_json(st));
}

void handle_settings_get(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_settings_state st;

	answer(rq, svc_settings_get(rq->service, &rq->actor, &st, &e), &st, &e);
}

void handle_settings_patch(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_settings_state st;
	const int rc = svc_settings_patch(
		rq->service, &rq->actor, rq->if_match, &rq->body.settings, &st, &e);

	answer(rq, rc, &st, &e);
}
