/* Sending on connections, from any thread: seal, frame, send, and queue what did not go. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "io/tcp.h"
#include "io/tcp_own.h"

enum {
	/* What sealing and framing add at most. */
	OVERHEAD = OVPN_FRAME_HEAD + OVPN_EPOCH_OVERHEAD,
	LONG_AGO = 1,
};
_Static_assert((int)OVPN_EPOCH_OVERHEAD >= (int)OVPN_DATA_V2_OVERHEAD, "the most");
_Static_assert(FWD_HEADROOM >= OVPN_FRAME_HEAD + OVPN_EPOCH_HEAD, "room for the length as well");

void tcp_cut(struct tcp_connection *c)
{
	c->ended = true;
	c->close_at = LONG_AGO; /* also when the other side goes on sending */
	tcp_queue_drop(&c->queue);
	(void)!shutdown(c->fd, SHUT_RDWR);
}

static size_t room(const struct tcp_connection *c)
{
	return c->ended ? 0 : tcp_queue_room(&c->queue, c->is_big ? TCP_QUEUE : TCP_GUEST_QUEUE);
}

/* Whether the owner is to be told when there is room. */
static void wait_for_room(struct tcp_connection *c, bool waits)
{
	struct epoll_event e = {
		.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.u64 = tcp_event(c->number)};

	if (c->waits == waits)
		return;
	if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0)
		c->waits = waits;
	else
		tcp_cut(c);
}

/* Returns: how many bytes the kernel took; none also when the connection is broken. */
static size_t send_some(struct tcp_connection *c, struct iovec *iov, size_t n)
{
	const struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
		tcp_cut(c);
	return sent > 0 ? (size_t)sent : 0;
}

void tcp_flush(struct tcp_connection *c)
{
	struct iovec iov[2];
	size_t n = tcp_queue_view(&c->queue, iov);

	if (n > 0)
		tcp_queue_take(&c->queue, send_some(c, iov, n));
	if (c->queue.len > 0)
		return;
	wait_for_room(c, false);
	if (c->close_at)
		(void)!shutdown(c->fd, SHUT_WR);
}

/* Sends bytes that there is room for; what does not go now waits. Behind what waits already there
 * is no room in the kernel either. Returns: whether the stream is whole. */
static bool put(struct tcp_connection *c, struct iovec *iov, size_t n)
{
	size_t cap = c->is_big ? TCP_QUEUE : TCP_GUEST_QUEUE;
	size_t sent = c->queue.len == 0 ? send_some(c, iov, n) : 0;

	for (size_t i = 0; i < n && !c->ended; i++) {
		size_t gone = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		sent -= gone;
		if (tcp_queue_put(&c->queue, cap, (const uint8_t *)iov[i].iov_base + gone,
			    iov[i].iov_len - gone) != 0)
			tcp_cut(c);
	}
	if (c->queue.len > 0)
		wait_for_room(c, true);
	return !c->ended;
}

/* ---- data ---- */

/* How many packets from the first on there is room for, however they are sealed. */
static size_t fitting(const struct tcp_connection *c, struct fwd_packet *const *p, size_t n)
{
	size_t left = room(c), fit = 0;

	while (fit < n && left >= p[fit]->len + OVERHEAD)
		left -= p[fit++]->len + OVERHEAD;
	return fit;
}

static void seal_and_send(struct tcp *t, uint32_t worker, struct tcp_connection *c,
	struct fwd_packet *const *p, size_t n, uint64_t now)
{
	struct iovec iov[TCP_RUN];
	size_t sealed = 0;

	fwd_seal(t->conf.fwd, worker, p, n, now);
	for (size_t i = 0; i < n; i++) {
		if (p[i]->verdict != FWD_SEND)
			continue;
		p[i]->data -= OVPN_FRAME_HEAD;
		wire_put_be16(p[i]->data, (uint16_t)p[i]->len);
		p[i]->len += OVPN_FRAME_HEAD;
		iov[sealed++] = (struct iovec){p[i]->data, p[i]->len};
	}
	if (sealed > 0)
		fwd_count(t->conf.fwd, worker, put(c, iov, sealed) ? FWD_SEND : FWD_SEND_FAILED,
			sealed);
}

void tcp_send_run(
	struct tcp *t, uint32_t worker, struct fwd_packet *const *p, size_t n, uint64_t now)
{
	struct tcp_connection *c = tcp_table_hold(t->table, p[0]->path.connection);
	size_t at = 0;

	while (c && at < n) {
		size_t fit = fitting(c, p + at, n - at);

		if (fit == 0)
			break;
		seal_and_send(t, worker, c, p + at, fit, now);
		at += fit;
	}
	if (c)
		tcp_table_release(c);
	for (size_t i = at; i < n; i++)
		p[i]->verdict = FWD_STREAM_FULL;
	if (at < n)
		fwd_count(t->conf.fwd, worker, FWD_STREAM_FULL, n - at);
}

/* ---- the control thread's ---- */

int tcp_send(struct tcp *t, uint32_t connection, const uint8_t *packet, size_t len)
{
	uint8_t head[OVPN_FRAME_HEAD];
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)packet, len}};
	struct tcp_connection *c;
	int r = -ENOBUFS;

	if (len == 0 || len > OVPN_FRAME_MAX)
		return -ENOBUFS;
	c = tcp_table_hold(t->table, connection);
	if (!c)
		return -ENOTCONN;
	wire_put_be16(head, (uint16_t)len);
	if (room(c) >= sizeof(head) + len)
		r = put(c, iov, 2) ? 0 : -ENOTCONN;
	tcp_table_release(c);
	return r;
}

void tcp_close(struct tcp *t, uint32_t connection, uint64_t now)
{
	struct tcp_connection *c = tcp_table_hold(t->table, connection);

	if (!c)
		return;
	if (!c->ended) {
		c->ended = true;
		c->close_at = now + TCP_LINGER_MS;
		if (c->queue.len == 0)
			(void)!shutdown(c->fd, SHUT_WR);
	}
	tcp_table_release(c);
}
