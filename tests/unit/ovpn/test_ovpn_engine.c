/*
 * What must not happen: state from packets that prove nothing, cookies that hold for others, keys
 * or options for whom authorize refused, memory that grows with strangers.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "ovpn/ovpn_engine.h"
#include "tests/sim/ovpn_client.h"
#include "tests/sim/ovpn_pki.h"
#include "uapi/uapi.h"

enum { REAL0 = 1700000000 };

struct bench {
	struct ovpn_engine *e;
	struct ovpn_client *c;
	struct path path;
	struct ovpn_time now;
	bool may;
	unsigned asked, keys, ended, sent, peer_ids, closed;
	const char *reason;
	uint64_t session;
	struct ovpn_identity who;
};

static struct test_ca ca, other_ca;
static struct ovpn_key2 key;
static uint8_t server_key[OVPN_V2_SERVER_KEY];
static const struct ulid credential = {{7}};

static int authorize(
	void *arg, const struct ovpn_identity *who, struct ovpn_grant *grant, const char **why)
{
	struct bench *b = arg;

	b->asked++;
	b->who = *who;
	*why = "because";
	grant->credential = credential;
	assert_int_equal(ip_addr_parse(&grant->address4, "10.66.0.2"), 0);
	assert_int_equal(ip_addr_parse(&grant->address6, "fd66::2"), 0);
	return b->may ? 0 : -EACCES;
}

static uint32_t peer_id_alloc(void *arg, const struct ovpn_grant *grant)
{
	(void)grant;
	struct bench *b = arg;

	return 100 + b->peer_ids++;
}

static void peer_id_free(void *arg, uint32_t peer_id)
{
	struct bench *b = arg;

	(void)peer_id;
	b->peer_ids--;
}

static void client_new(struct bench *b, const struct test_ca *signer, enum test_cert kind,
	enum ovpn_client_mode mode)
{
	struct ovpn_client_conf conf = {
		.mode = mode, .key = key, .stream = b->path.connection != 0};
	int n = ovpn_wkc_seal(server_key, &key, &credential, REAL0, conf.wkc, sizeof(conf.wkc));

	assert_true(n > 0);
	conf.wkc_len = (size_t)n;
	conf.tls = test_client_tls(signer, &ca, kind, NULL);
	assert_int_equal(ovpn_client_new(&b->c, &conf), 0);
	SSL_CTX_free(conf.tls);
	assert_int_equal(ovpn_client_start(b->c, b->now.mono_ms, b->now.real_s), 0);
}

static int setup(void **state)
{
	static struct bench b;
	const struct ovpn_ops ops = {authorize, peer_id_alloc, peer_id_free, &b};
	struct ovpn_conf conf = {.mtu = 1420,
		.ping_s = 10,
		.restart_s = 60,
		.reneg_ms = 3600 * 1000,
		.has_tls_crypt = true,
		.tls_crypt = key};
	SSL_CTX *tls = test_server_tls(&ca, &ca, 0);

	memset(&b, 0, sizeof(b));
	b.may = true;
	b.now = (struct ovpn_time){.mono_ms = 1000000, .real_s = REAL0};
	memcpy(conf.v2_server_key, server_key, sizeof(server_key));
	assert_int_equal(ip_prefix_parse(&conf.net4, "10.66.0.0/24"), 0);
	assert_int_equal(ip_prefix_parse(&conf.net6, "fd66::/64"), 0);
	assert_int_equal(endpoint_parse(&b.path.remote, "192.0.2.1:1194"), 0);
	assert_int_equal(ovpn_engine_new(&b.e, &conf, tls, &ops), 0);
	SSL_CTX_free(tls);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	ovpn_client_free(b->c);
	ovpn_engine_free(b->e);
	b->c = NULL;
	assert_int_equal(b->peer_ids, 0);
	return 0;
}

static size_t sessions(const struct bench *b)
{
	struct ovpn_figures f;

	ovpn_engine_figures(b->e, &f);
	return f.sessions;
}

/* What the engine wants done; its packets go to the client. */
static void pump(struct bench *b)
{
	struct ovpn_action a;

	while (ovpn_engine_next(b->e, &a)) {
		if (a.kind == OVPN_ACTION_SEND) {
			b->sent++;
			if (b->c)
				(void)ovpn_client_input(b->c, a.bytes, a.len, b->now.mono_ms);
		} else if (a.kind == OVPN_ACTION_KEYS) {
			b->keys++;
			b->session = a.session;
			ovpn_engine_keys_done(b->e, a.session, a.key_id, true, b->now);
		} else if (a.kind == OVPN_ACTION_ENDED) {
			b->ended++;
			b->reason = a.reason;
		} else if (a.kind == OVPN_ACTION_CLOSE) {
			b->closed++;
		}
	}
}

static enum ovpn_verdict give(struct bench *b, const uint8_t *p, size_t n)
{
	const enum ovpn_verdict v = ovpn_engine_input(b->e, p, n, &b->path, b->now, NULL);

	pump(b);
	return v;
}

/* Exchanges packets until both are silent. */
static void talk(struct bench *b)
{
	uint8_t p[OVPN_DATAGRAM_MAX];
	size_t n;

	for (int i = 0; i < 200; i++) {
		while ((n = ovpn_client_output(b->c, p, sizeof(p))) > 0)
			(void)give(b, p, n);
		b->now.mono_ms += 10;
		ovpn_client_tick(b->c, b->now.mono_ms);
		ovpn_engine_tick(b->e, b->now);
		pump(b);
	}
}

static size_t take(struct bench *b, uint8_t p[OVPN_DATAGRAM_MAX])
{
	const size_t n = ovpn_client_output(b->c, p, OVPN_DATAGRAM_MAX);

	assert_true(n > 0);
	return n;
}

/* ---- before there is a session ---- */

static void a_reset_leaves_nothing(void **state)
{
	struct bench *b = *state;
	uint8_t reset[OVPN_DATAGRAM_MAX];
	size_t n;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	n = take(b, reset);
	for (int i = 0; i < 50; i++)
		assert_int_equal(give(b, reset, n), OVPN_ANSWERED);
	assert_int_equal(b->sent, 50);
	assert_int_equal(sessions(b), 0);
}

static void every_flipped_bit_is_dropped_in_silence(void **state)
{
	struct bench *b = *state;
	uint8_t reset[OVPN_DATAGRAM_MAX];
	size_t n;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	n = take(b, reset);
	for (size_t i = 0; i < n; i++) {
		reset[i] ^= 1 << i % 8;
		assert_true(give(b, reset, n) != OVPN_ANSWERED);
		reset[i] ^= 1 << i % 8;
	}
	for (size_t k = 0; k < n; k++)
		assert_true(give(b, reset, k) != OVPN_ANSWERED);
	assert_int_equal(b->sent, 0);
	assert_int_equal(sessions(b), 0);
}

/* The second packet gives the cookie back; it holds for one place and for a while. */
static void a_cookie_is_for_one_place_and_time(void **state)
{
	struct bench *b = *state;
	uint8_t p[OVPN_DATAGRAM_MAX];
	struct path right;
	size_t n;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	n = take(b, p);
	assert_int_equal(give(b, p, n), OVPN_ANSWERED);
	n = take(b, p);
	right = b->path;
	b->path.remote.port++;
	assert_int_equal(give(b, p, n), OVPN_BAD_COOKIE);
	b->path = right;
	b->path.remote.addr.bytes[3]++;
	assert_int_equal(give(b, p, n), OVPN_BAD_COOKIE);
	b->path = right;
	b->path.listener++;
	assert_int_equal(give(b, p, n), OVPN_BAD_COOKIE);
	b->path = right;
	b->now.mono_ms += 121 * 1000;
	b->now.real_s += 121;
	assert_int_equal(give(b, p, n), OVPN_BAD_COOKIE);
	assert_int_equal(sessions(b), 0);
	b->now.mono_ms -= 121 * 1000;
	b->now.real_s -= 121;
	assert_int_equal(give(b, p, n), OVPN_OPENED);
	assert_int_equal(sessions(b), 1);
	/* Again: it belongs to the session, and is a replay there. */
	assert_int_equal(give(b, p, n), OVPN_REPLAYED);
	assert_int_equal(sessions(b), 1);
}

static void the_other_kind_of_reset(void **state)
{
	struct bench *b = *state;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V2);
	talk(b);
	assert_int_equal(b->keys, 1);
}

/* ---- who may ---- */

static void a_whole_handshake(void **state)
{
	struct bench *b = *state;
	struct ovpn_figures f;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	talk(b);
	ovpn_engine_figures(b->e, &f);
	assert_int_equal(f.handshakes, 1);
	assert_int_equal(b->keys, 1);
	assert_true(b->who.has_wkc);
	assert_true(ulid_equal(&b->who.wkc_credential, &credential));
	ovpn_engine_forget(b->e, b->session);
	assert_int_equal(sessions(b), 0);
}

static void refused_by_authorize(void **state)
{
	struct bench *b = *state;

	b->may = false;
	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	talk(b);
	assert_int_equal(b->asked, 1);
	assert_int_equal(b->keys, 0);
	assert_int_equal(b->ended, 1);
	assert_string_equal(b->reason, "because");
	b->now.mono_ms += OVPN_LEAVE_MS + 1000;
	ovpn_engine_tick(b->e, b->now);
	pump(b);
	assert_int_equal(sessions(b), 0);
}

static void refused_at_a_rekey(void **state)
{
	struct bench *b = *state;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	talk(b);
	b->may = false;
	ovpn_engine_rekey(b->e, b->session, b->now);
	pump(b);
	talk(b);
	assert_int_equal(b->asked, 2);
	assert_int_equal(b->keys, 1);
	assert_int_equal(b->ended, 1);
}

static void never_asked(struct bench *b, const struct test_ca *signer, enum test_cert kind)
{
	client_new(b, signer, kind, OVPN_CLIENT_V3);
	talk(b);
	assert_int_equal(b->asked, 0);
	assert_int_equal(b->keys, 0);
	assert_int_equal(b->ended, 1);
}

static void certificate_of_another_authority(void **state)
{
	never_asked(*state, &other_ca, TEST_CERT_CLIENT);
}

static void certificate_that_expired(void **state)
{
	never_asked(*state, &ca, TEST_CERT_EXPIRED);
}

static void certificate_of_tomorrow(void **state)
{
	never_asked(*state, &ca, TEST_CERT_FUTURE);
}

static void certificate_for_servers(void **state)
{
	never_asked(*state, &ca, TEST_CERT_NO_USAGE);
}

/* ---- ends ---- */

static void a_farewell_and_a_goodbye(void **state)
{
	struct bench *b = *state;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	talk(b);
	assert_int_equal(ovpn_engine_farewell_credential(
				 b->e, &credential, OVPN_FAREWELL_REFUSED, "revoked", b->now),
		1);
	pump(b);
	assert_int_equal(b->ended, 1);
	talk(b);
	assert_int_equal(sessions(b), 0);
}

static void the_client_leaves(void **state)
{
	struct bench *b = *state;

	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	talk(b);
	assert_int_equal(ovpn_client_say(b->c, "EXIT", 5, b->now.mono_ms), 0);
	talk(b);
	assert_int_equal(b->ended, 1);
	b->now.mono_ms += OVPN_LEAVE_MS + 1000;
	ovpn_engine_tick(b->e, b->now);
	pump(b);
	assert_int_equal(sessions(b), 0);
}

static void a_connection_that_closes(void **state)
{
	struct bench *b = *state;

	b->path.connection = 77;
	client_new(b, &ca, TEST_CERT_CLIENT, OVPN_CLIENT_V3);
	talk(b);
	assert_int_equal(b->keys, 1);
	ovpn_engine_connection_closed(b->e, 78);
	assert_int_equal(sessions(b), 1);
	ovpn_engine_connection_closed(b->e, 77);
	pump(b);
	assert_int_equal(b->ended, 1);
	assert_int_equal(b->closed, 0);
	assert_int_equal(sessions(b), 0);
}

/* ---- bounds ---- */

static void silent_ones_are_bounded_and_go(void **state)
{
	struct bench *b = *state;
	struct ovpn_figures f;

	for (uint32_t i = 0; i < 3000; i++) {
		struct ovpn_client_conf conf = {
			.mode = OVPN_CLIENT_V3, .key = key, .stop = OVPN_STOP_BEFORE_HELLO};
		uint8_t p[OVPN_DATAGRAM_MAX];
		size_t n;
		int len = ovpn_wkc_seal(
			server_key, &key, &credential, REAL0, conf.wkc, sizeof(conf.wkc));

		assert_true(len > 0);
		conf.wkc_len = (size_t)len;
		conf.tls = test_client_tls_without_cert(&ca);
		b->path.remote.addr.bytes[0] = (uint8_t)(10 + i / 65536);
		b->path.remote.addr.bytes[1] = (uint8_t)(i / 256);
		b->path.remote.addr.bytes[2] = (uint8_t)i;
		assert_int_equal(ovpn_client_new(&b->c, &conf), 0);
		SSL_CTX_free(conf.tls);
		assert_int_equal(ovpn_client_start(b->c, b->now.mono_ms, REAL0), 0);
		for (int k = 0; k < 3; k++)
			while ((n = ovpn_client_output(b->c, p, sizeof(p))) > 0)
				(void)give(b, p, n);
		ovpn_client_free(b->c);
		b->c = NULL;
		ovpn_engine_figures(b->e, &f);
		assert_true(f.half_open <= OVPN_HALF_OPEN);
	}
	assert_true(sessions(b) > OVPN_HALF_OPEN / 2);
	b->now.mono_ms += OVPN_HAND_WINDOW_MS + 1000;
	ovpn_engine_tick(b->e, b->now);
	pump(b);
	assert_int_equal(sessions(b), 0);
}

/* ---- what one costs ---- */

/* So many that the allocator's own caches, which count as held, do not decide. */
enum { ATTACKERS = 64, BEFORE_TLS = 4 * 1024, AFTER = 64 * 1024 };

/* Of the address sanitizer, which brings an allocator of its own. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t held(void)
{
	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* One message of a client that does as it likes. */
static void message(struct bench *b, uint32_t id, const uint8_t *p, size_t n)
{
	const struct ovpn_tail tail = {.id = id, .payload = p, .payload_len = n};
	uint8_t bytes[OVPN_DATAGRAM_MAX];
	int len = ovpn_tail_pack(&tail, false, bytes, sizeof(bytes));

	assert_true(len > 0);
	ovpn_client_raw(b->c, ovpn_first(OVPN_CONTROL, 0), bytes, (size_t)len);
	len = (int)ovpn_client_output(b->c, bytes, sizeof(bytes));
	assert_true(len > 0);
	(void)give(b, bytes, (size_t)len);
}

/* As much as fits in front of a message that never comes. */
static void out_of_order(struct bench *b, uint32_t next)
{
	static const uint8_t payload[1200];

	for (uint32_t id = next + 1; id < next + RELIABLE_RECEIVE; id++)
		message(b, id, payload, sizeof(payload));
}

/* n bytes that begin with these, in order. */
static void stream(struct bench *b, uint32_t *next, const uint8_t *head, size_t k, size_t n)
{
	uint8_t payload[1200];

	while (n > 0) {
		const size_t part = n < sizeof(payload) ? n : sizeof(payload);

		memset(payload, 0, sizeof(payload));
		memcpy(payload, head, k);
		k = 0;
		message(b, (*next)++, payload, part);
		n -= part;
	}
}

static void nothing_but_the_cookie(struct bench *b)
{
	(void)b;
}

static void later_messages_only(struct bench *b)
{
	out_of_order(b, 1);
}

static void all_that_openssl_would_believe(struct bench *b)
{
	static const uint8_t head[] = {22, 3, 1, 0, 200, 1, 2, 1, 0x44};
	uint32_t next = 1;

	stream(b, &next, head, sizeof(head), 100);
	out_of_order(b, next);
}

static void the_longest_message(struct bench *b)
{
	static const uint8_t head[] = {22, 3, 1, 0x08, 0, 1, 0, 0x10, 0};
	uint32_t next = 1;

	stream(b, &next, head, sizeof(head), 5 + 0x800);
	stream(b, &next, head, 5, 0x800);
	out_of_order(b, next);
}

static void the_longest_record(struct bench *b)
{
	static const uint8_t head[] = {22, 3, 1, 0x10, 4, 1, 0, 0x10, 0};
	uint32_t next = 1;

	stream(b, &next, head, sizeof(head), 4100);
	out_of_order(b, next);
}

/* Of those who have our flight: they acknowledge none of it. */
static void a_long_certificate(struct bench *b)
{
	static const uint8_t head[] = {22, 3, 3, 0x11, 0, 11, 0, 0x0f, 0xff};
	uint32_t next = 2;

	stream(b, &next, head, sizeof(head), 0x1100);
	out_of_order(b, next);
}

static void a_long_sealed_record(struct bench *b)
{
	static const uint8_t head[] = {23, 3, 3, 0x12, 0};
	uint32_t next = 2;

	stream(b, &next, head, sizeof(head), 0x1200);
	out_of_order(b, next);
}

/* After our HelloRetryRequest. */
static void a_long_second_hello(struct bench *b)
{
	static const uint8_t head[] = {22, 3, 3, 0x08, 0, 1, 0, 0x10, 0};
	uint32_t next = 2;

	stream(b, &next, head, sizeof(head), 5 + 0x800);
	stream(b, &next, head, 5, 0x800);
	out_of_order(b, next);
}

static void attacker_new(struct bench *b, uint8_t i, uint16_t version, bool retry)
{
	struct ovpn_client_conf conf = {.mode = OVPN_CLIENT_V2,
		.key = key,
		.stop = version ? OVPN_STOP_AFTER_HELLO : OVPN_STOP_BEFORE_HELLO};
	uint8_t p[OVPN_DATAGRAM_MAX];
	size_t n;

	b->path.remote.addr.bytes[2] = i;
	conf.tls = test_client_tls(&ca, &ca, TEST_CERT_CLIENT, NULL);
	if (version)
		assert_int_equal(SSL_CTX_set_max_proto_version(conf.tls, version), 1);
	if (retry) /* the first group is the one that it sends a share of */
		assert_int_equal(SSL_CTX_set1_groups_list(conf.tls, "P-521:X25519"), 1);
	assert_int_equal(ovpn_client_new(&b->c, &conf), 0);
	SSL_CTX_free(conf.tls);
	assert_int_equal(ovpn_client_start(b->c, b->now.mono_ms, REAL0), 0);
	for (int k = 0; k < 4; k++)
		while ((n = ovpn_client_output(b->c, p, sizeof(p))) > 0)
			(void)give(b, p, n);
}

static void a_stranger_costs_at_most(void **state)
{
	static const struct {
		const char *name;
		void (*attack)(struct bench *b);
		uint16_t version; /* 0: before TLS */
		bool retry;
		size_t most;
	} attacks[] = {
		{"nothing but the cookie", nothing_but_the_cookie, 0, false, BEFORE_TLS},
		{"later messages only", later_messages_only, 0, false, BEFORE_TLS},
		{"a ClientHello of 128 kB", all_that_openssl_would_believe, 0, false, BEFORE_TLS},
		{"the longest message", the_longest_message, 0, false, AFTER},
		{"the longest record", the_longest_record, 0, false, AFTER},
		{"our flight, TLS 1.3", nothing_but_the_cookie, 0x0304, false, AFTER},
		{"our flight, TLS 1.2", nothing_but_the_cookie, 0x0303, false, AFTER},
		{"a long certificate", a_long_certificate, 0x0303, false, AFTER},
		{"a long sealed record", a_long_sealed_record, 0x0304, false, AFTER},
		{"a long second ClientHello", a_long_second_hello, 0x0304, true, AFTER},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		size_t before = 0;

		/* The first one pays for what all of them share. */
		for (uint8_t k = 0; k <= ATTACKERS; k++) {
			attacker_new(b, k, attacks[i].version, attacks[i].retry);
			attacks[i].attack(b);
			ovpn_client_free(b->c);
			b->c = NULL;
			before = k == 0 ? held() : before;
		}
		const size_t each = (held() - before) / ATTACKERS;

		print_message("%s: %zu bytes\n", attacks[i].name, each);
		assert_true(each <= attacks[i].most);
		b->now.mono_ms += OVPN_HAND_WINDOW_MS + 1000;
		ovpn_engine_tick(b->e, b->now);
		pump(b);
		assert_int_equal(sessions(b), 0);
	}
}

static int init(void **state)
{
	(void)state;
	assert_int_equal(ovpn_wrap_global_init(), 0);
	test_ca_init(&ca, "authority");
	test_ca_init(&other_ca, "authority");
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t)(i * 7);
	memset(server_key, 5, sizeof(server_key));
	return 0;
}

static int fini(void **state)
{
	(void)state;
	test_ca_fini(&ca);
	test_ca_fini(&other_ca);
	return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_reset_leaves_nothing),
		CASE(every_flipped_bit_is_dropped_in_silence),
		CASE(a_cookie_is_for_one_place_and_time),
		CASE(the_other_kind_of_reset),
		CASE(a_whole_handshake),
		CASE(refused_by_authorize),
		CASE(refused_at_a_rekey),
		CASE(certificate_of_another_authority),
		CASE(certificate_that_expired),
		CASE(certificate_of_tomorrow),
		CASE(certificate_for_servers),
		CASE(a_farewell_and_a_goodbye),
		CASE(the_client_leaves),
		CASE(a_connection_that_closes),
		CASE(silent_ones_are_bounded_and_go),
		CASE(a_stranger_costs_at_most),
	};
	return cmocka_run_group_tests_name("ovpn_engine", tests, init, fini);
}
