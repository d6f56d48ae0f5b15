#include <errno.h>
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

int svc_session_kill(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct session_info *all, *found;
	struct svc_actor me;
	struct ulid owner;
	size_t n;
	int err = db_read(s->db, &tx);

	if (!err)
		err = access_refresh(tx, a, &me, e);
	db_end(&tx);
	if (!err)
		err = sessions(s, &all, &n);
	if (err)
		return answer(err, e);
	found = n ? bsearch(id, all, n, sizeof(*all), compare_id) : NULL;
	if (found)
		owner = found->user_id;
	free(all);
	err = found ? access_change(&me, &owner, e) : refuse_not_found(e);
	if (!err)
		err = coordinator_session_kill(s->coordinator, id);
	if (err == -ENOENT)
		return refuse_not_found(e);
	if (err == -ETIMEDOUT)
		return refuse(e, SVC_UNAVAILABLE, "", "the dataplane has not confirmed it yet");
	return answer(err, e);
}
