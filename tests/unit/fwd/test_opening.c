/* Random packets of a client, and which key and window they meet, compared with a list of all that
 * was ever taken. */
#include "rig.h"

#include "fwd/opening.h"

enum { PACKETS = 20000, TAKEN = 4096 };

/* Keys are told apart by their address alone: nothing is opened here. */
struct model {
	uint32_t current, previous, last; /* epochs; last: that there is a key for */
	uint64_t taken[TAKEN];
	size_t n;
};

static bool has_key(const struct model *m, uint32_t epoch)
{
	return epoch == m->current || (epoch == m->previous && m->previous) ||
	       (epoch > m->current && epoch <= m->last);
}

static bool fresh(struct model *m, uint64_t counter)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->taken[i] == counter)
			return false;
	assert_true(m->n < TAKEN);
	m->taken[m->n++] = counter;
	return true;
}

static struct aead_key *key_of(uint32_t epoch)
{
	static char names[0x10000];

	return (struct aead_key *)(void *)&names[epoch];
}

static void grow(struct session_rx *rx, struct model *m)
{
	rx->epochs->n_retired = 0;
	while (opening_ahead(rx) < OPENING_AHEAD && m->last < 0xffff) {
		const struct opening o = {.key = key_of(++m->last)};
		opening_add(rx, &o);
	}
	assert_true(m->last == 0xffff || m->last == m->current + OPENING_AHEAD);
}

static void one(struct session_rx *rx, struct model *m, uint32_t epoch, uint64_t count)
{
	const uint64_t counter = (uint64_t)epoch << 48 | count;
	const struct opening *o = opening_find(rx, counter);

	assert_ptr_equal(o ? o->key : NULL, has_key(m, epoch) ? key_of(epoch) : NULL);
	if (!o)
		return;
	if (epoch > m->current) {
		m->previous = m->current;
		m->current = epoch;
	}
	assert_int_equal(opening_accept(rx, counter), fresh(m, counter));
	assert_int_equal(opening_epoch(rx), m->current);
	assert_true(rx->epochs->n_retired <= OPENING_ALL);
}

/* Counters stay within the window, so that new is whatever was not there before. */
static void test_against_list(void **state)
{
	static struct epoch_rx epochs;
	static struct session_rx rx;
	static struct model m;
	uint32_t seed = 7;

	(void)state;
	rx.epochs = &epochs;
	rx.current.key = key_of(1);
	atomic_store(&epochs.epoch, 1);
	m.current = m.last = 1;
	grow(&rx, &m);
	for (int i = 0; i < PACKETS && m.current < 0xfff0; i++) {
		seed = seed * 1664525u + 1013904223u;
		const uint32_t what = seed >> 28;
		uint32_t epoch = what < 6   ? m.current
				 : what < 9 ? m.previous
					    : 1 + (seed >> 12 & 0xffff);
		if (what == 9)
			epoch = m.current + (seed >> 12 & 7);
		one(&rx, &m, epoch, 1 + (seed >> 20 & 63));
		if (what == 15)
			grow(&rx, &m);
		if (m.n > TAKEN - 2) /* what is older has no key any more, or is asked again */
			break;
	}
	assert_true(m.current > 20 && m.n > 1000);
}

static void test_last_epoch(void **state)
{
	static struct epoch_rx epochs;
	static struct session_rx rx;
	static struct model m;

	(void)state;
	rx.epochs = &epochs;
	rx.current.key = key_of(0xfffd);
	atomic_store(&epochs.epoch, 0xfffd);
	m.current = m.last = 0xfffd;
	grow(&rx, &m);
	assert_int_equal(opening_ahead(&rx), 2);
	one(&rx, &m, 0xffff, 1);
	grow(&rx, &m);
	assert_int_equal(opening_ahead(&rx), 0);
	one(&rx, &m, 0, 1); /* not the next */
	one(&rx, &m, 1, 1);
	one(&rx, &m, 0xfffe, 1);
	one(&rx, &m, 0xfffd, 1);
	one(&rx, &m, 0xffff, 1);
	assert_int_equal(m.current, 0xffff);
}

static void test_other_formats(void **state)
{
	static struct session_rx rx;

	(void)state;
	assert_ptr_equal(opening_find(&rx, UINT64_MAX), &rx.current);
	assert_true(opening_accept(&rx, 5ull << 48));
	assert_false(opening_accept(&rx, 5ull << 48));
	assert_true(opening_accept(&rx, (5ull << 48) + 1));
	assert_int_equal(opening_epoch(&rx), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_list),
		cmocka_unit_test(test_last_epoch),
		cmocka_unit_test(test_other_formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
