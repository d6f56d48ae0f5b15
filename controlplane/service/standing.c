/* Whether somebody who was let in may still be here: asked again and again while he is served for
 * long. */
#include <errno.h>

#include "db/login_store.h"
#include "db/token_store.h"
#include "service/inside.h"

/* Returns: 0 with the role that it gives, SVC_UNAUTHENTICATED, -errno. */
static int token_stands(
	struct service *s, struct db_conn *tx, const struct ulid *id, enum svc_role *role)
{
	struct token_row row;
	int err = token_get(tx, id, &row);

	if (err)
		return err;
	*role = (enum svc_role)row.role;
	return row.expires_at && row.expires_at <= service_now(s) ? SVC_UNAUTHENTICATED : 0;
}

static int login_stands(struct service *s, struct db_conn *tx, const struct ulid *id)
{
	const int64_t now = service_now(s);
	struct login_row row;
	int err = login_get(tx, id, &row);

	if (err)
		return err;
	if (now - row.created_at >= LOGIN_MAX_MS ||
		now - recorder_last_use(s->recorder, id, row.last_used_at) >= LOGIN_IDLE_MS)
		return SVC_UNAUTHENTICATED;
	return 0;
}

int svc_actor_stands(struct service *s, const struct svc_actor *a)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	enum svc_role role = SVC_ROLE_ADMIN;
	struct user_row u = {0};
	int err = db_read(s->db, &tx);

	if (!err)
		err = user_get(tx, &a->user_id, &u);
	if (!err && u.disabled)
		err = SVC_UNAUTHENTICATED;
	if (!err)
		err = a->by_login ? login_stands(s, tx, &a->via)
				  : token_stands(s, tx, &a->via, &role);
	/* With another role other things are to be seen. */
	if (!err && access_lower(role, (enum svc_role)u.role) != a->role)
		err = SVC_UNAUTHENTICATED;
	return err == -ENOENT ? SVC_UNAUTHENTICATED : err;
}
