/* How the service is: for machines that watch it, and for people. */
#include <string.h>

#include "api/handlers/handlers.h"
#include "base/settings.h"

/* The API is under /v1; the dashboard will live here. */
void handle_root(struct request *rq)
{
	reply_json(&rq->reply, 200, json_pack("{s:s, s:s}", "name", "ireko", "api", "/v1"));
}

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

static json_t *dataplane_json(const struct dataplane_status *d)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
		"connected", d->connected, "version", json_text(d->software), "tun",
		json_text(d->tun), "listen", listen_json(d), "workers", (int)d->workers, "peers",
		(int)d->peers, "sessions", (int)d->sessions, "uptime_s",
		json_counter(d->uptime_ms / 1000), "rx_bytes", json_counter(d->rx_bytes),
		"tx_bytes", json_counter(d->tx_bytes), "rx_packets", json_counter(d->rx_packets),
		"tx_packets", json_counter(d->tx_packets), "drops", drops_json(d), "last_sync_ms",
		(int)d->last_sync_ms);
}

void handle_status(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_status st;
	int64_t up_ms;
	const int rc = svc_status(rq->service, &rq->actor, &st, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	up_ms = clock_real_ms(&rq->clock) - st.started_at;
	reply_json(&rq->reply, 200,
		json_pack("{s:s, s:o, s:o, s:{s:b, s:i}, s:o}", "version", ireko_version(),
			"uptime_s", json_counter(up_ms > 0 ? (uint64_t)up_ms / 1000 : 0),
			"started_at", json_time(st.started_at), "database", "ok", st.database_ok,
			"schema_version", (int)st.schema_version, "dataplane",
			dataplane_json(&st.dataplane)));
}
