/* Workers over the loopback and a socket pair that stands for the TUN device. */
#include "io/worker.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/xchacha.h"
#include "io/merge.h"
#include "io/segment.h"
#include "packets.h"
#include "uapi/door.h"
#include "uapi/uapi.h"
#include "wire/ovpn_wire.h"
#include "wire/wg_wire.h"

enum {
	WORKERS = 2,
	LOCAL_INDEX = 1000,
	REMOTE_INDEX = 77,
	PEER_ID = 9,
	INNER = 96,
	DATA = INNER + OVPN_DATA_V2_OVERHEAD, /* the same in OpenVPN's */
	TCP_LISTENER = 2,
};

struct lab {
	struct fwd *fwd;
	struct punt punt;
	struct clock clock;
	struct udp_socket sockets[WORKERS * UDP_LISTENERS];
	int tcp_listeners[WORKERS * TCP_LISTENERS];
	struct tcp *tcp;
	int tuns[WORKERS], device[WORKERS]; /* the workers' ends and ours */
	struct tun_mode tun;
	struct offloads offloads;
	struct workers *w;
	struct endpoint server, tcp_server;
	int client;
	struct endpoint client_at;
	uint8_t seal[32], open[32]; /* as the server uses them */
	uint64_t counter;
};

/* A port that is free, then shared by all workers as listener 2. */
static void tcp_listeners_open(struct lab *l)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct endpoint at = {0};
	int opened[WORKERS];

	for (size_t i = 0; i < ARRAY_SIZE(l->tcp_listeners); i++)
		l->tcp_listeners[i] = -1;
	assert_int_equal(ip_addr_parse(&at.addr, "127.0.0.1"), 0);
	assert_int_equal(tcp_open(&at, opened, 1), 0);
	assert_int_equal(getsockname(opened[0], (struct sockaddr *)&name, &len), 0);
	close(opened[0]);
	assert_int_equal(endpoint_from_sockaddr(&l->tcp_server, (struct sockaddr *)&name), 0);
	assert_int_equal(tcp_open(&l->tcp_server, opened, WORKERS), 0);
	for (int i = 0; i < WORKERS; i++)
		l->tcp_listeners[i * TCP_LISTENERS + TCP_LISTENER] = opened[i];
}

static void workers_run(struct lab *l)
{
	const struct tcp_conf tcp = {l->fwd, WORKERS, l->tcp_listeners};
	assert_int_equal(tcp_new(&l->tcp, &tcp), 0);
	const struct workers_conf conf = {.fwd = l->fwd,
		.punt = &l->punt,
		.tcp = l->tcp,
		.clock = l->clock,
		.n = WORKERS,
		.n_listeners = 3,
		.sockets = l->sockets,
		.tuns = l->tuns,
		.tun = l->tun,
		.offloads = &l->offloads};
	assert_int_equal(workers_new(&l->w, &conf), 0);
	assert_int_equal(workers_start(l->w), 0);
}

static void workers_end(struct lab *l)
{
	workers_stop(l->w);
	workers_free(l->w);
	tcp_free(l->tcp);
}

static int setup_with(void **state, bool offloads)
{
	const struct fwd_limits limits = {.max_peers = 16,
		.max_indices = 2048,
		.max_peer_ids = 64,
		.workers = WORKERS,
		.stage_slots = 256,
		.mtu_max = WORKER_MTU_MAX};
	struct lab *l = calloc(1, sizeof(*l));
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	assert_non_null(l);
	l->clock = clock_system();
	assert_int_equal(fwd_new(&l->fwd, &limits), 0);
	assert_int_equal(punt_init(&l->punt), 0);
	for (size_t i = 0; i < ARRAY_SIZE(l->sockets); i++)
		l->sockets[i].fd = -1;

	/* A port that is free, then shared by all workers as listener 1. */
	struct endpoint at = {0};
	struct udp_socket opened[WORKERS];

	assert_int_equal(ip_addr_parse(&at.addr, "127.0.0.1"), 0);
	assert_int_equal(udp_open(&at, opened, 1), UDP_STEERED);
	assert_int_equal(getsockname(opened[0].fd, (struct sockaddr *)&name, &len), 0);
	udp_close(&opened[0]);
	assert_int_equal(endpoint_from_sockaddr(&l->server, (struct sockaddr *)&name), 0);
	assert_int_equal(udp_open(&l->server, opened, WORKERS), UDP_STEERED);
	if (offloads) {
		atomic_store(&l->offloads.used, UAPI_OFFLOAD_ALL);
		l->tun = (struct tun_mode){.vnet = true, .udp = true, .offloads = UAPI_OFFLOAD_ALL};
	}
	for (int i = 0; i < WORKERS; i++) {
		int pair[2];

		assert_int_equal(udp_gro_set(&opened[i], offloads), 0);

		l->sockets[i * UDP_LISTENERS + 1] = opened[i];
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
		l->tuns[i] = pair[0];
		l->device[i] = pair[1];
	}

	tcp_listeners_open(l);
	l->client = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	len = endpoint_to_sockaddr6(&l->server, &name);
	assert_int_equal(connect(l->client, (struct sockaddr *)&name, len), 0);
	len = sizeof(name);
	assert_int_equal(getsockname(l->client, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(endpoint_from_sockaddr(&l->client_at, (struct sockaddr *)&name), 0);
	memset(l->seal, 0x11, 32);
	memset(l->open, 0x22, 32);

	workers_run(l);
	*state = l;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_offloads(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct lab *l = *state;

	workers_end(l);
	fwd_free(l->fwd);
	punt_fini(&l->punt);
	close(l->client);
	for (int i = 0; i < WORKERS; i++) {
		udp_close(&l->sockets[i * UDP_LISTENERS + 1]);
		close(l->tcp_listeners[i * TCP_LISTENERS + TCP_LISTENER]);
		close(l->tuns[i]);
		if (l->device[i] >= 0)
			close(l->device[i]);
	}
	free(l);
	return 0;
}

static uint64_t now_of(const struct lab *l)
{
	return clock_mono_ms(&l->clock);
}

static void peer_add(struct lab *l)
{
	struct ip_addr addr4, none = {0};

	assert_int_equal(ip_addr_parse(&addr4, "10.77.0.2"), 0);
	assert_int_equal(fwd_peer_set(l->fwd, 1, &addr4, &none), 0);
}

static void session_add(struct lab *l, uint64_t seq, uint8_t role)
{
	struct fwd_session s = {.peer = 1,
		.seq = seq,
		.protocol = UAPI_WIREGUARD,
		.role = role,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = UAPI_UDP,
		.local_index = LOCAL_INDEX,
		.remote_index = REMOTE_INDEX,
		.credential = {{1}},
		.path = {.remote = l->client_at, .local = l->server.addr, .listener = 1}};

	memcpy(s.seal, l->seal, 32);
	memcpy(s.open, l->open, 32);
	assert_int_equal(fwd_session_set(l->fwd, &s, now_of(l)), 0);
	workers_wake(l->w);
}

/* An IPv4 packet of INNER bytes; its source or destination is 10.77.0.LAST. */
static void inner_make(uint8_t p[INNER], uint8_t src, uint8_t dst, uint8_t mark)
{
	memset(p, 0, INNER);
	p[0] = 0x45;
	p[3] = INNER;
	p[8] = 64;
	p[9] = 17;
	memcpy(p + 12, (uint8_t[]){10, 77, 0, src}, 4);
	memcpy(p + 16, (uint8_t[]){10, 77, 0, dst}, 4);
	p[INNER - 1] = mark;
}

static void client_send(struct lab *l, const uint8_t inner[INNER])
{
	uint8_t m[sizeof(struct wg_data) + INNER + 16] = {WG_DATA};

	wire_put_le32(m + 4, LOCAL_INDEX);
	wire_put_le64(m + 8, l->counter);
	assert_int_equal(chachapoly_seal(l->open, l->counter, inner, INNER, NULL, 0, m + 16), 0);
	l->counter++;
	assert_int_equal(send(l->client, m, sizeof(m), 0), sizeof(m));
}

static ssize_t read_within(int fd, void *buf, size_t cap, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1 ? recv(fd, buf, cap, 0) : -1;
}

/* What the kernel would give on that queue. */
static void device_send(struct lab *l, int queue, const uint8_t *p, size_t len)
{
	struct vnet_hdr none = {0};
	struct iovec iov[2] = {{0}, {(void *)(uintptr_t)p, len}};

	assert_int_equal(tun_write(l->device[queue], l->tun.vnet, &none, iov, 1), 0);
}

/* The inner packet as it comes out on whichever queue. */
static int device_read(struct lab *l, uint8_t inner[INNER])
{
	struct pollfd p[WORKERS];

	for (int i = 0; i < WORKERS; i++)
		p[i] = (struct pollfd){.fd = l->device[i], .events = POLLIN};
	if (poll(p, WORKERS, 2000) < 1)
		return -1;
	for (int i = 0; i < WORKERS; i++) {
		if (p[i].revents) {
			uint8_t room[16 + INNER + 1];
			struct vnet_hdr h;

			assert_int_equal(
				tun_read(p[i].fd, l->tun.vnet, room + 16, INNER + 1, &h), INNER);
			assert_int_equal(h.gso_type, VNET_NONE);
			memcpy(inner, room + 16, INNER);
			return i;
		}
	}
	return -1;
}

/* Returns: the counter of the datagram, whose inner packet is opened. */
static uint64_t client_read(struct lab *l, uint8_t inner[INNER])
{
	uint8_t m[2048];
	ssize_t n = read_within(l->client, m, sizeof(m), 2000);
	uint64_t counter;

	assert_int_equal(n, sizeof(struct wg_data) + INNER + 16);
	assert_int_equal(wire_le32(m), WG_DATA);
	assert_int_equal(wire_le32(m + 4), REMOTE_INDEX);
	counter = wire_le64(m + 8);
	assert_int_equal(chachapoly_open(l->seal, counter, m + 16, INNER + 16, NULL, 0, inner), 0);
	return counter;
}

static uint64_t verdict(struct lab *l, enum fwd_verdict v)
{
	struct fwd_totals t;

	fwd_totals(l->fwd, &t);
	return t.verdicts[v];
}

static void assert_becomes(struct lab *l, enum fwd_verdict v, uint64_t n)
{
	for (int i = 0; i < 2000 && verdict(l, v) < n; i++)
		poll(NULL, 0, 1);
	assert_int_equal(verdict(l, v), n);
}

static void packets_go_both_ways(void **state)
{
	struct lab *l = *state;
	uint8_t sent[INNER], got[INNER];
	int queue = -1;

	peer_add(l);
	session_add(l, 1, UAPI_RESPONDER);
	for (uint8_t i = 0; i < 100; i++) {
		inner_make(sent, 2, 9, i);
		client_send(l, sent);
		int q = device_read(l, got);

		assert_memory_equal(got, sent, INNER);
		/* All of one session by one worker. */
		assert_true(q >= 0 && (queue < 0 || q == queue));
		queue = q;
	}
	for (uint8_t i = 0; i < 100; i++) {
		inner_make(sent, 9, 2, i);
		device_send(l, i % WORKERS, sent, INNER);
		assert_int_equal(client_read(l, got), i);
		assert_memory_equal(got, sent, INNER);
	}
	assert_becomes(l, FWD_DELIVER, 100);
	assert_becomes(l, FWD_SEND, 100);
}

static void waiting_packets_leave_with_the_session(void **state)
{
	struct lab *l = *state;
	uint8_t sent[INNER], got[INNER];

	peer_add(l);
	for (uint8_t i = 0; i < 10; i++) {
		inner_make(sent, 9, 2, i);
		device_send(l, 0, sent, INNER);
	}
	assert_becomes(l, FWD_STAGED, 10);
	session_add(l, 1, UAPI_INITIATOR);
	for (uint8_t i = 0; i < 10; i++) {
		client_read(l, got);
		assert_int_equal(got[INNER - 1], i);
	}
}

static void staged_packets_wait_for_confirmation(void **state)
{
	struct lab *l = *state;
	uint8_t sent[INNER], got[INNER];

	peer_add(l);
	inner_make(sent, 9, 2, 42);
	device_send(l, 0, sent, INNER);
	device_send(l, 1, sent, INNER);
	assert_becomes(l, FWD_STAGED, 2);
	session_add(l, 1, UAPI_RESPONDER);
	assert_int_equal(read_within(l->client, got, INNER, 50), -1);
	inner_make(sent, 2, 9, 1);
	client_send(l, sent);
	/* Both workers', though only one of them saw the confirmation. */
	client_read(l, got);
	assert_int_equal(got[INNER - 1], 42);
	client_read(l, got);
	assert_int_equal(got[INNER - 1], 42);
}

static void garbage_is_counted(void **state)
{
	struct lab *l = *state;
	uint8_t m[2000] = {0};

	assert_int_equal(send(l->client, m, 0, 0), 0);
	assert_int_equal(send(l->client, m, 1, 0), 1);
	assert_int_equal(send(l->client, m, 2000, 0), 2000);
	m[0] = 0x40; /* what only an OpenVPN server says */
	assert_int_equal(send(l->client, m, 100, 0), 100);
	m[0] = 0x38; /* a bare reset */
	assert_int_equal(send(l->client, m, 14, 0), 14);
	assert_becomes(l, FWD_MALFORMED, 5);
	assert_int_equal(send(l->client, m, 100, 0), 100);
	assert_becomes(l, FWD_NOT_CONFIGURED, 1);
	m[0] = WG_DATA;
	assert_int_equal(send(l->client, m, 64, 0), 64);
	m[0] = 0x48;
	assert_int_equal(send(l->client, m, 100, 0), 100);
	assert_becomes(l, FWD_UNKNOWN_SESSION, 2);
	m[0] = WG_INITIATION;
	assert_int_equal(send(l->client, m, 148, 0), 148);
	assert_becomes(l, FWD_BAD_MAC1, 1);
	memset(m, 0, sizeof(m));
	device_send(l, 0, m, 40);
	assert_becomes(l, FWD_BAD_INNER, 1);
	inner_make(m, 9, 200, 0);
	device_send(l, 0, m, INNER);
	assert_becomes(l, FWD_NO_ROUTE, 1);
}

static void handshakes_are_punted(void **state)
{
	const uint8_t server[32] = {0x5a};
	const struct blake2s_part label[] = {{"mac1----", 8}, {server, 32}};
	struct wg_initiation m = {.type = {WG_INITIATION}, .sender = {9}};
	const struct blake2s_part body = {&m, offsetof(struct wg_initiation, mac1)};
	struct lab *l = *state;
	uint8_t key[32], frame[UAPI_PUNT_MAX];
	struct uapi_header h;
	struct uapi_punt punt;
	struct reader r;
	struct wg_cookie_reply cookie;
	int pair[2], zero = 0;
	ssize_t n;

	assert_int_equal(blake2s_hash(key, label, 2), 0);
	assert_int_equal(blake2s_mac(m.mac1, key, 32, &body, 1), 0);
	workers_set_admission(l->w, server, 0);
	assert_int_equal(send(l->client, &m, sizeof(m), 0), sizeof(m));
	assert_becomes(l, FWD_PUNT_FULL, 1); /* nobody there; that alone is no load */

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(punt_attach(&l->punt, pair[0]), 0);
	assert_int_equal(send(l->client, &m, sizeof(m), 0), sizeof(m));
	n = read_within(pair[1], frame, sizeof(frame), 2000);
	assert_true(n > 0);
	r = reader_init(frame, (size_t)n);
	assert_int_equal(uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_PUNT, UAPI_READY), 0);
	uapi_unpack_punt(&r, &punt);
	assert_true(endpoint_equal(&punt.path.remote, &l->client_at));
	assert_true(ip_addr_equal(&punt.path.local, &l->server.addr));
	assert_int_equal(punt.path.listener, 1);
	assert_int_equal(reader_left(&r), sizeof(m));
	assert_memory_equal(reader_view(&r, sizeof(m)), &m, sizeof(m));

	/* A control plane that doesn't read is load, and load asks for cookies. */
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &zero, sizeof(zero)), 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(send(l->client, &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(read_within(l->client, &cookie, sizeof(cookie), 2000), sizeof(cookie));
	assert_int_equal(cookie.type[0], WG_COOKIE_REPLY);
	assert_memory_equal(cookie.receiver, m.sender, 4);
	punt_detach(&l->punt);
	close(pair[0]);
	close(pair[1]);
}

/* ---- OpenVPN ---- */

static void ovpn_session_add(struct lab *l, uint64_t seq, const struct path *path)
{
	struct fwd_session s = {.peer = 1,
		.seq = seq,
		.protocol = UAPI_OPENVPN,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = path->connection ? UAPI_TCP : UAPI_UDP,
		.local_index = PEER_ID,
		.remote_index = PEER_ID,
		.tunnel = {{(uint8_t)seq}},
		.credential = {{1}},
		.life_s = 3600,
		.path = *path};

	memcpy(s.seal, l->seal, 32);
	memcpy(s.open, l->open, 32);
	assert_int_equal(fwd_session_set(l->fwd, &s, now_of(l)), 0);
	workers_wake(l->w);
}

/* V2 with key id 0: header, tag, ciphertext (A14.1). */
static void data_seal(struct lab *l, const uint8_t inner[INNER], uint8_t m[DATA])
{
	uint8_t nonce[12] = {0};
	uint8_t sealed[INNER + 16];
	struct aead_key *k;

	wire_put_be32(m, (uint32_t)OVPN_DATA_V2 << 27 | PEER_ID);
	wire_put_be32(m + 4, (uint32_t)++l->counter);
	memcpy(nonce, m + 4, 4);
	memcpy(sealed, inner, INNER);
	struct aead_op op = {
		.text = sealed, .len = INNER, .tag = m + 8, .aad = m, .aad_len = OVPN_DATA_V2_HEAD};
	memcpy(op.nonce, nonce, sizeof(nonce));
	assert_int_equal(aead_key_new(&k, AEAD_CHACHA20_POLY1305, l->open, true), 0);
	aead_seal_batch(k, &op, 1);
	assert_true(op.ok);
	aead_key_free(k);
	memcpy(m + OVPN_DATA_V2_HEAD + OVPN_TAG, sealed, INNER);
}

/* Returns: the packet id. */
static uint32_t data_open(struct lab *l, uint8_t m[DATA], uint8_t inner[INNER])
{
	struct aead_op op = {.text = m + OVPN_DATA_V2_HEAD + OVPN_TAG,
		.len = INNER,
		.tag = m + 8,
		.aad = m,
		.aad_len = OVPN_DATA_V2_HEAD};
	struct aead_key *k;

	assert_int_equal(ovpn_opcode(m[0]), OVPN_DATA_V2);
	assert_int_equal(wire_be24(m + 1), PEER_ID);
	memcpy(op.nonce, m + 4, 4);
	assert_int_equal(aead_key_new(&k, AEAD_CHACHA20_POLY1305, l->seal, false), 0);
	aead_open_batch(k, &op, 1);
	assert_true(op.ok);
	aead_key_free(k);
	memcpy(inner, op.text, INNER);
	return wire_be32(m + 4);
}

static void openvpn_goes_both_ways(void **state)
{
	struct lab *l = *state;
	struct path path = {.remote = l->client_at, .local = l->server.addr, .listener = 1};
	uint8_t sent[INNER], got[INNER], m[DATA];
	int queue = -1;

	peer_add(l);
	ovpn_session_add(l, 1, &path);
	for (uint8_t i = 0; i < 50; i++) {
		inner_make(sent, 2, 9, i);
		data_seal(l, sent, m);
		assert_int_equal(send(l->client, m, sizeof(m), 0), sizeof(m));
		int q = device_read(l, got);

		assert_memory_equal(got, sent, INNER);
		assert_true(q >= 0 && (queue < 0 || q == queue));
		queue = q;
	}
	for (uint8_t i = 0; i < 50; i++) {
		inner_make(sent, 9, 2, i);
		device_send(l, i % WORKERS, sent, INNER);
		assert_int_equal(read_within(l->client, m, sizeof(m), 2000), DATA);
		assert_int_equal(data_open(l, m, got), i + 1);
		assert_memory_equal(got, sent, INNER);
	}
	assert_becomes(l, FWD_SEND, 50);
}

static int tcp_client(struct lab *l)
{
	struct sockaddr_storage name;
	socklen_t len = endpoint_to_sockaddr6(&l->tcp_server, &name);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static void frame_send(int fd, const void *packet, size_t len)
{
	uint8_t m[OVPN_FRAME_HEAD + OVPN_FRAME_MAX];

	wire_put_be16(m, (uint16_t)len);
	memcpy(m + OVPN_FRAME_HEAD, packet, len);
	assert_int_equal(send(fd, m, OVPN_FRAME_HEAD + len, MSG_NOSIGNAL), OVPN_FRAME_HEAD + len);
}

/* Returns: the length of the next frame, 0 at the end of the stream, -EAGAIN. */
static ssize_t frame_read(int fd, uint8_t *packet)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t head[OVPN_FRAME_HEAD];
	ssize_t len;

	if (poll(&p, 1, 2000) != 1)
		return -EAGAIN;
	if (recv(fd, head, sizeof(head), MSG_WAITALL) != sizeof(head))
		return 0;
	len = (ssize_t)head[0] << 8 | head[1];
	assert_int_equal(recv(fd, packet, (size_t)len, MSG_WAITALL), len);
	return len;
}

/* What was punted, from the other end of the punt connection. */
static struct path punted_read(int fd, const uint8_t *packet, size_t len)
{
	uint8_t frame[UAPI_PUNT_MAX];
	struct uapi_header h;
	struct uapi_punt m;
	ssize_t n = read_within(fd, frame, sizeof(frame), 2000);
	struct reader r = reader_init(frame, n < 0 ? 0 : (size_t)n);

	assert_int_equal(uapi_open(&r, &h, UAPI_FROM_DATA, UAPI_PUNT, UAPI_READY), 0);
	uapi_unpack_punt(&r, &m);
	assert_int_equal(reader_left(&r), len);
	assert_memory_equal(reader_view(&r, len), packet, len);
	return m.path;
}

/* A client that has said its first word. Returns: its descriptor. */
static int tcp_hello(struct lab *l, int punt, struct path *path)
{
	static const uint8_t none[32];
	uint8_t reset[60] = {ovpn_first(OVPN_RESET_CLIENT_V2, 0), 1, 2, 3};
	int fd = tcp_client(l);

	workers_set_admission(l->w, none, UAPI_OPENVPN_V2);
	frame_send(fd, reset, sizeof(reset));
	*path = punted_read(punt, reset, sizeof(reset));
	return fd;
}

static void openvpn_goes_over_tcp(void **state)
{
	struct lab *l = *state;
	uint8_t sent[INNER], got[INNER], m[OVPN_FRAME_MAX];
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct endpoint mine;
	struct path path;
	int pair[2], fd;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(punt_attach(&l->punt, pair[0]), 0);
	peer_add(l);
	fd = tcp_hello(l, pair[1], &path);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(endpoint_from_sockaddr(&mine, (struct sockaddr *)&name), 0);
	assert_true(endpoint_equal(&path.remote, &mine));
	assert_true(ip_addr_equal(&path.local, &l->tcp_server.addr));
	assert_int_equal(path.listener, TCP_LISTENER);
	assert_int_not_equal(path.connection, 0);

	/* The answer of the control plane. */
	assert_int_equal(tcp_send(l->tcp, path.connection, (const uint8_t *)"\x40 answer", 8), 0);
	assert_int_equal(frame_read(fd, m), 8);
	assert_memory_equal(m, "\x40 answer", 8);

	/* Packets wait for the session, then leave by the connection. */
	for (uint8_t i = 0; i < 10; i++) {
		inner_make(sent, 9, 2, i);
		device_send(l, 0, sent, INNER);
	}
	assert_becomes(l, FWD_STAGED, 10);
	ovpn_session_add(l, 1, &path);
	assert_int_equal(fwd_session_use(l->fwd, 1, 1), 0);
	workers_wake(l->w);
	for (uint8_t i = 0; i < 10; i++) {
		assert_int_equal(frame_read(fd, m), DATA);
		assert_int_equal(data_open(l, m, got), i + 1);
		assert_int_equal(got[INNER - 1], i);
	}
	/* From all queues; the ids rise along the stream. */
	for (uint8_t i = 0; i < 100; i++) {
		inner_make(sent, 9, 2, i);
		device_send(l, i % WORKERS, sent, INNER);
	}
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(frame_read(fd, m), DATA);
		assert_int_equal(data_open(l, m, got), 11 + i);
	}
	for (uint8_t i = 0; i < 100; i++) {
		inner_make(sent, 2, 9, i);
		data_seal(l, sent, m);
		frame_send(fd, m, DATA);
		assert_true(device_read(l, got) >= 0);
		assert_memory_equal(got, sent, INNER);
	}
	assert_becomes(l, FWD_DELIVER, 100);
	assert_becomes(l, FWD_SEND, 110);
	tcp_close(l->tcp, path.connection, now_of(l));
	assert_int_equal(frame_read(fd, m), 0);
	punt_detach(&l->punt);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

static void only_openvpn_goes_over_tcp(void **state)
{
	static const struct {
		uint8_t first;
		size_t len;
		enum fwd_verdict verdict;
	} rows[] = {
		{WG_DATA, 64, FWD_MALFORMED}, {WG_INITIATION, 148, FWD_MALFORMED},
		{0x40, 60, FWD_MALFORMED}, /* a server's */
		{0x48, 13, FWD_MALFORMED}, {0x38, 14, FWD_MALFORMED},
		{0x38, 60, FWD_NOT_CONFIGURED},
		{0x16, 60, FWD_MALFORMED}, /* TLS on the wrong port */
	};
	struct lab *l = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t m[OVPN_FRAME_MAX] = {rows[i].first};
		uint64_t before = verdict(l, rows[i].verdict);
		int fd = tcp_client(l);

		frame_send(fd, m, rows[i].len);
		assert_int_equal(frame_read(fd, m), 0);
		assert_becomes(l, rows[i].verdict, before + 1);
		close(fd);
	}
	/* Data of nobody's session is lost, as over UDP, and nothing else. */
	uint8_t m[100] = {0x48};
	int fd = tcp_client(l);

	frame_send(fd, m, sizeof(m));
	assert_becomes(l, FWD_UNKNOWN_SESSION, 1);
	assert_int_equal(read_within(fd, m, 1, 20), -1);
	close(fd);
}

struct gone {
	struct lab *l;
	uint32_t gone, told;
};

static void on_gone(void *arg, uint32_t peer, uint32_t connection)
{
	struct gone *g = arg;

	g->gone = connection;
	fwd_connection_closed(g->l->fwd, peer, connection);
}

static bool on_told(void *arg, uint32_t connection)
{
	((struct gone *)arg)->told = connection;
	return true;
}

static void connections_vanish_under_traffic(void **state)
{
	struct lab *l = *state;
	struct gone g = {.l = l};
	const struct tcp_news news = {on_gone, on_told, &g};
	uint8_t inner[INNER], m[OVPN_FRAME_MAX], ack[20] = {ovpn_first(OVPN_ACK, 0)};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(punt_attach(&l->punt, pair[0]), 0);
	peer_add(l);
	/* Connections come and go while both workers and this thread send: for the sanitizers. */
	for (uint64_t seq = 1; seq <= 40; seq++) {
		struct path path;
		int fd = tcp_hello(l, pair[1], &path);
		uint32_t last = 0;
		ssize_t n;

		l->counter = 0;
		ovpn_session_add(l, seq, &path);
		for (uint8_t i = 0; i < 30; i++) {
			inner_make(inner, 2, 9, i);
			data_seal(l, inner, m);
			frame_send(fd, m, DATA);
			inner_make(inner, 9, 2, i);
			(void)!send(l->device[i % WORKERS], inner, INNER, MSG_DONTWAIT);
			(void)!tcp_send(l->tcp, path.connection, ack, sizeof(ack));
		}
		if (seq & 1)
			tcp_close(l->tcp, path.connection, now_of(l));
		else
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		/* What came is whole and in order. */
		while ((n = frame_read(fd, m)) > 0) {
			if (n == DATA) {
				uint32_t id = data_open(l, m, inner);

				assert_true(id > last);
				last = id;
			} else {
				assert_int_equal(n, sizeof(ack));
			}
		}
		assert_int_equal(n, 0);
		close(fd);
		for (int i = 0; i < 2000 && g.told != path.connection; i++) {
			tcp_tell(l->tcp, &news);
			poll(NULL, 0, 1);
		}
		assert_int_equal(g.told, path.connection);
		/* One that ended before its first valid packet is the control plane's to drop. */
		assert_int_equal(fwd_session_del(l->fwd, 1, &(struct ulid){{0}}), 0);
		for (int i = 0; i < WORKERS; i++) {
			while (recv(l->device[i], m, sizeof(m), 0) > 0)
				;
		}
	}
	punt_detach(&l->punt);
	close(pair[0]);
	close(pair[1]);
}

static void a_full_device_loses_only_that_packet(void **state)
{
	struct lab *l = *state;
	uint8_t sent[INNER], got[INNER];
	uint64_t full = 0;

	peer_add(l);
	session_add(l, 1, UAPI_RESPONDER);
	for (int i = 0; i < 2000 && full == 0; i++) {
		inner_make(sent, 2, 9, 7);
		client_send(l, sent);
		if (i % 32 == 31)
			poll(NULL, 0, 1);
		full = verdict(l, FWD_TUN_FULL);
	}
	assert_true(full > 0);
	poll(NULL, 0, 20);
	for (int i = 0; i < WORKERS; i++) {
		while (recv(l->device[i], got, INNER, 0) > 0)
			;
	}
	inner_make(sent, 2, 9, 8);
	client_send(l, sent);
	do /* a slow worker may still have had some of the first */
		assert_true(device_read(l, got) >= 0);
	while (got[INNER - 1] == 7);
	assert_int_equal(got[INNER - 1], 8);
}

static void peers_vanish_under_traffic(void **state)
{
	struct lab *l = *state;
	uint8_t inner[INNER], m[2048];

	/* Sessions and peers are replaced while packets fly: for the sanitizers. */
	for (uint64_t seq = 1; seq <= 60; seq++) {
		peer_add(l);
		l->counter = 0;
		session_add(l, seq, seq & 1);
		for (uint8_t i = 0; i < 20; i++) {
			inner_make(inner, 2, 9, i);
			client_send(l, inner);
			inner_make(inner, 9, 2, i);
			(void)!send(l->device[i % WORKERS], inner, INNER, MSG_DONTWAIT);
		}
		assert_int_equal(fwd_peer_del(l->fwd, 1), 0);
		for (int i = 0; i < WORKERS; i++) {
			while (recv(l->device[i], m, sizeof(m), 0) > 0)
				;
		}
		while (recv(l->client, m, sizeof(m), MSG_DONTWAIT) > 0)
			;
	}
}

static void a_broken_device_is_reported(void **state)
{
	struct lab *l = *state;
	struct pollfd p = {.fd = workers_fd(l->w), .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
	/* What a descriptor whose device was deleted does: it is ready, and reading fails. */
	int broken = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	workers_end(l);
	close(l->tuns[0]);
	l->tuns[0] = broken;
	workers_run(l);
	p.fd = workers_fd(l->w);
	assert_int_equal(poll(&p, 1, 2000), 1);
}

/* ---- super-packets ---- */

enum {
	MANY = 20,
	PAYLOAD = 600,
	SEALED = 20 + 20 + PAYLOAD + 32,
	/* More than a message takes. */
	LONG_MANY = 46,
	LONG_PAYLOAD = 1376,
};

/* Packets of one flow from the device, or to it. */
static void many_make(struct packet *p, int n, uint16_t payload, bool from_device)
{
	struct dice d = {99};
	struct flow f = {.number = 2, .ttl = 64, .df = true, .size = payload, .id = 65530};

	for (int i = 0; i < n; i++) {
		p[i] = packet_make(&d, &f, payload, 0x10);
		if (from_device)
			continue;
		memcpy(p[i].data + 12, (uint8_t[]){198, 51, 100, 2, 10, 77, 0, 2}, 8);
		sums_put(&p[i]);
	}
}

static void many_free(struct packet *p, int n)
{
	for (int i = 0; i < n; i++)
		free(p[i].data);
}

/* All of them in one system call, as one datagram. */
static void client_send_many(struct lab *l, const struct packet p[MANY])
{
	static uint8_t m[MANY][SEALED];
	const int size = SEALED;

	memset(m, 0, sizeof(m));
	for (int i = 0; i < MANY; i++) {
		uint8_t padded[SEALED - 32] = {0};

		memcpy(padded, p[i].data, p[i].len);
		m[i][0] = WG_DATA;
		wire_put_le32(m[i] + 4, LOCAL_INDEX);
		wire_put_le64(m[i] + 8, l->counter);
		assert_int_equal(chachapoly_seal(l->open, l->counter, padded, sizeof(padded), NULL,
					 0, m[i] + 16),
			0);
		l->counter++;
	}
	assert_int_equal(setsockopt(l->client, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	assert_int_equal(send(l->client, m, sizeof(m), 0), sizeof(m));
}

static int device_ready(struct lab *l)
{
	struct pollfd p[WORKERS];

	for (int i = 0; i < WORKERS; i++)
		p[i] = (struct pollfd){.fd = l->device[i], .events = POLLIN};
	assert_true(poll(p, WORKERS, 2000) > 0);
	for (int i = 0; i < WORKERS; i++) {
		if (p[i].revents)
			return p[i].fd;
	}
	return -1;
}

static void a_run_from_a_peer_is_a_super_packet(void **state)
{
	static uint8_t room[16 + TUN_SUPER];
	struct lab *l = *state;
	struct packet p[MANY];
	struct segments s;
	struct vnet_hdr h;
	uint8_t one[100 + PAYLOAD];
	ssize_t len;

	peer_add(l);
	session_add(l, 1, UAPI_RESPONDER);
	many_make(p, MANY, PAYLOAD, true);
	client_send_many(l, p);
	len = tun_read(device_ready(l), true, room + 16, TUN_SUPER, &h);
	assert_int_equal(len, 40 + MANY * PAYLOAD);
	assert_int_equal(h.gso_type, VNET_TCP4);
	assert_int_equal(segment_begin(&s, &h, room + 16, (uint32_t)len), SEGMENT_SUPER);
	assert_int_equal(segment_left(&s), MANY);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(segment_next(&s, one), p[i].len);
		assert_memory_equal(one, p[i].data, p[i].len);
	}
	assert_becomes(l, FWD_DELIVER, MANY);
	many_free(p, MANY);
}

/* The client gets those packets next, sealed with counters from that one on. */
static void client_reads(struct lab *l, const struct packet *p, int n, uint64_t counter)
{
	for (int i = 0; i < n; i++, counter++) {
		uint8_t sealed[2048], inner[2048];
		ssize_t len = read_within(l->client, sealed, sizeof(sealed), 2000);

		assert_true(len >= (ssize_t)p[i].len + 32 && len < (ssize_t)p[i].len + 32 + 16);
		assert_int_equal(wire_le64(sealed + 8), counter);
		assert_int_equal(chachapoly_open(l->seal, counter, sealed + 16, (size_t)len - 16,
					 NULL, 0, inner),
			0);
		assert_memory_equal(inner, p[i].data, p[i].len);
	}
}

/* In each of the rounds twice the same super-packet, so that what is left of one meets another. */
static void super_packets_leave(struct lab *l, int many, uint16_t payload, int rounds)
{
	struct merge *m = calloc(1, sizeof(*m));
	struct packet *p = calloc((size_t)many, sizeof(*p)),
		      *copy = calloc((size_t)many, sizeof(*p));
	const int room = 4 << 20;

	peer_add(l);
	session_add(l, 1, UAPI_INITIATOR);
	/* As much as anybody may have: twice net.core.rmem_max. */
	assert_int_equal(setsockopt(l->client, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
	many_make(p, many, payload, false);
	many_make(copy, many, payload, false);
	merge_begin(m, true, true);
	for (int i = 0; i < many; i++)
		assert_true(merge_add(m, copy[i].data, copy[i].len));
	assert_int_equal(m->n_runs, 1);
	for (int sent = 0; sent < 2 * rounds; sent++) {
		struct iovec iov[1 + MERGE_RUN];
		struct vnet_hdr h;
		size_t n = merge_frame(m, 0, &h, iov + 1);

		assert_int_equal(tun_write(l->device[1], true, &h, iov, n), 0);
		(void)merge_apart(m, 0, iov);
		if (sent % 2 == 0)
			continue;
		client_reads(l, p, many, (uint64_t)((sent - 1) * many));
		client_reads(l, p, many, (uint64_t)(sent * many));
	}
	assert_becomes(l, FWD_SEND, (uint64_t)(2 * rounds * many));
	many_free(p, many);
	many_free(copy, many);
	free(p);
	free(copy);
	free(m);
}

static void a_super_packet_leaves_as_a_run(void **state)
{
	super_packets_leave(*state, MANY, PAYLOAD, 10);
}

static void one_longer_than_a_message_leaves_in_order(void **state)
{
	super_packets_leave(*state, LONG_MANY, LONG_PAYLOAD, 10);
}

static void a_super_packet_that_lies_is_dropped(void **state)
{
	struct lab *l = *state;
	const struct vnet_hdr bad = {VNET_NEEDS_CSUM, VNET_TCP4, 40, 100, 60000, 16};
	uint8_t p[INNER];
	struct iovec iov[2] = {{0}, {p, sizeof(p)}};

	peer_add(l);
	inner_make(p, 9, 2, 1);
	assert_int_equal(tun_write(l->device[0], true, &bad, iov, 1), 0);
	assert_int_equal(send(l->device[0], &bad, 3, 0), 3);
	assert_becomes(l, FWD_BAD_INNER, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(packets_go_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(packets_go_both_ways, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(
			waiting_packets_leave_with_the_session, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(openvpn_goes_both_ways, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(openvpn_goes_over_tcp, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(
			a_run_from_a_peer_is_a_super_packet, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(
			a_super_packet_leaves_as_a_run, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(
			one_longer_than_a_message_leaves_in_order, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(
			a_super_packet_that_lies_is_dropped, setup_offloads, teardown),
		cmocka_unit_test_setup_teardown(
			waiting_packets_leave_with_the_session, setup, teardown),
		cmocka_unit_test_setup_teardown(
			staged_packets_wait_for_confirmation, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(handshakes_are_punted, setup, teardown),
		cmocka_unit_test_setup_teardown(openvpn_goes_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(openvpn_goes_over_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(only_openvpn_goes_over_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(connections_vanish_under_traffic, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_full_device_loses_only_that_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(peers_vanish_under_traffic, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_device_is_reported, setup, teardown),
	};

	log_init(LOG_ERROR, LOG_TEXT);
	if (aead_init() != 0 || blake2s_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
