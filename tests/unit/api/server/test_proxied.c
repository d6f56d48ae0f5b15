/*
 * Whose request it is when a proxy sent it: limits, logins and audit rows go by what is told to the
 * service, who is local by the connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addr.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

#define LOGIN "{\"username\":\"ann\",\"password\":\"right\"}"

static const char *from(void)
{
	static char text[IP_ADDR_TEXT];

	return ip_addr_format(&fake.from, text);
}

static void a_proxy_says_whose_request_it_is(void **state)
{
	struct ip_prefix trusted[2];

	(void)state;
	assert_int_equal(ip_prefix_parse(&trusted[0], "127.0.0.1"), 0);
	assert_int_equal(ip_prefix_parse(&trusted[1], "10.0.0.0/8"), 0);
	another_serves("127.0.0.1:0",
		(struct api_conf){.proxies = trusted, .n_proxies = ARRAY_SIZE(trusted)});
	assert_int_equal(request("POST /v1/login", "", LOGIN)->status, 200);
	assert_string_equal(from(), "127.0.0.1");
	assert_int_equal(request("POST /v1/login",
				 "X-Forwarded-For: 192.0.2.1, 198.51.100.7, 10.1.2.3\r\n", LOGIN)
				 ->status,
		200);
	assert_string_equal(from(), "198.51.100.7");
	assert_int_equal(
		request("GET /v1/users",
			ADMIN "X-Forwarded-For: 192.0.2.1\r\nX-Other: 1\r\n"
			      "x-forwarded-for: [2001:db8::7]:80\r\nX-Forwarded-Proto: https\r\n",
			NULL)
			->status,
		200);
	assert_string_equal(from(), "2001:db8::7");
	assert_int_equal(
		request("POST /i/abc", "X-Forwarded-For: 192.0.2.1,unknown\r\n", NULL)->status,
		200);
	assert_string_equal(from(), "127.0.0.1");
	the_first_serves();
}

static void nobody_becomes_local_by_it(void **state)
{
	struct ip_prefix trusted;

	(void)state;
	assert_int_equal(ip_prefix_parse(&trusted, "127.0.0.1"), 0);
	another_serves("127.0.0.1:0", (struct api_conf){.proxies = &trusted, .n_proxies = 1});
	assert_int_equal(request("GET /metrics", "", NULL)->status, 200);
	assert_int_equal(
		request("GET /metrics", "X-Forwarded-For: 127.0.0.1\r\n", NULL)->status, 401);
	assert_int_equal(request("GET /metrics", "X-Forwarded-For: ::1\r\n", NULL)->status, 401);
	assert_int_equal(request("GET /metrics", "X-Forwarded-For:\r\n", NULL)->status, 401);
	assert_int_equal(request("GET /metrics", "X-Forwarded-Proto: http\r\n", NULL)->status, 401);
	the_first_serves();
}

static void nobody_else_is_believed(void **state)
{
	(void)state;
	assert_int_equal(
		request("POST /v1/login", "X-Forwarded-For: 192.0.2.1\r\n", LOGIN)->status, 200);
	assert_string_equal(from(), "127.0.0.1");
	assert_int_equal(
		request("GET /v1/users", ADMIN "X-Forwarded-For: 192.0.2.1\r\n", NULL)->status,
		200);
	assert_string_equal(from(), "127.0.0.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_proxy_says_whose_request_it_is, fresh),
		cmocka_unit_test_setup(nobody_becomes_local_by_it, fresh),
		cmocka_unit_test_setup(nobody_else_is_believed, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
