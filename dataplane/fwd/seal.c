/* A counter is taken before it is used, and never given back. */
#include "fwd/seal.h"

#include <string.h>

#include "fwd/engine.h"
#include "fwd/timers.h"

/* Blocks are counted before the counters are taken: a run that goes beyond the limit is not sealed
 * at all, and nothing after it. */
static bool within_blocks(struct sealing *t, struct fwd_packet *const *p, uint32_t n)
{
	uint64_t blocks = 0;

	if (t->limits.blocks_end == SESSION_NO_LIMIT)
		return true;
	for (uint32_t i = 0; i < n; i++)
		blocks += session_blocks(p[i]->len);
	return sealing_spend(t, blocks);
}

uint32_t seal_run(
	struct session *s, uint32_t sealer, struct fwd_packet *const *p, uint32_t n, uint32_t mtu)
{
	struct sealing *t = session_sealing(s); /* asked once: counter and key belong together */
	struct aead_op ops[FWD_RUN] written_first;
	uint64_t first;

	if (!within_blocks(t, p, n))
		return 0;
	n = sealing_reserve(t, n, &first);
	if (!n)
		return 0;
	frame_seal(s, t->iv, ops, p, n, first, mtu);
	aead_seal_batch(t->key[sealer], ops, n);
	for (uint32_t i = 0; i < n; i++)
		p[i]->verdict = ops[i].ok ? FWD_SEND : FWD_NO_SESSION;
	return n;
}

_Static_assert(OVPN_REJECT_AFTER_PACKETS <= UINT32_MAX, "fits into a packet id, as it is");

uint32_t seal_farewell(struct session *s, uint32_t sealer, uint8_t *out)
{
	struct sealing *t = session_sealing(s);
	uint8_t buf[FWD_HEADROOM + OVPN_OCC + FWD_TAILROOM];
	struct fwd_packet packet = {.data = buf + FWD_HEADROOM, .len = OVPN_OCC}, *one = &packet;
	struct aead_op op;

	memcpy(packet.data, ovpn_occ, OVPN_OCC_HEAD);
	packet.data[OVPN_OCC_HEAD] = OVPN_OCC_EXIT;
	if (!within_blocks(t, &one, 1))
		return 0;
	frame_seal(s, t->iv, &op, &one, 1, t->limits.end, 0);
	aead_seal_batch(t->key[sealer], &op, 1);
	if (!op.ok)
		return 0;
	memcpy(out, packet.data, packet.len);
	return packet.len;
}

static void account(
	struct fwd *f, uint32_t worker, struct peer *p, uint64_t bytes, uint64_t packets)
{
	struct peer_count *c = &p->line[worker].count, *all = &f->workers[worker].count;

	counter_add(&c->tx_bytes, bytes);
	counter_add(&c->tx_packets, packets);
	counter_add(&all->tx_bytes, bytes);
	counter_add(&all->tx_packets, packets);
}

uint32_t seal_data(struct fwd *f, uint32_t worker, struct session *s, struct fwd_packet *const *p,
	uint32_t n, uint64_t now)
{
	uint32_t inner[FWD_RUN] written_first;
	uint64_t bytes = 0, packets = 0;

	for (uint32_t i = 0; i < n; i++)
		inner[i] = p[i]->len;
	n = seal_run(s, worker, p, n, atomic_load_explicit(&f->mtu, memory_order_relaxed));
	for (uint32_t i = 0; i < n; i++) {
		if (p[i]->verdict == FWD_SEND) { /* counted by the caller */
			bytes += inner[i];
			packets++;
		}
	}
	if (packets != n)
		fwd_count(f, worker, FWD_NO_SESSION, n - packets);
	if (packets)
		on_data_sent(s->peer, worker, s, now);
	account(f, worker, s->peer, bytes, packets);
	return n;
}

/* ---- streams ---- */

/* The control thread has no line in the peer, and its packets are no data. */
static uint32_t seal_stream(struct fwd *f, uint32_t worker, struct session *s,
	struct fwd_packet *const *p, uint32_t n, uint64_t now)
{
	if (atomic_load_explicit(&s->dead, memory_order_acquire) || !session_can_seal(s, now))
		return 0;
	if (worker < f->limits.workers)
		return seal_data(f, worker, s, p, n, now);
	return seal_run(s, worker, p, n, 0);
}

void fwd_seal(struct fwd *f, uint32_t worker, struct fwd_packet *const *p, size_t n, uint64_t now)
{
	while (n) {
		struct session *s = p[0]->session;
		uint32_t run = 1;
		while (run < n && run < FWD_RUN && p[run]->session == s)
			run++;
		for (uint32_t i = seal_stream(f, worker, s, p, run, now); i < run; i++) {
			p[i]->verdict = FWD_NO_SESSION;
			fwd_count(f, worker, FWD_NO_SESSION, 1);
		}
		p += run;
		n -= run;
	}
}
