/* The engine's skeleton: making, freeing, the active list, and what is freed only after every
 * worker has been outside. Control thread, but for engine_wake and engine_ready. */
#include "fwd/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool limits_fit(const struct fwd_limits *l)
{
	if (l->max_peer_ids > OVPN_PEER_IDS || l->max_peer_ids & (l->max_peer_ids - 1))
		return false;
	return l->workers >= 1 && l->workers <= 64 && l->max_peers && l->max_indices &&
	       !(l->max_indices & (l->max_indices - 1)) && l->mtu_max >= 68 && l->mtu_max <= 65535;
}

static int workers_new(struct fwd *f)
{
	size_t size = (f->limits.workers + 1) * sizeof(f->workers[0]);

	f->workers = aligned_alloc(64, size);
	if (!f->workers)
		return -ENOMEM;
	memset(f->workers, 0, size);
	for (uint32_t i = 0; i < f->limits.workers; i++) {
		int r = stage_init(
			&f->workers[i].stage, i, f->limits.stage_slots, f->limits.mtu_max);
		if (r)
			return r;
	}
	return 0;
}

int fwd_new(struct fwd **out, const struct fwd_limits *limits)
{
	if (!limits_fit(limits))
		return -EINVAL;
	struct fwd *f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->limits = *limits;
	atomic_store(&f->mtu, limits->mtu_max);
	f->peers = calloc(limits->max_peers, sizeof(f->peers[0]));
	f->index = calloc(limits->max_indices, sizeof(f->index[0]));
	/* One more, so that there is something to ask for nothing. */
	f->ovpn = calloc((size_t)limits->max_peer_ids * OVPN_KEY_IDS + 1, sizeof(f->ovpn[0]));
	/* Two addresses each, and two more while a peer changes its own. */
	if (!f->peers || !f->index || !f->ovpn || origins_init(&f->origins, limits->max_peers) ||
		routes_init(&f->routes, limits->max_peers * 2 + 2) || workers_new(f)) {
		fwd_free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

void fwd_free(struct fwd *f)
{
	struct peer *doomed = NULL;

	if (!f)
		return;
	for (uint32_t i = 0; f->peers && f->workers && i < f->limits.max_peers; i++)
		if (f->peers[i])
			doomed = engine_unpublish(f, f->peers[i], doomed);
	if (doomed)
		engine_release(f, doomed);
	for (uint32_t i = 0; f->workers && i < f->limits.workers; i++)
		stage_fini(&f->workers[i].stage);
	if (atomic_load(&f->routes.table))
		routes_fini(&f->routes);
	origins_fini(&f->origins);
	free(f->workers);
	free(f->index);
	free(f->ovpn);
	free(f->peers);
	free(f);
}

void fwd_set_mtu(struct fwd *f, uint32_t mtu)
{
	atomic_store_explicit(&f->mtu, mtu, memory_order_relaxed);
}

void fwd_enter(struct fwd *f, uint32_t worker)
{
	qsbr_enter(&f->workers[worker].qsbr);
}

void fwd_leave(struct fwd *f, uint32_t worker)
{
	qsbr_leave(&f->workers[worker].qsbr);
}

void engine_wait(struct fwd *f)
{
	for (uint32_t i = 0; i < f->limits.workers; i++)
		qsbr_wait(&f->workers[i].qsbr);
}

struct peer *engine_peer(const struct fwd *f, uint32_t id)
{
	return id < f->limits.max_peers ? f->peers[id] : NULL;
}

/* ---- the active list ---- */

void engine_wake(struct fwd *f, struct peer *p)
{
	if (atomic_load_explicit(&p->listed, memory_order_seq_cst) ||
		atomic_exchange_explicit(&p->listed, true, memory_order_seq_cst))
		return;
	p->woken_next = atomic_load_explicit(&f->woken, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(
		&f->woken, &p->woken_next, p, memory_order_release, memory_order_relaxed))
		;
}

void engine_ready(struct fwd *f)
{
	atomic_fetch_add_explicit(&f->ready, 1, memory_order_release);
}

static void link_active(struct fwd *f, struct peer *p)
{
	p->ctl.prev = NULL;
	p->ctl.next = f->active;
	if (f->active)
		f->active->ctl.prev = p;
	f->active = p;
}

void engine_drain_woken(struct fwd *f)
{
	struct peer *p = atomic_exchange_explicit(&f->woken, NULL, memory_order_acquire);

	while (p) {
		struct peer *next = p->woken_next;
		link_active(f, p);
		p = next;
	}
}

void engine_list(struct fwd *f, struct peer *p)
{
	if (!atomic_exchange_explicit(&p->listed, true, memory_order_seq_cst))
		link_active(f, p);
}

/* A worker may wish something at the same moment: it has set its wish before it looks at listed,
 * and the tick looks at the wishes again after clearing it (tick.c). */
void engine_unlist(struct fwd *f, struct peer *p)
{
	if (p->ctl.prev)
		p->ctl.prev->ctl.next = p->ctl.next;
	else
		f->active = p->ctl.next;
	if (p->ctl.next)
		p->ctl.next->ctl.prev = p->ctl.prev;
	atomic_store_explicit(&p->listed, false, memory_order_seq_cst);
}

/* ---- the way out ---- */

static _Atomic(struct session *) *place_of(const struct fwd *f, const struct session *s)
{
	return session_is_ovpn(s) ? engine_ovpn(f, s->local_index, s->key_id)
				  : engine_index(f, s->local_index);
}

/* A place is free once the one that left its slot is buried. */
static bool place_free(struct fwd *f, _Atomic(struct session *) *place)
{
	const struct session *there = atomic_load_explicit(place, memory_order_relaxed);

	if (!there)
		return true;
	if (!atomic_load_explicit(&there->dead, memory_order_acquire))
		return false;
	struct session *dead = engine_collect(f, there->peer, NULL);
	engine_wait(f);
	engine_bury(f, dead);
	return !atomic_load_explicit(place, memory_order_relaxed);
}

int engine_room(struct fwd *f, const struct session *s)
{
	if (s->frame == FRAME_OVPN_V1)
		return origins_room(&f->origins, s) ? 0 : -ENOMEM;
	return place_free(f, place_of(f, s)) ? 0 : -EEXIST;
}

void engine_publish(struct fwd *f, struct session *s)
{
	if (s->frame == FRAME_OVPN_V1)
		origins_add(&f->origins, s);
	else
		atomic_store_explicit(place_of(f, s), s, memory_order_release);
}

static void unpublish(struct fwd *f, const struct session *s)
{
	if (s->frame == FRAME_OVPN_V1) {
		origins_remove(&f->origins, s);
		return;
	}
	_Atomic(struct session *) *place = place_of(f, s);
	if (atomic_load_explicit(place, memory_order_relaxed) == s)
		atomic_store_explicit(place, NULL, memory_order_release);
}

struct session *engine_collect(struct fwd *f, struct peer *p, struct session *list)
{
	spin_lock(&p->lock);
	struct session *s = keyslot_take_out(&p->slots);
	spin_unlock(&p->lock);

	while (s) {
		struct session *next = s->next;
		unpublish(f, s);
		s->next = list;
		list = s;
		s = next;
	}
	return list;
}

void engine_bury(struct fwd *f, struct session *list)
{
	while (list) {
		struct session *next = list->next;
		session_free(list, f->limits.workers + 1);
		list = next;
	}
}

void engine_purge(struct fwd *f, struct peer *p)
{
	for (uint32_t i = 0; i < f->limits.workers; i++)
		stage_purge(&f->workers[i].stage, p);
}

struct peer *engine_unpublish(struct fwd *f, struct peer *p, struct peer *doomed)
{
	struct peer_addrs *a = atomic_load(&p->addrs);

	routes_remove(&f->routes, &a->v4);
	routes_remove(&f->routes, &a->v6);
	spin_lock(&p->lock);
	keyslot_drop(&p->slots, NULL);
	spin_unlock(&p->lock);
	f->peers[p->id] = NULL;
	f->n_peers--;
	p->ctl.doomed_next = doomed;
	return p;
}

void engine_release(struct fwd *f, struct peer *doomed)
{
	struct session *dead = NULL;

	for (struct peer *p = doomed; p; p = p->ctl.doomed_next)
		dead = engine_collect(f, p, dead);
	engine_wait(f);
	engine_drain_woken(f);
	engine_bury(f, dead);
	while (doomed) {
		struct peer *p = doomed;
		doomed = p->ctl.doomed_next;
		engine_purge(f, p);
		if (atomic_load(&p->listed))
			engine_unlist(f, p);
		peer_free(p);
	}
	routes_reclaim(&f->routes);
}
