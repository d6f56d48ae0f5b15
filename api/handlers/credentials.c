/* Credentials. The profile, which may hold a private key, passes through once and is wiped. */
#include "api/handlers/handlers.h"
#include "api/memory.h"

void handle_credential_issue(struct request *rq)
{
	const struct body_credential *b = &rq->body.credential;
	const struct svc_credential_request ask = {
		.protocol = b->protocol,
		.wg_public = b->has_public_key ? b->public_key : NULL,
		.csr_pem = b->csr,
		.set_expires_at = b->set_expires_at,
		.expires_at = b->expires_at,
	};
	struct svc_issued *issued = memory_alloc(sizeof(*issued));
	struct svc_error e = {.field = ""};
	char id[REPLY_ID_TEXT];
	int rc;

	if (!issued) {
		reply_problem(&rq->reply, 500, NULL);
		return;
	}
	rc = svc_credential_issue(rq->service, &rq->actor, &rq->id, &ask, issued, &e);
	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
	} else {
		reply_location(&rq->reply, "/v1/credentials",
			id_format("crd_", &issued->credential.id, id));
		reply_json(&rq->reply, 201,
			qr_added(json_out(&object_issued, issued), issued->profile));
	}
	memory_free(issued);
}

void handle_credential_revoke(struct request *rq)
{
	reply_end(rq, svc_credential_revoke);
}
