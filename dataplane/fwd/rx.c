/*
 * Outer datagrams to inner packets. The order is security (design.md 4):
 *
 *   receiver index | peer-id and key id | origin and key id -> came its way -> young, counter
 *   below the limit -> key of its epoch -> AEAD open -> replay window, epoch -> promote ->
 *   endpoint -> timers -> keepalive? -> inner header -> source is the peer's own -> deliver
 *
 * Consecutive datagrams of one session are a run: opened together, and what is per peer (promote,
 * endpoint, timers) happens once.
 */
#include <string.h>

#include "fwd/engine.h"
#include "fwd/mss.h"
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

static struct session *at(const _Atomic(struct session *) *place)
{
	return atomic_load_explicit(place, memory_order_acquire);
}

static struct session *find_wg(const struct fwd *f, const uint8_t *data)
{
	uint32_t index = wire_le32(data + offsetof(struct wg_data, receiver));
	struct session *s = at(engine_index(f, index));

	return s && s->local_index == index ? s : NULL;
}

static struct session *find_ovpn(const struct fwd *f, const struct fwd_packet *p)
{
	uint8_t key_id = ovpn_key_id(p->data[0]);
	uint32_t peer_id = wire_be24(p->data + 1);

	if (ovpn_opcode(p->data[0]) == OVPN_DATA_V1)
		return origins_lookup(&f->origins, &p->path, key_id);
	if (ovpn_opcode(p->data[0]) != OVPN_DATA_V2 || !f->limits.max_peer_ids)
		return NULL;
	struct session *s = at(engine_ovpn(f, peer_id, key_id));
	return s && s->local_index == peer_id ? s : NULL;
}

/* Returns: the session, or NULL and the verdict. */
static struct session *lookup(const struct fwd *f, const struct fwd_packet *p, uint64_t now,
	uint64_t *counter, enum fwd_verdict *v)
{
	struct session *s;

	*v = FWD_MALFORMED;
	if (p->len < OVPN_DATA_V1_OVERHEAD)
		return NULL;
	s = p->data[0] == WG_DATA ? find_wg(f, p->data) : find_ovpn(f, p);
	/* A way that is not its own is no better than no session (TCP never moves). */
	if (!s || s->connection != p->path.connection ||
		atomic_load_explicit(&s->dead, memory_order_acquire)) {
		*v = FWD_UNKNOWN_SESSION;
		return NULL;
	}
	if (!frame_counter((enum frame)s->frame, p->data, p->len, counter))
		return NULL;
	if (!session_young(s, now) || *counter >= s->limits.counter_end) {
		*v = FWD_EXPIRED;
		return NULL;
	}
	return s;
}

static void add(struct run *r, struct fwd_packet *p, uint64_t counter)
{
	p->peer = r->s->peer->id;
	r->p[r->n] = p;
	r->counter[r->n++] = counter;
}

/* Packets of a run that one key opens: all, or those of one epoch. */
struct span {
	uint32_t from, to;
};

static struct span span_at(const struct run *r, uint32_t from)
{
	uint32_t to = from + 1;

	if (!r->s->rx.epochs)
		return (struct span){from, r->n};
	while (to < r->n && ovpn_epoch(r->counter[to]) == ovpn_epoch(r->counter[from]))
		to++;
	return (struct span){from, to};
}

/* Whoever holds rx. What is opened is counted before, so that a limit is never passed unseen. */
static void spend(struct session *s, const struct run *r, struct span part)
{
	uint64_t blocks = 0;

	if (s->limits.blocks_end == SESSION_NO_LIMIT)
		return;
	for (uint32_t i = part.from; i < part.to; i++)
		blocks += session_blocks(r->ops[i].len);
	counter_add(&s->rx.blocks, blocks);
}

/* Returns: FWD_NONE when those of the span were opened and ops say how, otherwise how all ended. */
static enum fwd_verdict open_span(struct run *r, struct span part)
{
	struct session *s = r->s;
	const struct opening *o = opening_find(&s->rx, r->counter[part.from]);
	const uint32_t n = part.to - part.from;

	if (!session_can_open(s))
		return FWD_EXPIRED;
	if (!o)
		return FWD_UNKNOWN_SESSION;
	frame_open((enum frame)s->frame, o->iv, r->ops + part.from, r->p + part.from,
		r->counter + part.from, n);
	spend(s, r, part);
	aead_open_batch(o->key, r->ops + part.from, n);
	return FWD_NONE;
}

/* How one that was opened goes on. FWD_NONE: it is authentic and new. */
static enum fwd_verdict judge(struct session *s, bool authentic, uint64_t counter)
{
	if (!authentic) {
		counter_add(&s->rx.failed, 1);
		return FWD_BAD_TAG;
	}
	return opening_accept(&s->rx, counter) ? FWD_NONE : FWD_REPLAY;
}

/* Opens and looks into the replay window. Compacts the run to what is authentic and new. */
static void open_run(struct worker *w, struct run *r)
{
	struct session *s = r->s;
	uint32_t good = 0;

	spin_lock(&s->rx.owner);
	for (struct span part = {0, 0}; part.to < r->n;) {
		part = span_at(r, part.to);
		const enum fwd_verdict all = open_span(r, part);
		for (uint32_t i = part.from; i < part.to; i++) {
			const enum fwd_verdict v =
				all ? all : judge(s, r->ops[i].ok, r->counter[i]);
			if (v)
				end(w, r->p[i], v);
			else
				r->p[good++] = r->p[i];
		}
	}
	spin_unlock(&s->rx.owner);
	r->n = good;
}

/* The first valid packet of a session: once per handshake. */
static void confirm(struct fwd *f, struct peer *p, struct session *s)
{
	spin_lock(&p->lock);
	peer_confirm(p, s);
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
	peer_wish_news(p, WISH_MOVED);
}

static bool own_source(const struct peer_addrs *a, const struct ip_addr *src)
{
	return ip_addr_equal(src, src->family == IP_V4 ? &a->v4 : &a->v6);
}

/* What OpenVPN says inside instead of an IP packet (A15). */
static bool is_message(struct session *s, const uint8_t *text, uint32_t len)
{
	if (len < OVPN_PING || (text[0] != ovpn_ping[0] && text[0] != ovpn_occ[0]))
		return false;
	if (!memcmp(text, ovpn_ping, OVPN_PING))
		return true;
	if (memcmp(text, ovpn_occ, OVPN_OCC_HEAD) != 0)
		return false;
	if (len > OVPN_OCC_HEAD && text[OVPN_OCC_HEAD] == OVPN_OCC_EXIT) {
		atomic_store_explicit(&s->farewell, true, memory_order_release);
		peer_wish_news(s->peer, WISH_FAREWELL);
	}
	return true;
}

struct inside {
	struct session *s;
	const struct frame_layout *frame;
	const struct peer_addrs *own;
	uint32_t inner_max; /* OpenVPN: for TCP's MSS; 0: WireGuard */
};

/* Returns: inner bytes to deliver, 0 when there are none. */
static uint32_t unwrap(struct worker *w, const struct inside *in, struct fwd_packet *p)
{
	struct ip_hdr h;
	uint32_t len = p->len - in->frame->overhead;
	uint8_t *inner = p->data + in->frame->before;

	if (!len || (in->inner_max && is_message(in->s, inner, len))) {
		end(w, p, FWD_KEEPALIVE);
		return 0;
	}
	if (ip_hdr_parse(&h, inner, len) != IP_HDR_OK) {
		end(w, p, FWD_BAD_INNER);
		return 0;
	}
	if (!own_source(in->own, &h.src)) {
		end(w, p, FWD_SPOOFED_SOURCE);
		return 0;
	}
	if (in->inner_max)
		mss_clamp(inner, h.total, in->inner_max);
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

static void deliver(struct fwd *f, uint32_t worker, struct run *r, uint64_t now)
{
	struct worker *w = &f->workers[worker];
	struct peer *peer = r->s->peer;
	const struct frame_layout *frame = &frame_layouts[r->s->frame];
	const struct inside in = {
		.s = r->s,
		.frame = frame,
		.own = atomic_load_explicit(&peer->addrs, memory_order_acquire),
		.inner_max = session_is_ovpn(r->s)
				     ? mss_inner_max(&r->p[r->n - 1]->path, frame->overhead)
				     : 0,
	};
	uint64_t bytes = 0, packets = 0;
	bool data = false;

	for (uint32_t i = 0; i < r->n; i++) {
		data |= r->p[i]->len > frame->overhead;
		uint32_t inner = unwrap(w, &in, r->p[i]);
		bytes += inner;
		packets += inner != 0;
	}
	if (data)
		on_data_received(peer, r->s, now);
	account(w, &peer->line[worker].count, bytes, packets);
}

static void finish_run(struct fwd *f, uint32_t worker, struct run *r, uint64_t now)
{
	struct session *s = r->s;
	struct peer *peer = s->peer;

	open_run(&f->workers[worker], r);
	if (session_open_worn(s))
		peer_wish(peer, WISH_COUNTER);
	if (!r->n)
		return;
	if (!atomic_load_explicit(&s->confirmed, memory_order_relaxed))
		confirm(f, peer, s);
	if (!s->connection)
		move(peer, &r->p[r->n - 1]->path);
	on_any_received(peer, worker, s, now);
	deliver(f, worker, r, now);
}

static void flush(struct fwd *f, uint32_t worker, struct run *r, uint64_t now)
{
	if (r->n)
		finish_run(f, worker, r, now);
	r->n = 0;
}

void fwd_rx(struct fwd *f, uint32_t worker, struct fwd_packet *p, size_t n, uint64_t now)
{
	struct run r written_first;

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
