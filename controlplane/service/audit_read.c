/* The audit log for those who may read it, and what the door tells it about refusals. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/secret.h"
#include "service/audit_chain.h"
#include "service/inside.h"

/* A sequence in the last 8 bytes, so that pages and cursors are those of every other list. */
static struct ulid place_of(uint64_t seq)
{
	struct ulid p = {{0}};

	for (size_t i = 0; i < 8; i++)
		p.bytes[15 - i] = (uint8_t)(seq >> (8 * i));
	return p;
}

/* 0 is "from the start". A place that we never gave has a number as well. */
static uint64_t seq_of(const struct ulid *p)
{
	uint64_t seq = 0;

	for (size_t i = 8; i < 16; i++)
		seq = seq << 8 | p->bytes[i];
	return seq;
}

#define SAME_SIZE(a, b)                                                                            \
	_Static_assert(sizeof(((struct svc_audit_entry *)0)->a) == (b), "what a row has fits")
SAME_SIZE(actor_name, AUDIT_NAME);
SAME_SIZE(action, AUDIT_ACTION);
SAME_SIZE(object_kind, AUDIT_KIND);
SAME_SIZE(outcome, AUDIT_OUTCOME);
SAME_SIZE(detail, AUDIT_DETAIL);

static void fill(struct svc_audit_entry *out, const struct audit_row *r)
{
	*out = (struct svc_audit_entry){
		.place = place_of(r->seq),
		.sequence = r->seq,
		.at = r->at,
		.actor_id = r->actor_id,
		.by_token = r->via == AUDIT_VIA_TOKEN,
		.by_login = r->via == AUDIT_VIA_LOGIN,
		.from = r->from,
		.object_id = r->object_id,
	};
	/* A login's own id is nobody's business. */
	if (out->by_token)
		out->token_id = r->via_id;
	memcpy(out->actor_name, r->actor_name, sizeof(out->actor_name));
	memcpy(out->action, r->action, sizeof(out->action));
	memcpy(out->object_kind, r->kind, sizeof(out->object_kind));
	memcpy(out->outcome, r->outcome, sizeof(out->outcome));
	memcpy(out->detail, r->detail, sizeof(out->detail));
	hex_encode(r->hash, sizeof(r->hash), out->hash);
}

static int may_read(const struct svc_actor *a, struct svc_error *e)
{
	if (access_reads_all(a))
		return 0;
	return refuse(e, SVC_FORBIDDEN, "", "the role %s does not see the audit log",
		svc_role_name(a->role));
}

static int list_rows(struct service *s, const struct svc_page *p, const struct svc_audit_filter *f,
	struct audit_row *rows)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct audit_filter only = {.actor = f->actor, .object = f->object};
	int err = db_read(s->db, &tx);

	memcpy(only.action, f->action, sizeof(only.action));
	memcpy(only.kind, f->object_kind, sizeof(only.kind));
	return err ? err : audit_list_down(tx, &only, seq_of(&p->after), rows, p->limit + 1);
}

int svc_audit_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	const struct svc_audit_filter *f, struct svc_audit_entry **out, size_t *n, bool *more,
	struct svc_error *e)
{
	struct audit_row *rows;
	int got = may_read(a, e);

	*out = NULL;
	*n = 0;
	*more = false;
	if (!got)
		got = page_check(p, e);
	if (got)
		return got;
	rows = calloc(p->limit + 1, sizeof(*rows));
	*out = calloc(p->limit + 1, sizeof(**out));
	got = rows && *out ? list_rows(s, p, f, rows) : -ENOMEM;
	for (int i = 0; i < got && i < (int)p->limit; i++)
		fill(&(*out)[(*n)++], &rows[i]);
	*more = got > (int)p->limit;
	free(rows);
	if (got >= 0)
		return 0;
	free(*out);
	*out = NULL;
	return answer(got, e);
}

/* ---- the whole of it ---- */

/* What the walk found against what the end of the chain says. */
static uint64_t broken_at(
	struct service *s, const struct audit_head *h, bool there, const struct audit_walk *w)
{
	uint64_t at = w->broken;

	/* The tail is missing, or there is more than was ever written, or another end. */
	if (!at && (!there || w->next != h->last + 1 ||
			   !secret_equal(w->hash, h->hash, sizeof(w->hash)) ||
			   !audit_chain_genuine(s->ks, h)))
		at = w->next;
	if (there && h->broken && (!at || h->broken < at))
		at = h->broken;
	return at;
}

static int verify(struct service *s, struct svc_audit_state *out)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct audit_walk w = {.next = 1};
	struct audit_head h = {.first = 1};
	int err = db_read(s->db, &tx), got = 0;

	if (!err)
		got = audit_head_get(tx, &h);
	if (got && got != -ENOENT && got != -EUCLEAN)
		err = got;
	if (!err && got == 0) {
		w.next = h.first;
		memcpy(w.hash, h.before, sizeof(w.hash));
	}
	if (!err)
		err = audit_chain_walk(tx, &w, UINT64_MAX, INT64_MAX);
	if (err)
		return err;
	*out = (struct svc_audit_state){
		.broken_at = broken_at(s, &h, got == 0, &w), .rows = w.rows};
	out->ok = out->broken_at == 0;
	if (w.rows) {
		out->first = got == 0 ? h.first : 1;
		out->last = w.next - 1;
	}
	hex_encode(w.hash, sizeof(w.hash), out->hash);
	return 0;
}

int svc_audit_verify(struct service *s, const struct svc_actor *a, struct svc_audit_state *out,
	struct svc_error *e)
{
	int err = may_read(a, e);

	memset(out, 0, sizeof(*out));
	if (err)
		return err;
	if (pthread_mutex_trylock(&s->verify_lock)) {
		refuse(e, SVC_RATE_LIMITED, "", "the audit log is being verified already");
		if (e)
			e->retry_after_s = 2;
		return SVC_RATE_LIMITED;
	}
	err = verify(s, out);
	pthread_mutex_unlock(&s->verify_lock);
	return answer(err, e);
}

void svc_audit_refused(struct service *s, const struct svc_actor *a, int outcome,
	const char *action, const char *kind, const struct ulid *object)
{
	audit_note(s, a,
		&(struct audit_event){
			.action = action,
			.kind = kind,
			.object = object,
			.outcome = outcome == SVC_FORBIDDEN ? AUDIT_DENIED : AUDIT_LIMITED,
		});
}
