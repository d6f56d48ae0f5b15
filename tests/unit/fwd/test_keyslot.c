/* The slot rules of B7, row by row; slots are written as text: current, next, previous. */
#include "rig.h"

struct set {
	struct keyslots k;
	struct session *s[8];
};

static struct session *make(uint8_t credential)
{
	struct session *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);

	assert_non_null(s);
	memset(s, 0, sizeof(*s));
	s->credential = rig_ulid(credential);
	s->limits.life_ms = WG_REJECT_AFTER_MS;
	s->limits.counter_end = s->limits.blocks_end = s->limits.failed_end = SESSION_NO_LIMIT;
	return s;
}

static void set_open(struct set *t)
{
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < 8; i++)
		t->s[i] = make(i < 6 ? 1 : 2);
}

static void set_close(struct set *t)
{
	for (int i = 0; i < 8; i++)
		free(t->s[i]);
}

/* Slots as text: current, next, previous; then how many have left. */
static void expect(struct set *t, const char *text, int left)
{
	_Atomic(struct session *) *const slots[] = {&t->k.current, &t->k.next, &t->k.previous};
	char got[4] = "---";
	int out = 0;

	for (int i = 0; i < 3; i++)
		for (int n = 0; n < 8; n++)
			if (atomic_load(slots[i]) == t->s[n])
				got[i] = (char)('0' + n);
	for (struct session *s = atomic_load(&t->k.out); s; s = s->next) {
		assert_true(atomic_load(&s->dead));
		out++;
	}
	assert_string_equal(got, text);
	assert_int_equal(out, left);
}

static void test_responder(void **state)
{
	struct set t;

	(void)state;
	set_open(&t);
	assert_true(keyslots_empty(&t.k));
	keyslot_install_responder(&t.k, t.s[0]);
	expect(&t, "-0-", 0);
	keyslot_install_responder(&t.k, t.s[1]); /* an older next is dropped */
	expect(&t, "-1-", 1);
	assert_false(keyslot_promote(&t.k, t.s[0])); /* too late */
	assert_true(keyslot_promote(&t.k, t.s[1]));
	expect(&t, "1--", 1);
	keyslot_install_responder(&t.k, t.s[2]);
	expect(&t, "12-", 1); /* goes on sending on 1 */
	assert_true(keyslot_promote(&t.k, t.s[1]));
	expect(&t, "12-", 1); /* which promotes nothing */
	assert_true(keyslot_promote(&t.k, t.s[2]));
	expect(&t, "2-1", 1);
	assert_true(keyslot_promote(&t.k, t.s[1])); /* previous still receives */
	expect(&t, "2-1", 1);
	keyslot_install_responder(&t.k, t.s[3]); /* previous is dropped */
	expect(&t, "23-", 2);
	set_close(&t);
}

static void test_initiator(void **state)
{
	struct set t;

	(void)state;
	set_open(&t);
	keyslot_install_initiator(&t.k, t.s[0]);
	expect(&t, "0--", 0);
	keyslot_install_initiator(&t.k, t.s[1]);
	expect(&t, "1-0", 0);
	keyslot_install_initiator(&t.k, t.s[2]);
	expect(&t, "2-1", 1);
	keyslot_install_responder(&t.k, t.s[3]);
	expect(&t, "23-", 2);
	keyslot_install_initiator(&t.k, t.s[4]); /* next, not current, becomes previous */
	expect(&t, "4-3", 3);
	set_close(&t);
}

static void test_credentials(void **state)
{
	struct set t;

	(void)state;
	set_open(&t);
	keyslot_install_initiator(&t.k, t.s[0]);
	keyslot_install_initiator(&t.k, t.s[1]);
	keyslot_install_responder(&t.k, t.s[6]); /* another credential, not confirmed yet */
	expect(&t, "16-", 1);
	assert_true(keyslot_promote(&t.k, t.s[6])); /* the newest wins */
	expect(&t, "6--", 2);
	keyslot_install_initiator(&t.k, t.s[7]);
	expect(&t, "7-6", 2);
	keyslot_install_initiator(&t.k, t.s[2]); /* and back: nothing of the other stays */
	expect(&t, "2--", 4);
	set_close(&t);
}

static void test_drop(void **state)
{
	struct set t;
	struct ulid one = rig_ulid(1), two = rig_ulid(2);

	(void)state;
	set_open(&t);
	keyslot_install_initiator(&t.k, t.s[0]);
	keyslot_install_responder(&t.k, t.s[6]);
	assert_int_equal(keyslot_drop(&t.k, &two), 1);
	expect(&t, "0--", 1);
	assert_int_equal(keyslot_drop(&t.k, &two), 0);
	keyslot_install_responder(&t.k, t.s[7]);
	assert_int_equal(keyslot_drop(&t.k, &one), 1);
	expect(&t, "-7-", 2);
	assert_int_equal(keyslot_drop(&t.k, NULL), 1);
	expect(&t, "---", 3);
	assert_true(keyslot_has_out(&t.k));
	assert_false(keyslots_empty(&t.k));
	assert_non_null(keyslot_take_out(&t.k));
	assert_true(keyslots_empty(&t.k));
	set_close(&t);
}

static void test_expire(void **state)
{
	struct set t;

	(void)state;
	set_open(&t);
	t.s[0]->birth = 1000;
	t.s[1]->birth = 2000;
	t.s[2]->birth = 3000;
	keyslot_install_initiator(&t.k, t.s[0]);
	keyslot_install_initiator(&t.k, t.s[1]);
	keyslot_expire(&t.k, 1000 + WG_REJECT_AFTER_MS - 1);
	expect(&t, "1-0", 0);
	keyslot_expire(&t.k, 1000 + WG_REJECT_AFTER_MS);
	expect(&t, "1--", 1);
	keyslot_install_responder(&t.k, t.s[2]);
	keyslot_expire(&t.k, 2000 + WG_REJECT_AFTER_MS);
	expect(&t, "-2-", 2);
	keyslot_expire(&t.k, 500); /* a clock reading from before is no reason */
	expect(&t, "-2-", 2);
	set_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responder),
		cmocka_unit_test(test_initiator),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_expire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
