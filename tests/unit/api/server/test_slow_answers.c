/*
 * Answers that take their time: use-cases that are slow, downloads that are long, a stop while
 * some run.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void *ask_slowly(void *arg)
{
	static const char get[] = "GET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n";
	struct answer *a = malloc(sizeof(*a));
	unsigned *status = arg;
	const int fd = dial();

	say(fd, get, sizeof(get) - 1);
	hear(fd, a);
	*status = a->status;
	close(fd);
	free(a);
	return NULL;
}

static void slow_use_cases_do_not_stop_the_rest(void **state)
{
	pthread_t threads[12];
	unsigned status[12] = {0};
	const struct clock clock = clock_system();
	uint64_t start_ms;

	(void)state;
	atomic_store(&fake.slow_ms, 200);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_slowly, &status[i]), 0);
	start_ms = clock_mono_ms(&clock);
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 200);
	assert_true(clock_mono_ms(&clock) - start_ms < 200);
	/* Another lane. */
	start_ms = clock_mono_ms(&clock);
	assert_int_equal(request("DELETE /v1/users/usr_" ID, ADMIN, NULL)->status, 204);
	assert_true(clock_mono_ms(&clock) - start_ms < 500);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(status[i], 200);
	}
}

static void an_answer_that_comes_too_late_is_not_sent(void **state)
{
	static struct answer a;
	static const char get[] = "GET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n";
	const int fd = dial();

	(void)state;
	atomic_store(&fake.slow_ms, REQUEST_MS + 700);
	say(fd, get, sizeof(get) - 1);
	hear(fd, &a);
	assert_int_equal(a.status, 0);
	assert_true(a.closed);
	close(fd);
}

/* Longer than a request may take, as long as its client takes something now and then. */
static void a_slow_download_goes_on(void **state)
{
	static const char head[] = "GET /v1/backup HTTP/1.1\r\n" HOST ADMIN "\r\n";
	const int fd = dial();
	static char piece[256 * 1024];
	size_t got = 0;
	ssize_t n;

	(void)state;
	atomic_store(&fake.backup_size, 24 * 1024 * 1024);
	say(fd, head, strlen(head));
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		got += (size_t)n;
		if (got < 8 * 1024 * 1024)
			poll(NULL, 0, REQUEST_MS / 16);
		if (got > atomic_load(&fake.backup_size))
			break;
	}
	assert_true(got > atomic_load(&fake.backup_size));
	close(fd);
	wait_for_backups(0);
}

/* On a server of its own: streams of events have the same patience. */
static void who_takes_nothing_is_dropped(void **state)
{
	static const char head[] = "GET /v1/backup HTTP/1.1\r\n" HOST ADMIN "\r\n";
	int fd;

	(void)state;
	another_serves("127.0.0.1:0", (struct api_conf){.stuck_ms = 600});
	fd = dial();
	atomic_store(&fake.backup_size, 24 * 1024 * 1024);
	say(fd, head, strlen(head));
	wait_for_backups(1);
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 200);
	wait_for_backups(0);
	close(fd);
	the_first_serves();
}

static void stop_lets_running_requests_finish(void **state)
{
	pthread_t thread;
	unsigned status = 0;

	(void)state;
	atomic_store(&fake.slow_ms, 300);
	assert_int_equal(pthread_create(&thread, NULL, ask_slowly, &status), 0);
	while (atomic_load(&fake.calls) == 0)
		poll(NULL, 0, 5);
	api_stop(api);
	pthread_join(thread, NULL);
	assert_int_equal(status, 200);
	assert_int_equal(start(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(slow_use_cases_do_not_stop_the_rest, fresh),
		cmocka_unit_test_setup(an_answer_that_comes_too_late_is_not_sent, fresh),
		cmocka_unit_test_setup(a_slow_download_goes_on, fresh),
		cmocka_unit_test_setup(who_takes_nothing_is_dropped, fresh),
		cmocka_unit_test_setup(stop_lets_running_requests_finish, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
