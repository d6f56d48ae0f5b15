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

static void describe(struct session *n, const struct fwd_session *s)
{
	n->local_index = s->local_index;
	n->remote_index = s->remote_index;
	n->seq = s->seq;
	n->credential = s->credential;
	n->initiator = s->role == UAPI_INITIATOR;
	n->about = (struct session_about){
		.protocol = s->protocol,
		.cipher = s->cipher,
		.transport = s->transport,
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
