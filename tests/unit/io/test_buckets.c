/* Token buckets in virtual time: rates, prefixes, the bound of the table. */
#include "io/buckets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static const uint64_t T0 = 1000000;
static const struct bucket_rate rate = {10, 5};

static int setup(void **state)
{
	return buckets_new((struct buckets **)state);
}

static int teardown(void **state)
{
	buckets_free(*state);
	return 0;
}

static struct ip_addr at(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(&a, text), 0);
	return a;
}

static bool take(struct buckets *t, const char *from, uint8_t kind, uint64_t now)
{
	const struct ip_addr a = at(from);

	return buckets_take(t, &a, kind, rate, now);
}

static void drain(struct buckets *t, const char *from, uint8_t kind, uint64_t now)
{
	for (uint32_t i = 0; i < rate.burst; i++)
		assert_true(take(t, from, kind, now));
	assert_false(take(t, from, kind, now));
}

static void one_bucket(void **state)
{
	struct bucket b = {0};
	int n = 0;

	(void)state;
	for (uint32_t i = 0; i < rate.burst; i++)
		assert_true(bucket_take(&b, rate, T0));
	assert_false(bucket_take(&b, rate, T0));
	assert_false(bucket_take(&b, rate, T0 + 99));
	assert_true(bucket_take(&b, rate, T0 + 100));
	/* A clock that goes back gives nothing. */
	assert_false(bucket_take(&b, rate, T0));
	/* It never holds more than its burst, however long nobody asked. */
	for (uint32_t i = 0; i < rate.burst; i++)
		assert_true(bucket_take(&b, rate, T0 + (1ull << 50)));
	assert_false(bucket_take(&b, rate, T0 + (1ull << 50)));

	/* Asked all the time it gives its rate. */
	b = (struct bucket){0};
	for (uint64_t t = 0; t < 100000; t++)
		n += bucket_take(&b, rate, T0 + t);
	assert_in_range(n, 1000 + (int)rate.burst - 1, 1000 + (int)rate.burst);
}

static void the_largest_burst(void **state)
{
	const struct bucket_rate big = {UINT32_MAX, 4000000};
	struct bucket b = {0};

	(void)state;
	assert_true(bucket_take(&b, big, T0));
	for (uint32_t i = 1; i < big.burst; i++)
		(void)!bucket_take(&b, big, T0);
	assert_false(bucket_take(&b, big, T0));
	assert_true(bucket_take(&b, big, T0 + (1ull << 40)));
	assert_true(bucket_take(&b, big, T0 + (1ull << 40)));
}

static void prefixes_are_apart(void **state)
{
	drain(*state, "192.0.2.1", 0, T0);
	assert_true(take(*state, "192.0.2.2", 0, T0));
	drain(*state, "2001:db8:1:2::1", 0, T0);
	assert_false(take(*state, "2001:db8:1:2:ffff:ffff:ffff:ffff", 0, T0));
	assert_true(take(*state, "2001:db8:1:3::1", 0, T0));
	/* 192.0.2.1 and an IPv6 prefix of the same number. */
	assert_true(take(*state, "0:0:c000:201::", 0, T0));
}

static void kinds_are_apart(void **state)
{
	drain(*state, "192.0.2.1", 0, T0);
	drain(*state, "192.0.2.1", 1, T0);
	assert_true(take(*state, "192.0.2.1", 255, T0));
}

static void the_table_is_bounded(void **state)
{
	drain(*state, "192.0.2.1", 0, T0);
	/* Far more than it holds: each finds a place, full. */
	for (uint32_t i = 0; i < 10 * BUCKETS_PREFIXES; i++) {
		struct ip_addr a = {.family = IP_V4};

		memcpy(a.bytes, &i, sizeof(i));
		assert_true(buckets_take(*state, &a, 0, rate, T0 + 1));
	}
	/* Who was seen last keeps his place. */
	drain(*state, "198.51.100.1", 0, T0 + 2);
	for (uint32_t i = 0; i < 10 * BUCKETS_PREFIXES; i++) {
		struct ip_addr a = {.family = IP_V4, .bytes = {[3] = 1}};

		memcpy(a.bytes, &i, 3);
		(void)!buckets_take(*state, &a, 0, rate, T0 + 3);
		assert_false(take(*state, "198.51.100.1", 0, T0 + 4 + i / BUCKETS_PREFIXES));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_bucket),
		cmocka_unit_test(the_largest_burst),
		cmocka_unit_test_setup_teardown(prefixes_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}
