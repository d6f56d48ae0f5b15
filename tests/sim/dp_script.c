#include "tests/sim/dp_script.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secret.h"

/* ---- answers ---- */

static void send_frame(int fd, const uint8_t *frame, size_t len)
{
	/* A control plane that has gone does not listen. */
	(void)!door_send(fd, frame, len);
}

static void answer(struct dp_script *d, int fd, struct writer *w, const uint8_t *frame)
{
	assert_int_equal(writer_end(w), 0);
	d->holding |= d->holds_all;
	if (!d->holding || fd != d->ctl) {
		send_frame(fd, frame, writer_len(w));
		return;
	}
	assert_true(d->n_held < DP_SCRIPT_HELD);
	d->held[d->n_held].len = writer_len(w);
	d->held[d->n_held].frame = malloc(writer_len(w));
	assert_non_null(d->held[d->n_held].frame);
	memcpy(d->held[d->n_held++].frame, frame, writer_len(w));
}

static void forget_held(struct dp_script *d)
{
	while (d->n_held)
		free(d->held[--d->n_held].frame);
	d->holding = d->holds_all = false;
}

void dp_script_release(struct dp_script *d)
{
	for (size_t i = 0; i < d->n_held; i++)
		send_frame(d->ctl, d->held[i].frame, d->held[i].len);
	forget_held(d);
}

/* ---- requests ---- */

static void on_hello(struct dp_script *d, int fd, struct reader *r, struct writer *w)
{
	const struct uapi_hello_reply a = {.version = UAPI_VERSION_MAX,
		.boot_id = d->boot,
		.max_peers = 64,
		.max_indices = 64,
		.max_peer_ids = 64,
		.session_seq = d->session_seq,
		.software = "script"};
	struct uapi_hello m;

	uapi_unpack_hello(r, &m);
	*(m.channel == UAPI_CTL ? &d->ctl : &d->punt) = fd;
	uapi_pack_hello_reply(w, &a);
}

static void on_stats_get(struct dp_script *d, struct writer *w)
{
	const struct uapi_stats_reply a = {.count = d->has_stats};

	uapi_pack_stats_reply(w, &a);
	if (d->has_stats)
		uapi_pack_peer_stats(w, &d->stats);
}

static uint32_t on_session_set(struct dp_script *d, struct reader *r, struct dp_seen *s)
{
	const int refused = d->refuses_keys;

	uapi_unpack_session_set(r, &d->keys);
	assert_true(d->keys.seq > d->session_seq);
	d->session_seq = d->keys.seq;
	s->peer = d->keys.peer;
	s->seq = d->keys.seq;
	s->credential = d->keys.credential;
	s->connection = d->keys.path.connection;
	d->refuses_keys = 0;
	d->holding |= d->holds_keys;
	d->holds_keys = false;
	return (uint32_t)refused;
}

static void on_change(struct dp_script *d, const struct uapi_header *h, struct reader *r,
	struct writer *w, struct dp_seen *s)
{
	struct uapi_reply a = {0};
	union {
		struct uapi_peer_set peer_set;
		struct uapi_peer_del peer_del;
		struct uapi_session_del session_del;
		struct uapi_session_use use;
		struct uapi_connection_close close;
	} m;

	if (h->type == UAPI_SESSION_SET_MSG) {
		a.status = on_session_set(d, r, s);
	} else if (h->type == UAPI_PEER_SET_MSG) {
		uapi_unpack_peer_set(r, &m.peer_set);
		s->peer = m.peer_set.peer;
	} else if (h->type == UAPI_PEER_DEL_MSG) {
		uapi_unpack_peer_del(r, &m.peer_del);
		s->peer = m.peer_del.peer;
	} else if (h->type == UAPI_SESSION_DEL_MSG) {
		uapi_unpack_session_del(r, &m.session_del);
		s->peer = m.session_del.peer;
		s->credential = m.session_del.credential;
	} else if (h->type == UAPI_SESSION_USE_MSG) {
		uapi_unpack_session_use(r, &m.use);
		s->peer = m.use.peer;
		s->seq = m.use.seq;
	} else if (h->type == UAPI_CONNECTION_CLOSE_MSG) {
		uapi_unpack_connection_close(r, &m.close);
		s->connection = m.close.connection;
	}
	uapi_pack_reply(w, &a);
	if (h->type == UAPI_SESSION_SET_MSG && !a.status)
		writer_bytes(w, d->farewell, d->farewell_len);
}

static void on_request(struct dp_script *d, int fd, struct reader *r, const struct uapi_header *h)
{
	uint8_t frame[UAPI_CTL_MAX];
	struct writer w = writer_init(frame, sizeof(frame));
	struct dp_seen s = {.type = h->type};

	uapi_begin(&w, h->type + 100, h->seq);
	if (h->type == UAPI_HELLO_MSG)
		on_hello(d, fd, r, &w);
	else if (h->type == UAPI_STATS_GET_MSG)
		on_stats_get(d, &w);
	else if (h->type == UAPI_STATUS_GET_MSG)
		uapi_pack_status_reply(&w, &(struct uapi_status_reply){.tun = "t"});
	else if (h->type == UAPI_USAGE_GET_MSG)
		uapi_pack_usage_reply(&w, &(struct uapi_usage_reply){0});
	else if (h->type == UAPI_SYNC_END_MSG)
		uapi_pack_sync_end_reply(&w, &(struct uapi_sync_end_reply){0});
	else
		on_change(d, h, r, &w, &s);
	assert_true(d->n < DP_SCRIPT_LOG);
	d->log[d->n++] = s;
	answer(d, fd, &w, frame);
	if (h->type == UAPI_SESSION_USE_MSG && d->confirms)
		dp_script_confirm(d, s.peer, s.seq);
}

static void on_reinject(struct dp_script *d, struct reader *r)
{
	struct uapi_punt m;
	struct dp_datagram *out = &d->out[d->n_out];

	assert_true(d->n_out < DP_SCRIPT_OUT);
	uapi_unpack_punt(r, &m);
	out->to = m.path;
	out->len = reader_left(r);
	memcpy(out->bytes, r->at, out->len);
	d->n_out++;
}

/* Returns: whether there was one, or the connection still stands. */
static bool on_readable(struct dp_script *d, int fd)
{
	uint8_t frame[UAPI_CTL_MAX];
	const ssize_t n = door_recv(fd, frame, sizeof(frame));
	const bool punt = fd == d->punt;
	struct uapi_header h;

	if (n <= 0)
		return n == -EAGAIN;
	struct reader r = reader_init(frame, (size_t)n);

	assert_int_equal(uapi_open(&r, &h, UAPI_FROM_CONTROL, punt ? UAPI_PUNT : UAPI_CTL,
				 fd == d->ctl || punt ? UAPI_READY : UAPI_NEW),
		0);
	if (h.type == UAPI_REINJECT_MSG)
		on_reinject(d, &r);
	else
		on_request(d, fd, &r, &h);
	return true;
}

/* ---- connections ---- */

static void hang_up(struct dp_script *d, size_t i)
{
	const int fd = d->fds[i];

	if (fd == d->ctl) {
		d->ctl = -1;
		forget_held(d);
	}
	if (fd == d->punt)
		d->punt = -1;
	close(fd);
	d->fds[i] = d->fds[--d->n_fds];
}

static void take_in(struct dp_script *d)
{
	const int fd = d->n_fds < DP_SCRIPT_FDS
			       ? accept4(d->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
			       : -1;

	if (fd >= 0)
		d->fds[d->n_fds++] = fd;
}

void dp_script_turn(struct dp_script *d, int wait_ms)
{
	struct pollfd fds[DP_SCRIPT_FDS + 1] = {{.fd = d->listener, .events = POLLIN}};
	const size_t n = d->n_fds;

	for (size_t i = 0; i < n; i++)
		fds[i + 1] = (struct pollfd){.fd = d->fds[i], .events = POLLIN};
	if (poll(fds, n + 1, wait_ms) <= 0)
		return;
	for (size_t i = n; i > 0; i--)
		if (fds[i].revents && !on_readable(d, fds[i].fd))
			hang_up(d, i - 1);
	if (fds[0].revents)
		take_in(d);
}

void dp_script_start(struct dp_script *d, const char *run_dir)
{
	assert_int_equal(door_path(d->path, run_dir), 0);
	assert_int_equal(secret_random(&d->boot, sizeof(d->boot)), 0);
	d->ctl = d->punt = -1;
	d->session_seq = 0;
	d->has_stats = false;
	d->listener = door_listen(d->path);
	assert_true(d->listener >= 0);
}

void dp_script_cut(struct dp_script *d)
{
	while (d->n_fds)
		hang_up(d, d->n_fds - 1);
}

void dp_script_stop(struct dp_script *d)
{
	dp_script_cut(d);
	close(d->listener);
	d->listener = -1;
	unlink(d->path);
}

/* ---- what tests ask and say ---- */

bool dp_script_up(const struct dp_script *d)
{
	return d->ctl >= 0 && d->punt >= 0;
}

size_t dp_script_seen(const struct dp_script *d, enum uapi_type type, struct dp_seen *last)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		if (d->log[i].type != type)
			continue;
		n++;
		if (last)
			*last = d->log[i];
	}
	return n;
}

void dp_script_punt(struct dp_script *d, const struct path *from, const uint8_t *p, size_t n)
{
	uint8_t frame[UAPI_PUNT_MAX];
	struct writer w = writer_init(frame, sizeof(frame));

	uapi_begin(&w, UAPI_PUNT_MSG, 0);
	uapi_pack_punt(&w, &(struct uapi_punt){.path = *from});
	writer_bytes(&w, p, n);
	assert_int_equal(writer_end(&w), 0);
	if (d->punt >= 0)
		send_frame(d->punt, frame, writer_len(&w));
}

#define SAY(type, layout, ...)                                                                     \
	do {                                                                                       \
		uint8_t frame[128];                                                                \
		struct writer w = writer_init(frame, sizeof(frame));                               \
		uapi_begin(&w, type, 0);                                                           \
		uapi_pack_##layout(&w, &(struct uapi_##layout){__VA_ARGS__});                      \
		assert_int_equal(writer_end(&w), 0);                                               \
		send_frame(d->ctl, frame, writer_len(&w));                                         \
	} while (0)

void dp_script_confirm(struct dp_script *d, uint32_t peer, uint64_t seq)
{
	SAY(UAPI_SESSION_CONFIRMED_MSG, session_event, .peer = peer, .seq = seq);
}

void dp_script_expire(struct dp_script *d, uint32_t peer, uint64_t seq, enum uapi_end reason)
{
	SAY(UAPI_SESSION_EXPIRED_MSG, session_expired, .peer = peer, .seq = seq,
		.reason = (uint8_t)reason);
}

void dp_script_want_rekey(struct dp_script *d, uint32_t peer, enum uapi_rekey reason)
{
	SAY(UAPI_REKEY_WANTED_MSG, rekey_wanted, .peer = peer, .reason = (uint8_t)reason);
}

void dp_script_move(struct dp_script *d, uint32_t peer, const struct path *to)
{
	SAY(UAPI_ENDPOINT_MOVED_MSG, endpoint_moved, .peer = peer, .path = *to);
}

void dp_script_close(struct dp_script *d, uint32_t connection)
{
	SAY(UAPI_CONNECTION_CLOSED_MSG, connection_closed, .connection = connection);
}

void dp_script_show(struct dp_script *d, const struct uapi_session_set *keys)
{
	d->stats = (struct uapi_peer_stats){.peer = keys->peer,
		.epoch = 1,
		.up = 1,
		.protocol = keys->protocol,
		.transport = keys->transport,
		.cipher = keys->cipher,
		.local_index = keys->local_index,
		.tunnel = keys->tunnel,
		.credential = keys->credential,
		.tunnel_started_ms = keys->tunnel_started_ms,
		.handshake_ms = keys->handshake_ms,
		.key_id = keys->key_id,
		.tls = keys->tls,
		.path = keys->path};
	d->has_stats = true;
}
