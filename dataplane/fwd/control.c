/* What the control plane wants: peers, sessions, and that nothing else remains. */
#include <errno.h>
#include <stdlib.h>

#include "fwd/engine.h"
#include "fwd/timers.h"
#include "uapi/uapi.h"

/* ---- peers ---- */

/* Another peer has the address. While a sync runs, the picture is being drawn anew: one that it
 * has not named yet gives the address up. */
static bool taken(struct fwd *f, const struct ip_addr *a, uint32_t id)
{
	const struct peer *q = a->family ? routes_lookup(&f->routes, a) : NULL;

	return q && q->id != id && !(f->syncing && q->ctl.mark != f->sync_mark);
}

/* Replaces the addresses that sources are compared with. Returns: the old ones, to be freed after
 * the workers were waited for. */
static struct peer_addrs *swap_addrs(struct peer *p, struct peer_addrs *a)
{
	return atomic_exchange_explicit(&p->addrs, a, memory_order_acq_rel);
}

/* Takes an address away from whoever has it. Returns: 0, -ENOMEM. */
static int strip(struct fwd *f, const struct ip_addr *a, uint32_t id)
{
	struct peer *q = a->family ? routes_lookup(&f->routes, a) : NULL;

	if (!q || q->id == id)
		return 0;
	struct peer_addrs *left = malloc(sizeof(*left));
	if (!left)
		return -ENOMEM;
	*left = *atomic_load(&q->addrs);
	*(a->family == IP_V4 ? &left->v4 : &left->v6) = (struct ip_addr){0};
	routes_remove(&f->routes, a);
	struct peer_addrs *old = swap_addrs(q, left);
	engine_wait(f);
	free(old);
	return 0;
}

/* Returns: 0 (also when there is nothing to add), -ENOMEM. */
static int add_new(
	struct fwd *f, struct peer *p, const struct ip_addr *from, const struct ip_addr *to)
{
	return to->family && !ip_addr_equal(from, to) ? routes_add(&f->routes, to, p) : 0;
}

static void remove_old(struct fwd *f, const struct ip_addr *from, const struct ip_addr *to)
{
	if (from->family && !ip_addr_equal(from, to))
		routes_remove(&f->routes, from);
}

/* What can fail comes first; the new addresses belong to nobody else, so the order in which
 * workers see routes and source check change does not matter. */
static int readdress(struct fwd *f, struct peer *p, const struct peer_addrs *to)
{
	struct peer_addrs *was = atomic_load(&p->addrs);
	struct peer_addrs *mine = malloc(sizeof(*mine));
	int r = mine ? add_new(f, p, &was->v4, &to->v4) : -ENOMEM;

	if (!r) {
		r = add_new(f, p, &was->v6, &to->v6);
		if (r)
			remove_old(f, &to->v4, &was->v4);
	}
	if (r) {
		engine_wait(f);
		routes_reclaim(&f->routes);
		free(mine);
		return r;
	}
	*mine = *to;
	remove_old(f, &was->v4, &to->v4);
	remove_old(f, &was->v6, &to->v6);
	swap_addrs(p, mine);
	engine_wait(f);
	free(was);
	routes_reclaim(&f->routes);
	return 0;
}

static int peer_create(struct fwd *f, uint32_t id, const struct peer_addrs *a)
{
	struct peer *p = peer_new(id, f->epoch + 1, a, f->limits.workers);

	if (!p)
		return -ENOMEM;
	if ((a->v4.family && routes_add(&f->routes, &a->v4, p)) ||
		(a->v6.family && routes_add(&f->routes, &a->v6, p))) {
		routes_remove(&f->routes, &a->v4);
		engine_wait(f);
		routes_reclaim(&f->routes);
		peer_free(p);
		return -ENOMEM;
	}
	f->epoch++;
	f->n_peers++;
	f->peers[id] = p;
	return 0;
}

int fwd_peer_set(
	struct fwd *f, uint32_t peer, const struct ip_addr *addr4, const struct ip_addr *addr6)
{
	struct peer_addrs a = {*addr4, *addr6};

	if (peer >= f->limits.max_peers || (a.v4.family && a.v4.family != IP_V4) ||
		(a.v6.family && a.v6.family != IP_V6) || (!a.v4.family && !a.v6.family))
		return -EINVAL;
	if (taken(f, &a.v4, peer) || taken(f, &a.v6, peer))
		return -EEXIST;
	int r = strip(f, &a.v4, peer);
	if (!r)
		r = strip(f, &a.v6, peer);
	if (r)
		return r;

	struct peer *p = f->peers[peer];
	if (!p) {
		r = peer_create(f, peer, &a);
	} else {
		const struct peer_addrs *now = atomic_load(&p->addrs);
		if (!ip_addr_equal(&now->v4, &a.v4) || !ip_addr_equal(&now->v6, &a.v6))
			r = readdress(f, p, &a);
	}
	if (!r)
		f->peers[peer]->ctl.mark = f->sync_mark;
	return r;
}

int fwd_peer_del(struct fwd *f, uint32_t peer)
{
	struct peer *p = engine_peer(f, peer);

	if (!p)
		return -ENOENT;
	engine_release(f, engine_unpublish(f, p, NULL));
	return 0;
}

void fwd_sync_begin(struct fwd *f)
{
	f->sync_mark++;
	f->syncing = true;
}

uint32_t fwd_sync_end(struct fwd *f)
{
	struct peer *doomed = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; f->syncing && i < f->limits.max_peers; i++) {
		struct peer *p = f->peers[i];
		if (!p || p->ctl.mark == f->sync_mark)
			continue;
		doomed = engine_unpublish(f, p, doomed);
		n++;
	}
	f->syncing = false;
	if (doomed)
		engine_release(f, doomed);
	return n;
}

/* ---- sessions ---- */

static bool session_fits(const struct fwd *f, const struct fwd_session *s)
{
	return s->peer < f->limits.max_peers && s->protocol == UAPI_WIREGUARD &&
	       s->role <= UAPI_INITIATOR && aead_key_size((enum aead_cipher)s->cipher) &&
	       (s->transport == UAPI_UDP || s->transport == UAPI_TCP);
}

/* A slot is free once the one that left it is buried. */
static bool index_free(struct fwd *f, uint32_t local_index)
{
	_Atomic(struct session *) *slot = &f->index[local_index & (f->limits.max_indices - 1)];
	const struct session *there = atomic_load_explicit(slot, memory_order_relaxed);

	if (!there)
		return true;
	if (!atomic_load_explicit(&there->dead, memory_order_acquire))
		return false;
	struct session *dead = engine_collect(f, there->peer, NULL);
	engine_wait(f);
	engine_bury(f, dead);
	return !atomic_load_explicit(slot, memory_order_relaxed);
}

/* Slots first, then the index: what comes in by the index finds its slot. */
static void publish(struct fwd *f, struct peer *p, struct session *n, const struct path *path)
{
	spin_lock(&p->lock);
	pathcell_store(&p->path, path);
	if (n->initiator) {
		keyslot_install_initiator(&p->slots, n);
		peer_tunnel_begin(p, n);
	} else {
		keyslot_install_responder(&p->slots, n);
	}
	spin_unlock(&p->lock);
	atomic_store_explicit(
		&f->index[n->local_index & (f->limits.max_indices - 1)], n, memory_order_release);
}

int fwd_session_set(struct fwd *f, const struct fwd_session *s, uint64_t now)
{
	struct session *n;

	if (!session_fits(f, s))
		return -EINVAL;
	struct peer *p = f->peers[s->peer];
	if (!p)
		return -ENOENT;
	if (s->seq <= f->seq_max)
		return -EALREADY;
	if (!index_free(f, s->local_index))
		return -EEXIST;
	int r = session_new(&n, s, p, f->limits.workers + 1, now);
	if (r)
		return r;
	f->seq_max = s->seq;
	publish(f, p, n, &s->path);
	on_handshake(p);
	if (n->initiator) {
		p->ctl.prove = true;
		engine_ready(f);
	}
	engine_list(f, p);
	return 0;
}

int fwd_session_del(struct fwd *f, uint32_t peer, const struct ulid *credential)
{
	struct peer *p = engine_peer(f, peer);

	if (!p)
		return 0;
	spin_lock(&p->lock);
	keyslot_drop(&p->slots, ulid_is_zero(credential) ? NULL : credential);
	spin_unlock(&p->lock);
	struct session *dead = engine_collect(f, p, NULL);
	engine_wait(f);
	engine_bury(f, dead);
	engine_purge(f, p);
	return 0;
}

uint64_t fwd_session_seq(const struct fwd *f)
{
	return f->seq_max;
}
