#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/throttle.h"

enum { S = 1000 };

static int setup(void **state)
{
	struct throttle *t;

	assert_int_equal(throttle_new(&t), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	throttle_free(*state);
	return 0;
}

static struct ip_addr v4(unsigned net, unsigned host)
{
	return (struct ip_addr){IP_V4, {198, 51, (uint8_t)net, (uint8_t)host}};
}

static int miss(
	struct throttle *t, uint64_t s, const char *name, struct ip_addr from, uint32_t *retry)
{
	struct throttle_attempt a;

	return throttle_begin(t, s * S, name, &from, &a, retry);
}

static void ten_for_an_account(void **state)
{
	uint32_t retry;

	for (unsigned i = 0; i < THROTTLE_ACCOUNT; i++)
		assert_int_equal(miss(*state, 100 + i, "ann", v4(i, 1), &retry), THROTTLE_OK);
	assert_int_equal(miss(*state, 110, "ann", v4(99, 1), &retry), THROTTLE_LIMITED);
	assert_int_equal(retry, 100 + THROTTLE_WINDOW_S - 110);
	assert_int_equal(miss(*state, 110, "ANN", v4(98, 1), &retry), THROTTLE_LIMITED);
	assert_int_equal(miss(*state, 110, "bob", v4(97, 1), &retry), THROTTLE_OK);
	/* The window slides: the first is forgotten, the second is not. */
	assert_int_equal(
		miss(*state, 99 + THROTTLE_WINDOW_S, "ann", v4(96, 1), &retry), THROTTLE_LIMITED);
	assert_int_equal(retry, 1);
	assert_int_equal(
		miss(*state, 100 + THROTTLE_WINDOW_S, "ann", v4(95, 1), &retry), THROTTLE_OK);
	assert_int_equal(
		miss(*state, 100 + THROTTLE_WINDOW_S, "ann", v4(95, 1), &retry), THROTTLE_LIMITED);
}

static void thirty_from_a_network(void **state)
{
	char name[16];
	uint32_t retry;

	for (unsigned i = 0; i < THROTTLE_NETWORK; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		assert_int_equal(miss(*state, 5, name, v4(7, i), &retry), THROTTLE_OK);
	}
	assert_int_equal(miss(*state, 5, "other", v4(7, 200), &retry), THROTTLE_LIMITED);
	assert_int_equal(retry, THROTTLE_WINDOW_S);
	assert_int_equal(miss(*state, 5, "other", v4(8, 200), &retry), THROTTLE_OK);
}

static void ipv6_by_64(void **state)
{
	struct ip_addr a = {IP_V6, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0}}, b = a;
	char name[16];
	uint32_t retry;

	for (unsigned i = 0; i < THROTTLE_NETWORK; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		a.bytes[8 + i % 8] = (uint8_t)i;
		assert_int_equal(miss(*state, 5, name, a, &retry), THROTTLE_OK);
	}
	assert_int_equal(miss(*state, 5, "other", a, &retry), THROTTLE_LIMITED);
	b.bytes[7] = 2;
	assert_int_equal(miss(*state, 5, "other", b, &retry), THROTTLE_OK);
}

static void success_clears_the_account_only(void **state)
{
	struct ip_addr from = v4(1, 1);
	struct throttle_attempt a;
	uint32_t retry;

	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(miss(*state, 5, "ann", from, &retry), THROTTLE_OK);
	assert_int_equal(throttle_begin(*state, 5 * S, "ann", &from, &a, &retry), THROTTLE_OK);
	throttle_succeeded(*state, &a);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(miss(*state, 5, "ann", from, &retry), THROTTLE_OK);
	assert_int_equal(miss(*state, 5, "ann", v4(2, 1), &retry), THROTTLE_LIMITED);
	/* The network has 19 now, so 11 more. */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(miss(*state, 5, "bob", from, &retry), THROTTLE_OK);
	assert_int_equal(miss(*state, 5, "carl", from, &retry), THROTTLE_OK);
	assert_int_equal(miss(*state, 5, "carl", from, &retry), THROTTLE_LIMITED);
}

static void cancelled_does_not_count(void **state)
{
	struct ip_addr from = v4(1, 1);
	struct throttle_attempt a;
	uint32_t retry;

	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(
			throttle_begin(*state, 5 * S, "ann", &from, &a, &retry), THROTTLE_OK);
		throttle_cancel(*state, &a);
	}
}

static void limited_ones_do_not_prolong(void **state)
{
	uint32_t retry;

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(miss(*state, 5, "ann", v4(1, 1), &retry), THROTTLE_OK);
	for (unsigned i = 0; i < 800; i++)
		assert_int_equal(miss(*state, 6 + i, "ann", v4(1, 1), &retry), THROTTLE_LIMITED);
	assert_int_equal(miss(*state, 5 + THROTTLE_WINDOW_S, "ann", v4(1, 1), &retry), THROTTLE_OK);
}

/* Many names do not push a locked one out. */
static void a_flood_of_names_unlocks_nobody(void **state)
{
	char name[16];
	uint32_t retry;

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(miss(*state, 5, "ann", v4(1, 1), &retry), THROTTLE_OK);
	for (unsigned i = 0; i < 20000; i++) {
		struct ip_addr from = {IP_V4, {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), 0}};

		snprintf(name, sizeof(name), "n%u", i);
		(void)!miss(*state, 6, name, from, &retry);
	}
	assert_int_equal(miss(*state, 7, "ann", v4(2, 1), &retry), THROTTLE_LIMITED);
}

static void no_address_is_one_network(void **state)
{
	struct throttle_attempt a;
	uint32_t retry;
	char name[16];

	for (unsigned i = 0; i < THROTTLE_NETWORK; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		assert_int_equal(
			throttle_begin(*state, 5 * S, name, NULL, &a, &retry), THROTTLE_OK);
	}
	assert_int_equal(throttle_begin(*state, 5 * S, "x", NULL, &a, &retry), THROTTLE_LIMITED);
}

static void *attempt(void *arg)
{
	struct ip_addr from = v4(1, 1);
	uint32_t retry;

	return (void *)(intptr_t)miss(arg, 5, "ann", from, &retry);
}

static void parallel_ones_do_not_slip_through(void **state)
{
	pthread_t threads[50];
	int passed = 0;

	for (int i = 0; i < 50; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, attempt, *state), 0);
	for (int i = 0; i < 50; i++) {
		void *got;

		assert_int_equal(pthread_join(threads[i], &got), 0);
		passed += (intptr_t)got == THROTTLE_OK;
	}
	assert_int_equal(passed, THROTTLE_ACCOUNT);
}

static void own_passwords_are_counted_apart(void **state)
{
	struct ulid ann = {{1}}, bob = {{2}};
	uint32_t retry;

	for (unsigned i = 0; i < THROTTLE_ACCOUNT; i++)
		assert_int_equal(throttle_own_password(*state, 100 * S, &ann, &retry), THROTTLE_OK);
	assert_int_equal(throttle_own_password(*state, 110 * S, &ann, &retry), THROTTLE_LIMITED);
	assert_int_equal(retry, THROTTLE_WINDOW_S - 10);
	assert_int_equal(throttle_own_password(*state, 110 * S, &bob, &retry), THROTTLE_OK);
	assert_int_equal(throttle_own_password(*state, (100 + THROTTLE_WINDOW_S) * S, &ann, &retry),
		THROTTLE_OK);
}

static int guess(struct throttle *t, uint64_t s, struct ip_addr from, struct throttle_attempt *a,
	uint32_t *retry)
{
	return throttle_guess(t, s * S, &from, a, retry);
}

static void thirty_guesses_a_minute(void **state)
{
	struct ip_addr v6 = {IP_V6, {0x20, 1, [7] = 1, [15] = 9}}, near6 = v6, far6 = v6;
	struct throttle_attempt a;
	uint32_t retry;

	near6.bytes[15] = 10;
	far6.bytes[7] = 2;
	for (unsigned i = 0; i < THROTTLE_GUESSES; i++) {
		assert_int_equal(guess(*state, 100 + i / 10, v4(1, i), &a, &retry), THROTTLE_OK);
		assert_int_equal(guess(*state, 100, v6, &a, &retry), THROTTLE_OK);
	}
	assert_int_equal(guess(*state, 110, v4(1, 200), &a, &retry), THROTTLE_LIMITED);
	assert_int_equal(retry, THROTTLE_GUESS_WINDOW_S - 10);
	assert_int_equal(guess(*state, 110, near6, &a, &retry), THROTTLE_LIMITED);
	assert_int_equal(guess(*state, 110, v4(2, 1), &a, &retry), THROTTLE_OK);
	assert_int_equal(guess(*state, 110, far6, &a, &retry), THROTTLE_OK);
	/* Logins from there are counted apart. */
	assert_int_equal(miss(*state, 110, "ann", v4(1, 1), &retry), THROTTLE_OK);
	/* The ten of the first second are over. */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(guess(*state, 160, v4(1, 1), &a, &retry), THROTTLE_OK);
	assert_int_equal(guess(*state, 160, v4(1, 1), &a, &retry), THROTTLE_LIMITED);
}

static void what_was_no_guess_does_not_count(void **state)
{
	struct throttle_attempt a;
	uint32_t retry;

	for (unsigned i = 0; i < 3 * THROTTLE_GUESSES; i++) {
		assert_int_equal(guess(*state, 100, v4(1, 1), &a, &retry), THROTTLE_OK);
		throttle_cancel(*state, &a);
	}
	for (unsigned i = 0; i < THROTTLE_GUESSES; i++)
		assert_int_equal(guess(*state, 100, v4(1, 1), &a, &retry), THROTTLE_OK);
	assert_int_equal(guess(*state, 100, v4(1, 1), &a, &retry), THROTTLE_LIMITED);
}

#define P(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Whether a refusal is news: once in a window for the account, and for the network. */
static void refusals_are_told_once(void **state)
{
	struct throttle_attempt a;
	struct ip_addr here = v4(1, 1), there = v4(2, 1);
	uint32_t retry;

	for (unsigned i = 0; i < THROTTLE_ACCOUNT; i++) {
		assert_int_equal(
			throttle_begin(*state, 100 * S, "ann", &here, &a, &retry), THROTTLE_OK);
		assert_false(a.told);
	}
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(throttle_begin(*state, (101 + i) * S, "ann", &there, &a, &retry),
			THROTTLE_LIMITED);
		assert_int_equal(a.told, i > 0);
	}
	/* Another account is other news. */
	for (unsigned i = 0; i < THROTTLE_ACCOUNT; i++)
		(void)!throttle_begin(*state, 110 * S, "bob", &here, &a, &retry);
	assert_int_equal(
		throttle_begin(*state, 111 * S, "bob", &here, &a, &retry), THROTTLE_LIMITED);
	assert_false(a.told);
	assert_int_equal(
		throttle_begin(*state, 111 * S, "bob", &here, &a, &retry), THROTTLE_LIMITED);
	assert_true(a.told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		P(ten_for_an_account),
		P(thirty_from_a_network),
		P(ipv6_by_64),
		P(success_clears_the_account_only),
		P(cancelled_does_not_count),
		P(limited_ones_do_not_prolong),
		P(a_flood_of_names_unlocks_nobody),
		P(no_address_is_one_network),
		P(parallel_ones_do_not_slip_through),
		P(own_passwords_are_counted_apart),
		P(thirty_guesses_a_minute),
		P(what_was_no_guess_does_not_count),
		P(refusals_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
