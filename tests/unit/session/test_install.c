/*
 * New keys of either protocol on their way to the dataplane: what waits for its word, what becomes
 * of keys that are overtaken, refused, lost or revoked meanwhile, and who has the device then.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "pki/keystore.h"
#include "tests/sim/ovpn_rig.h"
#include "wg/wg_engine.h"

enum { INITIATION = 148, RESPONSE = 92, ANSWERS = 8 };

/* The rig and a WireGuard client of the same device. */
struct house {
	struct rig *r;
	struct keystore *ks;
	char key[96];
	struct wg_engine *wg;
	struct dir_credential_conf conf;
	struct path path;
	uint64_t ms; /* its clock runs ahead, so that it may shake hands again at once */
	uint8_t answers[ANSWERS][RESPONSE];
	size_t n_answers, n_calls;
};

static uint32_t client_index(void *arg, const struct ulid *credential)
{
	struct house *h = arg;

	(void)credential;
	return 0x11220000 + (uint32_t)(h->ms / 10000);
}

static void client_index_free(void *arg, uint32_t index)
{
	(void)arg;
	(void)index;
}

static void on_datagram(void *arg, const struct dp_datagram *d)
{
	struct house *h = arg;

	if (!endpoint_equal(&d->to.remote, &h->path.remote))
		return;
	h->n_calls += d->len == INITIATION;
	if (d->len != RESPONSE || h->n_answers == ANSWERS)
		return;
	memcpy(h->answers[h->n_answers++], d->bytes, RESPONSE);
}

static int setup(void **state)
{
	struct house *h = calloc(1, sizeof(*h));
	const struct wg_ops ops = {client_index, client_index_free, h};
	uint8_t blob[KEYSTORE_WG_BLOB];

	assert_int_equal(rig_setup((void **)&h->r), 0);
	snprintf(h->key, sizeof(h->key), "%s/client.key", h->r->dir);
	assert_int_equal(keystore_open(&h->ks, h->key, true), 0);
	assert_int_equal(keystore_wg_create(h->ks, blob), 0);
	assert_int_equal(ulid_new(&h->conf.id, &h->r->clock), 0);
	h->conf.device_id = h->r->device.id;
	h->conf.protocol = DIR_WIREGUARD;
	memcpy(h->conf.wg_public, keystore_wg_public(h->ks), 32);
	memset(h->conf.wg_psk, 0x55, 32);
	assert_int_equal(endpoint_parse(&h->path.remote, "192.0.2.9:51820"), 0);
	assert_int_equal(wg_engine_new(&h->wg, h->ks, &ops), 0);
	assert_int_equal(wg_engine_peer_set(h->wg, &h->conf.id, keystore_wg_public(h->r->ks),
				 h->conf.wg_psk, NULL),
		0);
	assert_int_equal(coordinator_credential_put(h->r->c, &h->conf), 0);
	h->r->on_other = on_datagram;
	h->r->arg = h;
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct house *h = *state;

	wg_engine_free(h->wg);
	keystore_free(h->ks);
	unlink(h->key);
	assert_int_equal(rig_teardown((void **)&h->r), 0);
	free(h);
	return 0;
}

#define until(h, condition) rig_until((h)->r, condition)

static size_t n_sets(struct house *h)
{
	return dp_script_seen(&h->r->d, UAPI_SESSION_SET_MSG, NULL);
}

static size_t n_dels(struct house *h)
{
	return dp_script_seen(&h->r->d, UAPI_SESSION_DEL_MSG, NULL);
}

static void initiate(struct house *h)
{
	struct wg_out out;

	h->ms += 10000;
	assert_int_equal(wg_engine_initiate(h->wg, &h->conf.id, &h->path, h->ms,
				 clock_real_us(&h->r->clock) + (int64_t)h->ms * 1000, &out),
		0);
	dp_script_punt(&h->r->d, &h->path, out.bytes, out.len);
}

/* The answer fits the keys that the dataplane has. */
static void opens(struct house *h, size_t i)
{
	struct wg_result res;

	assert_true(i < h->n_answers);
	wg_engine_input(h->wg, h->answers[i], RESPONSE, &h->path, h->ms, &res);
	assert_int_equal(res.verdict, WG_SESSION);
	assert_memory_equal(res.seal, h->r->d.keys.open, 32);
	assert_memory_equal(res.open, h->r->d.keys.seal, 32);
	assert_int_equal(res.remote_index, h->r->d.keys.local_index);
	wg_result_wipe(&res);
}

static bool is_session(struct house *h, const struct uapi_session_set *keys)
{
	if (rig_sessions(h->r) != 1)
		return false;
	const struct session_info info = rig_session(h->r);

	return ulid_equal(&info.id, &keys->tunnel) &&
	       info.last_handshake_at == (int64_t)keys->handshake_ms;
}

/* A confirmed WireGuard session. */
static void wireguard(struct house *h)
{
	const size_t answers = h->n_answers;

	initiate(h);
	until(h, h->n_answers == answers + 1);
	dp_script_confirm(&h->r->d, RIG_PEER, h->r->d.keys.seq);
	until(h, is_session(h, &h->r->d.keys));
}

/* ---- WireGuard ---- */

static void the_answer_waits_for_the_word(void **state)
{
	struct house *h = *state;

	h->r->d.holds_keys = true;
	initiate(h);
	until(h, h->r->d.holding);
	rig_settle(h->r);
	assert_int_equal(h->n_answers, 0);
	assert_int_equal(rig_sessions(h->r), 0);
	dp_script_release(&h->r->d);
	until(h, h->n_answers == 1);
	opens(h, 0);
	/* It is no session before something came on it. */
	assert_int_equal(rig_sessions(h->r), 0);
	dp_script_confirm(&h->r->d, RIG_PEER, h->r->d.keys.seq);
	until(h, is_session(h, &h->r->d.keys));
	assert_int_equal(h->r->d.keys.protocol, UAPI_WIREGUARD);
	assert_int_equal(h->r->d.keys.cipher, AEAD_CHACHA20_POLY1305);
}

static void refused_keys_have_no_answer(void **state)
{
	struct house *h = *state;
	const size_t named = dp_script_seen(&h->r->d, UAPI_PEER_SET_MSG, NULL);

	h->r->d.refuses_keys = ENOENT;
	initiate(h);
	until(h, dp_script_seen(&h->r->d, UAPI_PEER_SET_MSG, NULL) == named + 1);
	rig_settle(h->r);
	assert_int_equal(h->n_answers, 0);
	/* Another reason: nothing is to be named again. */
	h->r->d.refuses_keys = ENOMEM;
	initiate(h);
	until(h, n_sets(h) == 2);
	rig_settle(h->r);
	assert_int_equal(h->n_answers, 0);
	assert_int_equal(dp_script_seen(&h->r->d, UAPI_PEER_SET_MSG, NULL), named + 1);
	wireguard(h);
}

static void lost_keys_have_no_answer(void **state)
{
	struct house *h = *state;

	h->r->d.holds_keys = true;
	initiate(h);
	until(h, h->r->d.holding);
	const struct uapi_session_set lost = h->r->d.keys;

	dp_script_cut(&h->r->d);
	until(h, dp_script_up(&h->r->d) && rig_synced(h->r));
	dp_script_confirm(&h->r->d, RIG_PEER, lost.seq);
	rig_settle(h->r);
	assert_int_equal(h->n_answers, 0);
	assert_int_equal(rig_sessions(h->r), 0);
	wireguard(h);
	assert_true(h->r->d.keys.seq > lost.seq);
}

static void revoked_keys_have_no_answer(void **state)
{
	struct house *h = *state;

	h->r->d.holds_keys = true;
	initiate(h);
	until(h, h->r->d.holding);
	rig_call(h->r, coordinator_credential_revoke, &h->conf.id);
	until(h, n_dels(h) == 1);
	dp_script_release(&h->r->d);
	until(h, h->r->called_back);
	assert_int_equal(rig_result(h->r), 0);
	dp_script_confirm(&h->r->d, RIG_PEER, h->r->d.keys.seq);
	rig_settle(h->r);
	assert_int_equal(h->n_answers, 0);
	assert_int_equal(rig_sessions(h->r), 0);
}

/* Only the newest is answered, and only its confirmation counts. */
static void overtaken_keys_are_forgotten(void **state)
{
	struct house *h = *state;

	h->r->d.holds_keys = true;
	initiate(h);
	until(h, h->r->d.holding);
	const struct uapi_session_set older = h->r->d.keys;

	/* Faster than this it takes none from the same place. */
	const uint64_t from = clock_mono_ms(&h->r->clock);

	until(h, clock_mono_ms(&h->r->clock) > from + 25);
	initiate(h);
	until(h, n_sets(h) == 2);
	dp_script_release(&h->r->d);
	until(h, h->n_answers == 1);
	rig_settle(h->r);
	assert_int_equal(h->n_answers, 1);
	opens(h, 0);
	dp_script_confirm(&h->r->d, RIG_PEER, older.seq);
	rig_settle(h->r);
	assert_int_equal(rig_sessions(h->r), 0);
	dp_script_confirm(&h->r->d, RIG_PEER, h->r->d.keys.seq);
	until(h, is_session(h, &h->r->d.keys));
}

static void a_rekey_keeps_the_session(void **state)
{
	struct house *h = *state;

	wireguard(h);
	const struct session_info before = rig_session(h->r);
	const uint64_t seq = h->r->d.keys.seq, from = clock_mono_ms(&h->r->clock);

	until(h, clock_mono_ms(&h->r->clock) > from + 25);
	wireguard(h);
	const struct session_info after = rig_session(h->r);

	assert_true(ulid_equal(&before.id, &after.id));
	assert_int_equal(before.started_at, after.started_at);
	assert_true(after.last_handshake_at > before.last_handshake_at);
	assert_true(h->r->d.keys.seq > seq);
	assert_int_equal(n_dels(h), 0);
}

/* News of keys that newer ones have replaced, and of a peer that nobody knows. */
static void late_news_change_nothing(void **state)
{
	struct house *h = *state;

	wireguard(h);
	const uint64_t seq = h->r->d.keys.seq;

	dp_script_expire(&h->r->d, RIG_PEER, seq - 1, UAPI_END_AGE);
	dp_script_expire(&h->r->d, RIG_PEER + 1, seq, UAPI_END_AGE);
	dp_script_confirm(&h->r->d, RIG_PEER + 1, seq);
	dp_script_confirm(&h->r->d, RIG_PEER, seq + 100);
	rig_settle(h->r);
	assert_true(is_session(h, &h->r->d.keys));
	dp_script_expire(&h->r->d, RIG_PEER, seq, UAPI_END_AGE);
	until(h, rig_sessions(h->r) == 0);
}

/* ---- one device, both protocols ---- */

static void from_openvpn_to_wireguard_and_back(void **state)
{
	struct house *h = *state;
	struct rig_client *client = rig_connect(h->r, 0, 0, 0);

	until(h, is_session(h, &h->r->d.keys));
	wireguard(h);
	assert_int_equal(rig_session(h->r).protocol, UAPI_WIREGUARD);
	until(h, strncmp(client->text, "AUTH_FAILED,another connection", 30) == 0);
	/* Its keys left the dataplane with the confirmation of the new ones. */
	assert_int_equal(n_dels(h), 0);
	client = rig_connect(h->r, 1, 1, 0);
	until(h, is_session(h, &h->r->d.keys));
	assert_int_equal(rig_session(h->r).protocol, UAPI_OPENVPN);
	assert_int_equal(rig_session(h->r).cipher, AEAD_AES_256_GCM);
	assert_string_equal(client->text, "");
	assert_int_equal(n_dels(h), 0);
}

/* What an OpenVPN client had is ended, while WireGuard's answer waits for its first packet. */
static void wireguard_waits_while_openvpn_ends(void **state)
{
	struct house *h = *state;

	(void)rig_connect(h->r, 0, 0, 0);
	until(h, is_session(h, &h->r->d.keys));
	const uint64_t seq = h->r->d.keys.seq;

	initiate(h);
	until(h, h->n_answers == 1);
	dp_script_expire(&h->r->d, RIG_PEER, seq, UAPI_END_EXIT);
	until(h, rig_sessions(h->r) == 0);
	dp_script_confirm(&h->r->d, RIG_PEER, h->r->d.keys.seq);
	until(h, is_session(h, &h->r->d.keys));
	assert_int_equal(n_dels(h), 0);
}

/* Another dataplane: the one is called, the other told to come again; no key goes twice. */
static void a_new_dataplane_gets_no_old_keys(void **state)
{
	struct house *h = *state;

	wireguard(h);
	dp_script_stop(&h->r->d);
	dp_script_start(&h->r->d, h->r->dir);
	until(h, h->n_calls > 0);
	assert_int_equal(rig_sessions(h->r), 0);
	assert_int_equal(n_sets(h), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_answer_waits_for_the_word),
		CASE(refused_keys_have_no_answer),
		CASE(lost_keys_have_no_answer),
		CASE(revoked_keys_have_no_answer),
		CASE(overtaken_keys_are_forgotten),
		CASE(a_rekey_keeps_the_session),
		CASE(late_news_change_nothing),
		CASE(from_openvpn_to_wireguard_and_back),
		CASE(wireguard_waits_while_openvpn_ends),
		CASE(a_new_dataplane_gets_no_old_keys),
	};
	return cmocka_run_group_tests_name("install", tests, NULL, NULL);
}
