/* The door over a real socket: HELLO, replacement, refusals, a reader that stalls. */
#include "io/ctl_server.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/aead.h"
#include "uapi/door.h"
#include "uapi/uapi.h"

struct lab {
	char dir[32];
	char path[DOOR_PATH_MAX];
	int listener;
	struct fwd *fwd;
	struct fake_clock time;
	struct ctl_facts facts;
	struct offloads offloads;
	struct ctl_apply apply;
	struct punt punt;
	struct ctl_server *s;
	int reinjected;
	uint8_t frame[UAPI_CTL_MAX];
};

static void sink(void *arg, const struct path *path, const uint8_t *datagram, size_t len)
{
	(void)path;
	(void)datagram;
	(void)len;
	((struct lab *)arg)->reinjected++;
}

static void installed(void *arg)
{
	(void)arg;
}

static int setup(void **state)
{
	const struct fwd_limits limits = {.max_peers = 1024,
		.max_indices = 2048,
		.max_peer_ids = 512,
		.workers = 1,
		.stage_slots = 8,
		.mtu_max = 1500};
	struct lab *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	memcpy(l->dir, "/tmp/ireko-door-XXXXXX", 23);
	assert_non_null(mkdtemp(l->dir));
	assert_int_equal(door_path(l->path, l->dir), 0);
	l->listener = door_listen(l->path);
	assert_true(l->listener >= 0);
	assert_int_equal(fwd_new(&l->fwd, &limits), 0);
	assert_int_equal(punt_init(&l->punt), 0);
	l->time.mono_ms = 1000;
	l->facts = (struct ctl_facts){.offloads = &l->offloads,
		.max_peers = 1024,
		.max_indices = 2048,
		.max_peer_ids = 512,
		.workers = 1,
		.boot_id = {{7}}};
	l->apply = (struct ctl_apply){.fwd = l->fwd,
		.clock = clock_fake(&l->time),
		.ops = {.session_installed = installed},
		.facts = &l->facts};
	const struct ctl_server_conf conf = {.listener = l->listener,
		.who = {getuid(), getgid()},
		.apply = &l->apply,
		.punt = &l->punt,
		.sink = {sink, l}};
	assert_int_equal(ctl_server_new(&l->s, &conf), 0);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	ctl_server_free(l->s);
	punt_fini(&l->punt);
	fwd_free(l->fwd);
	close(l->listener);
	unlink(l->path);
	rmdir(l->dir);
	free(l);
	return 0;
}

/* Lets the server work until it has nothing more to do. */
static void turns(struct lab *l)
{
	struct pollfd fd = {.fd = ctl_server_fd(l->s), .events = POLLIN};

	for (int i = 0; i < 1000 && poll(&fd, 1, 0) > 0; i++)
		ctl_server_turn(l->s);
}

static int connection(struct lab *l)
{
	int fd = door_connect(l->path);

	assert_true(fd >= 0);
	turns(l);
	return fd;
}

static void hello_send(int fd, uint16_t min, uint16_t max, uint8_t channel)
{
	const struct uapi_hello m = {min, max, channel};
	uint8_t frame[64];
	struct writer w = writer_init(frame, sizeof(frame));

	uapi_begin(&w, UAPI_HELLO_MSG, 5);
	uapi_pack_hello(&w, &m);
	assert_int_equal(door_send(fd, frame, writer_len(&w)), 0);
}

static struct uapi_hello_reply hello_read(struct lab *l, int fd)
{
	struct uapi_hello_reply m;
	struct uapi_header h;
	ssize_t n = door_recv(fd, l->frame, sizeof(l->frame));
	struct reader r;

	assert_true(n > 0);
	r = reader_init(l->frame, (size_t)n);
	assert_int_equal(uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_CTL, UAPI_NEW), 0);
	assert_int_equal(h.seq, 5);
	uapi_unpack_hello_reply(&r, &m);
	assert_int_equal(reader_end(&r), 0);
	return m;
}

static int ready(struct lab *l, uint8_t channel)
{
	int fd = connection(l);

	hello_send(fd, UAPI_VERSION_MIN, UAPI_VERSION_MAX, channel);
	turns(l);
	assert_int_equal(hello_read(l, fd).status, 0);
	return fd;
}

static void request(int fd, enum uapi_type type)
{
	uint8_t frame[UAPI_HEADER];
	struct writer w = writer_init(frame, sizeof(frame));

	uapi_begin(&w, type, 1);
	assert_int_equal(door_send(fd, frame, sizeof(frame)), 0);
}

static void assert_closed(struct lab *l, int fd)
{
	turns(l);
	assert_int_equal(door_recv(fd, l->frame, sizeof(l->frame)), 0);
	close(fd);
}

static const struct fwd_event event = {.kind = FWD_EVENT_CONFIRMED, .peer = 3, .seq = 9};

static void says_hello(void **state)
{
	struct lab *l = *state;
	int fd = connection(l);
	struct uapi_hello_reply m;

	hello_send(fd, 1, 9, UAPI_CTL);
	turns(l);
	m = hello_read(l, fd);
	assert_int_equal(m.status, 0);
	assert_int_equal(m.version, UAPI_VERSION_MAX);
	assert_int_equal(m.boot_id.bytes[0], 7);
	assert_int_equal(m.max_peers, 1024);
	assert_int_equal(m.max_indices, 2048);
	assert_int_equal(m.max_peer_ids, 512);
	assert_int_equal(m.formats, 7);
	request(fd, UAPI_SYNC_BEGIN_MSG);
	turns(l);
	assert_int_equal(door_recv(fd, l->frame, sizeof(l->frame)), UAPI_HEADER + 4);
	/* Twice is not allowed. */
	hello_send(fd, UAPI_VERSION_MIN, UAPI_VERSION_MAX, UAPI_CTL);
	assert_closed(l, fd);
}

/* Each may be updated before the other. */
static void speaks_as_the_older_one_does(void **state)
{
	struct lab *l = *state;

	for (uint16_t v = UAPI_VERSION_MIN; v <= UAPI_VERSION_MAX; v++) {
		struct uapi_hello_reply m;
		int fd = connection(l);

		hello_send(fd, 1, v, UAPI_CTL);
		turns(l);
		m = hello_read(l, fd);
		assert_int_equal(m.status, 0);
		assert_int_equal(m.version, v);
		close(fd);
		turns(l);
	}
}

static void refuses_other_versions_and_channels(void **state)
{
	static const uint16_t bad[][4] = {{UAPI_VERSION_MAX + 1, 9, UAPI_CTL, EPROTONOSUPPORT},
		{0, UAPI_VERSION_MIN - 1, UAPI_CTL, EPROTONOSUPPORT},
		{UAPI_VERSION_MAX, UAPI_VERSION_MAX - 1, UAPI_CTL, EPROTONOSUPPORT},
		{UAPI_VERSION_MIN, UAPI_VERSION_MAX, 0, EINVAL},
		{UAPI_VERSION_MIN, UAPI_VERSION_MAX, 3, EINVAL}};
	struct lab *l = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = connection(l);

		hello_send(fd, bad[i][0], bad[i][1], (uint8_t)bad[i][2]);
		turns(l);
		assert_int_equal(hello_read(l, fd).status, bad[i][3]);
		assert_closed(l, fd);
	}
	assert_false(ctl_server_event(l->s, &event));
}

static void nothing_before_hello(void **state)
{
	static const enum uapi_type types[] = {
		UAPI_SYNC_BEGIN_MSG, UAPI_STATUS_GET_MSG, UAPI_HELLO_REPLY_MSG};
	struct lab *l = *state;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		fd = connection(l);
		request(fd, types[i]);
		assert_closed(l, fd);
	}
	fd = connection(l);
	assert_int_equal(door_send(fd, "x", 1), 0);
	assert_closed(l, fd);
}

static struct uapi_health_reply health(struct lab *l, int fd)
{
	struct uapi_health_reply m;
	struct uapi_header h;
	struct reader r;
	ssize_t n;

	request(fd, UAPI_HEALTH_GET_MSG);
	turns(l);
	n = door_recv(fd, l->frame, sizeof(l->frame));
	assert_true(n > 0);
	r = reader_init(l->frame, (size_t)n);
	assert_int_equal(uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_CTL, UAPI_NEW), 0);
	assert_true(h.type == UAPI_HEALTH_REPLY_MSG && h.seq == 1);
	uapi_unpack_health_reply(&r, &m);
	assert_int_equal(reader_end(&r), 0);
	return m;
}

static void tells_its_health_to_who_has_no_part(void **state)
{
	struct lab *l = *state;
	int asker = connection(l), ctl;
	uint8_t longer[UAPI_HEADER + 1] = {UAPI_HEALTH_GET_MSG};
	struct uapi_health_reply m;

	strcpy(l->facts.tun, "tun7");
	l->facts.started_ms = 400;
	m = health(l, asker);
	assert_true(m.control == 0 && m.workers == 1 && m.uptime_ms == 600);
	assert_string_equal(m.tun, "tun7");
	assert_string_equal(m.software, IREKO_VERSION);
	ctl = ready(l, UAPI_CTL);
	assert_int_equal(health(l, asker).control, 1);
	/* That connection was not replaced, and can't ask so itself. */
	assert_true(ctl_server_event(l->s, &event));
	assert_int_equal(door_recv(ctl, l->frame, sizeof(l->frame)), UAPI_HEADER + 12);
	request(ctl, UAPI_HEALTH_GET_MSG);
	assert_closed(l, ctl);
	assert_int_equal(health(l, asker).control, 0);
	assert_int_equal(door_send(asker, longer, sizeof(longer)), 0);
	assert_closed(l, asker);
}

static void channels_are_apart(void **state)
{
	struct lab *l = *state;
	int ctl = ready(l, UAPI_CTL), punt = ready(l, UAPI_PUNT);

	request(punt, UAPI_STATUS_GET_MSG);
	assert_closed(l, punt);
	/* The other one lives on. */
	assert_true(ctl_server_event(l->s, &event));
	assert_int_equal(door_recv(ctl, l->frame, sizeof(l->frame)), UAPI_HEADER + 12);
	close(ctl);
}

static void tells_of_closed_connections(void **state)
{
	struct lab *l = *state;
	struct uapi_connection_closed m;
	struct uapi_header h;
	struct reader r;
	ssize_t n;
	int fd;

	assert_false(ctl_server_closed(l->s, 77));
	fd = ready(l, UAPI_CTL);
	assert_true(ctl_server_closed(l->s, 0x01020304));
	n = door_recv(fd, l->frame, sizeof(l->frame));
	assert_true(n > 0);
	r = reader_init(l->frame, (size_t)n);
	assert_int_equal(uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY), 0);
	assert_int_equal(h.type, UAPI_CONNECTION_CLOSED_MSG);
	uapi_unpack_connection_closed(&r, &m);
	assert_int_equal(reader_end(&r), 0);
	assert_int_equal(m.connection, 0x01020304);
	close(fd);
}

static void too_long_a_frame_closes(void **state)
{
	struct lab *l = *state;
	int fd = ready(l, UAPI_CTL);
	static uint8_t big[UAPI_CTL_MAX + 1];

	assert_int_equal(door_send(fd, big, sizeof(big)), 0);
	assert_closed(l, fd);
}

static void the_newer_replaces_the_older(void **state)
{
	struct lab *l = *state;
	int former = ready(l, UAPI_CTL), silent = connection(l), latter = ready(l, UAPI_CTL);

	assert_closed(l, former);
	assert_true(ctl_server_event(l->s, &event));
	assert_true(door_recv(latter, l->frame, sizeof(l->frame)) > 0);
	/* One without HELLO replaces nobody. */
	assert_int_equal(door_recv(silent, l->frame, sizeof(l->frame)), -EAGAIN);
	close(silent);
	close(latter);
	turns(l);
	assert_false(ctl_server_event(l->s, &event));
}

static void punt_follows_its_connection(void **state)
{
	const struct path path = {.remote = {.addr = {.family = IP_V4}, .port = 1}};
	const uint8_t m[148] = {1};
	struct lab *l = *state;
	uint8_t frame[UAPI_PUNT_MAX];
	ssize_t n;
	int former = ready(l, UAPI_PUNT), latter;

	assert_int_equal(punt_send(&l->punt, &path, m, sizeof(m)), 0);
	n = door_recv(former, frame, sizeof(frame));
	assert_true(n > 0);
	latter = ready(l, UAPI_PUNT);
	assert_closed(l, former);
	assert_int_equal(punt_send(&l->punt, &path, m, sizeof(m)), 0);
	assert_int_equal(door_recv(latter, frame, sizeof(frame)), n);
	/* The same frame as REINJECT comes down. */
	frame[0] = (uint8_t)UAPI_REINJECT_MSG;
	frame[1] = UAPI_REINJECT_MSG >> 8;
	assert_int_equal(door_send(latter, frame, (size_t)n), 0);
	turns(l);
	assert_int_equal(l->reinjected, 1);
	close(latter);
	turns(l);
	assert_int_equal(punt_send(&l->punt, &path, m, sizeof(m)), -EPIPE);
}

static void a_stalled_reader_stops_only_itself(void **state)
{
	struct lab *l = *state;
	int fd = ready(l, UAPI_CTL), other, replies = 0, sent = 0, events = 0;
	ssize_t n;

	/* Ask and never read, until nothing fits any more either way. */
	for (;;) {
		uint8_t frame[UAPI_HEADER];
		struct writer w = writer_init(frame, sizeof(frame));

		uapi_begin(&w, UAPI_STATUS_GET_MSG, (uint32_t)sent);
		if (door_send(fd, frame, sizeof(frame)) != 0)
			break;
		sent++;
		turns(l);
		assert_in_range(sent, 0, 100000);
	}
	assert_false(ctl_server_event(l->s, &event));
	/* Others are served meanwhile. */
	other = ready(l, UAPI_PUNT);
	close(other);
	/* It reads again: every request has its answer, in order. */
	for (;;) {
		n = door_recv(fd, l->frame, sizeof(l->frame));
		if (n == -EAGAIN) {
			turns(l);
			n = door_recv(fd, l->frame, sizeof(l->frame));
			if (n == -EAGAIN)
				break;
		}
		assert_true(n > 0);
		assert_int_equal(l->frame[4] | l->frame[5] << 8 | l->frame[6] << 16, replies);
		replies++;
	}
	assert_int_equal(replies, sent);
	while (ctl_server_event(l->s, &event) && events < 100000)
		events++;
	assert_in_range(events, 1, 99999);
	close(fd);
	turns(l);
}

static void silence_is_not_waited_for(void **state)
{
	struct lab *l = *state;
	int fds[20], fd = connection(l), ctl;

	fake_clock_advance(&l->time, 4999);
	ctl_server_tick(l->s);
	assert_int_equal(door_recv(fd, l->frame, sizeof(l->frame)), -EAGAIN);
	fake_clock_advance(&l->time, 1);
	ctl_server_tick(l->s);
	assert_closed(l, fd);
	/* A crowd that says nothing keeps nobody out, and those who said HELLO stay. */
	ctl = ready(l, UAPI_CTL);
	for (int i = 0; i < 20; i++) {
		fake_clock_advance(&l->time, 1);
		fds[i] = connection(l);
	}
	fd = ready(l, UAPI_PUNT);
	fake_clock_advance(&l->time, 60000);
	ctl_server_tick(l->s);
	assert_true(ctl_server_event(l->s, &event));
	close(fd);
	close(ctl);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
}

static void strangers_stay_outside(void **state)
{
	struct lab *l = *state;
	int fd;

	if (getuid() != 0)
		skip();
	/* The server now belongs to somebody else; root still may, so become nobody. */
	ctl_server_free(l->s);
	const struct ctl_server_conf conf = {.listener = l->listener,
		.who = {12345, 12345},
		.apply = &l->apply,
		.punt = &l->punt,
		.sink = {sink, l}};
	assert_int_equal(ctl_server_new(&l->s, &conf), 0);
	fd = ready(l, UAPI_CTL);
	close(fd);
	turns(l);
	assert_int_equal(chown(l->dir, 65534, 65534), 0);
	assert_int_equal(chown(l->path, 65534, 65534), 0);
	assert_int_equal(setegid(65534), 0);
	assert_int_equal(seteuid(65534), 0);
	fd = door_connect(l->path);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	assert_true(fd >= 0);
	assert_closed(l, fd);
	/* One of the group may. */
	assert_int_equal(setegid(12345), 0);
	assert_int_equal(seteuid(65534), 0);
	fd = door_connect(l->path);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	assert_true(fd >= 0);
	hello_send(fd, UAPI_VERSION_MIN, UAPI_VERSION_MAX, UAPI_CTL);
	turns(l);
	assert_int_equal(hello_read(l, fd).status, 0);
	close(fd);
}

static void random_frames(void **state)
{
	struct lab *l = *state;

	srandom(1);
	for (int i = 0; i < 3000; i++) {
		int fd = random() & 1 ? ready(l, random() & 1 ? UAPI_CTL : UAPI_PUNT)
				      : connection(l);
		uint8_t bytes[300];
		size_t len = 1 + (size_t)random() % sizeof(bytes);

		for (size_t b = 0; b < len; b++)
			bytes[b] = (uint8_t)random();
		if (random() & 1) { /* a likely type */
			bytes[0] = (uint8_t)(random() % 12);
			memset(bytes + 1, 0, 3);
		}
		assert_int_equal(door_send(fd, bytes, len), 0);
		turns(l);
		close(fd);
	}
	turns(l);
	close(ready(l, UAPI_CTL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(says_hello, setup, teardown),
		cmocka_unit_test_setup_teardown(speaks_as_the_older_one_does, setup, teardown),
		cmocka_unit_test_setup_teardown(
			refuses_other_versions_and_channels, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_before_hello, setup, teardown),
		cmocka_unit_test_setup_teardown(
			tells_its_health_to_who_has_no_part, setup, teardown),
		cmocka_unit_test_setup_teardown(channels_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_of_closed_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(too_long_a_frame_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newer_replaces_the_older, setup, teardown),
		cmocka_unit_test_setup_teardown(punt_follows_its_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_stalled_reader_stops_only_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_is_not_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_stay_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(random_frames, setup, teardown),
	};

	log_init(LOG_ERROR, LOG_TEXT);
	if (aead_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("ctl_server", tests, NULL, NULL);
}
