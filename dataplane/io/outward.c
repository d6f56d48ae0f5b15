/* The way out: packets and super-packets of the device to runs of datagrams, or to streams. */
#include <errno.h>

#include "io/segment.h"
#include "io/worker_own.h"

enum {
	TUN_TURN = 4 * UDP_BATCH, /* packets of the device in one turn, and the rest of the last */
	OUTER_EXTRA = 47,	  /* what a packet gets longer by, at most: headers, padding, tag */
};

static const struct udp_socket *socket_of(const struct worker *w, uint8_t listener)
{
	if (listener >= w->group->conf.n_listeners || w->sockets[listener].fd < 0)
		return NULL;
	return &w->sockets[listener];
}

/* The packets from i on that go the same way as it, to one peer. Returns: how many. */
static size_t run_of(struct worker *w, uint32_t i, uint32_t n, struct fwd_packet **run)
{
	const struct fwd_packet *first = &w->p[i];
	size_t len = 0;

	for (; i < n; i++) {
		struct fwd_packet *p = &w->p[i];

		if (p->verdict == FWD_STREAM && p->peer == first->peer &&
			p->path.connection == first->path.connection)
			run[len++] = p;
	}
	return len;
}

/* What has the verdict STREAM, in order; packets of one connection share a system call. */
static void send_streams(struct worker *w, uint32_t n, uint64_t now)
{
	struct fwd_packet *run[UDP_BATCH];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t len;

		if (w->p[i].verdict != FWD_STREAM)
			continue;
		len = run_of(w, i, n, run);
		tcp_send_run(w->group->conf.tcp, w->number, run, len, now);
	}
}

/* What has the verdict SEND, in order; runs of one listener share a system call. */
static void send_datagrams(struct worker *w, uint32_t n)
{
	uint32_t ready = 0, failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (w->p[i].verdict != FWD_SEND || w->p[i].path.connection)
			continue;
		if (ready != i)
			w->p[ready] = w->p[i];
		ready++;
	}
	for (uint32_t at = 0; at < ready;) {
		uint8_t listener = w->p[at].path.listener;
		const struct udp_socket *s = socket_of(w, listener);
		uint32_t run = 1;

		while (at + run < ready && w->p[at + run].path.listener == listener)
			run++;
		failed += s ? udp_send(w->batch, s, &w->p[at], run) : run;
		at += run;
	}
	worker_count(w, FWD_SEND, ready - failed);
	worker_count(w, FWD_SEND_FAILED, failed);
}

static void send_out(struct worker *w, uint32_t n, uint64_t now)
{
	send_streams(w, n, now);
	send_datagrams(w, n);
}

/* Packets that were read, and how full the areas are with them. */
struct outgoing {
	struct worker *w;
	uint64_t now;
	uint32_t n, total;
	uint32_t single; /* of all those: that were read one by one */
	size_t read, cut;
};

/* What a packet takes of an area, with its rooms; each begins a cache line. */
static size_t taken_by(uint32_t len)
{
	return (FWD_HEADROOM + len + FWD_TAILROOM + 63) / 64 * 64;
}

static void outgoing_flush(struct outgoing *o)
{
	struct worker *w = o->w;
	struct fwd *f = w->group->conf.fwd;

	if (o->n > 0) {
		fwd_enter(f, w->number);
		fwd_tx(f, w->number, w->p, o->n, o->now);
		send_out(w, o->n, o->now);
		fwd_leave(f, w->number);
	}
	o->total += o->n;
	o->n = 0;
	o->read = o->cut = 0;
}

/* How many packets of that length may leave as one message. */
static uint32_t run_full(uint32_t len)
{
	const uint32_t n = UDP_RUN_BYTES / (len + OUTER_EXTRA);

	if (n > UDP_BATCH)
		return UDP_BATCH;
	return n > 0 ? n : 1;
}

/* One that may leave as one message stays in one batch. The kernel makes longer ones, by a packet
 * or two, and the same again and again: those are cut into full messages, so that the rest begins
 * the next message instead of being one by itself, which costs as much as a full one. */
static void outgoing_cut(struct outgoing *o, struct segments *s)
{
	const uint32_t left = segment_left(s), run = run_full(segment_max(s));
	const uint32_t full = left > run ? run : UDP_BATCH;

	if (segment_max(s) > PACKET_MAX) {
		worker_count(o->w, FWD_TOO_BIG, left);
		o->total += left; /* also what is dropped is of this turn */
		return;
	}
	if (left <= run && left > UDP_BATCH - o->n)
		outgoing_flush(o);
	while (segment_left(s) > 0) {
		const size_t size = taken_by(segment_max(s));
		struct fwd_packet *p;

		if (o->n >= full || o->cut + size > CUT_AREA)
			outgoing_flush(o);
		p = &o->w->p[o->n++];
		*p = (struct fwd_packet){.data = o->w->cut + o->cut + FWD_HEADROOM};
		p->len = segment_next(s, p->data);
		o->cut += size;
	}
}

/* Returns: whether something was read. */
static bool outgoing_read(struct outgoing *o)
{
	struct worker *w = o->w;
	uint8_t *packet = w->read + o->read + FWD_HEADROOM;
	struct vnet_hdr h;
	struct segments s;
	ssize_t len = tun_read(w->tun, w->group->conf.tun.vnet, packet, TUN_SUPER, &h);

	if (len < 0) {
		if (len != -EAGAIN && len != -EINTR && len != -ENOMEM && len != -ENOBUFS)
			worker_fail(w, "TUN device", (int)-len);
		return false;
	}
	switch (segment_begin(&s, &h, packet, (uint32_t)len)) {
	case SEGMENT_WHOLE:
		o->single++;
		if (len > PACKET_MAX) {
			worker_count(w, FWD_TOO_BIG, 1);
			o->total++;
			break;
		}
		w->p[o->n++] = (struct fwd_packet){.data = packet, .len = (uint32_t)len};
		o->read += taken_by((uint32_t)len);
		break;
	case SEGMENT_SUPER:
		outgoing_cut(o, &s);
		break;
	case SEGMENT_BAD:
		o->single++;
		worker_count(w, FWD_BAD_INNER, 1);
		o->total++;
		break;
	}
	return true;
}

void outward_tun(struct worker *w, uint64_t now)
{
	struct outgoing o = {.w = w, .now = now};

	while (o.total + o.n < TUN_TURN) {
		if (o.n == UDP_BATCH || o.read + taken_by(TUN_SUPER) > READ_AREA)
			outgoing_flush(&o);
		if (!outgoing_read(&o))
			break;
	}
	w->turn.more |= o.total + o.n >= TUN_TURN;
	outgoing_flush(&o);
	w->turn.single += o.single;
	w->turn.joined += o.total - o.single;
}

bool outward_unstage(struct worker *w, uint64_t now)
{
	struct fwd *f = w->group->conf.fwd;
	size_t n;

	for (uint32_t i = 0; i < UDP_BATCH; i++)
		w->p[i].data = w->buffers + (size_t)i * BUFFER_SIZE + FWD_HEADROOM;
	fwd_enter(f, w->number);
	n = fwd_unstage(f, w->number, w->p, UDP_BATCH, PACKET_MAX, now);
	send_out(w, (uint32_t)n, now);
	fwd_leave(f, w->number);
	return n == UDP_BATCH;
}
