/*
 * The data path with the keys in hand. The input is a list of steps, each: one byte what, one byte
 * length n, n bytes. A step seals mutated plaintext and gives it to fwd_rx, gives raw bytes to
 * fwd_rx, gives raw bytes to fwd_tx, rekeys, revokes, or lets time pass; with the keys of one
 * WireGuard and one OpenVPN session of the same peer.
 *
 * Delivered must be only what was sealed with a live key, from the peer's own address, and once.
 * The client seals with OpenSSL, the engine with each library that this machine has, in turns.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead_backend.h"
#include "crypto/aead_check.h"
#include "crypto/epoch.h"
#include "fwd/fwd.h"
#include "openssl_pool.h"
#include "uapi/uapi.h"
#include "wire/ovpn_wire.h"
#include "wire/wg_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	openssl_pool_init();
	return 0;
}

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum {
	SEAL,
	SEAL_AT,
	RAW,
	TX,
	REKEY,
	REVOKE,
	WAIT,
	OVPN_SEAL,
	OVPN_SEAL_AT,
	OVPN_HEADER, /* the header is mutated before it is sealed */
	OVPN_REKEY,
	OVPN_USE,
	OVPN_CLOSED,
	OVPN_EPOCH, /* the client goes to a later epoch, or sends in any */
	STEPS
};

struct world {
	struct fwd *f;
	struct aead_key *key; /* the device's sealing side */
	uint32_t index;
	uint64_t now, seq, counter;
	struct ovpn {
		struct aead_key *key;
		uint8_t iv[AEAD_NONCE], cipher;
		uint8_t first[EPOCH_SECRET]; /* the epoch format: what the keys come from */
		uint64_t seq;
		uint32_t peer_id, id, connection;
		uint16_t epoch, newest; /* of the key; the greatest that was accepted */
		uint8_t key_id, format;
	} ovpn;
};

enum { OVPN_PEER_MASK = 7, CONNECTION = 3 };

static unsigned long long runs, messages;

static void tell(void)
{
	fprintf(stderr, "stat::messages: %llu in %llu runs\n", messages, runs);
}

static const struct ip_addr addr4 = {IP_V4, {10, 0, 0, 2}}, addr6 = {IP_V6, {0xfd, [15] = 2}};

static bool on_event(void *arg, const struct fwd_event *e)
{
	(void)arg;
	return e->seq % 5 != 4; /* now and then it can't be taken */
}

static void on_send(void *arg, struct fwd_packet *p)
{
	struct world *w = arg;

	if (p->verdict == FWD_STREAM)
		fwd_seal(w->f, 1, &p, 1, w->now);
	REQUIRE(p->verdict == FWD_SEND);
	if (p->data[0] == WG_DATA)
		REQUIRE(p->len == 32 && wire_le32(p->data) == WG_DATA);
	else
		REQUIRE(p->len == 40 || p->len == 37 || p->len == 44);
}

static struct aead_key *client_key(enum aead_cipher c, const uint8_t *key)
{
	struct aead_key *k;

	REQUIRE(aead_key_new_by(&k, &aead_openssl, c, key, true) == 0);
	return k;
}

static void rekey(struct world *w, uint8_t how)
{
	struct fwd_session s = {.peer = 1,
		.seq = ++w->seq,
		.protocol = UAPI_WIREGUARD,
		.role = how & 1,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = UAPI_UDP,
		.local_index = (uint32_t)w->seq,
		.remote_index = 5,
		.path = {.remote = {{IP_V4, {192, 0, 2, 1}}, 1, 0}}};

	s.credential.bytes[0] = how & 2 ? 1 : 2;
	memset(s.open, (int)w->seq, sizeof(s.open));
	int r = fwd_session_set(w->f, &s, w->now);
	REQUIRE(r == 0 ||
		r == -EEXIST); /* after as many as there are indices one may still be held */
	if (r)
		return;
	REQUIRE(fwd_session_set(w->f, &s, w->now) == -EALREADY);
	aead_key_free(w->key);
	w->key = client_key(AEAD_CHACHA20_POLY1305, s.open);
	w->index = s.local_index;
	w->counter = 0;
}

/* The key of an epoch; chains are short, or the fuzzer would do nothing else. */
static void ovpn_enter(struct ovpn *o, uint16_t epoch)
{
	uint8_t secret[EPOCH_SECRET];
	struct epoch_keys k;

	memcpy(secret, o->first, sizeof(secret));
	for (uint16_t i = 1; i < epoch; i++)
		REQUIRE(epoch_step(secret) == 0);
	REQUIRE(epoch_derive(secret, (enum aead_cipher)o->cipher, &k) == 0);
	aead_key_free(o->key);
	o->key = client_key((enum aead_cipher)o->cipher, k.key);
	memcpy(o->iv, k.iv, sizeof(o->iv));
	o->epoch = epoch;
}

static uint8_t format_of(uint8_t how)
{
	if (how & 128)
		return UAPI_DATA_EPOCH;
	return how & 2 ? UAPI_DATA_V1 : UAPI_DATA_V2;
}

/* The bits of how: transport, format, tunnel, key id, cipher, format. */
static void ovpn_rekey(struct world *w, uint8_t how)
{
	struct ovpn *o = &w->ovpn;
	const uint8_t tunnel = how >> 2 & 1;
	struct fwd_session s = {.peer = 1,
		.seq = ++w->seq,
		.protocol = UAPI_OPENVPN,
		.cipher = how & 64 ? AEAD_CHACHA20_POLY1305 : AEAD_AES_256_GCM,
		.transport = how & 1 ? UAPI_TCP : UAPI_UDP,
		.path = {.remote = {{IP_V4, {192, 0, 2, 1}}, 1, 0}},
		.key_id = how >> 3 & 7,
		.format = format_of(how),
		.ping_s = 10,
		.timeout_s = 60,
		.life_s = 300};

	s.local_index = (uint32_t)w->seq & OVPN_PEER_MASK;
	s.path.connection = how & 1 ? CONNECTION : 0;
	s.credential.bytes[0] = 1;
	s.tunnel.bytes[0] = 7 + tunnel;
	memset(s.open, (int)w->seq, sizeof(s.open));
	int r = fwd_session_set(w->f, &s, w->now);
	REQUIRE(r == 0 || r == -EEXIST);
	if (r)
		return;
	aead_key_free(o->key);
	*o = (struct ovpn){.seq = s.seq,
		.peer_id = s.local_index,
		.id = 1,
		.connection = s.path.connection,
		.key_id = s.key_id,
		.cipher = s.cipher,
		.newest = 1,
		.format = s.format};
	memcpy(o->first, s.open, sizeof(o->first));
	if (s.format == UAPI_DATA_EPOCH)
		ovpn_enter(o, 1);
	else
		o->key = client_key((enum aead_cipher)s.cipher, s.open);
}

static void check_delivered(const struct fwd_packet *p, uint32_t max)
{
	const bool v4 = p->data[0] >> 4 == 4;

	REQUIRE(p->len >= 20 && p->len <= max && p->peer == 1);
	REQUIRE(v4 ? !memcmp(p->data + 12, addr4.bytes, 4) : !memcmp(p->data + 8, addr6.bytes, 16));
}

/* Exact heap blocks, so that the sanitizer sees every byte too far. */
static uint8_t rx_from(
	struct world *w, const uint8_t *datagram, uint32_t len, const struct path *path)
{
	uint8_t *block = malloc(FWD_HEADROOM + len + FWD_TAILROOM);
	struct fwd_packet p = {.data = block + FWD_HEADROOM, .len = len, .path = *path};

	REQUIRE(block);
	memcpy(p.data, datagram, len);
	fwd_enter(w->f, 0);
	fwd_rx(w->f, 0, &p, 1, w->now);
	fwd_leave(w->f, 0);
	REQUIRE(p.verdict != FWD_NONE);
	if (p.verdict == FWD_DELIVER)
		check_delivered(&p, len - OVPN_DATA_V1_OVERHEAD);
	free(block);
	return p.verdict;
}

static uint8_t rx(struct world *w, const uint8_t *datagram, uint32_t len)
{
	const struct path path = {.remote = {{IP_V4, {192, 0, 2, (uint8_t)len}}, 7, 0}};

	return rx_from(w, datagram, len, &path);
}

static void seal(struct world *w, const uint8_t *plain, uint32_t n, uint64_t counter)
{
	uint8_t d[16 + 256 + 16] = {WG_DATA};
	struct aead_op op = {.text = d + 16, .len = n, .tag = d + 16 + n};

	wire_put_le32(d + 4, w->index);
	wire_put_le64(d + 8, counter);
	wire_put_le64(op.nonce + 4, counter);
	memcpy(d + 16, plain, n);
	aead_seal_batch(w->key, &op, 1);
	uint8_t first = rx(w, d, n + 32);
	REQUIRE(first != FWD_BAD_TAG && first != FWD_MALFORMED);
	uint8_t second = rx(w, d, n + 32);
	REQUIRE(second == FWD_REPLAY || second == first);
	REQUIRE(second != FWD_DELIVER && second != FWD_KEEPALIVE);
}

static uint32_t head_of(const struct ovpn *o)
{
	if (o->format == UAPI_DATA_EPOCH)
		return OVPN_EPOCH_HEAD;
	return o->format == UAPI_DATA_V1 ? OVPN_DATA_V1_HEAD : OVPN_DATA_V2_HEAD;
}

/* Returns: bytes of the frame in d. flip: goes over the header before it is sealed. */
static uint32_t ovpn_frame(struct ovpn *o, uint8_t *d, const uint8_t *plain, uint32_t n,
	uint32_t id, const uint8_t flip[OVPN_DATA_V2_HEAD])
{
	const bool v1 = o->format == UAPI_DATA_V1, epochs = o->format == UAPI_DATA_EPOCH;
	const uint32_t head = head_of(o), from = v1 ? 1 : 4;
	struct aead_op op = {.text = d + head + (epochs ? 0 : OVPN_TAG),
		.len = n,
		.tag = d + head + (epochs ? n : 0),
		.aad = v1 ? d + 1 : d,
		.aad_len = v1 ? 4 : head};

	wire_put_be32(d, o->peer_id);
	d[0] = ovpn_first(v1 ? OVPN_DATA_V1 : OVPN_DATA_V2, o->key_id);
	if (epochs)
		wire_put_be64(d + 4, (uint64_t)o->epoch << 48 | id);
	else
		wire_put_be32(d + head - 4, id);
	for (uint32_t i = 0; i < head && i < OVPN_DATA_V2_HEAD; i++)
		d[i] ^= flip[i];
	memcpy(op.nonce, o->iv, AEAD_NONCE);
	for (uint32_t i = 0; from + i < head; i++)
		op.nonce[i] ^= d[from + i];
	memcpy(op.text, plain, n);
	aead_seal_batch(o->key, &op, 1);
	return head + OVPN_TAG + n;
}

/* In the epoch format a packet may be of an epoch without key, and be no forgery all the same. */
static void note_epoch(struct ovpn *o, uint8_t verdict, uint32_t n)
{
	const bool opened = verdict == FWD_DELIVER || verdict == FWD_KEEPALIVE ||
			    verdict == FWD_BAD_INNER || verdict == FWD_SPOOFED_SOURCE;

	if (o->format != UAPI_DATA_EPOCH || !opened)
		return;
	REQUIRE(n && o->epoch && o->epoch <= o->newest + 4);
	if (o->epoch > o->newest)
		o->newest = o->epoch;
}

static void ovpn_seal(struct world *w, const uint8_t *plain, uint32_t n, uint32_t id)
{
	static const uint8_t as_it_is[OVPN_DATA_V2_HEAD];
	const struct path path = {
		.remote = {{IP_V4, {192, 0, 2, 1}}, 1, 0}, .connection = w->ovpn.connection};
	uint8_t d[OVPN_EPOCH_OVERHEAD + 256];

	if (!w->ovpn.key)
		return;
	const uint32_t len = ovpn_frame(&w->ovpn, d, plain, n, id, as_it_is);
	uint8_t first = rx_from(w, d, len, &path);
	REQUIRE(first != FWD_BAD_TAG && (first != FWD_MALFORMED || !n || !id));
	note_epoch(&w->ovpn, first, n);
	uint8_t second = rx_from(w, d, len, &path);
	REQUIRE(second == FWD_REPLAY || second == first);
	REQUIRE(second != FWD_DELIVER && second != FWD_KEEPALIVE);
}

/* A header that is authentic and wrong. What is opened must be under the right key all the same. */
static void ovpn_header(struct world *w, const uint8_t *p, uint32_t n)
{
	const struct path path = {
		.remote = {{IP_V4, {192, 0, 2, 1}}, 1, 0}, .connection = w->ovpn.connection};
	uint8_t d[OVPN_EPOCH_OVERHEAD + 256];

	if (!w->ovpn.key || n < OVPN_DATA_V2_HEAD)
		return;
	n -= OVPN_DATA_V2_HEAD;
	const uint32_t len = ovpn_frame(&w->ovpn, d, p + OVPN_DATA_V2_HEAD, n, w->ovpn.id++, p);
	note_epoch(&w->ovpn, rx_from(w, d, len, &path), n);
}

/* Up to seven ahead of what the engine has come to, or back. */
static void ovpn_epoch_step(struct world *w, uint8_t how)
{
	struct ovpn *o = &w->ovpn;
	const uint32_t to = how & 8 ? how >> 4 : o->newest + (how & 7u);

	if (!o->key || o->format != UAPI_DATA_EPOCH)
		return;
	ovpn_enter(o, to < 1 ? 1 : to > 32 ? 32 : (uint16_t)to);
}

static void seal_stream(struct world *w, struct fwd_packet *p)
{
	if (p->verdict != FWD_STREAM)
		return;
	REQUIRE(p->session && p->path.connection == CONNECTION && p->data[0] >> 4 != 2);
	fwd_seal(w->f, 0, &p, 1, w->now);
	REQUIRE(p->verdict == FWD_SEND || p->verdict == FWD_NO_SESSION);
}

static void tx(struct world *w, const uint8_t *inner, uint32_t n)
{
	uint8_t *block = malloc(FWD_HEADROOM + n + FWD_TAILROOM);
	struct fwd_packet p = {.data = block + FWD_HEADROOM, .len = n};

	REQUIRE(block);
	memcpy(p.data, inner, n);
	fwd_enter(w->f, 0);
	fwd_tx(w->f, 0, &p, 1, w->now);
	seal_stream(w, &p);
	REQUIRE(p.verdict != FWD_SEND || (p.len >= 41 && p.len <= n + 15 + 32));
	p = (struct fwd_packet){.data = block + FWD_HEADROOM};
	if (fwd_unstage(w->f, 0, &p, 1, n, w->now))
		seal_stream(w, &p);
	fwd_leave(w->f, 0);
	free(block);
}

static void step(struct world *w, uint8_t what, const uint8_t *p, uint32_t n)
{
	const struct fwd_tick_ops ops = {on_event, on_send, w};
	struct ulid credential = {{n ? p[0] % 3 : 0}};

	switch (what % STEPS) {
	case SEAL:
		seal(w, p, n, w->counter++);
		return;
	case SEAL_AT:
		if (n > 8)
			seal(w, p + 8, n - 8, wire_le64(p));
		return;
	case RAW:
		rx(w, p, n);
		return;
	case TX:
		tx(w, p, n);
		return;
	case REKEY:
		rekey(w, n ? p[0] : 0);
		return;
	case REVOKE:
		REQUIRE(fwd_session_del(w->f, 1, &credential) == 0);
		return;
	case WAIT:
		w->now += (uint64_t)n * n * 10;
		fwd_tick(w->f, w->now, &ops);
		return;
	case OVPN_SEAL:
		ovpn_seal(w, p, n, w->ovpn.id++);
		return;
	case OVPN_SEAL_AT:
		if (n >= 4)
			ovpn_seal(w, p + 4, n - 4, wire_be32(p));
		return;
	case OVPN_HEADER:
		ovpn_header(w, p, n);
		return;
	case OVPN_REKEY:
		ovpn_rekey(w, n ? p[0] : 0);
		return;
	case OVPN_USE:
		(void)fwd_session_use(w->f, 1, n ? p[0] : w->ovpn.seq);
		return;
	case OVPN_CLOSED:
		fwd_connection_closed(w->f, 1, n ? p[0] : CONNECTION);
		return;
	case OVPN_EPOCH:
		ovpn_epoch_step(w, n ? p[0] : 1);
		return;
	}
}

static void set_up(void)
{
	REQUIRE(aead_init() == 0 && epoch_init() == 0 && atexit(tell) == 0);
	REQUIRE(aead_ipsec_mb.init() == -ENOTSUP || aead_check_vectors(&aead_ipsec_mb) == 0);
}

/* By the input, so that a finding can be had again. */
static void use_library(size_t size)
{
	const struct aead_backend *b = size % 2 ? &aead_ipsec_mb : &aead_openssl;

	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++)
		aead_use((enum aead_cipher)c, b->init() == 0 ? b : &aead_openssl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fwd_limits limits = {4, 64, OVPN_PEER_MASK + 1, 1, 8, 300};
	struct world w = {.now = 1};

	if (runs++ == 0)
		set_up();
	use_library(size);
	REQUIRE(fwd_new(&w.f, &limits) == 0);
	REQUIRE(fwd_peer_set(w.f, 1, &addr4, &addr6) == 0);
	rekey(&w, 0);
	while (size >= 2) {
		const uint8_t what = data[0];
		const uint32_t n = data[1] < size - 2 ? data[1] : (uint32_t)(size - 2);
		messages++;
		step(&w, what, data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	aead_key_free(w.key);
	aead_key_free(w.ovpn.key);
	fwd_free(w.f);
	return 0;
}
