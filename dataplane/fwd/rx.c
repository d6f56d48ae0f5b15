/*
 * Outer datagrams to inner packets. The order is security (design.md 4):
 *
 *   receiver index -> young, counter below the limit -> AEAD open -> replay window -> promote
 *   -> endpoint -> timers -> keepalive? -> inner header -> source is the peer's own -> deliver
 *
 * Consecutive datagrams of one session are a run: opened together, and what is per peer (promote,
 * endpoint, timers) happens once.
 */
#include "fwd/engine.h"
#include "fwd/timers.h"
#include "wire/ip_hdr.h"
#include "wire/wg_wire.h"

struct run {
	struct session *s;
	uint32_t n;
	struct fwd_packet *p[FWD_RUN];
	uint64_t counter[FWD_RUN];
	struct aead_op ops[FWD_RUN];
};

static void end(struct worker *w, struct fwd_packet *p, enum fwd_verdict v)
{
	p->verdict = (uint8_t)v;
	counter_add(&w->verdicts[v], 1);
}

static struct session *lookup(struct fwd *f, const struct fwd_packet *p, uint64_t now,
	uint64_t *counter, enum fwd_verdict *v)
{
	if (p->len < WG_DATA_MIN) {
		*v = FWD_MALFORMED;
		return NULL;
	}
	uint32_t index = wire_le32(p->data + offsetof(struct wg_data, receiver));
	struct session *s = atomic_load_explicit(
		&f->index[index & (f->limits.max_indices - 1)], memory_order_acquire);
	if (!s || s->local_index != index || atomic_load_explicit(&s->dead, memory_order_acquire)) {
		*v = FWD_UNKNOWN_SESSION;
		return NULL;
	}
	*counter = wire_le64(p->data + offsetof(struct wg_data, counter));
	if (!session_young(s, now) || *counter >= WG_REJECT_AFTER_MESSAGES) {
		*v = FWD_EXPIRED;
		return NULL;
	}
	return s;
}

static void add(struct run *r, struct fwd_packet *p, uint64_t counter)
{
	uint8_t *text = p->data + sizeof(struct wg_data);
	uint32_t len = p->len - WG_DATA_OVERHEAD;

	p->peer = r->s->peer->id;
	r->p[r->n] = p;
	r->counter[r->n] = counter;
	r->ops[r->n] = (struct aead_op){.text = text, .len = len, .tag = text + len};
	wire_put_le64(r->ops[r->n].nonce + 4, counter);
	r->n++;
}

/* Opens and looks into the replay window. Compacts the run to what is authentic and new. */
static void open_run(struct worker *w, struct run *r)
{
	struct session_rx *rx = &r->s->rx;
	uint32_t good = 0;

	spin_lock(&rx->owner);
	aead_open_batch(rx->open, r->ops, r->n);
	for (uint32_t i = 0; i < r->n; i++) {
		if (!r->ops[i].ok)
			end(w, r->p[i], FWD_BAD_TAG);
		else if (!replay_take(&rx->replay, r->counter[i]))
			end(w, r->p[i], FWD_REPLAY);
		else
			r->p[good++] = r->p[i];
	}
	spin_unlock(&rx->owner);
	r->n = good;
}

/* The first valid packet of a session: once per handshake. */
static void confirm(struct fwd *f, struct peer *p, struct session *s)
{
	spin_lock(&p->lock);
	if (keyslot_promote(&p->slots, s)) {
		if (keyslot_current(&p->slots) == s)
			peer_tunnel_begin(p, s);
		if (s->seq > atomic_load_explicit(&p->confirmed_seq, memory_order_relaxed))
			atomic_store_explicit(&p->confirmed_seq, s->seq, memory_order_relaxed);
		atomic_store_explicit(&s->confirmed, true, memory_order_relaxed);
	}
	spin_unlock(&p->lock);
	engine_ready(f);
}

/* Roaming (B8): the newest authentic packet says where the peer is. */
static void move(struct peer *p, const struct path *to)
{
	struct path now = pathcell_load(&p->path);

	if (path_equal(&now, to))
		return;
	spin_lock(&p->lock);
	pathcell_store(&p->path, to);
	spin_unlock(&p->lock);
	peer_wish(p, WISH_MOVED);
}

static bool own_source(const struct peer_addrs *a, const struct ip_addr *src)
{
	return ip_addr_equal(src, src->family == IP_V4 ? &a->v4 : &a->v6);
}

/* Returns: inner bytes to deliver, 0 when there are none. */
static uint32_t unwrap(struct worker *w, const struct peer_addrs *a, struct fwd_packet *p)
{
	struct ip_hdr h;
	uint32_t len = p->len - WG_DATA_OVERHEAD;
	uint8_t *inner = p->data + sizeof(struct wg_data);

	if (!len) {
		end(w, p, FWD_KEEPALIVE);
		return 0;
	}
	if (ip_hdr_parse(&h, inner, len) != IP_HDR_OK) {
		end(w, p, FWD_BAD_INNER);
		return 0;
	}
	if (!own_source(a, &h.src)) {
		end(w, p, FWD_SPOOFED_SOURCE);
		return 0;
	}
	p->data = inner;
	p->len = h.total;
	p->verdict = FWD_DELIVER; /* counted by the caller */
	return h.total;
}

static void account(struct worker *w, struct peer_count *c, uint64_t bytes, uint64_t packets)
{
	counter_add(&c->rx_bytes, bytes);
	counter_add(&c->rx_packets, packets);
	counter_add(&w->count.rx_bytes, bytes);
	counter_add(&w->count.rx_packets, packets);
}

static void finish_run(struct fwd *f, uint32_t worker, struct run *r, uint64_t now)
{
	struct worker *w = &f->workers[worker];
	struct session *s = r->s;
	struct peer *peer = s->peer;
	uint64_t bytes = 0, packets = 0;
	bool data = false;

	open_run(w, r);
	if (!r->n)
		return;
	if (!atomic_load_explicit(&s->confirmed, memory_order_relaxed))
		confirm(f, peer, s);
	move(peer, &r->p[r->n - 1]->path);
	on_any_received(peer, s, now);
	counter_set(&peer->line[worker].last_rx, now + 1);

	const struct peer_addrs *a = atomic_load_explicit(&peer->addrs, memory_order_acquire);
	for (uint32_t i = 0; i < r->n; i++) {
		data |= r->p[i]->len > WG_DATA_OVERHEAD;
		uint32_t inner = unwrap(w, a, r->p[i]);
		bytes += inner;
		packets += inner != 0;
	}
	if (data)
		on_data_received(peer, now);
	account(w, &peer->line[worker].count, bytes, packets);
}

static void flush(struct fwd *f, uint32_t worker, struct run *r, uint64_t now)
{
	if (r->n)
		finish_run(f, worker, r, now);
	r->n = 0;
}

void fwd_rx(struct fwd *f, uint32_t worker, struct fwd_packet *p, size_t n, uint64_t now)
{
	struct run r;

	r.n = 0;
	r.s = NULL;
	for (size_t i = 0; i < n; i++) {
		enum fwd_verdict v = FWD_NONE;
		uint64_t counter = 0;
		p[i].verdict = FWD_NONE;
		struct session *s = lookup(f, &p[i], now, &counter, &v);
		if (!s) {
			end(&f->workers[worker], &p[i], v);
			continue;
		}
		if (s != r.s || r.n == FWD_RUN)
			flush(f, worker, &r, now);
		r.s = s;
		add(&r, &p[i], counter);
	}
	flush(f, worker, &r, now);
}
