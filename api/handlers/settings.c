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

static json_t *values_json(const struct svc_settings *v)
{
	const int64_t *n = v->number, life = n[SVC_CREDENTIAL_LIFETIME];

	return json_pack("{s:s, s:o, s:I, s:I, s:o, s:{s:I, s:I, s:I}, s:I}", "endpoint",
		v->endpoint, "dns", dns_json(v->dns), "mtu", (json_int_t)n[SVC_MTU], "keepalive",
		(json_int_t)n[SVC_KEEPALIVE], "credential_lifetime_s",
		life ? json_integer(life) : json_null(), "traffic_retention", "minutes",
		(json_int_t)n[SVC_TRAFFIC_MINUTES], "hours", (json_int_t)n[SVC_TRAFFIC_HOURS],
		"days", (json_int_t)n[SVC_TRAFFIC_DAYS], "audit_retention_days",
		(json_int_t)n[SVC_AUDIT_DAYS]);
}

static json_t *settings_json(const struct svc_settings_state *st)
{
	json_t *doc = values_json(&st->now);

	if (doc && (json_object_set_new(doc, "defaults", values_json(&st->defaults)) ||
			   json_object_set_new(doc, "updated_at", json_time(st->updated_at)))) {
		json_decref(doc);
		doc = NULL;
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
