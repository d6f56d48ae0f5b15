/* What the packet path and the tick ask of a peer. */
#include "fwd/peer.h"

#include "fwd/session.h"

void peer_wish(struct peer *p, enum peer_wish w)
{
	if (!(atomic_load_explicit(&p->timers.wishes, memory_order_relaxed) & w))
		atomic_fetch_or_explicit(&p->timers.wishes, w, memory_order_seq_cst);
}

/* The load that saves peer_wish a store may come from before the caller's own last stores, on
 * every processor there is: a tick that clears the bit in between would read what was before. */
void peer_wish_news(struct peer *p, enum peer_wish w)
{
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

uint64_t peer_last_rx(const struct peer *p)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < p->workers; i++) {
		uint64_t at = counter_get(&p->line[i].last_rx);
		last = at > last ? at : last;
	}
	return last;
}

uint64_t peer_last_tx(const struct peer *p)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < p->workers; i++) {
		uint64_t at = counter_get(&p->line[i].last_tx);
		last = at > last ? at : last;
	}
	return last;
}

bool peer_tunnel_begin(struct peer *p, const struct session *s)
{
	if (ulid_equal(&p->tunnel, &s->about.tunnel))
		return false;
	p->tunnel = s->about.tunnel;
	peer_count_sum(p, &p->tunnel_base);
	return true;
}

/* An OpenVPN client that connected anew may be elsewhere, but only now is it that tunnel's turn; in
 * a rekey the packets know better than the control plane. */
void peer_confirm(struct peer *p, struct session *s)
{
	if (!keyslot_promote(&p->slots, s))
		return;
	if (keyslot_current(&p->slots) == s && peer_tunnel_begin(p, s) && session_is_ovpn(s) &&
		!s->connection)
		pathcell_store(&p->path, &s->path);
	if (s->seq > counter_get(&p->confirmed_seq))
		counter_set(&p->confirmed_seq, s->seq);
	atomic_store_explicit(&s->confirmed, true, memory_order_relaxed);
}

struct path peer_path(const struct peer *p, const struct session *s)
{
	return s->connection ? s->path : pathcell_load(&p->path);
}
