#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "api/repeat.h"

static void answer(struct request *rq, int rc, const struct svc_user *u, struct svc_error *e)
{
	if (rc) {
		reply_outcome(&rq->reply, rc, e);
		return;
	}
	reply_etag(&rq->reply, u->revision);
	reply_json(&rq->reply, 200, json_out(&object_user, u));
}

void handle_user_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_user *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc =
		svc_user_list(rq->service, &rq->actor, &rq->query.page, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){&object_user, list, n, more, NULL});
	free(list);
}

static void created(struct reply *r, const struct svc_user *u)
{
	char id[REPLY_ID_TEXT];

	reply_location(r, "/v1/users", id_format("usr_", &u->id, id));
	reply_etag(r, u->revision);
	reply_json(r, 201, json_out(&object_user, u));
}

static int render(void *arg, const void *user, struct svc_answer *out)
{
	struct reply r = {.status = 0};

	(void)arg;
	created(&r, user);
	return repeat_keep(&r, out);
}

void handle_user_create(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_user u;
	int rc;

	rq->once.render = render;
	rc = svc_user_create(rq->service, &rq->actor, &rq->body.user, &u, &e);
	if (rc)
		reply_outcome(&rq->reply, rc, &e);
	else
		created(&rq->reply, &u);
}

void handle_user_get(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_user u;
	const int rc = svc_user_get(rq->service, &rq->actor, &rq->id, &u, &e);

	answer(rq, rc, &u, &e);
}

void handle_user_patch(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_user u;
	const int rc = svc_user_patch(
		rq->service, &rq->actor, &rq->id, rq->if_match, &rq->body.user, &u, &e);

	answer(rq, rc, &u, &e);
}

void handle_user_delete(struct request *rq)
{
	struct svc_error e = {.field = ""};
	const int rc = svc_user_delete(rq->service, &rq->actor, &rq->id, rq->if_match, &e);

	reply_done(&rq->reply, rc, &e);
}
