/* The stream of events begins; what follows is streams.c. */
#include "api/handlers/handlers.h"
#include "api/streams.h"

static const char type[] = "text/event-stream";

/* What the browser sends back is the id as it had it, a decimal number. Anything else is of
 * nobody's past: a gap. */
static uint64_t last_event_id(struct span s)
{
	uint64_t n = 0;

	if (s.len == 0 || s.len > 19)
		return UINT64_MAX;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return UINT64_MAX;
		n = n * 10 + (uint64_t)(s.at[i] - '0');
	}
	return n;
}

void handle_events(struct request *rq)
{
	const struct stream_request r = {
		.actor = &rq->actor,
		.types = rq->query.types,
		.resume = rq->head.last_event_id.at != NULL,
		.after = last_event_id(rq->head.last_event_id),
	};
	int rc;

	rq->reply.type = type;
	if (rq->head.method == HTTP_HEAD) {
		reply_empty(&rq->reply, 200);
		return;
	}
	rc = stream_open(rq->streams, &r, &rq->reply.stream);
	if (rc == STREAM_OPEN) {
		rq->reply.close = true; /* nothing can follow it */
		reply_empty(&rq->reply, 200);
		return;
	}
	rq->reply.retry_after_s = 5;
	if (rc == STREAM_FULL)
		reply_problem(&rq->reply, 503, "There are as many event streams as there can be.");
	else if (rc == STREAM_USER_FULL)
		reply_problem(&rq->reply, 429, "You have as many event streams as you may have.");
	else
		reply_problem(&rq->reply, 500, NULL);
}
