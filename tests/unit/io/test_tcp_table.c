/* Numbers, limits for guests, and what is told when. No socket here. */
#include "io/tcp_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

struct caught {
	uint32_t gone[8], gone_peer[8], told[8];
	int n_gone, n_told, asked;
	bool refuse;
};

static int setup(void **state)
{
	return tcp_table_new((struct tcp_table **)state);
}

static int teardown(void **state)
{
	tcp_table_free(*state);
	return 0;
}

static struct ip_addr v4(uint32_t n)
{
	return (struct ip_addr){IP_V4, {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

/* Somebody comes. Returns: the connection, or NULL. */
static struct tcp_connection *come(
	struct tcp_table *t, struct ip_addr from, uint64_t now, uint32_t *evicted)
{
	uint32_t number = 0;
	struct tcp_connection *c = tcp_table_take(t, &from, now, &number, evicted);

	if (c) {
		assert_int_not_equal(number, 0);
		c->number = number;
		c->known = c->punted = false;
	}
	return c;
}

static void go(struct tcp_table *t, struct tcp_connection *c)
{
	c->number = 0;
	tcp_table_put(t, c);
}

static void numbers_are_not_used_again_soon(void **state)
{
	uint32_t evicted, *seen = calloc(3 * TCP_CONNECTIONS, sizeof(*seen));

	assert_non_null(seen);
	for (uint32_t i = 0; i < 3 * TCP_CONNECTIONS; i++) {
		struct tcp_connection *c = come(*state, v4(i), i, &evicted), *same;

		assert_non_null(c);
		seen[i] = c->number;
		same = tcp_table_hold(*state, seen[i]);
		assert_ptr_equal(same, c);
		tcp_table_release(same);
		go(*state, c);
		/* The stale one, and the one before it in that slot, find nothing. */
		assert_null(tcp_table_hold(*state, seen[i]));
		for (uint32_t back = TCP_CONNECTIONS; back <= i; back += TCP_CONNECTIONS)
			assert_int_not_equal(seen[i - back], seen[i]);
	}
	assert_null(tcp_table_hold(*state, 0));
	assert_null(tcp_table_hold(*state, UINT32_MAX));
	free(seen);
}

static void generations_come_round(void **state)
{
	uint32_t evicted;
	struct tcp_connection *c = come(*state, v4(1), 0, &evicted);

	c->generation = (1u << 20) - 2;
	go(*state, c);
	for (int round = 0; round < 3; round++) {
		struct tcp_connection *again = NULL;

		do {
			if (again)
				go(*state, again);
			again = come(*state, v4(1), 0, &evicted);
			assert_non_null(again);
			assert_int_not_equal(again->number, 0);
		} while (again != c);
		/* All ones, then from one again: 0 is nobody's, also in slot 0. */
		assert_int_equal(
			c->number / TCP_CONNECTIONS, round == 0 ? (1u << 20) - 1 : (uint32_t)round);
		go(*state, c);
	}
}

static void a_prefix_has_so_many_guests(void **state)
{
	struct tcp_connection *first = NULL, *c;
	uint32_t evicted;

	for (uint32_t i = 0; i < TCP_GUESTS_PER_PREFIX; i++) {
		c = come(*state, v4(7), i, &evicted);
		assert_non_null(c);
		assert_int_equal(evicted, 0);
		if (!first)
			first = c;
	}
	assert_null(come(*state, v4(7), 99, &evicted));
	assert_non_null(come(*state, v4(8), 99, &evicted));
	/* A known one is no guest. */
	tcp_table_known(*state, first);
	assert_non_null(come(*state, v4(7), 99, &evicted));
	assert_null(come(*state, v4(7), 99, &evicted));
	/* Twice is as good as once. */
	tcp_table_known(*state, first);
	go(*state, first);
	assert_null(come(*state, v4(7), 99, &evicted));
}

static void ipv6_counts_by_64(void **state)
{
	struct ip_addr a = {IP_V6, {0x20, 1, 0xd, 0xb8, [7] = 5}};
	uint32_t evicted;

	for (uint8_t i = 0; i < TCP_GUESTS_PER_PREFIX; i++) {
		a.bytes[15] = i;
		assert_non_null(come(*state, a, 0, &evicted));
	}
	a.bytes[8] = 0xff;
	assert_null(come(*state, a, 0, &evicted));
	a.bytes[7] = 6;
	assert_non_null(come(*state, a, 0, &evicted));
}

/* A few addresses fill the room for guests; others come all the same. */
static void a_crowd_makes_room(void **state)
{
	struct tcp_connection *newcomer, *victim;
	uint32_t evicted;

	for (uint32_t i = 0; i < TCP_GUESTS; i++)
		assert_non_null(come(*state, v4(i / TCP_GUESTS_PER_PREFIX), i, &evicted));
	/* The crowd's own can't push anybody out. */
	assert_null(come(*state, v4(0), 5000, &evicted));
	newcomer = come(*state, v4(1000), 5000, &evicted);
	assert_non_null(newcomer);
	/* The oldest of those that came last of their prefix. */
	victim = tcp_table_hold(*state, evicted);
	assert_non_null(victim);
	tcp_table_release(victim);
	assert_int_equal(victim->guest, TCP_NO_GUEST);
	go(*state, victim);
	/* It leaves once: there is no room again. */
	assert_non_null(come(*state, v4(1001), 5001, &evicted));
	assert_int_not_equal(evicted, 0);
	/* Who gets in stays in: a crowd of newcomers takes from the crowd. */
	for (uint32_t i = 0; i < TCP_GUESTS - 16 - 2; i++) {
		assert_non_null(come(*state, v4(2000 + i), 6000 + i, &evicted));
		assert_int_not_equal(evicted, newcomer->number);
	}
	assert_null(come(*state, v4(9000), 9000, &evicted));
	assert_int_not_equal(newcomer->guest, TCP_NO_GUEST);
}

static void there_are_so_many_connections(void **state)
{
	struct tcp_connection *c = NULL;
	uint32_t evicted;

	for (uint32_t i = 0; i < TCP_CONNECTIONS; i++) {
		c = come(*state, v4(i), i, &evicted);
		assert_non_null(c);
		tcp_table_known(*state, c);
	}
	assert_null(come(*state, v4(100000), 0, &evicted));
	assert_int_equal(evicted, 0);
	go(*state, c);
	assert_non_null(come(*state, v4(100000), 0, &evicted));
}

static void on_gone(void *arg, uint32_t peer, uint32_t connection)
{
	struct caught *c = arg;

	c->gone_peer[c->n_gone] = peer;
	c->gone[c->n_gone++] = connection;
}

static bool on_tell(void *arg, uint32_t connection)
{
	struct caught *c = arg;

	c->asked++;
	if (c->refuse)
		return false;
	c->told[c->n_told++] = connection;
	return true;
}

static void the_end_is_told_in_order(void **state)
{
	struct caught caught = {.refuse = true};
	const struct tcp_news news = {on_gone, on_tell, &caught};
	struct tcp_connection *c[3];
	uint32_t number[3], evicted;

	for (uint32_t i = 0; i < 3; i++) {
		c[i] = come(*state, v4(i), 0, &evicted);
		number[i] = c[i]->number;
	}
	c[0]->punted = true;
	c[2]->known = c[2]->punted = true;
	c[2]->peer = 42;
	tcp_table_tell(*state, &news);
	assert_int_equal(caught.asked, 0);
	for (int i = 0; i < 3; i++)
		go(*state, c[i]);

	/* Nobody has heard of the second; the engine has of the third. */
	tcp_table_tell(*state, &news);
	assert_int_equal(caught.n_gone, 1);
	assert_int_equal(caught.gone[0], number[2]);
	assert_int_equal(caught.gone_peer[0], 42);
	assert_int_equal(caught.asked, 1);
	/* The engine hears it once, the control plane when it can. */
	tcp_table_tell(*state, &news);
	assert_int_equal(caught.n_gone, 1);
	caught.refuse = false;
	tcp_table_tell(*state, &news);
	assert_int_equal(caught.n_told, 2);
	assert_int_equal(caught.told[0], number[0]);
	assert_int_equal(caught.told[1], number[2]);
	tcp_table_tell(*state, &news);
	assert_int_equal(caught.n_told, 2);
	assert_int_equal(caught.n_gone, 1);
}

/* A number waits until its end is told; the memory for that is what the table has anyway. */
static void untold_ones_keep_their_place(void **state)
{
	struct caught caught = {.refuse = true};
	const struct tcp_news news = {on_gone, on_tell, &caught};
	uint32_t evicted;

	for (uint32_t i = 0; i < TCP_CONNECTIONS; i++) {
		struct tcp_connection *c = come(*state, v4(i), 0, &evicted);

		assert_non_null(c);
		c->punted = true;
		go(*state, c);
		if (i % 64 == 0)
			tcp_table_tell(*state, &news);
	}
	assert_null(come(*state, v4(1), 0, &evicted));
	tcp_table_tell(*state, &news);
	assert_null(come(*state, v4(1), 0, &evicted));
	assert_int_equal(caught.n_told, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers_are_not_used_again_soon, setup, teardown),
		cmocka_unit_test_setup_teardown(generations_come_round, setup, teardown),
		cmocka_unit_test_setup_teardown(a_prefix_has_so_many_guests, setup, teardown),
		cmocka_unit_test_setup_teardown(ipv6_counts_by_64, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crowd_makes_room, setup, teardown),
		cmocka_unit_test_setup_teardown(there_are_so_many_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_is_told_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(untold_ones_keep_their_place, setup, teardown),
	};

	return cmocka_run_group_tests_name("tcp_table", tests, NULL, NULL);
}
