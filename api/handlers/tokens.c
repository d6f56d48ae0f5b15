#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "base/secret.h"

void handle_token_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_token *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc =
		svc_token_list(rq->service, &rq->actor, &rq->query.page, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){&object_token, list, n, more, NULL});
	free(list);
}

/* The token itself is in this answer and nowhere else. */
void handle_token_create(struct request *rq)
{
	struct svc_error e = {.field = ""};
	char id[REPLY_ID_TEXT], secret[SVC_TOKEN_TEXT] = "";
	struct out_token out = {.secret = secret};
	const int rc =
		svc_token_create(rq->service, &rq->actor, &rq->body.token, &out.token, secret, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	reply_location(&rq->reply, "/v1/tokens", id_format("tok_", &out.token.id, id));
	reply_json(&rq->reply, 201, json_out(&object_token_created, &out));
	secret_wipe(secret, sizeof(secret));
}

void handle_token_delete(struct request *rq)
{
	reply_end(rq, svc_token_delete);
}
