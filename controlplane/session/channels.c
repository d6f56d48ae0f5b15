/*
 * Between OpenVPN's engine and the door.
 *
 *   punt -> engine -> actions:  SEND   REINJECT
 *                               KEYS   install_keys, and its outcome back to the engine
 *                               USE    SESSION_USE
 *                               ENDED  SESSION_DEL
 *                               CLOSE  CONNECTION_CLOSE
 *
 * A control channel is one of the engine's sessions. struct live knows which one its tunnel came
 * from (live.channel), so news of the dataplane about a device finds the way back.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "ovpn/ovpn_engine.h"
#include "pki/ca.h"
#include "session/loop.h"

enum {
	PING_S = 10,
	RESTART_S = 60,
	TIMEOUT_S = 120,     /* ours: twice what the client waits */
	REFUSALS_LOGGED = 5, /* per second: below 40 kB of log a minute */
	LIFE_SLACK_S = 120,  /* keys live for two rekeys and this */
	TLS_RENEW_MS = CA_SERVER_DAYS / 12 * 24 * 3600 * 1000u,
};

static uint32_t life_s(const struct coordinator *c)
{
	return c->conf.reneg_ms / 1000 * 2 + LIFE_SLACK_S;
}

static struct ovpn_time now_of(struct coordinator *c)
{
	return (struct ovpn_time){
		.mono_ms = loop_now(c), .real_s = clock_real_ms(&c->conf.clock) / 1000};
}

/* ---- what the engine asks ---- */

static int authorize(
	void *arg, const struct ovpn_identity *who, struct ovpn_grant *grant, const char **why)
{
	struct coordinator *c = arg;
	struct dir_credential *cr = directory_credential_by_ovpn_cert(c->dir, who->cert_sha256);
	if (!cr || !secret_equal(cr->conf.ovpn_serial, who->serial, sizeof(who->serial))) {
		*why = "this certificate is unknown, revoked, expired or its device is disabled";
		return -EACCES;
	}
	if (who->has_wkc && !ulid_equal(&who->wkc_credential, &cr->conf.id)) {
		*why = "the tls-crypt-v2 key belongs to another certificate";
		return -EACCES;
	}
	*grant = (struct ovpn_grant){.credential = cr->conf.id,
		.address4 = cr->device->conf.addr4,
		.address6 = cr->device->conf.addr6};
	return 0;
}

static uint32_t peer_id_alloc(void *arg, const struct ovpn_grant *grant)
{
	struct coordinator *c = arg;
	const uint32_t lane = index_lane(&grant->address4);
	const uint32_t id = c->peer_ids ? index_pool_alloc(c->peer_ids, lane, loop_now(c)) : 0;
	return id ? id : OVPN_NO_PEER_ID;
}

static void peer_id_free(void *arg, uint32_t peer_id)
{
	struct coordinator *c = arg;
	if (c->peer_ids)
		index_pool_release(c->peer_ids, peer_id, loop_now(c));
}

int channels_init(struct coordinator *c)
{
	const struct ovpn_ops ops = {authorize, peer_id_alloc, peer_id_free, c};
	struct ovpn_conf conf = {
		.net4 = c->conf.net4,
		.net6 = c->conf.net6,
		.mtu = c->conf.mtu,
		.ping_s = PING_S,
		.restart_s = RESTART_S,
		.reneg_ms = c->conf.reneg_ms,
		.has_tls_crypt = c->conf.tls_crypt,
	};
	if (!c->conf.ca)
		return 0;
	SSL_CTX *tls;
	int r = ovpn_wrap_global_init();
	if (r == 0)
		r = ca_server_tls(c->conf.ca, &tls);
	if (r < 0)
		return r;
	snprintf(conf.dns, sizeof(conf.dns), "%s", c->conf.dns);
	if (c->conf.tls_crypt)
		conf.tls_crypt = *c->conf.tls_crypt;
	memcpy(conf.v2_server_key, ca_v2_server_key(c->conf.ca), sizeof(conf.v2_server_key));
	r = ovpn_engine_new(&c->ovpn, &conf, tls, &ops);
	secret_wipe(&conf, sizeof(conf));
	SSL_CTX_free(tls);
	c->tls_made_at = loop_now(c);
	return r;
}

void channels_tunnel_set(struct coordinator *c)
{
	if (c->ovpn)
		ovpn_engine_set_tunnel(c->ovpn, c->conf.dns, c->conf.mtu);
}

void channels_fini(struct coordinator *c)
{
	if (c->ovpn)
		ovpn_engine_free(c->ovpn);
	index_pool_free(c->peer_ids);
}

uint8_t channels_accepted(const struct coordinator *c)
{
	if (!c->ovpn)
		return 0;
	return UAPI_OPENVPN_V3 | (c->conf.tls_crypt ? UAPI_OPENVPN_V2 : 0);
}

/* ---- carrying out ---- */

static int install(struct coordinator *c, const struct ovpn_action *a)
{
	struct dir_credential *cr = directory_credential(c->dir, &a->credential);
	struct new_keys n cleanup(new_keys_wipe) = {
		.set = {.protocol = UAPI_OPENVPN,
			.role = UAPI_RESPONDER,
			.cipher = (uint8_t)a->keys.cipher,
			.transport = a->path.connection ? UAPI_TCP : UAPI_UDP,
			.local_index = a->peer_id,
			.remote_index = a->peer_id,
			.path = a->path,
			.key_id = a->key_id,
			.format = a->format,
			.ping_s = PING_S,
			.timeout_s = TIMEOUT_S,
			.life_s = life_s(c),
			.tls = a->tls},
		.channel = a->session,
		.first = a->first,
	};
	if (!cr)
		return -ENOENT;
	channels_adopt_peer_id(c, a->peer_id); /* held for as long again */
	memcpy(n.set.seal, a->keys.seal, sizeof(n.set.seal));
	memcpy(n.set.open, a->keys.open, sizeof(n.set.open));
	memcpy(n.set.seal_iv, a->keys.seal_iv, sizeof(n.set.seal_iv));
	memcpy(n.set.open_iv, a->keys.open_iv, sizeof(n.set.open_iv));
	return install_keys(c, cr, &n);
}

static struct live *live_of(struct coordinator *c, const struct ulid *credential)
{
	struct dir_credential *cr = directory_credential(c->dir, credential);
	return cr ? session_table_find(c->table, &cr->conf.device_id) : NULL;
}

static void use(struct coordinator *c, const struct ovpn_action *a)
{
	struct dir_credential *cr = directory_credential(c->dir, &a->credential);
	struct live *l = live_of(c, &a->credential);
	if (!l || l->pending.seq == 0 || l->pending.channel != a->session ||
		l->pending.key_id != a->key_id)
		return; /* in use already, or replaced */
	const struct uapi_session_use m = {.peer = cr->device->conf.peer, .seq = l->pending.seq};
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_SESSION_USE_MSG);
	uapi_pack_session_use(&f.w, &m);
	(void)dp_client_request(c->dp, &f, link_on_simple_reply, c);
}

static void close_connection(struct coordinator *c, uint32_t connection)
{
	const struct uapi_connection_close m = {.connection = connection};
	struct dp_frame f;
	dp_frame_begin(&f, UAPI_CONNECTION_CLOSE_MSG);
	uapi_pack_connection_close(&f.w, &m);
	(void)dp_client_request(c->dp, &f, link_on_simple_reply, c);
}

/* Keys in the dataplane are dropped by credential, so another tunnel of the same credential must
 * not be hit. A newer one that is on its way pushes these keys out when it is confirmed; an older
 * one that still runs keeps them from being used. */
static void drop_keys(struct coordinator *c, const struct ovpn_action *a)
{
	struct dir_credential *cr = directory_credential(c->dir, &a->credential);
	struct live *l = live_of(c, &a->credential);
	if (!l)
		return; /* revoked: that has dropped them */
	const bool current = l->up && l->channel == a->session;
	const bool pending = l->pending.seq && l->pending.channel == a->session;
	const bool other = current ? l->pending.seq && !pending : l->up || !pending;
	if (pending)
		l->pending.seq = 0;
	if (current) {
		l->channel = 0;
		session_table_down(c->table, l, true, SESSION_END_LEFT);
	}
	if (!other)
		(void)link_session_del(
			c, cr->device->conf.peer, &a->credential, link_on_simple_reply, c);
}

/* Strangers fill no log: so many lines a second, and then how many there would have been. */
static bool may_log_refusal(struct coordinator *c)
{
	const uint64_t now = loop_now(c);
	if (now - c->refusals_second >= 1000) {
		if (c->refusals_silent)
			log_info("session", "openvpn: %u more refusals were not logged",
				c->refusals_silent);
		c->refusals_second = now;
		c->refusals_logged = c->refusals_silent = 0;
	}
	if (c->refusals_logged < REFUSALS_LOGGED) {
		c->refusals_logged++;
		return true;
	}
	c->refusals_silent++;
	return false;
}

static void ended(struct coordinator *c, const struct ovpn_action *a)
{
	char at[ENDPOINT_TEXT], id[ULID_TEXT];
	const char *reason = a->reason ? a->reason : "ended";
	endpoint_format(&a->path.remote, at);
	if (a->was_active) {
		log_info("session", "credential crd_%s: openvpn from %s ended: %s",
			ulid_format(&a->credential, id), at, reason);
		drop_keys(c, a);
	} else if (may_log_refusal(c)) {
		log_info("session", "openvpn from %s refused: %s", at, reason);
	}
}

static void carry_out(struct coordinator *c, const struct ovpn_action *a)
{
	switch (a->kind) {
	case OVPN_ACTION_SEND:
		dp_client_reinject(c->dp, &a->path, a->bytes, a->len);
		break;
	case OVPN_ACTION_KEYS: {
		int r = install(c, a);
		if (r < 0) {
			log_warn("session", "an openvpn handshake came to nothing: %s",
				strerror(-r));
			ovpn_engine_keys_done(c->ovpn, a->session, a->key_id, false, now_of(c));
		}
		break;
	}
	case OVPN_ACTION_USE:
		use(c, a);
		break;
	case OVPN_ACTION_ENDED:
		ended(c, a);
		break;
	case OVPN_ACTION_CLOSE:
		close_connection(c, a->path.connection);
		break;
	}
}

static void pump(struct coordinator *c)
{
	struct ovpn_action a;
	while (ovpn_engine_next(c->ovpn, &a)) {
		carry_out(c, &a);
		if (a.kind == OVPN_ACTION_KEYS)
			secret_wipe(&a.keys, sizeof(a.keys));
	}
}

/* ---- in ---- */

void channels_on_punt(
	struct coordinator *c, const struct path *from, const uint8_t *datagram, size_t len)
{
	if (!c->ovpn)
		return;
	uint64_t channel;
	const enum ovpn_verdict v =
		ovpn_engine_input(c->ovpn, datagram, len, from, now_of(c), &channel);
	if (v > OVPN_OPENED && log_enabled(LOG_DEBUG)) {
		char at[ENDPOINT_TEXT];
		log_debug("session", "%s: openvpn packet dropped: %s",
			endpoint_format(&from->remote, at), ovpn_verdict_name(v));
	}
	pump(c);
}

static void renew_certificate(struct coordinator *c)
{
	if (loop_now(c) - c->tls_made_at < TLS_RENEW_MS)
		return;
	c->tls_made_at = loop_now(c);
	SSL_CTX *tls;
	int r = ca_server_tls(c->conf.ca, &tls);
	if (r < 0) {
		log_error("session", "the server's certificate was not renewed: %s", strerror(-r));
		return;
	}
	ovpn_engine_set_tls(c->ovpn, tls);
	SSL_CTX_free(tls);
	log_info("session", "the server's certificate was renewed");
}

void channels_tick(struct coordinator *c)
{
	if (!c->ovpn)
		return;
	renew_certificate(c);
	if (ovpn_engine_next_due(c->ovpn) <= loop_now(c))
		ovpn_engine_tick(c->ovpn, now_of(c));
	pump(c);
}

/* Called from within install_keys as well when the door is down: the engine is not entered there,
 * so what it says then is fetched by whoever pumps, or by the next tick. */
void channels_keys_done(struct coordinator *c, uint64_t channel, uint8_t key_id, bool ok)
{
	if (!c->ovpn)
		return;
	ovpn_engine_keys_done(c->ovpn, channel, key_id, ok, now_of(c));
	if (ok)
		pump(c);
}

void channels_moved(struct coordinator *c, uint64_t channel, const struct path *path)
{
	if (c->ovpn && channel)
		ovpn_engine_moved(c->ovpn, channel, path);
}

void channels_connection_closed(struct coordinator *c, uint32_t connection)
{
	if (!c->ovpn)
		return;
	ovpn_engine_connection_closed(c->ovpn, connection);
	pump(c);
}

void channels_rekey(struct coordinator *c, uint64_t channel)
{
	if (!c->ovpn || !channel)
		return;
	ovpn_engine_rekey(c->ovpn, channel, now_of(c));
	pump(c);
}

void channels_replaced(struct coordinator *c, uint64_t channel)
{
	ovpn_engine_farewell(c->ovpn, channel, OVPN_FAREWELL_REFUSED,
		"another connection of this device has taken over", now_of(c));
	pump(c);
}

void channels_expired(struct coordinator *c, uint64_t channel, uint8_t reason)
{
	if (!c->ovpn || !channel)
		return;
	if (reason == UAPI_END_AGE)
		ovpn_engine_farewell(
			c->ovpn, channel, OVPN_FAREWELL_RESTART, "its keys expired", now_of(c));
	else
		ovpn_engine_forget(c->ovpn, channel);
	pump(c);
}

bool channels_restart(struct coordinator *c, uint64_t channel, const char *why)
{
	if (!c->ovpn || !channel)
		return false;
	const bool told =
		ovpn_engine_farewell(c->ovpn, channel, OVPN_FAREWELL_RESTART, why, now_of(c));
	pump(c);
	return told;
}

void channels_revoked(struct coordinator *c, const struct ulid *credential)
{
	if (!c->ovpn)
		return;
	(void)ovpn_engine_farewell_credential(c->ovpn, credential, OVPN_FAREWELL_REFUSED,
		"this device may not connect any more", now_of(c));
	pump(c);
}

void channels_new_boot(struct coordinator *c, uint32_t max_peer_ids)
{
	const struct index_pool_conf conf = {
		.slots = max_peer_ids, .mask = OVPN_NO_PEER_ID, .hold_ms = 2000ull * life_s(c)};
	if (!c->ovpn)
		return;
	ovpn_engine_connections_lost(c->ovpn);
	pump(c);
	if (c->peer_ids && index_pool_slots(c->peer_ids) == max_peer_ids)
		return;
	struct index_pool *pool;
	int r = index_pool_new(&pool, &conf);
	if (r < 0) {
		log_error("session", "peer-ids: %u: %s", max_peer_ids, strerror(-r));
		return;
	}
	index_pool_free(c->peer_ids);
	c->peer_ids = pool;
}

void channels_formats(struct coordinator *c, uint8_t formats)
{
	if (c->ovpn)
		ovpn_engine_set_epoch(c->ovpn, formats & 1 << UAPI_DATA_EPOCH);
}

void channels_adopt_peer_id(struct coordinator *c, uint32_t peer_id)
{
	if (c->peer_ids)
		index_pool_adopt(c->peer_ids, peer_id, loop_now(c));
}

void channels_figures(const struct coordinator *c, struct coordinator_figures *out)
{
	struct ovpn_figures f;
	if (!c->ovpn)
		return;
	ovpn_engine_figures(c->ovpn, &f);
	const struct handshake_count results[] = {
		{UAPI_OPENVPN, "session", f.handshakes},
		{UAPI_OPENVPN, "rekey", f.rekeys},
		{UAPI_OPENVPN, "refused", f.refused},
		{UAPI_OPENVPN, "tls_failed", f.tls_failed},
		{UAPI_OPENVPN, "timed_out", f.timed_out},
	};
	for (size_t i = 0; i < ARRAY_SIZE(results) && out->n_handshakes < COORDINATOR_HANDSHAKES;
		i++)
		out->handshakes[out->n_handshakes++] = results[i];
	for (size_t i = 0; i < OVPN_VERDICT_COUNT && out->n_control < COORDINATOR_HANDSHAKES; i++)
		out->control[out->n_control++] = (struct handshake_count){
			UAPI_OPENVPN, ovpn_verdict_name((enum ovpn_verdict)i), f.verdicts[i]};
	out->half_open = (uint32_t)f.half_open;
}

void channels_describe(struct coordinator *c, uint64_t channel, char *out, size_t cap)
{
	ovpn_engine_describe(c->ovpn, channel, out, cap);
}
