#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "session/index_pool.h"

enum { SLOTS = 64 };

static int pool_new(struct index_pool **out, uint32_t slots)
{
	return index_pool_new(
		out, &(struct index_pool_conf){
			     .slots = slots, .mask = UINT32_MAX, .hold_ms = INDEX_SESSION_MS});
}

static void gives_every_slot_once(void **state)
{
	(void)state;
	struct index_pool *p;
	bool seen[SLOTS] = {false};
	assert_int_equal(pool_new(&p, SLOTS), 0);
	for (int i = 0; i < SLOTS; i++) {
		uint32_t index = index_pool_alloc(p, (uint32_t)i * 7, 0);
		/* An index that would be zero costs its slot this round: rare, and no harm. */
		if (!index)
			continue;
		assert_false(seen[index % SLOTS]);
		seen[index % SLOTS] = true;
	}
	assert_int_equal(index_pool_alloc(p, 0, 0), 0);
	assert_int_equal(index_pool_alloc(p, 0, INDEX_SESSION_MS - 1), 0);
	assert_int_not_equal(index_pool_alloc(p, 0, INDEX_SESSION_MS), 0);
	index_pool_free(p);
}

/* Whatever the number of workers is, of 2, 4, 8 and 16, both directions have the same. */
static void a_lane_is_the_address_modulo_the_workers(void **state)
{
	(void)state;
	struct index_pool *p;
	assert_int_equal(pool_new(&p, SLOTS * INDEX_LANES), 0);
	for (uint32_t i = 1; i < 256; i++) {
		const struct ip_addr a4 = {IP_V4, {10, 0, 7, (uint8_t)i}},
				     a6 = {IP_V6, {0xfd, [15] = (uint8_t)i}};
		assert_int_equal(index_lane(&a4), i);
		assert_int_equal(index_lane(&a6), i);
		const uint32_t index = index_pool_alloc(p, index_lane(&a4), 0);
		assert_int_not_equal(index, 0);
		assert_int_equal((index & 0xff) % INDEX_LANES, i % INDEX_LANES);
	}
	index_pool_free(p);
}

static void a_released_one_waits(void **state)
{
	(void)state;
	struct index_pool *p;
	assert_int_equal(pool_new(&p, 2), 0);
	uint32_t a = index_pool_alloc(p, 0, 1000), b = index_pool_alloc(p, 0, 1000);
	assert_int_not_equal(a % 2, b % 2);
	index_pool_release(p, a, 1000);
	assert_int_equal(index_pool_alloc(p, 0, 1000 + INDEX_FREED_MS - 1), 0);
	uint32_t again = index_pool_alloc(p, 0, 1000 + INDEX_FREED_MS);
	assert_int_equal(again % 2, a % 2);
	index_pool_free(p);
}

static void an_adopted_one_is_not_given(void **state)
{
	(void)state;
	struct index_pool *p;
	assert_int_equal(pool_new(&p, 2), 0);
	index_pool_adopt(p, 0xabcd0001, 5);
	for (int i = 0; i < 3; i++) {
		uint32_t index = index_pool_alloc(p, 0, 6);
		assert_true(index == 0 || index % 2 == 0);
	}
	index_pool_free(p);
}

static void an_old_one_frees_nobody_elses_slot(void **state)
{
	(void)state;
	struct index_pool *p;
	assert_int_equal(pool_new(&p, 1), 0);
	const uint32_t old = index_pool_alloc(p, 0, 0);
	const uint32_t now = index_pool_alloc(p, 0, INDEX_SESSION_MS);
	assert_int_not_equal(now, 0);
	index_pool_release(p, old, INDEX_SESSION_MS);
	index_pool_reuse(p, old);
	assert_int_equal(index_pool_alloc(p, 0, 2 * INDEX_SESSION_MS - 1), 0);
	/* Nor does being released late keep it any longer. */
	index_pool_release(p, now, 2 * INDEX_SESSION_MS - 1);
	assert_int_not_equal(index_pool_alloc(p, 0, 2 * INDEX_SESSION_MS), 0);
	index_pool_free(p);
}

static void a_replaced_one_is_free_at_once(void **state)
{
	(void)state;
	struct index_pool *p;
	assert_int_equal(pool_new(&p, 1), 0);
	const uint32_t old = index_pool_alloc(p, 0, 5);
	assert_int_equal(index_pool_alloc(p, 0, 5), 0);
	index_pool_reuse(p, old);
	assert_int_not_equal(index_pool_alloc(p, 0, 5), 0);
	index_pool_free(p);
}

static void a_lane_keeps_its_remainder(void **state)
{
	enum { MORE = 4 * INDEX_LANES, LANE = 5 };
	(void)state;
	struct index_pool *p;
	uint32_t others = 0;
	assert_int_equal(pool_new(&p, MORE), 0);
	/* As long as it has slots; then it takes others. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			index_pool_alloc(p, LANE + 3 * INDEX_LANES, 0) % INDEX_LANES, LANE);
	for (int i = 4; i < MORE; i++) {
		const uint32_t index = index_pool_alloc(p, LANE, 0);
		assert_int_not_equal(index, 0);
		others += index % INDEX_LANES != LANE;
	}
	assert_int_equal(others, MORE - 4);
	assert_int_equal(index_pool_alloc(p, LANE, 0), 0);
	index_pool_free(p);
}

static void refuses_odd_sizes(void **state)
{
	(void)state;
	struct index_pool *p;
	assert_int_equal(pool_new(&p, 0), -EINVAL);
	assert_int_equal(pool_new(&p, 3), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_every_slot_once),
		cmocka_unit_test(a_lane_is_the_address_modulo_the_workers),
		cmocka_unit_test(a_released_one_waits),
		cmocka_unit_test(an_adopted_one_is_not_given),
		cmocka_unit_test(an_old_one_frees_nobody_elses_slot),
		cmocka_unit_test(a_replaced_one_is_free_at_once),
		cmocka_unit_test(a_lane_keeps_its_remainder),
		cmocka_unit_test(refuses_odd_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
