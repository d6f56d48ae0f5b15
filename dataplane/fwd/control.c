/* What the control plane wants: peers, sessions, and that nothing else remains. */
#include <errno.h>
#include <stdlib.h>

#include "fwd/engine.h"
#include "fwd/seal.h"
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

static bool wg_fits(const struct fwd_session *s)
{
	return s->role <= UAPI_INITIATOR && s->transport == UAPI_UDP && !s->path.connection;
}

static bool ovpn_fits(const struct fwd *f, const struct fwd_session *s)
{
	if (!f->limits.max_peer_ids || s->role != UAPI_RESPONDER || s->key_id >= OVPN_KEY_IDS ||
		s->local_index >= OVPN_NO_PEER_ID)
		return false;
	switch ((enum uapi_transport)s->transport) {
	case UAPI_UDP:
		return !s->path.connection;
	case UAPI_TCP:
		return s->path.connection;
	}
	return false;
}

static bool session_fits(const struct fwd *f, const struct fwd_session *s)
{
	if (s->peer >= f->limits.max_peers || !aead_key_size((enum aead_cipher)s->cipher) ||
		frame_of(s->protocol, s->format) == FRAME_COUNT)
		return false;
	return s->protocol == UAPI_OPENVPN ? ovpn_fits(f, s) : wg_fits(s);
}

/* Holding the lock. OpenVPN's path waits until it is that session's turn (peer_confirm). */
static void take_path(struct peer *p, const struct session *n)
{
	if (!session_is_ovpn(n) || (!n->connection && !keyslot_current(&p->slots)))
		pathcell_store(&p->path, &n->path);
}

/* Slots first, then the table: what comes in by the table finds its slot. */
static void publish(struct fwd *f, struct peer *p, struct session *n)
{
	spin_lock(&p->lock);
	take_path(p, n);
	if (n->initiator) {
		keyslot_install_initiator(&p->slots, n);
		peer_tunnel_begin(p, n);
	} else {
		keyslot_install_responder(&p->slots, n);
	}
	spin_unlock(&p->lock);
	engine_publish(f, n);
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
	int r = session_new(&n, s, p, f->limits.workers + 1, now);
	if (r)
		return r;
	r = engine_room(f, n);
	if (r) {
		session_free(n, f->limits.workers + 1);
		return r;
	}
	f->seq_max = s->seq;
	publish(f, p, n);
	on_handshake(p);
	if (n->initiator) {
		p->ctl.prove = true;
		engine_ready(f);
	}
	engine_list(f, p);
	return 0;
}

int fwd_session_use(struct fwd *f, uint32_t peer, uint64_t seq)
{
	struct peer *p = engine_peer(f, peer);

	if (!p)
		return -ENOENT;
	spin_lock(&p->lock);
	const struct session *current = keyslot_current(&p->slots);
	const bool newer = current && current->seq > seq;
	struct session *s = newer ? NULL : keyslot_find(&p->slots, seq);
	if (s && session_is_ovpn(s))
		peer_confirm(p, s);
	else
		s = NULL;
	spin_unlock(&p->lock);
	if (s)
		engine_ready(f);
	return s || newer ? 0 : -ENOENT;
}

/* Whatever leaves the slots meanwhile is freed by this thread, so not yet. */
size_t fwd_session_farewell(struct fwd *f, uint32_t peer, uint64_t seq, uint8_t *out)
{
	struct peer *p = engine_peer(f, peer);
	struct session *s = p ? keyslot_find(&p->slots, seq) : NULL;

	if (!s || !session_is_ovpn(s) || s->connection)
		return 0;
	return seal_farewell(s, f->limits.workers, out);
}

void fwd_connection_closed(struct fwd *f, uint32_t peer, uint32_t connection)
{
	struct peer *p = engine_peer(f, peer);

	if (!p || !connection)
		return;
	spin_lock(&p->lock);
	const struct session *s = keyslot_in_use(&p->slots);
	const uint64_t seq = s && s->connection == connection ? s->seq : 0;
	keyslot_drop_connection(&p->slots, connection);
	spin_unlock(&p->lock);
	if (seq) {
		p->ctl.expired = seq;
		p->ctl.expired_reason = UAPI_END_CLOSED;
	}
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
