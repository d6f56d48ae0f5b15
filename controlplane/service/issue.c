#include "service/issue.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "pki/keystore.h"
#include "service/profile.h"

void issue_wipe(struct issue *i)
{
	secret_wipe(i, sizeof(*i));
}

/* ---- requests ---- */

static int check_public_key(struct service *s, const uint8_t *key, struct svc_error *e)
{
	secret_key shared;
	int err;

	if (secret_equal(key, keystore_wg_public(s->ks), 32))
		return refuse(e, SVC_INVALID, "public_key", "is the server's own");
	/* Points of small order give a shared secret that everybody knows. No client computes a key
	 * with the spare bit set (RFC 7748 section 5), so it would be another name of the same key.
	 */
	err = keystore_wg_dh(s->ks, key, shared.bytes);
	if (err == -EINVAL || (!err && key[31] & 0x80))
		return refuse(e, SVC_INVALID, "public_key", "is not a usable key");
	return err;
}

int issue_check(struct service *s, const struct svc_credential_request *r, struct svc_error *e)
{
	int err = time_check(r->expires_at, "expires_at", e);

	if (err)
		return err;
	if (r->protocol != DIR_WIREGUARD && r->protocol != DIR_OPENVPN)
		return refuse(e, SVC_INVALID, "protocol", "must be wireguard or openvpn");
	if (r->protocol != DIR_OPENVPN && r->csr_pem)
		return refuse(e, SVC_INVALID, "csr", "goes with openvpn only");
	if (r->protocol != DIR_WIREGUARD && r->wg_public)
		return refuse(e, SVC_INVALID, "public_key", "goes with wireguard only; see csr");
	if (r->expires_at && r->expires_at <= service_now(s))
		return refuse(e, SVC_INVALID, "expires_at", "is in the past");
	return r->wg_public ? check_public_key(s, r->wg_public, e) : 0;
}

/* ---- keys ---- */

static int make_wireguard(struct service *s, const struct svc_credential_request *r,
	struct issue *i, struct credential_row *row)
{
	char id[ULID_TEXT], label[48];
	int err = 0;

	if (r->wg_public) {
		memcpy(row->wg_public, r->wg_public, sizeof(row->wg_public));
	} else {
		err = keystore_wg_keypair(i->private_key, row->wg_public);
		i->has_private = true;
	}
	if (!err)
		err = secret_random(i->psk, sizeof(i->psk));
	if (err)
		return err;
	SHA256(row->wg_public, sizeof(row->wg_public), row->fingerprint);
	snprintf(label, sizeof(label), "wg-psk:crd_%s", ulid_format(&row->id, id));
	row->wg_psk_len = sizeof(i->psk) + KEYSTORE_SEAL_OVERHEAD;
	return keystore_seal(s->ks, label, i->psk, sizeof(i->psk), row->wg_psk);
}

static int make_openvpn(struct service *s, const struct svc_credential_request *r, struct issue *i,
	struct credential_row *row, struct svc_error *e)
{
	const char *why = NULL;
	int err = ca_issue(s->ca, &row->id, r->csr_pem, row->expires_at, &i->cert, &why);

	if (err == -EINVAL)
		return refuse(e, SVC_INVALID, "csr", "%s", why);
	if (err)
		return err;
	memcpy(row->fingerprint, i->cert.cert_sha256, sizeof(row->fingerprint));
	memcpy(row->ovpn_serial, i->cert.serial, sizeof(row->ovpn_serial));
	return ovpn_client_key_pem(ca_v2_server_key(s->ca), &row->id,
		(uint64_t)service_now(s) / 1000, i->tls_crypt_v2, sizeof(i->tls_crypt_v2));
}

int issue_make(struct service *s, const struct svc_credential_request *r, struct issue *i,
	struct credential_row *row, struct svc_error *e)
{
	return r->protocol == DIR_OPENVPN ? make_openvpn(s, r, i, row, e)
					  : make_wireguard(s, r, i, row);
}

/* ---- profiles ---- */

/* The port of a listener like "udp://[::]:1194" of that kind: the preferred one where it is among
 * them, else that of the first; 0 when there is none. */
static uint16_t listen_port(const struct dataplane_status *dp, const char *kind, uint16_t preferred)
{
	uint16_t found = 0;

	for (size_t i = 0; i < dp->n_listen; i++) {
		const char *port = strrchr(dp->listen[i], ':');
		unsigned long n;

		if (strncmp(dp->listen[i], kind, strlen(kind)) != 0 || !port)
			continue;
		n = strtoul(port + 1, NULL, 10);
		if (n == 0 || n > UINT16_MAX)
			continue;
		if (n == preferred)
			return preferred;
		if (!found)
			found = (uint16_t)n;
	}
	return found;
}

static int profile_of_wireguard(struct service *s, const struct device_row *d,
	const struct issue *i, const struct dataplane_status *dp, struct svc_issued *out)
{
	const uint16_t port = listen_port(dp, "udp://", 0);
	struct svc_settings set;

	svc_settings_now(s, &set);
	const struct wg_profile p = {
		.address4 = d->address4,
		.address6 = d->address6,
		.private_key = i->has_private ? i->private_key : NULL,
		.psk = i->psk,
		.server_public = keystore_wg_public(s->ks),
		.endpoint_host = set.endpoint,
		.endpoint_port = port ? port : s->conf.wg_port,
		.mtu = (uint16_t)set.number[SVC_MTU],
		.keepalive_s = (uint16_t)set.number[SVC_KEEPALIVE],
		.dns = set.dns,
	};

	profile_filename(d->name, "conf", out->profile_filename, sizeof(out->profile_filename));
	return profile_wireguard(&p, out->profile, sizeof(out->profile));
}

static int profile_of_openvpn(struct service *s, const struct device_row *d, const struct issue *i,
	const struct dataplane_status *dp, struct svc_issued *out)
{
	const uint16_t usual = s->conf.ovpn_port;
	const bool seen = dp->n_listen > 0;
	struct svc_settings set;

	svc_settings_now(s, &set);
	const struct ovpn_profile p = {
		.endpoint_host = set.endpoint,
		.udp_port = seen ? listen_port(dp, "udp://", usual) : usual,
		.tcp_port = seen ? listen_port(dp, "tcp://", usual) : usual,
		.server_name = ca_server_name(s->ca),
		.ca_pem = ca_cert_pem(s->ca),
		.cert_pem = i->cert.cert_pem,
		.key_pem = i->cert.key_pem[0] ? i->cert.key_pem : NULL,
		.tls_crypt_v2_pem = i->tls_crypt_v2,
	};

	profile_filename(d->name, "ovpn", out->profile_filename, sizeof(out->profile_filename));
	return profile_openvpn(&p, out->profile, sizeof(out->profile));
}

int issue_profile(struct service *s, uint8_t protocol, const struct device_row *d,
	const struct issue *i, struct svc_issued *out)
{
	struct dataplane_status dp = {.n_listen = 0}; /* before it was ever seen: the usual ports */

	if (s->coordinator)
		coordinator_dataplane_status(s->coordinator, &dp);
	return protocol == DIR_OPENVPN ? profile_of_openvpn(s, d, i, &dp, out)
				       : profile_of_wireguard(s, d, i, &dp, out);
}
