/* WireGuard's and OpenVPN's data packets (reference B5 and A14.1), the client's way. */
#include "lane.h"

#include <stdbool.h>
#include <string.h>

#include "wire/ovpn_wire.h"
#include "wire/wg_wire.h"

int lane_wg(struct lane *l, const struct noise_keys *keys, uint32_t their_index)
{
	*l = (struct lane){.head = {WG_DATA}, .index = their_index};
	return aead_key_new(&l->key, AEAD_CHACHA20_POLY1305, keys->seal, true);
}

int lane_ovpn(struct lane *l, const struct ovpn_data_keys *keys, uint8_t key_id, uint32_t peer_id)
{
	*l = (struct lane){.counter = 1};
	wire_put_be32(l->head, peer_id);
	l->head[0] = ovpn_first(OVPN_DATA_V2, key_id);
	memcpy(l->iv, keys->seal_iv, sizeof(l->iv));
	return aead_key_new(&l->key, keys->cipher, keys->seal, true);
}

void lane_fini(struct lane *l)
{
	aead_key_free(l->key);
	l->key = NULL;
}

static size_t seal_wg(struct lane *l, const uint8_t *inner, size_t n, uint8_t *out)
{
	const size_t len = (n + WG_PAD - 1) / WG_PAD * WG_PAD;
	struct aead_op op = {.text = out + 16, .len = (uint32_t)len, .tag = out + 16 + len};

	memcpy(out, l->head, 4);
	wire_put_le32(out + 4, l->index);
	wire_put_le64(out + 8, l->counter);
	memcpy(op.nonce + 4, out + 8, 8);
	memcpy(op.text, inner, n);
	memset(op.text + n, 0, len - n);
	l->counter++;
	aead_seal_batch(l->key, &op, 1);
	return op.ok ? len + WG_DATA_OVERHEAD : 0;
}

static size_t seal_ovpn(struct lane *l, const uint8_t *inner, size_t n, uint8_t *out)
{
	struct aead_op op = {.text = out + OVPN_DATA_V2_OVERHEAD,
		.len = (uint32_t)n,
		.tag = out + OVPN_DATA_V2_HEAD,
		.aad = out,
		.aad_len = OVPN_DATA_V2_HEAD};

	memcpy(out, l->head, 4);
	wire_put_be32(out + 4, (uint32_t)l->counter);
	memcpy(op.nonce, out + 4, 4);
	memcpy(op.nonce + 4, l->iv, 8);
	memcpy(op.text, inner, n);
	l->counter++;
	aead_seal_batch(l->key, &op, 1);
	return op.ok ? n + OVPN_DATA_V2_OVERHEAD : 0;
}

size_t lane_seal(struct lane *l, const uint8_t *inner, size_t n, uint8_t *out)
{
	return l->head[0] == WG_DATA ? seal_wg(l, inner, n, out) : seal_ovpn(l, inner, n, out);
}
