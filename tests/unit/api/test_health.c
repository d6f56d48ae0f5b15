/* Asking a control plane whether it is ready: good and bad answers, and none. */
#include "api/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct server {
	struct endpoint at;
	int fd;
	char why[API_HEALTH_TEXT];
};

static int setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	assert_non_null(s);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(endpoint_from_sockaddr(&s->at, (struct sockaddr *)&in), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;

	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return 0;
}

/* In a child: takes one connection, checks the request, answers. */
static _Noreturn void serve(int fd, const char *answer)
{
	int conn = accept(fd, NULL, NULL);
	char asked[512];
	ssize_t n = recv(conn, asked, sizeof(asked) - 1, 0);

	asked[n > 0 ? n : 0] = '\0';
	if (strncmp(asked, "GET /readyz HTTP/1.1\r\nHost: ", 28) != 0)
		_exit(1);
	_exit(send(conn, answer, strlen(answer), MSG_NOSIGNAL) < 0);
}

static int ask(struct server *s, const struct endpoint *at, const char *answer)
{
	int status, r;
	pid_t pid;

	assert_int_equal(listen(s->fd, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		serve(s->fd, answer);
	r = api_health(at, false, s->why);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return r;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"status\":\"ready\"}"

static void ready_is_ready(void **state)
{
	struct server *s = *state;
	struct endpoint any = {.addr = {.family = IP_V4}, .port = s->at.port};

	assert_int_equal(ask(s, &s->at, OK), 0);
	assert_string_equal(s->why, "ready");
	/* Who listens everywhere is asked on loopback. */
	assert_int_equal(ask(s, &any, OK), 0);
	any.addr = (struct ip_addr){.family = IP_V6};
	assert_int_equal(ask(s, &any, OK), 0);
	any.addr = (struct ip_addr){.family = IP_NONE};
	assert_int_equal(ask(s, &any, OK), 0);
}

static void says_why_not(void **state)
{
	struct server *s = *state;

	assert_int_equal(ask(s, &s->at,
				 "HTTP/1.1 503 X\r\nA: b\r\n\r\n{\"detail\":\"the dataplane\\u001b "
				 "is not\"}"),
		1);
	assert_string_equal(s->why, "the dataplane? is not");
	assert_int_equal(ask(s, &s->at, "HTTP/1.1 503 X\r\n\r\nnothing to read"), 1);
	assert_string_equal(s->why, "it answers with status 503");
	assert_int_equal(ask(s, &s->at, "HTTP/1.1 503 X\r\n\r\n{\"detail\":7}"), 1);
	assert_string_equal(s->why, "it answers with status 503");
}

static void answers_that_are_none(void **state)
{
	static const char *const bad[] = {"", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200", "HTTP/1.1 \r\n",
		"HTTP/1.1 200 OK\r\nthe head has no end"};
	struct server *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ask(s, &s->at, bad[i]), 1);
		assert_string_equal(s->why, "what answers is no control plane");
	}
}

static void more_than_an_answer(void **state)
{
	struct server *s = *state;
	static char long_one[100000];

	memset(long_one, 'x', sizeof(long_one) - 1);
	memcpy(long_one, OK, strlen(OK));
	assert_int_equal(ask(s, &s->at, long_one), 0);
	memset(long_one, 'x', strlen(OK));
	assert_int_equal(ask(s, &s->at, long_one), 1);
}

static void nobody_there(void **state)
{
	struct server *s = *state;
	struct endpoint none = s->at;

	assert_int_equal(api_health(&s->at, false, s->why), 1);
	assert_non_null(strstr(s->why, ": nobody listens"));
	none.port = 0;
	assert_int_equal(api_health(&none, false, s->why), 1);
	/* Plain text is no TLS. */
	assert_int_equal(listen(s->fd, 1), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int conn = accept(s->fd, NULL, NULL);
		char hello[1024];

		(void)!recv(conn, hello, sizeof(hello), 0);
		_exit(send(conn, OK, strlen(OK), MSG_NOSIGNAL) < 0);
	}
	assert_int_equal(api_health(&s->at, true, s->why), 1);
	waitpid(pid, NULL, 0);
}

static void silence_ends(void **state)
{
	struct server *s = *state;

	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(api_health(&s->at, false, s->why), 1);
	assert_non_null(strstr(s->why, ": no answer"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ready_is_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(says_why_not, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_there, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_ends, setup, teardown),
	};

	return cmocka_run_group_tests_name("api_health", tests, NULL, NULL);
}
