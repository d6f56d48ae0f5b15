#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "db/invite_store.h"
#include "db/lease_store.h"
#include "db/login_store.h"
#include "service/inside.h"
#include "service/text.h"

static void fill(struct svc_user *out, const struct user_row *u)
{
	memset(out, 0, sizeof(*out));
	out->id = u->id;
	memcpy(out->name, u->name, sizeof(out->name));
	memcpy(out->display_name, u->display_name, sizeof(out->display_name));
	memcpy(out->email, u->email, sizeof(out->email));
	out->role = (enum svc_role)u->role;
	out->disabled = u->disabled;
	out->totp = u->totp;
	out->has_password = u->password[0] != '\0';
	out->created_at = u->created_at;
	out->updated_at = u->updated_at;
	out->revision = u->revision;
}

/* ---- what may be asked for ---- */

static int check_texts(const struct svc_user_change *c, struct svc_error *e)
{
	const char *fault = NULL;

	if (c->set_name) {
		fault = c->name ? text_user_name_fault(c->name) : "must not be empty";
		if (fault)
			return refuse(e, SVC_INVALID, "name", "%s", fault);
	}
	if (c->set_display_name && c->display_name) {
		fault = text_label_fault(c->display_name, SVC_DISPLAY_MAX, true);
		if (fault)
			return refuse(e, SVC_INVALID, "display_name", "%s", fault);
	}
	if (c->set_email && c->email) {
		fault = text_email_fault(c->email);
		if (fault)
			return refuse(e, SVC_INVALID, "email", "%s", fault);
	}
	if (c->set_password && c->password) {
		fault = text_password_fault(c->password);
		if (fault)
			return refuse(e, SVC_INVALID, "password", "%s", fault);
	}
	if (c->set_role && (c->role < SVC_ROLE_USER || c->role > SVC_ROLE_ADMIN))
		return refuse(e, SVC_INVALID, "role", "is not a role");
	return 0;
}

/* Nobody gives a role above his own. */
static int may_give(const struct svc_actor *a, const struct svc_user_change *c, struct svc_error *e)
{
	if (c->set_role && c->role > a->role)
		return refuse(e, SVC_FORBIDDEN, "role", "is above your own");
	return 0;
}

static int may_create(
	const struct svc_actor *a, const struct svc_user_change *c, struct svc_error *e)
{
	int err = access_write(a, e);

	if (!err && !access_manages(a))
		err = refuse(e, SVC_FORBIDDEN, "", "the role %s creates no users",
			svc_role_name(a->role));
	return err ? err : may_give(a, c, e);
}

/* The role in the actor is his token's: with a weak token an admin can't change himself either,
 * otherwise whoever has the token would set his password. */
static int may_touch(const struct svc_actor *a, const struct user_row *target, struct svc_error *e)
{
	int err = access_change(a, &target->id, e);

	if (!err && target->role > a->role)
		err = refuse(e, SVC_FORBIDDEN, "", "the user's role is above yours");
	return err;
}

static int may_patch(const struct svc_actor *a, const struct user_row *target,
	const struct svc_user_change *c, struct svc_error *e)
{
	bool self = ulid_equal(&a->user_id, &target->id);
	int err = may_touch(a, target, e);

	if (err)
		return err;
	if (!access_manages(a)) {
		const char *field = c->set_name	      ? "name"
				    : c->set_role     ? "role"
				    : c->set_disabled ? "disabled"
						      : NULL;

		if (field)
			return refuse(e, SVC_FORBIDDEN, field, "is not yours to change");
	}
	if (self && c->set_role && c->role != target->role && a->role != SVC_ROLE_ADMIN)
		return refuse(e, SVC_FORBIDDEN, "role", "nobody changes his own role");
	return may_give(a, c, e);
}

static int may_delete(const struct svc_actor *a, const struct user_row *target, struct svc_error *e)
{
	int err = may_touch(a, target, e);

	if (!err && !access_manages(a))
		err = refuse(e, SVC_FORBIDDEN, "", "the role %s deletes no users",
			svc_role_name(a->role));
	return err;
}

/* Inside the transaction that changed something. */
static int admin_remains(struct db_conn *tx, struct svc_error *e)
{
	uint64_t n;
	int err = user_count_enabled(tx, SVC_ROLE_ADMIN, &n);

	if (!err && n == 0)
		err = refuse(e, SVC_CONFLICT, "", "this is the last admin");
	return err;
}

/* What the audit log says about a change: which fields, of values only the name and the role. */
static int add_row(struct db_conn *tx, struct service *s, const struct svc_actor *me,
	const char *action, const struct user_row *u, const struct svc_user_change *c)
{
	char role[24], detail[AUDIT_FIELDS_TEXT];
	const struct audit_field fields[] = {
		{true, u->name},
		{c && c->set_name, "name"},
		{c && c->set_display_name, "display_name"},
		{c && c->set_email, "email"},
		{c && c->set_role, role},
		{c && c->set_password, c && c->password ? "password" : "no password"},
		{c && c->set_disabled, c && c->disabled ? "disabled" : "enabled"},
	};

	snprintf(role, sizeof(role), "role %s", svc_role_name((enum svc_role)u->role));
	return audit_add(tx, s, me,
		&(struct audit_event){
			.action = action,
			.kind = "usr",
			.object = &u->id,
			.detail = audit_fields(fields, ARRAY_SIZE(fields), detail),
		});
}

/* ---- create ---- */

static int hash_password(struct service *s, const struct svc_user_change *c,
	char out[USER_PASSWORD], struct svc_error *e)
{
	int err;

	out[0] = '\0';
	if (!c->set_password || !c->password)
		return 0;
	err = password_hash(s->gate, c->password, out);
	if (err != PASSWORD_BUSY)
		return err;
	return refuse_for(e, 1, "too many passwords are being looked at");
}

/* Hashes the new password of a change. Who manages nobody may not do so as often as he likes. */
static int take_password(struct service *s, const struct svc_actor *a,
	const struct svc_user_change *c, char out[USER_PASSWORD], struct svc_error *e)
{
	uint32_t retry;

	if (c->set_password && c->password && !access_manages(a) &&
		throttle_own_password(s->throttle, clock_mono_ms(&s->conf.clock), &a->user_id,
			&retry) == THROTTLE_LIMITED)
		return refuse_for(e, retry, "the password was changed too often");
	return hash_password(s, c, out, e);
}

static void apply(struct user_row *u, const struct svc_user_change *c, const char *hash)
{
	if (c->set_name)
		snprintf(u->name, sizeof(u->name), "%s", c->name);
	if (c->set_display_name)
		snprintf(u->display_name, sizeof(u->display_name), "%s",
			c->display_name ? c->display_name : "");
	if (c->set_email)
		snprintf(u->email, sizeof(u->email), "%s", c->email ? c->email : "");
	if (c->set_role)
		u->role = (uint8_t)c->role;
	if (c->set_disabled)
		u->disabled = c->disabled;
	if (c->set_password) {
		memset(u->password, 0, sizeof(u->password));
		snprintf(u->password, sizeof(u->password), "%s", hash);
	}
}

int svc_user_create(struct service *s, const struct svc_actor *a, const struct svc_user_change *c,
	struct svc_user *out, struct svc_error *e)
{
	struct user_row u = {.role = SVC_ROLE_USER, .revision = 1};
	struct db_conn *tx cleanup(db_end) = NULL;
	char hash[USER_PASSWORD], id[ULID_TEXT];
	struct svc_actor me;
	int err = may_create(a, c, e);

	if (!err && !c->set_name)
		err = refuse(e, SVC_INVALID, "name", "is missing");
	if (!err)
		err = check_texts(c, e);
	if (!err)
		err = hash_password(s, c, hash, e);
	if (!err)
		err = ulid_new(&u.id, &s->conf.clock);
	if (!err)
		err = access_begin(s, a, &tx, &me, e);
	if (!err)
		err = may_create(&me, c, e);
	if (err)
		goto out;
	apply(&u, c, hash);
	u.created_at = u.updated_at = service_now(s);
	err = user_insert(tx, &u);
	if (err == -EEXIST)
		err = refuse(e, SVC_CONFLICT, "name", "is taken");
	fill(out, &u);
	if (!err)
		err = once_add(tx, s, &me, "usr", &u.id, out);
	if (!err)
		err = add_row(tx, s, &me, "user.create", &u, c);
	if (!err)
		err = db_commit(&tx);
	if (!err) {
		log_info("service", "user usr_%s: created by %s", ulid_format(&u.id, id),
			a->user_name);
	}
out:
	secret_wipe(&u, sizeof(u));
	secret_wipe(hash, sizeof(hash));
	return answer(err, e);
}

/* ---- read ---- */

static int get_row(
	struct service *s, const struct ulid *id, struct user_row *u, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	if (!err)
		err = user_get(tx, id, u);
	return err == -ENOENT ? refuse_not_found(e) : err;
}

int svc_user_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_user *out, struct svc_error *e)
{
	struct user_row u;
	int err = access_see(a, id, e);

	if (!err)
		err = get_row(s, id, &u, e);
	if (!err)
		fill(out, &u);
	secret_wipe(&u, sizeof(u));
	return answer(err, e);
}

static int list_rows(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct user_row *rows)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	if (err)
		return err;
	if (access_reads_all(a))
		return user_list(tx, &p->after, rows, p->limit + 1);
	if (memcmp(&a->user_id, &p->after, sizeof(p->after)) <= 0)
		return 0;
	err = user_get(tx, &a->user_id, rows);
	return err ? err : 1;
}

int svc_user_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct svc_user **out, size_t *n, bool *more, struct svc_error *e)
{
	struct user_row *rows;
	int got = page_check(p, e);

	*out = NULL;
	*n = 0;
	*more = false;
	if (got)
		return got;
	rows = calloc(p->limit + 1, sizeof(*rows));
	*out = calloc(p->limit + 1, sizeof(**out));
	got = rows && *out ? list_rows(s, a, p, rows) : -ENOMEM;
	for (int i = 0; i < got && i < (int)p->limit; i++)
		fill(&(*out)[(*n)++], &rows[i]);
	*more = got > (int)p->limit;
	if (rows)
		secret_wipe(rows, (p->limit + 1) * sizeof(*rows));
	free(rows);
	if (got >= 0)
		return 0;
	free(*out);
	*out = NULL;
	return answer(got, e);
}

/* ---- change ---- */

/* The ids of all devices of a user; the caller frees *ids. */
static int device_ids(struct db_conn *tx, const struct ulid *user, struct ulid **ids, size_t *n)
{
	enum { PAGE = 64 };
	struct device_row rows[PAGE];
	struct ulid after = {0};
	int got;

	*ids = NULL;
	*n = 0;
	do {
		struct ulid *more;

		got = device_list(tx, user, &after, rows, PAGE);
		if (got <= 0)
			break;
		more = realloc(*ids, (*n + (size_t)got) * sizeof(*more));
		if (!more) {
			got = -ENOMEM;
			break;
		}
		*ids = more;
		for (int i = 0; i < got; i++)
			(*ids)[(*n)++] = rows[i].id;
		after = rows[got - 1].id;
	} while (got == PAGE);
	if (got >= 0)
		return 0;
	free(*ids);
	*ids = NULL;
	*n = 0;
	return got;
}

static void tell_devices(struct service *s, const struct ulid *ids, size_t n,
	const struct ulid *user, enum device_change how)
{
	for (size_t i = 0; i < n; i++)
		tell_device(s, &ids[i], user, how);
}

/* A new password ends the other logins; disabling ends all of them for good. */
static int end_logins(struct db_conn *tx, const struct svc_actor *a, const struct user_row *u,
	const struct svc_user_change *c)
{
	bool self = a->by_login && ulid_equal(&a->user_id, &u->id);

	if (u->disabled)
		return login_delete_user(tx, &u->id, NULL);
	if (c->set_password)
		return login_delete_user(tx, &u->id, self ? &a->via : NULL);
	return 0;
}

/* The transaction of a change. *u: the row as it is now, *was_disabled: before. */
static int patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_user_change *c, const char *hash, struct user_row *u,
	bool *was_disabled, struct ulid **devices, size_t *n_devices, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = user_get(tx, id, u);
	if (err == -ENOENT)
		return refuse_not_found(e);
	if (!err)
		err = may_patch(&me, u, c, e);
	if (!err && if_match && if_match != u->revision)
		err = refuse(e, SVC_PRECONDITION, "", "the user has changed meanwhile");
	if (err)
		return err;
	*was_disabled = u->disabled;
	apply(u, c, hash);
	u->updated_at = service_now(s);
	u->revision++;
	err = user_update(tx, u);
	if (err == -EEXIST)
		return refuse(e, SVC_CONFLICT, "name", "is taken");
	if (!err)
		err = admin_remains(tx, e);
	if (!err)
		err = end_logins(tx, &me, u, c);
	if (!err && (u->disabled || *was_disabled))
		err = device_ids(tx, id, devices, n_devices);
	if (!err && u->disabled)
		err = invite_delete_user(tx, id);
	if (!err)
		err = add_row(tx, s, &me, "user.patch", u, c);
	return err ? err : db_commit(&tx);
}

int svc_user_patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_user_change *c, struct svc_user *out,
	struct svc_error *e)
{
	struct ulid *devices = NULL;
	char hash[USER_PASSWORD] = "", text[ULID_TEXT];
	struct user_row u = {0};
	size_t n_devices = 0;
	bool was_disabled = false;
	int err = access_see(a, id, e);

	/* What is forbidden is refused before a password is hashed, and again in the transaction.
	 */
	if (!err)
		err = get_row(s, id, &u, e);
	if (!err)
		err = may_patch(a, &u, c, e);
	if (!err)
		err = check_texts(c, e);
	if (!err)
		err = take_password(s, a, c, hash, e);
	if (err)
		goto out;
	{
		struct held h cleanup(held_release) = stripes_hold_user(s->stripes, id);

		err = patch(
			s, a, id, if_match, c, hash, &u, &was_disabled, &devices, &n_devices, e);
		if (!err) {
			fill(out, &u);
			log_info("service", "user usr_%s: changed by %s", ulid_format(id, text),
				a->user_name);
		}
		if (!err && u.disabled != was_disabled)
			tell_devices(s, devices, n_devices, id,
				u.disabled ? DEVICE_USER_DISABLED : DEVICE_USER_ENABLED);
		if (!err && u.disabled && c->set_disabled)
			err = revoke_devices(s, devices, n_devices, e);
		else if (!err && !u.disabled && was_disabled)
			err = publish_user(s, id);
	}
out:
	free(devices);
	secret_wipe(&u, sizeof(u));
	secret_wipe(hash, sizeof(hash));
	return answer(err, e);
}

static int remove_user(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct ulid **devices, size_t *n_devices, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct user_row u = {0};
	struct svc_actor me;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = user_get(tx, id, &u);
	if (err == -ENOENT)
		err = refuse_not_found(e);
	if (!err)
		err = may_delete(&me, &u, e);
	if (!err && if_match && if_match != u.revision)
		err = refuse(e, SVC_PRECONDITION, "", "the user has changed meanwhile");
	if (!err)
		err = device_ids(tx, id, devices, n_devices);
	if (!err)
		err = lease_release_user(tx, id, service_now(s));
	if (!err)
		err = user_delete(tx, id);
	if (!err)
		err = admin_remains(tx, e);
	if (!err)
		err = add_row(tx, s, &me, "user.delete", &u, NULL);
	if (!err)
		err = db_commit(&tx);
	secret_wipe(&u, sizeof(u));
	return err;
}

int svc_user_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct svc_error *e)
{
	struct ulid *devices = NULL;
	char text[ULID_TEXT];
	size_t n_devices = 0;
	int err = access_change(a, id, e), forgotten = 0;

	if (!err) {
		struct held h cleanup(held_release) = stripes_hold_user(s->stripes, id);

		err = remove_user(s, a, id, if_match, &devices, &n_devices, e);
		if (!err) {
			log_info("service", "user usr_%s: deleted by %s", ulid_format(id, text),
				a->user_name);
			tell_devices(s, devices, n_devices, id, DEVICE_DELETED);
			err = revoke_devices(s, devices, n_devices, e);
			forgotten = forget_devices(s, devices, n_devices);
		}
	}
	free(devices);
	return answer(err ? err : forgotten, e);
}
