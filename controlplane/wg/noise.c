/*
 * Names follow the reference: chain is C, hash is H; numbers in comments are its steps in B3.
 */
#include "wg/noise.h"

#include <errno.h>
#include <string.h>

#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "crypto/xchacha.h"

enum { TAG = 16 };

/* HASH("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s") and HASH(that | "WireGuard v1 zx2c4
 * Jason@zx2c4.com") */
static const uint8_t initial_chain[32] = {
	0x60,
	0xe2,
	0x6d,
	0xae,
	0xf3,
	0x27,
	0xef,
	0xc0,
	0x2e,
	0xc3,
	0x35,
	0xe2,
	0xa0,
	0x25,
	0xd2,
	0xd0,
	0x16,
	0xeb,
	0x42,
	0x06,
	0xf8,
	0x72,
	0x77,
	0xf5,
	0x2d,
	0x38,
	0xd1,
	0x98,
	0x8b,
	0x78,
	0xcd,
	0x36,
};
static const uint8_t initial_hash[32] = {
	0x22,
	0x11,
	0xb3,
	0x61,
	0x08,
	0x1a,
	0xc5,
	0x66,
	0x69,
	0x12,
	0x43,
	0xdb,
	0x45,
	0x8a,
	0xd5,
	0x32,
	0x2d,
	0x9c,
	0x6c,
	0x66,
	0x22,
	0x93,
	0xe8,
	0xb7,
	0x0e,
	0xe1,
	0x9c,
	0x65,
	0xba,
	0x07,
	0x9e,
	0xf3,
};

static int hash2(uint8_t out[32], const void *a, size_t an, const void *b, size_t bn)
{
	const struct blake2s_part parts[] = {{a, an}, {b, bn}};

	return blake2s_hash(out, parts, ARRAY_SIZE(parts));
}

/* ---- values ---- */

int noise_identity_init(struct noise_identity *id, const uint8_t public_key[32])
{
	memcpy(id->public_key, public_key, 32);
	if (hash2(id->hash, initial_hash, 32, public_key, 32) < 0 ||
		hash2(id->mac1_key, "mac1----", 8, public_key, 32) < 0 ||
		hash2(id->cookie_key, "cookie--", 8, public_key, 32) < 0)
		return -EIO;
	return 0;
}

int noise_remote_init(struct noise_remote *r, const struct noise_local *local,
	const uint8_t public_key[32], const uint8_t psk[32])
{
	int rc = noise_identity_init(&r->id, public_key);

	if (rc == 0)
		rc = local->dh(local->arg, public_key, r->static_static);
	if (rc < 0)
		return rc;
	memcpy(r->psk, psk, 32);
	return 0;
}

void noise_remote_wipe(struct noise_remote *r)
{
	secret_wipe(r, sizeof(*r));
}

void noise_state_wipe(struct noise_state *st)
{
	secret_wipe(st, sizeof(*st));
}

void noise_keys_wipe(struct noise_keys *k)
{
	secret_wipe(k, sizeof(*k));
}

uint64_t noise_ticks(int64_t real_us)
{
	uint64_t us = real_us < 0 ? 0 : (uint64_t)real_us;

	return us / 1000000 * NOISE_TICKS + (us % 1000000 * 1000 >> 24);
}

void noise_timestamp_pack(uint8_t out[NOISE_TIMESTAMP], uint64_t ticks)
{
	uint64_t seconds = 0x400000000000000aull + ticks / NOISE_TICKS;
	uint32_t nanoseconds = (uint32_t)(ticks % NOISE_TICKS) << 24;

	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(seconds >> (56 - 8 * i));
	for (int i = 0; i < 4; i++)
		out[8 + i] = (uint8_t)(nanoseconds >> (24 - 8 * i));
}

/* ---- key schedule ---- */

int noise_kdf(struct key32 *out, size_t n, const uint8_t *key, size_t key_len, const void *input,
	size_t input_len)
{
	const struct blake2s_part whole[] = {{input, input_len}};
	secret_key prk = {{0}};

	if (blake2s_hmac(prk.bytes, key, key_len, whole, 1) < 0)
		return -EIO;
	for (size_t i = 0; i < n; i++) {
		const uint8_t number = (uint8_t)(i + 1);
		const struct blake2s_part parts[] = {
			{i ? out[i - 1].bytes : NULL, i ? 32 : 0},
			{&number, 1},
		};
		const size_t skip = i ? 0 : 1;

		if (blake2s_hmac(out[i].bytes, prk.bytes, 32, parts + skip, 2 - skip) < 0)
			return -EIO;
	}
	return 0;
}

static int mix_hash(struct noise_state *st, const void *p, size_t n)
{
	return hash2(st->hash, st->hash, 32, p, n);
}

/* C = KDF1(C, input), or (C, k) = KDF2(C, input) when a key is wanted. */
static int mix_key(struct noise_state *st, struct key32 *k, const void *input, size_t n)
{
	struct key32 out[2] = {0};
	int rc = noise_kdf(out, k ? 2 : 1, st->chain, 32, input, n);

	if (rc == 0) {
		memcpy(st->chain, out[0].bytes, 32);
		if (k)
			*k = out[1];
	}
	secret_wipe(out, sizeof(out));
	return rc;
}

/* (C, k) = KDF2(C, DH), k may be NULL; dh is what the DH returned. */
static int mix_dh(struct noise_state *st, struct key32 *k, int dh, const struct key32 *point)
{
	return dh < 0 ? dh : mix_key(st, k, point->bytes, 32);
}

/* Each message's first step: C = KDF1(C, E), H = HASH(H | E). */
static int mix_ephemeral(struct noise_state *st, const uint8_t public_key[32])
{
	int rc = mix_key(st, NULL, public_key, 32);

	return rc < 0 ? rc : mix_hash(st, public_key, 32);
}

/* out has n + TAG bytes; the transcript takes it in. */
static int seal_and_mix(
	struct noise_state *st, const struct key32 *k, const void *plain, size_t n, uint8_t *out)
{
	int rc = chachapoly_seal(k->bytes, 0, plain, n, st->hash, 32, out);

	return rc < 0 ? rc : mix_hash(st, out, n + TAG);
}

/* in has n + TAG bytes. */
static int open_and_mix(
	struct noise_state *st, const struct key32 *k, const uint8_t *in, size_t n, void *out)
{
	int rc = chachapoly_open(k->bytes, 0, in, n + TAG, st->hash, 32, out);

	return rc < 0 ? rc : mix_hash(st, in, n + TAG);
}

static void begin(struct noise_state *st, const struct noise_identity *responder)
{
	memcpy(st->chain, initial_chain, 32);
	memcpy(st->hash, responder->hash, 32);
}

/* Ours, and what goes into the message of it. */
static int ephemeral_make(
	struct x25519_key **key, const uint8_t private_key[32], uint8_t public_key[32])
{
	int rc = x25519_key_new(key, private_key) < 0 ? -EIO : 0;

	return rc < 0 ? rc : x25519_key_public(*key, public_key);
}

/* ---- initiation ---- */

int noise_initiation_create(struct noise_state *st, const struct noise_local *local,
	const struct noise_remote *remote, const uint8_t ephemeral_private[32],
	const uint8_t timestamp[NOISE_TIMESTAMP], uint32_t sender, struct wg_initiation *out)
{
	x25519_key_local ephemeral = NULL;
	secret_key k = {{0}};
	secret_key point = {{0}};
	int rc;

	memset(out, 0, sizeof(*out));
	wire_put_le32(out->type, WG_INITIATION);
	wire_put_le32(out->sender, sender);
	begin(st, &remote->id);
	rc = ephemeral_make(&ephemeral, ephemeral_private, out->ephemeral);
	if (rc == 0)
		rc = mix_ephemeral(st, out->ephemeral); /* 1 */
	if (rc == 0)
		rc = x25519_key_dh(ephemeral, point.bytes, remote->id.public_key);
	rc = mix_dh(st, &k, rc, &point); /* 2 */
	if (rc == 0)
		rc = seal_and_mix(st, &k, local->id.public_key, 32, out->sealed_static); /* 3 */
	if (rc == 0)
		rc = mix_key(st, &k, remote->static_static, 32); /* 4 */
	if (rc == 0)
		rc = seal_and_mix(
			st, &k, timestamp, NOISE_TIMESTAMP, out->sealed_timestamp); /* 5 */
	memcpy(st->ephemeral, ephemeral_private, 32);
	if (rc < 0)
		noise_state_wipe(st);
	return rc;
}

int noise_initiation_open_static(struct noise_state *st, const struct noise_local *local,
	const struct wg_initiation *in, uint8_t static_public[32])
{
	secret_key k = {{0}};
	secret_key point = {{0}};
	int rc;

	begin(st, &local->id);
	memcpy(st->ephemeral, in->ephemeral, 32);
	rc = mix_ephemeral(st, in->ephemeral); /* 1 */
	if (rc == 0)
		rc = local->dh(local->arg, in->ephemeral, point.bytes);
	rc = mix_dh(st, &k, rc, &point);						 /* 2 */
	return rc < 0 ? rc : open_and_mix(st, &k, in->sealed_static, 32, static_public); /* 3 */
}

int noise_initiation_open_timestamp(struct noise_state *st, const struct noise_remote *remote,
	const struct wg_initiation *in, uint8_t timestamp[NOISE_TIMESTAMP])
{
	secret_key k = {{0}};
	int rc = mix_key(st, &k, remote->static_static, 32); /* 4 */

	return rc < 0 ? rc
		      : open_and_mix(
				st, &k, in->sealed_timestamp, NOISE_TIMESTAMP, timestamp); /* 5 */
}

/* ---- response ---- */

/* Step 4: (C, t, k) = KDF3(C, Q); H = HASH(H | t). */
static int mix_psk(struct noise_state *st, struct key32 *k, const uint8_t psk[32])
{
	struct key32 out[3] = {0};
	int rc = noise_kdf(out, 3, st->chain, 32, psk, 32);

	if (rc == 0) {
		memcpy(st->chain, out[0].bytes, 32);
		rc = mix_hash(st, out[1].bytes, 32);
		*k = out[2];
	}
	secret_wipe(out, sizeof(out));
	return rc;
}

/* (T1, T2) = KDF2(C, ""): the initiator seals with T1. */
static int derive_keys(const struct noise_state *st, bool initiator, struct noise_keys *keys)
{
	struct key32 t[2] = {0};
	int rc = noise_kdf(t, 2, st->chain, 32, NULL, 0);

	if (rc == 0) {
		memcpy(keys->seal, t[initiator ? 0 : 1].bytes, 32);
		memcpy(keys->open, t[initiator ? 1 : 0].bytes, 32);
	}
	secret_wipe(t, sizeof(t));
	return rc;
}

int noise_response_create(const struct noise_state *st, const struct noise_remote *remote,
	const uint8_t ephemeral_private[32], uint32_t sender, const uint8_t receiver[4],
	struct wg_response *out, struct noise_keys *keys)
{
	noise_state_local next = *st;
	x25519_key_local ephemeral = NULL;
	secret_key k = {{0}};
	secret_key point = {{0}};
	int rc;

	memset(out, 0, sizeof(*out));
	wire_put_le32(out->type, WG_RESPONSE);
	wire_put_le32(out->sender, sender);
	memcpy(out->receiver, receiver, 4);
	rc = ephemeral_make(&ephemeral, ephemeral_private, out->ephemeral);
	if (rc == 0)
		rc = mix_ephemeral(&next, out->ephemeral); /* 1 */
	if (rc == 0)
		rc = x25519_key_dh(ephemeral, point.bytes, st->ephemeral);
	rc = mix_dh(&next, NULL, rc, &point); /* 2 */
	if (rc == 0)
		rc = x25519_key_dh(ephemeral, point.bytes, remote->id.public_key);
	rc = mix_dh(&next, NULL, rc, &point); /* 3 */
	if (rc == 0)
		rc = mix_psk(&next, &k, remote->psk); /* 4 */
	if (rc == 0)
		rc = seal_and_mix(&next, &k, NULL, 0, out->sealed_empty); /* 5 */
	return rc < 0 ? rc : derive_keys(&next, false, keys);
}

int noise_response_consume(const struct noise_state *st, const struct noise_local *local,
	const struct noise_remote *remote, const struct wg_response *in, struct noise_keys *keys)
{
	noise_state_local next = *st;
	secret_key k = {{0}};
	secret_key point = {{0}};
	int rc = mix_ephemeral(&next, in->ephemeral); /* 1 */

	if (rc == 0)
		rc = x25519_dh(point.bytes, st->ephemeral, in->ephemeral);
	rc = mix_dh(&next, NULL, rc, &point); /* 2 */
	if (rc == 0)
		rc = local->dh(local->arg, in->ephemeral, point.bytes);
	rc = mix_dh(&next, NULL, rc, &point); /* 3 */
	if (rc == 0)
		rc = mix_psk(&next, &k, remote->psk); /* 4 */
	if (rc == 0)
		rc = open_and_mix(&next, &k, in->sealed_empty, 0, NULL); /* 5 */
	return rc < 0 ? rc : derive_keys(&next, true, keys);
}

/* ---- macs ---- */

static int mac1(uint8_t out[NOISE_MAC], const uint8_t *message, size_t len,
	const struct noise_identity *receiver)
{
	const struct blake2s_part part = {message, len - 2 * NOISE_MAC};

	return blake2s_mac(out, receiver->mac1_key, 32, &part, 1);
}

int noise_mac_seal(uint8_t *message, size_t len, const struct noise_identity *receiver,
	const uint8_t cookie[NOISE_MAC])
{
	/* mac2 covers mac1 as well. */
	const struct blake2s_part part = {message, len - NOISE_MAC};
	uint8_t *mac2 = message + len - NOISE_MAC;

	if (mac1(mac2 - NOISE_MAC, message, len, receiver) < 0)
		return -EIO;
	memset(mac2, 0, NOISE_MAC);
	return cookie ? blake2s_mac(mac2, cookie, NOISE_MAC, &part, 1) : 0;
}

int noise_mac1_check(const uint8_t *message, size_t len, const struct noise_identity *receiver)
{
	uint8_t want[NOISE_MAC];
	bool ok;

	if (mac1(want, message, len, receiver) < 0)
		return -EIO;
	ok = secret_equal(want, message + len - 2 * NOISE_MAC, NOISE_MAC);
	secret_wipe(want, sizeof(want));
	return ok ? 0 : -EBADMSG;
}

int noise_cookie_open(uint8_t cookie[NOISE_MAC], const struct wg_cookie_reply *in,
	const struct noise_identity *sender, const uint8_t mac1_sent[NOISE_MAC])
{
	uint8_t opened[NOISE_MAC];
	int rc = xchacha_open(sender->cookie_key, in->nonce, in->sealed_cookie,
		sizeof(in->sealed_cookie), mac1_sent, NOISE_MAC, opened);

	if (rc == 0)
		memcpy(cookie, opened, NOISE_MAC);
	secret_wipe(opened, sizeof(opened));
	return rc;
}
