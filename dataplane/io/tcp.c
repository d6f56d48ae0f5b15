/* Connections: accepting, reading, deadlines, the end. Sending is in tcp_send.c. */
#include "io/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secret.h"
#include "io/outer.h"
#include "io/tcp_own.h"

enum {
	READ = 64 << 10, /* bytes, of one connection at a time */
	ACCEPTS = 16,	 /* connections, at a time */
	BACKLOG = 1024,
};

/* ---- listening ---- */

static int open_one(const struct endpoint *at, int *out, bool shared)
{
	bool v4;
	int r, fd = outer_socket(at, SOCK_STREAM, shared, &v4);

	if (fd < 0)
		return fd;
	/* What former connections left behind must not keep the port; who listens does. */
	r = outer_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Accepted sockets inherit it. */
	if (r == 0)
		r = outer_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0)
		r = outer_bind(fd, at, v4);
	if (r == 0 && listen(fd, BACKLOG) != 0)
		r = -errno;
	if (r != 0)
		close(fd);
	else
		*out = fd;
	return r;
}

int tcp_open(const struct endpoint *at, int *out, uint32_t n)
{
	uint32_t done = 0;
	int probe;
	/* Sockets of one user may share a port unasked; so first see whether it is free at all. */
	int r = open_one(at, &probe, false);

	if (r == 0)
		close(probe);
	while (r == 0 && done < n) {
		r = open_one(at, &out[done], n > 1);
		if (r == 0)
			done++;
	}
	for (uint32_t i = 0; r != 0 && i < done; i++)
		close(out[i]);
	return r;
}

static const int *listeners_of(const struct tcp *t, uint32_t worker)
{
	return &t->conf.listeners[(size_t)worker * TCP_LISTENERS];
}

static int listen_to(const struct tcp *t, uint32_t worker, int op, uint32_t events)
{
	const int *listeners = listeners_of(t, worker);
	int r = 0;

	for (uint32_t i = 0; i < TCP_LISTENERS; i++) {
		struct epoll_event e = {.events = events, .data.u64 = i};

		if (listeners[i] >= 0 &&
			epoll_ctl(t->workers[worker].epoll, op, listeners[i], &e) != 0)
			r = -errno;
	}
	return r;
}

/* ---- life ---- */

int tcp_new(struct tcp **out, const struct tcp_conf *conf)
{
	struct tcp *t = calloc(1, sizeof(*t) + conf->n_workers * sizeof(t->workers[0]));
	int r;

	if (!t)
		return -ENOMEM;
	t->conf = *conf;
	r = tcp_table_new(&t->table);
	for (uint32_t i = 0; r == 0 && i < conf->n_workers; i++) {
		t->workers[i].epoll = -1;
		t->workers[i].buffer = malloc(TCP_PART + READ);
		if (!t->workers[i].buffer)
			r = -ENOMEM;
	}
	if (r != 0)
		tcp_free(t);
	else
		*out = t;
	return r;
}

/* The owner ends its connection: from here on its number finds nothing. */
static void end(struct tcp *t, struct tcp_worker *w, struct tcp_connection *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	if (w->reading == c)
		w->reading = NULL;
	free(c->part);
	c->part = NULL;
	pthread_mutex_lock(&c->lock);
	close(c->fd);
	c->fd = -1;
	c->number = 0;
	tcp_queue_drop(&c->queue);
	pthread_mutex_unlock(&c->lock);
	tcp_table_put(t->table, c);
}

void tcp_free(struct tcp *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->conf.n_workers; i++) {
		struct tcp_worker *w = &t->workers[i];

		while (w->connections)
			end(t, w, w->connections);
		if (w->buffer)
			secret_wipe(w->buffer, TCP_PART + READ);
		free(w->buffer);
	}
	tcp_table_free(t->table);
	free(t);
}

int tcp_attach(struct tcp *t, uint32_t worker, int epoll)
{
	t->workers[worker].epoll = epoll;
	return listen_to(t, worker, EPOLL_CTL_ADD, EPOLLIN);
}

/* The owner's own connection of that number, or NULL. */
static struct tcp_connection *own(struct tcp *t, uint32_t number)
{
	struct tcp_connection *c = tcp_table_hold(t->table, number);

	/* Nobody else ends it. */
	if (c)
		tcp_table_release(c);
	return c;
}

/* ---- accepting ---- */

static struct path path_of(int fd, const struct endpoint *remote, uint32_t listener)
{
	struct path p = {.remote = *remote, .listener = (uint8_t)listener};
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct endpoint local;

	if (getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
		endpoint_from_sockaddr(&local, (const struct sockaddr *)&name) == 0)
		p.local = local.addr;
	return p;
}

/* Makes room for a newer guest. Its owner sees the end of the stream and ends it. */
static void evict(struct tcp *t, uint32_t number)
{
	struct tcp_connection *c = tcp_table_hold(t->table, number);

	if (!c)
		return;
	tcp_cut(c);
	tcp_table_release(c);
}

static void begin(struct tcp_worker *w, struct tcp_connection *c, int fd, const struct path *path,
	uint64_t now)
{
	c->path = *path;
	c->since = now;
	c->heard = c->known = c->punted = false;
	c->part_len = 0;
	c->next = w->connections;
	c->link = &w->connections;
	if (c->next)
		c->next->link = &c->next;
	w->connections = c;
	pthread_mutex_lock(&c->lock);
	c->number = path->connection;
	c->fd = fd;
	c->epoll = w->epoll;
	c->is_big = c->waits = c->ended = false;
	c->close_at = 0;
	pthread_mutex_unlock(&c->lock);
}

/* Takes the descriptor. */
static void admit(
	struct tcp *t, struct tcp_worker *w, int fd, const struct path *path, uint64_t now)
{
	struct path p = *path;
	struct tcp_connection *c;
	uint32_t evicted;
	uint8_t *part = malloc(TCP_PART);

	c = part ? tcp_table_take(t->table, &p.remote.addr, now, &p.connection, &evicted) : NULL;
	if (!c) {
		free(part);
		close(fd);
		return;
	}
	if (evicted)
		evict(t, evicted);
	c->part = part;
	begin(w, c, fd, &p, now);
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = tcp_event(p.connection)};
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		end(t, w, c);
}

/* Returns: whether there may be more. */
static bool accept_one(struct tcp *t, uint32_t worker, uint32_t listener, uint64_t now)
{
	struct tcp_worker *w = &t->workers[worker];
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct endpoint remote;
	int fd = accept4(listeners_of(t, worker)[listener], (struct sockaddr *)&name, &len,
		SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		/* Or the loop would spin on a connection that it can't take. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			w->deaf = listen_to(t, worker, EPOLL_CTL_MOD, 0) == 0;
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (endpoint_from_sockaddr(&remote, (const struct sockaddr *)&name) != 0) {
		close(fd);
		return true;
	}
	const struct path path = path_of(fd, &remote, listener);
	admit(t, w, fd, &path, now);
	return true;
}

void tcp_accept(struct tcp *t, uint32_t worker, uint32_t listener, uint64_t now)
{
	for (int i = 0; i < ACCEPTS; i++) {
		if (!accept_one(t, worker, listener, now))
			return;
	}
}

/* ---- reading ---- */

bool tcp_is_connection(uint64_t event)
{
	return event >> 32;
}

/* Returns: whether the connection is still to be read. */
static bool on_writable(struct tcp_connection *c, uint32_t events)
{
	bool open;

	pthread_mutex_lock(&c->lock);
	if (events & EPOLLOUT)
		tcp_flush(c);
	open = !c->ended;
	pthread_mutex_unlock(&c->lock);
	return open;
}

bool tcp_ready(struct tcp *t, uint32_t worker, uint64_t event, uint32_t events)
{
	struct tcp_worker *w = &t->workers[worker];
	struct tcp_connection *c = own(t, (uint32_t)event);
	ssize_t n;
	bool open;

	if (!c)
		return false; /* ended earlier in this turn */
	open = on_writable(c, events);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return false;
	memcpy(w->buffer, c->part, c->part_len);
	n = recv(c->fd, w->buffer + c->part_len, READ, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR) && !(events & (EPOLLERR | EPOLLHUP)))
		return false;
	if (n <= 0) {
		end(t, w, c);
		return false;
	}
	if (!open)
		return false; /* it has been told to go; what it still says is not heard */
	w->reading = c;
	w->full = n == READ;
	w->at = 0;
	w->end = c->part_len + (size_t)n;
	c->part_len = 0;
	return true;
}

bool tcp_read_full(const struct tcp *t, uint32_t worker)
{
	return t->workers[worker].full;
}

/* The length of the frame that bytes begin with, 0 when it is not whole. Returns: the length,
 * -EBADMSG when no frame has that length. */
static ssize_t frame_len(const uint8_t *bytes, size_t n)
{
	size_t len;

	if (n < OVPN_FRAME_HEAD)
		return 0;
	len = (size_t)bytes[0] << 8 | bytes[1];
	if (len == 0 || len > OVPN_FRAME_MAX)
		return -EBADMSG;
	return n - OVPN_FRAME_HEAD < len ? 0 : (ssize_t)len;
}

/* Everything has been taken: what is left is the beginning of a frame, or none. */
static void read_end(struct tcp *t, struct tcp_worker *w, uint32_t worker, bool bad)
{
	struct tcp_connection *c = w->reading;

	w->reading = NULL;
	if (bad) {
		fwd_count(t->conf.fwd, worker, FWD_MALFORMED, 1);
		end(t, w, c);
		return;
	}
	c->part_len = w->end - w->at;
	memcpy(c->part, w->buffer + w->at, c->part_len);
}

uint32_t tcp_frames(struct tcp *t, uint32_t worker, struct fwd_packet *p, uint32_t n)
{
	struct tcp_worker *w = &t->workers[worker];
	uint32_t got = 0;
	ssize_t len = 0;

	if (!w->reading)
		return 0;
	while (got < n) {
		len = frame_len(w->buffer + w->at, w->end - w->at);
		if (len <= 0)
			break;
		p[got++] = (struct fwd_packet){
			.data = w->buffer + w->at + OVPN_FRAME_HEAD,
			.len = (uint32_t)len,
			.path = w->reading->path,
		};
		w->at += OVPN_FRAME_HEAD + (size_t)len;
		w->reading->heard = true;
	}
	/* What came before a bad one counts; that one is looked at again. */
	if (got == 0)
		read_end(t, w, worker, len < 0);
	return got;
}

void tcp_punted(struct tcp *t, uint32_t worker, uint32_t connection)
{
	struct tcp_connection *c = own(t, connection);

	(void)worker;
	if (c)
		c->punted = true;
}

void tcp_valid(struct tcp *t, uint32_t worker, uint32_t connection, uint32_t peer, uint64_t now)
{
	struct tcp_connection *c = own(t, connection);

	(void)worker;
	if (!c)
		return;
	c->valid_at = now;
	c->peer = peer;
	if (c->known)
		return;
	c->known = true;
	pthread_mutex_lock(&c->lock);
	c->is_big = true;
	pthread_mutex_unlock(&c->lock);
	tcp_table_known(t->table, c);
}

void tcp_refuse(struct tcp *t, uint32_t worker, uint32_t connection)
{
	struct tcp_connection *c = own(t, connection);

	if (c)
		end(t, &t->workers[worker], c);
}

/* ---- deadlines ---- */

static bool is_late(struct tcp_connection *c, uint64_t now)
{
	uint64_t close_at;

	pthread_mutex_lock(&c->lock);
	close_at = c->close_at;
	pthread_mutex_unlock(&c->lock);
	if (close_at && now >= close_at)
		return true;
	if (c->known)
		return now - c->valid_at >= TCP_SILENT_MS;
	return now - c->since >= (c->heard ? TCP_GUEST_MS : TCP_FIRST_MS);
}

void tcp_tick(struct tcp *t, uint32_t worker, uint64_t now)
{
	struct tcp_worker *w = &t->workers[worker];

	if (now - w->ticked < TCP_TICK_MS)
		return;
	w->ticked = now;
	if (w->deaf)
		w->deaf = listen_to(t, worker, EPOLL_CTL_MOD, EPOLLIN) != 0;
	for (struct tcp_connection *c = w->connections, *next; c; c = next) {
		next = c->next;
		if (is_late(c, now))
			end(t, w, c);
	}
}

bool tcp_has_deadlines(const struct tcp *t, uint32_t worker)
{
	return t->workers[worker].connections || t->workers[worker].deaf;
}

/* ---- the control thread's ---- */

void tcp_tell(struct tcp *t, const struct tcp_news *news)
{
	tcp_table_tell(t->table, news);
}
