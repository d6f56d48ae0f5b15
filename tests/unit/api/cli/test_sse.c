/* Server-sent events, cut at every place; what is too long; what is not for us. */
#include "api/cli/sse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
	char text[1024];
};

static void on_event(void *arg, const struct sse_event *e)
{
	struct seen *s = arg;
	const size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "<%s|%s|%s>", e->id, e->type, e->data);
}

/* Fed in pieces of so many bytes. */
static void parse(const char *bytes, size_t n, size_t piece, struct seen *s)
{
	struct sse p = {.id = ""};

	memset(s, 0, sizeof(*s));
	sse_init(&p, on_event, s);
	for (size_t at = 0; at < n; at += piece)
		assert_int_equal(sse_feed(&p, bytes + at, n - at < piece ? n - at : piece), 0);
	sse_fini(&p);
}

static void expect(const char *bytes, const char *want)
{
	const size_t n = strlen(bytes);
	struct seen s;

	for (size_t piece = 1; piece <= n; piece++) {
		parse(bytes, n, piece, &s);
		assert_string_equal(s.text, want);
	}
}

static void events_in_all_their_forms(void **state)
{
	(void)state;
	expect("data: a\n\n", "<|message|a>");
	expect("\xef\xbb\xbf"
	       "data:a\r\n\r\n",
		"<|message|a>");
	expect("id: 7\revent: traffic\rdata: {\"x\":1}\r\r", "<7|traffic|{\"x\":1}>");
	expect("data: a\ndata: b\ndata\n\n", "<|message|a\nb\n>");
	expect("data:  two\n\n", "<|message| two>");
	expect(": heartbeat\n\n: again\n\ndata: x\n\n", "<|message|x>");
	expect("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
		"<1|message|a><1|message|b><|message|c>");
	expect("event: lost\n\ndata: x\n\n", "<|message|x>"); /* without data there is none */
	expect("data: never ended", "");
	expect("data: never ended\n", "");
	expect("unknown: x\nDATA: x\ndata: y\n\n", "<|message|y>");
}

/* It goes into a header of the next request. */
static void ids_that_are_no_header_are_not_taken(void **state)
{
	struct sse p = {.id = ""};
	struct seen s = {.text = ""};
	static const char bytes[] =
		"id: 5\ndata: a\n\nid: x y\ndata: b\n\nid: \xc3\xa9\ndata: c\n\n";

	(void)state;
	sse_init(&p, on_event, &s);
	assert_int_equal(sse_feed(&p, bytes, strlen(bytes)), 0);
	assert_string_equal(s.text, "<5|message|a><5|message|b><5|message|c>");
	sse_fini(&p);
	/* A next connection goes on behind it. */
	sse_init(&p, on_event, &s);
	assert_string_equal(p.id, "5");
	sse_fini(&p);
}

static void retry(void **state)
{
	struct sse p = {.id = ""};
	struct seen s = {.text = ""};

	(void)state;
	sse_init(&p, on_event, &s);
	assert_int_equal(sse_feed(&p, "retry: 2500\n\n", 13), 0);
	assert_int_equal(p.retry_ms, 2500);
	assert_int_equal(sse_feed(&p, "retry: -1\nretry: x\nretry: 99999999999\n", 38), 0);
	assert_int_equal(p.retry_ms, 2500);
	sse_fini(&p);
}

static void what_has_no_end_is_ended(void **state)
{
	static const char *const begins[] = {"data: ", "", ": "};
	char piece[4096];

	(void)state;
	memset(piece, 'x', sizeof(piece));
	for (size_t i = 0; i < 3; i++) {
		struct sse p = {.id = ""};
		struct seen s = {.text = ""};
		size_t fed = 0;
		int rc;

		sse_init(&p, on_event, &s);
		rc = sse_feed(&p, begins[i], strlen(begins[i]));
		while (rc == 0 && fed < 2 * SSE_MAX) {
			rc = sse_feed(&p, piece, sizeof(piece));
			fed += sizeof(piece);
		}
		assert_int_equal(rc, -EMSGSIZE);
		assert_true(fed <= SSE_MAX + sizeof(piece));
		sse_fini(&p);
	}
}

/* Many lines of data are bounded together. */
static void many_lines_are_bounded(void **state)
{
	struct sse p = {.id = ""};
	struct seen s = {.text = ""};
	int rc = 0;

	(void)state;
	sse_init(&p, on_event, &s);
	for (size_t n = 0; rc == 0 && n < SSE_MAX; n += 8)
		rc = sse_feed(&p, "data:1234567890\n", 16);
	assert_int_equal(rc, -EMSGSIZE);
	sse_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_in_all_their_forms),
		cmocka_unit_test(ids_that_are_no_header_are_not_taken),
		cmocka_unit_test(retry),
		cmocka_unit_test(what_has_no_end_is_ended),
		cmocka_unit_test(many_lines_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
