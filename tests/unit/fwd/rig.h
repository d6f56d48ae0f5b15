/*
 * An engine with a few peers, and for each session the other side of it: seals what the device
 * would send and opens what the engine has sealed. Time is a number.
 */
#ifndef TESTS_FWD_RIG_H
#define TESTS_FWD_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/epoch.h"
#include "fwd/engine.h"
#include "uapi/uapi.h"
#include "wire/wg_wire.h"

enum { RIG_PEERS = 64, RIG_EVENTS = 64, RIG_BUF = FWD_HEADROOM + 2048 + FWD_TAILROOM };

struct rig {
	struct fwd *f;
	uint64_t now, seq;
	uint32_t workers;
	struct fwd_event events[RIG_EVENTS];
	uint32_t n_events;
	bool refuse; /* the event callback takes nothing */
	uint8_t sent[RIG_EVENTS][256];
	size_t sent_len[RIG_EVENTS];
	struct path sent_path[RIG_EVENTS];
	uint32_t n_sent;
};

/* The device's end of a session. */
struct device {
	struct aead_key *seal, *open;
	uint32_t to, from; /* receiver index of what it sends, of what it gets */
	uint64_t counter, seq;
	struct path path;
};

struct buffer {
	uint8_t bytes[RIG_BUF];
	struct fwd_packet p;
};

static inline struct path rig_path(uint8_t last, uint16_t port)
{
	struct path p = {0};

	p.remote.addr = (struct ip_addr){.family = IP_V4, .bytes = {192, 0, 2, last}};
	p.remote.port = port;
	p.local = (struct ip_addr){.family = IP_V4, .bytes = {198, 51, 100, 1}};
	return p;
}

static inline struct ip_addr rig_addr4(uint32_t peer)
{
	return (struct ip_addr){
		.family = IP_V4, .bytes = {10, 0, (uint8_t)(peer >> 8), (uint8_t)peer}};
}

static inline struct ip_addr rig_addr6(uint32_t peer)
{
	struct ip_addr a = {.family = IP_V6, .bytes = {0xfd}};

	a.bytes[14] = (uint8_t)(peer >> 8);
	a.bytes[15] = (uint8_t)peer;
	return a;
}

static inline struct ulid rig_ulid(uint8_t n)
{
	struct ulid u = {{0}};

	u.bytes[0] = n ? 1 : 0;
	u.bytes[15] = n;
	return u;
}

static inline void rig_open(struct rig *r, uint32_t workers)
{
	memset(r, 0, sizeof(*r));
	assert_int_equal(aead_init(), 0);
	assert_int_equal(epoch_init(), 0);
	const struct fwd_limits limits = {.max_peers = RIG_PEERS,
		.max_indices = 256,
		.max_peer_ids = 64,
		.workers = workers,
		.stage_slots = 200,
		.mtu_max = 1420};
	assert_int_equal(fwd_new(&r->f, &limits), 0);
	r->now = 1000 * 1000;
	r->workers = workers;
}

static inline void rig_close(struct rig *r)
{
	fwd_free(r->f);
}

static inline void rig_peer(struct rig *r, uint32_t peer)
{
	struct ip_addr a4 = rig_addr4(peer), a6 = rig_addr6(peer);

	assert_int_equal(fwd_peer_set(r->f, peer, &a4, &a6), 0);
}

static inline struct fwd_session rig_keys(
	struct rig *r, uint32_t peer, int role, uint32_t index, uint8_t credential)
{
	struct fwd_session s = {.peer = peer,
		.seq = r->seq + 1,
		.protocol = UAPI_WIREGUARD,
		.role = (uint8_t)role,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = UAPI_UDP,
		.local_index = index,
		.remote_index = index ^ 0xa5a50000,
		.tunnel = rig_ulid(credential),
		.credential = rig_ulid(credential),
		.tunnel_started_ms = 5,
		.handshake_ms = 6,
		.path = rig_path(1, 1000)};

	memset(s.seal, (int)(index + 1), sizeof(s.seal));
	memset(s.open, (int)(index + 101), sizeof(s.open));
	return s;
}

/* The device's side of these keys. */
static inline struct device device_open(const struct fwd_session *s)
{
	struct device d = {
		.to = s->local_index, .from = s->remote_index, .seq = s->seq, .path = s->path};

	assert_int_equal(aead_key_new(&d.seal, (enum aead_cipher)s->cipher, s->open, true), 0);
	assert_int_equal(aead_key_new(&d.open, (enum aead_cipher)s->cipher, s->seal, false), 0);
	return d;
}

static inline void device_close(struct device *d)
{
	aead_key_free(d->seal);
	aead_key_free(d->open);
}

static inline struct device rig_session(
	struct rig *r, uint32_t peer, int role, uint32_t index, uint8_t credential)
{
	struct fwd_session s = rig_keys(r, peer, role, index, credential);

	assert_int_equal(fwd_session_set(r->f, &s, r->now), 0);
	r->seq = s.seq;
	return device_open(&s);
}

/* An inner IPv4 packet of len bytes into b. */
static inline void inner4(
	struct buffer *b, const struct ip_addr *src, const struct ip_addr *dst, uint32_t len)
{
	b->p = (struct fwd_packet){.data = b->bytes + FWD_HEADROOM, .len = len};
	for (uint32_t i = 0; i < len; i++)
		b->p.data[i] = (uint8_t)i;
	b->p.data[0] = 0x45;
	b->p.data[2] = (uint8_t)(len >> 8);
	b->p.data[3] = (uint8_t)len;
	memcpy(b->p.data + 12, src->bytes, 4);
	memcpy(b->p.data + 16, dst->bytes, 4);
}

static inline void inner6(
	struct buffer *b, const struct ip_addr *src, const struct ip_addr *dst, uint32_t len)
{
	b->p = (struct fwd_packet){.data = b->bytes + FWD_HEADROOM, .len = len};
	memset(b->p.data, 0, len);
	b->p.data[0] = 0x60;
	b->p.data[4] = (uint8_t)((len - 40) >> 8);
	b->p.data[5] = (uint8_t)(len - 40);
	memcpy(b->p.data + 8, src->bytes, 16);
	memcpy(b->p.data + 24, dst->bytes, 16);
}

/* Wraps what is in b as the device would, padded to a multiple of 16. */
static inline void device_seal_at(struct device *d, struct buffer *b, uint64_t counter)
{
	uint32_t len = (b->p.len + 15) / 16 * 16;
	struct aead_op op = {.text = b->p.data, .len = len, .tag = b->p.data + len};

	memset(b->p.data + b->p.len, 0, len - b->p.len);
	wire_put_le64(op.nonce + 4, counter);
	aead_seal_batch(d->seal, &op, 1);
	b->p.data -= 16;
	wire_put_le32(b->p.data, WG_DATA);
	wire_put_le32(b->p.data + 4, d->to);
	wire_put_le64(b->p.data + 8, counter);
	b->p.len = len + 32;
	b->p.path = d->path;
	b->p.verdict = FWD_NONE;
}

static inline void device_seal(struct device *d, struct buffer *b)
{
	device_seal_at(d, b, d->counter++);
}

/* Opens what the engine sealed; bytes must have room behind. Returns: plaintext bytes. */
static inline uint32_t device_unwrap(
	struct device *d, uint8_t *bytes, size_t len, uint64_t *counter)
{
	assert_true(len >= 32);
	struct aead_op op = {
		.text = bytes + 16, .len = (uint32_t)len - 32, .tag = bytes + len - 16};

	assert_int_equal(wire_le32(bytes), WG_DATA);
	assert_int_equal(wire_le32(bytes + 4), d->from);
	*counter = wire_le64(bytes + 8);
	wire_put_le64(op.nonce + 4, *counter);
	aead_open_batch(d->open, &op, 1);
	assert_true(op.ok);
	return op.len;
}

static inline uint8_t rig_rx(struct rig *r, uint32_t worker, struct buffer *b)
{
	fwd_enter(r->f, worker);
	fwd_rx(r->f, worker, &b->p, 1, r->now);
	fwd_leave(r->f, worker);
	return b->p.verdict;
}

static inline uint8_t rig_tx(struct rig *r, uint32_t worker, struct buffer *b)
{
	fwd_enter(r->f, worker);
	fwd_tx(r->f, worker, &b->p, 1, r->now);
	fwd_leave(r->f, worker);
	return b->p.verdict;
}

/* One data packet of 60 bytes from the device of that peer. */
static inline uint8_t rig_hear(struct rig *r, uint32_t peer, struct device *d)
{
	struct buffer b;
	struct ip_addr src = rig_addr4(peer), dst = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	inner4(&b, &src, &dst, 60);
	device_seal(d, &b);
	return rig_rx(r, 0, &b);
}

static inline uint8_t rig_hear_keepalive(struct rig *r, struct device *d)
{
	struct buffer b;

	b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM};
	device_seal(d, &b);
	return rig_rx(r, 0, &b);
}

/* One data packet of 60 bytes to that peer. */
static inline uint8_t rig_say(struct rig *r, uint32_t peer)
{
	struct buffer b;
	struct ip_addr dst = rig_addr4(peer), src = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	inner4(&b, &src, &dst, 60);
	return rig_tx(r, 0, &b);
}

static inline bool rig_on_event(void *arg, const struct fwd_event *e)
{
	struct rig *r = arg;

	if (r->refuse)
		return false;
	assert_true(r->n_events < RIG_EVENTS);
	r->events[r->n_events++] = *e;
	return true;
}

/* What is for a stream is sealed at once, as if there were room. */
static inline void rig_on_send(void *arg, struct fwd_packet *p)
{
	struct rig *r = arg;

	if (p->verdict == FWD_STREAM)
		fwd_seal(r->f, r->workers, &p, 1, r->now);
	assert_int_equal(p->verdict, FWD_SEND);
	assert_true(r->n_sent < RIG_EVENTS && p->len <= sizeof(r->sent[0]));
	memcpy(r->sent[r->n_sent], p->data, p->len);
	r->sent_path[r->n_sent] = p->path;
	r->sent_len[r->n_sent++] = p->len;
}

/* Forgets what was told before, moves time, ticks once. */
static inline void rig_tick(struct rig *r, uint64_t ms)
{
	const struct fwd_tick_ops ops = {rig_on_event, rig_on_send, r};

	r->n_events = r->n_sent = 0;
	r->now += ms;
	fwd_tick(r->f, r->now, &ops);
}

/* Ticks every 100 ms; what was told adds up. */
static inline void rig_run(struct rig *r, uint64_t ms)
{
	const struct fwd_tick_ops ops = {rig_on_event, rig_on_send, r};

	r->n_events = r->n_sent = 0;
	for (uint64_t end = r->now + ms; r->now < end;) {
		r->now += 100;
		fwd_tick(r->f, r->now, &ops);
	}
}

static inline uint32_t rig_told(const struct rig *r, enum fwd_event_kind kind, uint8_t reason)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_events; i++)
		n += r->events[i].kind == kind && r->events[i].reason == reason;
	return n;
}

static inline uint64_t rig_verdicts(struct rig *r, enum fwd_verdict v)
{
	struct fwd_totals t;

	fwd_totals(r->f, &t);
	return t.verdicts[v];
}

static inline struct fwd_peer_stats rig_stats(struct rig *r, uint32_t peer)
{
	struct fwd_peer_stats s;

	assert_int_equal(fwd_peer_stats(r->f, peer, &s, 1, r->now), 1);
	assert_int_equal(s.peer, peer);
	return s;
}

#endif
