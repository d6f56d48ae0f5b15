/*
 * Requests that may be repeated: the Idempotency-Key, what is remembered of an answer, and what
 * is the same request.
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

#include "service/once.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

#define KEY "Idempotency-Key: k1\r\n"

static void keys_that_cant_be_taken(void **state)
{
	static char fields[600], key[300];
	const struct answer *a;

	(void)state;
	memset(key, 'k', 256);
	for (int i = 0; i < 3; i++) {
		const char *bad[] = {"", key, "\xc3\xa9"};

		snprintf(fields, sizeof(fields), ADMIN "Idempotency-Key: %s\r\n", bad[i]);
		a = request("POST /v1/users", fields, "{\"name\":\"a\"}");
		assert_int_equal(a->status, 400);
		assert_non_null(strstr(a->text, "\"field\":\"Idempotency-Key\""));
	}
	a = request("POST /v1/users", ADMIN KEY KEY, "{\"name\":\"a\"}");
	assert_int_equal(a->status, 400);
	assert_int_equal(fake.begun, 0);
	assert_int_equal(atomic_load(&fake.calls), 0);
	key[255] = '\0';
	snprintf(fields, sizeof(fields), ADMIN "Idempotency-Key: %s\r\n", key);
	assert_int_equal(request("POST /v1/users", fields, "{\"name\":\"a\"}")->status, 201);
	assert_int_equal(fake.begun, 1);
}

/* What is stored is what is sent, byte for byte. */
static void the_answer_is_made_in_the_transaction(void **state)
{
	static const struct {
		const char *line, *body;
	} makes[] = {
		{"POST /v1/users", "{\"name\":\"a\"}"}, {"POST /v1/devices", "{\"name\":\"a\"}"}};
	const struct answer *a;
	char value[96];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(makes); i++) {
		a = request(makes[i].line, ADMIN KEY, makes[i].body);
		assert_int_equal(a->status, 201);
		assert_int_equal(fake.rendered, 0);
		assert_int_equal(fake.answer.status, 201);
		assert_string_equal(strstr(a->text, "\r\n\r\n") + 4, fake.answer.body);
		header_of(a, "Location: ", value);
		assert_string_equal(value, fake.answer.location);
		assert_string_equal(value, fake.location);
		header_of(a, "ETag: ", value);
		assert_string_equal(value, fake.answer.etag);
		assert_null(strstr(a->text, "Idempotency-Replayed"));
		assert_true(fake.remembered);
		assert_int_equal(fake.begun, (int)i + 1);
		assert_int_equal(fake.ended, fake.begun);
		svc_answer_fini(&fake.answer);
	}
}

static void repeats_are_answered_as_before(void **state)
{
	const struct answer *a;

	(void)state;
	fake.once = ONCE_REPEAT;
	a = request("POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Idempotency-Replayed: true\r\n"));
	assert_non_null(strstr(a->text, "Location: /v1/users/usr_first\r\n"));
	assert_non_null(strstr(a->text, "ETag: \"1\"\r\n"));
	assert_non_null(strstr(a->text, "\r\n\r\n{\"first\":true}"));
	fake.once = SVC_CONFLICT;
	a = request("POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}");
	assert_int_equal(a->status, 409);
	assert_non_null(strstr(a->text, "Retry-After: 3\r\n"));
	fake.once = -EIO;
	assert_int_equal(request("POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}")->status, 500);
	assert_int_equal(atomic_load(&fake.calls), 0);
	assert_int_equal(fake.ended, 0);
}

static void only_success_is_remembered(void **state)
{
	(void)state;
	atomic_store(&fake.outcome, SVC_CONFLICT);
	assert_int_equal(request("POST /v1/tokens", ADMIN KEY, "{\"name\":\"a\"}")->status, 409);
	assert_int_equal(fake.ended, 1);
	assert_false(fake.remembered);
	/* What is refused before is not even looked at. */
	assert_int_equal(request("POST /v1/tokens", ADMIN KEY, "{\"name\":1}")->status, 422);
	assert_int_equal(request("POST /v1/tokens", KEY, "{\"name\":\"a\"}")->status, 401);
	assert_int_equal(fake.begun, 1);
}

/* Path, body and role make a request what it is; headers don't. */
static void requests_differ(void **state)
{
	static const struct {
		const char *line, *fields, *body;
		bool same;
	} cases[] = {
		{"POST /v1/tokens", ADMIN KEY, "{\"name\":\"a\"}", true},
		{"POST /v1/tokens", ADMIN KEY "X-Request: 2\r\n", "{\"name\":\"a\"}", true},
		{"POST /v1/tokens", ADMIN KEY, "{\"name\":\"b\"}", false},
		{"POST /v1/tokens", ADMIN KEY, "{\"name\":\"a\"} ", false},
		{"POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}", false},
		{"POST /v1/tokens", "Authorization: Bearer operator\r\n" KEY, "{\"name\":\"a\"}",
			false},
	};
	uint8_t first[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		request(cases[i].line, cases[i].fields, cases[i].body);
		svc_answer_fini(&fake.answer);
		assert_int_equal(fake.begun, (int)i + 1);
		if (i == 0)
			memcpy(first, fake.request_sha256, sizeof(first));
		assert_int_equal(memcmp(first, fake.request_sha256, 32) == 0, cases[i].same);
	}
}

static void what_makes_nothing_is_not_remembered(void **state)
{
	(void)state;
	request("POST /v1/logout", ADMIN KEY, NULL);
	request("POST /v1/tokens", "Authorization: Bearer auditor\r\n" KEY, "{\"name\":\"a\"}");
	request("PATCH /v1/users/usr_" ID, ADMIN KEY, "{}");
	request("DELETE /v1/users/usr_" ID, ADMIN KEY, NULL);
	request("POST /v1/login", KEY, "{\"username\":\"a\",\"password\":\"right\"}");
	assert_int_equal(fake.begun, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keys_that_cant_be_taken, fresh),
		cmocka_unit_test_setup(the_answer_is_made_in_the_transaction, fresh),
		cmocka_unit_test_setup(repeats_are_answered_as_before, fresh),
		cmocka_unit_test_setup(only_success_is_remembered, fresh),
		cmocka_unit_test_setup(requests_differ, fresh),
		cmocka_unit_test_setup(what_makes_nothing_is_not_remembered, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
