/* Answers: escaping, what stands and what does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/memory.h"
#include "api/reply.h"

static int adopt(void **state)
{
	(void)state;
	memory_adopt_json();
	return 0;
}

static void text_is_escaped(void **state)
{
	static const char nasty[] = "\"\\\n\r\t\x01</script>\x7f\xe2\x80\xae\xf0\x9f\x94\x91";
	struct reply r = {.status = 0};
	json_t *back;

	(void)state;
	reply_json(&r, 200, json_pack("{s:s}", "name", nasty));
	assert_int_equal(r.status, 200);
	for (size_t i = 0; i < r.len; i++)
		assert_true((unsigned char)r.body[i] >= 0x20);
	back = json_loadb(r.body, r.len, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(back, "name")), nasty);
	json_decref(back);
	reply_fini(&r);
}

static void the_first_answer_stands(void **state)
{
	struct reply r = {.status = 0};
	size_t len;

	(void)state;
	reply_problem(&r, 401, "no");
	len = r.len;
	reply_json(&r, 200, json_pack("{s:s}", "secret", "x"));
	reply_problem(&r, 500, "later");
	reply_empty(&r, 204);
	reply_outcome(&r, SVC_CONFLICT, &(struct svc_error){.field = ""});
	assert_int_equal(r.status, 401);
	assert_int_equal(r.len, len);
	assert_null(strstr(r.body, "secret"));
	reply_fini(&r);
	assert_null(r.body);
}

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static void tags_are_read_to_the_letter(void **state)
{
	static const struct {
		const char *tag;
		uint64_t revision; /* 0: it is none of ours */
	} cases[] = {{"\"1\"", 1}, {"\"999999999999999999\"", 999999999999999999},
		{"\"1234567890123456789\"", 0}, {"\"7.0123456789abcdef\"", 7}, {"\"7.\"", 0},
		{"\"7.0123456789abcde\"", 0}, {"\"7.0123456789abcdef0\"", 0},
		{"\"7.0123456789abcdeF\"", 0}, {"\"7,0123456789abcdef\"", 0}, {"\"\"", 0},
		{"\"0\"", 0}, {"\"01\"", 0}, {"7", 0}, {"\"7", 0}, {"7\"", 0}, {"\"", 0},
		{"\"7 \"", 0}, {"\".0123456789abcdef\"", 0}, {"W/\"7\"", 0}, {"", 0}};
	const char nul[] = "\"7.0123456789abcde\0\"";
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const bool ok = etag_parse(span_of(cases[i].tag), &n);

		if (ok != (cases[i].revision != 0) || (ok && n != cases[i].revision))
			fail_msg("%s", cases[i].tag);
	}
	assert_false(etag_parse((struct span){nul, sizeof(nul) - 1}, &n));
}

/* Copies of exact length, so that the sanitizers see a byte too far. */
static void no_tag_is_read_too_far(void **state)
{
	static const char alphabet[] = "\"\"\"19.af,, W/*";
	uint32_t seed = 12345;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct reply r = {.status = 200, .etag = "\"19\""};
		const size_t n = (seed >> 16) % 24;
		char *text = malloc(n ? n : 1);
		uint64_t revision;

		for (size_t k = 0; k < n; k++) {
			seed = seed * 1103515245 + 12345;
			text[k] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		seed = seed * 1103515245 + 12345;
		if (etag_parse((struct span){text, n}, &revision))
			assert_true(revision > 0 && n >= 3);
		reply_unless_match(&r, (struct span){text, n});
		if (r.status == 304)
			assert_true((n == 1 && text[0] == '*') || memmem(text, n, r.etag, 4));
		free(text);
	}
}

static void only_what_was_found_can_be_unchanged(void **state)
{
	static const unsigned statuses[] = {201, 204, 404, 500};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct reply r = {.status = statuses[i], .etag = "\"1\""};

		reply_unless_match(&r, span_of("*"));
		assert_int_equal(r.status, statuses[i]);
	}
	struct reply bare = {.status = 200};

	reply_unless_match(&bare, span_of("*"));
	assert_int_equal(bare.status, 200);
}

static void constants_belong_to_nobody(void **state)
{
	struct reply r = {.etag = "\"a-gzip\""};

	(void)state;
	reply_constant(&r, 200, "text/css", "abc", 3);
	reply_constant(&r, 200, "text/html", "x", 1);
	r.encoding = "gzip";
	assert_int_equal(r.status, 200);
	assert_string_equal(r.type, "text/css");
	assert_string_equal(r.constant, "abc");
	reply_unless_match(&r, span_of("\"a\""));
	assert_int_equal(r.status, 200);
	reply_unless_match(&r, span_of("\"a\", \"a-gzip\""));
	assert_int_equal(r.status, 304);
	assert_int_equal(r.len, 0);
	assert_null(r.constant);
	assert_null(r.encoding);
	reply_fini(&r);
}

static void what_can_not_be_built_is_500(void **state)
{
	struct reply r = {.status = 0};

	(void)state;
	reply_etag(&r, 3);
	reply_location(&r, "/v1/users", "usr_x");
	memcpy(r.cookie, "ireko=x", 8);
	/* Not UTF-8. */
	reply_json(&r, 201, json_pack("{s:s}", "name", "\xff"));
	assert_int_equal(r.status, 500);
	assert_string_equal(r.etag, "");
	assert_string_equal(r.location, "");
	assert_string_equal(r.cookie, "");
	assert_string_equal(r.type, "application/problem+json");
	reply_fini(&r);
}

static void problems_say_what_and_where(void **state)
{
	struct field_errors e = {.n = 0};
	struct reply r = {.status = 0};

	(void)state;
	field_errors_add(&e, "na\"me", "is longer than %d bytes", 64);
	reply_fields(&r, 422, "Some fields can't be taken.", &e);
	assert_string_equal(r.body,
		"{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
		"\"detail\":\"Some fields can't be taken.\",\"errors\":[{\"field\":\"na\\\"me\","
		"\"message\":\"is longer than 64 bytes\"}]}");
	reply_fini(&r);
}

static void strangers_learn_nothing(void **state)
{
	const struct svc_error e = {.field = "name", .message = "belongs to bob"};
	static const int outcomes[] = {SVC_UNAUTHENTICATED, SVC_NOT_FOUND, -EIO, 77, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
		struct reply r = {.status = 0};

		reply_outcome(&r, outcomes[i], &e);
		assert_true(r.status == 401 || r.status == 404 || r.status == 500);
		assert_null(strstr(r.body, "bob"));
		assert_null(strstr(r.body, "errors"));
		reply_fini(&r);
	}
}

static void done_or_its_outcome(void **state)
{
	const struct svc_error e = {.message = "is in use"};
	struct reply r = {.status = 0};

	(void)state;
	reply_done(&r, 0, &e);
	assert_int_equal(r.status, 204);
	reply_fini(&r);
	r = (struct reply){.status = 0};
	reply_done(&r, SVC_CONFLICT, &e);
	assert_int_equal(r.status, 409);
	assert_non_null(strstr(r.body, "is in use"));
	reply_fini(&r);
}

static void values(void **state)
{
	const struct ulid none = {.bytes = {0}}, one = {.bytes = {[15] = 1}};
	json_t *v;

	(void)state;
	v = json_time(0);
	assert_true(json_is_null(v));
	v = json_time(1700000000123);
	assert_string_equal(json_string_value(v), "2023-11-14T22:13:20.123Z");
	json_decref(v);
	v = json_id("usr_", &none);
	assert_true(json_is_null(v));
	v = json_id("usr_", &one);
	assert_string_equal(json_string_value(v), "usr_00000000000000000000000001");
	json_decref(v);
	v = json_counter(UINT64_MAX);
	assert_true(json_integer_value(v) == INT64_MAX);
	json_decref(v);
	v = json_address(&(struct ip_addr){.family = IP_NONE});
	assert_true(json_is_null(v));
}

static void memory_is_zeroed_and_bounded(void **state)
{
	char *p = memory_alloc(100);

	(void)state;
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	memory_free(p);
	memory_free(NULL);
	p = memory_alloc(SIZE_MAX);
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(the_first_answer_stands),
		cmocka_unit_test(tags_are_read_to_the_letter),
		cmocka_unit_test(no_tag_is_read_too_far),
		cmocka_unit_test(only_what_was_found_can_be_unchanged),
		cmocka_unit_test(constants_belong_to_nobody),
		cmocka_unit_test(what_can_not_be_built_is_500),
		cmocka_unit_test(problems_say_what_and_where),
		cmocka_unit_test(strangers_learn_nothing),
		cmocka_unit_test(done_or_its_outcome),
		cmocka_unit_test(values),
		cmocka_unit_test(memory_is_zeroed_and_bounded),
	};

	return cmocka_run_group_tests(tests, adopt, NULL);
}
