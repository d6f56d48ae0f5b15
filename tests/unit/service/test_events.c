/* The ring: order, ids over restarts, gaps, what is kept of traffic, who sees what, the view of a
 * round against a stupid one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/events.h"
#include "service/service.h"

static struct fake_clock fake = {.mono_ms = 1, .real_us = 1750000000000000};

static struct events *make(void)
{
	const struct clock clock = clock_fake(&fake);
	struct events *ev;

	assert_int_equal(events_new(&ev, &clock), 0);
	return ev;
}

static void add(struct events *ev, enum event_type type, uint8_t user)
{
	events_add(ev, &(struct event){.type = type, .user_id = {{user}}});
}

static void comes_in_order(void **state)
{
	struct events *ev = make();
	const uint64_t start = events_newest(ev);
	struct event *e;

	(void)state;
	assert_int_equal(events_next(ev, start, &e), EVENTS_NONE);
	assert_null(e);
	add(ev, EVENT_SESSION_STARTED, 1);
	add(ev, EVENT_TRAFFIC, 0);
	add(ev, EVENT_DEVICE_CHANGED, 2);
	for (unsigned i = 1; i <= 3; i++) {
		static const enum event_type types[] = {
			EVENT_SESSION_STARTED, EVENT_TRAFFIC, EVENT_DEVICE_CHANGED};

		assert_int_equal(events_next(ev, start + i - 1, &e), EVENTS_ONE);
		assert_int_equal(e->id, start + i);
		assert_int_equal(e->type, types[i - 1]);
		event_put(ev, e);
	}
	assert_int_equal(events_next(ev, start + 3, &e), EVENTS_NONE);
	events_free(ev);
}

static void ids_rise_over_restarts_and_fit_a_double(void **state)
{
	struct events *ev = make();
	struct event *e;

	(void)state;
	for (int i = 0; i < 1000; i++)
		add(ev, EVENT_DEVICE_CHANGED, 1);
	const uint64_t before = events_newest(ev);
	assert_true(before < UINT64_C(1) << 53);
	events_free(ev);
	fake_clock_advance(&fake, 1000);
	ev = make();
	assert_true(events_newest(ev) > before);
	/* What the one before us said is nothing we could tell. */
	assert_int_equal(events_next(ev, before, &e), EVENTS_GAP);
	assert_int_equal(events_next(ev, 0, &e), EVENTS_GAP);
	assert_int_equal(events_next(ev, events_newest(ev) + 1, &e), EVENTS_GAP);
	assert_int_equal(events_next(ev, UINT64_MAX, &e), EVENTS_GAP);
	events_free(ev);
}

static void who_is_too_late_has_a_gap(void **state)
{
	struct events *ev = make();
	const uint64_t start = events_newest(ev);
	struct event *held, *e;

	(void)state;
	add(ev, EVENT_SESSION_STARTED, 1);
	assert_int_equal(events_next(ev, start, &held), EVENTS_ONE);
	for (unsigned i = 1; i < EVENTS_KEPT; i++)
		add(ev, EVENT_DEVICE_CHANGED, 1);
	assert_int_equal(events_next(ev, start, &e), EVENTS_ONE);
	event_put(ev, e);
	add(ev, EVENT_DEVICE_CHANGED, 1);
	assert_int_equal(events_next(ev, start, &e), EVENTS_GAP);
	assert_null(e);
	assert_int_equal(events_next(ev, start + 1, &e), EVENTS_ONE);
	assert_int_equal(e->id, start + 2);
	event_put(ev, e);
	/* Whoever holds one keeps it. */
	assert_int_equal(held->id, start + 1);
	event_put(ev, held);
	events_free(ev);
}

/* It is told as it happens, takes no room from others, and missing it is no gap. */
static void traffic_is_not_told_later(void **state)
{
	struct events *ev = make();
	const uint64_t start = events_newest(ev);
	struct event *e;
	unsigned n = 0;

	(void)state;
	add(ev, EVENT_SESSION_STARTED, 1);
	for (unsigned i = 0; i < 2 * EVENTS_KEPT; i++) {
		struct moved *m = calloc(1, sizeof(*m));

		events_add(ev, &(struct event){.type = EVENT_TRAFFIC, .moved = m, .n_moved = 1});
	}
	for (uint64_t at = start; events_next(ev, at, &e) == EVENTS_ONE; n++) {
		at = e->id;
		assert_int_equal(e->type, n ? EVENT_TRAFFIC : EVENT_SESSION_STARTED);
		event_put(ev, e);
	}
	assert_int_equal(n, 1 + EVENTS_TRAFFIC_KEPT);
	events_free(ev);
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

static void wakes_its_watcher(void **state)
{
	struct events *ev = make();
	int calls = 0;

	(void)state;
	events_watch(ev, count_call, &calls);
	add(ev, EVENT_DEVICE_CHANGED, 1);
	add(ev, EVENT_DEVICE_CHANGED, 1);
	events_watch(ev, NULL, NULL);
	add(ev, EVENT_DEVICE_CHANGED, 1);
	assert_int_equal(calls, 2);
	assert_false(events_wanted(ev));
	events_reader(ev, 1);
	assert_true(events_wanted(ev));
	events_reader(ev, -1);
	assert_false(events_wanted(ev));
	events_free(ev);
}

static int encoded, released;

static char *encode(const struct event *e, size_t *len)
{
	char *text = strdup("text");

	(void)e;
	encoded++;
	*len = strlen(text);
	return text;
}

static void release(void *text)
{
	released++;
	free(text);
}

static void a_text_is_made_once(void **state)
{
	struct events *ev = make();
	const uint64_t start = events_newest(ev);
	struct event *e;
	size_t len;

	(void)state;
	add(ev, EVENT_DEVICE_CHANGED, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(events_next(ev, start, &e), EVENTS_ONE);
		assert_string_equal(event_text(ev, e, encode, release, &len), "text");
		assert_int_equal(len, 4);
		event_put(ev, e);
	}
	assert_int_equal(encoded, 1);
	assert_int_equal(released, 0);
	events_free(ev);
	assert_int_equal(released, 1);
}

static void users_see_their_own(void **state)
{
	const struct svc_actor ann = {.user_id = {{1}}, .role = SVC_ROLE_USER},
			       auditor = {.user_id = {{9}}, .role = SVC_ROLE_AUDITOR};
	const struct event own = {.type = EVENT_SESSION_ENDED, .user_id = {{1}}},
			   others = {.type = EVENT_DEVICE_CHANGED, .user_id = {{2}}},
			   dataplane = {.type = EVENT_DATAPLANE_LOST},
			   traffic = {.type = EVENT_TRAFFIC};

	(void)state;
	assert_true(event_visible(&own, &ann));
	assert_false(event_visible(&others, &ann));
	assert_false(event_visible(&dataplane, &ann));
	assert_true(event_visible(&traffic, &ann));
	assert_true(event_visible(&own, &auditor));
	assert_true(event_visible(&others, &auditor));
	assert_true(event_visible(&dataplane, &auditor));
}

static void names_are_names(void **state)
{
	enum event_type type;

	(void)state;
	for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
		const char *name = event_type_name((enum event_type)i);

		assert_int_equal(event_type_parse(name, strlen(name), &type), 0);
		assert_int_equal(type, i);
		assert_true(event_type_parse(name, strlen(name) - 1, &type) < 0);
	}
	assert_true(event_type_parse("", 0, &type) < 0);
	assert_true(event_type_parse("traffic.", 8, &type) < 0);
	assert_string_equal(device_change_name(DEVICE_DELETED), "deleted");
}

static int stupid_order(const void *a, const void *b)
{
	const struct moved *x = a, *y = b;
	const uint64_t bx = x->rx_bytes + x->tx_bytes, by = y->rx_bytes + y->tx_bytes;

	return bx != by ? (bx < by ? 1 : -1) : memcmp(a, b, sizeof(struct ulid));
}

static void the_view_is_that_of_a_sorted_list(void **state)
{
	enum { N = 700 };
	static struct moved all[N], own[N];
	static struct moved_view v;
	uint32_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		const struct ulid user = {{1}};
		const size_t n = round * 14;
		uint64_t rx = 0;
		size_t n_own = 0;

		for (size_t i = 0; i < n; i++) {
			random = random * 1664525 + 1013904223;
			all[i] = (struct moved){.device_id = {{(uint8_t)(i >> 8), (uint8_t)i}},
				.user_id = {{(uint8_t)(1 + random / 7 % 2)}},
				.rx_bytes = 1 + (random >> 8) % 1000000,
				.tx_bytes = i};
			if (all[i].user_id.bytes[0] == 1)
				own[n_own++] = all[i];
		}
		moved_view(all, n, &user, &v);
		qsort(own, n_own, sizeof(own[0]), stupid_order);
		for (size_t i = 0; i < n_own; i++)
			rx += own[i].rx_bytes;
		assert_int_equal(v.n_devices, n_own);
		assert_int_equal(v.rx_bytes, rx);
		assert_int_equal(v.n_top, n_own < EVENTS_TOP ? n_own : EVENTS_TOP);
		for (size_t i = 0; i < v.n_top; i++)
			assert_memory_equal(&v.top[i], &own[i], sizeof(own[i]));
		moved_view(all, n, NULL, &v);
		assert_int_equal(v.n_devices, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_in_order),
		cmocka_unit_test(ids_rise_over_restarts_and_fit_a_double),
		cmocka_unit_test(who_is_too_late_has_a_gap),
		cmocka_unit_test(traffic_is_not_told_later),
		cmocka_unit_test(wakes_its_watcher),
		cmocka_unit_test(a_text_is_made_once),
		cmocka_unit_test(users_see_their_own),
		cmocka_unit_test(names_are_names),
		cmocka_unit_test(the_view_is_that_of_a_sorted_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
