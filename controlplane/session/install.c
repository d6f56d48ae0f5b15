/*
 * New keys on their way to the dataplane, whoever agreed on them.
 *
 *   SESSION_SET -> acknowledged -> WireGuard responder: REINJECT of the response
 *                              \-> WireGuard initiator: the session is up
 *                              \-> OpenVPN: the engine goes on
 *   first packet on them, or SESSION_USE -> SESSION_CONFIRMED -> the session is up
 *
 * A device has at most one set of keys that is not confirmed yet: the newest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "session/loop.h"

void new_keys_wipe(struct new_keys *n)
{
	secret_wipe(&n->set, sizeof(n->set));
}

struct keys_under_way {
	struct coordinator *c;
	struct ulid device;
	uint64_t seq;
	uint32_t local_index;
	uint8_t protocol, key_id;
	bool initiator;
	uint64_t channel;
	struct path path;
	size_t reply_len;
	uint8_t reply[WG_DATAGRAM_MAX];
};

static void announce(struct coordinator *c, struct dir_device *dev, const struct session_info *info,
	uint64_t channel)
{
	char id[ULID_TEXT], at[ENDPOINT_TEXT], client[64] = "";
	if (channel)
		channels_describe(c, channel, client, sizeof(client));
	log_info("session", "device dev_%s: connected from %s, %s%s%s",
		ulid_format(&dev->conf.id, id), endpoint_format(&info->endpoint, at),
		info->protocol == UAPI_OPENVPN ? "openvpn" : "wireguard", client[0] ? " " : "",
		client);
}

void install_confirmed(struct coordinator *c, struct dir_device *dev, uint64_t seq)
{
	struct live *l = session_table_find(c->table, &dev->conf.id);
	if (!l || !l->pending.seq || l->pending.seq != seq)
		return; /* an older one, or one of a control plane before us: statistics tell */
	const uint64_t replaced = l->channel != l->pending.channel ? l->channel : 0;
	if (!l->up || !ulid_equal(&l->info.id, &l->pending.info.id))
		announce(c, dev, &l->pending.info, l->pending.channel);
	session_table_up(c->table, l, &l->pending.info, &l->pending.path, &c->boot_id);
	/* From now on the client has these keys for certain; before, it had only the last ones. */
	session_table_farewell(c->table, l, &l->pending.farewell);
	l->seq = seq;
	l->channel = l->pending.channel;
	l->pending.seq = 0;
	if (l->info.protocol == UAPI_WIREGUARD)
		wg_engine_settled(c->wg, &l->info.credential_id);
	if (replaced)
		channels_replaced(c, replaced);
}

uint64_t install_give_up(struct live *l, const struct ulid *credential)
{
	if (!l->pending.seq || !ulid_equal(&l->pending.info.credential_id, credential))
		return 0;
	l->pending.seq = 0;
	return l->pending.channel;
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

static void refused(struct keys_under_way *k, struct dir_device *dev, int status)
{
	struct coordinator *c = k->c;
	if (status != -ECONNRESET && status != -ENOTCONN)
		log_warn("session", "keys refused by the dataplane: %s", strerror(-status));
	struct live *l = session_table_find(c->table, &k->device);
	if (l && l->pending.seq == k->seq)
		l->pending.seq = 0;
	/* It may have been out of memory when it was told of the device. */
	if (dev && status == -ENOENT)
		(void)link_peer_set(c, &dev->conf);
	if (k->protocol == UAPI_WIREGUARD)
		handshake_index_free(c, k->local_index);
}

static bool is_expected(const struct keys_under_way *k)
{
	const struct live *l = session_table_find(k->c->table, &k->device);
	return l && l->pending.seq == k->seq;
}

/* The reply's tail. Keys that are confirmed later bring it into the device's state. */
static void take_farewell(const struct keys_under_way *k, struct reader *r)
{
	struct live *l = session_table_find(k->c->table, &k->device);
	struct uapi_reply m;
	uapi_unpack_reply(r, &m);
	const size_t n = reader_left(r);
	const uint8_t *bytes = reader_view(r, n);
	if (reader_end(r) < 0 || !l || l->pending.seq != k->seq || n > UAPI_FAREWELL_MAX)
		return;
	l->pending.farewell.len = (uint8_t)n;
	if (n)
		memcpy(l->pending.farewell.bytes, bytes, n);
}

static void on_keys_set(void *arg, int status, struct reader *r)
{
	struct keys_under_way *k = arg;
	struct coordinator *c = k->c;
	struct dir_device *dev = directory_device(c->dir, &k->device);
	const bool ok = status == 0 && dev;
	if (ok && r)
		take_farewell(k, r);
	if (status < 0) {
		refused(k, dev, status);
	} else if (ok && k->protocol == UAPI_WIREGUARD) {
		hold_index(c, &k->device, k->local_index);
		if (k->initiator)
			install_confirmed(c, dev, k->seq);
		else if (is_expected(k)) /* not revoked or replaced meanwhile */
			dp_client_reinject(c->dp, &k->path, k->reply, k->reply_len);
	}
	if (k->protocol == UAPI_OPENVPN)
		channels_keys_done(c, k->channel, k->key_id, ok);
	free(k);
}

/* Whether the tunnel that REST shows goes on with these keys: it does over rekeys. WireGuard knows
 * them by the credential, OpenVPN by the control channel. */
static bool same_tunnel(
	const struct live *l, const struct dir_credential *cr, const struct new_keys *n)
{
	if (!l->up || !ulid_equal(&l->info.credential_id, &cr->conf.id) ||
		l->info.protocol != n->set.protocol)
		return false;
	return n->set.protocol == UAPI_WIREGUARD || (!n->first && l->channel == n->channel);
}

static int session_identity(struct coordinator *c, struct live *l, struct dir_credential *cr,
	const struct new_keys *n, struct session_info *info)
{
	const int64_t now = clock_real_ms(&c->conf.clock);
	if (same_tunnel(l, cr, n)) {
		*info = l->info;
	} else {
		*info = (struct session_info){
			.device_id = cr->conf.device_id,
			.user_id = cr->device->conf.user_id,
			.credential_id = cr->conf.id,
			.protocol = n->set.protocol,
			.transport = n->set.transport,
			.started_at = now,
		};
		int r = ulid_new(&info->id, &c->conf.clock);
		if (r < 0)
			return r;
	}
	info->cipher = n->set.cipher;
	info->tls = n->set.tls;
	info->endpoint = n->set.path.remote;
	info->last_handshake_at = now;
	return 0;
}

static void fill(struct uapi_session_set *m, const struct dir_credential *cr,
	const struct pending_session *next)
{
	m->peer = cr->device->conf.peer;
	m->seq = next->seq;
	m->tunnel = next->info.id;
	m->tunnel_started_ms = (uint64_t)next->info.started_at;
	m->handshake_ms = (uint64_t)next->info.last_handshake_at;
	m->credential = cr->conf.id;
}

int install_keys(struct coordinator *c, struct dir_credential *cr, struct new_keys *n)
{
	struct live *l = session_table_get(c->table, &cr->conf.device_id);
	struct keys_under_way *k = calloc(1, sizeof(*k));
	struct pending_session next = {.seq = ++c->session_seq,
		.local_index = n->set.local_index,
		.protocol = n->set.protocol,
		.key_id = n->set.key_id,
		.channel = n->channel,
		.path = n->set.path};
	int r = k && l ? session_identity(c, l, cr, n, &next.info) : -ENOMEM;
	if (!k || r < 0) {
		free(k);
		return r;
	}
	*k = (struct keys_under_way){.c = c,
		.device = cr->conf.device_id,
		.seq = next.seq,
		.local_index = n->set.local_index,
		.protocol = n->set.protocol,
		.key_id = n->set.key_id,
		.initiator = n->set.role == UAPI_INITIATOR,
		.channel = n->channel,
		.path = n->set.path,
		.reply_len = n->reply_len};
	if (n->reply_len)
		memcpy(k->reply, n->reply, n->reply_len);
	/* A responder's unconfirmed session is replaced by the newer one (slot rule of "next"). */
	if (l->pending.seq && l->pending.protocol == UAPI_WIREGUARD)
		handshake_index_free(c, l->pending.local_index);
	l->pending = next;
	fill(&n->set, cr, &next);

	struct dp_frame f;
	dp_frame_begin(&f, UAPI_SESSION_SET_MSG);
	uapi_pack_session_set(&f.w, &n->set);
	/* on_keys_set is called in every case and frees k. */
	(void)dp_client_request(c->dp, &f, on_keys_set, k);
	return 0;
}
