/* Counters and blocks near their end. */
#include "crypto/aead_choose.h"
#include "rig.h"
#include "wire/ovpn_wire.h"

static struct sealing *make(uint64_t first, uint64_t end, uint64_t blocks_end)
{
	static const uint8_t zeros[AEAD_KEY_MAX];
	const struct sealing_limits limits = {first, end, blocks_end};
	struct sealing *s;

	assert_int_equal(aead_init(), 0);
	assert_int_equal(sealing_new(&s, AEAD_AES_128_GCM, zeros, zeros, &limits, 2), 0);
	return s;
}

static void test_reserve(void **state)
{
	const uint64_t end = WG_REJECT_AFTER_MESSAGES;
	struct sealing *s = make(0, end, UINT64_MAX);
	uint64_t first = 77;

	(void)state;
	assert_int_equal(sealing_reserve(s, 5, &first), 5);
	assert_true(first == 0);
	assert_int_equal(sealing_reserve(s, 1, &first), 1);
	assert_true(first == 5);
	assert_false(sealing_used_up(s));
	atomic_store(&s->counter, end - 3);
	assert_int_equal(sealing_reserve(s, 64, &first), 3);
	assert_true(first == end - 3 && atomic_load(&s->counter) == end);
	for (int i = 0; i < 100000; i++) /* asking on and on does not bring it round */
		assert_int_equal(sealing_reserve(s, 64, &first), 0);
	assert_true(atomic_load(&s->counter) == end);
	assert_true(sealing_used_up(s));
	atomic_store(&s->counter, UINT64_MAX);
	assert_int_equal(sealing_reserve(s, 1, &first), 0);
	sealing_free(s, 2);
}

static void test_spend(void **state)
{
	struct sealing *s = make(1, UINT64_MAX, 100);

	(void)state;
	assert_true(sealing_spend(s, 60));
	assert_true(sealing_spend(s, 39));
	assert_false(sealing_used_up(s));
	assert_false(sealing_spend(s, 2));
	assert_false(sealing_spend(s, 0)); /* for good */
	assert_true(sealing_used_up(s));
	sealing_free(s, 2);
}

static void test_near(void **state)
{
	(void)state;
	assert_false(sealing_near(700, 800));
	assert_true(sealing_near(701, 800));
	assert_false(sealing_near(OVPN_GCM_BLOCKS / 8 * 7, OVPN_GCM_BLOCKS));
	assert_true(sealing_near(OVPN_GCM_BLOCKS / 8 * 7 + 1, OVPN_GCM_BLOCKS));
}

/* Where the library allows it, all sealers have one key: that is most of what a session takes. */
static void test_shared(void **state)
{
	struct sealing *s = make(0, 10, 10);
	struct aead_report report;

	(void)state;
	assert_ptr_not_equal(s->key[0], s->key[1]);
	sealing_free(s, 2);
#ifdef __x86_64__
	assert_int_equal(aead_choose(AEAD_IPSEC_MB, &report), 0);
	s = make(0, 10, 10);
	assert_ptr_equal(s->key[0], s->key[1]);
	sealing_free(s, 2);
#else
	assert_int_equal(aead_choose(AEAD_IPSEC_MB, &report), -ENOTSUP);
#endif
}

static void test_refused(void **state)
{
	static const uint8_t zeros[AEAD_KEY_MAX];
	const struct sealing_limits limits = {0, 1, 1};
	struct sealing *s;

	(void)state;
	assert_int_equal(sealing_new(&s, (enum aead_cipher)9, zeros, zeros, &limits, 2), -EINVAL);
	sealing_free(NULL, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_spend),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
