/*
 * OpenVPN from the first packet to the dataplane's keys and back: real engine, real TLS, a scripted
 * dataplane. What the client is told, what the dataplane is asked, and that nothing is left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "crypto/aead.h"
#include "tests/sim/ovpn_rig.h"

enum { CONNECTION = 77 };

static size_t n_sets(struct rig *r)
{
	return dp_script_seen(&r->d, UAPI_SESSION_SET_MSG, NULL);
}

static size_t n_dels(struct rig *r)
{
	return dp_script_seen(&r->d, UAPI_SESSION_DEL_MSG, NULL);
}

static bool told(const struct rig_client *client, const char *text)
{
	return strncmp(client->text, text, strlen(text)) == 0;
}

static bool is_session(struct rig *r, const struct ulid *id)
{
	const struct session_info info = rig_session(r);

	return ulid_equal(&info.id, id);
}

/* A tunnel that REST shows. */
static struct rig_client *tunnel(struct rig *r, size_t i, size_t credential, uint32_t connection)
{
	struct rig_client *client = rig_connect(r, i, credential, connection);

	rig_until(r, rig_sessions(r) == 1 &&
			     rig_session(r).last_handshake_at == (int64_t)r->d.keys.handshake_ms);
	return client;
}

/* As far as SESSION_SET, which is not answered. */
static struct rig_client *held(struct rig *r, size_t i, size_t credential, uint32_t connection)
{
	struct rig_client *client = rig_client(r, i, credential, credential, connection);

	r->d.holds_keys = true;
	rig_until(r, r->d.holding);
	return client;
}

/* ---- a tunnel ---- */

static void both_ends_have_the_same_keys(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);
	const struct session_info info = rig_session(r);

	assert_int_equal(client->n_keys, 1);
	assert_int_equal(r->d.keys.cipher, client->keys.cipher);
	assert_memory_equal(r->d.keys.seal, client->keys.open, 32);
	assert_memory_equal(r->d.keys.open, client->keys.seal, 32);
	assert_memory_equal(r->d.keys.seal_iv, client->keys.open_iv, sizeof(client->keys.open_iv));
	assert_memory_equal(r->d.keys.open_iv, client->keys.seal_iv, sizeof(client->keys.seal_iv));
	assert_int_equal(r->d.keys.peer, RIG_PEER);
	assert_int_equal(r->d.keys.key_id, 0);
	assert_int_equal(r->d.keys.transport, UAPI_UDP);
	assert_true(r->d.keys.life_s > 2 * 3600);
	assert_true(ulid_equal(&r->d.keys.credential, &r->credentials[0].conf.id));
	assert_true(ulid_equal(&info.id, &r->d.keys.tunnel));
	assert_int_equal(info.protocol, UAPI_OPENVPN);
	assert_int_equal(info.tls, 0x0304);
	assert_int_equal(info.endpoint.port, 4000);
	assert_int_equal(n_sets(r), 1);
	assert_int_equal(dp_script_seen(&r->d, UAPI_SESSION_USE_MSG, NULL), 1);
	assert_int_equal(n_dels(r), 0);
}

static void keys_come_before_the_answer(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = held(r, 0, 0, 0);

	rig_settle(r);
	assert_false(client->up);
	assert_false(ovpn_client_established(client->c));
	assert_int_equal(client->n_keys, 0);
	assert_int_equal(rig_sessions(r), 0);
	dp_script_release(&r->d);
	rig_until(r, client->up && rig_sessions(r) == 1);
}

/* ---- keys that the dataplane does not take ---- */

static void refused_keys_leave_nothing(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = rig_client(r, 0, 0, 0, 0);

	r->d.refuses_keys = ENOENT;
	rig_until(r, told(client, "RESTART"));
	assert_false(client->up);
	assert_int_equal(client->n_keys, 0);
	assert_int_equal(rig_sessions(r), 0);
	assert_int_equal(dp_script_seen(&r->d, UAPI_SESSION_USE_MSG, NULL), 0);
	/* It may have been out of memory when it was told of the device. */
	assert_int_equal(dp_script_seen(&r->d, UAPI_PEER_SET_MSG, NULL), 2);
	(void)tunnel(r, 0, 0, 0);
	assert_int_equal(n_sets(r), 2);
}

static void lost_keys_leave_nothing(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = held(r, 0, 0, 0);
	const uint64_t seq = r->d.keys.seq;

	dp_script_cut(&r->d);
	rig_until(r, told(client, "RESTART"));
	rig_until(r, rig_synced(r));
	assert_false(client->up);
	assert_int_equal(client->n_keys, 0);
	/* Late news of them make no session. */
	dp_script_confirm(&r->d, RIG_PEER, seq);
	rig_settle(r);
	assert_int_equal(rig_sessions(r), 0);
	(void)tunnel(r, 0, 0, 0);
	assert_true(r->d.keys.seq > seq);
}

/* More often than there are peer-ids: each is given back. */
static void a_refusing_dataplane_uses_up_no_peer_ids(void **state)
{
	struct rig *r = *state;
	struct rig_client *client;
	uint32_t last = UINT32_MAX;

	for (int i = 0; i < 4; i++) {
		r->d.refuses_keys = ENOMEM;
		client = rig_client(r, 0, 0, 0, 0);
		rig_until(r, told(client, "RESTART"));
		assert_true(r->d.keys.local_index != last);
		last = r->d.keys.local_index;
	}
	client = tunnel(r, 0, 0, 0);
	assert_int_equal(n_sets(r), 5);
}

static void a_dataplane_that_restarts_in_the_middle(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = held(r, 0, 0, 0);

	dp_script_stop(&r->d);
	dp_script_start(&r->d, r->dir);
	rig_until(r, told(client, "RESTART"));
	assert_false(client->up);
	rig_until(r, rig_synced(r));
	assert_int_equal(rig_sessions(r), 0);
	(void)tunnel(r, 0, 0, 0);
}

static void a_dataplane_that_restarts_under_a_tunnel(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);

	dp_script_stop(&r->d);
	dp_script_start(&r->d, r->dir);
	rig_until(r, told(client, "RESTART"));
	rig_until(r, rig_synced(r));
	assert_int_equal(rig_sessions(r), 0);
	assert_int_equal(n_sets(r), 1);
	(void)tunnel(r, 0, 0, 0);
	assert_int_equal(n_sets(r), 2);
}

/* ---- revoked ---- */

static void revoked_between_the_keys_and_their_word(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = held(r, 0, 0, 0);

	rig_call(r, coordinator_credential_revoke, &r->credentials[0].conf.id);
	rig_until(r, n_dels(r) == 1);
	assert_false(r->called_back);
	dp_script_release(&r->d);
	assert_int_equal(rig_result(r), 0);
	rig_until(r, told(client, "AUTH_FAILED"));
	assert_false(client->up);
	assert_int_equal(client->n_keys, 0);
	assert_int_equal(dp_script_seen(&r->d, UAPI_SESSION_USE_MSG, NULL), 0);
	dp_script_confirm(&r->d, RIG_PEER, r->d.keys.seq);
	rig_settle(r);
	assert_int_equal(rig_sessions(r), 0);
	/* He does not come back. */
	client = rig_client(r, 0, 0, 0, 0);
	rig_until(r, told(client, "AUTH_FAILED"));
	assert_int_equal(n_sets(r), 1);
}

static void a_revoked_tunnel_is_told(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);
	struct dp_seen last;

	rig_call(r, coordinator_credential_revoke, &r->credentials[0].conf.id);
	assert_int_equal(rig_result(r), 0);
	assert_int_equal(rig_sessions(r), 0);
	assert_int_equal(dp_script_seen(&r->d, UAPI_SESSION_DEL_MSG, &last), 1);
	assert_true(ulid_equal(&last.credential, &r->credentials[0].conf.id));
	rig_until(r, told(client, "AUTH_FAILED,this device may not connect any more"));
}

static void a_revoked_device_takes_all_with_it(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = held(r, 0, 1, 0);

	rig_call(r, coordinator_device_revoke, &r->device.id);
	rig_until(r, dp_script_seen(&r->d, UAPI_PEER_DEL_MSG, NULL) == 1);
	dp_script_release(&r->d);
	assert_int_equal(rig_result(r), 0);
	rig_until(r, told(client, "AUTH_FAILED"));
	assert_int_equal(client->n_keys, 0);
	assert_int_equal(rig_sessions(r), 0);
}

static void what_expires_is_told_within_a_second(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);
	struct dir_credential_conf conf = r->credentials[0].conf;

	conf.expires_at = clock_real_ms(&r->clock) + 300;
	assert_int_equal(coordinator_credential_put(r->c, &conf), 0);
	rig_until(r, told(client, "AUTH_FAILED"));
	assert_true(clock_real_ms(&r->clock) >= conf.expires_at);
	assert_true(clock_real_ms(&r->clock) < conf.expires_at + 1000);
	rig_until(r, n_dels(r) == 1);
	assert_int_equal(rig_sessions(r), 0);
}

static void a_key_of_another_credential_is_refused(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = rig_client(r, 0, 0, 1, 0);

	rig_until(r, told(client, "AUTH_FAILED,the tls-crypt-v2 key belongs to another"));
	assert_int_equal(n_sets(r), 0);
}

/* ---- ends ---- */

static void a_killed_session_may_come_again(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);
	const struct ulid id = rig_session(r).id;

	rig_call(r, coordinator_session_kill, &id);
	assert_int_equal(rig_result(r), 0);
	assert_int_equal(rig_sessions(r), 0);
	assert_int_equal(n_dels(r), 1);
	rig_until(r, told(client, "RESTART,this session was ended by the operator"));
	rig_call(r, coordinator_session_kill, &id);
	assert_int_equal(rig_result(r), -ENOENT);
	(void)tunnel(r, 0, 0, 0);
	assert_int_equal(n_dels(r), 1);
	assert_false(ulid_equal(&id, &r->d.keys.tunnel));
}

static void a_goodbye_ends_it_at_once(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);

	assert_int_equal(ovpn_client_say(client->c, "EXIT", 5, clock_mono_ms(&r->clock)), 0);
	rig_until(r, n_dels(r) == 1);
	assert_int_equal(rig_sessions(r), 0);
	assert_string_equal(client->text, "");
}

static void a_closed_connection_ends_it(void **state)
{
	struct rig *r = *state;

	(void)tunnel(r, 0, 0, CONNECTION);
	assert_int_equal(r->d.keys.transport, UAPI_TCP);
	dp_script_close(&r->d, CONNECTION + 1);
	rig_settle(r);
	assert_int_equal(rig_sessions(r), 1);
	dp_script_close(&r->d, CONNECTION);
	rig_until(r, rig_sessions(r) == 0);
	rig_until(r, n_dels(r) == 1);
	/* It is closed already. */
	assert_int_equal(dp_script_seen(&r->d, UAPI_CONNECTION_CLOSE_MSG, NULL), 0);
}

static void a_farewell_over_tcp_closes_the_connection(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, CONNECTION);
	const struct ulid id = rig_session(r).id;
	struct dp_seen last;

	rig_call(r, coordinator_session_kill, &id);
	assert_int_equal(rig_result(r), 0);
	rig_until(r, told(client, "RESTART"));
	rig_until(r, dp_script_seen(&r->d, UAPI_CONNECTION_CLOSE_MSG, &last) == 1);
	assert_int_equal(last.connection, CONNECTION);
}

static void old_keys_make_it_begin_again(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);

	dp_script_expire(&r->d, RIG_PEER, r->d.keys.seq, UAPI_END_AGE);
	rig_until(r, told(client, "RESTART,its keys expired"));
	assert_int_equal(rig_sessions(r), 0);
}

static void silence_is_not_answered(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);

	dp_script_expire(&r->d, RIG_PEER, r->d.keys.seq, UAPI_END_SILENCE);
	rig_until(r, rig_sessions(r) == 0);
	rig_settle(r);
	assert_string_equal(client->text, "");
	assert_int_equal(n_dels(r), 0);
}

/* ---- rekeys, roaming ---- */

static void a_rekey_that_the_dataplane_wants(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);
	const struct session_info before = rig_session(r);
	const uint64_t seq = r->d.keys.seq;

	dp_script_want_rekey(&r->d, RIG_PEER, UAPI_REKEY_COUNTER);
	rig_until(r, n_sets(r) == 2 && client->n_keys == 2);
	assert_int_equal(r->d.keys.key_id, 1);
	assert_true(r->d.keys.seq > seq);
	assert_memory_equal(r->d.keys.seal, client->keys.open, 32);
	assert_true(ulid_equal(&r->d.keys.tunnel, &before.id));
	dp_script_confirm(&r->d, RIG_PEER, r->d.keys.seq);
	rig_until(r, rig_session(r).last_handshake_at == (int64_t)r->d.keys.handshake_ms);
	assert_true(is_session(r, &before.id));
	assert_int_equal(rig_session(r).started_at, before.started_at);
	assert_int_equal(n_dels(r), 0);
	assert_string_equal(client->text, "");
}

static void a_refused_rekey_ends_nothing(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);
	const struct ulid id = rig_session(r).id;

	r->d.refuses_keys = ENOMEM;
	dp_script_want_rekey(&r->d, RIG_PEER, UAPI_REKEY_COUNTER);
	rig_until(r, n_sets(r) == 2);
	rig_settle(r);
	assert_true(is_session(r, &id));
	assert_int_equal(n_dels(r), 0);
	assert_string_equal(client->text, "");
}

static void a_client_that_moves_is_spoken_to_there(void **state)
{
	struct rig *r = *state;
	struct rig_client *client = tunnel(r, 0, 0, 0);

	client->path.remote.port = 4999;
	dp_script_move(&r->d, RIG_PEER, &client->path);
	rig_until(r, rig_session(r).endpoint.port == 4999);
	dp_script_want_rekey(&r->d, RIG_PEER, UAPI_REKEY_AGE);
	rig_until(r, client->n_keys == 2);
}

/* ---- one device, two clients ---- */

static void the_newer_tunnel_wins(void **state)
{
	struct rig *r = *state;
	struct rig_client *older = tunnel(r, 0, 0, 0), *newer;
	const struct ulid id = rig_session(r).id;

	/* With the same credential and with another one of the device. */
	for (size_t i = 0; i < 2; i++) {
		newer = tunnel(r, i + 1, i, 0);
		rig_until(r, told(older, "AUTH_FAILED,another connection of this device"));
		assert_string_equal(newer->text, "");
		assert_false(is_session(r, &id));
		assert_int_equal(n_dels(r), 0);
		older = newer;
	}
	assert_int_equal(n_sets(r), 3);
}

/* Another one's keys are there, but nothing came on them yet. */
static struct rig_client *waiting(struct rig *r, size_t i, uint32_t connection)
{
	struct rig_client *client;

	r->d.confirms = false;
	client = rig_connect(r, i, 0, connection);
	rig_until(r, dp_script_seen(&r->d, UAPI_SESSION_USE_MSG, NULL) == 2);
	return client;
}

/* Its keys come into use, and it is known which client they belong to. */
static void goes_on(struct rig *r, struct rig_client *client)
{
	struct uapi_session_set keys = r->d.keys;

	dp_script_confirm(&r->d, RIG_PEER, keys.seq);
	rig_until(r, rig_sessions(r) == 1);
	assert_true(is_session(r, &keys.tunnel));
	dp_script_want_rekey(&r->d, RIG_PEER, UAPI_REKEY_COUNTER);
	rig_until(r, client->n_keys == 2);
	assert_true(ulid_equal(&r->d.keys.tunnel, &keys.tunnel));
	assert_int_equal(n_dels(r), 0);
	assert_string_equal(client->text, "");
}

static void the_older_one_falls_silent_meanwhile(void **state)
{
	struct rig *r = *state;

	(void)tunnel(r, 0, 0, 0);
	const uint64_t seq = r->d.keys.seq;
	struct rig_client *newer = waiting(r, 1, 0);

	dp_script_expire(&r->d, RIG_PEER, seq, UAPI_END_SILENCE);
	rig_until(r, rig_sessions(r) == 0);
	goes_on(r, newer);
}

static void the_older_one_is_closed_meanwhile(void **state)
{
	struct rig *r = *state;

	(void)tunnel(r, 0, 0, CONNECTION);
	struct rig_client *newer = waiting(r, 1, CONNECTION + 1);

	dp_script_close(&r->d, CONNECTION);
	rig_until(r, rig_sessions(r) == 0);
	goes_on(r, newer);
}

static void the_older_one_says_goodbye_meanwhile(void **state)
{
	struct rig *r = *state;
	struct rig_client *older = tunnel(r, 0, 0, 0), *newer = waiting(r, 1, 0);

	assert_int_equal(ovpn_client_say(older->c, "EXIT", 5, clock_mono_ms(&r->clock)), 0);
	rig_until(r, rig_sessions(r) == 0);
	goes_on(r, newer);
}

/* Statistics may show the newer one before its own event does. */
static void statistics_are_faster_than_the_news(void **state)
{
	struct rig *r = *state;
	struct rig_client *older = tunnel(r, 0, 0, 0), *newer = waiting(r, 1, 0);

	dp_script_show(&r->d, &r->d.keys);
	rig_until(r, told(older, "AUTH_FAILED,another connection of this device"));
	r->d.has_stats = false;
	goes_on(r, newer);
}

/* All that the session's credential has is ended, also what waits. */
static void killed_while_another_waits(void **state)
{
	struct rig *r = *state;
	struct rig_client *older = tunnel(r, 0, 0, 0), *newer = waiting(r, 1, 0);
	const struct ulid id = rig_session(r).id;

	rig_call(r, coordinator_session_kill, &id);
	assert_int_equal(rig_result(r), 0);
	rig_until(r, told(older, "RESTART") && told(newer, "RESTART"));
	dp_script_confirm(&r->d, RIG_PEER, r->d.keys.seq);
	rig_settle(r);
	assert_int_equal(rig_sessions(r), 0);
	assert_int_equal(n_dels(r), 1);
}

/* He comes again so fast that the word on what he had arrives after his new keys went. */
static void killed_and_back_at_once(void **state)
{
	struct rig *r = *state;
	(void)tunnel(r, 0, 0, 0);
	const struct ulid id = rig_session(r).id;

	r->d.holds_all = true;
	rig_call(r, coordinator_session_kill, &id);
	rig_until(r, n_dels(r) == 1);
	struct rig_client *client = rig_client(r, 1, 0, 0, 0);
	rig_until(r, n_sets(r) == 2);
	assert_false(r->called_back);
	dp_script_release(&r->d);
	assert_int_equal(rig_result(r), 0);
	rig_until(r, client->up && rig_sessions(r) == 1);
	assert_true(is_session(r, &r->d.keys.tunnel));
}

/* The newer one with another credential of the device is no business of a revocation of the older
 * one's. */
static void revoked_while_another_credential_waits(void **state)
{
	struct rig *r = *state;
	struct rig_client *older = tunnel(r, 0, 1, 0), *newer = waiting(r, 1, 0);

	rig_call(r, coordinator_credential_revoke, &r->credentials[1].conf.id);
	assert_int_equal(rig_result(r), 0);
	rig_until(r, told(older, "AUTH_FAILED"));
	assert_int_equal(rig_sessions(r), 0);
	dp_script_confirm(&r->d, RIG_PEER, r->d.keys.seq);
	rig_until(r, rig_sessions(r) == 1);
	dp_script_want_rekey(&r->d, RIG_PEER, UAPI_REKEY_COUNTER);
	rig_until(r, newer->n_keys == 2);
	assert_string_equal(newer->text, "");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(both_ends_have_the_same_keys),
		CASE(keys_come_before_the_answer),
		CASE(refused_keys_leave_nothing),
		CASE(lost_keys_leave_nothing),
		CASE(a_refusing_dataplane_uses_up_no_peer_ids),
		CASE(a_dataplane_that_restarts_in_the_middle),
		CASE(a_dataplane_that_restarts_under_a_tunnel),
		CASE(revoked_between_the_keys_and_their_word),
		CASE(a_revoked_tunnel_is_told),
		CASE(a_revoked_device_takes_all_with_it),
		CASE(what_expires_is_told_within_a_second),
		CASE(a_key_of_another_credential_is_refused),
		CASE(a_killed_session_may_come_again),
		CASE(a_goodbye_ends_it_at_once),
		CASE(a_closed_connection_ends_it),
		CASE(a_farewell_over_tcp_closes_the_connection),
		CASE(old_keys_make_it_begin_again),
		CASE(silence_is_not_answered),
		CASE(a_rekey_that_the_dataplane_wants),
		CASE(a_refused_rekey_ends_nothing),
		CASE(a_client_that_moves_is_spoken_to_there),
		CASE(the_newer_tunnel_wins),
		CASE(the_older_one_falls_silent_meanwhile),
		CASE(the_older_one_is_closed_meanwhile),
		CASE(the_older_one_says_goodbye_meanwhile),
		CASE(statistics_are_faster_than_the_news),
		CASE(killed_while_another_waits),
		CASE(killed_and_back_at_once),
		CASE(revoked_while_another_credential_waits),
	};
	return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}
