/*
 * Between engine and door: datagrams in, keys out, and only then the answer.
 *
 *   punt -> engine -> SESSION_SET -> acknowledged -> REINJECT of the response
 *                                                \-> (initiator) the session is up
 *   rekey wanted, dataplane restarted -> engine -> REINJECT of an initiation
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "session/loop.h"

/* How many sleeping tunnels are called per turn after a restart of the dataplane: about 5 ms. */
enum { RECALLS_PER_TURN = 32 };

uint64_t loop_now(struct coordinator *c)
{
	return clock_mono_ms(&c->conf.clock);
}

uint32_t handshake_index_alloc(void *arg)
{
	struct coordinator *c = arg;
	return c->indices ? index_pool_alloc(c->indices, loop_now(c)) : 0;
}

void handshake_index_free(void *arg, uint32_t index)
{
	struct coordinator *c = arg;
	if (c->indices)
		index_pool_release(c->indices, index, loop_now(c));
}

/* A handshake whose keys are on their way to the dataplane. */
struct keys_under_way {
	struct coordinator *c;
	struct ulid device;
	uint64_t seq;
	uint32_t local_index;
	bool initiator;
	struct path path;
	size_t reply_len;
	uint8_t reply[WG_DATAGRAM_MAX];
};

static void announce(struct dir_device *dev, const struct session_info *info)
{
	char id[ULID_TEXT], at[ENDPOINT_TEXT];
	log_info("session", "device dev_%s: connected from %s", ulid_format(&dev->conf.id, id),
		endpoint_format(&info->endpoint, at));
}

void handshake_confirmed(struct coordinator *c, struct dir_device *dev, uint64_t seq)
{
	struct live *l = session_table_find(c->table, &dev->conf.id);
	if (!l || !l->pending.seq || l->pending.seq != seq)
		return; /* an older one, or one of a control plane before us: statistics tell */
	if (!l->up || !ulid_equal(&l->info.id, &l->pending.info.id))
		announce(dev, &l->pending.info);
	session_table_up(c->table, l, &l->pending.info, &l->pending.path, &c->boot_id);
	l->seq = seq;
	wg_engine_settled(c->wg, &l->pending.info.credential_id);
	l->pending.seq = 0;
}

/* A peer that shakes hands as fast as it may, for hours, holds no more indices than others. */
static void hold_index(struct coordinator *c, const struct ulid *device, uint32_t index)
{
	struct live *l = session_table_find(c->table, device);
	if (!l || !c->indices)
		return;
	uint32_t *oldest = &l->indices[l->n_installed++ % LIVE_INDICES];
	if (*oldest)
		index_pool_reuse(c->indices, *oldest);
	*oldest = index;
}

static void on_keys_set(void *arg, int status, struct reader *r)
{
	(void)r;
	struct keys_under_way *k = arg;
	struct coordinator *c = k->c;
	struct dir_device *dev = directory_device(c->dir, &k->device);
	if (status < 0) {
		if (status != -ECONNRESET && status != -ENOTCONN)
			log_warn("session", "keys refused by the dataplane: %s", strerror(-status));
		handshake_index_free(c, k->local_index);
		struct live *l = session_table_find(c->table, &k->device);
		if (l && l->pending.seq == k->seq)
			l->pending.seq = 0;
		/* It may have been out of memory when it was told of the device. */
		if (dev && status == -ENOENT)
			(void)link_peer_set(c, &dev->conf);
	} else if (dev) {
		hold_index(c, &k->device, k->local_index);
		if (k->initiator)
			handshake_confirmed(c, dev, k->seq);
		else
			dp_client_reinject(c->dp, &k->path, k->reply, k->reply_len);
	}
	free(k);
}

static void note_greatest(
	struct coordinator *c, const struct ulid *credential, const uint8_t *stamp)
{
	if (c->n_greatest == c->cap_greatest) {
		const size_t cap = c->cap_greatest ? 2 * c->cap_greatest : 64;
		struct credential_state *grown = realloc(c->greatest, cap * sizeof(*grown));
		if (!grown)
			return; /* not stored: an old initiation may be replayed once after a
				   restart */
		c->greatest = grown;
		c->cap_greatest = cap;
	}
	struct credential_state *s = &c->greatest[c->n_greatest++];
	s->credential_id = *credential;
	memcpy(s->wg_greatest, stamp, sizeof(s->wg_greatest));
}

/* The tunnel that REST shows goes on over rekeys, as long as the same credential makes them. */
static int session_identity(
	struct coordinator *c, struct live *l, struct dir_credential *cr, struct session_info *info)
{
	const int64_t now = clock_real_ms(&c->conf.clock);
	if (l->up && ulid_equal(&l->info.credential_id, &cr->conf.id)) {
		*info = l->info;
	} else {
		*info = (struct session_info){
			.device_id = cr->conf.device_id,
			.user_id = cr->device->conf.user_id,
			.credential_id = cr->conf.id,
			.protocol = UAPI_WIREGUARD,
			.transport = UAPI_UDP,
			.cipher = AEAD_CHACHA20_POLY1305,
			.started_at = now,
		};
		int r = ulid_new(&info->id, &c->conf.clock);
		if (r < 0)
			return r;
	}
	info->last_handshake_at = now;
	return 0;
}

static int install(struct coordinator *c, struct dir_credential *cr, struct live *l,
	const struct path *path, const struct wg_result *res)
{
	struct keys_under_way *k = calloc(1, sizeof(*k));
	struct pending_session next = {
		.seq = ++c->session_seq, .local_index = res->local_index, .path = *path};
	int r = k ? session_identity(c, l, cr, &next.info) : -ENOMEM;
	if (r < 0) {
		free(k);
		return r;
	}
	next.info.endpoint = path->remote;
	*k = (struct keys_under_way){.c = c,
		.device = cr->conf.device_id,
		.seq = next.seq,
		.local_index = res->local_index,
		.initiator = res->initiator,
		.path = *path,
		.reply_len = res->reply_len};
	memcpy(k->reply, res->reply, res->reply_len);
	/* A responder's unconfirmed session is replaced by the newer one (slot rule of "next"). */
	if (l->pending.seq)
		handshake_index_free(c, l->pending.local_index);
	l->pending = next;

	struct uapi_session_set m = {
		.peer = cr->device->conf.peer,
		.seq = next.seq,
		.protocol = UAPI_WIREGUARD,
		.role = res->initiator ? UAPI_INITIATOR : UAPI_RESPONDER,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = UAPI_UDP,
		.local_index = res->local_index,
		.remote_index = res->remote_index,
		.tunnel = next.info.id,
		.tunnel_started_ms = (uint64_t)next.info.started_at,
		.handshake_ms = (uint64_t)next.info.last_handshake_at,
		.credential = cr->conf.id,
		.path = *path,
	};
	memcpy(m.seal, res->seal, sizeof(m.seal));
	memcpy(m.open, res->open, sizeof(m.open));
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_SESSION_SET_MSG);
	uapi_pack_session_set(&f.w, &m);
	secret_wipe(&m, sizeof(m));
	/* on_keys_set is called in every case and frees k. */
	(void)dp_client_request(c->dp, &f, on_keys_set, k);
	return 0;
}

void handshake_on_punt(void *arg, const struct path *from, const uint8_t *datagram, size_t len)
{
	struct coordinator *c = arg;
	if (c->link == LINK_DOWN)
		return;
	struct wg_result res;
	wg_engine_input(c->wg, datagram, len, from, loop_now(c), &res);
	c->handshakes[res.verdict]++;
	if (res.verdict == WG_SESSION) {
		struct dir_credential *cr = directory_credential(c->dir, &res.credential);
		struct live *l = cr ? session_table_get(c->table, &cr->conf.device_id) : NULL;
		int r = l ? install(c, cr, l, from, &res) : -ENOENT;
		if (r < 0) {
			log_warn("session", "a handshake came to nothing: %s", strerror(-r));
			handshake_index_free(c, res.local_index);
		}
	} else if (res.verdict != WG_COOKIE) {
		char at[ENDPOINT_TEXT];
		log_debug("session", "%s: handshake refused: %s",
			endpoint_format(&from->remote, at), wg_verdict_name(res.verdict));
	}
	/* Used up, whatever came of it. */
	if (!secret_is_zero(res.greatest, sizeof(res.greatest)))
		note_greatest(c, &res.credential, res.greatest);
	wg_result_wipe(&res);
}

/* The credential to call a device by: the one that it last came with. */
static struct dir_credential *last_credential(
	struct coordinator *c, struct dir_device *dev, struct live *l)
{
	struct dir_credential *cr = directory_credential(c->dir, &l->state.credential);
	return cr && cr->device == dev && cr->conf.protocol == DIR_WIREGUARD ? cr : NULL;
}

void handshake_call(struct coordinator *c, struct dir_device *dev, const char *why)
{
	struct live *l = session_table_find(c->table, &dev->conf.id);
	if (!l || l->state.path.remote.addr.family == IP_NONE)
		return;
	struct dir_credential *cr = last_credential(c, dev, l);
	if (!cr)
		return;
	struct wg_out out;
	int r = wg_engine_initiate(c->wg, &cr->conf.id, &l->state.path, loop_now(c),
		clock_real_us(&c->conf.clock), &out);
	if (r == 0) {
		char id[ULID_TEXT];
		log_debug("session", "device dev_%s: calling it: %s",
			ulid_format(&dev->conf.id, id), why);
		dp_client_reinject(c->dp, &out.path, out.bytes, out.len);
	} else if (r != -EAGAIN) {
		log_warn("session", "an initiation was not made: %s", strerror(-r));
	}
}

void handshake_tick(struct coordinator *c)
{
	if (c->link != LINK_SYNCED)
		return;
	for (int i = 0; i < RECALLS_PER_TURN && c->n_recalls; i++) {
		struct dir_device *dev = directory_device(c->dir, &c->recalls[--c->n_recalls]);
		struct live *l = dev ? session_table_find(c->table, &dev->conf.id) : NULL;
		if (!l || l->up)
			continue;
		handshake_call(c, dev, "the dataplane was restarted");
	}
	struct wg_out out;
	while (wg_engine_due(c->wg, loop_now(c), clock_real_us(&c->conf.clock), &out))
		dp_client_reinject(c->dp, &out.path, out.bytes, out.len);
}
