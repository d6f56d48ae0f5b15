/*
 * The control channel's engine and a real client of ours, both with their keys: the input says what
 * happens next. Packets of either side are delivered, doubled, dropped, or opened, changed in their
 * clear tail and wrapped again rightly; between them come acks that nobody asked for, soft resets,
 * texts of any kind, key method 2 messages that are changed before they are sealed, the dataplane's
 * answers, moves, closed connections, farewells and time. A handshake costs a thousand times what a
 * packet does, so a burst sends one packet of the client in many changed forms, each sealed anew;
 * how many messages of all kinds there were is printed at the end.
 *
 * After each step: no keys before authorize said yes, nothing is pushed before the dataplane has
 * them, peer-ids are given back, bytes and sessions stay bounded.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../sim/ovpn_client.c"
#include "../sim/ovpn_pki.c"
#include "openssl_pool.h"
#include "ovpn/ovpn_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	openssl_pool_init();
	return 0;
}

enum { QUEUE = 64, STEPS = 160, REAL0 = 1700000000 };

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

struct queue {
	size_t n;
	size_t len[QUEUE];
	uint8_t bytes[QUEUE][OVPN_DATAGRAM_MAX];
};

struct world {
	struct ovpn_engine *e;
	struct ovpn_client *c;
	struct path path;
	struct ovpn_time now;
	struct queue up, down;
	uint64_t session;
	bool may, asked, keys_asked, keys_given;
	uint8_t key_id;
	int peer_ids;
	/* what the client said last under its own key, opened */
	uint8_t first, tail[OVPN_TAIL_MAX];
	size_t tail_len;
};

static struct test_ca ca;
static SSL_CTX *server_tls, *client_tls;
static struct ovpn_key2 key;
static uint8_t server_key[OVPN_V2_SERVER_KEY];
static const struct ulid credential = {{7}};
static uint8_t km2[8192];
static int km2_len;
static unsigned long long runs, messages;

static int authorize(
	void *arg, const struct ovpn_identity *who, struct ovpn_grant *grant, const char **why)
{
	struct world *w = arg;

	(void)who;
	w->asked = true;
	*why = "no";
	grant->credential = credential;
	REQUIRE(ip_addr_parse(&grant->address4, "10.66.0.2") == 0);
	REQUIRE(ip_addr_parse(&grant->address6, "fd66::2") == 0);
	return w->may ? 0 : -EACCES;
}

static uint32_t peer_id_alloc(void *arg, const struct ovpn_grant *grant)
{
	(void)grant;
	struct world *w = arg;

	return 100 + (uint32_t)w->peer_ids++;
}

static void peer_id_free(void *arg, uint32_t peer_id)
{
	struct world *w = arg;

	REQUIRE(peer_id >= 100 && w->peer_ids > 0);
	w->peer_ids--;
}

static void put(struct queue *q, const uint8_t *p, size_t n)
{
	if (q->n == QUEUE || n > OVPN_DATAGRAM_MAX)
		return;
	memcpy(q->bytes[q->n], p, n);
	q->len[q->n++] = n;
}

static void drop(struct queue *q, size_t i)
{
	q->n--;
	memmove(q->bytes[i], q->bytes[i + 1], (q->n - i) * sizeof(q->bytes[0]));
	memmove(&q->len[i], &q->len[i + 1], (q->n - i) * sizeof(q->len[0]));
}

static void remember(struct world *w, const uint8_t *p, size_t n)
{
	const uint8_t *wkc;
	size_t wkc_len, front = n;
	struct ovpn_wrap server;
	struct ovpn_opened o;

	if (ovpn_key_id(p[0]) != 0 || (ovpn_opcode(p[0]) >= OVPN_RESET_CLIENT_V3 &&
					      ovpn_wkc_cut(p, n, &wkc, &wkc_len, &front) != 0))
		return;
	ovpn_wrap_init(&server, &key, OVPN_SERVER, 1, REAL0);
	if (ovpn_wrap_open(&server, p, front, false, w->tail, &o) != 0)
		return;
	memmove(w->tail, o.tail, o.tail_len);
	w->tail_len = o.tail_len;
	w->first = p[0];
}

static void input(struct world *w, const uint8_t *p, size_t n)
{
	messages++;
	(void)ovpn_engine_input(w->e, p, n, &w->path, w->now, NULL);
}

static void pump(struct world *w)
{
	struct ovpn_client_event event;
	struct ovpn_action a;
	uint8_t packet[OVPN_DATAGRAM_MAX];
	size_t n;

	while (ovpn_engine_next(w->e, &a)) {
		if (a.kind == OVPN_ACTION_SEND)
			put(&w->down, a.bytes, a.len);
		if (a.kind == OVPN_ACTION_KEYS) {
			REQUIRE(w->asked && w->may);
			w->keys_asked = true;
			w->session = a.session;
			w->key_id = a.key_id;
		}
		REQUIRE(a.kind != OVPN_ACTION_USE || w->keys_given);
	}
	while ((n = ovpn_client_output(w->c, packet, sizeof(packet))) > 0)
		put(&w->up, packet, n);
	if (w->up.n > 0)
		remember(w, w->up.bytes[w->up.n - 1], w->up.len[w->up.n - 1]);
	while (ovpn_client_event(w->c, &event))
		REQUIRE(event.kind != OVPN_CLIENT_UP || w->keys_given);
}

/* Opens a packet of the client as the server would, changes its tail, wraps it again. */
static size_t change(struct world *w, uint8_t *p, size_t n, const uint8_t *with, size_t k)
{
	uint8_t clear[OVPN_DATAGRAM_MAX], out[OVPN_DATAGRAM_MAX];
	const uint8_t *wkc = NULL;
	size_t wkc_len = 0, front = n;
	struct ovpn_wrap server, client;
	struct ovpn_opened o;

	if (ovpn_opcode(p[0]) >= OVPN_RESET_CLIENT_V3 &&
		ovpn_wkc_cut(p, n, &wkc, &wkc_len, &front) != 0)
		return n;
	ovpn_wrap_init(&server, &key, OVPN_SERVER, 1, REAL0);
	if (ovpn_wrap_open(&server, p, front, false, clear, &o) != 0 || o.tail_len == 0)
		return n;
	for (size_t i = 0; i + 1 < k; i += 2)
		o.tail[(with[i] * 7u) % o.tail_len] ^= with[i + 1];
	if (k > 0 && with[0] & 1 && o.tail_len > 1)
		o.tail_len -= with[0] % o.tail_len;
	ovpn_wrap_init(&client, &key, OVPN_CLIENT, o.packet_id, o.time);
	int len = ovpn_wrap_seal(&client, k > 0 ? (uint8_t)(o.first ^ (with[0] & 7)) : o.first,
		o.sid, o.tail, o.tail_len, out, sizeof(out));
	if (len < 0 || (size_t)len + wkc_len > OVPN_DATAGRAM_MAX)
		return n;
	memmove(p + len, wkc ? wkc : p, wkc_len);
	memcpy(p, out, (size_t)len);
	(void)w;
	return (size_t)len + wkc_len;
}

static void deliver_up(struct world *w, size_t i, bool keep, const uint8_t *with, size_t k)
{
	uint8_t p[2 * OVPN_DATAGRAM_MAX];
	size_t n;

	if (w->up.n == 0)
		return;
	i %= w->up.n;
	n = w->up.len[i];
	memcpy(p, w->up.bytes[i], n);
	if (!keep)
		drop(&w->up, i);
	if (k > 0)
		n = change(w, p, n, with, k);
	input(w, p, n);
}

static void deliver_down(struct world *w, size_t i, bool keep)
{
	if (w->down.n == 0)
		return;
	i %= w->down.n;
	(void)ovpn_client_input(w->c, w->down.bytes[i], w->down.len[i], w->now.mono_ms);
	if (!keep)
		drop(&w->down, i);
}

static void raw(struct world *w, const uint8_t *p, size_t k)
{
	if (k > 1)
		ovpn_client_raw(w->c, p[0], p + 1, k - 1);
}

/* Two bytes a form: where, and with what. */
static void burst(struct world *w, const uint8_t *p, size_t k)
{
	uint8_t tail[OVPN_TAIL_MAX], packet[OVPN_DATAGRAM_MAX];
	size_t n;

	for (size_t i = 0; i + 1 < k && w->tail_len > 0; i += 2) {
		const bool cut = p[i] & 0x80;
		const size_t at = cut ? p[i] & 0x7f : p[i];

		memcpy(tail, w->tail, w->tail_len);
		tail[at % w->tail_len] ^= p[i + 1];
		ovpn_client_raw(w->c, w->first, tail,
			cut ? w->tail_len - p[i + 1] % w->tail_len : w->tail_len);
		while ((n = ovpn_client_output(w->c, packet, sizeof(packet))) > 0)
			input(w, packet, n);
		pump(w);
	}
}

/* Records of any content, the first byte of each its length. */
static void say(struct world *w, const uint8_t *p, size_t k)
{
	for (size_t at = 0, n; at < k; at += n) {
		n = p[at++] % 24;
		n = n < k - at ? n : k - at;
		messages++;
		(void)!ovpn_client_say(w->c, p + at, n, w->now.mono_ms);
	}
}

static void answer_keys(struct world *w, bool ok)
{
	if (!w->keys_asked)
		return;
	w->keys_asked = false;
	w->keys_given |= ok;
	ovpn_engine_keys_done(w->e, w->session, w->key_id, ok, w->now);
}

static void pass_time(struct world *w, uint64_t ms)
{
	w->now.mono_ms += ms;
	w->now.real_s += (int64_t)(ms / 1000);
	ovpn_engine_tick(w->e, w->now);
	ovpn_client_tick(w->c, w->now.mono_ms);
}

/* Everything goes as it should for a while. */
static void go_well(struct world *w)
{
	for (int i = 0; i < 24; i++) {
		deliver_up(w, 0, false, NULL, 0);
		answer_keys(w, true);
		pump(w);
		deliver_down(w, 0, false);
		pump(w);
	}
	pass_time(w, 20);
}

static void step(struct world *w, uint8_t what, const uint8_t *p, size_t k)
{
	static const char *const texts[] = {"PUSH_REQUEST", "EXIT", "INFO,x", ""};
	const uint8_t arg = k > 0 ? p[0] : 0;
	struct path other = w->path;

	switch (what % 18) {
	case 0:
	case 1:
	case 2:
		go_well(w);
		break;
	case 3:
		deliver_up(w, arg, false, p, k);
		break;
	case 4:
		deliver_up(w, arg, true, NULL, 0);
		break;
	case 5:
		deliver_down(w, arg, arg & 1);
		break;
	case 6:
		raw(w, p, k);
		break;
	case 7:
		answer_keys(w, arg & 1);
		break;
	case 8:
		pass_time(w, (uint64_t)arg * 400);
		break;
	case 9:
		ovpn_client_rekey(w->c, w->now.mono_ms);
		break;
	case 10:
		ovpn_engine_rekey(w->e, w->session, w->now);
		break;
	case 11:
		(void)!ovpn_client_say(
			w->c, texts[arg % 4], strlen(texts[arg % 4]) + 1, w->now.mono_ms);
		break;
	case 12:
		other.remote.port = (uint16_t)(1000 + arg % 4);
		ovpn_engine_moved(w->e, w->session, &other);
		if (arg & 8)
			w->path = other;
		break;
	case 13:
		if (arg & 1)
			ovpn_engine_connection_closed(w->e, w->path.connection);
		else
			ovpn_engine_forget(w->e, w->session);
		break;
	case 14:
		ovpn_engine_farewell(w->e, w->session,
			arg & 1 ? OVPN_FAREWELL_REFUSED : OVPN_FAREWELL_RESTART, "bye", w->now);
		break;
	case 15:
		w->may = arg & 1;
		break;
	case 16:
		burst(w, p, k);
		break;
	case 17:
		say(w, p, k);
		go_well(w);
		break;
	}
	pump(w);
}

/* Chains are not what this is about, and cost a third of a handshake. */
static int believe(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static void tell(void)
{
	fprintf(stderr, "stat::messages: %llu in %llu runs\n", messages, runs);
}

static void make_km2(void)
{
	struct km2 k = {.options = "V4,dev-type tun,key-method 2,tls-client"};

	km2_len = km2_pack_client(&k, OVPN_CLIENT_PEER_INFO, km2, sizeof(km2));
	REQUIRE(km2_len > 0);
}

static void setup(void)
{
	REQUIRE(ovpn_wrap_global_init() == 0);
	test_ca_init(&ca, "fuzz");
	server_tls = test_server_tls(&ca, &ca, 0);
	client_tls = test_client_tls(&ca, &ca, TEST_CERT_CLIENT, NULL);
	SSL_CTX_set_cert_verify_callback(server_tls, believe, NULL);
	SSL_CTX_set_cert_verify_callback(client_tls, believe, NULL);
	make_km2();
	REQUIRE(atexit(tell) == 0);
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (uint8_t)i;
	memset(server_key, 5, sizeof(server_key));
}

/* The client's own message, changed: two bytes where, one with what. Returns: how many bytes of p
 * it took. */
static size_t change_km2(struct ovpn_client_conf *conf, const uint8_t *p, size_t n)
{
	static uint8_t changed[sizeof(km2)];
	size_t at = 1;

	if (n == 0)
		return 0;
	memcpy(changed, km2, (size_t)km2_len);
	for (size_t i = 0; i < p[0] % 8u && at + 3 <= n; i++, at += 3)
		changed[((size_t)p[at] << 8 | p[at + 1]) % (size_t)km2_len] ^= p[at + 2];
	conf->km2 = changed;
	conf->km2_len = (size_t)km2_len;
	return at;
}

/* Returns: how many bytes of the rest it took. */
static size_t begin(struct world *w, uint8_t how, const uint8_t *rest, size_t n_rest)
{
	static const char *const peer_infos[] = {
		NULL, OVPN_CLIENT_PEER_INFO_OLD, OVPN_CLIENT_PEER_INFO_EPOCH, NULL};
	const struct ovpn_ops ops = {authorize, peer_id_alloc, peer_id_free, w};
	struct ovpn_conf conf = {.mtu = 1420,
		.ping_s = 10,
		.restart_s = 60,
		.reneg_ms = 60000,
		.has_tls_crypt = true,
		.tls_crypt = key};
	struct ovpn_client_conf client = {.tls = client_tls,
		.mode = (enum ovpn_client_mode)(how % 3),
		.key = key,
		.stream = how & 8,
		.push_request_early = how & 16,
		.peer_info = peer_infos[how >> 5 & 3]};
	int n = ovpn_wkc_seal(server_key, &key, &credential, REAL0, client.wkc, sizeof(client.wkc));

	REQUIRE(n > 0);
	client.wkc_len = (size_t)n;
	const size_t taken = how & 64 ? change_km2(&client, rest, n_rest) : 0;
	memcpy(conf.v2_server_key, server_key, sizeof(server_key));
	REQUIRE(ip_prefix_parse(&conf.net4, "10.66.0.0/24") == 0);
	REQUIRE(ip_prefix_parse(&conf.net6, "fd66::/64") == 0);
	REQUIRE(endpoint_parse(&w->path.remote, "192.0.2.1:1194") == 0);
	w->path.connection = how & 8 ? 77 : 0;
	w->now = (struct ovpn_time){.mono_ms = 1000000, .real_s = REAL0};
	w->may = true;
	REQUIRE(ovpn_engine_new(&w->e, &conf, server_tls, &ops) == 0);
	ovpn_engine_set_epoch(w->e, !(how & 128));
	REQUIRE(ovpn_client_new(&w->c, &client) == 0);
	REQUIRE(ovpn_client_start(w->c, w->now.mono_ms, REAL0) == 0);
	pump(w);
	return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	size_t at = 1;

	if (!server_tls)
		setup();
	if (size < 2)
		return 0;
	memset(&w, 0, sizeof(w));
	runs++;
	at += begin(&w, data[0], data + 1, size - 1);
	/* A step: what, how many bytes follow, the bytes. */
	for (int steps = 0; at + 2 <= size && steps < STEPS; steps++) {
		const size_t left = size - at - 2;
		const size_t k = data[at + 1] < left ? data[at + 1] : left;
		struct ovpn_figures f;

		step(&w, data[at], data + at + 2, k);
		at += 2 + k;
		ovpn_engine_figures(w.e, &f);
		REQUIRE(f.sessions <= 64 && w.peer_ids <= 64);
	}
	ovpn_client_free(w.c);
	ovpn_engine_free(w.e);
	REQUIRE(w.peer_ids == 0);
	ERR_clear_error();
	return 0;
}
