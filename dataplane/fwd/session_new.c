/* Making and wiping sessions: control thread only. */
#include "fwd/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "fwd/epochs.h"
#include "uapi/uapi.h"

/* Reference B6 T10, A14.1 and A14.2. */
static const struct session_limits limits_of[FRAME_COUNT] = {
	[FRAME_WG] = {WG_REJECT_AFTER_MS, WG_REJECT_AFTER_MESSAGES, WG_REKEY_AFTER_MESSAGES,
		SESSION_NO_LIMIT, SESSION_NO_LIMIT},
	[FRAME_OVPN_V2] = {WG_REJECT_AFTER_MS, OVPN_REJECT_AFTER_PACKETS, OVPN_REKEY_AFTER_PACKETS,
		OVPN_GCM_BLOCKS, OVPN_FAILED_OPENS},
	[FRAME_OVPN_V1] = {WG_REJECT_AFTER_MS, OVPN_REJECT_AFTER_PACKETS, OVPN_REKEY_AFTER_PACKETS,
		OVPN_GCM_BLOCKS, OVPN_FAILED_OPENS},
	[FRAME_OVPN_EPOCH] = {WG_REJECT_AFTER_MS, SESSION_NO_LIMIT, OVPN_EPOCH_REKEY_AFTER,
		SESSION_NO_LIMIT, OVPN_FAILED_OPENS},
};

static void set_limits(struct session *n, const struct fwd_session *s)
{
	n->limits = limits_of[n->frame];
	if (s->life_s)
		n->limits.life_ms = (uint64_t)s->life_s * 1000;
	if (s->cipher == AEAD_CHACHA20_POLY1305)
		n->limits.blocks_end = SESSION_NO_LIMIT;
}

/* One key for life. OpenVPN's first packet id is 1, and stands in front of the implicit IV. */
static int make_keys(struct session *n, const struct fwd_session *s, uint32_t sealers)
{
	uint8_t iv[AEAD_NONCE] = {0};
	struct sealing *t = NULL;
	const struct sealing_limits limits = {
		.first = session_is_ovpn(n) ? 1 : 0,
		.end = n->limits.counter_end,
		.blocks_end = n->limits.blocks_end,
	};
	const enum aead_cipher c = (enum aead_cipher)s->cipher;

	memcpy(n->rx.current.iv + AEAD_NONCE - UAPI_IV, s->open_iv, UAPI_IV);
	memcpy(iv + AEAD_NONCE - UAPI_IV, s->seal_iv, UAPI_IV);
	int r = aead_key_new(&n->rx.current.key, c, s->open, false);
	if (!r)
		r = sealing_new(&t, c, s->seal, iv, &limits, sealers);
	atomic_store_explicit(&n->sealing, t, memory_order_release);
	return r;
}

static void describe(struct session *n, const struct fwd_session *s)
{
	n->local_index = s->local_index;
	n->remote_index = s->remote_index;
	n->frame = (uint8_t)frame_of(s->protocol, s->format);
	n->key_id = s->key_id;
	n->connection = s->transport == UAPI_TCP ? s->path.connection : 0;
	n->path = s->path;
	n->ping_s = s->ping_s;
	n->timeout_s = s->timeout_s;
	n->seq = s->seq;
	n->credential = s->credential;
	n->initiator = s->role == UAPI_INITIATOR;
	n->about = (struct session_about){
		.protocol = s->protocol,
		.cipher = s->cipher,
		.transport = s->transport,
		.tls = s->tls,
		.tunnel = s->tunnel,
		.tunnel_started_ms = s->tunnel_started_ms,
		.handshake_ms = s->handshake_ms,
	};
}

int session_new(struct session **out, const struct fwd_session *s, struct peer *p, uint32_t sealers,
	uint64_t now)
{
	struct session *n = aligned_alloc(64, sizeof(*n));

	if (!n)
		return -ENOMEM;
	memset(n, 0, sizeof(*n));
	describe(n, s);
	set_limits(n, s);
	n->peer = p;
	n->birth = now;
	int r = n->frame == FRAME_OVPN_EPOCH ? epochs_init(n, s, sealers)
					     : make_keys(n, s, sealers);
	if (r) {
		session_free(n, sealers);
		return r;
	}
	*out = n;
	return 0;
}

void session_free(struct session *s, uint32_t sealers)
{
	aead_key_free(s->rx.current.key);
	sealing_free(session_sealing(s), sealers);
	epochs_fini(s);
	secret_wipe(s, sizeof(*s));
	free(s);
}
