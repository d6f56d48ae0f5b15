#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "api/repeat.h"

static void answer(struct request *rq, int rc, struct svc_device *d, struct svc_error *e)
{
	if (rc) {
		reply_outcome(&rq->reply, rc, e);
		return;
	}
	reply_json(&rq->reply, 200, json_out(&object_device, d));
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

	reply_page(rq, rc, &e, &(struct page){&object_device, list, n, more, NULL});
	svc_devices_free(list, n);
}

static void created(struct reply *r, const struct svc_device *d)
{
	char id[REPLY_ID_TEXT];

	reply_location(r, "/v1/devices", id_format("dev_", &d->id, id));
	reply_json(r, 201, json_out(&object_device, d));
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

	reply_done(&rq->reply, rc, &e);
}
