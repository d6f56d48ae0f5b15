/* Ages, names of verdicts. */
#include "rig.h"

static void make(struct session *s, uint64_t counter, uint64_t birth)
{
	static const uint8_t zeros[AEAD_KEY_MAX];
	const struct sealing_limits limits = {counter, WG_REJECT_AFTER_MESSAGES, SESSION_NO_LIMIT};
	struct sealing *t;

	memset(s, 0, sizeof(*s));
	assert_int_equal(aead_init(), 0);
	assert_int_equal(sealing_new(&t, AEAD_AES_128_GCM, zeros, zeros, &limits, 1), 0);
	atomic_store(&s->sealing, t);
	s->birth = birth;
	s->limits = (struct session_limits){.life_ms = WG_REJECT_AFTER_MS,
		.counter_end = WG_REJECT_AFTER_MESSAGES,
		.counter_rekey = WG_REKEY_AFTER_MESSAGES,
		.blocks_end = SESSION_NO_LIMIT,
		.failed_end = SESSION_NO_LIMIT};
}

static void test_usable(void **state)
{
	struct session s;

	(void)state;
	make(&s, 0, 5000);
	assert_false(session_can_seal(NULL, 5000));
	assert_true(session_can_seal(&s, 5000));
	assert_true(session_can_seal(&s, 4000)); /* a worker's clock reading from before */
	assert_int_equal(session_age(&s, 4000), 0);
	assert_true(session_can_seal(&s, 5000 + 179999));
	assert_false(session_can_seal(&s, 5000 + 180000));
	assert_false(session_young(&s, 5000 + 180000));
	atomic_store(&session_sealing(&s)->counter, WG_REJECT_AFTER_MESSAGES);
	assert_false(session_can_seal(&s, 5000));
	assert_true(session_young(&s, 5000));
	sealing_free(session_sealing(&s), 1);
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
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_verdict_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
