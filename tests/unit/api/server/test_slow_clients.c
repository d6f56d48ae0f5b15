/*
 * Clients that send slowly, read slowly or do nothing at all: they are ended in time, and others
 * don't notice.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void ends_slow_senders(void **state)
{
	static const char slow[] =
		"X-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	(void)state;
	assert_in_time(drip("", "G"));
	assert_in_time(
		drip("GET /healthz HT", "TP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_in_time(drip("GET /healthz HTTP/1.1\r\n" HOST, slow));
	assert_in_time(
		drip("POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON "Content-Length: 1000\r\n\r\n{",
			slow));
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void ends_slow_senders_on_kept_connections(void **state)
{
	static struct answer a;
	const struct clock clock = clock_system();
	uint64_t start_ms;
	const int fd = dial();

	(void)state;
	say(fd, "GET /healthz HTTP/1.1\r\n" HOST "\r\n", 42);
	hear(fd, &a);
	assert_int_equal(a.status, 200);
	/* Between requests there is more time than for one. */
	poll(NULL, 0, REQUEST_MS + 600);
	start_ms = clock_mono_ms(&clock);
	say(fd, "GET", 3);
	assert_true(is_over(fd));
	assert_in_time((unsigned)(clock_mono_ms(&clock) - start_ms));
	close(fd);
}

static void ends_slow_readers(void **state)
{
	static const char get[] = "GET /v1/devices HTTP/1.1\r\n" HOST ADMIN "\r\n";
	const struct clock clock = clock_system();
	const int fd = dial_with(4096, 10);
	uint64_t start_ms;
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	(void)state;
	atomic_store(&fake.devices, 20000);
	start_ms = clock_mono_ms(&clock);
	say(fd, get, sizeof(get) - 1);
	while (clock_mono_ms(&clock) - start_ms < 5 * REQUEST_MS) {
		static char sink[512];

		if (poll(&p, 1, 50) > 0 || recv(fd, sink, sizeof(sink), MSG_DONTWAIT) == 0)
			break;
	}
	/* What is still in flight comes first; the end is seen when a little of it was read. */
	while (clock_mono_ms(&clock) - start_ms < 5 * REQUEST_MS) {
		static char sink[65536];

		if (recv(fd, sink, sizeof(sink), 0) <= 0)
			break;
	}
	close(fd);
	assert_in_range(clock_mono_ms(&clock) - start_ms, REQUEST_MS - 50, REQUEST_MS + 2500);
}

static void idlers_make_room(void **state)
{
	int idle[3 * MAX_CONNECTIONS];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		idle[i] = dial();
		say(idle[i], "G", 1);
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 200);
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		close(idle[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ends_slow_senders, fresh),
		cmocka_unit_test_setup(ends_slow_senders_on_kept_connections, fresh),
		cmocka_unit_test_setup(ends_slow_readers, fresh),
		cmocka_unit_test_setup(idlers_make_room, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
