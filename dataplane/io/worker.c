/* The forwarding threads. */
#include "io/worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "io/admission.h"
#include "io/ovpn_admission.h"
#include "wire/classify.h"
#include "wire/ovpn_wire.h"

enum {
	/* What a packet buffer holds between its head and tail rooms. */
	PACKET_MAX = WORKER_MTU_MAX + 216,
	BUFFER_SIZE = FWD_HEADROOM + PACKET_MAX + FWD_TAILROOM,
	STAGED_MS = 4, /* how soon to look again for sessions of staged packets */
	/* Event numbers; below them are listeners. */
	EVENT_TUN = UDP_LISTENERS,
	EVENT_WAKE,
	EVENTS = 64, /* dealt with in one turn of the loop */
};
_Static_assert(BUFFER_SIZE % 64 == 0, "every buffer begins a cache line");
_Static_assert((int)PACKET_MAX >= (int)OVPN_FRAME_MAX, "frames are copied whole");
_Static_assert((int)UDP_LISTENERS == (int)TCP_LISTENERS, "they share the numbers");
_Static_assert((int)UDP_BATCH <= (int)TCP_RUN, "a batch may be one run");

/* What admission goes by. */
struct judge {
	uint8_t wg_public[32];
	uint8_t openvpn;
};

struct worker {
	struct workers *group;
	uint32_t number;
	pthread_t thread;
	int epoll;
	int wake;
	int tun;
	const struct udp_socket *sockets; /* UDP_LISTENERS */
	struct admission *admission;
	struct ovpn_admission *ovpn_admission;
	unsigned judge_generation;
	uint8_t *buffers; /* UDP_BATCH times BUFFER_SIZE: one batch is in work at a time */
	struct udp_batch *batch;
	struct fwd_packet p[UDP_BATCH];
};

struct workers {
	struct workers_conf conf;
	atomic_bool stop;
	int failed; /* eventfd */
	pthread_mutex_t judge_lock;
	atomic_uint judge_generation;
	struct judge judge;
	sem_t begun;
	uint32_t running;
	struct worker w[];
};

static void packets_reset(struct worker *w)
{
	for (uint32_t i = 0; i < UDP_BATCH; i++)
		w->p[i].data = w->buffers + (size_t)i * BUFFER_SIZE + FWD_HEADROOM;
}

static void count(const struct worker *w, enum fwd_verdict v, uint64_t n)
{
	if (n > 0)
		fwd_count(w->group->conf.fwd, w->number, v, n);
}

static void fail(struct worker *w, const char *what, int error)
{
	const uint64_t one = 1;

	log_error("worker", "%u: %s: %s", w->number, what, strerror(error));
	(void)!write(w->group->failed, &one, sizeof(one));
	/* The rest of this worker goes on until the process ends in order. */
	(void)!epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->tun, NULL);
}

/* ---- inwards ---- */

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
	count(w, r == 0 ? FWD_PUNTED : FWD_PUNT_FULL, 1);
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
		count(w, FWD_BAD_MAC1, 1);
		break;
	case ADMISSION_COOKIE:
		count(w,
			udp_send_one(
				&w->sockets[p->path.listener], &p->path, &reply, sizeof(reply)) == 0
				? FWD_COOKIE_SENT
				: FWD_SEND_FAILED,
			1);
		break;
	case ADMISSION_LIMITED:
		count(w, FWD_RATE_LIMITED, 1);
		break;
	}
}

/* A connection that carries anything else than packets that we serve is ended: it is not a
 * client's. */
static void refuse(struct worker *w, const struct fwd_packet *p, enum fwd_verdict v)
{
	count(w, v, 1);
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
		count(w, FWD_RATE_LIMITED, 1);
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
			w->p[data++] = w->p[i];
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

static void deliver(struct worker *w, uint32_t n)
{
	uint32_t delivered = 0, refused = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct fwd_packet *p = &w->p[i];

		if (p->verdict != FWD_DELIVER)
			continue;
		if (write(w->tun, p->data, p->len) == (ssize_t)p->len)
			delivered++;
		else
			refused++;
	}
	count(w, FWD_DELIVER, delivered);
	count(w, FWD_TUN_FULL, refused);
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

static void receive(struct worker *w, uint32_t n, uint64_t now)
{
	struct fwd *f = w->group->conf.fwd;

	/* After receiving: what was set before a datagram was sent must judge it. */
	judge_refresh(w);
	n = sort_out(w, n, now);
	if (n == 0)
		return;
	fwd_enter(f, w->number);
	fwd_rx(f, w->number, w->p, n, now);
	/* Still inside: when a revocation returns, nothing of the peer is on its way any more. */
	deliver(w, n);
	note_valid(w, n, now);
	fwd_leave(f, w->number);
}

static void on_udp(struct worker *w, uint8_t listener, uint64_t now)
{
	int got;

	packets_reset(w);
	got = udp_receive(w->batch, &w->sockets[listener], listener, w->p, UDP_BATCH, PACKET_MAX);
	if (got > 0)
		receive(w, (uint32_t)got, now);
}

static void on_connection(struct worker *w, const struct epoll_event *e, uint64_t now)
{
	struct tcp *t = w->group->conf.tcp;
	uint32_t got;

	if (!tcp_ready(t, w->number, e->data.u64, e->events))
		return;
	for (;;) {
		packets_reset(w);
		got = tcp_frames(t, w->number, w->p, UDP_BATCH);
		if (got == 0)
			return;
		receive(w, got, now);
	}
}

/* ---- outwards ---- */

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
		if (w->p[i].verdict == FWD_SEND && !w->p[i].path.connection)
			w->p[ready++] = w->p[i];
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
	count(w, FWD_SEND, ready - failed);
	count(w, FWD_SEND_FAILED, failed);
}

static void send_out(struct worker *w, uint32_t n, uint64_t now)
{
	send_streams(w, n, now);
	send_datagrams(w, n);
}

static void on_tun(struct worker *w, uint64_t now)
{
	struct fwd *f = w->group->conf.fwd;
	uint32_t n = 0;

	packets_reset(w);
	while (n < UDP_BATCH) {
		ssize_t r = read(w->tun, w->p[n].data, PACKET_MAX);

		if (r < 0 && errno != EAGAIN && errno != EINTR && errno != ENOMEM &&
			errno != ENOBUFS)
			fail(w, "TUN device", errno);
		if (r <= 0)
			break;
		w->p[n++].len = (uint32_t)r;
	}
	if (n == 0)
		return;
	fwd_enter(f, w->number);
	fwd_tx(f, w->number, w->p, n, now);
	send_out(w, n, now);
	fwd_leave(f, w->number);
}

/* Returns: true when there may be more. */
static bool unstage(struct worker *w, uint64_t now)
{
	struct fwd *f = w->group->conf.fwd;
	size_t n;

	packets_reset(w);
	fwd_enter(f, w->number);
	n = fwd_unstage(f, w->number, w->p, UDP_BATCH, PACKET_MAX, now);
	send_out(w, (uint32_t)n, now);
	fwd_leave(f, w->number);
	return n == UDP_BATCH;
}

/* ---- the loop ---- */

static void on_listener(struct worker *w, uint32_t listener, uint64_t now)
{
	if (w->sockets[listener].fd >= 0)
		on_udp(w, (uint8_t)listener, now);
	else
		tcp_accept(w->group->conf.tcp, w->number, listener, now);
}

static void on_event(struct worker *w, const struct epoll_event *e, uint64_t now)
{
	uint64_t ignored;

	if (tcp_is_connection(e->data.u64)) {
		on_connection(w, e, now);
		return;
	}
	switch (e->data.u64) {
	case EVENT_TUN:
		if (e->events & EPOLLERR)
			fail(w, "TUN device", ENODEV);
		else
			on_tun(w, now);
		break;
	case EVENT_WAKE:
		(void)!read(w->wake, &ignored, sizeof(ignored));
		break;
	default:
		on_listener(w, (uint32_t)e->data.u64, now);
	}
}

/* How long the loop may sleep when nothing comes. */
static int patience(const struct worker *w)
{
	if (fwd_has_staged(w->group->conf.fwd, w->number))
		return STAGED_MS;
	return tcp_has_deadlines(w->group->conf.tcp, w->number) ? TCP_TICK_MS : -1;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct workers *g = w->group;
	bool more = false;

	/* Without it packets are sealed a little slower, and that is all. */
	if (aead_thread_start() != 0)
		log_warn("worker", "%u: no memory for batched cryptography", w->number);
	sem_post(&g->begun);
	while (!atomic_load_explicit(&g->stop, memory_order_acquire)) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(w->epoll, events, EVENTS, more ? 0 : patience(w));
		uint64_t now = clock_mono_ms(&g->conf.clock);

		for (int i = 0; i < n; i++)
			on_event(w, &events[i], now);
		tcp_tick(g->conf.tcp, w->number, now);
		more = fwd_has_staged(g->conf.fwd, w->number) && unstage(w, now);
	}
	aead_thread_stop();
	return NULL;
}

/* ---- life ---- */

static int watch(struct worker *w, int fd, uint32_t number)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = number};

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

static int worker_init(struct worker *w, struct workers *g, uint32_t number)
{
	int r;

	w->group = g;
	w->number = number;
	w->tun = g->conf.tuns[number];
	w->sockets = &g->conf.sockets[(size_t)number * UDP_LISTENERS];
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->epoll < 0 || w->wake < 0)
		return -errno;
	w->buffers = aligned_alloc(64, (size_t)UDP_BATCH * BUFFER_SIZE);
	w->batch = calloc(1, sizeof(*w->batch));
	if (!w->buffers || !w->batch)
		return -ENOMEM;
	r = admission_new(&w->admission);
	if (r == 0)
		r = ovpn_admission_new(&w->ovpn_admission);
	if (r == 0)
		r = watch(w, w->wake, EVENT_WAKE);
	if (r == 0)
		r = watch(w, w->tun, EVENT_TUN);
	for (uint32_t i = 0; r == 0 && i < g->conf.n_listeners; i++) {
		if (w->sockets[i].fd >= 0)
			r = watch(w, w->sockets[i].fd, i);
	}
	return r == 0 ? tcp_attach(g->conf.tcp, number, w->epoll) : r;
}

static void worker_fini(struct worker *w)
{
	admission_free(w->admission);
	ovpn_admission_free(w->ovpn_admission);
	if (w->buffers)
		secret_wipe(w->buffers, (size_t)UDP_BATCH * BUFFER_SIZE);
	free(w->buffers);
	free(w->batch);
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->wake >= 0)
		close(w->wake);
}

int workers_new(struct workers **out, const struct workers_conf *conf)
{
	struct workers *g = calloc(1, sizeof(*g) + conf->n * sizeof(g->w[0]));
	int r = 0;

	if (!g)
		return -ENOMEM;
	g->conf = *conf;
	pthread_mutex_init(&g->judge_lock, NULL);
	sem_init(&g->begun, 0, 0);
	for (uint32_t i = 0; i < conf->n; i++)
		g->w[i].epoll = g->w[i].wake = -1;
	g->failed = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (g->failed < 0)
		r = -errno;
	for (uint32_t i = 0; r == 0 && i < conf->n; i++)
		r = worker_init(&g->w[i], g, i);
	if (r != 0)
		workers_free(g);
	else
		*out = g;
	return r;
}

void workers_free(struct workers *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->conf.n; i++)
		worker_fini(&g->w[i]);
	if (g->failed >= 0)
		close(g->failed);
	pthread_mutex_destroy(&g->judge_lock);
	sem_destroy(&g->begun);
	free(g);
}

int workers_start(struct workers *g)
{
	while (g->running < g->conf.n) {
		struct worker *w = &g->w[g->running];
		int r = pthread_create(&w->thread, NULL, run, w);

		if (r != 0) {
			workers_stop(g);
			return -r;
		}
		g->running++;
		/* Setting up a thread takes system calls that the filter will not know. */
		while (sem_wait(&g->begun) != 0)
			;
	}
	return 0;
}

void workers_stop(struct workers *g)
{
	atomic_store_explicit(&g->stop, true, memory_order_release);
	workers_wake(g);
	while (g->running > 0)
		pthread_join(g->w[--g->running].thread, NULL);
}

void workers_wake(struct workers *g)
{
	const uint64_t one = 1;

	for (uint32_t i = 0; i < g->conf.n; i++)
		(void)!write(g->w[i].wake, &one, sizeof(one));
}

void workers_set_admission(struct workers *g, const uint8_t wg_public[32], uint8_t openvpn)
{
	pthread_mutex_lock(&g->judge_lock);
	memcpy(g->judge.wg_public, wg_public, sizeof(g->judge.wg_public));
	g->judge.openvpn = openvpn;
	pthread_mutex_unlock(&g->judge_lock);
	atomic_fetch_add_explicit(&g->judge_generation, 1, memory_order_release);
}

int workers_fd(const struct workers *g)
{
	return g->failed;
}
