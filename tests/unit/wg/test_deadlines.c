/* The heap against a linear search, over random operations. */
#include "wg/deadlines.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

enum { N = 60, ROUNDS = 20000 };

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static uint64_t earliest(const struct deadline *d)
{
	uint64_t min = UINT64_MAX;

	for (size_t i = 0; i < N; i++)
		if (d[i].place && d[i].at_ms < min)
			min = d[i].at_ms;
	return min;
}

static void test_against_linear_search(void **state)
{
	struct deadline d[N] = {0};
	struct deadlines h = {0};
	uint32_t seed = 1;
	size_t set = 0;

	(void)state;
	assert_int_equal(deadlines_reserve(&h, N), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct deadline *one = &d[next_random(&seed) % N];
		const struct deadline *first;

		set -= one->place != 0;
		if (next_random(&seed) % 3) {
			deadline_set(&h, one, next_random(&seed) % 100);
			set++;
		} else {
			deadline_clear(&h, one);
		}
		assert_int_equal(h.n, set);
		first = deadlines_first(&h);
		assert_true(first ? first->at_ms == earliest(d) : set == 0);
	}
	for (size_t i = 0; i < N; i++)
		deadline_clear(&h, &d[i]);
	assert_null(deadlines_first(&h));
	deadlines_fini(&h);
}

static void test_clear_twice(void **state)
{
	struct deadline a = {0};
	struct deadlines h = {0};

	(void)state;
	assert_int_equal(deadlines_reserve(&h, 1), 0);
	deadline_clear(&h, &a);
	deadline_set(&h, &a, 5);
	deadline_clear(&h, &a);
	deadline_clear(&h, &a);
	assert_null(deadlines_first(&h));
	deadlines_fini(&h);
}

static void test_reserve_grows(void **state)
{
	struct deadlines h = {0};

	(void)state;
	for (size_t n = 1; n < 1000; n++) {
		assert_int_equal(deadlines_reserve(&h, n), 0);
		assert_true(h.room >= n);
	}
	deadlines_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_linear_search),
		cmocka_unit_test(test_clear_twice),
		cmocka_unit_test(test_reserve_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
