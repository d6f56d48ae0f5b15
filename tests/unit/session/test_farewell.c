/*
 * Clients whose TLS session nobody has any more: what the dataplane sealed for them is kept, said
 * twice when it is gone, and not to whoever may not come back. Real engine and coordinator, a
 * scripted dataplane; that such a packet is what it should be is tests/unit/fwd/test_seal.c's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "tests/sim/ovpn_rig.h"
#include "wire/ovpn_wire.h"

enum { SIZE = OVPN_DATA_V2_OVERHEAD + OVPN_OCC, AGAIN_MS = 1500, A_WHILE_MS = 300 };

/* What comes with the next keys. */
static void next_farewell(struct rig *r, uint8_t mark)
{
	memset(r->d.farewell, mark, SIZE);
	r->d.farewell[0] = OVPN_DATA_V2 << 3;
	r->d.farewell_len = SIZE;
}

static bool kept(struct rig *r, uint8_t mark)
{
	const struct device_state s = rig_state(r);

	return s.was_up && s.farewell.len == SIZE && s.farewell.bytes[SIZE - 1] == mark;
}

static bool said(const struct rig_client *client, uint8_t mark)
{
	return client->data.len == SIZE && client->data.bytes[0] == OVPN_DATA_V2 << 3 &&
	       client->data.bytes[SIZE - 1] == mark;
}

static struct rig_client *tunnel(struct rig *r, uint8_t mark)
{
	next_farewell(r, mark);
	struct rig_client *client = rig_connect(r, 0, 0, 0);

	rig_until(r, rig_sessions(r) == 1);
	return client;
}

/* The control plane that has its TLS session is gone, and has handed over what it knew. */
static void no_control_plane(struct rig *r, uint8_t mark)
{
	rig_control_stop(r);
	assert_true(kept(r, mark));
}

/* A tunnel in a dataplane that goes on, found by another control plane. */
static struct rig_client *left_alone(struct rig *r, uint8_t mark)
{
	struct rig_client *client = tunnel(r, mark);

	dp_script_show(&r->d, &r->d.keys);
	no_control_plane(r, mark);
	rig_control_start(r, 0);
	rig_until(r, rig_sessions(r) == 1);
	assert_int_equal(client->n_data, 0);
	return client;
}

static void new_dataplane(struct rig *r)
{
	dp_script_stop(&r->d);
	dp_script_start(&r->d, r->dir);
}

static void told_twice_and_no_more(struct rig *r, struct rig_client *client, uint8_t mark)
{
	rig_until(r, client->n_data == 1);
	const uint64_t first = clock_mono_ms(&r->clock);

	assert_true(said(client, mark));
	assert_true(path_equal(&client->data.to, &client->path));
	rig_until(r, client->n_data == 2);
	assert_true(said(client, mark));
	assert_true(clock_mono_ms(&r->clock) - first >= AGAIN_MS - A_WHILE_MS);
	/* Forgotten, so another one would not say it. */
	rig_until(r, !rig_state(r).farewell.len);
	assert_true(rig_state(r).was_up);
	new_dataplane(r);
	rig_until(r, rig_synced(r));
	rig_serve(r, A_WHILE_MS);
	assert_int_equal(client->n_data, 2);
	assert_string_equal(client->text, "");
}

static void after_a_restart_of_the_control_plane(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = left_alone(r, 7);

	rig_serve(r, A_WHILE_MS);
	assert_int_equal(client->n_data, 0); /* its dataplane is there */
	new_dataplane(r);
	told_twice_and_no_more(r, client, 7);
}

static void both_gone_at_once(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 8);

	no_control_plane(r, 8);
	new_dataplane(r);
	rig_control_start(r, 0);
	told_twice_and_no_more(r, client, 8);
}

/* The other order: the new control plane finds nobody, and then the new dataplane. */
static void a_dataplane_that_comes_late(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 9);

	no_control_plane(r, 9);
	dp_script_stop(&r->d);
	rig_control_start(r, 0);
	rig_serve(r, A_WHILE_MS);
	dp_script_start(&r->d, r->dir);
	rig_until(r, client->n_data == 1);
	assert_true(said(client, 9));
}

/* It is told there where it was seen last. */
static void after_a_move(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 7);

	client->path.remote.port = 4999;
	dp_script_move(&r->d, RIG_PEER, &client->path);
	rig_until(r, rig_session(r).endpoint.port == 4999);
	no_control_plane(r, 7);
	new_dataplane(r);
	rig_control_start(r, 0);
	rig_until(r, client->n_data == 1);
	assert_true(path_equal(&client->data.to, &client->path));
}

/* Whoever has a control channel is told by that and by nothing else. */
static void not_beside_a_control_channel(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 7);

	rig_until(r, kept(r, 7));
	new_dataplane(r);
	rig_until(r, strncmp(client->text, "RESTART", 7) == 0);
	rig_serve(r, A_WHILE_MS);
	assert_int_equal(client->n_data, 0);
	rig_until(r, !rig_state(r).farewell.len);
}

static void once_for_whoever_has_come(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = left_alone(r, 7);

	new_dataplane(r);
	rig_until(r, client->n_data == 1);
	next_farewell(r, 8);
	(void)rig_connect(r, 1, 0, 0);
	rig_until(r, rig_sessions(r) == 1 && kept(r, 8));
	rig_serve(r, AGAIN_MS + A_WHILE_MS);
	assert_int_equal(client->n_data, 1);
	assert_int_equal(r->clients[1].n_data, 0);
	assert_true(kept(r, 8));
}

/* ---- which one ---- */

/* A tunnel with farewell 7, and keys with 8 that nobody has confirmed. */
static void rekeyed_unconfirmed(struct rig *r)
{
	struct rig_client *client = tunnel(r, 7);

	next_farewell(r, 8);
	r->d.confirms = false;
	dp_script_want_rekey(&r->d, RIG_PEER, UAPI_REKEY_COUNTER);
	rig_until(r, client->n_keys == 2);
}

static void a_rekey_replaces_it_when_it_is_confirmed(void **state)
{
	struct rig *r = *state;

	rekeyed_unconfirmed(r);
	dp_script_confirm(&r->d, RIG_PEER, r->d.keys.seq);
	rig_until(r, kept(r, 8));
}

/* Until the client has used the new keys it is certain to have the old ones, and nothing else. */
static void unconfirmed_keys_do_not_replace_it(void **state)
{
	struct rig *r = *state;

	rekeyed_unconfirmed(r);
	no_control_plane(r, 7);
}

static void an_ordered_end_forgets_it(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 7);

	rig_until(r, kept(r, 7));
	assert_int_equal(ovpn_client_say(client->c, "EXIT", 5, clock_mono_ms(&r->clock)), 0);
	rig_until(r, !rig_state(r).farewell.len && !rig_state(r).was_up);

	client = tunnel(r, 8);
	rig_until(r, kept(r, 8));
	const struct ulid id = rig_session(r).id;
	rig_call(r, coordinator_session_kill, &id);
	assert_int_equal(rig_result(r), 0);
	rig_until(r, !rig_state(r).farewell.len && !rig_state(r).was_up);
	new_dataplane(r);
	rig_until(r, rig_synced(r));
	rig_serve(r, A_WHILE_MS);
	assert_int_equal(client->n_data, 0);
}

/* Another tunnel, of which we know nothing: what we hold would not open there. */
static void found_another_tunnel(void **state)
{
	struct rig *r = *state;
	struct uapi_session_set keys;

	(void)tunnel(r, 7);
	no_control_plane(r, 7);
	keys = r->d.keys;
	keys.credential = r->credentials[1].conf.id;
	keys.tunnel.bytes[0]++;
	dp_script_show(&r->d, &keys);
	rig_control_start(r, 0);
	rig_until(r, rig_sessions(r) == 1);
	rig_control_stop(r);
	assert_true(rig_state(r).was_up);
	assert_int_equal(rig_state(r).farewell.len, 0);
}

/* ---- who may not come back ---- */

static void nobody_is_told(struct rig *r)
{
	rig_until(r, rig_synced(r));
	rig_serve(r, A_WHILE_MS);
	assert_int_equal(r->clients[0].n_data, 0);
}

static void without_its_credential_or_after_its_time(void **state)
{
	struct rig *r = *state;

	(void)tunnel(r, 7);
	no_control_plane(r, 7);
	new_dataplane(r);
	rig_control_start(r, 1u << 0);
	nobody_is_told(r);
	no_control_plane(r, 7);
	r->credentials[0].conf.expires_at = clock_real_ms(&r->clock) - 1;
	rig_control_start(r, 0);
	nobody_is_told(r);
}

/* Whatever is in the database: the dataplane is not asked to send it. */
static void damaged_where_it_was_stored(void **state)
{
	struct rig *r = *state;

	(void)tunnel(r, 7);
	no_control_plane(r, 7);
	new_dataplane(r);
	r->state.farewell.bytes[0] = OVPN_DATA_V1 << 3;
	rig_control_start(r, 0);
	nobody_is_told(r);
	rig_control_stop(r);
	r->state.farewell.bytes[0] = OVPN_DATA_V2 << 3;
	r->state.farewell.len++;
	rig_control_start(r, 0);
	nobody_is_told(r);
}

static void revoked_while_no_dataplane_is_there(void **state)
{
	int (*const revoke[])(struct coordinator *c, const struct ulid *id) = {
		coordinator_credential_revoke, coordinator_device_revoke};
	struct rig *r = *state;
	const struct ulid ids[] = {r->credentials[0].conf.id, r->device.id};

	for (size_t i = 0; i < ARRAY_SIZE(revoke); i++) {
		(void)left_alone(r, 7);
		dp_script_stop(&r->d);
		rig_until(r, rig_sessions(r) == 0);
		rig_call(r, revoke[i], &ids[i]);
		assert_int_equal(rig_result(r), 0);
		dp_script_start(&r->d, r->dir);
		nobody_is_told(r);
		rig_until(r, !rig_state(r).was_up && !rig_state(r).farewell.len);
		/* Both are there again for the next one. */
		assert_int_equal(coordinator_device_put(r->c, &r->device), 0);
		assert_int_equal(coordinator_credential_put(r->c, &r->credentials[0].conf), 0);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(after_a_restart_of_the_control_plane),
		CASE(both_gone_at_once),
		CASE(a_dataplane_that_comes_late),
		CASE(after_a_move),
		CASE(not_beside_a_control_channel),
		CASE(once_for_whoever_has_come),
		CASE(a_rekey_replaces_it_when_it_is_confirmed),
		CASE(unconfirmed_keys_do_not_replace_it),
		CASE(an_ordered_end_forgets_it),
		CASE(found_another_tunnel),
		CASE(without_its_credential_or_after_its_time),
		CASE(damaged_where_it_was_stored),
		CASE(revoked_while_no_dataplane_is_there),
	};
	return cmocka_run_group_tests_name("farewell", tests, NULL, NULL);
}
