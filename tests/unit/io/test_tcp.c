/* Connections over the loopback, one worker, which is this thread; time is a number. */
#include "io/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "io/tcp_own.h"
#include "uapi/uapi.h"
#include "wire/ovpn_wire.h"

enum {
	CAP = FWD_HEADROOM + 4096 + FWD_TAILROOM,
	CONTROL = 1, /* number of the control thread at the engine */
	CAUGHT = 1024,
	PEER_ID = 5,
	INNER = 1400,
};

struct frame {
	uint32_t connection;
	size_t len;
	uint8_t bytes[OVPN_FRAME_MAX];
};

struct lab {
	struct fwd *fwd;
	struct tcp *t;
	int listeners[TCP_LISTENERS];
	struct endpoint at;
	int epoll;
	uint64_t now, seq;
	uint8_t buffers[TCP_RUN][CAP];
	struct fwd_packet p[TCP_RUN];
	/* What came. */
	struct frame frames[CAUGHT];
	size_t n_frames;
	struct path path;
	uint32_t full, reads; /* readings that were as long as one can be, and all */
	/* What was told. */
	uint32_t gone_peer, gone;
	uint32_t told;
	int n_gone, n_told;
};

static void packets_reset(struct lab *l)
{
	for (int i = 0; i < TCP_RUN; i++)
		l->p[i] = (struct fwd_packet){.data = l->buffers[i] + FWD_HEADROOM};
}

static struct endpoint free_port(const char *host)
{
	struct endpoint at = {0};
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int fd;

	assert_int_equal(ip_addr_parse(&at.addr, host), 0);
	assert_int_equal(tcp_open(&at, &fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(endpoint_from_sockaddr(&at, (struct sockaddr *)&name), 0);
	assert_int_equal(ip_addr_parse(&at.addr, host), 0);
	close(fd);
	return at;
}

static int setup(void **state)
{
	const struct fwd_limits limits = {.max_peers = 16,
		.max_indices = 64,
		.max_peer_ids = 64,
		.workers = 1,
		.stage_slots = 64,
		.mtu_max = 1500};
	struct lab *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	assert_int_equal(fwd_new(&l->fwd, &limits), 0);
	for (int i = 0; i < TCP_LISTENERS; i++)
		l->listeners[i] = -1;
	l->at = free_port("::");
	assert_int_equal(tcp_open(&l->at, &l->listeners[2], 1), 0);
	const struct tcp_conf conf = {l->fwd, 1, l->listeners};
	assert_int_equal(tcp_new(&l->t, &conf), 0);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(tcp_attach(l->t, 0, l->epoll), 0);
	l->now = 1000000;
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	tcp_free(l->t);
	fwd_free(l->fwd);
	close(l->listeners[2]);
	close(l->epoll);
	free(l);
	return 0;
}

/* ---- the worker ---- */

static void catch_frames(struct lab *l)
{
	for (;;) {
		uint32_t n = tcp_frames(l->t, 0, l->p, TCP_RUN);

		if (n == 0)
			return;
		for (uint32_t i = 0; i < n; i++) {
			struct frame *f = &l->frames[l->n_frames++ % CAUGHT];

			f->connection = l->p[i].path.connection;
			f->len = l->p[i].len;
			memcpy(f->bytes, l->p[i].data, f->len);
			l->path = l->p[i].path;
		}
	}
}

/* Returns: how many events there were. */
static int turn(struct lab *l, int ms)
{
	struct epoll_event events[64];
	int n = epoll_wait(l->epoll, events, 64, ms);

	for (int i = 0; i < n; i++) {
		uint64_t e = events[i].data.u64;

		if (!tcp_is_connection(e))
			tcp_accept(l->t, 0, (uint32_t)e, l->now);
		else if (tcp_ready(l->t, 0, e, events[i].events)) {
			l->reads++;
			l->full += tcp_read_full(l->t, 0);
			catch_frames(l);
		}
	}
	tcp_tick(l->t, 0, l->now);
	return n;
}

static void settle(struct lab *l)
{
	while (turn(l, 20) > 0)
		;
}

/* What was sent must come; loops until it has. */
static void until_frames(struct lab *l, size_t n)
{
	for (int i = 0; i < 1000 && l->n_frames < n; i++)
		turn(l, 10);
	assert_int_equal(l->n_frames, n);
}

static void later(struct lab *l, uint64_t ms)
{
	l->now += ms;
	turn(l, 0);
}

static uint32_t count_connections(const struct lab *l)
{
	uint32_t n = 0;

	for (struct tcp_connection *c = l->t->workers[0].connections; c; c = c->next)
		n++;
	return n;
}

/* ---- clients ---- */

static int client_from(struct lab *l, const char *from, const char *to)
{
	struct endpoint e = {.port = 0}, server = l->at;
	struct sockaddr_storage name;
	socklen_t len;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	if (from) {
		assert_int_equal(ip_addr_parse(&e.addr, from), 0);
		len = endpoint_to_sockaddr6(&e, &name);
		assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
	}
	assert_int_equal(ip_addr_parse(&server.addr, to), 0);
	len = endpoint_to_sockaddr6(&server, &name);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	return fd;
}

static int client(struct lab *l)
{
	int fd = client_from(l, NULL, "127.0.0.1");

	settle(l);
	return fd;
}

static void say(struct lab *l, int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
	settle(l);
}

/* Appends a frame with recognisable bytes. Returns: its size. */
static size_t frame_put(uint8_t *out, size_t len, uint8_t mark)
{
	wire_put_be16(out, (uint16_t)len);
	for (size_t i = 0; i < len; i++)
		out[OVPN_FRAME_HEAD + i] = (uint8_t)(mark + i);
	return OVPN_FRAME_HEAD + len;
}

static void assert_frame(const struct frame *f, size_t len, uint8_t mark)
{
	assert_int_equal(f->len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(f->bytes[i], (uint8_t)(mark + i));
}

/* The number of the connection that a client has: its next frame is taken. */
static uint32_t number_of(struct lab *l, int fd)
{
	uint8_t m[32];

	say(l, fd, m, frame_put(m, 20, 1));
	return l->path.connection;
}

static ssize_t read_within(int fd, void *buf, size_t cap, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1 ? recv(fd, buf, cap, 0) : -EAGAIN;
}

static bool is_closed(int fd)
{
	uint8_t byte;

	return read_within(fd, &byte, 1, 0) != -EAGAIN;
}

static void assert_closed(struct lab *l, int fd)
{
	settle(l);
	assert_true(is_closed(fd));
	close(fd);
}

static uint64_t verdict(const struct lab *l, enum fwd_verdict v)
{
	struct fwd_totals t;

	fwd_totals(l->fwd, &t);
	return t.verdicts[v];
}

/* ---- listening, accepting ---- */

static void takes_both_families(void **state)
{
	static const char *const hosts[] = {"127.0.0.3", "::1"};
	struct lab *l = *state;

	for (int i = 0; i < 2; i++) {
		struct sockaddr_storage name;
		socklen_t len = sizeof(name);
		struct endpoint mine;
		struct ip_addr local;
		int fd = client_from(l, NULL, hosts[i]), value = 0;
		uint32_t number = number_of(l, fd);

		assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
		assert_int_equal(endpoint_from_sockaddr(&mine, (struct sockaddr *)&name), 0);
		assert_int_equal(ip_addr_parse(&local, hosts[i]), 0);
		assert_true(endpoint_equal(&l->path.remote, &mine));
		assert_true(ip_addr_equal(&l->path.local, &local));
		assert_int_equal(l->path.listener, 2);
		assert_int_not_equal(number, 0);
		/* Inherited from the listener, so that no call is needed for it. */
		len = sizeof(value);
		int own = l->t->workers[0].connections->fd;
		assert_int_equal(getsockopt(own, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
		assert_int_equal(value, 1);
		assert_true(fcntl(own, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(own, F_GETFD) & FD_CLOEXEC);
		close(fd);
	}
	settle(l);
	assert_int_equal(count_connections(l), 0);
}

static void a_taken_port_is_refused(void **state)
{
	struct endpoint at = free_port("127.0.0.1");
	int first[3], second[3];

	(void)state;
	assert_int_equal(tcp_open(&at, first, 3), 0);
	/* Though they are the same user's, and share the port among themselves. */
	assert_int_equal(tcp_open(&at, second, 3), -EADDRINUSE);
	assert_int_equal(tcp_open(&at, second, 1), -EADDRINUSE);
	for (int i = 0; i < 3; i++)
		close(first[i]);
	assert_int_equal(tcp_open(&at, second, 1), 0);
	close(second[0]);
}

/* ---- frames ---- */

static void frames_split_anywhere(void **state)
{
	struct lab *l = *state;
	uint8_t m[200];
	size_t n = 0;
	int fd = client(l);

	n += frame_put(m + n, 14, 3);
	n += frame_put(m + n, 1, 50);
	n += frame_put(m + n, 80, 90);
	for (size_t at = 0; at <= n; at++) {
		l->n_frames = 0;
		if (at > 0) {
			assert_int_equal(send(fd, m, at, 0), at);
			assert_int_equal(turn(l, 1000), 1);
		}
		if (at < n)
			assert_int_equal(send(fd, m + at, n - at, 0), n - at);
		until_frames(l, 3);
		assert_frame(&l->frames[0], 14, 3);
		assert_frame(&l->frames[1], 1, 50);
		assert_frame(&l->frames[2], 80, 90);
	}
	l->n_frames = 0;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(send(fd, m + i, 1, 0), 1);
		assert_int_equal(turn(l, 1000), 1);
	}
	until_frames(l, 3);
	assert_frame(&l->frames[2], 80, 90);
	close(fd);
}

static void many_in_one_read(void **state)
{
	struct lab *l = *state;
	uint8_t m[500 * 20];
	size_t n = 0;
	int fd = client(l);

	for (int i = 0; i < 500; i++)
		n += frame_put(m + n, 16, (uint8_t)i);
	say(l, fd, m, n - 3);
	assert_int_equal(l->n_frames, 499);
	say(l, fd, m + n - 3, 3);
	assert_int_equal(l->n_frames, 500);
	for (int i = 0; i < 500; i++)
		assert_frame(&l->frames[i], 16, (uint8_t)i);
	close(fd);
}

/* Random frames in random pieces, far more than one read takes. */
static void a_long_stream(void **state)
{
	struct lab *l = *state;
	uint8_t *m = malloc(1 << 20);
	size_t len[900], n = 0, at = 0, frames = 0;
	const int room = 200 << 10; /* older kernels begin with a window of less than one reading */
	assert_int_equal(
		setsockopt(l->listeners[2], SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
	int fd = client(l), flags = fcntl(fd, F_GETFL);

	assert_non_null(m);
	srandom(3);
	for (; frames < 900; frames++) {
		len[frames] = 1 + (size_t)random() % (frames % 3 ? 100 : OVPN_FRAME_MAX);
		n += frame_put(m + n, len[frames], (uint8_t)(7 * frames));
	}
	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (at < n) {
		size_t piece = 1 + (size_t)random() % 100000;
		ssize_t sent = send(fd, m + at, piece < n - at ? piece : n - at, 0);

		at += sent > 0 ? (size_t)sent : 0;
		turn(l, 0);
	}
	settle(l);
	assert_int_equal(l->n_frames, frames);
	assert_in_range(l->full, 1, l->reads - 1);
	for (size_t i = 0; i < frames; i++)
		assert_frame(&l->frames[i], len[i], (uint8_t)(7 * i));
	free(m);
	close(fd);
}

static void lengths(void **state)
{
	static const size_t good[] = {1, 2047, 2048}, bad[] = {0, 2049, 2050, 32768, 65535};
	struct lab *l = *state;
	uint8_t m[3000];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		int fd = client(l);

		l->n_frames = 0;
		say(l, fd, m, frame_put(m, good[i], 9));
		assert_int_equal(l->n_frames, 1);
		assert_frame(&l->frames[0], good[i], 9);
		assert_false(is_closed(fd));
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = client(l);
		uint64_t before = verdict(l, FWD_MALFORMED);
		size_t n = frame_put(m, 30, 4);

		/* What came before it counts. */
		wire_put_be16(m + n, (uint16_t)bad[i]);
		l->n_frames = 0;
		say(l, fd, m, n + OVPN_FRAME_HEAD);
		assert_int_equal(l->n_frames, 1);
		assert_closed(l, fd);
		assert_int_equal(verdict(l, FWD_MALFORMED), before + 1);
	}
	settle(l);
	assert_int_equal(count_connections(l), 0);
}

static void what_is_no_openvpn_ends_it(void **state)
{
	struct lab *l = *state;
	int fd = client(l), other = client(l);
	uint32_t number = number_of(l, fd);

	tcp_refuse(l->t, 0, number);
	assert_closed(l, fd);
	tcp_refuse(l->t, 0, number);
	assert_false(is_closed(other));
	close(other);
}

/* Ended while more of what was read is still to be taken. */
static void refused_in_the_middle(void **state)
{
	struct lab *l = *state;
	struct epoll_event e;
	uint8_t m[100];
	size_t n = frame_put(m, 14, 1);
	int fd = client(l);

	n += frame_put(m + n, 14, 2);
	assert_int_equal(send(fd, m, n, 0), n);
	assert_int_equal(epoll_wait(l->epoll, &e, 1, 1000), 1);
	assert_true(tcp_ready(l->t, 0, e.data.u64, e.events));
	assert_false(tcp_read_full(l->t, 0));
	assert_int_equal(tcp_frames(l->t, 0, l->p, 1), 1);
	tcp_refuse(l->t, 0, l->p[0].path.connection);
	assert_int_equal(tcp_frames(l->t, 0, l->p, 1), 0);
	/* An event that was fetched before finds nothing. */
	assert_false(tcp_ready(l->t, 0, e.data.u64, e.events));
	assert_closed(l, fd);
}

/* ---- deadlines, limits ---- */

static void silent_ones_go(void **state)
{
	struct lab *l = *state;
	uint8_t m[64];
	int silent = client(l), partial = client(l), guest = client(l), known = client(l);
	uint32_t number = number_of(l, known);

	tcp_valid(l->t, 0, number, 3, l->now);
	say(l, guest, m, frame_put(m, 20, 0));
	say(l, partial, m, frame_put(m, 20, 0) - 1);
	later(l, TCP_FIRST_MS - 1);
	settle(l);
	assert_false(is_closed(silent));
	later(l, TCP_TICK_MS);
	assert_closed(l, silent);
	/* A byte now and then is no packet. */
	assert_closed(l, partial);
	assert_false(is_closed(guest));
	later(l, TCP_GUEST_MS - TCP_FIRST_MS - 2 * TCP_TICK_MS);
	assert_false(is_closed(guest));
	later(l, 2 * TCP_TICK_MS);
	assert_closed(l, guest);

	/* Of a known one only valid packets count. */
	assert_false(is_closed(known));
	tcp_valid(l->t, 0, number, 3, l->now);
	later(l, TCP_SILENT_MS - 1);
	say(l, known, m, frame_put(m, 20, 0));
	assert_false(is_closed(known));
	later(l, TCP_TICK_MS);
	assert_closed(l, known);
	assert_false(tcp_has_deadlines(l->t, 0));
}

static void a_prefix_has_so_many_guests(void **state)
{
	struct lab *l = *state;
	int fds[TCP_GUESTS_PER_PREFIX], one_more, other;

	for (int i = 0; i < TCP_GUESTS_PER_PREFIX; i++)
		fds[i] = client_from(l, "127.0.0.1", "127.0.0.1");
	settle(l);
	assert_int_equal(count_connections(l), TCP_GUESTS_PER_PREFIX);
	one_more = client_from(l, "127.0.0.1", "127.0.0.1");
	assert_closed(l, one_more);
	other = client_from(l, "127.0.0.2", "127.0.0.1");
	settle(l);
	assert_false(is_closed(other));
	/* One that has shown its keys makes room. */
	tcp_valid(l->t, 0, number_of(l, fds[0]), 1, l->now);
	one_more = client_from(l, "127.0.0.1", "127.0.0.1");
	settle(l);
	assert_false(is_closed(one_more));
	close(one_more);
	close(other);
	for (int i = 0; i < TCP_GUESTS_PER_PREFIX; i++)
		close(fds[i]);
}

static void a_crowd_does_not_keep_others_out(void **state)
{
	struct lab *l = *state;
	struct rlimit was, more;
	int *fds = calloc(TCP_GUESTS, sizeof(*fds)), newcomer, gone = 0;

	assert_non_null(fds);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	more = was;
	more.rlim_cur = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
	for (int i = 0; i < TCP_GUESTS; i++) {
		char from[32];

		snprintf(from, sizeof(from), "127.0.1.%d", i / TCP_GUESTS_PER_PREFIX);
		fds[i] = client_from(l, from, "127.0.0.1");
		turn(l, 0);
	}
	settle(l);
	assert_int_equal(count_connections(l), TCP_GUESTS);
	newcomer = client_from(l, "127.0.2.1", "127.0.0.1");
	settle(l);
	assert_false(is_closed(newcomer));
	assert_int_equal(count_connections(l), TCP_GUESTS);
	for (int i = 0; i < TCP_GUESTS; i++) {
		gone += is_closed(fds[i]);
		close(fds[i]);
	}
	assert_int_equal(gone, 1);
	close(newcomer);
	settle(l);
	free(fds);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void survives_without_descriptors(void **state)
{
	struct lab *l = *state;
	int before = client(l), waiting = client_from(l, NULL, "127.0.0.1"), spare = dup(0);
	struct rlimit was, none;
	uint8_t m[64];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)spare;
	close(spare);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(turn(l, 1000), 1);
	/* It does not spin, and looks again by itself. */
	assert_int_equal(turn(l, 50), 0);
	assert_true(tcp_has_deadlines(l->t, 0));
	/* The others are served all the time. */
	say(l, before, m, frame_put(m, 20, 0));
	assert_int_equal(l->n_frames, 1);
	later(l, TCP_TICK_MS);
	assert_int_equal(turn(l, 50), 1); /* still none */
	assert_int_equal(turn(l, 50), 0);
	assert_int_equal(count_connections(l), 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	later(l, TCP_TICK_MS);
	settle(l);
	assert_int_equal(count_connections(l), 2);
	say(l, waiting, m, frame_put(m, 20, 0));
	assert_int_equal(l->n_frames, 2);
	close(before);
	close(waiting);
}

/* ---- sending ---- */

static void session_add(struct lab *l, uint32_t number)
{
	const struct ip_addr addr4 = {IP_V4, {10, 0, 0, 2}}, none = {0};
	struct fwd_session s = {.peer = 1,
		.seq = ++l->seq,
		.protocol = UAPI_OPENVPN,
		.cipher = AEAD_AES_256_GCM,
		.transport = UAPI_TCP,
		.local_index = PEER_ID,
		.remote_index = PEER_ID,
		.tunnel = {{1}},
		.credential = {{2}},
		.life_s = 3600,
		.path = l->path};

	s.path.connection = number;
	memset(s.seal, 0x11, sizeof(s.seal));
	memset(s.open, 0x22, sizeof(s.open));
	assert_int_equal(fwd_peer_set(l->fwd, 1, &addr4, &none), 0);
	assert_int_equal(fwd_session_set(l->fwd, &s, l->now), 0);
	assert_int_equal(fwd_session_use(l->fwd, 1, s.seq), 0);
}

/* A batch of inner packets to the peer, as a worker does it. */
static void send_inner(struct lab *l, uint32_t n)
{
	struct fwd_packet *run[TCP_RUN];

	packets_reset(l);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *p = l->p[i].data;

		memset(p, 0, INNER);
		p[0] = 0x45;
		wire_put_be16(p + 2, INNER);
		p[8] = 64;
		p[9] = 17;
		memcpy(p + 12, (uint8_t[]){192, 0, 2, 1, 10, 0, 0, 2}, 8);
		l->p[i].len = INNER;
		run[i] = &l->p[i];
	}
	fwd_enter(l->fwd, 0);
	fwd_tx(l->fwd, 0, l->p, n, l->now);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(l->p[i].verdict, FWD_STREAM);
	tcp_send_run(l->t, 0, run, n, l->now);
	fwd_leave(l->fwd, 0);
}

/* Reads whole frames. */
struct reading {
	uint8_t bytes[1 << 16];
	size_t n;
	uint32_t last_id; /* of data packets */
	uint64_t data, others;
};

static void frames_read(struct reading *r)
{
	size_t at = 0, len;

	while (r->n - at >= 2) {
		const uint8_t *f = r->bytes + at + 2;

		len = (size_t)r->bytes[at] << 8 | r->bytes[at + 1];
		if (r->n - at - 2 < len)
			break;
		if (ovpn_opcode(f[0]) == OVPN_DATA_V2) {
			assert_int_equal(len, INNER + OVPN_DATA_V2_OVERHEAD);
			assert_int_equal(wire_be24(f + 1), PEER_ID);
			/* Without a gap: what was dropped was dropped before. */
			assert_int_equal(wire_be32(f + 4), r->last_id + 1);
			r->last_id++;
			r->data++;
		} else {
			assert_int_equal(ovpn_opcode(f[0]), OVPN_ACK);
			for (size_t i = 1; i < len; i++)
				assert_int_equal(f[i], 0xaa);
			r->others++;
		}
		at += 2 + len;
	}
	memmove(r->bytes, r->bytes + at, r->n - at);
	r->n -= at;
}

/* Reads until so many frames came in all, or the end of the stream, while the worker goes on.
 * Returns: false at the end of the stream. */
static bool drain(struct lab *l, int fd, struct reading *r, uint64_t want)
{
	for (int idle = 0; r->data + r->others < want && idle < 1000;) {
		turn(l, 0);
		ssize_t n = read_within(fd, r->bytes + r->n, sizeof(r->bytes) - r->n, 5);

		if (n == 0)
			return false;
		idle = n < 0 ? idle + 1 : 0;
		r->n += n < 0 ? 0 : (size_t)n;
		frames_read(r);
	}
	return true;
}

static void packets_go_out_in_order(void **state)
{
	struct lab *l = *state;
	struct reading r = {0};
	uint8_t ack[60] = {ovpn_first(OVPN_ACK, 0)};
	int fd = client(l);
	uint32_t number = number_of(l, fd);

	memset(ack + 1, 0xaa, sizeof(ack) - 1);
	session_add(l, number);
	tcp_valid(l->t, 0, number, 1, l->now);
	for (int i = 0; i < 20; i++) {
		send_inner(l, 1 + (uint32_t)i * 3);
		assert_int_equal(tcp_send(l->t, number, ack, sizeof(ack)), 0);
		assert_true(drain(l, fd, &r, verdict(l, FWD_SEND) + (uint64_t)i + 1));
	}
	assert_int_equal(r.data, 20 + 3 * 190);
	assert_int_equal(r.others, 20);
	assert_int_equal(r.n, 0);
	assert_int_equal(verdict(l, FWD_SEND), r.data);
	close(fd);
}

static const struct tcp_connection *connection_of(const struct lab *l, uint32_t number)
{
	for (const struct tcp_connection *c = l->t->workers[0].connections; c; c = c->next) {
		if (c->number == number)
			return c;
	}
	return NULL;
}

static void who_does_not_read_fills_only_its_own(void **state)
{
	struct lab *l = *state;
	struct reading r = {0}, other = {0};
	uint8_t ack[60] = {ovpn_first(OVPN_ACK, 0)};
	int fd = client(l), reader;
	uint32_t number = number_of(l, fd), number_reader;
	uint64_t sent;

	memset(ack + 1, 0xaa, sizeof(ack) - 1);
	reader = client(l);
	number_reader = number_of(l, reader);
	session_add(l, number);
	tcp_valid(l->t, 0, number, 1, l->now);
	for (int i = 0; i < 1000 && verdict(l, FWD_STREAM_FULL) == 0; i++)
		send_inner(l, TCP_RUN);
	assert_true(verdict(l, FWD_STREAM_FULL) > 0);
	assert_in_range(connection_of(l, number)->queue.len, TCP_QUEUE - 2000, TCP_QUEUE);
	assert_int_equal(tcp_send(l->t, number, ack, sizeof(ack)), 0); /* a small one still fits */
	/* Nothing of it goes round: the worker sleeps. */
	assert_int_equal(turn(l, 20), 0);
	assert_int_equal(tcp_send(l->t, number_reader, ack, sizeof(ack)), 0);
	assert_true(drain(l, reader, &other, 1));
	assert_int_equal(other.others, 1);

	/* Later, it reads everything; what found no room left no gap. */
	sent = verdict(l, FWD_SEND);
	assert_true(drain(l, fd, &r, sent + 1));
	assert_int_equal(r.data, sent);
	assert_int_equal(r.others, 1);
	assert_null(connection_of(l, number)->queue.bytes);
	assert_false(connection_of(l, number)->waits);
	send_inner(l, 3);
	assert_true(drain(l, fd, &r, sent + 1 + 3));
	assert_int_equal(r.data, sent + 3);
	close(fd);
	close(reader);
}

static void a_guest_has_a_small_queue(void **state)
{
	struct lab *l = *state;
	uint8_t ack[1000] = {ovpn_first(OVPN_ACK, 0)};
	int fd = client(l), r = 0, sent = 0;
	uint32_t number = number_of(l, fd);
	struct reading got = {0};

	memset(ack + 1, 0xaa, sizeof(ack) - 1);
	while (r == 0 && sent < 100000) {
		r = tcp_send(l->t, number, ack, sizeof(ack));
		sent += r == 0;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_in_range(connection_of(l, number)->queue.len, 1, TCP_GUEST_QUEUE);
	/* With what else it has: 16 kB at most. */
	assert_in_range(sizeof(struct tcp_connection) + TCP_PART + TCP_GUEST_QUEUE, 0, 16384);
	assert_true(drain(l, fd, &got, (uint64_t)sent));
	assert_int_equal(got.others, sent);
	close(fd);
}

static void nobody_there(void **state)
{
	struct lab *l = *state;
	uint8_t m[OVPN_FRAME_MAX + 1] = {0};
	int fd = client(l);
	uint32_t number = number_of(l, fd);

	assert_int_equal(tcp_send(l->t, 0, m, 20), -ENOTCONN);
	assert_int_equal(tcp_send(l->t, number + TCP_CONNECTIONS, m, 20), -ENOTCONN);
	assert_int_equal(tcp_send(l->t, number, m, 0), -ENOBUFS);
	assert_int_equal(tcp_send(l->t, number, m, OVPN_FRAME_MAX + 1), -ENOBUFS);
	session_add(l, number);
	send_inner(l, 2);
	close(fd);
	settle(l);
	send_inner(l, 5);
	assert_int_equal(verdict(l, FWD_STREAM_FULL), 5);
	assert_int_equal(tcp_send(l->t, number, m, 20), -ENOTCONN);
	tcp_close(l->t, number, l->now);
	tcp_valid(l->t, 0, number, 1, l->now);
	tcp_punted(l->t, 0, number);
}

/* ---- the end ---- */

static void on_gone(void *arg, uint32_t peer, uint32_t connection)
{
	struct lab *l = arg;

	l->n_gone++;
	l->gone_peer = peer;
	l->gone = connection;
}

static bool on_tell(void *arg, uint32_t connection)
{
	struct lab *l = arg;

	l->n_told++;
	l->told = connection;
	return true;
}

static void tell(struct lab *l)
{
	const struct tcp_news news = {on_gone, on_tell, l};

	tcp_tell(l->t, &news);
}

static void the_end_is_told(void **state)
{
	struct lab *l = *state;
	const struct linger reset = {1, 0};
	uint8_t m[64];
	int unheard = client(l), punted = client(l), known = client(l);
	uint32_t number, number_punted = number_of(l, punted);

	tcp_punted(l->t, 0, number_punted);
	number = number_of(l, known);
	tcp_valid(l->t, 0, number, 7, l->now);
	tcp_valid(l->t, 0, number, 8, l->now);
	close(unheard);
	settle(l);
	tell(l);
	assert_int_equal(l->n_told + l->n_gone, 0);
	/* In the middle of a frame. */
	say(l, punted, m, frame_put(m, 40, 1) - 5);
	close(punted);
	settle(l);
	tell(l);
	assert_int_equal(l->n_told, 1);
	assert_int_equal(l->told, number_punted);
	assert_int_equal(l->n_gone, 0);
	/* With a reset. */
	say(l, known, m, 1);
	assert_int_equal(setsockopt(known, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(known);
	settle(l);
	tell(l);
	assert_int_equal(l->n_gone, 1);
	assert_int_equal(l->gone, number);
	assert_int_equal(l->gone_peer, 8);
	assert_int_equal(l->told, number);
	assert_int_equal(count_connections(l), 0);
}

static void closes_after_what_is_queued(void **state)
{
	struct lab *l = *state;
	struct reading r = {0};
	uint8_t ack[60] = {ovpn_first(OVPN_ACK, 0)}, m[64];
	int fd = client(l);
	uint32_t number = number_of(l, fd);
	uint64_t sent;

	session_add(l, number);
	tcp_valid(l->t, 0, number, 1, l->now);
	for (int i = 0; i < 1000 && verdict(l, FWD_STREAM_FULL) == 0; i++)
		send_inner(l, TCP_RUN);
	sent = verdict(l, FWD_SEND);
	tcp_close(l->t, number, l->now);
	tcp_close(l->t, number, l->now + 100000); /* once is enough */
	assert_int_equal(tcp_send(l->t, number, ack, sizeof(ack)), -ENOBUFS);
	/* What it still says is not heard. */
	l->n_frames = 0;
	say(l, fd, m, frame_put(m, 20, 0));
	assert_int_equal(l->n_frames, 0);
	assert_false(drain(l, fd, &r, UINT64_MAX));
	assert_int_equal(r.data, sent);
	assert_int_equal(r.n, 0);
	close(fd);
	settle(l);
	assert_int_equal(count_connections(l), 0);
}

static void closes_in_time_though_nobody_reads(void **state)
{
	struct lab *l = *state;
	uint8_t m[64];
	int fd = client(l), idle = client(l);
	uint32_t number = number_of(l, fd), number_idle = number_of(l, idle);

	session_add(l, number);
	tcp_valid(l->t, 0, number, 1, l->now);
	for (int i = 0; i < 1000 && verdict(l, FWD_STREAM_FULL) == 0; i++)
		send_inner(l, TCP_RUN);
	tcp_close(l->t, number, l->now);
	tcp_close(l->t, number_idle, l->now);
	settle(l);
	/* The idle one sees the end at once, and may take leave. */
	assert_int_equal(read_within(idle, m, sizeof(m), 1000), 0);
	later(l, TCP_LINGER_MS - 1);
	assert_int_equal(count_connections(l), 2);
	say(l, fd, m, frame_put(m, 20, 0));
	later(l, TCP_TICK_MS);
	assert_int_equal(count_connections(l), 0);
	tell(l);
	assert_int_equal(l->n_gone, 1);
	close(fd);
	close(idle);
}

/* ---- threads ---- */

struct sender {
	pthread_t thread;
	struct lab *l;
	atomic_uint *numbers; /* of connections, changed while they are used */
	uint32_t n;
	atomic_bool *stop;
	bool closes;
};

static void *send_all_the_time(void *arg)
{
	struct sender *s = arg;
	uint8_t ack[500] = {ovpn_first(OVPN_ACK, 0)};

	memset(ack + 1, 0xaa, sizeof(ack) - 1);
	for (uint32_t i = 0; !atomic_load(s->stop); i++) {
		uint32_t number = atomic_load(&s->numbers[i % s->n]);

		(void)!tcp_send(s->l->t, number, ack, sizeof(ack));
		if (s->closes && i % 1000 == 0)
			tcp_close(s->l->t, number, s->l->now);
		if (i % 64 == 0)
			tell(s->l);
	}
	return NULL;
}

/* One owner, one that sends, closes and tells, as the control thread does, under the sanitizers;
 * whatever a client gets is whole frames. */
static void threads_share_connections(void **state)
{
	enum { CLIENTS = 4 };
	struct lab *l = *state;
	atomic_uint numbers[CLIENTS];
	atomic_bool stop = false;
	struct sender s = {.l = l, .numbers = numbers, .n = CLIENTS, .stop = &stop, .closes = true};
	struct reading *r = calloc(CLIENTS, sizeof(*r));
	int fds[CLIENTS];
	uint64_t got = 0, renewed = 0;

	assert_non_null(r);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = client(l);
		atomic_init(&numbers[i], number_of(l, fds[i]));
		tcp_valid(l->t, 0, numbers[i], (uint32_t)i, l->now);
		tcp_punted(l->t, 0, numbers[i]);
	}
	assert_int_equal(pthread_create(&s.thread, NULL, send_all_the_time, &s), 0);
	for (int round = 0; round < 2000000 && (renewed < 50 || got < 20000); round++) {
		int i = round % CLIENTS;
		ssize_t n = recv(
			fds[i], r[i].bytes + r[i].n, sizeof(r[i].bytes) - r[i].n, MSG_DONTWAIT);

		turn(l, 0);
		if (n > 0) {
			r[i].n += (size_t)n;
			frames_read(&r[i]);
		} else if (n == 0) {
			assert_int_equal(r[i].n, 0);
			got += r[i].others;
			renewed++;
			close(fds[i]);
			r[i] = (struct reading){0};
			fds[i] = client_from(l, NULL, "127.0.0.1");
			/* Settling never ends while the other goes on. */
			l->n_frames = 0;
			uint8_t m[32];
			assert_int_equal(send(fds[i], m, frame_put(m, 20, 1), 0), 22);
			while (l->n_frames == 0)
				turn(l, 10);
			tcp_valid(l->t, 0, l->path.connection, (uint32_t)i, l->now);
			tcp_punted(l->t, 0, l->path.connection);
			atomic_store(&numbers[i], l->path.connection);
		}
	}
	atomic_store(&stop, true);
	pthread_join(s.thread, NULL);
	assert_true(got > 0 && renewed >= 50);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	settle(l);
	assert_int_equal(count_connections(l), 0);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_both_families, setup, teardown),
		cmocka_unit_test(a_taken_port_is_refused),
		cmocka_unit_test_setup_teardown(frames_split_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(many_in_one_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_openvpn_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(silent_ones_go, setup, teardown),
		cmocka_unit_test_setup_teardown(a_prefix_has_so_many_guests, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crowd_does_not_keep_others_out, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_without_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(packets_go_out_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_does_not_read_fills_only_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_has_a_small_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_there, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(closes_after_what_is_queued, setup, teardown),
		cmocka_unit_test_setup_teardown(
			closes_in_time_though_nobody_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_share_connections, setup, teardown),
	};

	if (aead_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
