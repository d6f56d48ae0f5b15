/*
 * Requests and the statuses they get: paths, methods, queries, bodies, outcomes; the headers
 * that every answer carries.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/reply.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void unknown_paths_and_methods(void **state)
{
	const struct answer *a;

	(void)state;
	assert_int_equal(request("GET /v1/nothing", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/usr_" ID "/x", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /V1/users", ADMIN, NULL)->status, 404);
	a = request("DELETE /v1/users", ADMIN, NULL);
	assert_int_equal(a->status, 405);
	assert_non_null(strstr(a->text, "Allow: GET, HEAD, POST\r\n"));
	a = request("PUT /v1/users/usr_" ID, ADMIN, "{}");
	assert_int_equal(a->status, 405);
	assert_non_null(strstr(a->text, "Allow: GET, HEAD, PATCH, DELETE\r\n"));
	assert_int_equal(request("OPTIONS /v1/users", ADMIN, NULL)->status, 405);
	/* An id that is none is an object that is not there, but only for those who may ask. */
	assert_int_equal(request("GET /v1/users/usr_1", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/dev_" ID, ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/usr_1", "", NULL)->status, 401);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void answers_carry_the_standing_headers(void **state)
{
	static const char *const texts[] = {"GET /healthz HTTP/1.1\r\n" HOST "\r\n",
		"GET /nothing HTTP/1.1\r\n" HOST "\r\n", "GET /v1/me HTTP/1.1\r\n" HOST "\r\n",
		"GET /v1/me HTTP/1.1\r\n" HOST HOST "\r\n",
		"DELETE /v1/users/usr_" ID " HTTP/1.1\r\n" HOST ADMIN "\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct answer *a = ask(texts[i]);

		for (size_t k = 0; k < n_standing_headers; k++) {
			const bool there = strstr(a->text, standing_headers[k].name) != NULL;

			assert_true(there != standing_headers[k].tls_only);
		}
		assert_non_null(strstr(a->text, "Cache-Control: no-store\r\n"));
		assert_true((a->status == 401) ==
			    (strstr(a->text, "WWW-Authenticate: Bearer\r\n") != NULL));
		assert_null(strstr(a->text, "Access-Control"));
	}
}

static void head_is_like_get(void **state)
{
	const struct answer *a = ask_head("HEAD /healthz");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "Content-Length: 15\r\n"));
}

static void pages_continue(void **state)
{
	const struct answer *a = request("GET /v1/users?limit=1", ADMIN, NULL);
	char cursor[64] = "", line[128];
	const char *at = strstr(a->text, "\"next_cursor\":\"");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(at);
	assert_int_equal(sscanf(at, "\"next_cursor\":\"%63[^\"]", cursor), 1);
	snprintf(line, sizeof(line), "GET /v1/users?cursor=%s&limit=500", cursor);
	a = request(line, ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"next_cursor\":null"));
	/* Of another list. */
	snprintf(line, sizeof(line), "GET /v1/devices?cursor=%s", cursor);
	assert_int_equal(request(line, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?limit=0", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?limit=501", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?limit=1&limit=1", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?user_id=usr_" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/devices?user_id=usr_" ID, ADMIN, NULL)->status, 200);
	assert_int_equal(request("GET /v1/me?x=1", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?cursor=!", ADMIN, NULL)->status, 422);
}

static void bodies_are_strict(void **state)
{
	static const struct {
		const char *fields, *body;
		unsigned status;
	} cases[] = {
		{ADMIN, "{", 400},
		{ADMIN, "[]", 400},
		{ADMIN, "{\"name\":\"a\",\"name\":\"b\"}", 400},
		{ADMIN, "{\"name\":\"a\"} x", 400},
		{ADMIN, "{\"name\":\"\\u0000\"}", 400},
		{ADMIN, "{\"name\":\"\\ud800\"}", 400},
		{ADMIN, "{\"name\":\"\xff\"}", 400},
		{ADMIN, "{\"name\":\"a\",\"x\":1e400}", 400},
		{ADMIN, "{\"name\":1}", 422},
		{ADMIN, "{\"name\":\"a\",\"id\":\"usr_1\"}", 422},
		{ADMIN, "{\"name\":\"a\",\"groups\":[]}", 422},
		{ADMIN, "{\"name\":\"a\",\"role\":\"root\"}", 422},
		{ADMIN, "{}", 422},
		{ADMIN "Content-Type: text/plain\r\n", "{\"name\":\"a\"}", 415},
		{ADMIN "Content-Type: application/merge-patch+json\r\n", "{\"name\":\"a\"}", 415},
		{ADMIN "Content-Type: application/json; charset=latin1\r\n", "{\"name\":\"a\"}",
			415},
		{ADMIN "Content-Type: application/json; charset=utf-8\r\n", "{\"name\":\"a\"}",
			201},
		{ADMIN JSON "Content-Encoding: gzip\r\n", "{\"name\":\"a\"}", 415},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct answer *a = request("POST /v1/users", cases[i].fields, cases[i].body);

		if (a->status != cases[i].status)
			fail_msg("%s%s: %s", cases[i].fields, cases[i].body, a->text);
	}
	assert_int_equal(atomic_load(&fake.calls), 1);
	assert_int_equal(request("POST /v1/users", ADMIN, NULL)->status, 400);
	assert_int_equal(request("POST /v1/logout", ADMIN, "{}")->status, 400);
	assert_int_equal(request("PATCH /v1/users/usr_" ID,
				 ADMIN "Content-Type: application/merge-patch+json\r\n",
				 "{\"display_name\":null}")
				 ->status,
		200);
	assert_true(fake.user.set_display_name);
	assert_null(fake.user.display_name);
}

static void outcomes_become_statuses(void **state)
{
	static const struct {
		int outcome;
		unsigned status;
	} cases[] = {{SVC_INVALID, 422}, {SVC_FORBIDDEN, 403}, {SVC_NOT_FOUND, 404},
		{SVC_CONFLICT, 409}, {SVC_FULL, 409}, {SVC_PRECONDITION, 412},
		{SVC_RATE_LIMITED, 429}, {SVC_NO_SPACE, 507}, {SVC_UNAVAILABLE, 503}, {-EIO, 500},
		{99, 500}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct answer *a;

		atomic_store(&fake.outcome, cases[i].outcome);
		a = request("POST /v1/users", ADMIN, "{\"name\":\"a\"}");
		assert_int_equal(a->status, cases[i].status);
		assert_non_null(strstr(a->text, "Content-Type: application/problem+json\r\n"));
		assert_null(strstr(a->text, "Location"));
		assert_null(strstr(a->text, "usr_"));
		if (cases[i].status == 422)
			assert_non_null(strstr(a->text, "\"errors\":[{\"field\":\"name\","
							"\"message\":\"is \\\"odd\\\"\\n\"}]"));
		assert_true((cases[i].status == 429 || cases[i].status == 503) ==
			    (strstr(a->text, "Retry-After: 7\r\n") != NULL));
	}
	atomic_store(&fake.outcome, SVC_CONFLICT);
	assert_int_equal(request("GET /readyz", "", NULL)->status, 503);
	atomic_store(&fake.outcome, 0);
	assert_int_equal(request("GET /readyz", "", NULL)->status, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(unknown_paths_and_methods, fresh),
		cmocka_unit_test_setup(answers_carry_the_standing_headers, fresh),
		cmocka_unit_test_setup(head_is_like_get, fresh),
		cmocka_unit_test_setup(pages_continue, fresh),
		cmocka_unit_test_setup(bodies_are_strict, fresh),
		cmocka_unit_test_setup(outcomes_become_statuses, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
