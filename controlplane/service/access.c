/* Who may do what. Roles rise: user, auditor, operator, admin; an auditor reads more than a user,
 * but writes nothing. */
#include <errno.h>

#include "db/login_store.h"
#include "db/token_store.h"
#include "service/inside.h"

enum svc_role access_lower(enum svc_role a, enum svc_role b)
{
	return a < b ? a : b;
}

static int gone(struct svc_error *e)
{
	return refuse(e, SVC_UNAUTHENTICATED, "", "the login or token is not valid any more");
}

/* The token or login may have been deleted since it was looked at. */
static int via_there(struct db_conn *tx, const struct svc_actor *a)
{
	struct token_row token;
	struct login_row login;

	if (ulid_is_zero(&a->via))
		return 0;
	return a->by_login ? login_get(tx, &a->via, &login) : token_get(tx, &a->via, &token);
}

int access_again(
	struct db_conn *tx, const struct svc_actor *a, struct svc_actor *me, struct svc_error *e)
{
	struct user_row u;
	int err = user_get(tx, &a->user_id, &u);

	if (!err && u.disabled)
		err = -ENOENT;
	if (!err)
		err = via_there(tx, a);
	if (err)
		return err == -ENOENT ? gone(e) : err;
	*me = *a;
	me->role = access_lower(a->role, (enum svc_role)u.role);
	me->read_only = a->read_only || u.role == SVC_ROLE_AUDITOR;
	return 0;
}

int access_refresh(
	struct db_conn *tx, const struct svc_actor *a, struct svc_actor *me, struct svc_error *e)
{
	int err = access_again(tx, a, me, e);

	return err ? err : access_write(me, e);
}

int access_begin(struct service *s, const struct svc_actor *a, struct db_conn **tx,
	struct svc_actor *me, struct svc_error *e)
{
	int err = db_write(s->db, tx);

	return err ? err : access_refresh(*tx, a, me, e);
}

int access_begin_own(struct service *s, const struct svc_actor *a, struct db_conn **tx,
	struct svc_actor *me, struct svc_error *e)
{
	int err = db_write(s->db, tx);

	return err ? err : access_again(*tx, a, me, e);
}

bool access_reads_all(const struct svc_actor *a)
{
	return a->role >= SVC_ROLE_AUDITOR;
}

bool access_manages(const struct svc_actor *a)
{
	return a->role >= SVC_ROLE_OPERATOR;
}

int access_write(const struct svc_actor *a, struct svc_error *e)
{
	if (a->role != SVC_ROLE_AUDITOR && !a->read_only)
		return 0;
	return refuse(e, SVC_FORBIDDEN, "", "an auditor changes nothing");
}

int access_see(const struct svc_actor *a, const struct ulid *owner, struct svc_error *e)
{
	if (access_reads_all(a) || ulid_equal(&a->user_id, owner))
		return 0;
	return refuse_not_found(e);
}

int access_change(const struct svc_actor *a, const struct ulid *owner, struct svc_error *e)
{
	int err = access_see(a, owner, e);

	return err ? err : access_write(a, e);
}

int access_device(struct db_conn *tx, const struct svc_actor *a, const struct ulid *id,
	struct device_row *d, struct svc_error *e)
{
	int err = device_get(tx, id, d);

	if (err)
		return err == -ENOENT ? refuse_not_found(e) : err;
	return access_see(a, &d->user_id, e);
}

int access_device_change(struct db_conn *tx, const struct svc_actor *a, const struct ulid *id,
	struct device_row *d, struct svc_error *e)
{
	int err = access_device(tx, a, id, d, e);

	return err ? err : access_write(a, e);
}

int access_device_owner(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct ulid *owner, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct device_row d;
	int err = db_read(s->db, &tx);

	if (!err)
		err = access_device_change(tx, a, id, &d, e);
	if (err)
		return err;
	*owner = d.user_id;
	return 0;
}
