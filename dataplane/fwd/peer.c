/* What the packet path and the tick ask of a peer. */
#include "fwd/peer.h"

#include "fwd/session.h"

void peer_wish(struct peer *p, enum peer_wish w)
{
	if (!(atomic_load_explicit(&p->timers.wishes, memory_order_relaxed) & w))
		atomic_fetch_or_explicit(&p->timers.wishes, w, memory_order_seq_cst);
}

void peer_count_sum(const struct peer *p, struct peer_count *out)
{
	uint64_t rb = 0, rp = 0, tb = 0, tp = 0;

	for (uint32_t i = 0; i < p->workers; i++) {
		const struct peer_count *c = &p->line[i].count;
		rb += counter_get(&c->rx_bytes);
		rp += counter_get(&c->rx_packets);
		tb += counter_get(&c->tx_bytes);
		tp += counter_get(&c->tx_packets);
	}
	counter_set(&out->rx_bytes, rb);
	counter_set(&out->rx_packets, rp);
	counter_set(&out->tx_bytes, tb);
	counter_set(&out->tx_packets, tp);
}

void peer_tunnel_begin(struct peer *p, const struct session *s)
{
	if (ulid_equal(&p->tunnel, &s->about.tunnel))
		return;
	p->tunnel = s->about.tunnel;
	peer_count_sum(p, &p->tunnel_base);
}
