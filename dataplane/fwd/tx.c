/*
 * Inner packets to outer datagrams:
 *
 *   destination -> peer -> its current session -> counters -> pad, seal in place -> its path
 *                                              \-> TCP: to the stream, which calls fwd_seal
 *
 * Consecutive packets to one peer are a run: one look at the session, one reservation, one batch.
 * Where there is no session the packet waits in the stage and the tick asks for a handshake (T1).
 */
#include "fwd/engine.h"
#include "fwd/mss.h"
#include "fwd/seal.h"
#include "fwd/timers.h"
#include "wire/ip_hdr.h"
#include "wire/wg_wire.h"

enum {
	/* Longest that still fits a UDP datagram over IPv4 with our overhead. */
	INNER_MAX = 65535 - 20 - 8 - WG_DATA_OVERHEAD,
	SWEEP_MS = 1000,
};

struct tx {
	struct fwd *f;
	struct worker *w;
	uint32_t worker;
	uint64_t now;
};

struct run {
	struct peer *peer;
	uint32_t n;
	struct fwd_packet *p[FWD_RUN];
};

static void end(const struct tx *t, struct fwd_packet *p, enum fwd_verdict v)
{
	p->verdict = (uint8_t)v;
	counter_add(&t->w->verdicts[v], 1);
}

/* A packet whose peer has no session waits. Returns nothing: it has its verdict. */
static void stage(const struct tx *t, struct peer *peer, struct fwd_packet *p)
{
	switch (stage_put(&t->w->stage, peer, p->data, p->len, true, t->now)) {
	case STAGE_PUSH:
		counter_add(&t->w->verdicts[FWD_NO_SESSION], 1); /* the oldest one */
		end(t, p, FWD_STAGED);
		return;
	case STAGE_PUT:
		end(t, p, FWD_STAGED);
		return;
	case STAGE_FULL:
		end(t, p, FWD_NO_SESSION);
		return;
	case STAGE_BIG:
		end(t, p, FWD_TOO_BIG);
		return;
	}
}

static void wait_for_session(
	const struct tx *t, struct peer *peer, struct fwd_packet *const *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		stage(t, peer, p[i]);
	peer_wish(peer, WISH_NO_SESSION);
	engine_wake(t->f, peer);
}

/* Makes the next fwd_unstage go through the waiting peers, whatever it saw last. */
static void look_again(const struct tx *t)
{
	t->w->stage.seen_ready = atomic_load_explicit(&t->f->ready, memory_order_relaxed) - 1;
}

/* While earlier packets still wait, later ones line up behind them: order within a flow is kept.
 * When there is no room they overtake rather than get lost. Compacts the run. */
static void queue_behind(const struct tx *t, struct run *r)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		struct fwd_packet *p = r->p[i];
		if (!left && stage_put(&t->w->stage, r->peer, p->data, p->len, false, t->now) ==
				     STAGE_PUT)
			end(t, p, FWD_STAGED);
		else
			r->p[left++] = p;
	}
	r->n = left;
	look_again(t);
}

static void clamp(const struct run *r, const struct session *s, const struct path *path)
{
	uint32_t inner_max = mss_inner_max(path, frame_layouts[s->frame].overhead);

	for (uint32_t i = 0; i < r->n; i++)
		mss_clamp(r->p[i]->data, r->p[i]->len, inner_max);
}

/* Returns: how many of the run were dealt with; the others found the counters used up. */
static uint32_t seal_with(const struct tx *t, struct run *r, struct session *s)
{
	struct path path = pathcell_load(&r->peer->path);

	if (!path.remote.addr.family) {
		for (uint32_t i = 0; i < r->n; i++)
			end(t, r->p[i], FWD_NO_ENDPOINT);
		return r->n;
	}
	if (session_is_ovpn(s))
		clamp(r, s, &path);
	uint32_t n = seal_data(t->f, t->worker, s, r->p, r->n, t->now);
	for (uint32_t i = 0; i < n; i++)
		r->p[i]->path = path;
	return n;
}

/* TCP: packet ids must rise along the stream, whose order the connection's owner makes. */
static uint32_t stream_with(struct run *r, struct session *s)
{
	clamp(r, s, &s->path);
	for (uint32_t i = 0; i < r->n; i++) {
		r->p[i]->path = s->path;
		r->p[i]->session = s;
		r->p[i]->verdict = FWD_STREAM;
	}
	return r->n;
}

static void flush(const struct tx *t, struct run *r, bool staged_before)
{
	struct session *s = r->n ? keyslot_current(&r->peer->slots) : NULL;
	uint32_t done = 0;

	if (session_can_seal(s, t->now)) {
		if (!staged_before && stage_holds(&t->w->stage, r->peer))
			queue_behind(t, r);
		if (r->n)
			done = s->connection ? stream_with(r, s) : seal_with(t, r, s);
	}
	if (done < r->n)
		wait_for_session(t, r->peer, r->p + done, r->n - done);
	r->n = 0;
}

/* The last destination and whose it is: packets of a super-packet all have the same. */
struct last {
	struct ip_addr dst;
	struct peer *peer;
};

static struct peer *route(const struct tx *t, struct last *last, struct fwd_packet *p)
{
	struct ip_hdr h;

	if (ip_hdr_parse(&h, p->data, p->len) != IP_HDR_OK) {
		end(t, p, FWD_BAD_INNER);
		return NULL;
	}
	if (h.total > INNER_MAX) {
		end(t, p, FWD_TOO_BIG);
		return NULL;
	}
	if (!last->peer || !ip_addr_equal(&last->dst, &h.dst)) {
		last->dst = h.dst;
		last->peer = routes_lookup(&t->f->routes, &h.dst);
	}
	if (!last->peer) {
		end(t, p, FWD_NO_ROUTE);
		return NULL;
	}
	p->len = h.total;
	p->peer = last->peer->id;
	return last->peer;
}

void fwd_tx(struct fwd *f, uint32_t worker, struct fwd_packet *p, size_t n, uint64_t now)
{
	struct tx t = {f, &f->workers[worker], worker, now};
	struct last last = {0};
	struct run r written_first;

	r.n = 0;
	r.peer = NULL;
	for (size_t i = 0; i < n; i++) {
		p[i].verdict = FWD_NONE;
		struct peer *peer = route(&t, &last, &p[i]);
		if (!peer)
			continue;
		if (peer != r.peer || r.n == FWD_RUN)
			flush(&t, &r, false);
		r.peer = peer;
		r.p[r.n++] = &p[i];
	}
	flush(&t, &r, false);
}

/* ---- staged packets ---- */

static void seal_taken(const struct tx *t, struct fwd_packet *p, struct peer *const *who, size_t n)
{
	struct run r written_first;

	r.n = 0;
	r.peer = NULL;
	for (size_t i = 0; i < n; i++) {
		p[i].verdict = FWD_NONE;
		p[i].peer = who[i]->id;
		if (who[i] != r.peer)
			flush(t, &r, true);
		r.peer = who[i];
		r.p[r.n++] = &p[i];
	}
	flush(t, &r, true);
}

/* Those to be sent come first. The caller's buffers only change places. */
static size_t keep_sends(struct fwd_packet *p, size_t n)
{
	size_t sends = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i].verdict != FWD_SEND && p[i].verdict != FWD_STREAM)
			continue;
		struct fwd_packet moved = p[sends];
		p[sends++] = p[i];
		p[i] = moved;
	}
	return sends;
}

static void sweep(const struct tx *t)
{
	struct stage *s = &t->w->stage;

	if (elapsed(t->now, s->swept) < SWEEP_MS)
		return;
	s->swept = t->now;
	counter_add(&t->w->verdicts[FWD_NO_SESSION], stage_sweep(s, t->now));
	look_again(t);
}

size_t fwd_unstage(
	struct fwd *f, uint32_t worker, struct fwd_packet *p, size_t n, size_t cap, uint64_t now)
{
	struct tx t = {f, &f->workers[worker], worker, now};
	struct stage *s = &t.w->stage;
	uint32_t ready = atomic_load_explicit(&f->ready, memory_order_acquire);
	size_t sends = 0;

	if (!fwd_has_staged(f, worker))
		return 0;
	sweep(&t);
	if (ready == s->seen_ready)
		return 0;
	while (sends < n) {
		struct peer *who[FWD_RUN] written_first;
		uint32_t dropped = 0;
		size_t want = n - sends < FWD_RUN ? n - sends : FWD_RUN;
		size_t got = stage_take(s, p + sends, who, want, cap, now, &dropped);
		counter_add(&t.w->verdicts[FWD_TOO_BIG], dropped);
		seal_taken(&t, p + sends, who, got);
		sends += keep_sends(p + sends, got);
		if (got < want) {
			s->seen_ready = ready; /* nobody else can send now */
			break;
		}
	}
	return sends;
}

bool fwd_has_staged(struct fwd *f, uint32_t worker)
{
	return atomic_load_explicit(&f->workers[worker].stage.used, memory_order_relaxed);
}

void fwd_count(struct fwd *f, uint32_t worker, enum fwd_verdict v, uint64_t n)
{
	counter_add(&f->workers[worker].verdicts[v], n);
}
