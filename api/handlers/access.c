/* Coming and going: login, logout, me. */
#include "api/auth.h"
#include "api/handlers/handlers.h"
#include "base/secret.h"

static void login_wipe(struct svc_login *l)
{
	secret_wipe(l, sizeof(*l));
}

void handle_login(struct request *rq)
{
	struct svc_login l cleanup(login_wipe) = {.cookie = ""};
	struct svc_error e = {.field = ""};
	struct out_login out = {.csrf_token = l.csrf_token};
	int rc = svc_login(rq->service, rq->body.login.username, rq->body.login.password,
		rq->body.login.totp, &rq->from, &l, &e);

	if (rc == 0)
		rc = svc_user_get(rq->service, &l.actor, &l.actor.user_id, &out.user, &e);
	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	auth_cookie_format(l.cookie, rq->tls, rq->reply.cookie);
	reply_json(&rq->reply, 200, json_out(&object_login, &out));
}

/* A token is not a login: it stays what it is, and the answer is the same. */
void handle_logout(struct request *rq)
{
	const int rc = rq->actor.by_login ? svc_logout(rq->service, &rq->actor) : 0;
	const struct svc_error e = {.field = ""};

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	auth_cookie_format("", rq->tls, rq->reply.cookie);
	reply_empty(&rq->reply, 204);
}

void handle_me(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct out_me out = {.role = rq->actor.role};
	const int rc = svc_user_get(rq->service, &rq->actor, &rq->actor.user_id, &out.user, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	reply_json(&rq->reply, 200, json_out(&object_me, &out));
}
