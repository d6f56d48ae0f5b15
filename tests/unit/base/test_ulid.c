/* ULIDs: the text of the specification, order by time, one form only. */
#include "base/ulid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_text_sorts_by_time(void **state)
{
	struct fake_clock f = {.real_us = 1469918176385000};
	struct clock c = clock_fake(&f);
	char earlier[ULID_TEXT], later[ULID_TEXT];
	struct ulid a, b;

	(void)state;
	assert_int_equal(ulid_new(&a, &c), 0);
	/* The example of the specification: 1469918176385 is 01ARYZ6S41. */
	assert_memory_equal(ulid_format(&a, earlier), "01ARYZ6S41", 10);
	for (int i = 0; i < 100; i++) {
		fake_clock_advance(&f, 1);
		assert_int_equal(ulid_new(&b, &c), 0);
		assert_true(strcmp(earlier, ulid_format(&b, later)) < 0);
		memcpy(earlier, later, sizeof(earlier));
	}
}

static void test_random_part(void **state)
{
	struct fake_clock f = {0};
	struct clock c = clock_fake(&f);
	struct ulid a, b;

	(void)state;
	assert_int_equal(ulid_new(&a, &c), 0);
	assert_int_equal(ulid_new(&b, &c), 0);
	assert_memory_equal(a.bytes, b.bytes, 6);
	assert_false(ulid_equal(&a, &b));
	assert_false(ulid_is_zero(&a));
	f.real_us = -1000000;
	assert_int_equal(ulid_new(&a, &c), 0);
	assert_memory_equal(a.bytes, b.bytes, 6);
}

static void test_limits(void **state)
{
	struct ulid u = {{0}};
	char buf[ULID_TEXT];

	(void)state;
	assert_string_equal(ulid_format(&u, buf), "00000000000000000000000000");
	assert_int_equal(ulid_parse(&u, buf), 0);
	assert_true(ulid_is_zero(&u));
	memset(&u, 0xff, sizeof(u));
	assert_string_equal(ulid_format(&u, buf), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
	memset(&u, 0, sizeof(u));
	assert_int_equal(ulid_parse(&u, buf), 0);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(u.bytes[i], 0xff);
}

static void test_round_trip(void **state)
{
	struct clock c = clock_system();
	char buf[ULID_TEXT];
	struct ulid a, b;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(ulid_new(&a, &c), 0);
		assert_int_equal(ulid_parse(&b, ulid_format(&a, buf)), 0);
		assert_true(ulid_equal(&a, &b));
		b.bytes[i % 16] ^= 1;
		assert_false(ulid_equal(&a, &b));
	}
}

static void test_refuses(void **state)
{
	static const char *const bad[] = {"", "01ARYZ6S41TSV4RRFFQ69G5FA",
		"01ARYZ6S41TSV4RRFFQ69G5FAVV", "81ARYZ6S41TSV4RRFFQ69G5FAV",
		"01aryz6s41tsv4rrffq69g5fav", "01ARYZ6S41TSV4RRFFQ69G5FAI",
		"01ARYZ6S41TSV4RRFFQ69G5FAL", "01ARYZ6S41TSV4RRFFQ69G5FAO",
		"01ARYZ6S41TSV4RRFFQ69G5FAU", "01ARYZ6S41TSV4RRFFQ69G5FA ",
		"01ARYZ6S41TSV4RRFFQ69G5FA\xff",
		"\xff"
		"1ARYZ6S41TSV4RRFFQ69G5FAV"};
	struct ulid u;

	(void)state;
	assert_int_equal(ulid_parse(&u, "01ARYZ6S41TSV4RRFFQ69G5FAV"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ulid_parse(&u, bad[i]), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_sorts_by_time),
		cmocka_unit_test(test_random_part),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
