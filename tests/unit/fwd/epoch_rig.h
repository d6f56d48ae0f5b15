/* The rig's client of the epoch format: keys of any epoch, made when asked for, and frames written
 * out once more by hand, from the reference (A11.4, A14.2). */
#ifndef TESTS_FWD_EPOCH_RIG_H
#define TESTS_FWD_EPOCH_RIG_H

#include "fwd/epochs.h"
#include "ovpn_rig.h"

struct epoch_client {
	struct fwd_session keys;
	uint16_t epoch;	  /* of what it sends next */
	uint64_t counter; /* of that */
};

static inline struct fwd_session epoch_session(
	struct rig *r, uint32_t peer, uint32_t peer_id, uint8_t key_id, uint8_t tunnel)
{
	struct fwd_session s = ovpn_keys(r, peer, peer_id, key_id, tunnel);

	s.format = UAPI_DATA_EPOCH;
	memset(s.open_iv, 0, sizeof(s.open_iv));
	memset(s.seal_iv, 0, sizeof(s.seal_iv));
	return s;
}

/* Installed and, by a first packet, in use. */
static inline struct epoch_client epoch_install(struct rig *r, const struct fwd_session *s)
{
	assert_int_equal(fwd_session_set(r->f, s, r->now), 0);
	r->seq = s->seq;
	return (struct epoch_client){.keys = *s, .epoch = 1, .counter = 1};
}

/* One packet worked on with the key of an epoch of that chain. Returns: whether it could be. */
static inline bool epoch_crypt(
	const uint8_t first[32], uint8_t cipher, uint8_t *frame, uint32_t len, bool sealing)
{
	const uint16_t epoch = (uint16_t)(frame[4] << 8 | frame[5]);
	struct aead_op op = {.text = frame + 12,
		.len = len - 28,
		.tag = frame + len - 16,
		.aad = frame,
		.aad_len = 12};
	uint8_t secret[EPOCH_SECRET];
	struct epoch_keys k;
	struct aead_key *key;

	memcpy(secret, first, sizeof(secret));
	for (uint16_t i = 1; i < epoch; i++)
		assert_int_equal(epoch_step(secret), 0);
	assert_int_equal(epoch_derive(secret, (enum aead_cipher)cipher, &k), 0);
	assert_int_equal(aead_key_new(&key, (enum aead_cipher)cipher, k.key, sealing), 0);
	for (int i = 0; i < 12; i++)
		op.nonce[i] = k.iv[i] ^ (i < 8 ? frame[4 + i] : 0);
	if (sealing)
		aead_seal_batch(key, &op, 1);
	else
		aead_open_batch(key, &op, 1);
	aead_key_free(key);
	return op.ok;
}

/* Wraps what is in b under that epoch and counter. */
static inline void epoch_seal_at(
	const struct epoch_client *c, struct buffer *b, uint16_t epoch, uint64_t counter)
{
	b->p.data -= 12;
	b->p.len += 28;
	put32(b->p.data, c->keys.local_index);
	b->p.data[0] = (uint8_t)(9 << 3 | c->keys.key_id);
	b->p.data[4] = (uint8_t)(epoch >> 8);
	b->p.data[5] = (uint8_t)epoch;
	b->p.data[6] = (uint8_t)(counter >> 40);
	b->p.data[7] = (uint8_t)(counter >> 32);
	put32(b->p.data + 8, (uint32_t)counter);
	assert_true(epoch_crypt(c->keys.open, c->keys.cipher, b->p.data, b->p.len, true));
	b->p.path = c->keys.path;
	b->p.verdict = FWD_NONE;
}

/* A data packet of 60 bytes under that epoch and counter, not yet received. */
static inline void epoch_packet(
	const struct epoch_client *c, struct buffer *b, uint16_t epoch, uint64_t counter)
{
	struct ip_addr src = rig_addr4(c->keys.peer),
		       dst = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	inner4(b, &src, &dst, 60);
	epoch_seal_at(c, b, epoch, counter);
}

/* Returns: its verdict. */
static inline uint8_t epoch_hear_at(
	struct rig *r, const struct epoch_client *c, uint16_t epoch, uint64_t counter)
{
	struct buffer b;

	epoch_packet(c, &b, epoch, counter);
	return rig_rx(r, 0, &b);
}

static inline uint8_t epoch_hear(struct rig *r, struct epoch_client *c)
{
	return epoch_hear_at(r, c, c->epoch, c->counter++);
}

/* One data packet of 60 bytes to the peer. Returns: epoch and counter that it went under, 0 when it
 * was not sent. */
static inline uint64_t epoch_say(struct rig *r, const struct epoch_client *c)
{
	struct buffer b;
	struct ip_addr dst = rig_addr4(c->keys.peer),
		       src = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	inner4(&b, &src, &dst, 60);
	if (rig_tx(r, 0, &b) != FWD_SEND)
		return 0;
	assert_int_equal(b.p.len, 88);
	assert_int_equal(wire_be24(b.p.data + 1), c->keys.local_index);
	const uint64_t id = wire_be64(b.p.data + 4);
	assert_true(epoch_crypt(c->keys.seal, c->keys.cipher, b.p.data, b.p.len, false));
	assert_int_equal(b.p.data[12], 0x45);
	return id;
}

#endif
