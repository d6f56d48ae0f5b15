#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"
#include "service/inside.h"
#include "service/issue.h"

void credential_fill(struct svc_credential *out, const struct credential_row *c)
{
	*out = (struct svc_credential){
		.id = c->id,
		.device_id = c->device_id,
		.protocol = c->protocol,
		.created_at = c->created_at,
		.expires_at = c->expires_at,
		.revoked_at = c->revoked_at,
	};
	hex_encode(c->fingerprint, sizeof(c->fingerprint), out->fingerprint);
}

/* They stay in memory, and in every list of devices. */
static int check_room(struct db_conn *tx, const struct ulid *device, struct svc_error *e)
{
	uint64_t n;
	int err = credential_count(tx, device, &n);

	if (!err && n >= SVC_DEVICE_CREDENTIALS)
		err = refuse(e, SVC_FULL, "", "a device has at most %d credentials; revoke one",
			SVC_DEVICE_CREDENTIALS);
	return err;
}

static int add_row(struct db_conn *tx, struct service *s, const struct svc_actor *me,
	const char *action, const struct credential_row *c)
{
	char id[ULID_TEXT], detail[AUDIT_FIELDS_TEXT];

	snprintf(detail, sizeof(detail), "%s, of dev_%s",
		c->protocol == DIR_OPENVPN ? "openvpn" : "wireguard",
		ulid_format(&c->device_id, id));
	return audit_add(tx, s, me,
		&(struct audit_event){
			.action = action, .kind = "crd", .object = &c->id, .detail = detail});
}

/* The transaction. *d: the device as it is in it, which is what the profile must say. */
static int insert(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct issue_also *also, struct credential_row *row, struct device_row *d,
	struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = access_device_change(tx, &me, device, d, e);
	if (err)
		return err;
	if (row->protocol == DIR_WIREGUARD)
		err = credential_wg_public_taken(tx, row->wg_public);
	if (err == 1)
		return refuse(e, SVC_CONFLICT, "public_key", "is in use");
	if (!err)
		err = check_room(tx, device, e);
	if (!err)
		err = credential_insert(tx, row);
	if (!err)
		err = device_touch(tx, device, row->created_at);
	if (!err && also)
		err = also->run(also->arg, tx, row, d, e);
	if (!err)
		err = once_add(tx, s, &me, "crd", &row->id, NULL);
	if (!err)
		err = add_row(tx, s, &me, "credential.issue", row);
	return err ? err : db_commit(&tx);
}

/* Of a credential that nobody set an end for. */
static int64_t usual_expiry(struct service *s)
{
	struct svc_settings set;

	svc_settings_now(s, &set);
	if (set.number[SVC_CREDENTIAL_LIFETIME] == 0)
		return 0;
	return service_now(s) + set.number[SVC_CREDENTIAL_LIFETIME] * 1000;
}

int credential_issue(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_credential_request *r, const struct issue_also *also,
	struct svc_issued *out, struct svc_error *e)
{
	struct issue keys cleanup(issue_wipe) = {0};
	struct credential_row row = {
		.device_id = *device, .protocol = r->protocol, .expires_at = r->expires_at};
	struct device_row d;
	struct ulid owner;
	char text[ULID_TEXT];
	int err = access_device_owner(s, a, device, &owner, e);

	memset(out, 0, sizeof(*out));
	if (!r->set_expires_at && !r->expires_at)
		row.expires_at = usual_expiry(s);
	if (!err)
		err = issue_check(s, r, e);
	if (!err)
		err = ulid_new(&row.id, &s->conf.clock);
	if (!err)
		err = issue_make(s, r, &keys, &row, e);
	if (err)
		return answer(err, e);
	row.created_at = service_now(s);

	struct held h cleanup(held_release) = stripes_hold_device(s->stripes, &owner, device);
	err = insert(s, a, device, also, &row, &d, e);
	if (err)
		return answer(err, e);
	credential_fill(&out->credential, &row);
	log_info("service", "credential crd_%s: issued by %s", ulid_format(&row.id, text),
		a->user_name);
	tell_device(s, device, &owner, DEVICE_CREDENTIAL_ISSUED);
	if (publish_is_live(&d, service_now(s)))
		err = publish_credential(s, &row);
	if (!err)
		err = issue_profile(s, row.protocol, &d, &keys, out);
	if (err)
		secret_wipe(out, sizeof(*out));
	return answer(err, e);
}

int svc_credential_issue(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_credential_request *r, struct svc_issued *out, struct svc_error *e)
{
	return credential_issue(s, a, device, r, NULL, out, e);
}

/* Again for one that is revoked: whoever was not sure of the first time may repeat it. */
static int revoke(struct service *s, const struct svc_actor *a, const struct ulid *id,
	const struct ulid *device, const struct ulid *owner, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct credential_row row;
	struct svc_actor me;
	int64_t now = service_now(s);
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = credential_get(tx, id, &row);
	if (err == -ENOENT)
		return refuse_not_found(e);
	if (!err)
		err = access_change(&me, owner, e);
	if (err || row.revoked_at)
		return err;
	err = credential_revoke(tx, id, now);
	if (!err)
		err = credential_prune(tx, device, SVC_DEVICE_REVOKED);
	if (!err)
		err = device_touch(tx, device, now);
	if (!err)
		err = add_row(tx, s, &me, "credential.revoke", &row);
	return err ? err : db_commit(&tx);
}

static int find_device(
	struct service *s, const struct ulid *credential, struct ulid *device, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct credential_row row;
	int err = db_read(s->db, &tx);

	if (!err)
		err = credential_get(tx, credential, &row);
	if (err)
		return err == -ENOENT ? refuse_not_found(e) : err;
	*device = row.device_id;
	return 0;
}

int svc_credential_revoke(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	struct ulid device, owner;
	char text[ULID_TEXT];
	int err = find_device(s, id, &device, e);

	if (!err)
		err = access_device_owner(s, a, &device, &owner, e);
	if (err)
		return answer(err, e);

	struct held h cleanup(held_release) = stripes_hold_device(s->stripes, &owner, &device);
	err = revoke(s, a, id, &device, &owner, e);
	if (err)
		return answer(err, e);
	log_info(
		"service", "credential crd_%s: revoked by %s", ulid_format(id, text), a->user_name);
	tell_device(s, &device, &owner, DEVICE_CREDENTIAL_REVOKED);
	return revoke_credential(s, id, e);
}
