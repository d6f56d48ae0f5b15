/* Counters over epochs and restarts, hand-over of state, snapshots. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "session/table.h"

static const struct ulid dev = {.bytes = {1}}, boot1 = {.bytes = {7}}, boot2 = {.bytes = {8}},
			 ses = {.bytes = {9}};
static const struct path somewhere = {
	.remote = {.addr = {.family = IP_V4, .bytes = {192, 0, 2, 1}}, .port = 5}};

static struct session_table *with_device(struct live **l)
{
	struct session_table *t;
	assert_int_equal(session_table_new(&t), 0);
	*l = session_table_get(t, &dev);
	assert_non_null(*l);
	return t;
}

static void count(struct session_table *t, struct live *l, const struct ulid *boot, uint64_t epoch,
	uint64_t rx)
{
	const struct uapi_peer_stats st = {.epoch = epoch,
		.rx_bytes = rx,
		.rx_packets = rx / 100,
		.tunnel = ses,
		.tunnel_rx_bytes = rx};
	session_table_count(t, l, boot, &st, 0);
}

static void totals_survive_epochs_and_boots(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	count(t, l, &boot1, 1, 1000);
	count(t, l, &boot1, 1, 1500);
	assert_int_equal(l->state.rx_bytes, 1500);
	count(t, l, &boot1, 2, 100); /* the peer was created anew */
	assert_int_equal(l->state.rx_bytes, 1600);
	count(t, l, &boot2, 2, 50); /* the dataplane was started anew */
	assert_int_equal(l->state.rx_bytes, 1650);
	count(t, l, &boot2, 2, 50);
	assert_int_equal(l->state.rx_bytes, 1650);
	session_table_free(t);
}

static void our_own_restart_counts_nothing_twice(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	count(t, l, &boot1, 1, 1500);
	const struct device_state stored = l->state;
	session_table_free(t);
	t = with_device(&l);
	assert_int_equal(session_table_load(t, &stored), 0);
	count(t, l, &boot1, 1, 2000);
	assert_int_equal(l->state.rx_bytes, 2000);
	session_table_free(t);
}

static void a_session_comes_and_goes(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	const struct session_info info = {.id = ses, .device_id = dev, .last_handshake_at = 77};
	session_table_up(t, l, &info, &somewhere, &boot1);
	assert_ptr_equal(session_table_by_session(t, &ses), l);
	count(t, l, &boot1, 1, 300);
	/* A rekey of the same session keeps its counters. */
	session_table_up(t, l, &info, &somewhere, &boot1);

	struct session_info *all;
	size_t n;
	assert_int_equal(session_table_sessions(t, &all, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(all[0].rx_bytes, 300);
	free(all);

	struct device_live live;
	assert_int_equal(session_table_live(t, &dev, &live), 0);
	assert_true(live.connected);
	assert_int_equal(live.last_handshake_at, 77);

	session_table_down(t, l, true, SESSION_END_LEFT);
	assert_null(session_table_by_session(t, &ses));
	assert_int_equal(session_table_live(t, &dev, &live), 0);
	assert_false(live.connected);
	assert_int_equal(live.rx_bytes, 300);
	session_table_forget(t, &dev);
	assert_int_equal(session_table_live(t, &dev, &live), -ENOENT);
	session_table_free(t);
}

/* A session that came up just before we were killed is not one of another dataplane's, and what its
 * dataplane had counted before statistics came is counted once. */
static void the_boot_is_known_at_once(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	const struct session_info info = {.id = ses, .device_id = dev};
	count(t, l, &boot1, 1, 1000);
	session_table_up(t, l, &info, &somewhere, &boot2);
	assert_true(ulid_equal(&l->state.boot_id, &boot2));
	count(t, l, &boot2, 1, 1500);
	assert_int_equal(l->state.rx_bytes, 2500);
	count(t, l, &boot2, 1, 1600);
	assert_int_equal(l->state.rx_bytes, 2600);
	session_table_free(t);
}

static void hands_over_each_change_once(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	const struct session_info info = {.id = ses, .device_id = dev};
	struct device_state out[4];
	assert_int_equal(session_table_dirty(t, out, 4, 1000), 0);
	session_table_up(t, l, &info, &somewhere, &boot1);
	assert_int_equal(session_table_dirty(t, out, 4, 1000), 1);
	assert_true(out[0].was_up);
	assert_true(path_equal(&out[0].path, &somewhere));
	assert_int_equal(session_table_dirty(t, out, 4, 1001), 0);
	session_table_mark_all(t);
	assert_int_equal(session_table_dirty(t, out, 4, 1002), 1);
	session_table_free(t);
}

static bool stored(struct session_table *t, struct device_state *out, uint8_t len)
{
	return session_table_dirty(t, out, 1, 1000) == 1 && out->farewell.len == len;
}

/* It lasts as long as the tunnel may be called back, and each change of it is stored. */
static void a_farewell_lasts_as_long_as_the_tunnel(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	const struct session_info info = {.id = ses, .device_id = dev};
	const struct farewell first = {.len = 3, .bytes = {1, 2, 3}}, second = {1, {9}};
	struct device_state out;
	session_table_farewell(t, l, NULL);
	assert_int_equal(session_table_dirty(t, &out, 1, 1000), 0);
	session_table_up(t, l, &info, &somewhere, &boot1);
	session_table_farewell(t, l, &first);
	assert_true(stored(t, &out, 3));
	assert_memory_equal(out.farewell.bytes, first.bytes, 3);
	session_table_farewell(t, l, &second);
	assert_true(stored(t, &out, 1));
	/* The dataplane is gone, the tunnel is not called off. */
	session_table_down(t, l, false, SESSION_END_DATAPLANE);
	assert_true(stored(t, &out, 1));
	session_table_farewell(t, l, NULL);
	assert_true(stored(t, &out, 0));
	assert_int_equal(session_table_dirty(t, &out, 1, 1000), 0);

	session_table_up(t, l, &info, &somewhere, &boot1);
	session_table_farewell(t, l, &first);
	session_table_down(t, l, true, SESSION_END_LEFT);
	assert_true(stored(t, &out, 0));
	assert_false(out.was_up);
	session_table_free(t);
}

/* ---- what is told ---- */

struct told {
	size_t n;
	int what[8];
	enum session_end why[8];
	struct ulid id[8];
	struct endpoint before, now;
	uint64_t rx_bytes;
};

static void on_change(void *arg, const struct session_change *change)
{
	struct told *told = arg;
	assert_true(told->n < 8);
	told->what[told->n] = (int)change->what;
	told->why[told->n] = change->why;
	told->id[told->n++] = change->info->id;
	told->rx_bytes = change->info->rx_bytes;
	if (change->before) {
		told->before = *change->before;
		told->now = change->info->endpoint;
	}
}

static void tells_what_becomes_of_sessions(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	struct told told = {0};
	struct session_info info = {.id = ses, .device_id = dev, .endpoint = somewhere.remote};
	struct path elsewhere = somewhere, other_local = somewhere;
	elsewhere.remote.port++;
	other_local.remote.port++;
	other_local.local = somewhere.remote.addr;
	session_table_watch(t, on_change, &told);

	session_table_down(t, l, true, SESSION_END_LEFT); /* there is none */
	assert_int_equal(told.n, 0);
	session_table_up(t, l, &info, &somewhere, &boot1);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.what[0], SESSION_STARTED);
	session_table_up(t, l, &info, &somewhere, &boot1); /* a rekey */
	session_table_moved(t, l, &somewhere);
	assert_int_equal(told.n, 1);
	session_table_moved(t, l, &elsewhere);
	session_table_moved(t, l, &other_local); /* we are elsewhere, not the client */
	assert_int_equal(told.n, 2);
	assert_int_equal(told.what[1], SESSION_ROAMED);
	assert_true(endpoint_equal(&told.before, &somewhere.remote));
	assert_true(endpoint_equal(&told.now, &elsewhere.remote));
	session_table_up(t, l, &info, &somewhere, &boot1); /* a rekey from where it was */
	assert_int_equal(told.n, 3);
	assert_int_equal(told.what[2], SESSION_ROAMED);

	count(t, l, &boot1, 1, 300);
	info.id.bytes[0]++;
	session_table_up(t, l, &info, &somewhere, &boot1);
	assert_int_equal(told.n, 5);
	assert_int_equal(told.what[3], SESSION_ENDED);
	assert_int_equal(told.why[3], SESSION_END_REPLACED);
	assert_true(ulid_equal(&told.id[3], &ses));
	assert_int_equal(told.what[4], SESSION_STARTED);
	session_table_down(t, l, false, SESSION_END_DATAPLANE);
	session_table_down(t, l, true, SESSION_END_REVOKED);
	assert_int_equal(told.n, 6);
	assert_int_equal(told.why[5], SESSION_END_DATAPLANE);

	session_table_up(t, l, &info, &somewhere, &boot1);
	session_table_forget(t, &dev);
	assert_int_equal(told.n, 8);
	assert_int_equal(told.why[7], SESSION_END_REVOKED);
	session_table_free(t);
}

static void totals_are_of_every_device(void **state)
{
	(void)state;
	struct live *l;
	struct session_table *t = with_device(&l);
	struct device_total *all;
	size_t n;
	count(t, l, &boot1, 1, 300);
	assert_int_equal(session_table_totals(t, &all, &n), 0);
	assert_int_equal(n, 1);
	assert_true(ulid_equal(&all[0].device_id, &dev));
	assert_int_equal(all[0].rx_bytes, 300);
	assert_false(all[0].connected);
	free(all);
	session_table_free(t);
}

static void ends_have_names(void **state)
{
	(void)state;
	assert_string_equal(session_end_name(SESSION_END_OTHER), "ended");
	assert_string_equal(session_end_name(SESSION_END_DATAPLANE), "dataplane_lost");
	assert_string_equal(session_end_name((enum session_end)99), "ended");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(totals_survive_epochs_and_boots),
		cmocka_unit_test(our_own_restart_counts_nothing_twice),
		cmocka_unit_test(a_session_comes_and_goes),
		cmocka_unit_test(the_boot_is_known_at_once),
		cmocka_unit_test(hands_over_each_change_once),
		cmocka_unit_test(a_farewell_lasts_as_long_as_the_tunnel),
		cmocka_unit_test(tells_what_becomes_of_sessions),
		cmocka_unit_test(totals_are_of_every_device),
		cmocka_unit_test(ends_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
