/* The punt connection from both ends, and what must not come down it. */
#include "io/punt.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uapi/door.h"
#include "uapi/uapi.h"

struct caught {
	int n;
	struct path path;
	uint8_t bytes[UAPI_DATAGRAM_MAX];
	size_t len;
};

static void caught_one(void *arg, const struct path *path, const uint8_t *datagram, size_t len)
{
	struct caught *c = arg;

	c->n++;
	c->path = *path;
	c->len = len;
	memcpy(c->bytes, datagram, len);
}

static struct path a_path(void)
{
	struct path p = {.listener = 1, .connection = 0x1234};

	assert_int_equal(endpoint_parse(&p.remote, "[2001:db8::7]:4711"), 0);
	assert_int_equal(ip_addr_parse(&p.local, "2001:db8::1"), 0);
	return p;
}

static void pair_open(int fds[2])
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static size_t reinject(
	uint8_t *frame, size_t cap, enum uapi_type type, const void *datagram, size_t len)
{
	struct writer w = writer_init(frame, cap);
	const struct uapi_punt m = {.path = a_path()};

	uapi_begin(&w, type, 0);
	uapi_pack_punt(&w, &m);
	writer_bytes(&w, datagram, len);
	assert_int_equal(writer_end(&w), 0);
	return writer_len(&w);
}

static void nobody_there(void **state)
{
	struct punt p;
	struct path path = a_path();
	const uint8_t m[148] = {1};

	(void)state;
	assert_int_equal(punt_init(&p), 0);
	assert_int_equal(punt_send(&p, &path, m, sizeof(m)), -EPIPE);
	punt_fini(&p);
}

static void goes_up_and_survives_replacement(void **state)
{
	struct punt p;
	struct path path = a_path();
	uint8_t m[148] = {1}, frame[UAPI_PUNT_MAX];
	int first[2], second[2];
	ssize_t n;

	(void)state;
	assert_int_equal(punt_init(&p), 0);
	pair_open(first);
	pair_open(second);
	assert_int_equal(punt_attach(&p, first[0]), 0);
	assert_int_equal(punt_send(&p, &path, m, sizeof(m)), 0);
	n = door_recv(first[1], frame, sizeof(frame));
	assert_int_equal(n, UAPI_HEADER + UAPI_SIZE_punt + sizeof(m));
	assert_memory_equal(frame + n - sizeof(m), m, sizeof(m));

	assert_int_equal(punt_attach(&p, second[0]), 0);
	assert_int_equal(punt_send(&p, &path, m, sizeof(m)), 0);
	assert_int_equal(door_recv(first[1], frame, sizeof(frame)), -EAGAIN);
	assert_true(door_recv(second[1], frame, sizeof(frame)) > 0);

	/* The number never keeps a closed connection alive. */
	punt_detach(&p);
	close(second[0]);
	assert_int_equal(door_recv(second[1], frame, sizeof(frame)), 0);
	assert_int_equal(punt_send(&p, &path, m, sizeof(m)), -EPIPE);
	close(first[0]);
	close(first[1]);
	close(second[1]);
	punt_fini(&p);
}

static void is_bounded(void **state)
{
	struct punt p;
	struct path path = a_path();
	uint8_t m[UAPI_DATAGRAM_MAX + 1] = {1};
	int fds[2], sent = 0;

	(void)state;
	assert_int_equal(punt_init(&p), 0);
	pair_open(fds);
	assert_int_equal(punt_attach(&p, fds[0]), 0);
	while (sent < 100000 && punt_send(&p, &path, m, 148) == 0)
		sent++;
	assert_in_range(sent, 10, 10000);
	assert_int_equal(punt_send(&p, &path, m, 148), -EAGAIN);
	assert_int_equal(punt_send(&p, &path, m, sizeof(m)), -EMSGSIZE);
	close(fds[0]);
	close(fds[1]);
	punt_fini(&p);
}

static void handshakes_come_down(void **state)
{
	static const size_t size[] = {0, 148, 92, 64};

	(void)state;
	for (uint8_t type = 1; type <= 3; type++) {
		uint8_t m[148] = {type}, frame[UAPI_PUNT_MAX];
		struct caught c = {0};
		const struct punt_sink sink = {caught_one, &c};
		struct path want = a_path();
		size_t n = reinject(frame, sizeof(frame), UAPI_REINJECT_MSG, m, size[type]);

		assert_int_equal(punt_receive(frame, n, &sink), 0);
		assert_int_equal(c.n, 1);
		assert_int_equal(c.len, size[type]);
		assert_memory_equal(c.bytes, m, size[type]);
		assert_true(path_equal(&c.path, &want));
		/* One byte short, one too long. */
		assert_int_not_equal(punt_receive(frame, n - 1, &sink), 0);
		frame[n] = 0;
		assert_int_not_equal(punt_receive(frame, n + 1, &sink), 0);
		assert_int_equal(c.n, 1);
	}
}

static void openvpn_comes_down(void **state)
{
	static const uint8_t may[] = {0x18, 0x20, 0x28, 0x2f, 0x40};
	static const uint8_t may_not[] = {0x30, 0x38, 0x48, 0x4f, 0x50, 0x58, 0x60, 0x10};
	uint8_t frame[UAPI_PUNT_MAX];
	struct caught c = {0};
	const struct punt_sink sink = {caught_one, &c};

	(void)state;
	for (size_t i = 0; i < sizeof(may); i++) {
		uint8_t m[66] = {may[i]};
		size_t n = reinject(frame, sizeof(frame), UAPI_REINJECT_MSG, m, sizeof(m));

		assert_int_equal(punt_receive(frame, n, &sink), 0);
		assert_int_equal(c.n, i + 1);
		assert_int_equal(c.path.connection, 0x1234);
	}
	for (size_t i = 0; i < sizeof(may_not); i++) {
		uint8_t m[66] = {may_not[i]};
		size_t n = reinject(frame, sizeof(frame), UAPI_REINJECT_MSG, m, sizeof(m));

		assert_int_equal(punt_receive(frame, n, &sink), -EBADMSG);
	}
	assert_int_equal(c.n, sizeof(may));
}

/* In all of the formats; one byte more or less is somebody's traffic. */
static void farewells_come_down(void **state)
{
	static const struct {
		uint8_t first;
		size_t len;
	} may[] = {{0x30, 38}, {0x48, 41}, {0x4f, 45}};
	uint8_t frame[UAPI_PUNT_MAX];
	struct caught c = {0};
	const struct punt_sink sink = {caught_one, &c};

	(void)state;
	for (size_t i = 0; i < sizeof(may) / sizeof(may[0]); i++) {
		uint8_t m[64] = {may[i].first, 7};
		size_t n = reinject(frame, sizeof(frame), UAPI_REINJECT_MSG, m, may[i].len);

		assert_int_equal(punt_receive(frame, n, &sink), 0);
		assert_int_equal(c.n, i + 1);
		assert_int_equal(c.len, may[i].len);
		assert_memory_equal(c.bytes, m, may[i].len);
		assert_int_equal(punt_receive(frame, n - 1, &sink), -EBADMSG);
		n = reinject(frame, sizeof(frame), UAPI_REINJECT_MSG, m, may[i].len + 1);
		assert_int_equal(punt_receive(frame, n, &sink), -EBADMSG);
	}
	assert_int_equal(c.n, 3);
}

static void nothing_else_comes_down(void **state)
{
	uint8_t data[148] = {4}, m[148] = {1}, frame[UAPI_PUNT_MAX];
	struct caught c = {0};
	const struct punt_sink sink = {caught_one, &c};
	size_t n = reinject(frame, sizeof(frame), UAPI_REINJECT_MSG, data, sizeof(data));

	(void)state;
	assert_int_equal(punt_receive(frame, n, &sink), -EBADMSG);
	n = reinject(frame, sizeof(frame), UAPI_PUNT_MSG, m, sizeof(m));
	assert_int_equal(punt_receive(frame, n, &sink), -EPROTO);
	n = reinject(frame, sizeof(frame), UAPI_REINJECT_MSG, m, sizeof(m));
	frame[UAPI_HEADER + 1] = 5; /* no such address family */
	assert_int_not_equal(punt_receive(frame, n, &sink), 0);
	for (size_t len = 0; len < UAPI_HEADER + UAPI_SIZE_punt; len++)
		assert_int_not_equal(punt_receive(frame, len, &sink), 0);
	assert_int_equal(c.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(goes_up_and_survives_replacement),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(handshakes_come_down),
		cmocka_unit_test(openvpn_comes_down),
		cmocka_unit_test(farewells_come_down),
		cmocka_unit_test(nothing_else_comes_down),
	};

	return cmocka_run_group_tests_name("punt", tests, NULL, NULL);
}
