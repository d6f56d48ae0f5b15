#include "api/deadline.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum { REAP_MS = 250, STREAM_BUFFER = 64 * 1024 };
/* Connections that are being shut down are still there for a moment. */
enum phase { HANDSHAKE, NEW, RECEIVING, SERVING, LONG, SENDING, STREAMING, IDLE };

struct conn {
	LIST_ENTRY(conn) link;
	void *owner;
	int fd;
	enum phase phase;
	struct ip_prefix prefix; /* host bits cleared */
	bool doomed;		 /* shut down; its end is on the way */
	uint64_t since_ms;	 /* when the phase's clock began */
	uint64_t bytes;		 /* received when the last request was done */
	uint64_t acked;		 /* SENDING: what the client had acknowledged, */
	uint64_t moved_ms;	 /* and when that last rose */
};

struct conn_table {
	struct conn_limits limits;
	void *owner;
	struct clock clock;
	pthread_mutex_t lock;
	LIST_HEAD(, conn) list;
	size_t n, doomed;
	int wake; /* eventfd: stop */
	pthread_t reaper;
};

/* ---- the reaper ---- */

static struct tcp_info tcp_info_of(int fd)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n))
		memset(&info, 0, sizeof(info));
	return info;
}

static uint64_t received_bytes(int fd)
{
	return tcp_info_of(fd).tcpi_bytes_received;
}

static void doom(struct conn_table *t, struct conn *c, const char *why)
{
	/* Whoever does not read would keep the kernel's buffers full after close. */
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (c->doomed)
		return;
	if (c->phase != IDLE)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	c->doomed = true;
	t->doomed++;
	shutdown(c->fd, SHUT_RDWR);
	log_debug("http", "connection %d: closed, %s", c->fd, why);
}

static uint32_t budget_of(const struct conn_table *t, enum phase p)
{
	switch (p) {
	case HANDSHAKE:
		return t->limits.handshake_ms;
	case IDLE:
		return t->limits.idle_ms;
	case LONG:
		return t->limits.long_ms;
	case SENDING:
		return t->limits.sending_ms;
	case STREAMING:
		return t->limits.stream_ms;
	case NEW:
	case RECEIVING:
	case SERVING:
		break;
	}
	return t->limits.request_ms;
}

static bool is_stuck(const struct conn_table *t, struct conn *c, uint64_t now)
{
	const uint64_t acked = tcp_info_of(c->fd).tcpi_bytes_acked;

	if (acked != c->acked) {
		c->acked = acked;
		c->moved_ms = now;
	}
	return now - c->moved_ms >= t->limits.stuck_ms;
}

static void reap(struct conn_table *t, uint64_t now)
{
	struct conn *c;

	LIST_FOREACH (c, &t->list, link) {
		if (c->phase == IDLE && !c->doomed && received_bytes(c->fd) != c->bytes) {
			c->phase = RECEIVING;
			c->since_ms = now;
		}
		if (now - c->since_ms >= budget_of(t, c->phase))
			doom(t, c, c->phase == IDLE ? "idle" : "its time is over");
		else if (c->phase == SENDING && !c->doomed && is_stuck(t, c, now))
			doom(t, c, "its client takes nothing");
	}
}

static void *reaper_main(void *arg)
{
	struct conn_table *t = arg;
	struct pollfd wake = {.fd = t->wake, .events = POLLIN};

	while (poll(&wake, 1, REAP_MS) <= 0) {
		pthread_mutex_lock(&t->lock);
		reap(t, clock_mono_ms(&t->clock));
		pthread_mutex_unlock(&t->lock);
	}
	return NULL;
}

int conn_table_new(
	struct conn_table **out, const struct conn_limits *l, struct clock clock, void *owner)
{
	struct conn_table *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->limits = *l;
	t->clock = clock;
	t->owner = owner;
	LIST_INIT(&t->list);
	pthread_mutex_init(&t->lock, NULL);
	t->wake = eventfd(0, EFD_CLOEXEC);
	rc = t->wake < 0 ? errno : pthread_create(&t->reaper, NULL, reaper_main, t);
	if (rc) {
		if (t->wake >= 0)
			close(t->wake);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return -rc;
	}
	*out = t;
	return 0;
}

void conn_table_free(struct conn_table *t)
{
	const uint64_t one = 1;

	if (write(t->wake, &one, sizeof(one)) < 0)
		log_error("http", "reaper: can't be told to stop, %s", strerror(errno));
	pthread_join(t->reaper, NULL);
	close(t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- coming and going ---- */

static struct ip_prefix prefix_of(const struct ip_addr *a)
{
	struct ip_prefix p = {.addr = *a, .len = a->family == IP_V4 ? 24 : 64};

	p.addr = ip_prefix_network(&p);
	return p;
}

/* Idle ones first, then who has been longest at sending; never one that waits for us. */
static struct conn *longest_waiting(struct conn_table *t)
{
	struct conn *c, *best = NULL;

	LIST_FOREACH (c, &t->list, link) {
		if (c->doomed || c->phase == SERVING || c->phase == LONG || c->phase == SENDING ||
			c->phase == STREAMING)
			continue;
		if (!best || (c->phase == IDLE && best->phase != IDLE) ||
			((c->phase == IDLE) == (best->phase == IDLE) &&
				c->since_ms < best->since_ms))
			best = c;
	}
	return best;
}

bool conn_admit(struct conn_table *t, const struct ip_addr *from, bool is_proxy)
{
	const struct ip_prefix prefix = prefix_of(from);
	uint32_t same = 0;
	struct conn *c;
	bool ok = true;

	pthread_mutex_lock(&t->lock);
	if (!is_proxy) {
		LIST_FOREACH (c, &t->list, link)
			same += ip_addr_equal(&c->prefix.addr, &prefix.addr);
		ok = same < t->limits.per_prefix;
	}
	if (ok && t->n - t->doomed >= t->limits.max) {
		c = longest_waiting(t);
		if (c)
			doom(t, c, "others want its place");
		ok = c != NULL;
	}
	pthread_mutex_unlock(&t->lock);
	return ok;
}

struct conn *conn_open(struct conn_table *t, int fd, const struct ip_addr *from, bool tls)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->owner = t->owner;
	c->fd = fd;
	c->phase = tls ? HANDSHAKE : NEW;
	c->prefix = prefix_of(from);
	c->since_ms = clock_mono_ms(&t->clock);
	pthread_mutex_lock(&t->lock);
	LIST_INSERT_HEAD(&t->list, c, link);
	t->n++;
	pthread_mutex_unlock(&t->lock);
	return c;
}

void *conn_owner(const struct conn *c)
{
	return c->owner;
}

void conn_close(struct conn_table *t, struct conn *c)
{
	pthread_mutex_lock(&t->lock);
	LIST_REMOVE(c, link);
	t->n--;
	t->doomed -= c->doomed;
	pthread_mutex_unlock(&t->lock);
	free(c);
}

/* ---- the course of a request ---- */

void conn_on_handshake_done(struct conn_table *t, struct conn *c)
{
	pthread_mutex_lock(&t->lock);
	if (c->phase == HANDSHAKE)
		c->phase = NEW;
	pthread_mutex_unlock(&t->lock);
}

void conn_on_request_begun(struct conn_table *t, struct conn *c)
{
	pthread_mutex_lock(&t->lock);
	if (c->phase == IDLE)
		c->since_ms = clock_mono_ms(&t->clock);
	c->phase = RECEIVING;
	pthread_mutex_unlock(&t->lock);
}

void conn_on_request_received(struct conn_table *t, struct conn *c, bool is_long)
{
	pthread_mutex_lock(&t->lock);
	c->phase = is_long ? LONG : SERVING;
	if (is_long)
		c->since_ms = clock_mono_ms(&t->clock);
	pthread_mutex_unlock(&t->lock);
}

void conn_on_answer_begun(struct conn_table *t, struct conn *c)
{
	pthread_mutex_lock(&t->lock);
	if (c->phase == LONG) {
		c->phase = SENDING;
		c->since_ms = c->moved_ms = clock_mono_ms(&t->clock);
	}
	pthread_mutex_unlock(&t->lock);
}

void conn_on_stream(struct conn_table *t, struct conn *c)
{
	const int buffer = STREAM_BUFFER;

	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	pthread_mutex_lock(&t->lock);
	c->phase = STREAMING;
	c->since_ms = clock_mono_ms(&t->clock);
	pthread_mutex_unlock(&t->lock);
}

void conn_on_stream_progress(struct conn_table *t, struct conn *c)
{
	pthread_mutex_lock(&t->lock);
	c->since_ms = clock_mono_ms(&t->clock);
	pthread_mutex_unlock(&t->lock);
}

bool conn_hung_up(struct conn_table *t, struct conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
	bool gone;

	pthread_mutex_lock(&t->lock);
	gone = c->doomed || (poll(&p, 1, 0) == 1 && p.revents != 0);
	pthread_mutex_unlock(&t->lock);
	return gone;
}

void conn_doom(struct conn_table *t, struct conn *c, const char *why)
{
	pthread_mutex_lock(&t->lock);
	doom(t, c, why);
	pthread_mutex_unlock(&t->lock);
}

void conn_on_request_done(struct conn_table *t, struct conn *c)
{
	const uint64_t bytes = received_bytes(c->fd);

	pthread_mutex_lock(&t->lock);
	c->phase = IDLE;
	c->bytes = bytes;
	c->since_ms = clock_mono_ms(&t->clock);
	pthread_mutex_unlock(&t->lock);
}

bool conn_is_late(struct conn_table *t, const struct conn *c)
{
	bool late;

	pthread_mutex_lock(&t->lock);
	late = c->doomed;
	pthread_mutex_unlock(&t->lock);
	return late;
}

size_t conn_count(struct conn_table *t, size_t *serving)
{
	struct conn *c;
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->n;
	*serving = 0;
	LIST_FOREACH (c, &t->list, link)
		*serving += c->phase == SERVING;
	pthread_mutex_unlock(&t->lock);
	return n;
}
