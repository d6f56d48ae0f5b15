/* Credentials. The profile, which may hold a private key, passes through once and is wiped. */
#include "api/handlers/handlers.h"
#include "api/memory.h"

json_t *credential_json(const struct svc_credential *c)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "id", json_id("crd_", &c->id),
		"device_id", json_id("dev_", &c->device_id), "protocol", protocol_name(c->protocol),
		"fingerprint", c->fingerprint, "created_at", json_time(c->created_at), "expires_at",
		json_time(c->expires_at), "revoked_at", json_time(c->revoked_at));
}

static json_t *issued_json(const struct svc_issued *i)
{
	char *svg = qr_svg(i->profile);
	json_t *doc = credential_json(&i->credential);
	json_t *once = json_pack("{s:s, s:s, s:o}", "profile", i->profile, "profile_filename",
		i->profile_filename, "qr_svg", svg ? json_string(svg) : json_null());

	memory_free(svg);
	if (!doc || !once || json_object_update(doc, once)) {
		json_decref(doc);
		doc = NULL;
	}
	json_decref(once);
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
