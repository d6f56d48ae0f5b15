/* Connections of the door. */
#include "io/ctl_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/settings.h"
#include "uapi/door.h"
#include "uapi/uapi.h"

enum {
	CONNECTIONS = 8,
	FRAMES_PER_TURN = 64,
	HELLO_MS = 5000,
	EVENT_MAX = 256,
	LISTENER = CONNECTIONS, /* event number; below it are connections */
};

/* NEW is 0 so that the other values are those of enum uapi_channel. */
enum connection_state { STATE_NEW = 0, STATE_CTL = UAPI_CTL, STATE_PUNT = UAPI_PUNT };

struct connection {
	int fd; /* -1: free */
	enum connection_state state;
	uint64_t since;
};

struct ctl_server {
	struct ctl_server_conf conf;
	int epoll;
	bool deaf; /* no descriptor was left for a connection: listen again at the next tick */
	struct connection connections[CONNECTIONS];
	size_t reply_len; /* a reply that waits for room; 0: none */
	uint8_t reply[UAPI_CTL_MAX];
	uint8_t frame[UAPI_CTL_MAX];
};

static uint64_t now_of(const struct ctl_server *s)
{
	return clock_mono_ms(&s->conf.apply->clock);
}

static int watch(struct ctl_server *s, int op, int fd, uint32_t events, uint32_t number)
{
	struct epoll_event e = {.events = events, .data.u32 = number};

	return epoll_ctl(s->epoll, op, fd, &e) == 0 ? 0 : -errno;
}

static uint32_t number_of(const struct ctl_server *s, const struct connection *c)
{
	return (uint32_t)(c - s->connections);
}

static bool has_part(const struct connection *c, enum connection_state state)
{
	return c->fd >= 0 && c->state == state;
}

static struct connection *find(struct ctl_server *s, enum connection_state state)
{
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		if (has_part(&s->connections[i], state))
			return &s->connections[i];
	}
	return NULL;
}

bool ctl_server_has_control(const struct ctl_server *s)
{
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		if (has_part(&s->connections[i], STATE_CTL))
			return true;
	}
	return false;
}

static void drop(struct ctl_server *s, struct connection *c)
{
	if (c->state == STATE_CTL)
		s->reply_len = 0;
	if (c->state == STATE_PUNT)
		punt_detach(s->conf.punt);
	close(c->fd);
	*c = (struct connection){.fd = -1};
}

static void drop_why(struct ctl_server *s, struct connection *c, const char *why)
{
	static const char *const names[] = {
		[STATE_NEW] = "new", [STATE_CTL] = "ctl", [STATE_PUNT] = "punt"};

	log_warn("ctl", "%s connection: closed, %s", names[c->state], why);
	drop(s, c);
}

/* ---- accepting ---- */

static bool is_allowed(const struct ctl_server *s, int fd)
{
	const struct identity *who = &s->conf.who;
	uid_t uid;
	gid_t gid;
	pid_t pid;

	if (door_peer(fd, &uid, &gid, &pid) != 0)
		return false;
	if (uid == 0 || uid == who->uid || gid == who->gid)
		return true;
	log_warn("ctl", "connection: refused, uid %u gid %u pid %d may not", (unsigned)uid,
		(unsigned)gid, (int)pid);
	return false;
}

/* A free place, if need be that of whoever has been silent for longest. */
static struct connection *place(struct ctl_server *s)
{
	struct connection *oldest = NULL;

	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];

		if (c->fd < 0)
			return c;
		if (c->state == STATE_NEW && (!oldest || c->since < oldest->since))
			oldest = c;
	}
	/* At most two said HELLO, so there is one. */
	drop_why(s, oldest, "others wait and it has not said HELLO");
	return oldest;
}

static void accept_one(struct ctl_server *s)
{
	int fd = accept4(s->conf.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *c;

	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return;
		/* Or the loop would spin on a connection that it can't take. */
		s->deaf = watch(s, EPOLL_CTL_MOD, s->conf.listener, 0, LISTENER) == 0;
		return;
	}
	if (!is_allowed(s, fd)) {
		close(fd);
		return;
	}
	c = place(s);
	*c = (struct connection){.fd = fd, .since = now_of(s)};
	if (watch(s, EPOLL_CTL_ADD, fd, EPOLLIN, number_of(s, c)) != 0)
		drop_why(s, c, "no memory");
}

/* ---- HELLO ---- */

static uint32_t hello_status(const struct uapi_hello *m)
{
	if (m->version_min > m->version_max || m->version_max < UAPI_VERSION_MIN ||
		m->version_min > UAPI_VERSION_MAX)
		return EPROTONOSUPPORT;
	if (m->channel != UAPI_CTL && m->channel != UAPI_PUNT)
		return EINVAL;
	return 0;
}

static int hello_reply(
	struct ctl_server *s, const struct connection *c, const struct uapi_hello *m, uint32_t seq)
{
	const struct ctl_apply *a = s->conf.apply;
	uint8_t frame[UAPI_HEADER + UAPI_SIZE_hello_reply];
	struct writer w = writer_init(frame, sizeof(frame));
	struct uapi_hello_reply reply = {.status = hello_status(m)};
	int r;

	reply.version = m->version_max < UAPI_VERSION_MAX ? m->version_max : UAPI_VERSION_MAX;
	reply.boot_id = a->facts->boot_id;
	reply.max_peers = a->facts->max_peers;
	reply.max_indices = a->facts->max_indices;
	reply.max_peer_ids = a->facts->max_peer_ids;
	reply.session_seq = fwd_session_seq(a->fwd);
	reply.formats = UAPI_DATA_ALL;
	strncpy(reply.software, ireko_version(), sizeof(reply.software) - 1);
	uapi_begin(&w, UAPI_HELLO_REPLY_MSG, seq);
	uapi_pack_hello_reply(&w, &reply);
	r = writer_end(&w);
	return r == 0 ? door_send(c->fd, frame, writer_len(&w)) : r;
}

/* The connection takes its part, from whoever had it. Returns: 0, -errno. */
static int promote(struct ctl_server *s, struct connection *c, enum connection_state state)
{
	struct connection *former = find(s, state);

	if (former)
		drop_why(s, former, "a newer one replaces it");
	c->state = state;
	return state == STATE_PUNT ? punt_attach(s->conf.punt, c->fd) : 0;
}

static int on_hello(struct ctl_server *s, struct connection *c, size_t len)
{
	struct reader r = reader_init(s->frame, len);
	struct uapi_header h;
	struct uapi_hello m;
	uint32_t status;
	int error = uapi_open(&r, &h, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_NEW);

	if (error != 0)
		return error;
	uapi_unpack_hello(&r, &m);
	error = reader_end(&r);
	if (error != 0)
		return error;
	/* Before the reply: who has it may rely on datagrams being punted. */
	status = hello_status(&m);
	if (status == 0)
		error = promote(s, c, (enum connection_state)m.channel);
	if (error == 0)
		error = hello_reply(s, c, &m, h.seq);
	if (error != 0 || status != 0)
		return error != 0 ? error : -(int)status;
	if (c->state == STATE_CTL)
		log_info("ctl", "control plane: connected");
	return 0;
}

/* ---- who only asks ---- */

static bool asks_health(const struct ctl_server *s, size_t len)
{
	struct reader r = reader_init(s->frame, len);

	return reader_u16(&r) == UAPI_HEALTH_GET_MSG;
}

/* The connection stays nobody's: whoever has the control plane's part keeps it. */
static int on_health(struct ctl_server *s, const struct connection *c, size_t len)
{
	const struct ctl_facts *f = s->conf.apply->facts;
	uint8_t frame[UAPI_HEADER + UAPI_SIZE_health_reply];
	struct reader r = reader_init(s->frame, len);
	struct writer w = writer_init(frame, sizeof(frame));
	struct uapi_health_reply reply = {.control = ctl_server_has_control(s)};
	struct uapi_header h;
	int error = uapi_open(&r, &h, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_NEW);

	if (error == 0)
		error = reader_end(&r);
	if (error != 0)
		return error;
	reply.workers = f->workers;
	reply.uptime_ms = now_of(s) - f->started_ms;
	memcpy(reply.tun, f->tun, sizeof(f->tun));
	strncpy(reply.software, ireko_version(), sizeof(reply.software) - 1);
	uapi_begin(&w, UAPI_HEALTH_REPLY_MSG, h.seq);
	uapi_pack_health_reply(&w, &reply);
	error = writer_end(&w);
	return error == 0 ? door_send(c->fd, frame, writer_len(&w)) : error;
}

/* ---- frames ---- */

/* Sends the waiting reply. Returns: 0 (also when it still has to wait), -errno. */
static int flush(struct ctl_server *s, struct connection *c)
{
	int r = door_send(c->fd, s->reply, s->reply_len);

	if (r == -EAGAIN)
		return watch(s, EPOLL_CTL_MOD, c->fd, EPOLLOUT, number_of(s, c));
	s->reply_len = 0;
	return r == 0 ? watch(s, EPOLL_CTL_MOD, c->fd, EPOLLIN, number_of(s, c)) : r;
}

static int on_request(struct ctl_server *s, struct connection *c, size_t len)
{
	int n = ctl_apply(s->conf.apply, s->frame, len, s->reply, sizeof(s->reply));
	int r;

	if (n < 0)
		return n;
	r = door_send(c->fd, s->reply, (size_t)n);
	if (r != -EAGAIN)
		return r;
	s->reply_len = (size_t)n;
	return flush(s, c);
}

static int on_frame(struct ctl_server *s, struct connection *c, size_t len)
{
	switch (c->state) {
	case STATE_NEW:
		return asks_health(s, len) ? on_health(s, c, len) : on_hello(s, c, len);
	case STATE_CTL:
		return on_request(s, c, len);
	case STATE_PUNT:
		return punt_receive(s->frame, len, &s->conf.sink);
	}
	return -EPROTO;
}

/* A reply waits for room: nothing more is read before it is gone. */
static bool is_stalled(const struct ctl_server *s, const struct connection *c)
{
	return c->state == STATE_CTL && s->reply_len > 0;
}

static void on_readable(struct ctl_server *s, struct connection *c)
{
	int r = 0;

	for (int i = 0; i < FRAMES_PER_TURN && r == 0 && !is_stalled(s, c); i++) {
		ssize_t n = door_recv(c->fd, s->frame, sizeof(s->frame));

		if (n == -EAGAIN)
			return;
		if (n == 0) {
			if (c->state == STATE_CTL)
				log_info("ctl", "control plane: gone, packets go on");
			drop(s, c);
			return;
		}
		r = n < 0 ? (int)n : on_frame(s, c, (size_t)n);
		/* It may have carried keys, also one that was too long. */
		secret_wipe(s->frame, n < 0 ? sizeof(s->frame) : (size_t)n);
	}
	if (r != 0)
		drop_why(s, c, strerror(-r));
}

static void on_event(struct ctl_server *s, const struct epoll_event *e)
{
	struct connection *c;

	if (e->data.u32 == LISTENER) {
		accept_one(s);
		return;
	}
	c = &s->connections[e->data.u32];
	if (c->fd < 0)
		return; /* closed earlier in this turn */
	if (is_stalled(s, c)) {
		int r = e->events & (EPOLLHUP | EPOLLERR) ? -EPIPE : flush(s, c);

		if (r != 0)
			drop_why(s, c, strerror(-r));
		return;
	}
	on_readable(s, c);
}

void ctl_server_turn(struct ctl_server *s)
{
	struct epoll_event events[CONNECTIONS + 1];
	int n = epoll_wait(s->epoll, events, CONNECTIONS + 1, 0);

	for (int i = 0; i < n; i++)
		on_event(s, &events[i]);
}

void ctl_server_tick(struct ctl_server *s)
{
	uint64_t now = now_of(s);

	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];

		if (c->fd >= 0 && c->state == STATE_NEW && now - c->since >= HELLO_MS)
			drop_why(s, c, "no HELLO");
	}
	if (s->deaf)
		s->deaf = watch(s, EPOLL_CTL_MOD, s->conf.listener, EPOLLIN, LISTENER) != 0;
}

static bool event_send(struct ctl_server *s, const uint8_t *frame, size_t len)
{
	struct connection *c = find(s, STATE_CTL);

	return c && s->reply_len == 0 && len > 0 && door_send(c->fd, frame, len) == 0;
}

bool ctl_server_event(struct ctl_server *s, const struct fwd_event *e)
{
	uint8_t frame[EVENT_MAX];
	size_t len = ctl_event(e, frame, sizeof(frame));

	return event_send(s, frame, len);
}

bool ctl_server_closed(struct ctl_server *s, uint32_t connection)
{
	uint8_t frame[EVENT_MAX];
	size_t len = ctl_event_closed(connection, frame, sizeof(frame));

	return event_send(s, frame, len);
}

int ctl_server_new(struct ctl_server **out, const struct ctl_server_conf *conf)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	for (uint32_t i = 0; i < CONNECTIONS; i++)
		s->connections[i].fd = -1;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = s->epoll < 0 ? -errno : watch(s, EPOLL_CTL_ADD, conf->listener, EPOLLIN, LISTENER);
	if (r != 0)
		ctl_server_free(s);
	else
		*out = s;
	return r;
}

void ctl_server_free(struct ctl_server *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		if (s->connections[i].fd >= 0)
			drop(s, &s->connections[i]);
	}
	if (s->epoll >= 0)
		close(s->epoll);
	secret_wipe(s, sizeof(*s));
	free(s);
}

int ctl_server_fd(const struct ctl_server *s)
{
	return s->epoll;
}
