/* Making and wiping sessions: control thread only. */
#include "fwd/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "uapi/uapi.h"

static size_t session_size(uint32_t sealers)
{
	size_t n = sizeof(struct session) + sealers * sizeof(struct aead_key *);

	return (n + 63) / 64 * 64;
}

/* Reference B6 T10 and A14.1. OpenVPN's first packet id is 1. */
static void set_limits(struct session *n, const struct fwd_session *s)
{
	const bool ovpn = session_is_ovpn(n);
	const bool gcm = s->cipher != AEAD_CHACHA20_POLY1305;

	n->limits = (struct session_limits){
		.life_ms = s->life_s ? (uint64_t)s->life_s * 1000 : WG_REJECT_AFTER_MS,
		.counter_end = ovpn ? OVPN_REJECT_AFTER_PACKETS : WG_REJECT_AFTER_MESSAGES,
		.counter_rekey = ovpn ? OVPN_REKEY_AFTER_PACKETS : WG_REKEY_AFTER_MESSAGES,
		.blocks_end = ovpn && gcm ? OVPN_GCM_BLOCKS : SESSION_NO_LIMIT,
		.failed_end = ovpn ? OVPN_FAILED_OPENS : SESSION_NO_LIMIT,
	};
	atomic_store(&n->counter, ovpn ? 1 : 0);
}

static void describe(struct session *n, const struct fwd_session *s)
{
	n->local_index = s->local_index;
	n->remote_index = s->remote_index;
	n->frame = (uint8_t)frame_of(s->protocol, s->format);
	n->key_id = s->key_id;
	memcpy(n->seal_iv, s->seal_iv, UAPI_IV);
	memcpy(n->open_iv, s->open_iv, UAPI_IV);
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
	struct session *n = aligned_alloc(64, session_size(sealers));

	if (!n)
		return -ENOMEM;
	memset(n, 0, session_size(sealers));
	describe(n, s);
	set_limits(n, s);
	n->peer = p;
	n->birth = now;
	int r = aead_key_new(&n->rx.open, s->cipher, s->open, false);
	for (uint32_t i = 0; !r && i < sealers; i++)
		r = aead_key_new(&n->seal[i], s->cipher, s->seal, true);
	if (r) {
		session_free(n, sealers);
		return r;
	}
	*out = n;
	return 0;
}

void session_free(struct session *s, uint32_t sealers)
{
	aead_key_free(s->rx.open);
	for (uint32_t i = 0; i < sealers; i++)
		aead_key_free(s->seal[i]);
	secret_wipe(s, session_size(sealers));
	free(s);
}
