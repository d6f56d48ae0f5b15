/* Send counters near their end, ages, names of verdicts. */
#include "rig.h"

static struct session *make(uint64_t counter, uint64_t birth)
{
	struct session *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);

	assert_non_null(s);
	memset(s, 0, sizeof(*s));
	atomic_store(&session_sealing(s)->counter, counter);
	s->birth = birth;
	s->limits = (struct session_limits){.life_ms = WG_REJECT_AFTER_MS,
		.counter_end = WG_REJECT_AFTER_MESSAGES,
		.counter_rekey = WG_REKEY_AFTER_MESSAGES,
		.blocks_end = SESSION_NO_LIMIT,
		.failed_end = SESSION_NO_LIMIT};
	return s;
}

static void test_reserve(void **state)
{
	const uint64_t limit = WG_REJECT_AFTER_MESSAGES;
	struct session *s = make(0, 0);
	uint64_t first = 77;

	(void)state;
	assert_int_equal(session_reserve(s, 5, &first), 5);
	assert_true(first == 0);
	assert_int_equal(session_reserve(s, 1, &first), 1);
	assert_true(first == 5);
	atomic_store(&session_sealing(s)->counter, limit - 3);
	assert_int_equal(session_reserve(s, 64, &first), 3);
	assert_true(first == limit - 3 && atomic_load(&session_sealing(s)->counter) == limit);
	for (int i = 0; i < 100000; i++) /* asking on and on does not bring it round */
		assert_int_equal(session_reserve(s, 64, &first), 0);
	assert_true(atomic_load(&session_sealing(s)->counter) == limit);
	atomic_store(&session_sealing(s)->counter, UINT64_MAX);
	assert_int_equal(session_reserve(s, 1, &first), 0);
	free(s);
}

static void test_usable(void **state)
{
	struct session *s = make(0, 5000);

	(void)state;
	assert_false(session_can_seal(NULL, 5000));
	assert_true(session_can_seal(s, 5000));
	assert_true(session_can_seal(s, 4000)); /* a worker's clock reading from before */
	assert_int_equal(session_age(s, 4000), 0);
	assert_true(session_can_seal(s, 5000 + 179999));
	assert_false(session_can_seal(s, 5000 + 180000));
	assert_false(session_young(s, 5000 + 180000));
	atomic_store(&session_sealing(s)->counter, WG_REJECT_AFTER_MESSAGES);
	assert_false(session_can_seal(s, 5000));
	assert_true(session_young(s, 5000));
	free(s);
}

static void test_verdict_names(void **state)
{
	(void)state;
	assert_string_equal(fwd_verdict_name(FWD_NONE), "none");
	assert_string_equal(fwd_verdict_name(FWD_SPOOFED_SOURCE), "spoofed_source");
	assert_string_equal(fwd_verdict_name(FWD_VERDICT_COUNT), "");
	for (int a = 0; a < FWD_VERDICT_COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(fwd_verdict_name((enum fwd_verdict)a),
				fwd_verdict_name((enum fwd_verdict)b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_verdict_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
