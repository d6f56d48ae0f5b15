#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "api/repeat.h"
#include "crypto/aead.h"

static json_t *live_json(const struct device_live *l)
{
	const struct session_info *s = &l->session;
	const bool up = l->connected;

	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"connected", up, "protocol",
		up ? json_string(protocol_name(s->protocol)) : json_null(), "transport",
		up ? json_string(transport_name(s->transport)) : json_null(), "cipher",
		up ? json_string(aead_cipher_name((enum aead_cipher)s->cipher)) : json_null(),
		"tls_version", json_tls_version(up ? s->tls : 0), "endpoint",
		up ? json_endpoint(&s->endpoint) : json_null(), "connected_since",
		json_time(up ? s->started_at : 0), "last_handshake_at",
		json_time(l->last_handshake_at), "rx_bytes", json_counter(l->rx_bytes), "tx_bytes",
		json_counter(l->tx_bytes), "rx_packets", json_counter(l->rx_packets), "tx_packets",
		json_counter(l->tx_packets));
}

static json_t *one_credential(const void *c)
{
	return credential_json(c);
}

json_t *device_json(const struct svc_device *d)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "id",
		json_id("dev_", &d->id), "user_id", json_id("usr_", &d->user_id), "name", d->name,
		"address4", json_address(&d->address4), "address6", json_address(&d->address6),
		"enabled", d->enabled, "expires_at", json_time(d->expires_at), "credentials",
		json_list(
			d->credentials, d->n_credentials, sizeof(*d->credentials), one_credential),
		"status", live_json(&d->live), "created_at", json_time(d->created_at), "updated_at",
		json_time(d->updated_at));
}

static json_t *one(const void *d)
{
	return device_json(d);
}

static void answer(struct request *rq, int rc, struct svc_device *d, struct svc_error *e)
{
	if (rc) {
		reply_outcome(&rq->reply, rc, e);
		return;
	}
	reply_json(&rq->reply, 200, device_json(d));
	reply_etag_live(&rq->reply, d->revision);
	svc_device_fini(d);
}

void handle_device_list(struct request *rq)
{
	const struct ulid *of_user = rq->query.has_user_id ? &rq->query.user_id : NULL;
	struct svc_error e = {.field = ""};
	struct svc_device *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc = svc_device_list(
		rq->service, &rq->actor, of_user, &rq->query.page, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){list, n, sizeof(*list), more, one});
	svc_devices_free(list, n);
}

static void created(struct reply *r, const struct svc_device *d)
{
	char id[REPLY_ID_TEXT];

	reply_location(r, "/v1/devices", id_format("dev_", &d->id, id));
	reply_json(r, 201, device_json(d));
	reply_etag_live(r, d->revision);
}

static int render(void *arg, const void *device, struct svc_answer *out)
{
	struct reply r = {.status = 0};

	(void)arg;
	created(&r, device);
	return repeat_keep(&r, out);
}

void handle_device_create(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_device d;
	int rc;

	rq->once.render = render;
	rc = svc_device_create(rq->service, &rq->actor, &rq->body.device, &d, &e);
	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	created(&rq->reply, &d);
	svc_device_fini(&d);
}

void handle_device_get(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_device d;
	const int rc = svc_device_get(rq->service, &rq->actor, &rq->id, &d, &e);

	answer(rq, rc, &d, &e);
}

void handle_device_patch(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_device d;
	const int rc = svc_device_patch(
		rq->service, &rq->actor, &rq->id, rq->if_match, &rq->body.device, &d, &e);

	answer(rq, rc, &d, &e);
}

void handle_device_delete(struct request *rq)
{
	struct svc_error e = {.field = ""};
	const int rc = svc_device_delete(rq->service, &rq->actor, &rq->id, rq->if_match, &e);

	if (rc)
		reply_outcome(&rq->reply, rc, &e);
	else
		reply_empty(&rq->reply, 204);
}
