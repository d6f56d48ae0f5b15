/* Entity tags: If-Match before a change, If-None-Match before an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void preconditions(void **state)
{
	static const char *const never[] = {"\"4\"", "\"0\"", "5", "W/\"5\"", "\"5\", \"6\"",
		"\"\"", "\"05\"", "\"99999999999999999999\""};
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-Match: %s\r\n", never[i]);
		assert_int_equal(request("PATCH /v1/users/usr_" ID, fields, "{}")->status, 412);
	}
	assert_int_equal(
		request("PATCH /v1/users/usr_" ID, ADMIN "If-Match: \"5\"\r\n", "{}")->status, 200);
	assert_int_equal(
		request("PATCH /v1/users/usr_" ID, ADMIN "If-Match: *\r\n", "{}")->status, 200);
}

/* What a tag has behind the revision changes without an edit, so it is not compared. */
static void preconditions_of_live_objects(void **state)
{
	static const char *const never[] = {"\"8.0123456789abcdef\"", "\"9.\"",
		"\"9.0123456789abcde\"", "\"9.0123456789abcdef0\"", "\"9.0123456789abcdeg\"",
		"\"9.0123456789ABCDEF\"", "\".0123456789abcdef\"", "W/\"9.0123456789abcdef\""};
	static const char *const fine[] = {"\"9\"", "\"9.0123456789abcdef\"", "*"};
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-Match: %s\r\n", never[i]);
		if (request("DELETE /v1/devices/dev_" ID, fields, NULL)->status != 412)
			fail_msg("%s", never[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-Match: %s\r\n", fine[i]);
		if (request("DELETE /v1/devices/dev_" ID, fields, NULL)->status != 204)
			fail_msg("%s", fine[i]);
	}
}

static void what_has_no_etag_matches_none(void **state)
{
	static const char *const lines[] = {"DELETE /v1/credentials/crd_" ID,
		"DELETE /v1/tokens/tok_" ID, "DELETE /v1/sessions/ses_" ID,
		"DELETE /v1/invites/inv_" ID};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const int before = atomic_load(&fake.calls);

		assert_int_equal(request(lines[i], ADMIN "If-Match: \"1\"\r\n", NULL)->status, 412);
		assert_int_equal(atomic_load(&fake.calls), before);
		assert_int_equal(request(lines[i], ADMIN "If-Match: *\r\n", NULL)->status, 204);
		assert_int_equal(request(lines[i], ADMIN, NULL)->status, 204);
	}
}

static void unchanged_is_not_sent_again(void **state)
{
	static const char *const lists[] = {"%s", "W/%s", "\"other\", %s", "%s ,\"x\"", "*"};
	static const char *const other[] = {"\"5x\"", "5", "\"\"", ",", "\"4\", \"6\""};
	const struct answer *a = request("GET /v1/users/usr_" ID, ADMIN, NULL);
	char etag[96], value[128], fields[256];

	(void)state;
	header_of(a, "ETag: ", etag);
	assert_string_equal(etag, "\"5\"");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(value, sizeof(value), lists[i], etag);
#pragma GCC diagnostic pop
		snprintf(fields, sizeof(fields), ADMIN "If-None-Match: %s\r\n", value);
		a = request("GET /v1/users/usr_" ID, fields, NULL);
		if (a->status != 304 || strstr(a->text, "created_at") ||
			!strstr(a->text, "ETag: \"5\"\r\n"))
			fail_msg("%s: %s", value, a->text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-None-Match: %s\r\n", other[i]);
		assert_int_equal(request("GET /v1/users/usr_" ID, fields, NULL)->status, 200);
	}
	/* Only for what is read, only for those who may read it. */
	assert_int_equal(
		request("PATCH /v1/users/usr_" ID, ADMIN "If-None-Match: \"5\"\r\n", "{}")->status,
		200);
	assert_int_equal(
		request("GET /v1/users/usr_" ID, "If-None-Match: *\r\n", NULL)->status, 401);
}

/* Its counters move: what was sent is stale although nobody edited it. */
static void a_devices_tag_follows_its_status(void **state)
{
	char before[96], after[96], fields[256];
	const struct answer *a = request("GET /v1/devices/dev_" ID, ADMIN, NULL);

	(void)state;
	header_of(a, "ETag: ", before);
	assert_memory_equal(before, "\"9.", 3);
	snprintf(fields, sizeof(fields), ADMIN "If-None-Match: %s\r\n", before);
	assert_int_equal(request("GET /v1/devices/dev_" ID, fields, NULL)->status, 304);
	fake.openvpn = true;
	a = request("GET /v1/devices/dev_" ID, fields, NULL);
	assert_int_equal(a->status, 200);
	header_of(a, "ETag: ", after);
	assert_string_not_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(preconditions, fresh),
		cmocka_unit_test_setup(preconditions_of_live_objects, fresh),
		cmocka_unit_test_setup(what_has_no_etag_matches_none, fresh),
		cmocka_unit_test_setup(unchanged_is_not_sent_again, fresh),
		cmocka_unit_test_setup(a_devices_tag_follows_its_status, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
