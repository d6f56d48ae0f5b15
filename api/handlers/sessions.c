#include <stdlib.h>

#include "api/handlers/handlers.h"

void handle_session_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct session_info *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc =
		svc_session_list(rq->service, &rq->actor, &rq->query.page, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){&object_session, list, n, more, NULL});
	free(list);
}

void handle_session_kill(struct request *rq)
{
	struct svc_error e = {.field = ""};
	int rc;

	if (reply_unversioned(&rq->reply, rq->if_match))
		return;
	rc = svc_session_kill(rq->service, &rq->actor, &rq->id, &e);

	if (rc)
		reply_outcome(&rq->reply, rc, &e);
	else
		reply_empty(&rq->reply, 204);
}
