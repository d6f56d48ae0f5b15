/* The forwarding threads. */
#include "io/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "io/admission.h"
#include "io/ovpn_admission.h"
#include "io/slice.h"
#include "io/worker_own.h"

enum {
	STAGED_MS = 4, /* how soon to look again for sessions of staged packets */
	/* Event numbers; below them are listeners. */
	EVENT_TUN = UDP_LISTENERS,
	EVENT_WAKE,
	EVENTS = 64, /* dealt with in one turn of the loop */
};

void worker_fail(struct worker *w, const char *what, int error)
{
	const uint64_t one = 1;

	log_error("worker", "%u: %s: %s", w->number, what, strerror(error));
	(void)!write(w->group->failed, &one, sizeof(one));
	(void)!epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->tun, NULL);
}

/* ---- the loop ---- */

static void on_listener(struct worker *w, uint32_t listener, uint64_t now)
{
	if (w->sockets[listener].fd >= 0)
		inward_udp(w, (uint8_t)listener, now);
	else
		tcp_accept(w->group->conf.tcp, w->number, listener, now);
}

static void on_event(struct worker *w, const struct epoll_event *e, uint64_t now)
{
	uint64_t ignored;

	if (tcp_is_connection(e->data.u64)) {
		inward_connection(w, e->data.u64, e->events, now);
		return;
	}
	switch (e->data.u64) {
	case EVENT_TUN:
		if (e->events & EPOLLERR)
			worker_fail(w, "TUN device", ENODEV);
		else
			outward_tun(w, now);
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

/* Others on this processor have gone on; rests as well when that pays. */
static void step_back(struct worker *w)
{
	const uint64_t ns = moderation_back(&w->moderation, clock_ticks_ns());
	const struct timespec t = {.tv_nsec = (long)ns};

	if (ns == 0)
		return;
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
	moderation_rested(&w->moderation, clock_ticks_ns());
}

/* Deals with what has come, and lets others on this processor go on first when that pays. */
static void turn(struct worker *w, const struct epoll_event *events, int n)
{
	const uint64_t now = clock_mono_ms(&w->group->conf.clock);

	w->turn = (struct moderation_turn){0};
	moderation_begin(&w->moderation, clock_ticks_ns());
	for (int i = 0; i < n; i++)
		on_event(w, &events[i], now);
	if (!moderation_end(&w->moderation, &w->turn, clock_ticks_ns()))
		return;
	sched_yield();
	step_back(w);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct workers *g = w->group;
	bool more = false;
	int r;

	/* Without it packets are sealed a little slower, and that is all. */
	if (aead_thread_start() != 0)
		log_warn("worker", "%u: no memory for batched cryptography", w->number);
	/* A rest is as long as it is, not up to 50 us longer. */
	(void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	r = slice_set(SLICE_WORKER_NS);
	if (r != 0)
		log_info("worker", "%u: usual time slice: %s", w->number, strerror(-r));
	sem_post(&g->begun);
	while (!atomic_load_explicit(&g->stop, memory_order_acquire)) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(w->epoll, events, EVENTS, more ? 0 : patience(w));

		if (n > 0)
			turn(w, events, n);
		const uint64_t now = clock_mono_ms(&g->conf.clock);
		tcp_tick(g->conf.tcp, w->number, now);
		more = fwd_has_staged(g->conf.fwd, w->number) && outward_unstage(w, now);
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
	w->read = aligned_alloc(64, READ_AREA);
	w->cut = aligned_alloc(64, CUT_AREA);
	w->merge = calloc(1, sizeof(*w->merge));
	if (!w->buffers || !w->read || !w->cut || !w->merge)
		return -ENOMEM;
	r = udp_batch_new(&w->batch, g->conf.offloads, PACKET_MAX);
	if (r == 0)
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

/* Packets were in it. */
static void area_free(uint8_t *area, size_t size)
{
	if (area)
		secret_wipe(area, size);
	free(area);
}

static void worker_fini(struct worker *w)
{
	admission_free(w->admission);
	ovpn_admission_free(w->ovpn_admission);
	area_free(w->buffers, (size_t)UDP_BATCH * BUFFER_SIZE);
	area_free(w->read, READ_AREA);
	area_free(w->cut, CUT_AREA);
	if (w->merge)
		secret_wipe(w->merge, sizeof(*w->merge));
	free(w->merge);
	udp_batch_free(w->batch);
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
