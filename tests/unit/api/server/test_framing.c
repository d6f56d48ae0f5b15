/*
 * Framing on the wire: what is no request, what is too big, and what may follow on the same
 * connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static const struct {
	const char *name, *text;
	unsigned status;
} malformed[] = {
	{"two Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		400},
	{"differing Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
		400},
	{"list in Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: 2, 2\r\n\r\n{}", 400},
	{"signed Content-Length", "POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: +2\r\n\r\n{}",
		400},
	{"negative Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: -2\r\n\r\n{}", 400},
	{"hexadecimal Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: 0x2\r\n\r\n{}", 400},
	{"empty Content-Length", "POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\n",
		400},
	{"huge Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST
		"Content-Length: 99999999999999999999999\r\n\r\n",
		413},
	{"chunked",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		400},
	{"chunked and length",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
		400},
	{"odd transfer encoding",
		"POST /v1/users HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 400},
	{"identity", "GET /healthz HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400},
	{"no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400},
	{"two Host", "GET /healthz HTTP/1.1\r\n" HOST HOST "\r\n", 400},
	{"empty Host", "GET /healthz HTTP/1.1\r\nHost: \r\n\r\n", 400},
	{"Host with a path", "GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{"Host with user", "GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
	{"Host with a bad port", "GET /healthz HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400},
	{"Host with a blank", "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	{"bare LF", "GET /healthz HTTP/1.1\nHost: localhost\n\n", 400},
	{"bare LF in one line", "GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", 400},
	{"bare LF at the end", "GET /healthz HTTP/1.1\r\n" HOST "X: y\n\r\n", 400},
	{"bare LF as last line", "GET /healthz HTTP/1.1\r\n" HOST "X: y\r\n\n", 400},
	{"bare CR in a value", "GET /healthz HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", 400},
	{"folded line", "GET /healthz HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", 400},
	{"folded Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length:\r\n 2\r\n\r\n{}", 400},
	{"folded first line", "GET /healthz HTTP/1.1\r\n " HOST "\r\n", 400},
	{"blank before the colon", "GET /healthz HTTP/1.1\r\n" HOST "X : a\r\n\r\n", 400},
	{"blank before Content-Length's colon",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length : 2\r\n\r\n{}", 400},
	{"no name", "GET /healthz HTTP/1.1\r\n" HOST ": a\r\n\r\n", 400},
	{"no colon", "GET /healthz HTTP/1.1\r\n" HOST "nonsense\r\n\r\n", 400},
	{"odd name", "GET /healthz HTTP/1.1\r\n" HOST "X(y): a\r\n\r\n", 400},
	{"control character in a value",
		"GET /healthz HTTP/1.1\r\n" HOST "X: a\x01"
		"b\r\n\r\n",
		400},
	{"two Authorization", "GET /v1/me HTTP/1.1\r\n" HOST ADMIN ADMIN "\r\n", 400},
	{"HTTP/1.0", "GET /healthz HTTP/1.0\r\n" HOST "\r\n", 505},
	{"HTTP/1.2", "GET /healthz HTTP/1.2\r\n" HOST "\r\n", 505},
	{"HTTP/0.9", "GET /healthz\r\n\r\n", 400},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"lower-case version", "GET /healthz http/1.1\r\n" HOST "\r\n", 400},
	{"unknown method", "BREW /healthz HTTP/1.1\r\n" HOST "\r\n", 501},
	{"lower-case method", "get /healthz HTTP/1.1\r\n" HOST "\r\n", 501},
	{"TRACE", "TRACE /healthz HTTP/1.1\r\n" HOST "\r\n", 501},
	{"CONNECT", "CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n", 501},
	{"absolute form", "GET http://localhost/healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"other host in absolute form", "GET http://other/healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400},
	{"dot segment", "GET /v1/../healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"dot at the end", "GET /v1/.. HTTP/1.1\r\n" HOST "\r\n", 400},
	{"single dot", "GET /./healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded dots", "GET /v1/%2e%2e/healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded slash", "GET /v1%2fme HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded NUL", "GET /healthz%00 HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded NUL in the query", "GET /healthz?a=%00 HTTP/1.1\r\n" HOST "\r\n", 400},
	{"half an escape in the query", "GET /healthz?a=%f HTTP/1.1\r\n" HOST "\r\n", 400},
	{"double slash", "GET //healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"backslash", "GET /v1\\me HTTP/1.1\r\n" HOST "\r\n", 400},
	{"fragment", "GET /healthz#x HTTP/1.1\r\n" HOST "\r\n", 400},
	{"control character in the target", "GET /heal\x01thz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"tab in the target", "GET /heal\tthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"blank in the target", "GET /heal thz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"high bytes in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400},
	{"two blanks", "GET  /healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"body on GET", "GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 400},
	{"body on DELETE",
		"DELETE /v1/tokens/tok_" ID " HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\n\r\n{}",
		400},
	{"upgrade",
		"GET /healthz HTTP/1.1\r\n" HOST
		"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		400},
	{"option that names a field", "GET /healthz HTTP/1.1\r\n" HOST "Connection: Host\r\n\r\n",
		400},
	{"odd Expect", "GET /healthz HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n", 417},
	{"Trailer", "GET /healthz HTTP/1.1\r\n" HOST "Trailer: X\r\n\r\n", 400},
	{"method override",
		"POST /v1/users HTTP/1.1\r\n" HOST
		"X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n",
		400},
};

static void refuses_malformed_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		const struct answer *a = ask(malformed[i].text);

		if (a->status != malformed[i].status || !a->closed)
			fail_msg("%s: %u%s: %s", malformed[i].name, a->status,
				a->closed ? "" : ", not closed", a->text);
	}
	assert_int_equal(atomic_load(&fake.calls), 0);
}

/* libmicrohttpd 1.0 hangs up on some of them by itself, before we see the request. */
static void assert_refused(const char *text, size_t n)
{
	const struct answer *a = ask_bytes(text, n);

	if ((a->status != 400 && a->len > 0) || !a->closed)
		fail_msg("%s: %u%s: %s", text, a->status, a->closed ? "" : ", not closed", a->text);
}

static void refuses_nul_bytes(void **state)
{
	static const char target[] = "GET /v1/user\0s HTTP/1.1\r\n" HOST ADMIN "\r\n";
	static const char end[] = "GET /v1/users\0 HTTP/1.1\r\n" HOST ADMIN "\r\n";
	static const char value[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "X: a\0b\r\n\r\n";
	static const char line[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "\0X: b\r\n\r\n";
	static const char blank[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "X: a\0 \r\n\r\n";
	static const char folded[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "X: a\0 \r\n \r\n\r\n";
	static const char method[] = "GET\0X /v1/users HTTP/1.1\r\n" HOST ADMIN "\r\n";

	(void)state;
	assert_refused(target, sizeof(target) - 1);
	assert_refused(end, sizeof(end) - 1);
	assert_refused(value, sizeof(value) - 1);
	assert_refused(line, sizeof(line) - 1);
	assert_refused(blank, sizeof(blank) - 1);
	assert_refused(folded, sizeof(folded) - 1);
	assert_refused(method, sizeof(method) - 1);
	assert_int_equal(atomic_load(&fake.calls), 0);
	/* The same without a NUL arrives. */
	assert_int_equal(ask("GET /v1/users HTTP/1.1\r\n" HOST ADMIN "\r\n")->status, 200);
	assert_int_not_equal(atomic_load(&fake.calls), 0);
}

/* RFC 9112 5.1: blanks around a value are no part of it. */
static void takes_blanks_around_values(void **state)
{
	static const char *const fields[] = {
		"Authorization: Bearer admin \r\n",
		"Authorization: Bearer admin  \t\r\nX: y\r\n",
		"Authorization: \t Bearer admin\t \r\nX: y \r\nY: z  \r\n",
		"X: \r\n" ADMIN,
		"X:\r\nY: \t \r\n" ADMIN "Z:\r\n",
		ADMIN "X: \t\r\n",
		"X:y \r\nAuthorization:Bearer admin \r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct answer *a = request("GET /v1/users", fields[i], NULL);

		if (a->status != 200 || a->closed)
			fail_msg("%s: %u: %s", fields[i], a->status, a->text);
	}
	assert_int_equal(atomic_load(&fake.calls), ARRAY_SIZE(fields));
}

static void refuses_what_is_too_big(void **state)
{
	static char text[80000];
	size_t n;

	(void)state;
	/* 4 KiB and one byte, and far more than libmicrohttpd's memory */
	for (size_t len = 4097; len <= 40000; len += 35903) {
		n = (size_t)snprintf(text, sizeof(text), "GET /");
		memset(text + n, 'a', len - 1);
		n += len - 1;
		n += (size_t)snprintf(text + n, sizeof(text) - n, " HTTP/1.1\r\n" HOST "\r\n");
		assert_int_equal(ask_bytes(text, n)->status, 414);
	}
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 64; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X-%d: y\r\n", i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 431);
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST "X: ");
	memset(text + n, 'a', 17000);
	n += 17000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 431);
	n = (size_t)snprintf(text, sizeof(text),
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON "Content-Length: 65537\r\n\r\n");
	memset(text + n, ' ', 65537);
	assert_int_equal(ask_bytes(text, n + 65537)->status, 413);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void takes_the_largest_that_is_allowed(void **state)
{
	static char text[80000];
	size_t n;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 63; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X-%d: y\r\n", i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 200);
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST "X: ");
	memset(text + n, 'a', 16000);
	n += 16000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 200);
	n = (size_t)snprintf(text, sizeof(text),
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 65536\r\n\r\n{\"name\":\"ann\"");
	memset(text + n, ' ', 65536);
	text[n + 65536 - 13 - 1] = '}';
	assert_int_equal(ask_bytes(text, n + 65536 - 13)->status, 201);
}

static void an_answer_closes_the_door_to_what_follows(void **state)
{
	static struct answer a;
	const int fd = dial();
	const char *two = "GET /healthz HTTP/1.1\r\n" HOST HOST "\r\n"
			  "GET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n";

	(void)state;
	say(fd, two, strlen(two));
	hear(fd, &a);
	assert_int_equal(a.status, 400);
	assert_true(is_over(fd));
	close(fd);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void keeps_connections_and_answers_in_order(void **state)
{
	static struct answer a;
	const int fd = dial();
	const char *two = "\r\nGET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n"
			  "GET /v1/nothing HTTP/1.1\r\n" HOST ADMIN "\r\n";

	(void)state;
	for (int i = 0; i < 20; i++) {
		say(fd, "GET /healthz HTTP/1.1\r\n" HOST "\r\n", 40 + 2);
		hear(fd, &a);
		assert_int_equal(a.status, 200);
	}
	say(fd, two, strlen(two));
	hear(fd, &a);
	assert_int_equal(a.status, 200);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(refuses_malformed_requests, fresh),
		cmocka_unit_test_setup(refuses_nul_bytes, fresh),
		cmocka_unit_test_setup(takes_blanks_around_values, fresh),
		cmocka_unit_test_setup(refuses_what_is_too_big, fresh),
		cmocka_unit_test_setup(takes_the_largest_that_is_allowed, fresh),
		cmocka_unit_test_setup(an_answer_closes_the_door_to_what_follows, fresh),
		cmocka_unit_test_setup(keeps_connections_and_answers_in_order, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
