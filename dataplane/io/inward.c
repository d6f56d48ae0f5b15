/* The way in: datagrams and frames to packets for the device, handshakes to the control plane. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "io/admission.h"
#include "io/ovpn_admission.h"
#include "io/worker_own.h"
#include "wire/classify.h"

static void judge_refresh(struct worker *w)
{
	struct workers *g = w->group;
	unsigned generation = atomic_load_explicit(&g->judge_generation, memory_order_acquire);
	struct judge judge;

	if (generation == w->judge_generation)
		return;
	pthread_mutex_lock(&g->judge_lock);
	judge = g->judge;
	pthread_mutex_unlock(&g->judge_lock);
	w->judge_generation = generation;
	if (admission_set_key(w->admission, judge.wg_public) != 0)
		log_error("worker", "%u: admission key: no memory", w->number);
	ovpn_admission_serve(w->ovpn_admission, judge.openvpn);
}

/* Returns: whether the control plane has it. */
static bool punt(struct worker *w, const struct fwd_packet *p, uint64_t now)
{
	int r = punt_send(w->group->conf.punt, &p->path, p->data, p->len);

	if (r == -EAGAIN)
		admission_punt_full(w->admission, now);
	worker_count(w, r == 0 ? FWD_PUNTED : FWD_PUNT_FULL, 1);
	return r == 0;
}

static void wg_handshake(struct worker *w, const struct fwd_packet *p, uint64_t now)
{
	struct wg_cookie_reply reply;

	switch (admission_check(w->admission, p->data, p->len, &p->path.remote, now, &reply)) {
	case ADMISSION_PASS:
		(void)punt(w, p, now);
		break;
	case ADMISSION_BAD_MAC1:
		worker_count(w, FWD_BAD_MAC1, 1);
		break;
	case ADMISSION_COOKIE:
		worker_count(w,
			udp_send_one(
				&w->sockets[p->path.listener], &p->path, &reply, sizeof(reply)) == 0
				? FWD_COOKIE_SENT
				: FWD_SEND_FAILED,
			1);
		break;
	case ADMISSION_LIMITED:
		worker_count(w, FWD_RATE_LIMITED, 1);
		break;
	}
}

/* A connection that carries anything else than packets that we serve is ended: it is not a
 * client's. */
static void refuse(struct worker *w, const struct fwd_packet *p, enum fwd_verdict v)
{
	worker_count(w, v, 1);
	if (p->path.connection)
		tcp_refuse(w->group->conf.tcp, w->number, p->path.connection);
}

static void ovpn_control(struct worker *w, const struct fwd_packet *p, uint64_t now)
{
	switch (ovpn_admission_check(w->ovpn_admission, p->data, p->len, &p->path.remote, now)) {
	case OVPN_ADMISSION_PASS:
		if (punt(w, p, now) && p->path.connection)
			tcp_punted(w->group->conf.tcp, w->number, p->path.connection);
		break;
	case OVPN_ADMISSION_MALFORMED:
		refuse(w, p, FWD_MALFORMED);
		break;
	case OVPN_ADMISSION_NOT_CONFIGURED:
		refuse(w, p, FWD_NOT_CONFIGURED);
		break;
	case OVPN_ADMISSION_LIMITED:
		worker_count(w, FWD_RATE_LIMITED, 1);
		break;
	}
}

static enum wire_class class_of(const struct fwd_packet *p)
{
	enum wire_class c = wire_classify(p->data, p->len);
	bool openvpn = c == WIRE_OVPN_DATA || c == WIRE_OVPN_CONTROL;

	return p->path.connection && !openvpn ? WIRE_GARBAGE : c;
}

/* Moves the data datagrams to the front and deals with the others. Returns: how many they are. */
static uint32_t sort_out(struct worker *w, uint32_t n, uint64_t now)
{
	uint32_t data = 0;

	for (uint32_t i = 0; i < n; i++) {
		switch (class_of(&w->p[i])) {
		case WIRE_WG_DATA:
		case WIRE_OVPN_DATA:
			if (data != i)
				w->p[data] = w->p[i];
			data++;
			break;
		case WIRE_WG_HANDSHAKE:
			wg_handshake(w, &w->p[i], now);
			break;
		case WIRE_OVPN_CONTROL:
			ovpn_control(w, &w->p[i], now);
			break;
		case WIRE_GARBAGE:
			refuse(w, &w->p[i], FWD_MALFORMED);
			break;
		}
	}
	return data;
}

/* Writes packets of a frame that the kernel did not take whole. Returns: how many it took. */
static uint32_t write_apart(struct worker *w, uint32_t frame)
{
	const struct vnet_hdr none = {0};
	struct iovec packets[MERGE_RUN];
	size_t n = merge_apart(w->merge, frame, packets);
	uint32_t delivered = 0;

	for (size_t i = 0; i < n; i++) {
		struct iovec iov[2] = {{0}, packets[i]};

		delivered += tun_write(w->tun, w->group->conf.tun.vnet, &none, iov, 1) == 0;
	}
	return delivered;
}

/* Returns: how many of its packets the device took. */
static uint32_t write_frame(struct worker *w, uint32_t frame)
{
	const struct workers_conf *conf = &w->group->conf;
	struct iovec iov[1 + MERGE_RUN];
	struct vnet_hdr h;
	size_t n = merge_frame(w->merge, frame, &h, iov + 1);
	int r = tun_write(w->tun, conf->tun.vnet, &h, iov, n);

	if (r == 0)
		return (uint32_t)n;
	if (n == 1 || r != -EINVAL)
		return 0;
	offloads_drop(conf->offloads, UAPI_OFFLOAD_TUN_GRO, -r);
	return write_apart(w, frame);
}

static void merge_start(struct worker *w)
{
	const struct workers_conf *conf = &w->group->conf;
	bool on = conf->tun.vnet && offloads_has(conf->offloads, UAPI_OFFLOAD_TUN_GRO);

	merge_begin(w->merge, on, on && conf->tun.udp);
}

/* Writes what waits in the merge, and begins anew. */
static void merge_write(struct worker *w)
{
	uint32_t delivered = 0;

	for (uint32_t i = 0; i < w->merge->n_runs; i++)
		delivered += write_frame(w, i);
	worker_count(w, FWD_DELIVER, delivered);
	worker_count(w, FWD_TUN_FULL, w->merge->n_packets - delivered);
	merge_start(w);
}

static void deliver(struct worker *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct fwd_packet *p = &w->p[i];

		if (p->verdict != FWD_DELIVER || merge_add(w->merge, p->data, p->len))
			continue;
		merge_write(w);
		(void)!merge_add(w->merge, p->data, p->len); /* there is room now */
	}
}

/* A batch from TCP is of one connection; the last valid packet says whose it is. */
static void note_valid(struct worker *w, uint32_t n, uint64_t now)
{
	for (uint32_t i = n; i-- > 0;) {
		const struct fwd_packet *p = &w->p[i];

		if (!p->path.connection)
			return;
		if (p->verdict == FWD_DELIVER || p->verdict == FWD_KEEPALIVE) {
			tcp_valid(w->group->conf.tcp, w->number, p->path.connection, p->peer, now);
			return;
		}
	}
}

/* Between fwd_enter and fwd_leave, and between merge_start and merge_write. */
static void take_in(struct worker *w, uint32_t n, uint64_t now)
{
	n = sort_out(w, n, now);
	if (n == 0)
		return;
	fwd_rx(w->group->conf.fwd, w->number, w->p, n, now);
	deliver(w, n);
	note_valid(w, n, now);
}

/* After receiving: what was set before a datagram was sent must judge it. */
static void take_begin(struct worker *w)
{
	judge_refresh(w);
	fwd_enter(w->group->conf.fwd, w->number);
	merge_start(w);
}

/* Still inside: when a revocation returns, nothing of the peer is on its way any more. */
static void take_end(struct worker *w)
{
	merge_write(w);
	fwd_leave(w->group->conf.fwd, w->number);
}

void inward_udp(struct worker *w, uint8_t listener, uint64_t now)
{
	int got = udp_receive(w->batch, &w->sockets[listener]);
	uint32_t n, taken = 0;

	if (got <= 0)
		return;
	w->turn.more |= (uint32_t)got == w->batch->n;
	take_begin(w);
	while ((n = udp_take(w->batch, listener, w->p, UDP_BATCH)) > 0) {
		taken += n;
		take_in(w, n, now);
	}
	take_end(w);
	w->turn.single += (uint32_t)got;
	w->turn.joined += taken - (uint32_t)got;
}

void inward_connection(struct worker *w, uint64_t number, uint32_t events, uint64_t now)
{
	struct tcp *t = w->group->conf.tcp;
	uint32_t got;

	if (!tcp_ready(t, w->number, number, events))
		return;
	w->turn.more |= tcp_read_full(t, w->number);
	for (;;) {
		got = tcp_frames(t, w->number, w->p, UDP_BATCH);
		if (got == 0)
			return;
		w->turn.single += got;
		take_begin(w);
		take_in(w, got, now);
		take_end(w);
	}
}
