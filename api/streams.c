/*
 * Locks: `lock` is held while libmicrohttpd is told to suspend or resume, and while a text is made;
 * the ring's own lock is taken inside it. The ring's wake only writes to an eventfd.
 */
#include "api/streams.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "api/event_text.h"
#include "api/memory.h"
#include "base/log.h"
#include "service/events.h"

enum { CHECK_MS = 500 };

struct stream {
	LIST_ENTRY(stream) link;
	struct streams *all;
	uint64_t serial;
	struct svc_actor actor;
	uint32_t types;
	uint64_t after;	    /* the last event that was told, or passed over */
	struct event *told; /* holds text, when that is the event's own */
	char *own;	    /* holds text, when that was made for this stream */
	const char *text;   /* being sent, from at on */
	size_t len, at;
	uint64_t said_ms;
	struct MHD_Connection *mhd;
	struct conn *conn;
	bool linked, suspended, ended;
};

LIST_HEAD(stream_list, stream);

/* Whom to ask about, without the lock. */
struct question {
	uint64_t serial;
	struct svc_actor actor;
};

struct streams {
	struct service *service;
	struct events *events;
	struct conn_table *conns;
	struct clock clock;
	int wake; /* eventfd */
	pthread_t thread;
	bool running;
	struct question questions[STREAMS_MAX]; /* the thread's own */
	pthread_mutex_t lock;
	struct stream_list list;
	struct streams_figures figures;
	bool stopping;
};

/* ---- what a stream says ---- */

static void say(struct stream *st, const char *text, size_t len)
{
	st->text = text;
	st->len = len;
	st->at = 0;
	st->said_ms = clock_mono_ms(&st->all->clock);
}

static void said(struct stream *st)
{
	if (st->told)
		event_put(st->all->events, st->told);
	memory_free(st->own);
	st->told = NULL;
	st->own = NULL;
	st->text = NULL;
	st->len = st->at = 0;
}

static bool wants(const struct stream *st, const struct event *e)
{
	return (!st->types || st->types & 1U << e->type) && event_visible(e, &st->actor);
}

/* Takes e. Returns: whether there is a text. */
static bool say_event(struct stream *st, struct event *e)
{
	const char *text;
	size_t len;

	st->told = e;
	if (e->type == EVENT_TRAFFIC && st->actor.role < SVC_ROLE_AUDITOR)
		text = st->own = event_encode_own(e, &st->actor.user_id, &len);
	else
		text = event_text(st->all->events, e, event_encode, memory_free, &len);
	if (!text) {
		said(st);
		st->ended = true; /* no memory: it comes back and asks for what it missed */
		return false;
	}
	say(st, text, len);
	return true;
}

/* What he missed can't be told any more. What is on its way to him goes as well: a socket that is
 * closed in order would wait in the kernel for a reader who may never read. */
static void drop(struct stream *st)
{
	st->ended = true;
	st->all->figures.slow++;
	conn_doom(st->all->conns, st->conn, "it does not read its events");
}

/* Returns: whether there is something to say now. */
static bool next(struct stream *st)
{
	static const char heartbeat[] = ": heartbeat\n\n";
	enum events_outcome got;
	struct event *e;

	while ((got = events_next(st->all->events, st->after, &e)) == EVENTS_ONE) {
		st->after = e->id;
		if (wants(st, e))
			return say_event(st, e);
		event_put(st->all->events, e);
	}
	if (got == EVENTS_GAP) {
		drop(st);
		return false;
	}
	if (clock_mono_ms(&st->all->clock) - st->said_ms < STREAM_HEARTBEAT_MS)
		return false;
	say(st, heartbeat, sizeof(heartbeat) - 1);
	return true;
}

static size_t fill(struct stream *st, char *out, size_t max)
{
	size_t n = 0;

	while (n < max && !st->ended && (st->text || next(st))) {
		const size_t left = st->len - st->at, some = left < max - n ? left : max - n;

		memcpy(out + n, st->text + st->at, some);
		st->at += some;
		n += some;
		if (st->at == st->len)
			said(st);
	}
	return n;
}

ssize_t stream_read(void *cls, uint64_t at, char *out, size_t max)
{
	struct stream *st = cls;
	struct streams *all = st->all;
	ssize_t n;

	(void)at;
	conn_on_stream_progress(all->conns, st->conn);
	pthread_mutex_lock(&all->lock);
	n = (ssize_t)fill(st, out, max);
	if (n == 0 && st->ended) {
		n = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (n == 0) {
		st->suspended = true;
		MHD_suspend_connection(st->mhd);
	}
	pthread_mutex_unlock(&all->lock);
	return n;
}

/* ---- the thread ---- */

static void on_event(void *arg)
{
	const uint64_t one = 1;
	struct streams *all = arg;

	/* Full (it can't be) is awake as well. */
	(void)!write(all->wake, &one, sizeof(one));
}

static void resume(struct stream *st)
{
	if (!st->suspended)
		return;
	st->suspended = false;
	MHD_resume_connection(st->mhd);
}

static bool has_news(struct stream *st)
{
	struct event *e;
	const enum events_outcome got = events_next(st->all->events, st->after, &e);

	if (e)
		event_put(st->all->events, e);
	return got != EVENTS_NONE ||
	       clock_mono_ms(&st->all->clock) - st->said_ms >= STREAM_HEARTBEAT_MS;
}

static void wake_all(struct streams *all)
{
	struct stream *st;

	pthread_mutex_lock(&all->lock);
	LIST_FOREACH (st, &all->list, link)
		if (st->suspended && (st->ended || has_news(st)))
			resume(st);
	pthread_mutex_unlock(&all->lock);
}

/* Who does not read is not asked for more, so nothing but this notices that he is behind. */
static void drop_slow(struct streams *all, struct stream *st)
{
	struct event *e;
	const enum events_outcome got = events_next(all->events, st->after, &e);

	if (e)
		event_put(all->events, e);
	if (got == EVENTS_GAP && !st->ended)
		drop(st);
}

static size_t gather(struct streams *all)
{
	struct stream *st;
	size_t n = 0;

	pthread_mutex_lock(&all->lock);
	LIST_FOREACH (st, &all->list, link) {
		if (!st->mhd)
			continue; /* its answer is on the way */
		if (st->suspended && conn_hung_up(all->conns, st->conn))
			st->ended = true;
		if (!st->suspended)
			drop_slow(all, st);
		if (!st->ended)
			all->questions[n++] = (struct question){st->serial, st->actor};
	}
	pthread_mutex_unlock(&all->lock);
	return n;
}

static void end_one(struct streams *all, uint64_t serial)
{
	struct stream *st;

	pthread_mutex_lock(&all->lock);
	LIST_FOREACH (st, &all->list, link) {
		if (st->serial != serial || st->ended)
			continue;
		st->ended = true;
		all->figures.ended++;
		/* Not even what is on its way to him. */
		if (!st->suspended)
			conn_doom(all->conns, st->conn, "its credentials are not valid any more");
	}
	pthread_mutex_unlock(&all->lock);
}

/* Everybody is asked about again: a token may be revoked, a login ended, a user disabled. Without
 * an answer nobody stays. */
static void check_all(struct streams *all)
{
	const size_t n = gather(all);

	for (size_t i = 0; i < n; i++) {
		const int err = svc_actor_stands(all->service, &all->questions[i].actor);

		if (err < 0)
			log_error("http", "events: who is reading can't be checked: %s",
				strerror(-err));
		if (err)
			end_one(all, all->questions[i].serial);
	}
	wake_all(all);
}

static bool is_stopping(struct streams *all)
{
	bool stopping;

	pthread_mutex_lock(&all->lock);
	stopping = all->stopping;
	pthread_mutex_unlock(&all->lock);
	return stopping;
}

static void *run(void *arg)
{
	struct streams *all = arg;
	struct pollfd p = {.fd = all->wake, .events = POLLIN};
	uint64_t checked = clock_mono_ms(&all->clock), count;

	while (!is_stopping(all)) {
		const uint64_t since = clock_mono_ms(&all->clock) - checked;

		if (since >= CHECK_MS) {
			check_all(all);
			checked = clock_mono_ms(&all->clock);
		} else if (poll(&p, 1, (int)(CHECK_MS - since)) == 1 &&
			   read(all->wake, &count, sizeof(count)) == sizeof(count)) {
			wake_all(all);
		}
	}
	return NULL;
}

/* ---- start and stop ---- */

int streams_new(
	struct streams **out, struct service *s, struct conn_table *conns, struct clock clock)
{
	struct streams *all = calloc(1, sizeof(*all));
	int rc;

	if (!all)
		return -ENOMEM;
	all->service = s;
	all->events = svc_events(s);
	all->conns = conns;
	all->clock = clock;
	LIST_INIT(&all->list);
	pthread_mutex_init(&all->lock, NULL);
	all->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = all->wake < 0 ? errno : pthread_create(&all->thread, NULL, run, all);
	if (rc) {
		streams_free(all);
		return -rc;
	}
	all->running = true;
	events_watch(all->events, on_event, all);
	*out = all;
	return 0;
}

void streams_stop(struct streams *all)
{
	struct stream *st;

	if (!all->running)
		return;
	events_watch(all->events, NULL, NULL);
	pthread_mutex_lock(&all->lock);
	all->stopping = true;
	LIST_FOREACH (st, &all->list, link) {
		st->ended = true;
		resume(st);
	}
	pthread_mutex_unlock(&all->lock);
	on_event(all);
	pthread_join(all->thread, NULL);
	all->running = false;
}

void streams_free(struct streams *all)
{
	if (all->wake >= 0)
		close(all->wake);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* ---- a stream's life ---- */

/* With the lock. */
static int admit(struct streams *all, const struct svc_actor *a)
{
	const struct stream *st;
	size_t same = 0;

	if (all->stopping || all->figures.open >= STREAMS_MAX)
		return STREAM_FULL;
	LIST_FOREACH (st, &all->list, link)
		same += ulid_equal(&st->actor.user_id, &a->user_id);
	return same < STREAMS_OF_USER ? STREAM_OPEN : STREAM_USER_FULL;
}

/* Where it begins, and what it says first. */
static int begin(struct stream *st, const struct stream_request *r)
{
	const int64_t now = clock_real_ms(&st->all->clock);
	struct event *e = NULL;
	char *gap = NULL;
	size_t len = 0, gap_len = 0;
	bool lost;

	st->after = events_newest(st->all->events);
	lost = r->resume && events_next(st->all->events, r->after, &e) == EVENTS_GAP;
	if (e)
		event_put(st->all->events, e);
	if (r->resume && !lost)
		st->after = r->after;
	st->own = event_encode_hello(st->after, now, &len);
	if (st->own && lost) {
		char *hello = st->own;

		gap = event_encode_gap(st->after, r->after, &gap_len);
		st->own = gap ? memory_alloc(len + gap_len) : NULL;
		if (st->own) {
			memcpy(st->own, hello, len);
			memcpy(st->own + len, gap, gap_len);
		}
		memory_free(hello);
		memory_free(gap);
	}
	if (!st->own)
		return -ENOMEM;
	say(st, st->own, len + gap_len);
	return 0;
}

int stream_open(struct streams *all, const struct stream_request *r, struct stream **out)
{
	struct stream *st = calloc(1, sizeof(*st));
	int rc;

	if (!st)
		return -ENOMEM;
	st->all = all;
	st->actor = *r->actor;
	st->types = r->types;
	rc = begin(st, r);
	pthread_mutex_lock(&all->lock);
	if (!rc)
		rc = admit(all, r->actor);
	if (!rc) {
		LIST_INSERT_HEAD(&all->list, st, link);
		st->linked = true;
		st->serial = ++all->figures.opened;
		all->figures.open++;
		events_reader(all->events, 1);
	}
	pthread_mutex_unlock(&all->lock);
	if (rc) {
		stream_close(st);
		return rc;
	}
	*out = st;
	return 0;
}

void stream_detach(struct stream *st)
{
	struct streams *all = st->all;

	pthread_mutex_lock(&all->lock);
	if (st->linked) {
		LIST_REMOVE(st, link);
		all->figures.open--;
		events_reader(all->events, -1);
	}
	st->linked = false;
	pthread_mutex_unlock(&all->lock);
}

void stream_close(struct stream *st)
{
	if (!st)
		return;
	stream_detach(st);
	said(st);
	free(st);
}

void stream_end(void *cls)
{
	stream_close(cls);
}

void stream_attach(struct stream *st, struct MHD_Connection *mhd, struct conn *conn)
{
	pthread_mutex_lock(&st->all->lock);
	st->mhd = mhd;
	st->conn = conn;
	pthread_mutex_unlock(&st->all->lock);
	conn_on_stream(st->all->conns, conn);
}

void streams_figures(struct streams *all, struct streams_figures *out)
{
	pthread_mutex_lock(&all->lock);
	*out = all->figures;
	pthread_mutex_unlock(&all->lock);
}
