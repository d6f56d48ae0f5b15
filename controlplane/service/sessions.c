#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/inside.h"

static int compare_id(const void *wanted, const void *item)
{
	return memcmp(wanted, &((const struct session_info *)item)->id, sizeof(struct ulid));
}

static int sessions(struct service *s, struct session_info **out, size_t *n)
{
	*out = NULL;
	*n = 0;
	return s->coordinator ? coordinator_sessions(s->coordinator, out, n) : 0;
}

int svc_session_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct session_info **out, size_t *n, bool *more, struct svc_error *e)
{
	struct session_info *all;
	size_t n_all, kept = 0;
	int err = page_check(p, e);

	*out = NULL;
	*n = 0;
	*more = false;
	if (!err)
		err = sessions(s, &all, &n_all);
	if (err)
		return answer(err, e);
	/* In place: what is kept never overtakes what is looked at. */
	for (size_t i = 0; i < n_all; i++) {
		bool mine = access_reads_all(a) || ulid_equal(&all[i].user_id, &a->user_id);

		if (!mine || memcmp(&all[i].id, &p->after, sizeof(p->after)) <= 0)
			continue;
		if (kept == p->limit) {
			*more = true;
			break;
		}
		all[kept++] = all[i];
	}
	*out = all;
	*n = kept;
	return 0;
}

/* Whose it is, while it is there. */
static int find(struct service *s, const struct ulid *id, struct session_info *out)
{
	struct session_info *all, *found;
	size_t n;
	int err = sessions(s, &all, &n);

	if (err)
		return err;
	found = n ? bsearch(id, all, n, sizeof(*all), compare_id) : NULL;
	if (found)
		*out = *found;
	free(all);
	return found ? 0 : -ENOENT;
}

/* The row is written first: what was done without one could not be told any more. */
static int may_kill(struct service *s, const struct svc_actor *a, const struct session_info *k,
	struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	char id[ULID_TEXT], detail[AUDIT_FIELDS_TEXT];
	struct svc_actor me;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = access_change(&me, &k->user_id, e);
	if (err)
		return err;
	snprintf(detail, sizeof(detail), "of dev_%s", ulid_format(&k->device_id, id));
	err = audit_add(tx, s, &me,
		&(struct audit_event){.action = "session.kill",
			.kind = "ses",
			.object = &k->id,
			.detail = detail});
	return err ? err : db_commit(&tx);
}

int svc_session_kill(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	struct session_info session;
	int err = find(s, id, &session);

	if (!err)
		err = may_kill(s, a, &session, e);
	if (!err)
		err = coordinator_session_kill(s->coordinator, id);
	if (err == -ENOENT)
		return refuse_not_found(e);
	if (err == -ETIMEDOUT)
		return refuse(e, SVC_UNAVAILABLE, "", "the dataplane has not confirmed it yet");
	return answer(err, e);
}
