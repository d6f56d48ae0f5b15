/* One function per request; the table at the end says which. */
#include "io/ctl_apply.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/secret.h"
#include "io/worker.h"
#include "uapi/uapi.h"
#include "wire/ovpn_wire.h"

enum {
	STATS_MAX = UAPI_STATS_TAIL / UAPI_SIZE_peer_stats,
	MTU_MIN = 576,
	OPENVPN_BITS = UAPI_OPENVPN_V3 | UAPI_OPENVPN_V2,
};
_Static_assert((int)AEAD_KEY_MAX == (int)UAPI_KEY, "keys are copied whole");

/* What a request function works with. It reads its fields from r, asks request_end, and only then
 * does anything; it writes the fields of its reply to w. */
struct request {
	const struct ctl_apply *a;
	struct reader r;
	struct writer w;
	uint32_t seq;
	uint16_t reply; /* enum uapi_type */
};

/* Returns: 0 when the request was well-formed; the reply's header is then written. */
static int request_end(struct request *q)
{
	int r = reader_end(&q->r);

	if (r == 0)
		uapi_begin(&q->w, (enum uapi_type)q->reply, q->seq);
	return r;
}

static uint32_t status_of(int r)
{
	return r < 0 ? (uint32_t)-r : 0;
}

static void answer(struct request *q, int r)
{
	const struct uapi_reply m = {.status = status_of(r)};

	uapi_pack_reply(&q->w, &m);
}

static uint64_t now_of(const struct request *q)
{
	return clock_mono_ms(&q->a->clock);
}

/* ---- configuration ---- */

static bool network_ok(const struct ip_addr *a, uint8_t len, uint8_t family)
{
	size_t bits = family == IP_V4 ? 32 : 128;

	/* The server's and at least one device's address must fit. */
	return a->family == family && len >= 1 && len < bits;
}

static int config_set(struct request *q)
{
	struct uapi_config_set m;
	struct netconf_networks n;
	int r;

	uapi_unpack_config_set(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	if (!network_ok(&m.net4, m.len4, IP_V4) || !network_ok(&m.net6, m.len6, IP_V6) ||
		m.mtu < MTU_MIN || m.mtu > WORKER_MTU_MAX || (m.openvpn & ~OPENVPN_BITS)) {
		answer(q, -EINVAL);
		return 0;
	}
	n = (struct netconf_networks){
		.net4 = {m.net4, m.len4}, .net6 = {m.net6, m.len6}, .mtu = m.mtu};
	r = q->a->ops.configure(q->a->ops.arg, &n);
	if (r == 0) {
		fwd_set_mtu(q->a->fwd, m.mtu);
		q->a->ops.admission(q->a->ops.arg, m.wg_public, m.openvpn);
	}
	answer(q, r);
	return 0;
}

static int sync_begin(struct request *q)
{
	int r = request_end(q);

	if (r != 0)
		return r;
	fwd_sync_begin(q->a->fwd);
	answer(q, 0);
	return 0;
}

static int sync_end(struct request *q)
{
	struct uapi_sync_end_reply m = {0};
	int r = request_end(q);

	if (r != 0)
		return r;
	m.swept = fwd_sync_end(q->a->fwd);
	uapi_pack_sync_end_reply(&q->w, &m);
	return 0;
}

/* ---- peers and sessions ---- */

static int peer_set(struct request *q)
{
	struct uapi_peer_set m;
	int r;

	uapi_unpack_peer_set(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	answer(q, fwd_peer_set(q->a->fwd, m.peer, &m.addr4, &m.addr6));
	return 0;
}

static int peer_del(struct request *q)
{
	struct uapi_peer_del m;
	int r;

	uapi_unpack_peer_del(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	r = fwd_peer_del(q->a->fwd, m.peer);
	answer(q, r == -ENOENT ? 0 : r); /* gone is what was asked for */
	return 0;
}

static void wire_session_wipe(struct uapi_session_set *m)
{
	secret_wipe(m, sizeof(*m));
}

static void session_wipe(struct fwd_session *s)
{
	secret_wipe(s, sizeof(*s));
}

static bool listener_in(uint32_t listeners, uint8_t listener)
{
	return listener < 32 && (listeners >> listener & 1);
}

/* A connection is named exactly where there is one. */
static bool path_ok(const struct ctl_facts *f, const struct uapi_session_set *m)
{
	const struct path *p = &m->path;

	if (p->remote.addr.family == IP_NONE || p->remote.port == 0)
		return false;
	if (m->transport == UAPI_TCP)
		return listener_in(f->tcp_listeners, p->listener) && p->connection != 0;
	return m->transport == UAPI_UDP && listener_in(f->udp_listeners, p->listener) &&
	       p->connection == 0;
}

static bool wireguard_ok(const struct uapi_session_set *m)
{
	return m->cipher == AEAD_CHACHA20_POLY1305 && m->role <= UAPI_INITIATOR &&
	       m->transport == UAPI_UDP && m->key_id == 0 && m->format == 0 &&
	       secret_is_zero(m->seal_iv, sizeof(m->seal_iv)) &&
	       secret_is_zero(m->open_iv, sizeof(m->open_iv)) && m->ping_s == 0 &&
	       m->timeout_s == 0 && m->life_s == 0 && m->tls == 0;
}

/* The epoch format makes its own (reference A11.4). */
static bool ivs_ok(const struct uapi_session_set *m)
{
	return m->format != UAPI_DATA_EPOCH ||
	       (secret_is_zero(m->seal_iv, sizeof(m->seal_iv)) &&
		       secret_is_zero(m->open_iv, sizeof(m->open_iv)));
}

static bool openvpn_ok(const struct uapi_session_set *m)
{
	return m->cipher >= AEAD_CHACHA20_POLY1305 && m->cipher <= AEAD_AES_128_GCM &&
	       m->role == UAPI_RESPONDER && m->key_id < OVPN_KEY_IDS &&
	       m->format <= UAPI_DATA_EPOCH && m->local_index < OVPN_NO_PEER_ID &&
	       m->remote_index == m->local_index && ivs_ok(m);
}

static bool session_ok(const struct ctl_facts *f, const struct uapi_session_set *m)
{
	if (m->protocol == UAPI_WIREGUARD)
		return path_ok(f, m) && wireguard_ok(m);
	return m->protocol == UAPI_OPENVPN && path_ok(f, m) && openvpn_ok(m);
}

/* Copies keys: the caller wipes. */
static void session_fill(struct fwd_session *s, const struct uapi_session_set *m)
{
	s->peer = m->peer;
	s->seq = m->seq;
	s->protocol = m->protocol;
	s->role = m->role;
	s->cipher = m->cipher;
	s->transport = m->transport;
	s->local_index = m->local_index;
	s->remote_index = m->remote_index;
	s->tunnel = m->tunnel;
	s->credential = m->credential;
	s->tunnel_started_ms = m->tunnel_started_ms;
	s->handshake_ms = m->handshake_ms;
	s->path = m->path;
	memcpy(s->seal, m->seal, sizeof(s->seal));
	memcpy(s->open, m->open, sizeof(s->open));
	s->key_id = m->key_id;
	s->format = m->format;
	memcpy(s->seal_iv, m->seal_iv, sizeof(s->seal_iv));
	memcpy(s->open_iv, m->open_iv, sizeof(s->open_iv));
	s->ping_s = m->ping_s;
	s->timeout_s = m->timeout_s;
	s->life_s = m->life_s;
	s->tls = m->tls;
}

_Static_assert((int)OVPN_EPOCH_OVERHEAD + (int)OVPN_OCC <= (int)UAPI_FAREWELL_MAX,
	"the longest of the formats");

/* When this process is gone nobody could seal it any more. */
static void put_farewell(struct request *q, const struct uapi_session_set *m)
{
	uint8_t packet[UAPI_FAREWELL_MAX];
	const size_t len = fwd_session_farewell(q->a->fwd, m->peer, m->seq, packet);

	writer_bytes(&q->w, packet, len);
}

static int session_set(struct request *q)
{
	struct uapi_session_set m cleanup(wire_session_wipe);
	struct fwd_session s cleanup(session_wipe) = {0};
	int r;

	uapi_unpack_session_set(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	if (!session_ok(q->a->facts, &m)) {
		answer(q, -EINVAL);
		return 0;
	}
	session_fill(&s, &m);
	r = fwd_session_set(q->a->fwd, &s, now_of(q));
	/* Not for every handshake that a device begins: the timers go through all peers. */
	if (r == 0 && m.role == UAPI_INITIATOR)
		q->a->ops.session_installed(q->a->ops.arg);
	answer(q, r);
	if (r == 0)
		put_farewell(q, &m);
	return 0;
}

static int session_use(struct request *q)
{
	struct uapi_session_use m;
	int r;

	uapi_unpack_session_use(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	r = fwd_session_use(q->a->fwd, m.peer, m.seq);
	if (r == 0)
		q->a->ops.session_installed(q->a->ops.arg);
	answer(q, r);
	return 0;
}

static int session_del(struct request *q)
{
	struct uapi_session_del m;
	int r;

	uapi_unpack_session_del(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	answer(q, fwd_session_del(q->a->fwd, m.peer, &m.credential));
	return 0;
}

static int connection_close(struct request *q)
{
	struct uapi_connection_close m;
	int r;

	uapi_unpack_connection_close(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	q->a->ops.connection_close(q->a->ops.arg, m.connection);
	answer(q, 0); /* gone is what was asked for */
	return 0;
}

/* ---- figures ---- */

static void stats_pack(struct writer *w, const struct fwd_peer_stats *s)
{
	const struct uapi_peer_stats m = {
		.peer = s->peer,
		.epoch = s->epoch,
		.rx_bytes = s->rx_bytes,
		.tx_bytes = s->tx_bytes,
		.rx_packets = s->rx_packets,
		.tx_packets = s->tx_packets,
		.rx_age_ms = s->rx_age_ms,
		.up = s->up,
		.protocol = s->protocol,
		.cipher = s->cipher,
		.transport = s->transport,
		.local_index = s->local_index,
		.tunnel = s->tunnel,
		.credential = s->credential,
		.tunnel_started_ms = s->tunnel_started_ms,
		.handshake_ms = s->handshake_ms,
		.key_id = s->key_id,
		.tls = s->tls,
		.path = s->path,
		.tunnel_rx_bytes = s->tunnel_rx_bytes,
		.tunnel_tx_bytes = s->tunnel_tx_bytes,
		.tunnel_rx_packets = s->tunnel_rx_packets,
		.tunnel_tx_packets = s->tunnel_tx_packets,
	};

	uapi_pack_peer_stats(w, &m);
}

static int stats_get(struct request *q)
{
	struct fwd_peer_stats stats[STATS_MAX];
	struct uapi_stats_get m;
	struct uapi_stats_reply reply = {0};
	size_t n;
	int r;

	uapi_unpack_stats_get(&q->r, &m);
	r = request_end(q);
	if (r != 0)
		return r;
	n = fwd_peer_stats(q->a->fwd, m.from, stats, STATS_MAX, now_of(q));
	reply.count = (uint32_t)n;
	if (n == STATS_MAX)
		reply.next = stats[n - 1].peer + 1;
	uapi_pack_stats_reply(&q->w, &reply);
	for (size_t i = 0; i < n; i++)
		stats_pack(&q->w, &stats[i]);
	return 0;
}

static void text_put(struct writer *w, const char *text)
{
	size_t len = strnlen(text, UINT8_MAX);

	writer_u8(w, (uint8_t)len);
	writer_bytes(w, text, len);
}

static int status_get(struct request *q)
{
	const struct ctl_facts *f = q->a->facts;
	struct uapi_status_reply m = {0};
	struct fwd_totals t;
	int r = request_end(q);

	if (r != 0)
		return r;
	fwd_totals(q->a->fwd, &t);
	m.workers = f->workers;
	m.peers = t.peers;
	m.sessions = t.sessions;
	m.uptime_ms = now_of(q) - f->started_ms;
	m.rx_bytes = t.rx_bytes;
	m.tx_bytes = t.tx_bytes;
	m.rx_packets = t.rx_packets;
	m.tx_packets = t.tx_packets;
	m.offloads = (uint8_t)atomic_load_explicit(&f->offloads->used, memory_order_relaxed);
	memcpy(m.tun, f->tun, sizeof(f->tun));
	m.listeners = (uint16_t)f->n_listeners;
	m.verdicts = FWD_VERDICT_COUNT;
	m.ciphers = AEAD_CIPHERS_END - AEAD_CHACHA20_POLY1305;
	uapi_pack_status_reply(&q->w, &m);
	for (uint32_t i = 0; i < f->n_listeners; i++)
		text_put(&q->w, f->listeners[i]);
	for (int v = 0; v < FWD_VERDICT_COUNT; v++) {
		text_put(&q->w, fwd_verdict_name((enum fwd_verdict)v));
		writer_u64(&q->w, t.verdicts[v]);
	}
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		text_put(&q->w, aead_cipher_name((enum aead_cipher)c));
		text_put(&q->w, aead_library((enum aead_cipher)c));
	}
	return 0;
}

static int usage_get(struct request *q)
{
	struct uapi_usage_reply m = {0};
	struct usage u;
	int r = request_end(q);

	if (r != 0)
		return r;
	q->a->ops.usage(q->a->ops.arg, &u);
	m.resident_bytes = u.resident_bytes;
	m.cpu_ms = u.cpu_ms;
	uapi_pack_usage_reply(&q->w, &m);
	return 0;
}

/* ---- dispatch ---- */

static const struct {
	uint16_t type;
	uint16_t reply;
	int (*apply)(struct request *q);
} requests[] = {
	{UAPI_CONFIG_SET_MSG, UAPI_CONFIG_SET_REPLY_MSG, config_set},
	{UAPI_SYNC_BEGIN_MSG, UAPI_SYNC_BEGIN_REPLY_MSG, sync_begin},
	{UAPI_SYNC_END_MSG, UAPI_SYNC_END_REPLY_MSG, sync_end},
	{UAPI_PEER_SET_MSG, UAPI_PEER_SET_REPLY_MSG, peer_set},
	{UAPI_PEER_DEL_MSG, UAPI_PEER_DEL_REPLY_MSG, peer_del},
	{UAPI_SESSION_SET_MSG, UAPI_SESSION_SET_REPLY_MSG, session_set},
	{UAPI_SESSION_DEL_MSG, UAPI_SESSION_DEL_REPLY_MSG, session_del},
	{UAPI_SESSION_USE_MSG, UAPI_SESSION_USE_REPLY_MSG, session_use},
	{UAPI_CONNECTION_CLOSE_MSG, UAPI_CONNECTION_CLOSE_REPLY_MSG, connection_close},
	{UAPI_STATS_GET_MSG, UAPI_STATS_REPLY_MSG, stats_get},
	{UAPI_STATUS_GET_MSG, UAPI_STATUS_REPLY_MSG, status_get},
	{UAPI_USAGE_GET_MSG, UAPI_USAGE_REPLY_MSG, usage_get},
};

int ctl_apply(
	const struct ctl_apply *a, const uint8_t *frame, size_t len, uint8_t *reply, size_t cap)
{
	struct request q = {.a = a, .r = reader_init(frame, len), .w = writer_init(reply, cap)};
	struct uapi_header h;
	int r = uapi_open(&q.r, &h, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY);

	if (r != 0)
		return r;
	q.seq = h.seq;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (requests[i].type != h.type)
			continue;
		q.reply = requests[i].reply;
		r = requests[i].apply(&q);
		if (r == 0)
			r = writer_end(&q.w);
		return r == 0 ? (int)writer_len(&q.w) : -EBADMSG;
	}
	return -EPROTO;
}

size_t ctl_event(const struct fwd_event *e, uint8_t *frame, size_t cap)
{
	struct writer w = writer_init(frame, cap);
	const struct uapi_session_event session = {.peer = e->peer, .seq = e->seq};
	const struct uapi_session_expired expired = {
		.peer = e->peer, .seq = e->seq, .reason = e->reason};
	const struct uapi_rekey_wanted rekey = {.peer = e->peer, .reason = e->reason};
	const struct uapi_endpoint_moved moved = {.peer = e->peer, .path = e->path};

	switch (e->kind) {
	case FWD_EVENT_CONFIRMED:
		uapi_begin(&w, UAPI_SESSION_CONFIRMED_MSG, 0);
		uapi_pack_session_event(&w, &session);
		break;
	case FWD_EVENT_REKEY:
		uapi_begin(&w, UAPI_REKEY_WANTED_MSG, 0);
		uapi_pack_rekey_wanted(&w, &rekey);
		break;
	case FWD_EVENT_EXPIRED:
		uapi_begin(&w, UAPI_SESSION_EXPIRED_MSG, 0);
		uapi_pack_session_expired(&w, &expired);
		break;
	case FWD_EVENT_MOVED:
		uapi_begin(&w, UAPI_ENDPOINT_MOVED_MSG, 0);
		uapi_pack_endpoint_moved(&w, &moved);
		break;
	}
	return writer_end(&w) == 0 ? writer_len(&w) : 0;
}

size_t ctl_event_closed(uint32_t connection, uint8_t *frame, size_t cap)
{
	struct writer w = writer_init(frame, cap);
	const struct uapi_connection_closed m = {.connection = connection};

	uapi_begin(&w, UAPI_CONNECTION_CLOSED_MSG, 0);
	uapi_pack_connection_closed(&w, &m);
	return writer_end(&w) == 0 ? writer_len(&w) : 0;
}
