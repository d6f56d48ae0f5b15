#include "api/handlers/handlers.h"

void reply_end(struct request *rq, int (*end)(struct service *s, const struct svc_actor *a,
					   const struct ulid *id, struct svc_error *e))
{
	struct svc_error e = {.field = ""};

	if (!reply_unversioned(&rq->reply, rq->if_match))
		reply_done(&rq->reply, end(rq->service, &rq->actor, &rq->id, &e), &e);
}
