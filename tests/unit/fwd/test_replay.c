/* The replay window: WireGuard's known walks, exhaustive ones, and ten million random counters
 * against a set that remembers everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "fwd/replay.h"
#include "wire/wg_wire.h"

/* The values that the self-test of the kernel's WireGuard walks through (selftest/counter.c). */
static void test_known_walk(void **state)
{
	enum { L = REPLAY_WINDOW + 1 };
	const uint64_t R = WG_REJECT_AFTER_MESSAGES;
	const struct {
		uint64_t counter;
		bool fresh;
	} walk[] = {{0, true}, {1, true}, {1, false}, {9, true}, {8, true}, {7, true}, {7, false},
		{L, true}, {L - 1, true}, {L - 1, false}, {L - 2, true}, {2, true}, {2, false},
		{L + 16, true}, {3, false}, {L + 16, false}, {L * 4, true}, {L * 4 - (L - 1), true},
		{10, false}, {L * 4 - L, false}, {L * 4 - (L + 1), false}, {L * 4 - (L - 2), true},
		{L * 4 + 1 - L, false}, {0, false}, {R, false}, {R - 1, true}, {R, false},
		{R - 1, false}, {R - 2, true}, {R + 1, false}, {R + 2, false}, {R - 2, false},
		{R - 3, true}, {0, false}, {UINT64_MAX, false}};
	struct replay r = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(walk); i++)
		assert_int_equal(replay_take(&r, walk[i].counter), walk[i].fresh);
}

static void test_edges(void **state)
{
	const uint64_t starts[] = {0, 1, 63, 64, 65, REPLAY_WINDOW - 1, REPLAY_WINDOW,
		REPLAY_WINDOW + 1, 8191, 8192, 1ull << 32, WG_REJECT_AFTER_MESSAGES - 20000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct replay r = {0};
		uint64_t top = starts[i] + REPLAY_WINDOW + 1;
		assert_true(replay_take(&r, starts[i]));
		assert_true(replay_take(&r, starts[i] + 1));
		assert_true(replay_take(&r, top));
		assert_false(replay_take(&r, starts[i]));     /* too old to tell */
		assert_false(replay_take(&r, starts[i] + 1)); /* remembered at the very edge */
		assert_true(replay_take(&r, starts[i] + 2));
	}
}

static void test_walks(void **state)
{
	struct replay r = {0};

	(void)state;
	for (uint64_t c = 0; c < 3 * 8192; c++) { /* upwards */
		assert_true(replay_take(&r, c));
		assert_false(replay_take(&r, c));
	}
	memset(&r, 0, sizeof(r));
	for (uint64_t c = REPLAY_WINDOW + 1; c-- > 0;) /* downwards */
		assert_true(replay_take(&r, c));
	for (uint64_t c = REPLAY_WINDOW + 1; c-- > 0;)
		assert_false(replay_take(&r, c));
	memset(&r, 0, sizeof(r));
	assert_true(replay_take(&r, REPLAY_WINDOW + 1));
	for (uint64_t c = REPLAY_WINDOW + 1; c-- > 1;)
		assert_true(replay_take(&r, c));
	assert_false(replay_take(&r, 0));
	for (uint64_t jump = 1; jump < 30000; jump += 61) { /* jumps of every size clear the ring */
		memset(&r, 0, sizeof(r));
		for (uint64_t c = 0; c < 100; c++)
			assert_true(replay_take(&r, c));
		assert_true(replay_take(&r, 99 + jump));
		for (uint64_t c = 100; c < 99 + jump; c++)
			assert_int_equal(replay_take(&r, c), 99 + jump - c <= REPLAY_WINDOW);
	}
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* The stupid structure: one byte for every counter that there can be. */
static void test_against_set(void **state)
{
	enum { OPS = 12 * 1000 * 1000, SPACE = 1 << 26 };
	uint8_t *seen = calloc(1, SPACE);
	struct replay r = {0};
	uint64_t seed = 0x1234567, greatest = 0;
	bool any = false;
	int done = 0;

	(void)state;
	assert_non_null(seen);
	for (int i = 0; i < OPS; i++) {
		uint64_t x = next_random(&seed), c;
		switch (x >> 60) {
		case 0: /* a jump ahead */
			c = greatest + (x & 15);
			break;
		case 1: /* around the window's lower edge */
			c = greatest - REPLAY_WINDOW - 40 + (x & 63);
			break;
		case 2:
			c = (x & 0xfff000) ? greatest + 1 : greatest + (x & 0x3fff);
			break;
		default: /* within the window, or a little ahead */
			c = greatest + 8 - (x & 8191);
			break;
		}
		if (c >= SPACE)
			continue;
		done++;
		bool fresh = !any || c > greatest || (greatest - c <= REPLAY_WINDOW && !seen[c]);
		if (replay_take(&r, c) != fresh)
			fail_msg("op %d, counter %llu", i, (unsigned long long)c);
		if (!fresh)
			continue;
		seen[c] = 1;
		any = true;
		greatest = c > greatest ? c : greatest;
	}
	assert_true(done >= 10 * 1000 * 1000 && greatest > 1000 * 1000);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_walk),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_against_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
