/* The dashboard, as the build made it. The page is asked for anew each time, and names its parts by
 * their hashes; so those may be kept for ever. */
#include "api/dashboard.h"

#include <stdio.h>

#include "api/handlers/handlers.h"

static void answer(struct request *rq, const struct dashboard_file *f, const char *cache)
{
	struct reply *r = &rq->reply;
	const bool gzip = f->gzip.len > 0 && dashboard_takes_gzip(rq->head.accept_encoding);
	const struct dashboard_bytes *bytes = gzip ? &f->gzip : &f->plain;

	reply_constant(r, 200, f->type, bytes->at, bytes->len);
	r->cache = cache;
	r->encoding = gzip ? "gzip" : NULL;
	r->encoded = true;
	snprintf(r->etag, sizeof(r->etag), "\"%s%s\"", f->hash, gzip ? "-gzip" : "");
}

void handle_dashboard(struct request *rq)
{
	size_t n;

	answer(rq, &dashboard_files(&n)[0], "no-cache");
}

void handle_dashboard_asset(struct request *rq)
{
	const struct dashboard_file *f = dashboard_asset(rq->text);

	if (f)
		answer(rq, f, "public, max-age=31536000, immutable");
	else
		reply_problem(&rq->reply, 404, "There is no such file.");
}
