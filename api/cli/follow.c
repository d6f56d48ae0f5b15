#include "api/cli/follow.h"

#include <poll.h>
#include <stdio.h>

#include "api/cli/find.h"

enum { STALL_S = 45 /* three heartbeats */, RETRY_MS = 1000, RETRY_MAX_MS = 30000 };

struct follower {
	struct sse sse;
	bool (*on_event)(void *arg, const struct sse_event *e);
	void *arg;
	bool began, ended; /* something came, enough came */
};

static void on_event(void *arg, const struct sse_event *e)
{
	struct follower *f = arg;

	f->began = true;
	if (!f->ended)
		f->ended = !f->on_event(f->arg, e);
}

static bool on_data(void *arg, const char *data, size_t n)
{
	struct follower *f = arg;

	return sse_feed(&f->sse, data, n) == 0 && !f->ended;
}

/* What another try would not mend. */
static bool is_final(const struct rest_answer *a)
{
	return a->status == 400 || a->status == 401 || a->status == 403 || a->status == 404 ||
	       a->status == 422;
}

static bool once(struct args *a, struct follower *f, const char *path, struct rest_answer *answer)
{
	char id[SSE_ID];
	const struct rest_stream s = {
		.accept = "text/event-stream",
		.last_event_id = id,
		.stall_s = STALL_S,
		.on_data = on_data,
		.arg = f,
	};
	bool ok;

	snprintf(id, sizeof(id), "%s", f->sse.id);
	ok = rest_follow(&a->rest, path, &s, answer);
	sse_fini(&f->sse);
	return ok;
}

enum exit_code follow_events(struct args *a, const char *types,
	bool (*each)(void *arg, const struct sse_event *e), void *arg)
{
	struct follower f = {.on_event = each, .arg = arg};
	char path[PATH_TEXT] = "/v1/events", escaped[256];
	uint32_t wait_ms = RETRY_MS;
	bool ever = false; /* there was a stream */

	if (types)
		snprintf(path, sizeof(path), "/v1/events?types=%s",
			rest_escape(types, escaped, sizeof(escaped)));
	for (;;) {
		ANSWER answer = {.status = 0};
		bool ok;

		f.began = false;
		sse_init(&f.sse, on_event, &f);
		ok = once(a, &f, path, &answer);
		if (f.ended)
			return EXIT_FINE;
		ever = ever || ok || f.began;
		if (!ok && (is_final(&answer) || !ever))
			return fail_rest(a->command->words, &answer);
		/* Whoever gets nothing at all waits longer each time. */
		wait_ms = f.began ? (f.sse.retry_ms ? f.sse.retry_ms : RETRY_MS) : wait_ms * 2;
		wait_ms = wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS;
		(void)poll(NULL, 0, (int)wait_ms);
	}
}
