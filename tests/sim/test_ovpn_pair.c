/*
 * The engine against our client over a wire that loses, doubles and reorders, in virtual time.
 *
 *   client <--wire--> engine <--a few ms--> dataplane (a table of keys)
 *
 * What must hold, whatever the wire does: both ends come to the same keys for every key id; nothing
 * is pushed before the dataplane has them; the dataplane is told to use a key id that the client
 * has; what the client loses at a rekey is never the key in use.
 */
#include "tests/sim/ovpn_client.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "ovpn/ovpn_engine.h"
#include "tests/sim/ovpn_pki.h"
#include "uapi/uapi.h"

enum { FLYING = 512, SEEDS = 200, LIMIT_MS = 60 * 1000, REAL0 = 1700000000 };

struct flying {
	bool to_client, is_keys_done;
	size_t len;
	uint64_t at_ms;
	uint8_t key_id;
	uint64_t session;
	uint8_t bytes[OVPN_DATAGRAM_MAX];
};

struct conditions {
	unsigned loss, twice; /* percent */
	unsigned delay_ms;    /* 1 to this */
};

struct key_slot {
	bool server, client;
	struct ovpn_data_keys servers, clients;
	uint8_t format;
	bool used;
};

struct sim {
	uint64_t now_ms;
	uint32_t seed;
	struct conditions wire;
	struct ovpn_engine *e;
	struct ovpn_client *c;
	struct path path;
	struct flying flying[FLYING];
	size_t n_flying;
	uint64_t session;
	struct key_slot keys[8];
	unsigned n_server_keys, n_client_keys, n_use;
	bool installed; /* the first keys */
	bool client_up, client_failed, ended, closed;
	uint32_t peer_id_server, peer_id_client;
	uint16_t tls;
	char text[1024];
	const char *reason;
	unsigned peer_ids;
};

static struct test_ca ca;
static struct ovpn_key2 shared_key;
static uint8_t v2_server_key[OVPN_V2_SERVER_KEY];
static const struct ulid credential = {{7}};

static uint32_t next_random(struct sim *s, uint32_t below)
{
	s->seed = s->seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(s->seed >> 4) * below >> 28);
}

/* ---- what the engine asks ---- */

static int authorize(
	void *arg, const struct ovpn_identity *who, struct ovpn_grant *grant, const char **why)
{
	(void)arg;
	(void)who;
	(void)why;
	grant->credential = credential;
	assert_int_equal(ip_addr_parse(&grant->address4, "10.66.0.2"), 0);
	assert_int_equal(ip_addr_parse(&grant->address6, "fd66::2"), 0);
	return 0;
}

static uint32_t peer_id_alloc(void *arg, const struct ovpn_grant *grant)
{
	(void)grant;
	struct sim *s = arg;

	return 100 + s->peer_ids++;
}

static void peer_id_free(void *arg, uint32_t peer_id)
{
	struct sim *s = arg;

	assert_true(peer_id >= 100);
	s->peer_ids--;
}

/* ---- wire ---- */

static struct flying *slot(struct sim *s)
{
	assert_true(s->n_flying < FLYING);
	return &s->flying[s->n_flying++];
}

static void launch(struct sim *s, bool to_client, const uint8_t *bytes, size_t len)
{
	struct flying *f = slot(s);

	*f = (struct flying){.to_client = to_client, .len = len};
	memcpy(f->bytes, bytes, len);
	f->at_ms = s->now_ms + 1 + next_random(s, s->wire.delay_ms);
}

static void transmit(struct sim *s, bool to_client, const uint8_t *bytes, size_t len)
{
	/* TCP neither loses nor reorders: the wire's delay is 1 ms for everybody then. */
	if (next_random(s, 100) >= s->wire.loss)
		launch(s, to_client, bytes, len);
	if (next_random(s, 100) < s->wire.twice)
		launch(s, to_client, bytes, len);
}

static struct ovpn_time now_of(const struct sim *s)
{
	return (struct ovpn_time){s->now_ms, REAL0 + (int64_t)(s->now_ms / 1000)};
}

/* ---- ends ---- */

static void take_keys(struct sim *s, const struct ovpn_action *a)
{
	struct flying *f = slot(s);
	struct key_slot *k = &s->keys[a->key_id];

	*k = (struct key_slot){.server = true, .servers = a->keys, .format = a->format};
	s->n_server_keys++;
	s->session = a->session;
	s->peer_id_server = a->peer_id;
	s->tls = a->tls;
	assert_int_equal(a->first, a->key_id == 0);
	*f = (struct flying){.is_keys_done = true,
		.session = a->session,
		.key_id = a->key_id,
		.at_ms = s->now_ms + next_random(s, 5)};
}

static void carry_out(struct sim *s, const struct ovpn_action *a)
{
	switch (a->kind) {
	case OVPN_ACTION_SEND:
		transmit(s, true, a->bytes, a->len);
		break;
	case OVPN_ACTION_KEYS:
		take_keys(s, a);
		break;
	case OVPN_ACTION_USE:
		assert_true(s->keys[a->key_id].server && s->keys[a->key_id].client);
		s->keys[a->key_id].used = true;
		s->n_use++;
		break;
	case OVPN_ACTION_ENDED:
		s->ended = true;
		s->reason = a->reason;
		break;
	case OVPN_ACTION_CLOSE:
		s->closed = true;
		break;
	}
}

static void take_event(struct sim *s, const struct ovpn_client_event *e)
{
	switch (e->kind) {
	case OVPN_CLIENT_KEYS:
		assert_true(s->keys[e->key_id].server);
		s->keys[e->key_id].client = true;
		s->keys[e->key_id].clients = e->keys;
		s->n_client_keys++;
		break;
	case OVPN_CLIENT_UP:
		assert_true(s->installed);
		s->client_up = true;
		s->peer_id_client = e->peer_id;
		memcpy(s->text, e->text, sizeof(s->text));
		break;
	case OVPN_CLIENT_TEXT:
		memcpy(s->text, e->text, sizeof(s->text));
		break;
	case OVPN_CLIENT_FAILED:
		s->client_failed = true;
		break;
	}
}

static void pump(struct sim *s)
{
	uint8_t packet[OVPN_DATAGRAM_MAX];
	struct ovpn_client_event event;
	struct ovpn_action a;
	size_t n;

	while (ovpn_engine_next(s->e, &a))
		carry_out(s, &a);
	while ((n = ovpn_client_output(s->c, packet, sizeof(packet))) > 0)
		transmit(s, false, packet, n);
	while (ovpn_client_event(s->c, &event))
		take_event(s, &event);
}

static void arrive(struct sim *s, const struct flying *f)
{
	if (f->is_keys_done) {
		s->installed = true;
		ovpn_engine_keys_done(s->e, f->session, f->key_id, true, now_of(s));
	} else if (f->to_client) {
		(void)ovpn_client_input(s->c, f->bytes, f->len, s->now_ms);
	} else {
		(void)ovpn_engine_input(s->e, f->bytes, f->len, &s->path, now_of(s), NULL);
	}
	pump(s);
}

/* ---- time ---- */

static struct flying *first_flying(struct sim *s)
{
	struct flying *first = NULL;

	for (size_t i = 0; i < s->n_flying; i++)
		if (!first || s->flying[i].at_ms < first->at_ms)
			first = &s->flying[i];
	return first;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* One event; false when nothing is due before end_ms. */
static bool step(struct sim *s, uint64_t end_ms)
{
	struct flying *f = first_flying(s), now;
	uint64_t timers =
		earlier(ovpn_engine_next_due(s->e), ovpn_client_next_due(s->c, s->now_ms));

	if (f && f->at_ms <= end_ms && f->at_ms <= timers) {
		now = *f;
		/* In order, so that what has the same time stays so. */
		memmove(f, f + 1, (size_t)(&s->flying[s->n_flying] - (f + 1)) * sizeof(*f));
		s->n_flying--;
		s->now_ms = now.at_ms > s->now_ms ? now.at_ms : s->now_ms;
		arrive(s, &now);
		return true;
	}
	if (timers > end_ms)
		return false;
	s->now_ms = timers > s->now_ms ? timers : s->now_ms + 1;
	ovpn_engine_tick(s->e, now_of(s));
	ovpn_client_tick(s->c, s->now_ms);
	pump(s);
	return true;
}

static void run_to(struct sim *s, uint64_t end_ms)
{
	while (step(s, end_ms)) {
	}
	s->now_ms = end_ms;
}

static void run_for(struct sim *s, uint64_t ms)
{
	run_to(s, s->now_ms + ms);
}

/* ---- beginning and end ---- */

struct setup {
	enum ovpn_client_mode mode;
	const char *peer_info;
	uint16_t version;
	bool stream, epoch;
	uint32_t reneg_ms, client_reneg_ms;
	struct conditions wire;
};

static const struct conditions calm = {0, 0, 1};

static void engine_init(struct sim *s, const struct setup *how)
{
	const struct ovpn_ops ops = {authorize, peer_id_alloc, peer_id_free, s};
	struct ovpn_conf conf = {.mtu = 1420,
		.dns = "10.66.0.1",
		.ping_s = 10,
		.restart_s = 60,
		.reneg_ms = how->reneg_ms,
		.has_tls_crypt = true,
		.tls_crypt = shared_key};
	SSL_CTX *tls = test_server_tls(&ca, &ca, how->version);

	assert_int_equal(ip_prefix_parse(&conf.net4, "10.66.0.0/24"), 0);
	assert_int_equal(ip_prefix_parse(&conf.net6, "fd66::/64"), 0);
	memcpy(conf.v2_server_key, v2_server_key, sizeof(v2_server_key));
	assert_int_equal(ovpn_engine_new(&s->e, &conf, tls, &ops), 0);
	ovpn_engine_set_epoch(s->e, how->epoch);
	SSL_CTX_free(tls);
}

static void client_init(struct sim *s, const struct setup *how)
{
	struct ovpn_client_conf conf = {.mode = how->mode,
		.key = shared_key,
		.stream = how->stream,
		.peer_info = how->peer_info,
		.reneg_ms = how->client_reneg_ms};
	int n = ovpn_wkc_seal(
		v2_server_key, &conf.key, &credential, REAL0, conf.wkc, sizeof(conf.wkc));

	assert_true(n > 0);
	conf.wkc_len = (size_t)n;
	conf.tls = test_client_tls(&ca, &ca, TEST_CERT_CLIENT, NULL);
	assert_int_equal(ovpn_client_new(&s->c, &conf), 0);
	SSL_CTX_free(conf.tls);
}

static void sim_init(struct sim *s, const struct setup *how, uint32_t seed)
{
	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->now_ms = 1000000;
	s->wire = how->wire;
	assert_int_equal(endpoint_parse(&s->path.remote, "192.0.2.1:1194"), 0);
	s->path.connection = how->stream ? 77 : 0;
	engine_init(s, how);
	client_init(s, how);
	assert_int_equal(ovpn_client_start(s->c, s->now_ms, REAL0), 0);
	pump(s);
}

static void sim_fini(struct sim *s)
{
	ovpn_client_free(s->c);
	ovpn_engine_free(s->e);
	assert_int_equal(s->peer_ids, 0);
}

static bool same_keys(const struct key_slot *k)
{
	return k->server && k->client && k->servers.cipher == k->clients.cipher &&
	       memcmp(k->servers.seal, k->clients.open, AEAD_KEY_MAX) == 0 &&
	       memcmp(k->servers.open, k->clients.seal, AEAD_KEY_MAX) == 0 &&
	       memcmp(k->servers.seal_iv, k->clients.open_iv, 8) == 0 &&
	       memcmp(k->servers.open_iv, k->clients.seal_iv, 8) == 0 &&
	       !secret_is_zero(k->servers.seal, 16) && !secret_is_zero(k->servers.open, 16) &&
	       memcmp(k->servers.seal, k->servers.open, 16) != 0;
}

static struct ovpn_figures figures(const struct sim *s)
{
	struct ovpn_figures f;

	ovpn_engine_figures(s->e, &f);
	return f;
}

/* ---- tests ---- */

#define PEER_INFO(ciphers, proto)                                                                  \
	"IV_VER=2.6.14\nIV_PLAT=linux\nIV_MTU=1600\nIV_NCP=2\nIV_CIPHERS=" ciphers                 \
	"\nIV_PROTO=" proto "\n"

static void check_handshake(const struct setup *how, enum aead_cipher cipher, uint8_t format)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	sim_init(s, how, 1);
	run_for(s, 3000);
	assert_true(s->client_up && !s->client_failed && !s->ended);
	assert_true(same_keys(&s->keys[0]));
	assert_int_equal(s->keys[0].servers.cipher, cipher);
	assert_int_equal(s->keys[0].format, format);
	assert_true(s->keys[0].used);
	assert_int_equal(s->n_use, 1);
	if (how->version)
		assert_int_equal(s->tls, how->version);
	assert_int_equal(figures(s).handshakes, 1);
	assert_int_equal(figures(s).half_open, 0);
	if (format == UAPI_DATA_V1)
		assert_int_equal(s->peer_id_client, OVPN_NO_PEER_ID);
	else
		assert_int_equal(s->peer_id_client, s->peer_id_server);
	sim_fini(s);
	free(s);
}

static void every_kind_of_client_comes_up(void **state)
{
	static const struct {
		const char *peer_info;
		enum aead_cipher cipher;
		uint8_t format;
		bool epoch;
	} kinds[] = {
		{NULL, AEAD_AES_256_GCM, UAPI_DATA_V2, false},
		{OVPN_CLIENT_PEER_INFO_OLD, AEAD_AES_256_GCM, UAPI_DATA_V2, false},
		{PEER_INFO("AES-128-GCM", "990"), AEAD_AES_128_GCM, UAPI_DATA_V2, false},
		{PEER_INFO("CHACHA20-POLY1305", "990"), AEAD_CHACHA20_POLY1305, UAPI_DATA_V2,
			false},
		{PEER_INFO("CHACHA20-POLY1305:AES-128-GCM", "6"), AEAD_AES_128_GCM, UAPI_DATA_V2,
			false},
		{PEER_INFO("AES-256-GCM", "8094"), AEAD_AES_256_GCM, UAPI_DATA_EPOCH, true},
		{PEER_INFO("AES-128-GCM", "8094"), AEAD_AES_128_GCM, UAPI_DATA_EPOCH, true},
		{PEER_INFO("AES-256-GCM", "8094"), AEAD_AES_256_GCM, UAPI_DATA_V2, false},
		/* exporter without protocol-flags; asks itself; no peer-id */
		{PEER_INFO("AES-256-GCM", "14"), AEAD_AES_256_GCM, UAPI_DATA_V2, false},
		{PEER_INFO("AES-256-GCM", "2"), AEAD_AES_256_GCM, UAPI_DATA_V2, false},
		{PEER_INFO("AES-256-GCM", "4"), AEAD_AES_256_GCM, UAPI_DATA_V1, false},
	};
	static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION, 0};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t i = 0; i < 3 * 2 * ARRAY_SIZE(versions); i++) {
			const struct setup how = {.mode = (enum ovpn_client_mode)(i % 3),
				.stream = i / 3 % 2,
				.version = versions[i / 6],
				.peer_info = kinds[k].peer_info,
				.epoch = kinds[k].epoch,
				.wire = calm};

			check_handshake(&how, kinds[k].cipher, kinds[k].format);
		}
}

/* A dataplane that knows epochs may be followed by one that does not, and the reverse. */
static void a_tunnel_keeps_its_format(void **state)
{
	struct sim *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	for (int epoch = 0; epoch < 2; epoch++) {
		const struct setup how = {.mode = OVPN_CLIENT_V3,
			.peer_info = OVPN_CLIENT_PEER_INFO_EPOCH,
			.epoch = epoch,
			.wire = calm};

		sim_init(s, &how, 1);
		run_for(s, 3000);
		assert_true(s->client_up && same_keys(&s->keys[0]));
		assert_int_equal(s->keys[0].format, epoch ? UAPI_DATA_EPOCH : UAPI_DATA_V2);
		ovpn_engine_set_epoch(s->e, !epoch);
		ovpn_client_rekey(s->c, s->now_ms);
		pump(s);
		run_for(s, 1000);
		assert_true(ovpn_client_key_id(s->c) == 1 && same_keys(&s->keys[1]));
		assert_int_equal(s->keys[1].format, s->keys[0].format);
		sim_fini(s);
	}
	free(s);
}

static void lossy(const struct setup *how, const char *name)
{
	struct sim *s = calloc(1, sizeof(*s));
	unsigned up = 0, fast = 0;

	assert_non_null(s);
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		sim_init(s, how, seed);
		run_for(s, 15000);
		fast += s->client_up;
		run_for(s, LIMIT_MS - 15000);
		up += s->client_up && same_keys(&s->keys[0]);
		sim_fini(s);
	}
	print_message("%s: %u of %u came up, %u within 15 s\n", name, up, SEEDS, fast);
	assert_true(up * 100 >= SEEDS * 99);
	free(s);
}

static void handshakes_survive_a_bad_wire(void **state)
{
	const struct setup v3 = {.mode = OVPN_CLIENT_V3, .wire = {20, 5, 200}};
	const struct setup v2 = {.mode = OVPN_CLIENT_V2, .wire = {20, 5, 200}};
	const struct setup old = {.mode = OVPN_CLIENT_V3_OLD,
		.wire = {20, 5, 200},
		.peer_info = OVPN_CLIENT_PEER_INFO_OLD};

	(void)state;
	lossy(&v3, "tls-crypt-v2");
	lossy(&v2, "tls-crypt");
	lossy(&old, "tls-crypt-v2 of 2.5");
}

static void check_rekeyed(struct sim *s, uint8_t key_id)
{
	assert_false(s->client_failed || s->ended);
	assert_int_equal(ovpn_client_key_id(s->c), key_id);
	assert_true(ovpn_client_established(s->c));
	assert_true(same_keys(&s->keys[key_id]));
}

static void rekeys_from_either_side(void **state)
{
	static const char *const infos[] = {
		NULL, OVPN_CLIENT_PEER_INFO_OLD, PEER_INFO("AES-256-GCM", "8094")};
	struct sim *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < 12; i++) {
		const struct setup how = {.mode = i % 2 ? OVPN_CLIENT_V2 : OVPN_CLIENT_V3,
			.stream = i / 2 % 2,
			.peer_info = infos[i / 4],
			.epoch = i / 4 == 2,
			.wire = calm};

		sim_init(s, &how, 1);
		run_for(s, 3000);
		assert_true(s->client_up);
		/* Once around: 7 is followed by 1. */
		for (unsigned k = 1; k <= 9; k++) {
			if (k % 3 == 0) { /* both at once */
				ovpn_client_rekey(s->c, s->now_ms);
				ovpn_engine_rekey(s->e, s->session, now_of(s));
			} else if (k % 3 == 1) {
				ovpn_client_rekey(s->c, s->now_ms);
			} else {
				ovpn_engine_rekey(s->e, s->session, now_of(s));
			}
			pump(s);
			run_for(s, 1000);
			check_rekeyed(s, (uint8_t)((k - 1) % 7 + 1));
			/* The one before was put to use before this one began. */
			assert_int_equal(s->n_use, k);
		}
		assert_int_equal(s->n_server_keys, 10);
		assert_int_equal(figures(s).rekeys, 9);
		run_for(s, 61000);
		assert_int_equal(s->n_use, 10);
		sim_fini(s);
	}
	free(s);
}

/* Ten minutes of it. Returns: whether all rekeys were finished in time. */
static bool rekeys_go_on(struct sim *s)
{
	for (int i = 0; i < 10; i++) {
		run_for(s, 60000);
		if (s->ended)
			assert_string_equal(s->reason, "the handshake was not finished in time");
		if (s->ended || s->client_failed)
			return false;
	}
	return true;
}

/* Timers of both sides, over a wire that loses: the session goes on. Where every tenth packet is
 * lost, one rekey in 3,000 is not through in its 60 s, of which either side then makes an end. */
static void rekeys_survive_a_bad_wire(void **state)
{
	struct sim *s = calloc(1, sizeof(*s));
	unsigned rekeys = 0, late = 0;

	(void)state;
	assert_non_null(s);
	for (uint32_t seed = 1; seed <= 20; seed++) {
		const struct setup how = {.mode = OVPN_CLIENT_V3,
			.reneg_ms = 120000,
			.client_reneg_ms = 115000,
			.wire = {10, 5, 200}};

		sim_init(s, &how, seed);
		run_for(s, 60000);
		assert_true(s->client_up);
		if (rekeys_go_on(s)) {
			/* Let one that is under way come to its end. */
			s->wire = calm;
			run_for(s, 40000);
			check_rekeyed(s, ovpn_client_key_id(s->c));
		} else {
			late++;
		}
		rekeys += (unsigned)figures(s).rekeys;
		sim_fini(s);
	}
	print_message("%u rekeys, %u sessions with one that was late\n", rekeys, late);
	assert_true(rekeys >= 20 * 4);
	assert_true(late <= 1);
	free(s);
}

static double cpu_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

/* Figures, not verdicts: the engine's calls alone are timed. */
static void handshakes_cost(void **state)
{
	enum { ROUNDS = 100 };
	struct sim *s = calloc(1, sizeof(*s));
	const struct setup how = {.mode = OVPN_CLIENT_V3, .version = TLS1_3_VERSION, .wire = calm};
	double server = 0, all;

	(void)state;
	assert_non_null(s);
	all = cpu_s();
	for (uint32_t i = 0; i < ROUNDS; i++) {
		sim_init(s, &how, i);
		while (!s->client_up || !s->n_use) {
			struct flying *f = first_flying(s);
			const bool engines = f && !f->to_client && !f->is_keys_done;
			const double begun = cpu_s();

			if (engines) {
				struct flying now = *f;

				memmove(f, f + 1,
					(size_t)(&s->flying[s->n_flying] - (f + 1)) * sizeof(*f));
				s->n_flying--;
				s->now_ms = now.at_ms;
				(void)ovpn_engine_input(
					s->e, now.bytes, now.len, &s->path, now_of(s), NULL);
				server += cpu_s() - begun;
				pump(s);
			} else {
				assert_true(step(s, s->now_ms + 5000));
			}
		}
		sim_fini(s);
	}
	all = cpu_s() - all;
	print_message("a handshake: %.2f ms of the server, %.2f ms with client and certificates\n",
		server * 1000 / ROUNDS, all * 1000 / ROUNDS);
	free(s);
}

static int group_setup(void **state)
{
	(void)state;
	test_ca_init(&ca, "CA");
	return secret_random(&shared_key, sizeof(shared_key)) < 0 ||
	       secret_random(v2_server_key, sizeof(v2_server_key)) < 0;
}

static int group_teardown(void **state)
{
	(void)state;
	test_ca_fini(&ca);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_client_comes_up),
		cmocka_unit_test(a_tunnel_keeps_its_format),
		cmocka_unit_test(rekeys_from_either_side),
		cmocka_unit_test(rekeys_survive_a_bad_wire),
		cmocka_unit_test(handshakes_survive_a_bad_wire),
		cmocka_unit_test(handshakes_cost),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
