/* Data packets, key by key. */
#include "ovpn_data.h"

#include <string.h>

#include "crypto/epoch.h"

struct key {
	uint8_t bytes[AEAD_KEY_MAX], iv[AEAD_NONCE];
};

static int key_of(struct key *k, const struct ovpn_data *d, const uint8_t first[AEAD_KEY_MAX],
	const uint8_t iv[8], uint16_t epoch)
{
	uint8_t secret[EPOCH_SECRET];
	struct epoch_keys keys;
	int r = 0;

	memset(k, 0, sizeof(*k));
	if (!d->epochs) {
		memcpy(k->bytes, first, sizeof(k->bytes));
		memcpy(k->iv + 4, iv, 8);
		return 0;
	}
	memcpy(secret, first, sizeof(secret));
	for (uint16_t i = 1; !r && i < epoch; i++)
		r = epoch_step(secret);
	if (!r)
		r = epoch_derive(secret, d->keys.cipher, &keys);
	if (!r) {
		memcpy(k->bytes, keys.key, sizeof(k->bytes));
		memcpy(k->iv, keys.iv, sizeof(k->iv));
	}
	return r;
}

static size_t head_of(const struct ovpn_data *d)
{
	return d->epochs ? OVPN_EPOCH_HEAD : OVPN_DATA_V2_HEAD;
}

/* The header is in place. */
static bool work(
	const struct ovpn_data *d, const struct key *k, uint8_t *packet, size_t text, bool sealing)
{
	const size_t head = head_of(d);
	struct aead_op op = {
		.text = packet + head + (d->epochs ? 0 : OVPN_TAG),
		.len = (uint32_t)text,
		.tag = packet + head + (d->epochs ? text : 0),
		.aad = packet,
		.aad_len = (uint32_t)head,
	};
	struct aead_key *key;

	for (size_t i = 0; i < AEAD_NONCE; i++)
		op.nonce[i] = k->iv[i] ^ (4 + i < head ? packet[4 + i] : 0);
	if (aead_key_new(&key, d->keys.cipher, k->bytes, sealing) != 0)
		return false;
	if (sealing)
		aead_seal_batch(key, &op, 1);
	else
		aead_open_batch(key, &op, 1);
	aead_key_free(key);
	return op.ok;
}

size_t ovpn_data_seal(struct ovpn_data *d, const uint8_t *text, size_t n, uint8_t *out)
{
	const size_t head = head_of(d);
	struct key k;

	if (key_of(&k, d, d->keys.seal, d->keys.seal_iv, d->epoch) != 0)
		return 0;
	wire_put_be32(out, d->peer_id);
	out[0] = ovpn_first(OVPN_DATA_V2, d->key_id);
	if (d->epochs)
		wire_put_be64(out + 4, (uint64_t)d->epoch << 48 | d->id++);
	else
		wire_put_be32(out + 4, (uint32_t)d->id++);
	memcpy(out + head + (d->epochs ? 0 : OVPN_TAG), text, n);
	return work(d, &k, out, n, true) ? head + n + OVPN_TAG : 0;
}

uint8_t *ovpn_data_open(struct ovpn_data *d, uint8_t *packet, size_t n, size_t *len)
{
	const size_t head = head_of(d);
	struct key k;

	if (n <= head + OVPN_TAG)
		return NULL;
	const uint16_t epoch = d->epochs ? ovpn_epoch(wire_be64(packet + 4)) : 0;
	if (d->epochs && !epoch)
		return NULL;
	*len = n - head - OVPN_TAG;
	if (key_of(&k, d, d->keys.open, d->keys.open_iv, epoch) != 0 ||
		!work(d, &k, packet, *len, false))
		return NULL;
	if (epoch > d->heard)
		d->heard = epoch;
	return packet + head + (d->epochs ? 0 : OVPN_TAG);
}
