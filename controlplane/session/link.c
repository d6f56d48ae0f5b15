/*
 * The door comes and goes: synchronisation, statistics, status.
 *
 *   LINK_DOWN --on_up--> LINK_SYNCING: CONFIG_SET, SYNC_BEGIN, PEER_SET..., SYNC_END
 *                            | all answered, none refused
 *                            v
 *                        LINK_SYNCED: parked revocations again, one round of statistics,
 *                                     then (another boot id) the sleeping tunnels are called
 *
 * It is said to be connected when it has told its own status: whoever waited for that sees figures
 * of this dataplane with these devices, not none, and not those of the one before.
 *
 * Session keys are never sent twice: what the dataplane still has, it keeps; what it has lost, a
 * new handshake replaces.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "session/loop.h"
#include "wire/wg_wire.h"

int link_peer_set(struct coordinator *c, const struct dir_device_conf *d)
{
	if (c->link == LINK_DOWN)
		return 0; /* the synchronisation to come names it */
	const struct uapi_peer_set m = {.peer = d->peer, .addr4 = d->addr4, .addr6 = d->addr6};
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_PEER_SET_MSG);
	uapi_pack_peer_set(&f.w, &m);
	return dp_client_request(c->dp, &f, link_on_simple_reply, c);
}

int link_peer_del(struct coordinator *c, uint32_t peer, dp_reply_fn done, void *arg)
{
	const struct uapi_peer_del m = {.peer = peer};
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_PEER_DEL_MSG);
	uapi_pack_peer_del(&f.w, &m);
	return dp_client_request(c->dp, &f, done, arg);
}

int link_session_del(struct coordinator *c, uint32_t peer, const struct ulid *credential,
	dp_reply_fn done, void *arg)
{
	const struct uapi_session_del m = {.peer = peer, .credential = *credential};
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_SESSION_DEL_MSG);
	uapi_pack_session_del(&f.w, &m);
	return dp_client_request(c->dp, &f, done, arg);
}

int link_nothing(struct coordinator *c, dp_reply_fn done, void *arg)
{
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_STATUS_GET_MSG);
	return dp_client_request(c->dp, &f, done, arg);
}

void link_on_simple_reply(void *arg, int status, struct reader *r)
{
	(void)arg;
	(void)r;
	if (status < 0 && status != -ECONNRESET && status != -ENOTCONN)
		log_error("session", "the dataplane refused a change: %s", strerror(-status));
}

static int request_empty(struct coordinator *c, enum uapi_type type, dp_reply_fn done)
{
	struct dp_frame f;
	dp_frame_begin(&f, type);
	return dp_client_request(c->dp, &f, done, c);
}

/* ---- statistics ---- */

/* A session that the dataplane has and that we did not see begin: made before our own restart. */
static uint64_t channel_of(const struct live *l, const struct ulid *tunnel)
{
	if (l->up && ulid_equal(&l->info.id, tunnel))
		return l->channel;
	return l->pending.seq && ulid_equal(&l->pending.info.id, tunnel) ? l->pending.channel : 0;
}

/* Whether the farewell that we hold is of that tunnel. Its keys may be newer than we know: a client
 * still opens with those before. */
static bool farewell_holds(
	const struct coordinator *c, const struct live *l, const struct uapi_peer_stats *st)
{
	return st->protocol == UAPI_OPENVPN && st->transport == UAPI_UDP &&
	       ulid_equal(&l->state.credential, &st->credential) &&
	       ulid_equal(&l->state.boot_id, &c->boot_id);
}

static void adopt(struct coordinator *c, struct dir_device *dev, struct live *l,
	const struct uapi_peer_stats *st)
{
	if (!farewell_holds(c, l, st))
		session_table_farewell(c->table, l, NULL);
	const struct session_info info = {
		.id = st->tunnel,
		.device_id = dev->conf.id,
		.user_id = dev->conf.user_id,
		.credential_id = st->credential,
		.protocol = st->protocol,
		.transport = st->transport,
		.cipher = st->cipher,
		.tls = st->tls,
		.endpoint = st->path.remote,
		.started_at = (int64_t)st->tunnel_started_ms,
		.last_handshake_at = (int64_t)st->handshake_ms,
	};
	l->channel = channel_of(l, &st->tunnel);
	session_table_up(c->table, l, &info, &st->path, &c->boot_id);
	if (st->protocol == UAPI_OPENVPN)
		channels_adopt_peer_id(c, st->local_index);
	else
		index_pool_adopt(c->indices, st->local_index, loop_now(c));
}

static bool credential_holds(struct coordinator *c, struct dir_device *dev, const struct ulid *id)
{
	struct dir_credential *cr = directory_credential(c->dir, id);
	return cr && cr->device == dev;
}

static void moved(struct coordinator *c, struct live *l, const struct path *path)
{
	session_table_moved(c->table, l, path);
	channels_moved(c, l->channel, path);
}

static bool is_pending(const struct live *l, const struct uapi_peer_stats *st)
{
	return st->up && l->pending.seq && ulid_equal(&l->pending.info.id, &st->tunnel) &&
	       l->pending.info.last_handshake_at == (int64_t)st->handshake_ms;
}

static void take_peer_stats(struct coordinator *c, const struct uapi_peer_stats *st)
{
	struct dir_device *dev = directory_device_by_peer(c->dir, st->peer);
	struct live *l = dev ? session_table_get(c->table, &dev->conf.id) : NULL;
	if (!l)
		return;
	if (st->up && !credential_holds(c, dev, &st->credential)) {
		/* Revoked while we were away, or while its handshake was under way. */
		log_warn("session", "peer %u: a session without a credential is ended", st->peer);
		(void)link_session_del(c, st->peer, &st->credential, link_on_simple_reply, c);
		session_table_down(c->table, l, true, SESSION_END_REVOKED);
		return;
	}
	if (is_pending(l, st)) /* its own event is still on its way */
		install_confirmed(c, dev, l->pending.seq);
	if (st->up && (!l->up || !ulid_equal(&l->info.id, &st->tunnel) ||
			      l->info.last_handshake_at != (int64_t)st->handshake_ms))
		adopt(c, dev, l, st);
	else if (st->up && !path_equal(&l->state.path, &st->path))
		moved(c, l, &st->path);
	else if (!st->up && l->up)
		session_table_down(c->table, l, true, SESSION_END_OTHER);
	session_table_count(c->table, l, &c->boot_id, st, loop_now(c));
	news_counted(c, dev, st);
}

static int stats_ask(struct coordinator *c, uint32_t from);

static void on_stats(void *arg, int status, struct reader *r)
{
	struct coordinator *c = arg;
	struct uapi_stats_reply m = {0};
	if (r)
		uapi_unpack_stats_reply(r, &m);
	for (uint32_t i = 0; status == 0 && i < m.count; i++) {
		struct uapi_peer_stats st;
		uapi_unpack_peer_stats(r, &st);
		if (r->bad)
			break;
		take_peer_stats(c, &st);
	}
	if (status == 0 && r && !r->bad && m.next) {
		(void)stats_ask(c, m.next);
		return;
	}
	c->stats_running = false;
	if (status == 0 && r && !r->bad)
		news_round_end(c);
}

static int stats_ask(struct coordinator *c, uint32_t from)
{
	const struct uapi_stats_get m = {.from = from};
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_STATS_GET_MSG);
	uapi_pack_stats_get(&f.w, &m);
	c->stats_running = true;
	return dp_client_request(c->dp, &f, on_stats, c);
}

static bool read_text(struct reader *r, char *out, size_t cap)
{
	const uint8_t n = reader_u8(r);
	const uint8_t *p = reader_view(r, n);
	if (!p || n >= cap)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

/* The parts of the tail. Return: false when it is cut short. */
static bool read_listeners(struct reader *r, uint16_t n, struct dataplane_status *s)
{
	for (uint16_t i = 0; i < n; i++) {
		char text[256];
		if (!read_text(r, text, sizeof(text)))
			return false;
		if (s->n_listen < COORDINATOR_LISTENERS)
			snprintf(s->listen[s->n_listen++], sizeof(s->listen[0]), "%.63s", text);
	}
	return true;
}

static bool read_verdicts(struct reader *r, uint16_t n, struct dataplane_status *s)
{
	for (uint16_t i = 0; i < n; i++) {
		char name[256];
		if (!read_text(r, name, sizeof(name)))
			return false;
		const uint64_t count = reader_u64(r);
		if (s->n_verdicts == COORDINATOR_VERDICTS)
			continue;
		struct verdict_count *v = &s->verdicts[s->n_verdicts++];
		snprintf(v->name, sizeof(v->name), "%.31s", name);
		v->count = count;
	}
	return true;
}

static bool read_ciphers(struct reader *r, uint16_t n, struct dataplane_status *s)
{
	for (uint16_t i = 0; i < n; i++) {
		char cipher[256], library[256];
		if (!read_text(r, cipher, sizeof(cipher)) ||
			!read_text(r, library, sizeof(library)))
			return false;
		if (s->n_aead == COORDINATOR_CIPHERS)
			continue;
		struct cipher_library *l = &s->aead[s->n_aead++];
		snprintf(l->cipher, sizeof(l->cipher), "%.31s", cipher);
		snprintf(l->library, sizeof(l->library), "%.31s", library);
	}
	return true;
}

static void on_status(void *arg, int status, struct reader *r)
{
	struct coordinator *c = arg;
	c->status_running = false;
	if (status < 0 || !r)
		return;
	struct uapi_status_reply m;
	uapi_unpack_status_reply(r, &m);
	struct dataplane_status s = {
		.connected = c->link == LINK_SYNCED,
		.workers = m.workers,
		.peers = m.peers,
		.sessions = m.sessions,
		.uptime_ms = m.uptime_ms,
		.rx_bytes = m.rx_bytes,
		.tx_bytes = m.tx_bytes,
		.rx_packets = m.rx_packets,
		.tx_packets = m.tx_packets,
		.offloads = m.offloads,
	};
	memcpy(s.tun, m.tun, sizeof(s.tun));
	if (!read_listeners(r, m.listeners, &s) || !read_verdicts(r, m.verdicts, &s) ||
		!read_ciphers(r, m.ciphers, &s) || reader_end(r) < 0) {
		log_error("session", "the dataplane's status can't be read");
		return;
	}
	pthread_mutex_lock(&c->status_lock);
	memcpy(s.software, c->status.software, sizeof(s.software));
	s.last_sync_ms = c->status.last_sync_ms;
	s.usage_known = c->status.usage_known;
	s.usage = c->status.usage;
	c->status = s;
	pthread_mutex_unlock(&c->status_lock);
	if (s.connected)
		news_dataplane(c, true);
}

static void on_usage(void *arg, int status, struct reader *r)
{
	struct coordinator *c = arg;
	struct uapi_usage_reply m;
	if (status < 0 || !r)
		return;
	uapi_unpack_usage_reply(r, &m);
	if (reader_end(r) < 0)
		return;
	pthread_mutex_lock(&c->status_lock);
	c->status.usage_known = true;
	c->status.usage = (struct usage){.resident_bytes = m.resident_bytes, .cpu_ms = m.cpu_ms};
	pthread_mutex_unlock(&c->status_lock);
}

/* Answers come in order, so with the status the other has come as well. */
static void status_ask(struct coordinator *c)
{
	c->status_running = true;
	c->status_asked = loop_now(c);
	if (c->door_version >= UAPI_VERSION_USAGE)
		(void)request_empty(c, UAPI_USAGE_GET_MSG, on_usage);
	(void)link_nothing(c, on_status, c);
}

/* Its sockets stand, but nobody reads them: that is no dataplane that anybody could rely on. */
static void note_silence(struct coordinator *c)
{
	if (loop_now(c) - c->status_asked < COORDINATOR_SILENT_MS)
		return;
	pthread_mutex_lock(&c->status_lock);
	const bool news = !c->status.silent;
	c->status.silent = true;
	pthread_mutex_unlock(&c->status_lock);
	if (news)
		log_warn("session", "the dataplane is connected but does not answer");
}

void link_poll(struct coordinator *c)
{
	if (c->link != LINK_SYNCED)
		return;
	/* First, as it is one short answer, and readiness waits for it. */
	if (c->status_running)
		note_silence(c);
	else
		status_ask(c);
	if (!c->stats_running) {
		news_round_begin(c);
		(void)stats_ask(c, 0);
	}
}

/* ---- synchronisation ---- */

static void on_config(void *arg, int status, struct reader *r)
{
	(void)r;
	struct coordinator *c = arg;
	if (status < 0 && status != -ECONNRESET) {
		log_error("session", "the dataplane could not set up the network: %s",
			strerror(-status));
		c->sync_refused = true;
	}
}

static void end_live(void *arg, struct live *l)
{
	struct coordinator *c = arg;
	l->pending.seq = 0;
	if (l->up)
		session_table_down(c->table, l, false, SESSION_END_DATAPLANE);
}

/* What another dataplane held is gone with it; devices that had a tunnel there are to be called. */
static void note_recall(void *arg, struct live *l)
{
	struct coordinator *c = arg;
	if (ulid_equal(&l->state.boot_id, &c->boot_id))
		return;
	/* An OpenVPN client can't be called, but told to come back: by its control channel, or
	 * (farewell.c) without. */
	const bool told = channels_restart(c, l->channel, "the gateway was restarted");
	l->channel = 0;
	if (told)
		session_table_farewell(c->table, l, NULL);
	end_live(c, l);
	if (l->state.was_up && !told)
		c->recalls[c->n_recalls++] = l->state.device_id;
}

static void plan_recalls(struct coordinator *c)
{
	free(c->recalls);
	c->n_recalls = 0;
	c->recalls = calloc(session_table_size(c->table) + 1, sizeof(*c->recalls));
	if (c->recalls && farewell_plan(c, session_table_size(c->table)) == 0)
		session_table_each(c->table, note_recall, c);
	else
		log_error("session", "no memory to call tunnels back: they wait for their clients");
	if (c->n_recalls)
		log_info("session", "%zu tunnels are called back", c->n_recalls);
}

static void on_synced(void *arg, int status, struct reader *r)
{
	struct coordinator *c = arg;
	if (c->link != LINK_SYNCING || status == -ECONNRESET || status == -ENOTCONN)
		return;
	struct uapi_sync_end_reply m = {0};
	if (r)
		uapi_unpack_sync_end_reply(r, &m);
	if (c->sync_refused || status < 0 || !r || r->bad) {
		c->link = LINK_REFUSED;
		return;
	}
	c->link = LINK_SYNCED;
	const uint64_t took = loop_now(c) - c->sync_started;
	pthread_mutex_lock(&c->status_lock);
	c->status.last_sync_ms = (uint32_t)took;
	pthread_mutex_unlock(&c->status_lock);
	log_info("session", "dataplane synchronised: %zu devices in %llu ms, %u swept",
		directory_device_count(c->dir), (unsigned long long)took, m.swept);
	plan_recalls(c);
	jobs_release_parked(c);
	link_poll(c);
}

static int sync_device(void *arg, struct dir_device *dev)
{
	return link_peer_set(arg, &dev->conf);
}

int link_configure(struct coordinator *c, dp_reply_fn done)
{
	struct uapi_config_set m = {
		.net4 = c->conf.net4.addr,
		.len4 = c->conf.net4.len,
		.net6 = c->conf.net6.addr,
		.len6 = c->conf.net6.len,
		.mtu = c->conf.mtu,
	};
	memcpy(m.wg_public, keystore_wg_public(c->conf.ks), sizeof(m.wg_public));
	m.openvpn = channels_accepted(c);
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_CONFIG_SET_MSG);
	uapi_pack_config_set(&f.w, &m);
	return dp_client_request(c->dp, &f, done, c);
}

void link_sync(struct coordinator *c)
{
	c->link = LINK_SYNCING;
	c->sync_refused = false;
	c->stats_running = false;
	c->sync_started = loop_now(c);
	int r = link_configure(c, on_config);
	if (r == 0)
		r = request_empty(c, UAPI_SYNC_BEGIN_MSG, link_on_simple_reply);
	if (r == 0)
		r = directory_each_device(c->dir, sync_device, c);
	if (r == 0)
		r = request_empty(c, UAPI_SYNC_END_MSG, on_synced);
	if (r < 0) {
		log_error("session", "synchronisation failed: %s", strerror(-r));
		c->link = LINK_REFUSED;
	}
}

void link_on_up(void *arg, const struct uapi_hello_reply *hello)
{
	struct coordinator *c = arg;
	log_info("session", "connected to dataplane %s", hello->software);
	if (!c->indices || index_pool_slots(c->indices) != hello->max_indices) {
		const struct index_pool_conf conf = {.slots = hello->max_indices,
			.mask = UINT32_MAX,
			.hold_ms = INDEX_SESSION_MS};
		struct index_pool *pool;
		int r = index_pool_new(&pool, &conf);
		if (r < 0) {
			log_error("session", "index pool of %u: %s", hello->max_indices,
				strerror(-r));
			return;
		}
		index_pool_free(c->indices);
		c->indices = pool;
	}
	/* Before anybody can ask for a handshake: what the last ones made is lost. */
	if (!ulid_equal(&c->boot_id, &hello->boot_id)) {
		wg_engine_hurry(c->wg);
		channels_new_boot(c, hello->max_peer_ids);
	}
	channels_formats(c, hello->formats);
	c->boot_id = hello->boot_id;
	c->door_version = hello->version;
	if (hello->session_seq > c->session_seq)
		c->session_seq = hello->session_seq;
	pthread_mutex_lock(&c->status_lock);
	memcpy(c->status.software, hello->software, sizeof(c->status.software));
	pthread_mutex_unlock(&c->status_lock);
	link_sync(c);
}

void link_on_down(void *arg)
{
	struct coordinator *c = arg;
	log_warn("session", "the dataplane is gone, or we are cut off from it");
	c->link = LINK_DOWN;
	c->stats_running = false;
	pthread_mutex_lock(&c->status_lock);
	c->status.connected = c->status.silent = c->status.usage_known = false;
	pthread_mutex_unlock(&c->status_lock);
	news_dataplane(c, false);
}

void link_absent(struct coordinator *c)
{
	session_table_each(c->table, end_live, c);
	jobs_release_parked(c);
}

/* ---- events ---- */

static void on_confirmed_event(struct coordinator *c, struct reader *r)
{
	struct uapi_session_event m;
	uapi_unpack_session_event(r, &m);
	struct dir_device *dev = directory_device_by_peer(c->dir, m.peer);
	if (reader_end(r) == 0 && dev)
		install_confirmed(c, dev, m.seq);
}

static void on_expired_event(struct coordinator *c, struct reader *r)
{
	static const char *const why[] = {
		[UAPI_END_AGE] = "its keys expired",
		[UAPI_END_SILENCE] = "it fell silent",
		[UAPI_END_EXIT] = "it said goodbye",
		[UAPI_END_CLOSED] = "its connection was closed",
	};
	static const enum session_end ends[] = {
		[UAPI_END_AGE] = SESSION_END_KEYS_EXPIRED,
		[UAPI_END_SILENCE] = SESSION_END_SILENT,
		[UAPI_END_EXIT] = SESSION_END_LEFT,
		[UAPI_END_CLOSED] = SESSION_END_CLOSED,
	};
	struct uapi_session_expired m;
	uapi_unpack_session_expired(r, &m);
	struct dir_device *dev = directory_device_by_peer(c->dir, m.peer);
	struct live *l = dev ? session_table_find(c->table, &dev->conf.id) : NULL;
	if (reader_end(r) < 0 || !l || !l->up)
		return;
	if (m.seq < l->seq)
		return; /* late news of keys that newer ones have replaced */
	char id[ULID_TEXT];
	log_info("session", "device dev_%s: disconnected, %s", ulid_format(&dev->conf.id, id),
		m.reason < ARRAY_SIZE(why) && why[m.reason] ? why[m.reason] : "its tunnel ended");
	/* The dataplane has dropped the tunnel's keys, not another's that wait. */
	if (ulid_equal(&l->pending.info.id, &l->info.id))
		l->pending.seq = 0;
	session_table_down(c->table, l, true,
		m.reason < ARRAY_SIZE(ends) ? ends[m.reason] : SESSION_END_OTHER);
	channels_expired(c, l->channel, m.reason);
	l->channel = 0;
}

static void on_connection_closed_event(struct coordinator *c, struct reader *r)
{
	struct uapi_connection_closed m;
	uapi_unpack_connection_closed(r, &m);
	if (reader_end(r) == 0 && m.connection)
		channels_connection_closed(c, m.connection);
}

static void on_rekey_event(struct coordinator *c, struct reader *r)
{
	static const char *const why[] = {
		[UAPI_REKEY_NO_SESSION] = "a packet waits for it",
		[UAPI_REKEY_AGE] = "its keys are old",
		[UAPI_REKEY_COUNTER] = "its counter is used up",
		[UAPI_REKEY_SILENCE] = "it does not answer",
	};
	struct uapi_rekey_wanted m;
	uapi_unpack_rekey_wanted(r, &m);
	struct dir_device *dev = directory_device_by_peer(c->dir, m.peer);
	if (reader_end(r) < 0 || !dev || m.reason >= ARRAY_SIZE(why) || !why[m.reason])
		return;
	struct live *l = session_table_find(c->table, &dev->conf.id);
	if (l && l->up && l->info.protocol == UAPI_OPENVPN)
		channels_rekey(c, l->channel);
	else
		handshake_call(c, dev, why[m.reason]);
}

static void on_moved_event(struct coordinator *c, struct reader *r)
{
	struct uapi_endpoint_moved m;
	uapi_unpack_endpoint_moved(r, &m);
	struct dir_device *dev = directory_device_by_peer(c->dir, m.peer);
	struct live *l = dev ? session_table_find(c->table, &dev->conf.id) : NULL;
	if (reader_end(r) == 0 && l)
		moved(c, l, &m.path);
}

void link_on_event(void *arg, enum uapi_type type, struct reader *r)
{
	struct coordinator *c = arg;
	if (type == UAPI_SESSION_CONFIRMED_MSG)
		on_confirmed_event(c, r);
	else if (type == UAPI_SESSION_EXPIRED_MSG)
		on_expired_event(c, r);
	else if (type == UAPI_REKEY_WANTED_MSG)
		on_rekey_event(c, r);
	else if (type == UAPI_ENDPOINT_MOVED_MSG)
		on_moved_event(c, r);
	else if (type == UAPI_CONNECTION_CLOSED_MSG)
		on_connection_closed_event(c, r);
}
