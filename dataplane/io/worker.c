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
#include "io/admission.h"
#include "wire/classify.h"

enum {
	/* What a packet buffer holds between its head and tail rooms. */
	PACKET_MAX = WORKER_MTU_MAX + 216,
	BUFFER_SIZE = FWD_HEADROOM + PACKET_MAX + FWD_TAILROOM,
	STAGED_MS = 4, /* how soon to look again for sessions of staged packets */
	/* Event numbers; below them are listeners. */
	EVENT_TUN = UDP_LISTENERS,
	EVENT_WAKE,
	EVENTS,
};
_Static_assert(BUFFER_SIZE % 64 == 0, "every buffer begins a cache line");

struct worker {
	struct workers *group;
	uint32_t number;
	pthread_t thread;
	int epoll;
	int wake;
	int tun;
	const struct udp_socket *sockets; /* UDP_LISTENERS */
	struct admission *admission;
	unsigned key_generation;
	uint8_t *buffers; /* UDP_BATCH times BUFFER_SIZE: one batch is in work at a time */
	struct udp_batch *batch;
	struct fwd_packet p[UDP_BATCH];
};

struct workers {
	struct workers_conf conf;
	atomic_bool stop;
	int failed; /* eventfd */
	pthread_mutex_t key_lock;
	atomic_uint key_generation;
	uint8_t key[32];
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

static void key_refresh(struct worker *w)
{
	struct workers *g = w->group;
	unsigned generation = atomic_load_explicit(&g->key_generation, memory_order_acquire);
	uint8_t key[32];

	if (generation == w->key_generation)
		return;
	pthread_mutex_lock(&g->key_lock);
	memcpy(key, g->key, sizeof(key));
	pthread_mutex_unlock(&g->key_lock);
	w->key_generation = generation;
	if (admission_set_key(w->admission, key) != 0)
		log_error("worker", "%u: admission key: no memory", w->number);
}

static void punt(struct worker *w, const struct fwd_packet *p, uint64_t now)
{
	int r = punt_send(w->group->conf.punt, &p->path, p->data, p->len);

	if (r == -EAGAIN)
		admission_punt_full(w->admission, now);
	count(w, r == 0 ? FWD_PUNTED : FWD_PUNT_FULL, 1);
}

static void handshake(struct worker *w, const struct fwd_packet *p, uint64_t now)
{
	struct wg_cookie_reply reply;

	switch (admission_check(w->admission, p->data, p->len, &p->path.remote, now, &reply)) {
	case ADMISSION_PASS:
		punt(w, p, now);
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

/* Moves the data datagrams to the front and deals with the others. Returns: how many they are. */
static uint32_t sort_out(struct worker *w, uint32_t n, uint64_t now)
{
	uint32_t data = 0, malformed = 0;

	for (uint32_t i = 0; i < n; i++) {
		switch (wire_classify(w->p[i].data, w->p[i].len)) {
		case WIRE_WG_DATA:
			w->p[data++] = w->p[i];
			break;
		case WIRE_WG_HANDSHAKE:
			handshake(w, &w->p[i], now);
			break;
		case WIRE_GARBAGE:
		case WIRE_OVPN_DATA:
		case WIRE_OVPN_CONTROL:
			malformed++;
			break;
		}
	}
	count(w, FWD_MALFORMED, malformed);
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

static void on_udp(struct worker *w, uint8_t listener, uint64_t now)
{
	struct fwd *f = w->group->conf.fwd;
	int got;
	uint32_t n;

	packets_reset(w);
	got = udp_receive(w->batch, &w->sockets[listener], listener, w->p, UDP_BATCH, PACKET_MAX);
	if (got <= 0)
		return;
	/* After receiving: a key set before a datagram was sent must judge it. */
	key_refresh(w);
	n = sort_out(w, (uint32_t)got, now);
	if (n == 0)
		return;
	fwd_enter(f, w->number);
	fwd_rx(f, w->number, w->p, n, now);
	/* Still inside: when a revocation returns, nothing of the peer is on its way any more. */
	deliver(w, n);
	fwd_leave(f, w->number);
}

/* ---- outwards ---- */

static const struct udp_socket *socket_of(const struct worker *w, uint8_t listener)
{
	if (listener >= w->group->conf.n_listeners || w->sockets[listener].fd < 0)
		return NULL;
	return &w->sockets[listener];
}

/* Sends what has the verdict SEND, in order; runs of one listener share a system call. */
static void send_out(struct worker *w, uint32_t n)
{
	uint32_t ready = 0, failed = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (w->p[i].verdict == FWD_SEND)
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
	send_out(w, n);
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
	send_out(w, (uint32_t)n);
	fwd_leave(f, w->number);
	return n == UDP_BATCH;
}

/* ---- the loop ---- */

static void on_event(struct worker *w, const struct epoll_event *e, uint64_t now)
{
	uint64_t ignored;

	switch (e->data.u32) {
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
		on_udp(w, (uint8_t)e->data.u32, now);
	}
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct workers *g = w->group;
	bool more = false;

	sem_post(&g->begun);
	while (!atomic_load_explicit(&g->stop, memory_order_acquire)) {
		bool staged = fwd_has_staged(g->conf.fwd, w->number);
		struct epoll_event events[EVENTS];
		int n = epoll_wait(w->epoll, events, EVENTS, more ? 0 : staged ? STAGED_MS : -1);
		uint64_t now = clock_mono_ms(&g->conf.clock);

		for (int i = 0; i < n; i++)
			on_event(w, &events[i], now);
		more = fwd_has_staged(g->conf.fwd, w->number) && unstage(w, now);
	}
	return NULL;
}

/* ---- life ---- */

static int watch(struct worker *w, int fd, uint32_t number)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = number};

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
		r = watch(w, w->wake, EVENT_WAKE);
	if (r == 0)
		r = watch(w, w->tun, EVENT_TUN);
	for (uint32_t i = 0; r == 0 && i < g->conf.n_listeners; i++) {
		if (w->sockets[i].fd >= 0)
			r = watch(w, w->sockets[i].fd, i);
	}
	return r;
}

static void worker_fini(struct worker *w)
{
	admission_free(w->admission);
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
	pthread_mutex_init(&g->key_lock, NULL);
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
	pthread_mutex_destroy(&g->key_lock);
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

void workers_set_key(struct workers *g, const uint8_t wg_public[32])
{
	pthread_mutex_lock(&g->key_lock);
	memcpy(g->key, wg_public, sizeof(g->key));
	pthread_mutex_unlock(&g->key_lock);
	atomic_fetch_add_explicit(&g->key_generation, 1, memory_order_release);
}

int workers_fd(const struct workers *g)
{
	return g->failed;
}
