/* From rows to the coordinator's directory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "db/state_store.h"
#include "pki/keystore.h"
#include "service/inside.h"

enum { PAGE = 64 };

bool publish_is_live(const struct device_row *d, int64_t now)
{
	return d->enabled && !d->user_disabled && (!d->expires_at || d->expires_at > now);
}

static bool credential_is_live(const struct credential_row *c, int64_t now)
{
	return !c->revoked_at && (!c->expires_at || c->expires_at > now);
}

static struct dir_device_conf device_conf(const struct device_row *d)
{
	return (struct dir_device_conf){
		.id = d->id,
		.user_id = d->user_id,
		.peer = d->peer,
		.addr4 = d->address4,
		.addr6 = d->address6,
		.expires_at = d->expires_at,
	};
}

static int open_psk(
	struct service *s, const struct credential_row *c, struct dir_credential_conf *out)
{
	char id[ULID_TEXT], label[48];

	if (c->wg_psk_len != sizeof(out->wg_psk) + KEYSTORE_SEAL_OVERHEAD)
		return -EBADMSG;
	snprintf(label, sizeof(label), "wg-psk:crd_%s", ulid_format(&c->id, id));
	return keystore_open_blob(s->ks, label, c->wg_psk, c->wg_psk_len, out->wg_psk);
}

/* The caller wipes out->wg_psk. */
static int credential_conf(
	struct service *s, const struct credential_row *c, struct dir_credential_conf *out)
{
	*out = (struct dir_credential_conf){
		.id = c->id,
		.device_id = c->device_id,
		.protocol = c->protocol,
		.expires_at = c->expires_at,
	};
	if (c->protocol == DIR_OPENVPN) {
		memcpy(out->ovpn_cert, c->fingerprint, sizeof(out->ovpn_cert));
		memcpy(out->ovpn_serial, c->ovpn_serial, sizeof(out->ovpn_serial));
		return 0;
	}
	memcpy(out->wg_public, c->wg_public, sizeof(out->wg_public));
	return open_psk(s, c, out);
}

int publish_credential(struct service *s, const struct credential_row *c)
{
	struct dir_credential_conf conf;
	int err;

	if (!s->coordinator)
		return 0;
	err = credential_conf(s, c, &conf);
	if (!err)
		err = coordinator_credential_put(s->coordinator, &conf);
	secret_wipe(&conf, sizeof(conf));
	return err;
}

/* Calls fn for every usable credential of a device. */
static int each_credential(struct service *s, struct db_conn *tx, const struct ulid *device,
	int64_t now, int (*fn)(struct service *, struct db_conn *, const struct credential_row *))
{
	struct credential_row rows[PAGE];
	struct ulid after = {0};
	int n, err = 0;

	do {
		n = credential_list(tx, device, &after, rows, PAGE);
		for (int i = 0; i < n && !err; i++)
			if (credential_is_live(&rows[i], now))
				err = fn(s, tx, &rows[i]);
		if (n > 0)
			after = rows[n - 1].id;
	} while (n == PAGE && !err);
	return n < 0 ? n : err;
}

static int put_one(struct service *s, struct db_conn *tx, const struct credential_row *c)
{
	(void)tx;
	return publish_credential(s, c);
}

static int put_device(struct service *s, struct db_conn *tx, const struct device_row *d)
{
	struct dir_device_conf conf = device_conf(d);
	int err;

	if (!s->coordinator)
		return 0;
	err = coordinator_device_put(s->coordinator, &conf);
	return err || !tx ? err : each_credential(s, tx, &d->id, service_now(s), put_one);
}

int publish_device(struct service *s, const struct device_row *d, bool credentials)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = credentials ? db_read(s->db, &tx) : 0;

	return err ? err : put_device(s, tx, d);
}

/* Calls fn for every device, of one user or of all. */
static int each_device(struct service *s, struct db_conn *tx, const struct ulid *user,
	int (*fn)(struct service *, struct db_conn *, const struct device_row *))
{
	struct device_row rows[PAGE];
	struct ulid after = {0};
	int n, err = 0;

	do {
		n = device_list(tx, user, &after, rows, PAGE);
		for (int i = 0; i < n && !err; i++)
			err = fn(s, tx, &rows[i]);
		if (n > 0)
			after = rows[n - 1].id;
	} while (n == PAGE && !err);
	return n < 0 ? n : err;
}

static int put_live(struct service *s, struct db_conn *tx, const struct device_row *d)
{
	return publish_is_live(d, service_now(s)) ? put_device(s, tx, d) : 0;
}

int publish_user(struct service *s, const struct ulid *user)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	return err ? err : each_device(s, tx, user, put_live);
}

/* ---- at start ---- */

/* One row that can't be opened must not keep everybody else out; it stays unusable. */
static int load_credential(struct service *s, struct db_conn *tx, const struct credential_row *c)
{
	struct dir_credential_conf conf;
	uint8_t greatest[12];
	char id[ULID_TEXT];
	int err = credential_conf(s, c, &conf), got;

	if (err) {
		log_error("service", "credential crd_%s: its key can't be opened, left out",
			ulid_format(&c->id, id));
		secret_wipe(&conf, sizeof(conf));
		return err == -EBADMSG ? 0 : err;
	}
	got = credential_state_get(tx, &c->id, greatest);
	if (got && got != -ENOENT)
		err = got;
	else
		err = coordinator_load_credential(s->coordinator, &conf, got ? NULL : greatest);
	secret_wipe(&conf, sizeof(conf));
	return err;
}

static struct device_state state_of(const struct device_state_row *row)
{
	struct device_state state = {
		.device_id = row->device_id,
		.boot_id = row->boot_id,
		.epoch = row->epoch,
		.rx_bytes = row->total.rx_bytes,
		.tx_bytes = row->total.tx_bytes,
		.rx_packets = row->total.rx_packets,
		.tx_packets = row->total.tx_packets,
		.seen_rx_bytes = row->seen.rx_bytes,
		.seen_tx_bytes = row->seen.tx_bytes,
		.seen_rx_packets = row->seen.rx_packets,
		.seen_tx_packets = row->seen.tx_packets,
		.path = row->path,
		.credential = row->credential_id,
		.last_handshake_at = row->last_handshake_at,
		.was_up = row->was_up,
		.farewell.len = row->farewell_len,
	};

	memcpy(state.farewell.bytes, row->farewell, sizeof(row->farewell));
	return state;
}

/* One that is disabled or expired brings its counters only. */
static int load_device(struct service *s, struct db_conn *tx, const struct device_row *d)
{
	struct dir_device_conf conf = device_conf(d);
	struct device_state_row row;
	struct device_state state;
	int got = device_state_get(tx, &d->id, &row), err = 0;

	if (got && got != -ENOENT)
		return got;
	if (got == 0) {
		state = state_of(&row);
		err = coordinator_load_state(s->coordinator, &state);
	}
	if (err || !publish_is_live(d, service_now(s)))
		return err;
	err = coordinator_load_device(s->coordinator, &conf, NULL);
	return err ? err : each_credential(s, tx, &d->id, service_now(s), load_credential);
}

int service_attach(struct service *s, struct coordinator *c)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	s->coordinator = c;
	return err ? err : each_device(s, tx, NULL, load_device);
}

/* ---- revocations ---- */

static int acknowledged(int err, struct svc_error *e)
{
	if (err != -ETIMEDOUT)
		return err;
	return refuse(e, SVC_UNAVAILABLE, "",
		"done, but the dataplane has not confirmed it yet; it will as soon as it answers");
}

int revoke_devices(struct service *s, const struct ulid *ids, size_t n, struct svc_error *e)
{
	if (!s->coordinator || n == 0)
		return 0;
	return acknowledged(coordinator_devices_revoke(s->coordinator, ids, n), e);
}

int forget_devices(struct service *s, const struct ulid *ids, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n; i++)
		traffic_forget(s->traffic, &ids[i]);
	for (size_t i = 0; s->coordinator && i < n && !err; i++)
		err = coordinator_device_forget(s->coordinator, &ids[i]);
	return err;
}

int revoke_credential(struct service *s, const struct ulid *id, struct svc_error *e)
{
	if (!s->coordinator)
		return 0;
	return acknowledged(coordinator_credential_revoke(s->coordinator, id), e);
}
