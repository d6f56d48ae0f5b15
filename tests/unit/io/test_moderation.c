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

/* Waits so long, works so long, on so many packets. Returns: whether to yield. */
static bool turn_of(
	struct feed *f, uint64_t wait, uint64_t work, const struct moderation_turn *done)
{
	f->now += wait;
	moderation_begin(&f->m, f->now);
	f->now += work;
	return moderation_end(&f->m, done, f->now);
}

static bool turn(struct feed *f, uint64_t wait, uint64_t work, bool more)
{
	return turn_of(
		f, wait, work, &(struct moderation_turn){.single = 1, .joined = 1, .more = more});
}

/* Returns: how long to rest. */
static uint64_t back(struct feed *f, uint64_t took)
{
	f->now += took;
	return moderation_back(&f->m, f->now);
}

/* Packets come one by one, so long one from the other, and so many joined ones in every such turn;
 * nobody else wants the processor. Returns: the rest after the last of n turns. */
static uint64_t rest_after(struct feed *f, uint64_t gap, uint32_t joined, int n)
{
	const struct moderation_turn done = {.single = 1, .joined = joined};
	uint64_t rest = 0;

	for (int i = 0; i < n; i++)
		rest = turn_of(f, gap - US, 0, &done) ? back(f, US) : (f->now += US, 0);
	return rest;
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

/* Others compute: of all the time at most one part in MODERATION_SPARED is spent waiting for them,
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
	assert_true(lost <= (f->now - since) / MODERATION_SPARED + 9 * MS);
}

static void rest_is_measured_by_the_yield(void **state)
{
	struct feed *f = *state;

	assert_int_equal(first_yield(f, 0, 0, 100), 1 + MODERATION_TURNS);
	back(f, MODERATION_LATE_NS); /* not too long */
	assert_true(turn(f, 0, 0, false));
	back(f, MODERATION_LATE_NS + 1);
	assert_false(turn(f, 0, (MODERATION_LATE_NS + 1) * MODERATION_SPARED - 1, false));
	assert_true(turn(f, 0, 1, false));
}

/* ---- rests ---- */

static void dense_packets_are_waited_for(void **state)
{
	struct feed *f = *state;

	/* 150,000 a second */
	assert_int_equal(rest_after(f, 6 * US, 0, 1000), MODERATION_BATCH * 6 * US);
	/* the longest */
	assert_int_equal(rest_after(f, 9 * US, 0, 1000), MODERATION_REST_MAX_NS);
}

static void rare_packets_are_not(void **state)
{
	struct feed *f = *state;

	assert_int_equal(rest_after(f, MODERATION_DENSE_NS, 0, 1000), MODERATION_REST_MAX_NS);
	assert_int_equal(rest_after(f, MODERATION_DENSE_NS + US, 0, 1000), 0);
	assert_int_equal(rest_after(f, 300 * US, 0, 100), 0);
}

/* They come so fast that a batch is there anyway. */
static void very_dense_packets_need_no_rest(void **state)
{
	struct feed *f = *state;
	const struct moderation_turn done = {.single = 30};

	for (int i = 0; i < 1000; i++) {
		if (turn_of(f, 30 * US - US, 0, &done))
			assert_int_equal(back(f, US), 0);
		else
			f->now += US;
	}
}

/* A download: what comes one by one are acknowledgements. */
static void nobody_rests_when_most_packets_are_joined(void **state)
{
	struct feed *f = *state;

	assert_int_equal(rest_after(f, 6 * US, 1, 1000), 0);
	assert_int_equal(rest_after(f, 6 * US, 30, 1000), 0);
	assert_int_not_equal(rest_after(f, 6 * US, 0, 1000), 0);
}

static void a_yield_to_somebody_was_rest_enough(void **state)
{
	struct feed *f = *state;

	assert_int_not_equal(rest_after(f, 6 * US, 0, 1000), 0);
	assert_true(turn_of(f, 5 * US, 0, &(struct moderation_turn){.single = 1}));
	assert_int_equal(back(f, MODERATION_ALONE_NS), 0);
	assert_true(turn_of(f, 5 * US, 0, &(struct moderation_turn){.single = 1}));
	assert_int_not_equal(back(f, MODERATION_ALONE_NS - 1), 0);
}

/* What was dense before a pause is no reason to let the first packets after it wait. */
static void a_pause_is_the_end_of_it(void **state)
{
	struct feed *f = *state;

	assert_int_not_equal(rest_after(f, 6 * US, 0, 1000), 0);
	f->now += 20 * MS;
	moderation_rested(&f->m, f->now);
	assert_int_equal(rest_after(f, 6 * US, 0, 20), 0);
	assert_int_not_equal(rest_after(f, 6 * US, 0, 1000), 0);
}

/* The time of a rest itself counts as such in which packets come. */
static void rests_do_not_change_what_is_measured(void **state)
{
	struct feed *f = *state;
	uint64_t left = 0;

	assert_int_not_equal(rest_after(f, 7 * US, 0, 1000), 0);
	for (int i = 0; i < 1000; i++) {
		const uint64_t from = f->now - left;
		uint64_t rest = back(f, US);

		assert_in_range(rest, MODERATION_REST_MAX_NS * 9 / 10, MODERATION_REST_MAX_NS);
		f->now += rest;
		moderation_rested(&f->m, f->now);
		f->now += US;
		const struct moderation_turn done = {
			.single = (uint32_t)((f->now - from) / (7 * US))};
		left = (f->now - from) % (7 * US);
		assert_true(turn_of(f, 0, 0, &done));
	}
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
		cmocka_unit_test_setup(dense_packets_are_waited_for, start),
		cmocka_unit_test_setup(rare_packets_are_not, start),
		cmocka_unit_test_setup(very_dense_packets_need_no_rest, start),
		cmocka_unit_test_setup(nobody_rests_when_most_packets_are_joined, start),
		cmocka_unit_test_setup(a_yield_to_somebody_was_rest_enough, start),
		cmocka_unit_test_setup(a_pause_is_the_end_of_it, start),
		cmocka_unit_test_setup(rests_do_not_change_what_is_measured, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
