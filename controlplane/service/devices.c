#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "db/invite_store.h"
#include "db/lease_store.h"
#include "db/state_store.h"
#include "service/inside.h"
#include "service/text.h"

enum { CREDENTIALS_PAGE = 64 };

void svc_device_fini(struct svc_device *d)
{
	free(d->credentials);
	d->credentials = NULL;
	d->n_credentials = 0;
}

void svc_devices_free(struct svc_device *d, size_t n)
{
	for (size_t i = 0; d && i < n; i++)
		svc_device_fini(&d[i]);
	free(d);
}

/* ---- reading ---- */

static int fill_credentials(struct db_conn *tx, struct svc_device *out)
{
	struct credential_row rows[CREDENTIALS_PAGE];
	struct ulid after = {0};
	int n;

	do {
		struct svc_credential *more;

		n = credential_list(tx, &out->id, &after, rows, CREDENTIALS_PAGE);
		if (n <= 0)
			return n;
		more = realloc(out->credentials, (out->n_credentials + (size_t)n) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		out->credentials = more;
		for (int i = 0; i < n; i++)
			credential_fill(&out->credentials[out->n_credentials++], &rows[i]);
		after = rows[n - 1].id;
	} while (n == CREDENTIALS_PAGE);
	return 0;
}

/* A device that is disabled or expired is not in the directory; what it had counted is here. */
static int fill_live(struct service *s, struct db_conn *tx, struct svc_device *out)
{
	struct device_state_row st;
	int err;

	if (s->coordinator && coordinator_device_live(s->coordinator, &out->id, &out->live) == 0)
		return 0;
	memset(&out->live, 0, sizeof(out->live));
	err = device_state_get(tx, &out->id, &st);
	if (err)
		return err == -ENOENT ? 0 : err;
	out->live.rx_bytes = st.total.rx_bytes;
	out->live.tx_bytes = st.total.tx_bytes;
	out->live.rx_packets = st.total.rx_packets;
	out->live.tx_packets = st.total.tx_packets;
	out->live.last_handshake_at = st.last_handshake_at;
	return 0;
}

/* As a new device is: nobody is connected, it has no credentials. */
static void fill_row(struct svc_device *out, const struct device_row *d)
{
	memset(out, 0, sizeof(*out));
	out->id = d->id;
	out->user_id = d->user_id;
	memcpy(out->name, d->name, sizeof(out->name));
	out->address4 = d->address4;
	out->address6 = d->address6;
	out->enabled = d->enabled;
	out->expires_at = d->expires_at;
	out->created_at = d->created_at;
	out->updated_at = d->updated_at;
	out->revision = d->revision;
}

/* On failure *out owns nothing. */
static int fill(
	struct service *s, struct db_conn *tx, const struct device_row *d, struct svc_device *out)
{
	int err;

	fill_row(out, d);
	err = fill_credentials(tx, out);
	if (!err)
		err = fill_live(s, tx, out);
	if (err)
		svc_device_fini(out);
	return err;
}

int svc_device_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_device *out, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct device_row d;
	int err = db_read(s->db, &tx);

	memset(out, 0, sizeof(*out));
	if (!err)
		err = access_device(tx, a, id, &d, e);
	if (!err)
		err = fill(s, tx, &d, out);
	return answer(err, e);
}

int svc_device_list(struct service *s, const struct svc_actor *a, const struct ulid *user_id,
	const struct svc_page *p, struct svc_device **out, size_t *n, bool *more,
	struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct device_row *rows = NULL;
	int got = page_check(p, e), err = 0;

	*out = NULL;
	*n = 0;
	*more = false;
	if (got)
		return got;
	if (!access_reads_all(a)) {
		/* Somebody else's devices look like those of nobody. */
		if (user_id && !ulid_equal(user_id, &a->user_id)) {
			*out = calloc(1, sizeof(**out));
			return *out ? 0 : -ENOMEM;
		}
		user_id = &a->user_id;
	}
	rows = calloc(p->limit + 1, sizeof(*rows));
	*out = calloc(p->limit + 1, sizeof(**out));
	got = rows && *out ? db_read(s->db, &tx) : -ENOMEM;
	if (!got)
		got = device_list(tx, user_id, &p->after, rows, p->limit + 1);
	for (int i = 0; i < got && i < (int)p->limit && !err; i++) {
		err = fill(s, tx, &rows[i], &(*out)[*n]);
		*n += !err;
	}
	*more = got > (int)p->limit;
	free(rows);
	if (got >= 0 && !err)
		return 0;
	svc_devices_free(*out, *n);
	*out = NULL;
	*n = 0;
	return answer(err ? err : got, e);
}

/* ---- leases ---- */

static struct lease_value value_of(const struct ip_addr *a)
{
	struct lease_value v = {.len = (uint8_t)ip_addr_size(a)};

	memcpy(v.bytes, a->bytes, v.len);
	return v;
}

/* What may be given out of a network: not its own address, not the server's (the first), and in
 * IPv4 not the broadcast address. */
static void address_range(
	const struct ip_prefix *net, struct lease_value *first, struct lease_value *last)
{
	struct ip_addr low = ip_prefix_nth(net, 2), high = ip_prefix_network(net);
	size_t bits = ip_addr_size(&high) * 8;

	for (size_t i = net->len; i < bits; i++)
		high.bytes[i / 8] |= (uint8_t)(0x80 >> (i % 8));
	if (high.family == IP_V4)
		high.bytes[3] &= 0xfe;
	*first = value_of(&low);
	*last = value_of(&high);
}

static int take_slot(struct db_conn *tx, struct device_row *d, int64_t now, struct svc_error *e)
{
	static const struct lease_value first = {.len = 2},
					last = {.len = 2, .bytes = {0xff, 0xff}};
	struct lease_value v = {0};
	int got = lease_take_next(tx, LEASE_SLOT, &first, &last, &d->id, now, &v);

	if (got == LEASE_FULL)
		return refuse(e, SVC_FULL, "", "there are as many devices as there can be");
	d->peer = (uint32_t)v.bytes[0] << 8 | v.bytes[1];
	return got;
}

static int address_check(const struct ip_prefix *net, const struct ip_addr *a, const char *field,
	struct svc_error *e)
{
	struct lease_value first, last, v = value_of(a);

	if (a->family != net->addr.family || !ip_prefix_contains(net, a))
		return refuse(e, SVC_INVALID, field, "is not in the tunnel network");
	address_range(net, &first, &last);
	if (memcmp(v.bytes, first.bytes, v.len) < 0 || memcmp(v.bytes, last.bytes, v.len) > 0)
		return refuse(e, SVC_INVALID, field, "is reserved");
	return 0;
}

/* Takes the wanted address, or, when there is none, the next that is free. */
static int take_address(struct db_conn *tx, const struct ip_prefix *net, const struct ulid *device,
	const struct ip_addr *wanted, int64_t now, struct ip_addr *out, struct svc_error *e)
{
	enum lease_kind kind = net->addr.family == IP_V4 ? LEASE_ADDRESS4 : LEASE_ADDRESS6;
	const char *field = kind == LEASE_ADDRESS4 ? "address4" : "address6";
	struct lease_value first, last, v = {0};
	int got;

	if (wanted) {
		v = value_of(wanted);
		got = lease_take(tx, kind, &v, device, now);
	} else {
		address_range(net, &first, &last);
		got = lease_take_next(tx, kind, &first, &last, device, now, &v);
	}
	if (got == LEASE_FULL)
		return refuse(e, SVC_FULL, field, "no address is free in the tunnel network");
	if (got == LEASE_TAKEN)
		return refuse(e, SVC_CONFLICT, field, "is taken");
	if (got == LEASE_QUARANTINED)
		return refuse(e, SVC_CONFLICT, field,
			"was released a moment ago, try again in %d seconds",
			LEASE_QUARANTINE_MS / 1000);
	*out = (struct ip_addr){.family = net->addr.family};
	memcpy(out->bytes, v.bytes, v.len);
	return got;
}

/* ---- what may be asked for ---- */

static int check_fields(struct service *s, const struct svc_actor *a,
	const struct svc_device_change *c, struct svc_error *e)
{
	const char *fault;
	int err = 0;

	if (!access_manages(a)) {
		const char *field = c->set_address4	? "address4"
				    : c->set_address6	? "address6"
				    : c->set_expires_at ? "expires_at"
							: NULL;

		if (field)
			return refuse(e, SVC_FORBIDDEN, field, "is not yours to set");
	}
	if (c->set_name) {
		fault = c->name ? text_label_fault(c->name, SVC_NAME_MAX, false)
				: "must not be empty";
		if (fault)
			return refuse(e, SVC_INVALID, "name", "%s", fault);
	}
	if (c->set_expires_at)
		err = time_check(c->expires_at, "expires_at", e);
	if (!err && c->set_address4)
		err = address_check(&s->conf.net4, &c->address4, "address4", e);
	if (!err && c->set_address6)
		err = address_check(&s->conf.net6, &c->address6, "address6", e);
	return err;
}

static int check_name_free(
	struct db_conn *tx, const struct ulid *user, const char *name, struct svc_error *e)
{
	int got = device_name_taken(tx, user, name);

	return got == 1 ? refuse(e, SVC_CONFLICT, "name", "is taken by another device of the user")
			: got;
}

/* Only for those who help themselves: they would take the addresses of everybody else. */
static int check_room(struct db_conn *tx, const struct svc_actor *a, const struct ulid *user,
	int64_t now, struct svc_error *e)
{
	uint64_t n;
	int err = access_manages(a) ? 0 : lease_count_user(tx, user, now, &n);

	if (!err && !access_manages(a) && n >= SVC_OWN_DEVICES)
		err = refuse(e, SVC_FULL, "",
			"a user has at most %d devices; deleted ones count for %d seconds more",
			SVC_OWN_DEVICES, LEASE_QUARANTINE_MS / 1000);
	return err;
}

/* What the audit log says: whose device, and which fields. */
static int add_row(struct db_conn *tx, struct service *s, const struct svc_actor *me,
	const char *action, const struct device_row *d, const struct svc_device_change *c)
{
	char owner[40], id[ULID_TEXT], detail[AUDIT_FIELDS_TEXT];
	const struct audit_field fields[] = {
		{true, owner},
		{c && c->set_name, "name"},
		{c && c->set_address4, "address4"},
		{c && c->set_address6, "address6"},
		{c && c->set_enabled, c && c->enabled ? "enabled" : "disabled"},
		{c && c->set_expires_at, "expires_at"},
	};

	snprintf(owner, sizeof(owner), "of usr_%s", ulid_format(&d->user_id, id));
	return audit_add(tx, s, me,
		&(struct audit_event){
			.action = action,
			.kind = "dev",
			.object = &d->id,
			.detail = audit_fields(fields, ARRAY_SIZE(fields), detail),
		});
}

/* ---- create ---- */

/* The transaction: leases and device together or not at all. */
static int create(struct service *s, const struct svc_actor *a, const struct svc_device_change *c,
	struct device_row *d, struct svc_device *out, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	struct user_row u;
	int64_t now = service_now(s);
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = check_fields(s, &me, c, e);
	if (!err)
		err = access_change(&me, &d->user_id, e);
	if (err)
		return err;
	err = user_get(tx, &d->user_id, &u);
	if (err == -ENOENT)
		return refuse(e, SVC_INVALID, "user_id", "there is no such user");
	d->user_disabled = !err && u.disabled;
	secret_wipe(&u, sizeof(u));
	d->created_at = d->updated_at = now;
	if (!err)
		err = check_name_free(tx, &d->user_id, d->name, e);
	if (!err)
		err = check_room(tx, &me, &d->user_id, now, e);
	if (!err)
		err = take_address(tx, &s->conf.net4, &d->id, c->set_address4 ? &c->address4 : NULL,
			now, &d->address4, e);
	if (!err)
		err = take_address(tx, &s->conf.net6, &d->id, c->set_address6 ? &c->address6 : NULL,
			now, &d->address6, e);
	if (!err)
		err = take_slot(tx, d, now, e);
	if (!err)
		err = device_insert(tx, d);
	fill_row(out, d);
	if (!err)
		err = once_add(tx, s, &me, "dev", &d->id, out);
	if (!err)
		err = add_row(tx, s, &me, "device.create", d, c);
	return err ? err : db_commit(&tx);
}

int svc_device_create(struct service *s, const struct svc_actor *a,
	const struct svc_device_change *c, struct svc_device *out, struct svc_error *e)
{
	struct device_row d = {
		.user_id = c->set_user_id ? c->user_id : a->user_id,
		.enabled = c->set_enabled ? c->enabled : true,
		.expires_at = c->set_expires_at ? c->expires_at : 0,
		.revision = 1,
	};
	char text[ULID_TEXT];
	int err = access_change(a, &d.user_id, e);

	memset(out, 0, sizeof(*out));
	if (!err && !c->set_name)
		err = refuse(e, SVC_INVALID, "name", "is missing");
	if (!err)
		err = check_fields(s, a, c, e);
	if (!err)
		err = ulid_new(&d.id, &s->conf.clock);
	if (err)
		return answer(err, e);
	snprintf(d.name, sizeof(d.name), "%s", c->name);

	struct held h cleanup(held_release) = stripes_hold_device(s->stripes, &d.user_id, &d.id);
	err = create(s, a, c, &d, out, e);
	if (err)
		return answer(err, e);
	log_info("service", "device dev_%s: created by %s", ulid_format(&d.id, text), a->user_name);
	tell_device(s, &d.id, &d.user_id, DEVICE_CREATED);
	if (publish_is_live(&d, service_now(s)))
		err = publish_device(s, &d, false);
	return err;
}

/* ---- change ---- */

static int change_address(struct service *s, struct db_conn *tx, const struct ip_prefix *net,
	const struct ip_addr *wanted, struct device_row *d, struct ip_addr *current,
	struct svc_error *e)
{
	enum lease_kind kind = net->addr.family == IP_V4 ? LEASE_ADDRESS4 : LEASE_ADDRESS6;
	struct lease_value old = value_of(current);
	int64_t now = service_now(s);
	int err;

	if (ip_addr_equal(wanted, current))
		return 0;
	err = take_address(tx, net, &d->id, wanted, now, current, e);
	return err ? err : lease_release(tx, kind, &old, now);
}

static int apply(struct service *s, struct db_conn *tx, const struct svc_device_change *c,
	struct device_row *d, struct svc_error *e)
{
	int err = 0;

	if (c->set_user_id && !ulid_equal(&c->user_id, &d->user_id))
		return refuse(e, SVC_INVALID, "user_id", "can't be changed");
	if (c->set_name) {
		/* Its own name stays its own. */
		if (strcmp(c->name, d->name) != 0)
			err = check_name_free(tx, &d->user_id, c->name, e);
		if (!err)
			snprintf(d->name, sizeof(d->name), "%s", c->name);
	}
	if (c->set_enabled)
		d->enabled = c->enabled;
	if (c->set_expires_at)
		d->expires_at = c->expires_at;
	if (!err && c->set_address4)
		err = change_address(s, tx, &s->conf.net4, &c->address4, d, &d->address4, e);
	if (!err && c->set_address6)
		err = change_address(s, tx, &s->conf.net6, &c->address6, d, &d->address6, e);
	d->updated_at = service_now(s);
	d->revision++;
	return err;
}

/* The transaction of a change; *before is the row as it was. */
static int patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_device_change *c, struct device_row *before,
	struct device_row *d, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = access_device_change(tx, &me, id, d, e);
	if (!err)
		err = check_fields(s, &me, c, e);
	if (!err && if_match && if_match != d->revision)
		err = refuse(e, SVC_PRECONDITION, "", "the device has changed meanwhile");
	/* Whoever switched it off may have had a reason that its user must not undo. */
	if (!err && c->set_enabled && c->enabled && !d->enabled && !access_manages(&me))
		err = refuse(e, SVC_FORBIDDEN, "enabled", "only an operator switches it on again");
	if (err)
		return err;
	*before = *d;
	err = apply(s, tx, c, d, e);
	if (!err)
		err = device_update(tx, d);
	if (!err && !d->enabled)
		err = invite_delete_device(tx, id);
	if (!err)
		err = add_row(tx, s, &me, "device.patch", d, c);
	return err ? err : db_commit(&tx);
}

/* Brings the directory in line with a row that has just been committed. */
static int follow(struct service *s, const struct device_row *before, const struct device_row *d,
	const struct svc_device_change *c, struct svc_error *e)
{
	/* It may have expired between two looks at the clock: near the end its credentials are put
	 * back as well, which changes nothing when they are still there. */
	enum { NEAR_MS = 2000 };
	int64_t now = service_now(s);
	bool was_in = publish_is_live(before, now + NEAR_MS);

	if (!c->set_enabled && !c->set_expires_at && !c->set_address4 && !c->set_address6)
		return 0;
	if (publish_is_live(d, now))
		return publish_device(s, d, !was_in);
	return revoke_devices(s, &d->id, 1, e);
}

int svc_device_patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_device_change *c, struct svc_device *out,
	struct svc_error *e)
{
	struct device_row before, d;
	struct ulid owner;
	char text[ULID_TEXT];
	int err = access_device_owner(s, a, id, &owner, e);

	memset(out, 0, sizeof(*out));
	if (!err)
		err = check_fields(s, a, c, e);
	if (err)
		return answer(err, e);

	struct held h cleanup(held_release) = stripes_hold_device(s->stripes, &owner, id);
	err = patch(s, a, id, if_match, c, &before, &d, e);
	if (err)
		return answer(err, e);
	log_info("service", "device dev_%s: changed by %s", ulid_format(id, text), a->user_name);
	tell_device(s, id, &owner, DEVICE_UPDATED);
	err = follow(s, &before, &d, c, e);
	return err ? err : svc_device_get(s, a, id, out, e);
}

static int remove_device(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	struct device_row d;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = access_device_change(tx, &me, id, &d, e);
	if (!err && if_match && if_match != d.revision)
		err = refuse(e, SVC_PRECONDITION, "", "the device has changed meanwhile");
	if (!err)
		err = lease_release_device(tx, id, service_now(s));
	if (!err)
		err = device_delete(tx, id);
	if (!err)
		err = add_row(tx, s, &me, "device.delete", &d, NULL);
	return err ? err : db_commit(&tx);
}

int svc_device_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct svc_error *e)
{
	struct ulid owner;
	char text[ULID_TEXT];
	int err = access_device_owner(s, a, id, &owner, e), forgotten;

	if (err)
		return answer(err, e);

	struct held h cleanup(held_release) = stripes_hold_device(s->stripes, &owner, id);
	err = remove_device(s, a, id, if_match, e);
	if (err)
		return answer(err, e);
	log_info("service", "device dev_%s: deleted by %s", ulid_format(id, text), a->user_name);
	tell_device(s, id, &owner, DEVICE_DELETED);
	err = revoke_devices(s, id, 1, e);
	forgotten = forget_devices(s, id, 1);
	return err ? err : forgotten;
}
