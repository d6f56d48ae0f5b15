/* The steps of controlplane/wg/noise.h from the client's end. */
#include "wg_peer.h"

#include <errno.h>
#include <string.h>

#include "crypto/x25519.h"

static int dh(void *arg, const uint8_t peer[32], uint8_t out[32])
{
	const struct key32 *key = arg;

	return x25519_dh(out, key->bytes, peer);
}

int wg_peer_init(struct wg_peer *p, const struct wg_identity *id, uint32_t index)
{
	uint8_t own[32];
	int r;

	memset(p, 0, sizeof(*p));
	p->key = id->key;
	p->index = index;
	p->local.dh = dh;
	p->local.arg = &p->key;
	r = x25519_public(own, p->key.bytes);
	if (r == 0)
		r = noise_identity_init(&p->local.id, own);
	if (r == 0)
		r = noise_remote_init(&p->remote, &p->local, id->server, id->psk.bytes);
	return r;
}

void wg_peer_fini(struct wg_peer *p)
{
	noise_remote_wipe(&p->remote);
	noise_state_wipe(&p->state);
	key32_wipe(&p->key);
}

int wg_peer_begin(struct wg_peer *p, int64_t real_us)
{
	secret_key ephemeral;
	uint8_t public_key[32], stamp[NOISE_TIMESTAMP];
	int r = x25519_keypair(ephemeral.bytes, public_key);

	noise_timestamp_pack(stamp, noise_ticks(real_us));
	if (r == 0)
		r = noise_initiation_create(&p->state, &p->local, &p->remote, ephemeral.bytes,
			stamp, p->index, &p->sent);
	if (r == 0)
		r = noise_mac_seal((uint8_t *)&p->sent, sizeof(p->sent), &p->remote.id, NULL);
	return r;
}

static enum wg_peer_outcome on_cookie(struct wg_peer *p, const struct wg_cookie_reply *in)
{
	uint8_t cookie[NOISE_MAC];

	if (wire_le32(in->receiver) != p->index ||
		noise_cookie_open(cookie, in, &p->remote.id, p->sent.mac1) != 0 ||
		noise_mac_seal((uint8_t *)&p->sent, sizeof(p->sent), &p->remote.id, cookie) != 0)
		return WG_PEER_IGNORED;
	return WG_PEER_COOKIE;
}

static enum wg_peer_outcome on_response(
	struct wg_peer *p, const struct wg_response *in, struct noise_keys *keys)
{
	if (wire_le32(in->receiver) != p->index ||
		noise_response_consume(&p->state, &p->local, &p->remote, in, keys) != 0)
		return WG_PEER_IGNORED;
	p->their_index = wire_le32(in->sender);
	return WG_PEER_UP;
}

enum wg_peer_outcome wg_peer_input(
	struct wg_peer *p, const uint8_t *datagram, size_t n, struct noise_keys *keys)
{
	struct wg_cookie_reply cookie;
	struct wg_response response;

	if (n == sizeof(response) && datagram[0] == WG_RESPONSE) {
		memcpy(&response, datagram, n);
		return on_response(p, &response, keys);
	}
	if (n == sizeof(cookie) && datagram[0] == WG_COOKIE_REPLY) {
		memcpy(&cookie, datagram, n);
		return on_cookie(p, &cookie);
	}
	return WG_PEER_IGNORED;
}
