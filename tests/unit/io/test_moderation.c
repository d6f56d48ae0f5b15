/* When a worker steps back. */
#include "io/moderation.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

enum { US = 1000, MS = 1000 * US };

/* A worker that is fed in virtual time. */
struct feed {
	struct moderation m;
	uint64_t now;
};

static int start(void **state)
{
	static struct feed f;

	f = (struct feed){.now = 1000ull * MS};
	*state = &f;
	return 0;
}

/* Waits so long, works so long. Returns: whether to yield. */
static bool turn(struct feed *f, uint64_t wait, uint64_t work, bool more)
{
	f->now += wait;
	moderation_begin(&f->m, f->now);
	f->now += work;
	return moderation_end(&f->m, more, f->now);
}

static void back(struct feed *f, uint64_t took)
{
	f->now += took;
	moderation_back(&f->m, f->now);
}

/* The first turn that is to yield, of at most n. */
static int first_yield(struct feed *f, uint64_t wait, uint64_t work, int n)
{
	for (int i = 1; i <= n; i++) {
		if (turn(f, wait, work, false))
			return i;
	}
	return 0;
}

static void lone_packets_go_on(void **state)
{
	struct feed *f = *state;

	/* a ping: in, its answer out, then nothing for long */
	for (int i = 0; i < 1000; i++) {
		assert_false(turn(f, 20 * MS, 30 * US, false));
		assert_false(turn(f, 50 * US, 30 * US, false));
	}
	/* 800 a second */
	assert_int_equal(first_yield(f, 1250 * US, 10 * US, 1000), 0);
}

static void many_turns_one_after_the_other_yield(void **state)
{
	struct feed *f = *state;

	/* the first comes after a long time */
	assert_int_equal(first_yield(f, 30 * US, 5 * US, 100), 1 + MODERATION_TURNS);
	back(f, 100 * US);
	for (int i = 0; i < 100; i++) {
		assert_true(turn(f, 0, 200 * US, false));
		back(f, i);
	}
}

static void how_long_the_work_takes_does_not_matter(void **state)
{
	struct feed *f = *state;

	assert_int_equal(first_yield(f, 0, 10 * MS, 100), 1 + MODERATION_TURNS);
}

static void one_long_wait_begins_anew(void **state)
{
	struct feed *f = *state;

	assert_int_equal(first_yield(f, 30 * US, 5 * US, 100), 1 + MODERATION_TURNS);
	back(f, 0);
	assert_true(turn(f, MODERATION_CLOSE_NS, 0, false));
	back(f, 0);
	assert_false(turn(f, MODERATION_CLOSE_NS + 1, 0, false));
	assert_int_equal(first_yield(f, 30 * US, 5 * US, 100), MODERATION_TURNS);
}

static void what_is_there_already_is_dealt_with_first(void **state)
{
	struct feed *f = *state;

	for (int i = 0; i < 100; i++)
		assert_false(turn(f, 0, 100 * US, true));
	assert_true(turn(f, 0, 100 * US, false));
}

/* Others compute: of all the time at most one part in MODERATION_REST is spent waiting for them,
 * one yield beside. */
static void late_returns_are_rare(void **state)
{
	struct feed *f = *state;
	uint64_t lost = 0, since = f->now;

	for (int i = 0; i < 100000; i++) {
		if (!turn(f, 20 * US, 5 * US, false))
			continue;
		back(f, 9 * MS);
		lost += 9 * MS;
	}
	assert_true(lost > 0);
	assert_true(lost <= (f->now - since) / MODERATION_REST + 9 * MS);
}

static void rest_is_measured_by_the_yield(void **state)
{
	struct feed *f = *state;

	assert_int_equal(first_yield(f, 0, 0, 100), 1 + MODERATION_TURNS);
	back(f, MODERATION_LATE_NS); /* not too long */
	assert_true(turn(f, 0, 0, false));
	back(f, MODERATION_LATE_NS + 1);
	assert_false(turn(f, 0, (MODERATION_LATE_NS + 1) * MODERATION_REST - 1, false));
	assert_true(turn(f, 0, 1, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lone_packets_go_on, start),
		cmocka_unit_test_setup(many_turns_one_after_the_other_yield, start),
		cmocka_unit_test_setup(how_long_the_work_takes_does_not_matter, start),
		cmocka_unit_test_setup(one_long_wait_begins_anew, start),
		cmocka_unit_test_setup(what_is_there_already_is_dealt_with_first, start),
		cmocka_unit_test_setup(late_returns_are_rare, start),
		cmocka_unit_test_setup(rest_is_measured_by_the_yield, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
