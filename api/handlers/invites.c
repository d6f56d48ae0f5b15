/*
 * Invites: the managing side under /v1, and the pages behind the link. What the link's text is
 * stands in the request's path and in one answer, and nowhere else.
 */
#include "service/invites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers/handlers.h"
#include "api/handlers/invite_page.h"
#include "api/memory.h"
#include "base/secret.h"

enum { URL_TEXT = 512 };

struct secret_text {
	char text[INVITE_TEXT];
};
struct secret_url {
	char text[URL_TEXT];
};

static void secret_text_wipe(struct secret_text *s)
{
	secret_wipe(s, sizeof(*s));
}

static void secret_url_wipe(struct secret_url *u)
{
	secret_wipe(u, sizeof(*u));
}

void handle_invite_list(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_invite *list = NULL;
	bool more = false;
	size_t n = 0;
	const int rc = svc_invite_list(
		rq->service, &rq->actor, &rq->id, &rq->query.page, &list, &n, &more, &e);

	reply_page(rq, rc, &e, &(struct page){&object_invite, list, n, more, NULL});
	free(list);
}

/* As the setting says, or as this request found the way to us. */
static void put_url(const struct request *rq, const char *secret, struct secret_url *out)
{
	if (rq->public_url)
		snprintf(out->text, sizeof(out->text), "%s/i/%s", rq->public_url, secret);
	else
		snprintf(out->text, sizeof(out->text), "%s://%.*s/i/%s", rq->tls ? "https" : "http",
			(int)rq->head.host.len, rq->head.host.at, secret);
}

void handle_invite_create(struct request *rq)
{
	const struct svc_invite_request ask = {
		.protocol = rq->body.invite.protocol, .expires_at = rq->body.invite.expires_at};
	struct secret_text secret cleanup(secret_text_wipe) = {""};
	struct secret_url url cleanup(secret_url_wipe) = {""};
	struct svc_error e = {.field = ""};
	char id[REPLY_ID_TEXT];
	struct out_invite out = {.url = url.text};
	const int rc = svc_invite_create(
		rq->service, &rq->actor, &rq->id, &ask, &out.invite, secret.text, &e);

	if (rc) {
		reply_outcome(&rq->reply, rc, &e);
		return;
	}
	put_url(rq, secret.text, &url);
	reply_location(&rq->reply, "/v1/invites", id_format("inv_", &out.invite.id, id));
	reply_json(&rq->reply, 201, json_out(&object_invite_created, &out));
}

void handle_invite_get(struct request *rq)
{
	struct svc_error e = {.field = ""};
	struct svc_invite i;
	const int rc = svc_invite_get(rq->service, &rq->actor, &rq->id, &i, &e);

	if (rc)
		reply_outcome(&rq->reply, rc, &e);
	else
		reply_json(&rq->reply, 200, json_out(&object_invite, &i));
}

void handle_invite_delete(struct request *rq)
{
	reply_end(rq, svc_invite_delete);
}

/* ---- the link ---- */

static void reply_html(struct reply *r, unsigned status, const char *page)
{
	reply_constant(r, status, "text/html; charset=utf-8", page, strlen(page));
}

void handle_invite_landing(struct request *rq)
{
	reply_html(&rq->reply, 200, invite_page_landing);
}

void handle_invite_style(struct request *rq)
{
	reply_constant(&rq->reply, 200, "text/css; charset=utf-8", invite_page_css,
		strlen(invite_page_css));
}

static bool wants_json(struct span accept)
{
	static const char json[] = "application/json";

	return accept.at && memmem(accept.at, accept.len, json, sizeof(json) - 1);
}

static void reply_issued(struct request *rq, const struct svc_issued *issued)
{
	char *svg;

	if (wants_json(rq->head.accept)) {
		reply_json(&rq->reply, 200,
			qr_added(json_out(&object_opened, issued), issued->profile));
		return;
	}
	svg = qr_svg(issued->profile);
	reply_text(&rq->reply, 200, "text/html; charset=utf-8", invite_page_profile(issued, svg));
	memory_free(svg);
}

static void reply_refused(struct request *rq, int rc, const struct svc_error *e)
{
	struct reply outcome = {.status = 0};
	const unsigned retry = rc == SVC_RATE_LIMITED ? e->retry_after_s : 0;

	if (wants_json(rq->head.accept)) {
		reply_outcome(&rq->reply, rc, e);
		return;
	}
	reply_outcome(&outcome, rc, e);
	reply_html(&rq->reply, outcome.status,
		rc == SVC_NOT_FOUND	 ? invite_page_gone
		: rc == SVC_RATE_LIMITED ? invite_page_later
					 : invite_page_failed);
	rq->reply.retry_after_s = retry;
	reply_fini(&outcome);
}

void handle_invite_open(struct request *rq)
{
	struct svc_issued *issued = memory_alloc(sizeof(*issued));
	struct svc_error e = {.field = ""};
	int rc;

	if (!issued) {
		reply_problem(&rq->reply, 500, NULL);
		return;
	}
	rc = svc_invite_open(rq->service, rq->text.at, rq->text.len, &rq->from, issued, &e);
	if (rc)
		reply_refused(rq, rc, &e);
	else
		reply_issued(rq, issued);
	memory_free(issued);
}
