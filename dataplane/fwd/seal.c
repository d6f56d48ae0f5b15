/* Header, padding, nonce, tag (reference B5). A counter is taken before it is used, and never given
 * back. */
#include "fwd/seal.h"

#include <string.h>

#include "fwd/engine.h"
#include "wire/wg_wire.h"

_Static_assert(FWD_HEADROOM >= sizeof(struct wg_data), "the header goes in front");
_Static_assert(FWD_TAILROOM >= WG_PAD - 1 + AEAD_TAG, "padding and tag go behind");

/* A multiple of 16, but not beyond the MTU: that would not fit the outer path. */
static uint32_t padded(uint32_t len, uint32_t mtu)
{
	uint32_t up = (len + WG_PAD - 1) / WG_PAD * WG_PAD;

	if (up <= mtu)
		return up;
	return len > mtu ? len : mtu;
}

static void prepare(struct aead_op *op, struct fwd_packet *p, const struct session *s,
	uint64_t counter, uint32_t mtu)
{
	uint32_t len = padded(p->len, mtu);

	memset(p->data + p->len, 0, len - p->len);
	*op = (struct aead_op){.text = p->data, .len = len, .tag = p->data + len};
	wire_put_le64(op->nonce + 4, counter);

	struct wg_data header = {.type = {WG_DATA}};
	wire_put_le32(header.receiver, s->remote_index);
	wire_put_le64(header.counter, counter);
	p->data -= sizeof(header);
	memcpy(p->data, &header, sizeof(header));
	p->len = len + WG_DATA_OVERHEAD;
}

uint32_t seal_run(
	struct session *s, uint32_t sealer, struct fwd_packet *const *p, uint32_t n, uint32_t mtu)
{
	struct aead_op ops[FWD_RUN];
	uint64_t first;

	n = session_reserve(s, n, &first);
	for (uint32_t i = 0; i < n; i++)
		prepare(&ops[i], p[i], s, first + i, mtu);
	aead_seal_batch(s->seal[sealer], ops, n);
	for (uint32_t i = 0; i < n; i++)
		p[i]->verdict = ops[i].ok ? FWD_SEND : FWD_NO_SESSION;
	return n;
}
