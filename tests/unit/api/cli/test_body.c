/* What stands in a request: members of its body from options, what its query asks for. */
#include "api/cli/body.h"
#include "api/cli/find.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void only_what_was_given(void **state)
{
	JSON_OWNED body = json_object();

	(void)state;
	body_put(body, "role", NULL);
	body_put(NULL, "role", "admin");
	assert_int_equal(json_object_size(body), 0);
	body_put(body, "role", "admin");
	body_put(body, "role", "user");
	assert_int_equal(json_object_size(body), 1);
	assert_string_equal(rest_text(body, "role"), "user");
}

static void an_end_is_a_time_or_a_span(void **state)
{
	JSON_OWNED body = json_object();
	struct args a = {0};

	(void)state;
	body_put_expiry(body, &a);
	a.value[OPT_EXPIRES] = "soon"; /* what args_parse refuses */
	body_put_expiry(body, &a);
	assert_int_equal(json_object_size(body), 0);
	a.value[OPT_EXPIRES] = "2031-01-02T03:04:05Z";
	body_put_expiry(body, &a);
	assert_string_equal(rest_text(body, "expires_at"), "2031-01-02T03:04:05.000Z");
	a.value[OPT_EXPIRES] = "2h";
	body_put_expiry(body, &a);
	assert_string_not_equal(rest_text(body, "expires_at"), "2031-01-02T03:04:05.000Z");
	assert_int_equal(strncmp(rest_text(body, "expires_at"), "20", 2), 0);
}

static void queries_grow(void **state)
{
	char path[PATH_TEXT] = "/v1/audit", small[20] = "/v1/audit", at_most[200];

	(void)state;
	rest_query(path, sizeof(path), "user", NULL);
	assert_string_equal(path, "/v1/audit");
	rest_query(path, sizeof(path), "user", "a b&c");
	rest_query(path, sizeof(path), "to", "1?");
	assert_string_equal(path, "/v1/audit?user=a%20b%26c&to=1%3F");
	rest_query(small, sizeof(small), "user", "a long one");
	assert_string_equal(small, "/v1/audit?user=a%20");
	memset(at_most, 'x', sizeof(at_most) - 1);
	at_most[sizeof(at_most) - 1] = '\0';
	snprintf(path, sizeof(path), "/v1/audit");
	rest_query(path, sizeof(path), "user", at_most);
	assert_string_equal(path, "/v1/audit?user=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_given),
		cmocka_unit_test(an_end_is_a_time_or_a_span),
		cmocka_unit_test(queries_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
