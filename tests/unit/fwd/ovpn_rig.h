/* The rig's OpenVPN client: frames written out once more by hand, from the reference (A14.1). */
#ifndef TESTS_FWD_OVPN_RIG_H
#define TESTS_FWD_OVPN_RIG_H

#include "rig.h"
#include "wire/ovpn_wire.h"

struct client {
	struct aead_key *seal, *open;
	uint8_t seal_iv[8], open_iv[8];
	uint32_t peer_id;
	uint8_t key_id, format;
	uint32_t id; /* of the next packet */
	uint64_t seq;
	struct path path;
};

static const uint8_t occ_exit[] = {0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8,
	0xd3, 0xaf, 0xc5, 0x45, 0x9c, 6};

/* Keys of a tunnel of the credential 100. */
static inline struct fwd_session ovpn_keys(
	struct rig *r, uint32_t peer, uint32_t peer_id, uint8_t key_id, uint8_t tunnel)
{
	struct fwd_session s = {.peer = peer,
		.seq = r->seq + 1,
		.protocol = UAPI_OPENVPN,
		.role = UAPI_RESPONDER,
		.cipher = AEAD_AES_256_GCM,
		.transport = UAPI_UDP,
		.local_index = peer_id,
		.tunnel = rig_ulid(tunnel),
		.credential = rig_ulid(100),
		.tunnel_started_ms = 5,
		.handshake_ms = 6,
		.path = rig_path(1, 1194),
		.key_id = key_id,
		.format = UAPI_DATA_V2,
		.life_s = 3600,
		.tls = 0x0304};

	for (int i = 0; i < AEAD_KEY_MAX; i++) {
		s.seal[i] = (uint8_t)(i + peer_id + key_id * 16 + tunnel * 3);
		s.open[i] = (uint8_t)~s.seal[i];
	}
	memset(s.seal_iv, 0x11 + key_id, sizeof(s.seal_iv));
	memset(s.open_iv, 0x51 + key_id, sizeof(s.open_iv));
	return s;
}

static inline struct client client_open(const struct fwd_session *s)
{
	struct client c = {.peer_id = s->local_index,
		.key_id = s->key_id,
		.format = s->format,
		.id = 1,
		.seq = s->seq,
		.path = s->path};

	memcpy(c.seal_iv, s->open_iv, 8);
	memcpy(c.open_iv, s->seal_iv, 8);
	assert_int_equal(aead_key_new(&c.seal, (enum aead_cipher)s->cipher, s->open, true), 0);
	assert_int_equal(aead_key_new(&c.open, (enum aead_cipher)s->cipher, s->seal, false), 0);
	return c;
}

static inline void client_close(struct client *c)
{
	aead_key_free(c->seal);
	aead_key_free(c->open);
}

static inline struct client rig_install(struct rig *r, const struct fwd_session *s)
{
	assert_int_equal(fwd_session_set(r->f, s, r->now), 0);
	r->seq = s->seq;
	return client_open(s);
}

static inline struct client rig_ovpn(
	struct rig *r, uint32_t peer, uint32_t peer_id, uint8_t key_id, uint8_t tunnel)
{
	struct fwd_session s = ovpn_keys(r, peer, peer_id, key_id, tunnel);

	return rig_install(r, &s);
}

static inline void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Wraps what is in b as the client would, with that packet id. */
static inline void client_seal_at(struct client *c, struct buffer *b, uint32_t id)
{
	uint8_t head[8], tag[16];
	const uint32_t n = c->format == UAPI_DATA_V1 ? 5 : 8, skip = n == 5 ? 1 : 0;
	struct aead_op op = {.text = b->p.data,
		.len = b->p.len,
		.tag = tag,
		.aad = head + skip,
		.aad_len = n - skip};

	put32(head, c->peer_id);
	head[0] = (uint8_t)((n == 5 ? 6 : 9) << 3 | c->key_id);
	put32(head + n - 4, id);
	memcpy(op.nonce, head + n - 4, 4);
	memcpy(op.nonce + 4, c->seal_iv, 8);
	aead_seal_batch(c->seal, &op, 1);
	assert_true(op.ok);
	b->p.data -= n + 16;
	b->p.len += n + 16;
	memcpy(b->p.data, head, n);
	memcpy(b->p.data + n, tag, 16);
	b->p.path = c->path;
	b->p.verdict = FWD_NONE;
}

static inline void client_seal(struct client *c, struct buffer *b)
{
	client_seal_at(c, b, c->id++);
}

/* Opens what the engine sealed. Returns: where the text is; *id is its packet id. */
static inline uint8_t *client_unwrap(struct client *c, uint8_t *bytes, size_t len, uint32_t *id)
{
	const uint32_t n = c->format == UAPI_DATA_V1 ? 5 : 8, skip = n == 5 ? 1 : 0;
	struct aead_op op = {.text = bytes + n + 16,
		.len = (uint32_t)len - n - 16,
		.tag = bytes + n,
		.aad = bytes + skip,
		.aad_len = n - skip};

	assert_true(len > n + 16);
	assert_int_equal(bytes[0], (n == 5 ? 6 : 9) << 3 | c->key_id);
	if (n == 8)
		assert_int_equal(bytes[1] << 16 | bytes[2] << 8 | bytes[3], c->peer_id);
	*id = (uint32_t)bytes[n - 4] << 24 | (uint32_t)bytes[n - 3] << 16 |
	      (uint32_t)bytes[n - 2] << 8 | bytes[n - 1];
	memcpy(op.nonce, bytes + n - 4, 4);
	memcpy(op.nonce + 4, c->open_iv, 8);
	aead_open_batch(c->open, &op, 1);
	assert_true(op.ok);
	return op.text;
}

/* That text from the client. */
static inline uint8_t rig_hear_text(struct rig *r, struct client *c, const void *text, uint32_t n)
{
	struct buffer b;

	b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM, .len = n};
	memcpy(b.p.data, text, n);
	client_seal(c, &b);
	return rig_rx(r, 0, &b);
}

static inline uint8_t rig_hear_ping(struct rig *r, struct client *c)
{
	return rig_hear_text(r, c, ovpn_ping, OVPN_PING);
}

/* One data packet of 60 bytes from the client of that peer. */
static inline uint8_t rig_hear_client(struct rig *r, uint32_t peer, struct client *c)
{
	struct buffer b;
	struct ip_addr src = rig_addr4(peer), dst = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	inner4(&b, &src, &dst, 60);
	client_seal(c, &b);
	return rig_rx(r, 0, &b);
}

/* One data packet of 60 bytes to that peer, which must go out under that client's key. */
static inline void rig_say_to(struct rig *r, uint32_t peer, struct client *c)
{
	struct buffer b;
	struct ip_addr dst = rig_addr4(peer), src = {.family = IP_V4, .bytes = {8, 8, 8, 8}};
	uint32_t id;

	inner4(&b, &src, &dst, 60);
	assert_int_equal(rig_tx(r, 0, &b), FWD_SEND);
	assert_int_equal(client_unwrap(c, b.p.data, b.p.len, &id)[0], 0x45);
}

static inline struct session *rig_current(struct rig *r, uint32_t peer)
{
	return keyslot_current(&r->f->peers[peer]->slots);
}

#endif
