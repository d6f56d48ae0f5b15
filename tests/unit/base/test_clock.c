/* Clocks and RFC 3339, with the examples of its section 5.8. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"

static void test_fake_clock(void **state)
{
	struct fake_clock f = {.mono_ms = 5, .real_us = 7001};
	struct clock c = clock_fake(&f);

	(void)state;
	assert_int_equal(clock_mono_ms(&c), 5);
	assert_int_equal(clock_real_us(&c), 7001);
	assert_int_equal(clock_real_ms(&c), 7);
	fake_clock_advance(&f, 1000);
	assert_int_equal(clock_mono_ms(&c), 1005);
	assert_int_equal(clock_real_us(&c), 1007001);
}

static void test_system_clock(void **state)
{
	struct clock c = clock_system();
	uint64_t before = clock_mono_ms(&c);

	(void)state;
	assert_true(before > 0);
	assert_true(clock_mono_ms(&c) >= before);
	assert_true(clock_real_ms(&c) > 1577836800000); /* 2020 */
}

static void test_format(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {{0, "1970-01-01T00:00:00.000Z"}, {1, "1970-01-01T00:00:00.001Z"},
		{951782400000, "2000-02-29T00:00:00.000Z"},
		{1767323045678, "2026-01-02T03:04:05.678Z"},
		{253402300799999, "9999-12-31T23:59:59.999Z"},
		{253402300800000, "9999-12-31T23:59:59.999Z"},
		{INT64_MAX, "9999-12-31T23:59:59.999Z"}, {-1, "1970-01-01T00:00:00.000Z"},
		{INT64_MIN, "1970-01-01T00:00:00.000Z"}};
	char buf[CLOCK_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(clock_format_ms(rows[i].ms, buf), rows[i].text);
}

/* The C library as the model: every day of a Gregorian cycle and more. */
static void test_format_as_the_library_does(void **state)
{
	char buf[CLOCK_TEXT], want[CLOCK_TEXT + 8];

	(void)state;
	for (time_t t = 0; t < (time_t)86400 * 366 * 500; t += 86400 - 7) {
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		assert_string_equal(clock_format_ms((int64_t)t * 1000, buf), want);
	}
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {{"1970-01-01T00:00:00Z", 0}, {"2026-01-02T03:04:05.678Z", 1767323045678},
		{"2026-01-02t03:04:05.6789999z", 1767323045678},
		{"2026-01-02T03:04:05.6Z", 1767323045600},
		{"1985-04-12T23:20:50.52Z", 482196050520},
		{"1996-12-19T16:39:57-08:00", 851042397000}, {"1990-12-31T23:59:60Z", 662688000000},
		{"1990-12-31T15:59:60-08:00", 662688000000}, {"1937-01-01T12:00:27.87+00:20", -1},
		{"1969-12-31T23:00:00-01:00", 0}, {"1970-01-01T00:00:00-00:00", 0},
		{"2000-02-29T00:00:00Z", 951782400000},
		{"9999-12-31T23:59:59.999Z", 253402300799999}};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int rc = clock_parse_ms(rows[i].text, &ms);

		assert_int_equal(rc, rows[i].ms < 0 ? -EINVAL : 0);
		if (rc == 0)
			assert_int_equal(ms, rows[i].ms);
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const bad[] = {"", "2026", "2026-01-02", "2026-01-02T03:04:05",
		"2026-01-02 03:04:05Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05,6Z",
		"2026-01-02T03:04Z", "2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z",
		"2026-01-02T03:04:61Z", "2026-01-02T03:04:60Z", "2026-00-02T03:04:05Z",
		"2026-13-02T03:04:05Z", "2026-01-00T03:04:05Z", "2026-01-32T03:04:05Z",
		"2026-02-29T03:04:05Z", "2100-02-29T03:04:05Z", "2026-04-31T03:04:05Z",
		"1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"9999-12-31T23:59:60Z", "10000-01-01T00:00:00Z", "2026-1-2T03:04:05Z",
		"2026-01-02T03:04:05+0100", "2026-01-02T03:04:05+24:00",
		"2026-01-02T03:04:05+01:60", "2026-01-02T03:04:05+01", "2026-01-02T03:04:05Z ",
		" 2026-01-02T03:04:05Z", "2026-01-02T03:04:05ZZ", "+026-01-02T03:04:05Z",
		"2026-01-02T-3:04:05Z"};
	int64_t ms = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(clock_parse_ms(bad[i], &ms), -EINVAL);
	assert_int_equal(ms, 42);
}

static void test_every_prefix_is_refused(void **state)
{
	const char *whole = "2026-01-02T03:04:05.678+01:30";
	char text[32];
	int64_t ms;

	(void)state;
	for (size_t n = 0; n < strlen(whole); n++) {
		memcpy(text, whole, n);
		text[n] = '\0';
		assert_int_equal(clock_parse_ms(text, &ms), -EINVAL);
	}
	assert_int_equal(clock_parse_ms(whole, &ms), 0);
}

/* Only ever forward, and in nanoseconds: a fake clock has no say in it. */
static void test_ticks(void **state)
{
	const struct clock c = clock_system();
	const uint64_t ms = clock_mono_ms(&c), ns = clock_ticks_ns();

	(void)state;
	while (clock_mono_ms(&c) - ms < 5)
		assert_true(clock_ticks_ns() >= ns);
	assert_true(clock_ticks_ns() - ns > 3000000);
}

static void test_round_trip(void **state)
{
	char buf[CLOCK_TEXT];
	int64_t back;

	(void)state;
	for (int64_t ms = 0; ms < 253402300800000; ms += 3196812308) {
		assert_int_equal(clock_parse_ms(clock_format_ms(ms, buf), &back), 0);
		assert_int_equal(back, ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fake_clock),
		cmocka_unit_test(test_system_clock),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_as_the_library_does),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_every_prefix_is_refused),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_ticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
