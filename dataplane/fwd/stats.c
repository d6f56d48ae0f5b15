/* Counters, summed over the workers. Control thread. */
#include <string.h>

#include "fwd/engine.h"

static uint32_t rx_age(const struct peer *p, uint64_t now)
{
	uint64_t last = peer_last_rx(p);

	if (!last)
		return UINT32_MAX;
	uint64_t age = elapsed(now, last - 1);
	return age < UINT32_MAX ? (uint32_t)age : UINT32_MAX - 1;
}

static void describe_session(struct fwd_peer_stats *out, const struct session *s)
{
	out->up = true;
	out->protocol = s->about.protocol;
	out->cipher = s->about.cipher;
	out->transport = s->about.transport;
	out->tls = s->about.tls;
	out->local_index = s->local_index;
	out->key_id = s->key_id;
	out->tunnel = s->about.tunnel;
	out->credential = s->credential;
	out->tunnel_started_ms = s->about.tunnel_started_ms;
	out->handshake_ms = s->about.handshake_ms;
}

static void describe(struct fwd_peer_stats *out, struct peer *p, uint64_t now)
{
	struct peer_count sum = {0};
	const struct session *s;

	memset(out, 0, sizeof(*out));
	out->peer = p->id;
	out->epoch = p->epoch;
	out->rx_age_ms = rx_age(p, now);
	out->path = pathcell_load(&p->path);
	/* Under the lock, so that session and counters belong to one tunnel. */
	spin_lock(&p->lock);
	s = keyslot_current(&p->slots);
	if (s && session_young(s, now))
		describe_session(out, s);
	if (s)
		out->path = peer_path(p, s);
	peer_count_sum(p, &sum);
	out->rx_bytes = sum.rx_bytes;
	out->tx_bytes = sum.tx_bytes;
	out->rx_packets = sum.rx_packets;
	out->tx_packets = sum.tx_packets;
	out->tunnel_rx_bytes = sum.rx_bytes - p->tunnel_base.rx_bytes;
	out->tunnel_tx_bytes = sum.tx_bytes - p->tunnel_base.tx_bytes;
	out->tunnel_rx_packets = sum.rx_packets - p->tunnel_base.rx_packets;
	out->tunnel_tx_packets = sum.tx_packets - p->tunnel_base.tx_packets;
	spin_unlock(&p->lock);
}

size_t fwd_peer_stats(
	struct fwd *f, uint32_t from, struct fwd_peer_stats *out, size_t cap, uint64_t now)
{
	size_t n = 0;

	for (uint32_t id = from; id < f->limits.max_peers && n < cap; id++)
		if (f->peers[id])
			describe(&out[n++], f->peers[id], now);
	return n;
}

void fwd_totals(struct fwd *f, struct fwd_totals *out)
{
	memset(out, 0, sizeof(*out));
	out->peers = f->n_peers;
	for (const struct peer *p = f->active; p; p = p->ctl.next)
		out->sessions += keyslot_current(&p->slots) != NULL;
	for (uint32_t i = 0; i <= f->limits.workers; i++) {
		const struct worker *w = &f->workers[i];
		out->rx_bytes += counter_get(&w->count.rx_bytes);
		out->tx_bytes += counter_get(&w->count.tx_bytes);
		out->rx_packets += counter_get(&w->count.rx_packets);
		out->tx_packets += counter_get(&w->count.tx_packets);
		for (int v = 0; v < FWD_VERDICT_COUNT; v++)
			out->verdicts[v] += counter_get(&w->verdicts[v]);
	}
}
