/* How the service is: for machines that watch it, and for people. */
#include <string.h>

#include "api/handlers/handlers.h"
#include "api/memory.h"
#include "api/openapi/openapi.h"
#include "base/settings.h"
#include "uapi/uapi.h"

void handle_healthz(struct request *rq)
{
	reply_json(&rq->reply, 200, json_pack("{s:s}", "status", "ok"));
}

void handle_readyz(struct request *rq)
{
	char why[96] = "";

	if (!svc_ready(rq->service, why)) {
		rq->reply.retry_after_s = 1;
		reply_problem(&rq->reply, 503, why);
		return;
	}
	reply_json(&rq->reply, 200, json_pack("{s:s}", "status", "ready"));
}

bool verdict_is_drop(const char *verdict)
{
	static const char *const fine[] = {
		"none", "delivered", "sent", "keepalive", "stream", "staged", "punted"};

	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		if (strcmp(verdict, fine[i]) == 0)
			return false;
	}
	return true;
}

static json_t *drops_json(const struct dataplane_status *d)
{
	json_t *drops = json_object();

	for (size_t i = 0; i < d->n_verdicts; i++) {
		if (verdict_is_drop(d->verdicts[i].name) &&
			json_object_set_new(
				drops, d->verdicts[i].name, json_counter(d->verdicts[i].count))) {
			json_decref(drops);
			return NULL;
		}
	}
	return drops;
}

static json_t *listen_json(const struct dataplane_status *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n_listen; i++) {
		if (json_array_append_new(list, json_string(d->listen[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *offloads_json(const struct dataplane_status *d)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} rows[] = {
#define ROW(NAME, number, name) {UAPI_OFFLOAD_##NAME, name},
		UAPI_OFFLOADS(ROW)
#undef ROW
	};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (d->offloads & rows[i].bit &&
			json_array_append_new(list, json_string(rows[i].name))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *aead_json(const struct dataplane_status *d)
{
	json_t *libraries = json_object();

	for (size_t i = 0; i < d->n_aead; i++) {
		if (json_object_set_new(
			    libraries, d->aead[i].cipher, json_string(d->aead[i].library))) {
			json_decref(libraries);
			return NULL;
		}
	}
	return libraries;
}

/* What stands in the tables in another form. */
static int add_dataplane(json_t *doc, const struct dataplane_status *d)
{
	json_t *dataplane = json_object_get(doc, "dataplane");

	return json_object_set_new(dataplane, "listen", listen_json(d)) ||
	       json_object_set_new(dataplane, "offloads", offloads_json(d)) ||
	       json_object_set_new(dataplane, "drops", drops_json(d)) ||
	       json_object_set_new(dataplane, "aead", aead_json(d)) ||
	       json_object_set_new(dataplane, "uptime_s", json_counter(d->uptime_ms / 1000));
}

void handle_status(struct request *rq)
{
	struct out_status out = {.version = ireko_version()};
	struct svc_error e = {.field = ""};
	json_t *doc;
	int64_t up_ms;
	const int rc = svc_status(rq->service, &rq->actor, &out.status, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	out.started_at = out.status.started_at;
	up_ms = clock_real_ms(&rq->clock) - out.started_at;
	out.uptime_s = up_ms > 0 ? (uint64_t)up_ms / 1000 : 0;
	doc = json_out(&object_status, &out);
	if (add_dataplane(doc, &out.status.dataplane)) {
		json_decref(doc);
		doc = NULL;
	}
	reply_json(&rq->reply, 200, doc);
}

void handle_openapi(struct request *rq)
{
	const struct openapi *o = rq->openapi;
	struct reply *r = &rq->reply;

	r->body = memory_alloc(o->len);
	if (!r->body) {
		reply_problem(r, 500, NULL);
		return;
	}
	memcpy(r->body, o->text, o->len);
	r->len = o->len;
	r->type = "application/json";
	r->status = 200;
	memcpy(r->etag, o->etag, sizeof(o->etag));
}
