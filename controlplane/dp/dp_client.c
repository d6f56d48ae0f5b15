/*
 * The connection's life, the queue of requests and the dispatch of what comes in.
 *
 * The dataplane answers requests in their order, so the oldest pending one is always the one that a
 * reply belongs to; anything else is a broken peer, and the connection starts anew.
 */
#include "dp/dp_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "uapi/door.h"

enum { RECONNECT_MS = 100, HELLO_MS = 2000, FRAMES_PER_TURN = 256 };

struct request {
	STAILQ_ENTRY(request) link;
	uint32_t seq;
	uint16_t reply_type;
	dp_reply_fn done;
	void *arg;
	size_t len;
	uint8_t *bytes; /* the frame, until it is sent */
};
STAILQ_HEAD(request_list, request);

enum dp_state { DP_DOWN, DP_HELLO_CTL, DP_HELLO_PUNT, DP_UP };

/* One connection. The handle lives on until libuv has closed it, a successor may exist by then. */
struct channel {
	uv_poll_t poll;
	struct dp_client *dp;
	enum uapi_channel kind;
	int fd;
	bool wants_room; /* is told when the socket can be written */
};

struct dp_client {
	struct dp_hooks hooks;
	char path[DOOR_PATH_MAX];
	char run_dir[DOOR_PATH_MAX];
	uv_loop_t *loop;
	uv_timer_t retry;     /* reconnects when down, gives up a HELLO that is not answered */
	uv_prepare_t outward; /* runs while there are unsent requests, before the loop waits */
	int closing;	      /* handles that libuv has not let go of yet */
	struct channel *ctl, *punt;
	enum dp_state state;
	struct uapi_hello_reply hello;
	struct request_list unsent, waiting;
	size_t n_pending;
	uint32_t seq;
	int last_error; /* of connecting, so that only a change is logged */
};

static void on_retry(uv_timer_t *t);
static void on_channel(uv_poll_t *poll, int status, int events);

static void request_free(struct request *rq)
{
	if (rq->bytes)
		secret_wipe(rq->bytes, rq->len);
	free(rq->bytes);
	free(rq);
}

static void requests_fail(struct dp_client *dp, struct request_list *list)
{
	struct request *rq;
	while ((rq = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		dp->n_pending--;
		if (rq->done)
			rq->done(rq->arg, -ECONNRESET, NULL);
		request_free(rq);
	}
}

static void on_channel_closed(uv_handle_t *h)
{
	free(h->data);
}

static void channel_close(struct channel **at)
{
	struct channel *ch = *at;
	if (!ch)
		return;
	*at = NULL;
	uv_poll_stop(&ch->poll);
	uv_close((uv_handle_t *)&ch->poll, on_channel_closed);
	close(ch->fd);
}

static void go_down(struct dp_client *dp)
{
	const bool was_up = dp->state == DP_UP;
	channel_close(&dp->ctl);
	channel_close(&dp->punt);
	dp->state = DP_DOWN;
	requests_fail(dp, &dp->waiting);
	requests_fail(dp, &dp->unsent);
	if (was_up)
		dp->hooks.on_down(dp->hooks.arg);
	uv_timer_start(&dp->retry, on_retry, was_up ? 0 : RECONNECT_MS, RECONNECT_MS);
}

static void poll_for(struct channel *ch, bool writable)
{
	ch->wants_room = writable;
	uv_poll_start(&ch->poll, UV_READABLE | (writable ? UV_WRITABLE : 0), on_channel);
}

/* Only root, ourselves and the owner of the run folder may play the dataplane. */
static int check_peer(const struct dp_client *dp, int fd)
{
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int r = door_peer(fd, &uid, &gid, &pid);
	if (r < 0)
		return r;
	struct stat st;
	if (uid == 0 || uid == geteuid())
		return 0;
	if (stat(dp->run_dir, &st) == 0 && st.st_uid == uid)
		return 0;
	if (dp->last_error != -EPERM) /* ten tries a second */
		log_error("dp", "%s: served by user %u, which may not be the dataplane", dp->path,
			uid);
	return -EPERM;
}

static int send_hello(struct channel *ch)
{
	const struct uapi_hello hello = {.version_min = UAPI_VERSION_MIN,
		.version_max = UAPI_VERSION_MAX,
		.channel = ch->kind};
	uint8_t frame[64];
	struct writer w = writer_init(frame, sizeof(frame));
	uapi_begin(&w, UAPI_HELLO_MSG, 0);
	uapi_pack_hello(&w, &hello);
	int r = writer_end(&w);
	return r < 0 ? r : door_send(ch->fd, frame, writer_len(&w));
}

static int channel_open(struct dp_client *dp, enum uapi_channel kind, struct channel **out)
{
	int fd = door_connect(dp->path);
	if (fd < 0)
		return fd;
	int r = check_peer(dp, fd);
	struct channel *ch = r < 0 ? NULL : calloc(1, sizeof(*ch));
	if (!ch) {
		close(fd);
		return r < 0 ? r : -ENOMEM;
	}
	*ch = (struct channel){.dp = dp, .kind = kind, .fd = fd};
	r = uv_poll_init(dp->loop, &ch->poll, fd);
	if (r < 0) {
		close(fd);
		free(ch);
		return r;
	}
	ch->poll.data = ch;
	*out = ch;
	poll_for(ch, false);
	return send_hello(ch);
}

static void connect_failed(struct dp_client *dp, int error)
{
	if (error != dp->last_error)
		log_warn("dp", "%s: not connected: %s", dp->path, strerror(-error));
	dp->last_error = error;
	go_down(dp);
}

static void on_retry(uv_timer_t *t)
{
	struct dp_client *dp = t->data;
	if (dp->state != DP_DOWN) {
		connect_failed(dp, -ETIMEDOUT);
		return;
	}
	int r = channel_open(dp, UAPI_CTL, &dp->ctl);
	if (r < 0) {
		connect_failed(dp, r);
		return;
	}
	dp->state = DP_HELLO_CTL;
	uv_timer_start(&dp->retry, on_retry, HELLO_MS, 0);
}

static void on_hello_reply(struct dp_client *dp, struct channel *ch, struct reader *r)
{
	struct uapi_hello_reply hello;
	uapi_unpack_hello_reply(r, &hello);
	if (reader_end(r) < 0 || hello.status || !hello.max_peers || !hello.max_indices) {
		if (dp->last_error != -EPROTO)
			log_error(
				"dp", "%s: refused us: %s", dp->path, strerror((int)hello.status));
		connect_failed(dp, -EPROTO);
		return;
	}
	if (ch->kind == UAPI_CTL) {
		dp->hello = hello;
		dp->state = DP_HELLO_PUNT;
		int e = channel_open(dp, UAPI_PUNT, &dp->punt);
		if (e < 0)
			connect_failed(dp, e);
		return;
	}
	if (!ulid_equal(&hello.boot_id, &dp->hello.boot_id)) {
		connect_failed(dp, -EAGAIN); /* restarted between the two */
		return;
	}
	dp->state = DP_UP;
	dp->last_error = 0;
	uv_timer_stop(&dp->retry);
	dp->hooks.on_up(dp->hooks.arg, &dp->hello);
}

static void on_reply(struct dp_client *dp, const struct uapi_header *h, struct reader *r)
{
	struct request *rq = STAILQ_FIRST(&dp->waiting);
	if (!rq || rq->seq != h->seq || rq->reply_type != h->type) {
		log_error("dp", "reply %u to request %u was not asked for", h->type, h->seq);
		go_down(dp);
		return;
	}
	STAILQ_REMOVE_HEAD(&dp->waiting, link);
	dp->n_pending--;
	/* Every reply begins with its status. */
	struct reader peek = *r;
	const uint32_t status = reader_u32(&peek);
	if (rq->done)
		rq->done(rq->arg, status < 4096 ? -(int)status : -EPROTO, r);
	request_free(rq);
}

static void on_frame(struct channel *ch, const uint8_t *frame, size_t len)
{
	struct dp_client *dp = ch->dp;
	const bool ready =
		dp->state == DP_UP || (dp->state == DP_HELLO_PUNT && ch->kind == UAPI_CTL);
	struct reader r = reader_init(frame, len);
	struct uapi_header h;
	if (uapi_open(&r, &h, UAPI_FROM_DATA, ch->kind, ready ? UAPI_READY : UAPI_NEW) < 0) {
		log_error("dp", "a frame of %zu bytes is not of the door's language", len);
		go_down(dp);
		return;
	}
	if (h.type == UAPI_HELLO_REPLY_MSG) {
		on_hello_reply(dp, ch, &r);
	} else if (h.type == UAPI_PUNT_MSG) {
		struct uapi_punt m;
		uapi_unpack_punt(&r, &m);
		const size_t n = reader_left(&r);
		const uint8_t *datagram = reader_view(&r, n);
		if (reader_end(&r) == 0)
			dp->hooks.on_punt(dp->hooks.arg, &m.path, datagram, n);
	} else if (h.type >= 300) {
		dp->hooks.on_event(dp->hooks.arg, h.type, &r);
	} else {
		on_reply(dp, &h, &r);
	}
}

/* Waits for room in the socket only when there was none. */
static void flush(struct dp_client *dp)
{
	struct request *rq;
	bool full = false;
	uv_prepare_stop(&dp->outward);
	while (dp->state == DP_UP && (rq = STAILQ_FIRST(&dp->unsent))) {
		int r = door_send(dp->ctl->fd, rq->bytes, rq->len);
		full = r == -EAGAIN;
		if (full)
			break;
		if (r < 0) {
			log_warn("dp", "%s: %s", dp->path, strerror(-r));
			go_down(dp);
			return;
		}
		STAILQ_REMOVE_HEAD(&dp->unsent, link);
		secret_wipe(rq->bytes, rq->len);
		free(rq->bytes);
		rq->bytes = NULL;
		STAILQ_INSERT_TAIL(&dp->waiting, rq, link);
	}
	if (dp->state == DP_UP && full != dp->ctl->wants_room)
		poll_for(dp->ctl, full);
}

static void on_outward(uv_prepare_t *outward)
{
	flush(outward->data);
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
	struct channel *ch = poll->data;
	struct dp_client *dp = ch->dp;
	struct channel *const *slot = ch->kind == UAPI_CTL ? &dp->ctl : &dp->punt;
	if (status < 0) {
		go_down(dp);
		return;
	}
	uint8_t frame[UAPI_CTL_MAX];
	/* A turn is bounded, so that a flood of datagrams can't hold up keys and revocations. */
	for (int i = 0; events & UV_READABLE && i < FRAMES_PER_TURN && *slot == ch; i++) {
		ssize_t n = door_recv(ch->fd, frame, sizeof(frame));
		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			if (dp->state == DP_UP)
				log_warn("dp", "the dataplane closed the connection");
			go_down(dp);
			return;
		}
		on_frame(ch, frame, (size_t)n);
	}
	if (*slot == ch && ch->wants_room && events & UV_WRITABLE)
		flush(dp);
}

int dp_client_new(
	struct dp_client **out, uv_loop_t *loop, const char *run_dir, const struct dp_hooks *hooks)
{
	struct dp_client *dp = calloc(1, sizeof(*dp));
	if (!dp)
		return -ENOMEM;
	dp->hooks = *hooks;
	dp->loop = loop;
	STAILQ_INIT(&dp->unsent);
	STAILQ_INIT(&dp->waiting);
	int r = door_path(dp->path, run_dir);
	if (r < 0) {
		free(dp);
		return r;
	}
	snprintf(dp->run_dir, sizeof(dp->run_dir), "%s", run_dir);
	r = uv_timer_init(loop, &dp->retry);
	if (r < 0) {
		free(dp);
		return r;
	}
	dp->retry.data = dp;
	uv_prepare_init(loop, &dp->outward); /* cannot fail */
	dp->outward.data = dp;
	*out = dp;
	return 0;
}

void dp_client_start(struct dp_client *dp)
{
	uv_timer_start(&dp->retry, on_retry, 0, RECONNECT_MS);
}

static void on_handle_closed(uv_handle_t *h)
{
	struct dp_client *dp = h->data;
	if (--dp->closing == 0)
		free(dp);
}

void dp_client_close(struct dp_client *dp)
{
	channel_close(&dp->ctl);
	channel_close(&dp->punt);
	dp->state = DP_DOWN;
	requests_fail(dp, &dp->waiting);
	requests_fail(dp, &dp->unsent);
	dp->closing = 2;
	uv_close((uv_handle_t *)&dp->retry, on_handle_closed);
	uv_close((uv_handle_t *)&dp->outward, on_handle_closed);
}

bool dp_client_up(const struct dp_client *dp)
{
	return dp->state == DP_UP;
}

bool dp_client_absent(const struct dp_client *dp)
{
	return dp->state == DP_DOWN &&
	       (dp->last_error == -ECONNREFUSED || dp->last_error == -ENOENT);
}

size_t dp_client_pending(const struct dp_client *dp)
{
	return dp->n_pending;
}

void dp_frame_begin(struct dp_frame *f, enum uapi_type type)
{
	f->type = type;
	f->w = writer_init(f->bytes, sizeof(f->bytes));
	uapi_begin(&f->w, type, 0); /* the sequence is filled in when it is queued */
}

static struct request *request_new(struct dp_client *dp, struct dp_frame *f)
{
	struct request *rq = calloc(1, sizeof(*rq));
	uint8_t *bytes = malloc(writer_len(&f->w));
	if (!rq || !bytes) {
		free(rq);
		free(bytes);
		return NULL;
	}
	rq->seq = ++dp->seq;
	rq->reply_type = (uint16_t)(f->type + 100);
	rq->len = writer_len(&f->w);
	rq->bytes = bytes;
	memcpy(bytes, f->bytes, rq->len);
	struct writer header = writer_init(bytes, UAPI_HEADER);
	uapi_begin(&header, f->type, rq->seq);
	return rq;
}

int dp_client_request(struct dp_client *dp, struct dp_frame *f, dp_reply_fn done, void *arg)
{
	int r = writer_end(&f->w);
	struct request *rq = NULL;
	if (r == 0 && dp->state != DP_UP)
		r = -ENOTCONN;
	if (r == 0) {
		rq = request_new(dp, f);
		r = rq ? 0 : -ENOMEM;
	}
	secret_wipe(f->bytes, sizeof(f->bytes));
	if (r < 0) {
		if (done)
			done(arg, r, NULL);
		return r;
	}
	rq->done = done;
	rq->arg = arg;
	STAILQ_INSERT_TAIL(&dp->unsent, rq, link);
	dp->n_pending++;
	/* Written when the loop comes round, so that a caller never sees its own connection go down
	 * in the middle of what it does. */
	if (!dp->ctl->wants_room)
		uv_prepare_start(&dp->outward, on_outward);
	return 0;
}

void dp_client_reinject(
	struct dp_client *dp, const struct path *to, const uint8_t *datagram, size_t len)
{
	if (dp->state != DP_UP)
		return;
	uint8_t frame[UAPI_PUNT_MAX];
	struct writer w = writer_init(frame, sizeof(frame));
	const struct uapi_punt m = {.path = *to};
	uapi_begin(&w, UAPI_REINJECT_MSG, 0);
	uapi_pack_punt(&w, &m);
	writer_bytes(&w, datagram, len);
	if (writer_end(&w) < 0 || door_send(dp->punt->fd, frame, writer_len(&w)) < 0)
		log_debug("dp", "a handshake datagram was dropped on its way out");
}
