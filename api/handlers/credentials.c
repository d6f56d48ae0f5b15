/* Credentials. The profile, which may hold a private key, passes through once and is wiped. */
#include "api/handlers/handlers.h"
#include "api/memory.h"

static json_t *issued_json(const struct svc_issued *i)
{
	char *svg = qr_svg(i->profile);
	json_t *doc = json_out(&object_issued, i);

	if (json_object_set_new(doc, "qr_svg", svg ? json_string(svg) : json_null())) {
		json_decref(doc);
		doc = NULL;
	}
	memory_free(svg);
	return doc;
}

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
		reply_json(&rq->reply, 201, issued_json(issued));
	}
	memory_free(issued);
}

void handle_credential_revoke(struct request *rq)
{
	struct svc_error e = {.field = ""};
	int rc;

	if (reply_unversioned(&rq->reply, rq->if_match))
		return;
	rc = svc_credential_revoke(rq->service, &rq->actor, &rq->id, &e);

	if (rc)
		reply_outcome(&rq->reply, rc, &e);
	else
		reply_empty(&rq->reply, 204);
}
