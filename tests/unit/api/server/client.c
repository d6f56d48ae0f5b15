#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

struct api *api;
static struct api *before; /* set while another one serves */

int start(void **state)
{
	struct api_conf conf = {.max_connections = MAX_CONNECTIONS, .request_ms = REQUEST_MS};
	const struct clock clock = clock_system();
	char why[160] = "";

	(void)state;
	if (!events)
		assert_int_equal(events_new(&events, &clock), 0);
	conf.metrics_devices = true;
	assert_int_equal(endpoint_parse(&conf.listen, "127.0.0.1:0"), 0);
	assert_int_equal(api_start(&api, &conf, NULL, why), 0);
	return 0;
}

int stop(void **state)
{
	(void)state;
	api_stop(api);
	events_free(events);
	events = NULL;
	return 0;
}

int fresh(void **state)
{
	(void)state;
	fake_service_reset();
	return 0;
}

void another_serves(const char *listen, struct api_conf conf)
{
	char why[160] = "";

	conf.max_connections = 8;
	conf.request_ms = REQUEST_MS;
	assert_int_equal(endpoint_parse(&conf.listen, listen), 0);
	before = api;
	assert_int_equal(api_start(&api, &conf, NULL, why), 0);
}

void the_first_serves(void)
{
	api_stop(api);
	api = before;
}

int dial_with(int receive_buffer, unsigned patience_s)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(api_address(api).port)};
	const struct timeval patience = {.tv_sec = patience_s};
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (receive_buffer)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

int dial(void)
{
	return dial_with(0, 10);
}

void say(int fd, const char *text, size_t n)
{
	while (n > 0) {
		const ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		text += sent;
		n -= (size_t)sent;
	}
}

static bool is_stream(const struct answer *a)
{
	return strstr(a->text, "Content-Type: text/event-stream") != NULL;
}

void hear(int fd, struct answer *a)
{
	char *body, *length;
	size_t want = SIZE_MAX;

	memset(a, 0, sizeof(*a));
	while (a->len < sizeof(a->text) - 1 && a->len < want) {
		const ssize_t n = recv(fd, a->text + a->len, sizeof(a->text) - 1 - a->len, 0);

		if (n <= 0) {
			a->closed = true;
			break;
		}
		a->len += (size_t)n;
		body = strstr(a->text, "\r\n\r\n");
		length = strstr(a->text, "Content-Length: ");
		if (body && is_stream(a)) /* it has no end */
			want = 0;
		else if (body)
			want = (size_t)(body + 4 - a->text) +
			       (length && length < body ? strtoul(length + 16, NULL, 10) : 0);
	}
	if (sscanf(a->text, "HTTP/1.1 %u", &a->status) != 1)
		a->status = 0;
}

bool is_over(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) <= 0;
}

struct answer *ask_bytes(const char *text, size_t n)
{
	static struct answer a;
	const int fd = dial();

	say(fd, text, n);
	hear(fd, &a);
	if (strstr(a.text, "Connection: close") && !is_stream(&a))
		a.closed = is_over(fd);
	close(fd);
	return &a;
}

struct answer *ask(const char *text)
{
	return ask_bytes(text, strlen(text));
}

struct answer *request(const char *line, const char *fields, const char *body)
{
	char text[70000];
	char length[96] = "";

	if (body)
		snprintf(length, sizeof(length), "%sContent-Length: %zu\r\n",
			strstr(fields, "Content-Type") ? "" : JSON, strlen(body));
	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n" HOST "%s%s\r\n%s", line, fields, length,
		body ? body : "");
	return ask(text);
}

unsigned drip(const char *begin, const char *more)
{
	const struct clock clock = clock_system();
	const uint64_t start_ms = clock_mono_ms(&clock);
	const int fd = dial();
	size_t at = 0;
	bool over = false;

	say(fd, begin, strlen(begin));
	while (!over && clock_mono_ms(&clock) - start_ms < 5 * REQUEST_MS) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, 100) > 0)
			over = is_over(fd);
		else if (more[at])
			say(fd, more + at++, 1);
	}
	close(fd);
	return (unsigned)(clock_mono_ms(&clock) - start_ms);
}

void assert_in_time(unsigned ms)
{
	if (ms + 50 < REQUEST_MS || ms > REQUEST_MS + 1000)
		fail_msg("closed after %u ms", ms);
}

const struct answer *ask_head(const char *line)
{
	static struct answer a;
	const int fd = dial();
	char text[256];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", line);
	say(fd, text, strlen(text));
	for (a.len = 0; a.len < sizeof(a.text) - 1;) {
		const ssize_t n = recv(fd, a.text + a.len, sizeof(a.text) - 1 - a.len, 0);

		if (n <= 0)
			break;
		a.len += (size_t)n;
	}
	close(fd);
	a.text[a.len] = '\0';
	assert_true(a.len > 16);
	a.status = (unsigned)atoi(a.text + strlen("HTTP/1.1 "));
	assert_memory_equal(a.text + a.len - 4, "\r\n\r\n", 4);
	return &a;
}

void header_of(const struct answer *a, const char *name, char out[96])
{
	const char *at = strstr(a->text, name);

	assert_non_null(at);
	assert_int_equal(sscanf(at + strlen(name), "%95[^\r]", out), 1);
}
