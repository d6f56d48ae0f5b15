/*
 * From the client's key method 2 message to keys: who he is, whether he may, which cipher; then
 * our own message and what is pushed (reference A8 to A13).
 */
#include <errno.h>
#include <string.h>

#include "base/secret.h"
#include "ovpn/fsm.h"
#include "ovpn/push.h"
#include "uapi/uapi.h"

/* 2.5 wants one that is not empty; nobody acts on it (A10). */
static const char OUR_OPTIONS[] = "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth "
				  "SHA1,keysize 128,key-method 2,tls-server";

/* ---- may he? ---- */

static const char *first_choices(struct session *s, const struct km2_peer_info *peer)
{
	if (peer->proto & IV_PROTO_NCP_P2P)
		return "this server needs a client that pulls";
	if (km2_choose_cipher(peer, &s->cipher) < 0)
		return "Data channel cipher negotiation failed (no shared cipher)";
	s->peer = *peer;
	return NULL;
}

/* Its options say nothing of the kind of compression, and every kind but one changes the packets
 * (A10, A16). */
static bool compresses(const struct km2 *client)
{
	return strstr(client->options, ",comp-lzo") != NULL;
}

/* Returns: NULL when he may, constant text why not. */
static const char *refusal(
	const struct turn *t, const struct negotiation *n, const struct km2 *client)
{
	struct session *s = t->s;
	struct ovpn_identity who = {.has_wkc = s->has_wkc, .wkc_credential = s->wkc_credential};
	struct ovpn_grant grant = {0};
	const char *why = NULL;

	if (ovpn_tls_identity(n->tls, &who) < 0)
		return "no usable serial number in the certificate";
	if (t->e->ops.authorize(t->e->ops.arg, &who, &grant, &why) != 0) {
		t->e->figures.refused++;
		return why ? why : "refused";
	}
	if (s->authorised)
		return ulid_equal(&grant.credential, &s->grant.credential)
			       ? NULL
			       : "another certificate than before";
	if (compresses(client))
		return "this server does not compress: take comp-lzo and compress out of the "
		       "profile";
	why = first_choices(s, &client->peer);
	if (!why)
		s->grant = grant;
	return why;
}

/* A client that begins again and again has one attempt, not many. */
static void end_older_attempts(const struct turn *t)
{
	struct session *s = TAILQ_FIRST(&t->e->making), *next;

	for (; s; s = next) {
		const struct turn older = {t->e, s, t->now};

		next = TAILQ_NEXT(s, making);
		if (s == t->s || !ulid_equal(&s->grant.credential, &t->s->grant.credential))
			continue;
		ovpn_session_ended(&older, "the client has begun anew");
		ovpn_session_free(t->e, s);
	}
}

static void authorised(const struct turn *t)
{
	struct session *s = t->s;

	half_opens_remove(&t->e->half, &s->half_open);
	s->authorised = true;
	end_older_attempts(t);
	TAILQ_INSERT_TAIL(&t->e->making, s, making);
	s->is_making = true;
	s->peer_id = t->e->ops.peer_id_alloc(t->e->ops.arg, &s->grant);
}

/* ---- keys ---- */

static int answer_make(struct negotiation *n)
{
	if (secret_random(n->random1, sizeof(n->random1)) < 0)
		return -EIO;
	return secret_random(n->random2, sizeof(n->random2));
}

static int make_data_keys(const struct turn *t, const struct negotiation *n,
	const struct km2 *client, struct ovpn_data_keys *out)
{
	struct session *s = t->s;
	struct ovpn_key2 key2 cleanup(ovpn_key2_wipe) = {{0}};
	struct km2 ours cleanup(km2_wipe) = {.username = ""};
	int rc;

	memcpy(ours.random1, n->random1, sizeof(ours.random1));
	memcpy(ours.random2, n->random2, sizeof(ours.random2));
	if (s->peer.proto & IV_PROTO_TLS_EKM)
		rc = ovpn_tls_export(n->tls, OVPN_EKM_DATA, &key2);
	else
		rc = ovpn_prf_keys(client, &ours, s->client_sid, s->sid, &key2);
	if (rc == 0)
		ovpn_data_keys_split(out, &key2, s->cipher, OVPN_SERVER, s->epoch);
	return rc;
}

static bool announced(const struct session *s, uint32_t flags)
{
	return (s->peer.proto & flags) == flags;
}

/* What protocol-flags will say holds for the session (A4.5, A11.4). */
static int make_dynamic(const struct turn *t, const struct negotiation *n)
{
	struct session *s = t->s;
	struct ovpn_key2 exported cleanup(ovpn_key2_wipe) = {{0}};
	struct ovpn_key2 mixed cleanup(ovpn_key2_wipe) = {{0}};
	int rc = 0;

	s->epoch = t->e->epoch && announced(s, IV_PROTO_EPOCH | IV_PROTO_TLS_EKM |
						       IV_PROTO_CC_EXIT | IV_PROTO_DATA_V2);
	if (announced(s, IV_PROTO_DYN_TLS_CRYPT | IV_PROTO_CC_EXIT)) {
		rc = ovpn_tls_export(n->tls, OVPN_EKM_TLS_CRYPT, &exported);
		ovpn_key2_mix(&mixed, exported.bytes, &s->key);
		ovpn_wrap_init(&s->dynamic, &mixed, OVPN_SERVER, 1, wrap_time(t->e, t->now));
		s->has_dynamic = true;
	}
	ovpn_key2_wipe(&s->key);
	return rc;
}

static uint8_t format_of(const struct session *s)
{
	if (s->epoch)
		return UAPI_DATA_EPOCH;
	return announced(s, IV_PROTO_DATA_V2) ? UAPI_DATA_V2 : UAPI_DATA_V1;
}

static int ask_for_keys(const struct turn *t, const struct negotiation *n, const struct km2 *client)
{
	struct session *s = t->s;
	struct ovpn_action a cleanup(ovpn_action_wipe) = {.kind = OVPN_ACTION_KEYS,
		.session = s->id,
		.path = s->path,
		.key_id = n->key_id,
		.credential = s->grant.credential,
		.peer_id = s->peer_id,
		.tls = ovpn_tls_version(n->tls),
		.first = n->key_id == 0};
	int rc = n->key_id == 0 ? make_dynamic(t, n) : 0;

	if (rc == 0)
		rc = make_data_keys(t, n, client, &a.keys);
	if (rc < 0)
		return rc;
	a.format = format_of(s);
	return actions_push(&t->e->actions, &a);
}

static void keys_for(const struct turn *t, struct negotiation *n, const struct km2 *client)
{
	if (ask_for_keys(t, n, client) < 0) {
		negotiation_fail(t, n, "no keys could be made");
		return;
	}
	t->s->had_keys = true;
	fsm_enter(n, AT_KEYS);
}

void on_key_method(const struct turn *t, struct negotiation *n, struct span record)
{
	struct session *s = t->s;
	struct km2 client cleanup(km2_wipe) = {.username = ""};
	const char *why;

	if (km2_parse_client(&client, record.p, record.n) < 0) {
		negotiation_fail(t, n, "the client's key method 2 message is malformed");
		return;
	}
	if (answer_make(n) < 0) {
		negotiation_fail(t, n, "no randomness");
		return;
	}
	why = refusal(t, n, &client);
	if (why) {
		part_after_answer(t, n, OVPN_FAREWELL_REFUSED, why);
		return;
	}
	if (!s->authorised)
		authorised(t);
	if (s->peer_id == OVPN_NO_PEER_ID)
		part_after_answer(t, n, OVPN_FAREWELL_RESTART, "no free peer-id");
	else
		keys_for(t, n, &client);
}

/* ---- what we say ---- */

int answer_write(struct negotiation *n)
{
	struct km2 ours cleanup(km2_wipe) = {.username = ""};
	uint8_t message[KM2_MAX];
	int len, rc;

	memcpy(ours.random1, n->random1, sizeof(ours.random1));
	memcpy(ours.random2, n->random2, sizeof(ours.random2));
	memcpy(ours.options, OUR_OPTIONS, sizeof(OUR_OPTIONS));
	len = km2_pack_server(&ours, message, sizeof(message));
	rc = len < 0 ? -EPROTO : ovpn_tls_write(n->tls, message, (size_t)len);
	secret_wipe(message, sizeof(message));
	return rc;
}

int push_write(const struct turn *t, struct negotiation *n)
{
	const struct session *s = t->s;
	const struct ovpn_conf *conf = &t->e->conf;
	const struct push_conf what = {.net4 = conf->net4,
		.net6 = conf->net6,
		.address4 = s->grant.address4,
		.address6 = s->grant.address6,
		.dns = conf->dns,
		.mtu = s->peer.mtu >= conf->mtu ? conf->mtu : 0,
		.ping_s = conf->ping_s,
		.restart_s = conf->restart_s,
		.peer_id = announced(s, IV_PROTO_DATA_V2) ? s->peer_id : OVPN_NO_PEER_ID,
		.cipher = s->cipher,
		.client_proto = s->peer.proto,
		.epoch = s->epoch,
		.dyn_tls_crypt = s->has_dynamic,
		.udp = s->path.connection == 0};
	char parts[PUSH_MESSAGES][PUSH_MESSAGE];
	const int n_parts = push_reply(&what, parts);
	int rc = n_parts < 0 ? -EMSGSIZE : 0;

	for (int i = 0; i < n_parts && rc == 0; i++)
		rc = ovpn_tls_write(n->tls, parts[i], strlen(parts[i]) + 1);
	return rc;
}
