/* The fast sum against the slow one, at every length and alignment. */
#include "wire/inet_sum.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

enum { LONGEST = 300, ALIGNMENTS = 9 };

static uint16_t slow(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

/* As it would stand in a packet. */
static uint16_t on_wire(uint16_t native)
{
	uint8_t b[2];

	inet_word_put(b, native);
	return (uint16_t)(b[0] << 8 | b[1]);
}

static void check(const uint8_t *fill, size_t size)
{
	uint8_t from[LONGEST + ALIGNMENTS], to[LONGEST + ALIGNMENTS + 1];

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = fill[i % size];
	for (size_t at = 0; at < ALIGNMENTS; at++) {
		for (size_t n = 0; n <= LONGEST; n++) {
			uint16_t want = slow(from + at, n);

			assert_int_equal(on_wire(inet_fold(inet_sum(from + at, n, 0))), want);
			if (n % 4 == 0)
				assert_int_equal(
					on_wire(inet_fold(inet_sum_words(from + at, n, 0))), want);
			memset(to, 0xa5, sizeof(to));
			assert_int_equal(
				on_wire(inet_fold(inet_sum_copy(to + 1, from + at, n, 0))), want);
			assert_memory_equal(to + 1, from + at, n);
			assert_int_equal(to[0], 0xa5);
			assert_int_equal(to[n + 1], 0xa5);
		}
	}
}

static void agrees_with_the_slow_one(void **state)
{
	uint8_t mixed[251];

	(void)state;
	for (size_t i = 0; i < sizeof(mixed); i++)
		mixed[i] = (uint8_t)(i * i * 7 + 3 * i);
	check(mixed, sizeof(mixed));
	check((const uint8_t[]){0}, 1);
	check((const uint8_t[]){0xff}, 1);
}

static void goes_on_from_a_sum(void **state)
{
	const uint8_t p[8] = {0x12, 0x34, 0xff, 0xff, 0x00, 0x01, 0xfe, 0xdc};

	(void)state;
	for (size_t cut = 0; cut <= 8; cut += 2)
		assert_int_equal(inet_fold(inet_sum(p + cut, 8 - cut, inet_sum(p, cut, 0))),
			inet_fold(inet_sum(p, 8, 0)));
}

/* RFC 1071 section 3. */
static void published_example(void **state)
{
	const uint8_t p[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(on_wire(inet_fold(inet_sum(p, sizeof(p), 0))), 0xddf2);
}

static void folds_whatever_there_is(void **state)
{
	(void)state;
	assert_int_equal(inet_fold(0), 0);
	assert_int_equal(inet_fold(0xffff), 0xffff);
	assert_int_equal(inet_fold(0x10000), 1);
	assert_int_equal(inet_fold(UINT64_MAX), 0xffff);
	assert_int_equal(inet_fold(0xffffffff00000001ull), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_slow_one),
		cmocka_unit_test(goes_on_from_a_sum),
		cmocka_unit_test(published_example),
		cmocka_unit_test(folds_whatever_there_is),
	};

	return cmocka_run_group_tests_name("inet_sum", tests, NULL, NULL);
}
