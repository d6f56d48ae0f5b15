/* Requests applied to a real engine; what lies outside of it is recorded. */
#include "io/ctl_apply.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/epoch.h"
#include "uapi/uapi.h"
#include "wire/ovpn_wire.h"

enum { PEERS = 256, INDICES = 512, PEER_IDS = 64, TCP_LISTENER = 3 };

struct lab {
	struct fwd *fwd;
	struct fake_clock time;
	struct ctl_facts facts;
	struct offloads offloads;
	struct ctl_apply a;
	struct netconf_networks networks;
	uint8_t key[32];
	uint8_t openvpn;
	uint32_t closed;
	int configured, keyed, installed;
	int configure_result;
	uint8_t frame[UAPI_CTL_MAX];
	uint8_t reply[UAPI_CTL_MAX];
	uint8_t farewell[UAPI_FAREWELL_MAX]; /* of the last SESSION_SET_REPLY */
	size_t farewell_len;
	uint32_t seq;
};

static int configure(void *arg, const struct netconf_networks *n)
{
	struct lab *l = arg;

	l->configured++;
	l->networks = *n;
	return l->configure_result;
}

static void admission(void *arg, const uint8_t wg_public[32], uint8_t openvpn)
{
	struct lab *l = arg;

	l->keyed++;
	memcpy(l->key, wg_public, 32);
	l->openvpn = openvpn;
}

static void usage(void *arg, struct usage *out)
{
	(void)arg;
	*out = (struct usage){.resident_bytes = 3 << 20, .cpu_ms = 77};
}

static void connection_close(void *arg, uint32_t connection)
{
	((struct lab *)arg)->closed = connection;
}

static void session_installed(void *arg)
{
	((struct lab *)arg)->installed++;
}

static const char *const listeners[] = {"udp://[::]:51820", "udp://[::]:1194"};

static int setup(void **state)
{
	const struct fwd_limits limits = {.max_peers = PEERS,
		.max_indices = INDICES,
		.max_peer_ids = PEER_IDS,
		.workers = 2,
		.stage_slots = 64,
		.mtu_max = 1500};
	struct lab *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	assert_int_equal(fwd_new(&l->fwd, &limits), 0);
	l->time.mono_ms = 5000;
	l->facts = (struct ctl_facts){.max_peers = PEERS,
		.max_indices = INDICES,
		.workers = 1,
		.started_ms = 1000,
		.tun = "ireko0",
		.listeners = listeners,
		.n_listeners = ARRAY_SIZE(listeners),
		.offloads = &l->offloads,
		.udp_listeners = 1u << 0 | 1u << 2,
		.tcp_listeners = 1u << 1 | 1u << TCP_LISTENER};
	l->a = (struct ctl_apply){.fwd = l->fwd,
		.clock = clock_fake(&l->time),
		.ops = {configure, admission, session_installed, connection_close, usage, l},
		.facts = &l->facts};
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	fwd_free(l->fwd);
	free(l);
	return 0;
}

/* Applies a request and opens its reply. */
static struct reader ask(struct lab *l, enum uapi_type type, const struct writer *body)
{
	struct writer w = writer_init(l->frame, sizeof(l->frame));
	struct uapi_header h;
	struct reader r;
	int n;

	uapi_begin(&w, type, ++l->seq);
	if (body)
		writer_bytes(&w, body->start, writer_len(body));
	assert_int_equal(writer_end(&w), 0);
	n = ctl_apply(&l->a, l->frame, writer_len(&w), l->reply, sizeof(l->reply));
	assert_true(n > 0);
	r = reader_init(l->reply, (size_t)n);
	assert_int_equal(uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY), 0);
	assert_int_equal(h.type, type + 100);
	assert_int_equal(h.seq, l->seq);
	return r;
}

static int status_of(struct lab *l, enum uapi_type type, const struct writer *body)
{
	struct reader r = ask(l, type, body);
	struct uapi_reply m;

	uapi_unpack_reply(&r, &m);
	assert_int_equal(reader_end(&r), 0);
	return (int)m.status;
}

#define BODY(layout, value)                                                                        \
	uint8_t body_bytes[512];                                                                   \
	struct writer body = writer_init(body_bytes, sizeof(body_bytes));                          \
	uapi_pack_##layout(&body, value)

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = {0};

	if (text)
		assert_int_equal(ip_addr_parse(&a, text), 0);
	return a;
}

static int peer_set(struct lab *l, uint32_t peer, const char *addr4, const char *addr6)
{
	const struct uapi_peer_set m = {peer, ip(addr4), ip(addr6)};
	BODY(peer_set, &m);

	return status_of(l, UAPI_PEER_SET_MSG, &body);
}

static struct uapi_session_set a_session(uint32_t peer, uint64_t seq)
{
	struct uapi_session_set m = {.peer = peer,
		.seq = seq,
		.protocol = UAPI_WIREGUARD,
		.role = UAPI_RESPONDER,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = UAPI_UDP,
		.local_index = (uint32_t)seq,
		.remote_index = 9,
		.credential = {{1}},
		.tunnel = {{2}}};

	assert_int_equal(endpoint_parse(&m.path.remote, "192.0.2.5:4000"), 0);
	memset(m.seal, 0x11, sizeof(m.seal));
	memset(m.open, 0x22, sizeof(m.open));
	return m;
}

static int session_set(struct lab *l, const struct uapi_session_set *m)
{
	BODY(session_set, m);
	struct reader r = ask(l, UAPI_SESSION_SET_MSG, &body);
	struct uapi_reply reply;

	uapi_unpack_reply(&r, &reply);
	l->farewell_len = reader_left(&r);
	assert_true(l->farewell_len <= sizeof(l->farewell));
	reader_bytes(&r, l->farewell, l->farewell_len);
	assert_int_equal(reader_end(&r), 0);
	return (int)reply.status;
}

static struct uapi_config_set a_config(void)
{
	struct uapi_config_set m = {
		.net4 = ip("10.77.0.0"), .len4 = 16, .net6 = ip("fd00::"), .len6 = 64, .mtu = 1420};

	memset(m.wg_public, 0x5a, sizeof(m.wg_public));
	return m;
}

static int config_set(struct lab *l, const struct uapi_config_set *m)
{
	BODY(config_set, m);

	return status_of(l, UAPI_CONFIG_SET_MSG, &body);
}

static void configures(void **state)
{
	struct lab *l = *state;
	struct uapi_config_set m = a_config();

	assert_int_equal(config_set(l, &m), 0);
	assert_int_equal(l->configured, 1);
	assert_int_equal(l->networks.net4.len, 16);
	assert_int_equal(l->networks.net6.len, 64);
	assert_int_equal(l->networks.mtu, 1420);
	assert_int_equal(l->keyed, 1);
	assert_memory_equal(l->key, m.wg_public, 32);
	assert_int_equal(l->openvpn, 0);
	m.openvpn = UAPI_OPENVPN_V2 | UAPI_OPENVPN_V3;
	assert_int_equal(config_set(l, &m), 0);
	assert_int_equal(l->openvpn, 3);
	l->keyed = 1;
	/* The kernel refuses: admission stays as it was. */
	l->configure_result = -EPERM;
	assert_int_equal(config_set(l, &m), EPERM);
	assert_int_equal(l->keyed, 1);
}

static void bad_configurations(void **state)
{
	struct lab *l = *state;
	struct uapi_config_set m;

	for (int i = 0; i < 9; i++) {
		m = a_config();
		switch (i) {
		case 0:
			m.net4 = ip("fd00::1");
			break;
		case 1:
			m.net4 = (struct ip_addr){0};
			break;
		case 2:
			m.len4 = 33;
			break;
		case 3:
			m.len4 = 0;
			break;
		case 4:
			m.net6 = ip("10.0.0.1");
			break;
		case 5:
			m.len6 = 129;
			break;
		case 6:
			m.mtu = 575;
			break;
		case 7:
			m.mtu = 9001;
			break;
		case 8:
			m.openvpn = 4;
			break;
		}
		assert_int_equal(config_set(l, &m), EINVAL);
	}
	assert_int_equal(l->configured, 0);
	assert_int_equal(l->keyed, 0);
}

static void peers_come_and_go(void **state)
{
	struct lab *l = *state;
	const struct uapi_peer_del gone = {7};
	BODY(peer_del, &gone);

	assert_int_equal(peer_set(l, 7, "10.77.0.7", "fd00::7"), 0);
	assert_int_equal(peer_set(l, 7, "10.77.0.7", "fd00::7"), 0);
	assert_int_equal(peer_set(l, 8, "10.77.0.7", NULL), EEXIST);
	assert_int_equal(peer_set(l, 8, NULL, NULL), EINVAL);
	assert_int_equal(peer_set(l, PEERS, "10.77.0.9", NULL), EINVAL);
	assert_int_equal(status_of(l, UAPI_PEER_DEL_MSG, &body), 0);
	/* Twice is as good as once. */
	assert_int_equal(status_of(l, UAPI_PEER_DEL_MSG, &body), 0);
	assert_int_equal(peer_set(l, 8, "10.77.0.7", NULL), 0);
}

static void sessions(void **state)
{
	struct lab *l = *state;
	struct uapi_session_set m = a_session(7, 100);

	assert_int_equal(session_set(l, &m), ENOENT);
	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	assert_int_equal(session_set(l, &m), 0);
	assert_int_equal(l->installed, 0); /* nothing can be sealed with it yet */
	assert_int_equal(fwd_session_seq(l->fwd), 100);
	/* Keys are never taken twice. */
	assert_int_equal(session_set(l, &m), EALREADY);
	m.seq = 99;
	assert_int_equal(session_set(l, &m), EALREADY);
	m.seq = 101; /* the index is in use */
	assert_int_equal(session_set(l, &m), EEXIST);
	m.role = UAPI_INITIATOR;
	assert_int_equal(session_set(l, &m), EEXIST);
	assert_int_equal(l->installed, 0);
	m.local_index++;
	assert_int_equal(session_set(l, &m), 0);
	assert_int_equal(l->installed, 1);
}

static void bad_sessions(void **state)
{
	struct lab *l = *state;
	struct uapi_session_set m;

	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	for (int i = 0; i < 8; i++) {
		m = a_session(7, 100);
		switch (i) {
		case 0:
			m.protocol = UAPI_OPENVPN;
			break;
		case 1:
			m.role = 2;
			break;
		case 2:
			m.cipher = AEAD_AES_256_GCM;
			break;
		case 3:
			m.transport = UAPI_TCP;
			break;
		case 4:
			m.path.listener = 1;
			break; /* a TCP one */
		case 5:
			m.path.listener = 255;
			break;
		case 6:
			m.path.remote.port = 0;
			break;
		case 7:
			m.path.remote.addr = (struct ip_addr){0};
			break;
		}
		assert_int_equal(session_set(l, &m), EINVAL);
	}
	assert_int_equal(l->installed, 0);
	assert_int_equal(fwd_session_seq(l->fwd), 0);
}

static struct uapi_session_set an_ovpn_session(uint32_t peer, uint64_t seq)
{
	struct uapi_session_set m = a_session(peer, seq);

	m.protocol = UAPI_OPENVPN;
	m.cipher = AEAD_AES_256_GCM;
	m.local_index = m.remote_index = 17;
	m.ping_s = 10;
	m.timeout_s = 60;
	m.life_s = 7200;
	m.tls = 0x0304;
	memset(m.seal_iv, 0x33, sizeof(m.seal_iv));
	memset(m.open_iv, 0x44, sizeof(m.open_iv));
	return m;
}

static void wireguard_has_nothing_of_openvpn(void **state)
{
	struct lab *l = *state;

	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	for (int i = 0; i < 9; i++) {
		struct uapi_session_set m = a_session(7, 100);

		switch (i) {
		case 0:
			m.key_id = 1;
			break;
		case 1:
			m.format = UAPI_DATA_V1;
			break;
		case 2:
			m.seal_iv[7] = 1;
			break;
		case 3:
			m.open_iv[0] = 1;
			break;
		case 4:
			m.ping_s = 1;
			break;
		case 5:
			m.timeout_s = 1;
			break;
		case 6:
			m.life_s = 1;
			break;
		case 7:
			m.tls = 0x0303;
			break;
		case 8:
			m.path.connection = 1;
			break;
		}
		assert_int_equal(session_set(l, &m), EINVAL);
	}
	assert_int_equal(fwd_session_seq(l->fwd), 0);
}

static void openvpn_sessions(void **state)
{
	static const uint8_t ciphers[] = {
		AEAD_CHACHA20_POLY1305, AEAD_AES_256_GCM, AEAD_AES_128_GCM};
	struct lab *l = *state;
	struct uapi_session_set m;
	uint64_t seq = 100;

	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		m = an_ovpn_session(7, seq++);
		m.cipher = ciphers[i];
		m.key_id = (uint8_t)i;
		assert_int_equal(session_set(l, &m), 0);
	}
	m = an_ovpn_session(7, seq++);
	m.format = UAPI_DATA_EPOCH;
	m.key_id = 5;
	memset(m.seal_iv, 0, sizeof(m.seal_iv));
	memset(m.open_iv, 0, sizeof(m.open_iv));
	assert_int_equal(session_set(l, &m), 0);
	/* Over TCP, as another tunnel. */
	m = an_ovpn_session(7, seq++);
	m.transport = UAPI_TCP;
	m.path.listener = TCP_LISTENER;
	m.path.connection = 0x1001;
	m.local_index = m.remote_index = 18;
	m.tunnel.bytes[0] = 9;
	assert_int_equal(session_set(l, &m), 0);
	assert_int_equal(session_set(l, &m), EALREADY);
	assert_int_equal(l->installed, 0);
}

/* Sealed with its keys, it comes with the answer; where there is none, nothing does. */
static void openvpn_over_udp_has_a_farewell(void **state)
{
	static const struct {
		uint8_t format, first;
		size_t len;
	} formats[] = {{UAPI_DATA_V2, 9 << 3 | 5, 41}, {UAPI_DATA_V1, 6 << 3 | 5, 38},
		{UAPI_DATA_EPOCH, 9 << 3 | 5, 45}};
	struct lab *l = *state;
	struct uapi_session_set m = a_session(7, 99);

	assert_int_equal(session_set(l, &m), ENOENT);
	assert_int_equal(l->farewell_len, 0);
	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	assert_int_equal(session_set(l, &m), 0);
	assert_int_equal(l->farewell_len, 0);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		m = an_ovpn_session(7, 100 + i);
		m.format = formats[i].format;
		m.key_id = 5;
		m.local_index = m.remote_index = 17 + (uint32_t)i;
		if (m.format == UAPI_DATA_EPOCH) {
			memset(m.seal_iv, 0, sizeof(m.seal_iv));
			memset(m.open_iv, 0, sizeof(m.open_iv));
		}
		assert_int_equal(session_set(l, &m), 0);
		assert_int_equal(l->farewell_len, formats[i].len);
		assert_int_equal(l->farewell[0], formats[i].first);
		assert_int_equal(session_set(l, &m), EALREADY);
		assert_int_equal(l->farewell_len, 0);
	}
	m = an_ovpn_session(7, 200);
	m.transport = UAPI_TCP;
	m.path.listener = TCP_LISTENER;
	m.path.connection = 0x1001;
	m.local_index = m.remote_index = 30;
	assert_int_equal(session_set(l, &m), 0);
	assert_int_equal(l->farewell_len, 0);
}

static void bad_openvpn_sessions(void **state)
{
	struct lab *l = *state;

	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	for (int i = 0; i < 16; i++) {
		struct uapi_session_set m = an_ovpn_session(7, 100);

		switch (i) {
		case 0:
			m.cipher = 0;
			break;
		case 1:
			m.cipher = 4;
			break;
		case 2:
			m.role = UAPI_INITIATOR;
			break;
		case 3:
			m.key_id = 8;
			break;
		case 4:
			m.format = 3;
			break;
		case 5:
			m.local_index = m.remote_index = OVPN_NO_PEER_ID;
			break;
		case 6:
			m.remote_index++;
			break;
		case 7:
			m.transport = 3;
			break;
		case 8: /* UDP with a connection */
			m.path.connection = 5;
			break;
		case 9: /* TCP without one */
			m.transport = UAPI_TCP;
			m.path.listener = TCP_LISTENER;
			break;
		case 10: /* TCP by a UDP listener */
			m.transport = UAPI_TCP;
			m.path.connection = 5;
			break;
		case 11: /* and the reverse */
			m.path.listener = TCP_LISTENER;
			break;
		case 12:
			m.path.remote.port = 0;
			break;
		case 13:
			m.protocol = 3;
			break;
		case 14: /* epochs make their own IVs */
			m.format = UAPI_DATA_EPOCH;
			memset(m.seal_iv, 0, sizeof(m.seal_iv));
			break;
		case 15:
			m.format = UAPI_DATA_EPOCH;
			memset(m.open_iv, 0, sizeof(m.open_iv));
			break;
		}
		assert_int_equal(session_set(l, &m), EINVAL);
	}
	assert_int_equal(fwd_session_seq(l->fwd), 0);
}

static int session_use(struct lab *l, uint32_t peer, uint64_t seq)
{
	const struct uapi_session_use m = {peer, seq};
	BODY(session_use, &m);

	return status_of(l, UAPI_SESSION_USE_MSG, &body);
}

static void sessions_are_used_when_told(void **state)
{
	struct lab *l = *state;
	struct uapi_session_set m = an_ovpn_session(7, 100);

	assert_int_equal(session_use(l, 7, 100), ENOENT);
	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	assert_int_equal(session_use(l, 7, 100), ENOENT);
	assert_int_equal(session_set(l, &m), 0);
	assert_int_equal(session_use(l, 7, 99), ENOENT);
	assert_int_equal(l->installed, 0);
	assert_int_equal(session_use(l, 7, 100), 0);
	assert_int_equal(l->installed, 1); /* staged packets may leave */
}

static void connections_are_closed(void **state)
{
	const struct uapi_connection_close m = {0x01020304};
	struct lab *l = *state;
	BODY(connection_close, &m);

	assert_int_equal(status_of(l, UAPI_CONNECTION_CLOSE_MSG, &body), 0);
	assert_int_equal(l->closed, 0x01020304);
}

static void figures_tell_of_openvpn(void **state)
{
	const struct uapi_stats_get from = {0};
	struct lab *l = *state;
	struct uapi_session_set m = an_ovpn_session(7, 100);
	struct uapi_stats_reply reply;
	struct uapi_peer_stats s;
	struct reader r;
	BODY(stats_get, &from);

	m.key_id = 5;
	assert_int_equal(peer_set(l, 7, "10.77.0.7", NULL), 0);
	assert_int_equal(session_set(l, &m), 0);
	assert_int_equal(session_use(l, 7, 100), 0);
	r = ask(l, UAPI_STATS_GET_MSG, &body);
	uapi_unpack_stats_reply(&r, &reply);
	assert_int_equal(reply.count, 1);
	uapi_unpack_peer_stats(&r, &s);
	assert_int_equal(reader_end(&r), 0);
	assert_int_equal(s.up, 1);
	assert_int_equal(s.protocol, UAPI_OPENVPN);
	assert_int_equal(s.cipher, AEAD_AES_256_GCM);
	assert_int_equal(s.transport, UAPI_UDP);
	assert_int_equal(s.local_index, 17);
	assert_int_equal(s.key_id, 5);
	assert_int_equal(s.tls, 0x0304);
}

static void sweeps_what_nobody_named(void **state)
{
	struct lab *l = *state;
	struct uapi_sync_end_reply m;
	struct reader r;

	assert_int_equal(peer_set(l, 1, "10.77.0.1", NULL), 0);
	assert_int_equal(peer_set(l, 2, "10.77.0.2", NULL), 0);
	assert_int_equal(status_of(l, UAPI_SYNC_BEGIN_MSG, NULL), 0);
	assert_int_equal(peer_set(l, 2, "10.77.0.2", NULL), 0);
	r = ask(l, UAPI_SYNC_END_MSG, NULL);
	uapi_unpack_sync_end_reply(&r, &m);
	assert_int_equal(reader_end(&r), 0);
	assert_int_equal(m.status, 0);
	assert_int_equal(m.swept, 1);
}

/* All records, page by page. Returns: how many. */
static uint32_t stats_all(struct lab *l, bool seen[PEERS])
{
	struct uapi_stats_get from = {0};
	uint32_t n = 0;

	do {
		BODY(stats_get, &from);
		struct reader r = ask(l, UAPI_STATS_GET_MSG, &body);
		struct uapi_stats_reply m;

		uapi_unpack_stats_reply(&r, &m);
		for (uint32_t i = 0; i < m.count; i++) {
			struct uapi_peer_stats s;

			uapi_unpack_peer_stats(&r, &s);
			assert_in_range(s.peer, from.from, PEERS - 1);
			assert_false(seen[s.peer]);
			seen[s.peer] = true;
			assert_int_equal(s.rx_age_ms, UINT32_MAX);
			n++;
		}
		assert_int_equal(reader_end(&r), 0);
		assert_true(m.next == 0 || m.next > from.from);
		from.from = m.next;
	} while (from.from != 0);
	return n;
}

static void figures_come_in_pages(void **state)
{
	struct lab *l = *state;
	bool seen[PEERS] = {false};

	assert_int_equal(stats_all(l, seen), 0);
	for (uint32_t i = 0; i < 200; i++) {
		char text[IP_ADDR_TEXT];

		snprintf(text, sizeof(text), "10.77.1.%u", i);
		assert_int_equal(peer_set(l, i + 10, text, NULL), 0);
	}
	assert_int_equal(stats_all(l, seen), 200);
}

static void tells_its_status(void **state)
{
	struct lab *l = *state;
	struct uapi_status_reply m;
	struct reader r;
	char text[64];

	assert_int_equal(peer_set(l, 1, "10.77.0.1", NULL), 0);
	fwd_count(l->fwd, 1, FWD_BAD_MAC1, 3);
	atomic_store(&l->offloads.used, UAPI_OFFLOAD_ALL);
	offloads_drop(&l->offloads, UAPI_OFFLOAD_UDP_GSO, EIO);
	r = ask(l, UAPI_STATUS_GET_MSG, NULL);
	uapi_unpack_status_reply(&r, &m);
	assert_int_equal(m.status, 0);
	assert_int_equal(m.workers, 1);
	assert_int_equal(m.peers, 1);
	assert_int_equal(m.sessions, 0);
	assert_int_equal(m.uptime_ms, 4000);
	assert_int_equal(m.offloads, UAPI_OFFLOAD_ALL & ~UAPI_OFFLOAD_UDP_GSO);
	assert_string_equal(m.tun, "ireko0");
	assert_int_equal(m.listeners, 2);
	assert_int_equal(m.verdicts, FWD_VERDICT_COUNT);
	for (int i = 0; i < m.listeners; i++) {
		size_t len = reader_u8(&r);

		assert_int_equal(len, strlen(listeners[i]));
		reader_bytes(&r, text, len);
		assert_memory_equal(text, listeners[i], len);
	}
	for (int v = 0; v < m.verdicts; v++) {
		size_t len = reader_u8(&r);

		reader_bytes(&r, text, len);
		assert_memory_equal(text, fwd_verdict_name((enum fwd_verdict)v), len);
		assert_int_equal(reader_u64(&r), v == FWD_BAD_MAC1 ? 3 : 0);
	}
	assert_int_equal(m.ciphers, 3);
	for (int c = 1; c <= m.ciphers; c++) {
		const char *want[] = {aead_cipher_name((enum aead_cipher)c), "openssl"};

		for (int i = 0; i < 2; i++) {
			size_t len = reader_u8(&r);

			assert_int_equal(len, strlen(want[i]));
			reader_bytes(&r, text, len);
			assert_memory_equal(text, want[i], len);
		}
	}
	assert_int_equal(reader_end(&r), 0);
}

static void tells_its_usage(void **state)
{
	struct lab *l = *state;
	struct uapi_usage_reply m;
	struct reader r = ask(l, UAPI_USAGE_GET_MSG, NULL);

	uapi_unpack_usage_reply(&r, &m);
	assert_int_equal(reader_end(&r), 0);
	assert_int_equal(m.status, 0);
	assert_int_equal(m.resident_bytes, 3 << 20);
	assert_int_equal(m.cpu_ms, 77);
}

static void malformed_frames_close(void **state)
{
	static const enum uapi_type types[] = {UAPI_CONFIG_SET_MSG, UAPI_SYNC_BEGIN_MSG,
		UAPI_SYNC_END_MSG, UAPI_PEER_SET_MSG, UAPI_PEER_DEL_MSG, UAPI_SESSION_SET_MSG,
		UAPI_SESSION_DEL_MSG, UAPI_SESSION_USE_MSG, UAPI_CONNECTION_CLOSE_MSG,
		UAPI_STATS_GET_MSG, UAPI_STATUS_GET_MSG, UAPI_USAGE_GET_MSG};
	struct lab *l = *state;

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		size_t size = UAPI_HEADER + uapi_message((uint16_t)types[t])->fixed;

		for (size_t len = 0; len < size + 3; len++) {
			struct writer w = writer_init(l->frame, sizeof(l->frame));

			if (len == size)
				continue;
			memset(l->frame, 0, sizeof(l->frame));
			uapi_begin(&w, types[t], 1);
			assert_true(
				ctl_apply(&l->a, l->frame, len, l->reply, sizeof(l->reply)) < 0);
		}
	}
	for (uint32_t type = 0; type < 65536; type++) {
		struct writer w = writer_init(l->frame, sizeof(l->frame));

		uapi_begin(&w, (enum uapi_type)type, 1);
		if (type == UAPI_SYNC_BEGIN_MSG || type == UAPI_SYNC_END_MSG ||
			type == UAPI_STATUS_GET_MSG || type == UAPI_USAGE_GET_MSG)
			continue;
		assert_true(ctl_apply(&l->a, l->frame, 8, l->reply, sizeof(l->reply)) < 0);
	}
	assert_int_equal(l->configured + l->installed + l->keyed, 0);
}

static void packs_events(void **state)
{
	struct fwd_event e = {.peer = 5, .seq = 77, .reason = 3, .path.listener = 1};
	static const uint16_t types[] = {0, UAPI_SESSION_CONFIRMED_MSG, UAPI_REKEY_WANTED_MSG,
		UAPI_SESSION_EXPIRED_MSG, UAPI_ENDPOINT_MOVED_MSG};
	uint8_t frame[256];

	(void)state;
	assert_int_equal(endpoint_parse(&e.path.remote, "[2001:db8::1]:99"), 0);
	for (int kind = FWD_EVENT_CONFIRMED; kind <= FWD_EVENT_MOVED; kind++) {
		struct uapi_header h;
		struct reader r;
		size_t n;

		e.kind = (enum fwd_event_kind)kind;
		n = ctl_event(&e, frame, sizeof(frame));
		r = reader_init(frame, n);
		assert_int_equal(uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY), 0);
		assert_int_equal(h.type, types[kind]);
		assert_int_equal(reader_u32(&r), 5);
		if (kind == FWD_EVENT_EXPIRED) {
			assert_int_equal(reader_u64(&r), 77);
			assert_int_equal(reader_u8(&r), 3);
			assert_int_equal(reader_end(&r), 0);
		}
		assert_int_equal(ctl_event(&e, frame, n - 1), 0);
	}
	assert_int_equal(ctl_event_closed(9, frame, sizeof(frame)), UAPI_HEADER + 4);
	assert_int_equal(ctl_event_closed(9, frame, UAPI_HEADER + 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(configures, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_configurations, setup, teardown),
		cmocka_unit_test_setup_teardown(peers_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(wireguard_has_nothing_of_openvpn, setup, teardown),
		cmocka_unit_test_setup_teardown(openvpn_sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(openvpn_over_udp_has_a_farewell, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_openvpn_sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_are_used_when_told, setup, teardown),
		cmocka_unit_test_setup_teardown(connections_are_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(figures_tell_of_openvpn, setup, teardown),
		cmocka_unit_test_setup_teardown(sweeps_what_nobody_named, setup, teardown),
		cmocka_unit_test_setup_teardown(figures_come_in_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_its_status, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_its_usage, setup, teardown),
		cmocka_unit_test_setup_teardown(malformed_frames_close, setup, teardown),
		cmocka_unit_test(packs_events),
	};

	if (aead_init() != 0 || epoch_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("ctl_apply", tests, NULL, NULL);
}
