/* The framing police on synthetic heads: what libmicrohttpd would have hidden as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/police.h"

static struct head plain(void)
{
	static const char target[] = "/v1/users?limit=1";
	struct head h = {.method = "GET",
		.target = target,
		.target_len = sizeof(target) - 1,
		.version = "HTTP/1.1",
		.size = 100,
		.n_fields = 1};

	h.fields[0] = (struct head_field){"host", "localhost:8080", 4, 14};
	return h;
}

static void add(struct head *h, const char *name, const char *value)
{
	h->fields[h->n_fields++] = (struct head_field){name, value, strlen(name), strlen(value)};
}

static unsigned check(const struct head *h)
{
	struct admitted a;
	const char *why = NULL;
	const unsigned status = police_check(h, &a, &why);

	assert_true((status == 0) == (why == NULL));
	return status;
}

static unsigned with(const char *method, const char *name, const char *value)
{
	struct head h = plain();

	h.method = method;
	add(&h, name, value);
	return check(&h);
}

static unsigned to(const char *target)
{
	struct head h = plain();

	h.target = target;
	h.target_len = strlen(target);
	return check(&h);
}

static void lets_plain_requests_pass(void **state)
{
	struct head h = plain();
	struct admitted a;
	const char *why;

	(void)state;
	h.method = "POST";
	add(&h, "Content-Length", " 12\t");
	add(&h, "AUTHORIZATION", "Bearer x");
	add(&h, "connection", "keep-alive, TE");
	add(&h, "Expect", "100-Continue");
	add(&h, "X-Latin", "caf\xe9");
	add(&h, "X-Empty", "");
	assert_int_equal(police_check(&h, &a, &why), 0);
	assert_int_equal(a.method, HTTP_POST);
	assert_int_equal(a.body_len, 12);
	assert_true(span_is(a.path, "/v1/users"));
	assert_true(span_is(a.query, "limit=1"));
	assert_true(span_is(a.authorization, "bearer x"));
	assert_null(a.cookie.at);
}

static void one_host(void **state)
{
	static const char *const good[] = {
		"a", "a.b-c_d~", "1.2.3.4:65535", "[::1]", "[fe80::1]:80", "[::ffff:1.2.3.4]"};
	static const char *const bad[] = {"", " ", ":80", "a:", "a:123456", "a:8 0", "a b", "a/b",
		"a@b", "[::1", "[]", "[::1]x", "[::1%1]", "a,b", "a\\b", "%61", "\xc3\xa9",
		"a:80:80"};
	struct head h = plain();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		h.fields[0].value = good[i];
		h.fields[0].value_len = strlen(good[i]);
		assert_int_equal(check(&h), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		h.fields[0].value = bad[i];
		h.fields[0].value_len = strlen(bad[i]);
		assert_int_equal(check(&h), 400);
	}
	h = plain();
	add(&h, "HOST", "localhost:8080");
	assert_int_equal(check(&h), 400);
	h.n_fields = 0;
	assert_int_equal(check(&h), 400);
}

static void one_plain_length(void **state)
{
	static const char *const bad[] = {"", "+1", "-1", "1,1", "1 1", "0x1", "1.0", "1e3", "a",
		"1234567890123456789", "\xd9\xa1"};

	(void)state;
	assert_int_equal(with("POST", "Content-Length", "0"), 0);
	assert_int_equal(with("POST", "Content-Length", "007"), 0);
	assert_int_equal(with("POST", "Content-Length", "123456789012345678"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(with("POST", "Content-Length", bad[i]), 400);
	assert_int_equal(with("GET", "Content-Length", "0"), 0);
	assert_int_equal(with("GET", "Content-Length", "1"), 400);
	assert_int_equal(with("HEAD", "Content-Length", "1"), 400);
	assert_int_equal(with("DELETE", "Content-Length", "1"), 400);
	assert_int_equal(with("OPTIONS", "Content-Length", "1"), 400);
}

static void no_other_framing(void **state)
{
	(void)state;
	assert_int_equal(with("POST", "Transfer-Encoding", "chunked"), 400);
	assert_int_equal(with("POST", "transfer-encoding", ""), 400);
	assert_int_equal(with("GET", "Upgrade", "h2c"), 400);
	assert_int_equal(with("GET", "Connection", "upgrade"), 400);
	assert_int_equal(with("GET", "Connection", "close, content-length"), 400);
	assert_int_equal(with("GET", "Trailer", "x"), 400);
	assert_int_equal(with("GET", "Expect", "nothing"), 417);
	assert_int_equal(with("GET", "Connection", ",, close ,"), 0);
}

static void names_and_values(void **state)
{
	struct head h = plain();

	(void)state;
	assert_int_equal(with("GET", "", "a"), 400);
	assert_int_equal(with("GET", "a ", "a"), 400);
	assert_int_equal(with("GET", " a", "a"), 400);
	assert_int_equal(with("GET", "a\tb", "a"), 400);
	assert_int_equal(with("GET", "a\"b", "a"), 400);
	assert_int_equal(with("GET", "a\xe9", "a"), 400);
	assert_int_equal(with("GET", "a", "b\rc"), 400);
	assert_int_equal(with("GET", "a", "b\x7f"), 400);
	assert_int_equal(with("GET", "a", "b\tc"), 0);
	h.n_fields = 2;
	h.fields[1] = (struct head_field){"a", "b\0c", 1, 3};
	assert_int_equal(check(&h), 400);
	h.fields[1] = (struct head_field){"a\0b", "c", 3, 1};
	assert_int_equal(check(&h), 400);
}

static void singles(void **state)
{
	static const char *const names[] = {"Content-Length", "Content-Type", "Authorization",
		"Cookie", "X-CSRF-Token", "Origin", "If-Match", "Expect", "If-None-Match",
		"Idempotency-Key", "Sec-Fetch-Site"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct head h = plain();
		const char *value = i == 0 ? "0" : i == 7 ? "100-continue" : "x";

		add(&h, names[i], value);
		assert_int_equal(check(&h), 0);
		add(&h, names[i], value);
		assert_int_equal(check(&h), 400);
	}
	assert_int_equal(with("GET", "Accept", "x"), 0);
}

static void targets(void **state)
{
	static const char *const good[] = {"/", "/a", "/a/", "/a/b.c", "/...", "/a..b", "/.a",
		"/a?", "/a?b=%20&c=/?", "/a?b=%2e"};
	static const char *const bad[] = {"", "a", "*", "http://a/", "//", "/a//b", "/a//", "/.",
		"/..", "/a/./b", "/a/..", "/a/../b", "/%41", "/%2e", "/a\\b", "/a b", "/a\tb",
		"/a#b", "/a\x01", "/a\x7f", "/\xff", "/a\"", "/a<", "/a?b c", "/a?%", "/a?%4",
		"/a?%zz", "/a?%00", "/a?\\", "/a?#", "/a?\x01", "/a?\xff", "/{", "/|", "/^"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (to(good[i]) != 0)
			fail_msg("%s", good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (to(bad[i]) != 400)
			fail_msg("%s", bad[i]);
	}
}

static void lines(void **state)
{
	static const char *const versions[] = {
		"", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 "};
	static const char *const methods[] = {"", "get", "GETX", "TRACE", "CONNECT", "PRI"};
	struct head h;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		h = plain();
		h.version = versions[i];
		assert_int_equal(check(&h), 505);
	}
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		h = plain();
		h.method = methods[i];
		assert_int_equal(check(&h), 501);
	}
	h = plain();
	h.ragged = true;
	assert_int_equal(check(&h), 400);
}

static void sizes(void **state)
{
	struct head h = plain();

	(void)state;
	h.size = POLICE_HEAD_MAX;
	assert_int_equal(check(&h), 0);
	h.size++;
	assert_int_equal(check(&h), 431);
	h = plain();
	while (h.n_fields < POLICE_FIELDS_MAX)
		add(&h, "a", "b");
	assert_int_equal(check(&h), 0);
	h.n_fields++;
	assert_int_equal(check(&h), 431);
	/* Only as much of a target as is allowed was kept. */
	h = plain();
	h.target_len = POLICE_TARGET_MAX + 1;
	assert_int_equal(check(&h), 414);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_plain_requests_pass),
		cmocka_unit_test(one_host),
		cmocka_unit_test(one_plain_length),
		cmocka_unit_test(no_other_framing),
		cmocka_unit_test(names_and_values),
		cmocka_unit_test(singles),
		cmocka_unit_test(targets),
		cmocka_unit_test(lines),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
