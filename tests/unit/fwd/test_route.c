/* The route table against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fwd/route.h"

enum { SPACE = 600, MAX = 200 };

/* Peers are only pointers to the table. */
static struct peer *peer(uintptr_t n)
{
	return (struct peer *)(n * 64 + 64); /* never looked into */
}

static struct ip_addr addr(uint32_t n)
{
	struct ip_addr a = {.family = n % 3 ? IP_V4 : IP_V6};

	if (n % 3) {
		a.bytes[0] = 10;
		a.bytes[2] = (uint8_t)(n >> 8);
		a.bytes[3] = (uint8_t)n;
	} else {
		a.bytes[0] = 0xfd;
		a.bytes[14] = (uint8_t)(n >> 8);
		a.bytes[15] = (uint8_t)n;
	}
	return a;
}

static void test_basics(void **state)
{
	struct routes r;
	struct ip_addr a = addr(1), b = addr(2), v6 = {.family = IP_V6}, v4 = {.family = IP_V4};

	(void)state;
	assert_int_equal(routes_init(&r, 4), 0);
	assert_null(routes_lookup(&r, &a));
	routes_remove(&r, &a);
	assert_int_equal(routes_add(&r, &a, peer(1)), 0);
	assert_ptr_equal(routes_lookup(&r, &a), peer(1));
	assert_null(routes_lookup(&r, &b));
	assert_int_equal(routes_add(&r, &v6, peer(2)), 0); /* same bytes, other family */
	assert_null(routes_lookup(&r, &v4));
	routes_remove(&r, &a);
	assert_null(routes_lookup(&r, &a));
	assert_ptr_equal(routes_lookup(&r, &v6), peer(2));
	routes_reclaim(&r);
	routes_fini(&r);
}

static void test_against_list(void **state)
{
	struct peer *model[SPACE] = {0};
	struct routes r;
	uint32_t seed = 1, held = 0;

	(void)state;
	assert_int_equal(routes_init(&r, MAX), 0);
	for (int i = 0; i < 400000; i++) {
		seed = seed * 1664525u + 1013904223u;
		uint32_t n = (seed >> 8) % SPACE;
		struct ip_addr a = addr(n);
		assert_ptr_equal(routes_lookup(&r, &a), model[n]);
		if (model[n]) {
			routes_remove(&r, &a);
			model[n] = NULL;
			held--;
		} else if (held < MAX) {
			model[n] = peer(seed >> 20);
			assert_int_equal(routes_add(&r, &a, model[n]), 0);
			held++;
		}
		if (i % 7 == 0)
			routes_reclaim(&r);
	}
	for (uint32_t n = 0; n < SPACE; n++) {
		struct ip_addr a = addr(n);
		assert_ptr_equal(routes_lookup(&r, &a), model[n]);
	}
	routes_fini(&r);
}

/* As full as it may get, and every address comes and goes many times. */
static void test_churn(void **state)
{
	struct routes r;

	(void)state;
	assert_int_equal(routes_init(&r, MAX), 0);
	for (uint32_t round = 0; round < 50; round++) {
		for (uint32_t n = 0; n < MAX; n++) {
			struct ip_addr a = addr(round * 37 + n);
			assert_int_equal(routes_add(&r, &a, peer(n)), 0);
		}
		for (uint32_t n = 0; n < MAX; n++) {
			struct ip_addr a = addr(round * 37 + n);
			assert_ptr_equal(routes_lookup(&r, &a), peer(n));
			routes_remove(&r, &a);
		}
		routes_reclaim(&r);
	}
	routes_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basics),
		cmocka_unit_test(test_against_list),
		cmocka_unit_test(test_churn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
