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
	reply_end(rq, svc_session_kill);
}
