/* Second factors. The secret is in one answer and nowhere else. */
#include "api/handlers/handlers.h"
#include "base/secret.h"

static void totp_wipe(struct svc_totp *t)
{
	secret_wipe(t, sizeof(*t));
}

void handle_totp_begin(struct request *rq)
{
	struct svc_totp t cleanup(totp_wipe) = {.secret = ""};
	struct svc_error e = {.field = ""};
	const int rc = svc_totp_begin(rq->service, &rq->actor, rq->body.totp.password, &t, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	reply_json(&rq->reply, 200, qr_added(json_out(&object_totp, &t), t.url));
}

void handle_totp_confirm(struct request *rq)
{
	struct svc_error e = {.field = ""};

	reply_done(
		&rq->reply, svc_totp_confirm(rq->service, &rq->actor, rq->body.totp.totp, &e), &e);
}

void handle_totp_disable(struct request *rq)
{
	const struct body_totp *b = &rq->body.totp;
	struct svc_error e = {.field = ""};

	reply_done(&rq->reply, svc_totp_disable(rq->service, &rq->actor, b->password, b->totp, &e),
		&e);
}

void handle_totp_reset(struct request *rq)
{
	struct svc_error e = {.field = ""};

	reply_done(&rq->reply, svc_totp_reset(rq->service, &rq->actor, &rq->id, &e), &e);
}
