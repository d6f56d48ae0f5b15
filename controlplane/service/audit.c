#include "service/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "service/audit_chain.h"
#include "service/inside.h"

/* Of what changes nothing: so many rows at once, one more a minute; the rest is told in one row. */
enum { NOTES_AT_ONCE = 60, NOTE_EVERY_MS = 60 * 1000, SUM_EVERY_MS = 10 * 60 * 1000 };
/* Rows are ended in small transactions, and a few a second, so that no writer waits for long. */
enum { END_EVERY_MS = 3600 * 1000, END_AT_ONCE = 1000, BITES = 5 };

/* What may be written of one outcome. Times are monotonic. */
struct allowance {
	uint64_t full_at; /* when all of it is there again */
	uint64_t missed;  /* counted, not written */
	uint64_t since;	  /* the first of them */
};

struct audit_log {
	pthread_mutex_t lock;
	struct allowance allowances[AUDIT_OUTCOMES];
	uint64_t end_at; /* when the oldest rows are looked at again */
};

static const char *const outcome_names[AUDIT_OUTCOMES] = {
	[AUDIT_OK] = "ok",
	[AUDIT_FAILED] = "failed",
	[AUDIT_LIMITED] = "limited",
	[AUDIT_DENIED] = "denied",
};

int audit_new(struct audit_log **out)
{
	struct audit_log *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	*out = l;
	return 0;
}

void audit_free(struct audit_log *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

const char *audit_fields(const struct audit_field *f, size_t n, char out[AUDIT_FIELDS_TEXT])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n && used < AUDIT_FIELDS_TEXT; i++)
		if (f[i].set)
			used += (size_t)snprintf(out + used, AUDIT_FIELDS_TEXT - used, "%s%s",
				used ? ", " : "", f[i].name);
	return out;
}

/* ---- one row ---- */

static void take_actor(struct audit_row *r, const struct svc_actor *a)
{
	if (!a)
		return;
	r->actor_id = a->user_id;
	snprintf(r->actor_name, sizeof(r->actor_name), "%s", a->user_name);
	r->from = a->from;
	r->via_id = a->via;
	if (!ulid_is_zero(&a->via))
		r->via = a->by_login ? AUDIT_VIA_LOGIN : AUDIT_VIA_TOKEN;
}

static void take_event(struct audit_row *r, const struct audit_event *ev)
{
	snprintf(r->action, sizeof(r->action), "%s", ev->action);
	snprintf(r->kind, sizeof(r->kind), "%s", ev->kind ? ev->kind : "");
	if (ev->object)
		r->object_id = *ev->object;
	snprintf(r->outcome, sizeof(r->outcome), "%s", outcome_names[ev->outcome]);
	snprintf(r->detail, sizeof(r->detail), "%s", ev->detail ? ev->detail : "");
}

/* The end of the chain. One that somebody has tampered with is not signed again as if it were
 * right: it goes on from the rows that are there, and remembers for good where that was. */
static int read_head(struct db_conn *tx, struct keystore *ks, struct audit_head *h)
{
	uint64_t greatest;
	int err = audit_head_get(tx, h);
	bool there = err == 0;

	if (err && err != -ENOENT && err != -EUCLEAN)
		return err;
	err = audit_greatest(tx, &greatest);
	if (err || (there && greatest <= h->last && audit_chain_genuine(ks, h)))
		return err;
	log_error("service", "audit: the log was tampered with at row %" PRIu64, greatest + 1);
	if (!there)
		*h = (struct audit_head){.first = 1};
	h->last = greatest;
	if (!h->broken || h->broken > greatest + 1)
		h->broken = greatest + 1;
	return 0;
}

static int add_to(struct db_conn *tx, struct keystore *ks, int64_t now, struct audit_head *h,
	const struct svc_actor *a, const struct audit_event *ev)
{
	struct audit_row r = {.seq = h->last + 1, .at = now};
	int err;

	take_actor(&r, a);
	take_event(&r, ev);
	err = audit_chain_hash(h->hash, &r, r.hash);
	if (!err)
		err = audit_insert(tx, &r);
	if (err)
		return err;
	h->last = r.seq;
	memcpy(h->hash, r.hash, sizeof(h->hash));
	err = audit_chain_seal(ks, h);
	return err ? err : audit_head_set(tx, h);
}

/* Who repeats the request later gets no other answer, so the same is to be said of that. */
static void keep_for_repeats(struct svc_once *once, const struct audit_event *ev)
{
	if (ev->outcome != AUDIT_OK)
		return;
	once->done = (struct once_done){.object = ev->object ? *ev->object : (struct ulid){{0}}};
	snprintf(once->done.action, sizeof(once->done.action), "%s", ev->action);
	snprintf(once->done.kind, sizeof(once->done.kind), "%s", ev->kind ? ev->kind : "");
}

int audit_add(struct db_conn *tx, struct service *s, const struct svc_actor *a,
	const struct audit_event *ev)
{
	struct audit_head h;
	int err = read_head(tx, s->ks, &h);

	if (!err)
		err = add_to(tx, s->ks, service_now(s), &h, a, ev);
	if (!err && a && a->once)
		keep_for_repeats(a->once, ev);
	return err;
}

static int add_alone(struct service *s, const struct svc_actor *a, const struct audit_event *ev)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_write(s->db, &tx);

	if (!err)
		err = audit_add(tx, s, a, ev);
	return err ? err : db_commit(&tx);
}

/* ---- how it begins, and goes on elsewhere ---- */

static int add_first(struct db_conn *tx, struct keystore *ks, int64_t now, struct audit_head *h)
{
	uint64_t users;
	char detail[48];
	int err = user_count(tx, &users);

	if (err)
		return err;
	snprintf(detail, sizeof(detail), "%" PRIu64 " users were there already", users);
	return add_to(tx, ks, now, h, NULL,
		&(struct audit_event){.action = "audit.begin", .detail = users ? detail : NULL});
}

int audit_begin(struct service *s)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct audit_head h;
	char hash[65];
	int err = db_write(s->db, &tx);

	if (!err)
		err = read_head(tx, s->ks, &h);
	if (err)
		return err;
	if (h.mac_len) {
		hex_encode(h.hash, sizeof(h.hash), hash);
		log_info(
			"service", "audit: row %" PRIu64 " is the last, its hash %s", h.last, hash);
		return 0;
	}
	err = add_first(tx, s->ks, service_now(s), &h);
	return err ? err : db_commit(&tx);
}

/* The time of the last row is the backup's: making one writes a row before it copies. A last row
 * that somebody has spoilt shows when the log is verified, and is no reason not to restore. */
static int describe_backup(struct db_conn *tx, const uint8_t sha256[32], char out[AUDIT_DETAIL])
{
	const struct audit_filter all = {.action = ""};
	char at[CLOCK_TEXT] = "an unknown time", hash[65];
	struct audit_row last;
	int got = audit_list_down(tx, &all, 0, &last, 1);

	if (got == 1)
		clock_format_ms(last.at, at);
	hex_encode(sha256, 32, hash);
	snprintf(out, AUDIT_DETAIL, "by the command line, as of %s, SHA-256 %s", at, hash);
	return got < 0 && got != -EUCLEAN ? got : 0;
}

int audit_restored(struct db *db, struct keystore *ks, int64_t now, const uint8_t sha256[32])
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct audit_head h;
	char detail[AUDIT_DETAIL];
	int err = db_write(db, &tx);

	if (!err)
		err = describe_backup(tx, sha256, detail);
	if (!err)
		err = read_head(tx, ks, &h);
	if (!err && !h.mac_len)
		err = add_first(tx, ks, now, &h);
	if (!err)
		err = add_to(tx, ks, now, &h, NULL,
			&(struct audit_event){.action = "backup.restore", .detail = detail});
	return err ? err : db_commit(&tx);
}

/* ---- what changes nothing ---- */

static bool afford(struct allowance *w, uint64_t now)
{
	uint64_t base = w->full_at > now ? w->full_at : now;

	if (base + NOTE_EVERY_MS > now + (uint64_t)NOTES_AT_ONCE * NOTE_EVERY_MS)
		return false;
	w->full_at = base + NOTE_EVERY_MS;
	return true;
}

static void miss(struct allowance *w, uint64_t now)
{
	if (w->missed++ == 0)
		w->since = now;
}

void audit_note(struct service *s, const struct svc_actor *a, const struct audit_event *ev)
{
	struct allowance *w = &s->audit->allowances[ev->outcome];
	uint64_t now = clock_mono_ms(&s->conf.clock);
	bool may;

	pthread_mutex_lock(&s->audit->lock);
	may = afford(w, now);
	if (!may)
		miss(w, now);
	pthread_mutex_unlock(&s->audit->lock);
	if (!may || add_alone(s, a, ev) == 0)
		return;
	pthread_mutex_lock(&s->audit->lock);
	miss(w, now);
	pthread_mutex_unlock(&s->audit->lock);
}

/* One row for all that was only counted of an outcome. */
static int sum_up(struct service *s, enum audit_outcome o, bool now_or_never)
{
	struct allowance *w = &s->audit->allowances[o];
	uint64_t now = clock_mono_ms(&s->conf.clock), n = 0;
	char detail[AUDIT_DETAIL];
	int err;

	pthread_mutex_lock(&s->audit->lock);
	if (w->missed && (now_or_never || now - w->since >= SUM_EVERY_MS)) {
		n = w->missed;
		w->missed = 0;
	}
	pthread_mutex_unlock(&s->audit->lock);
	if (n == 0)
		return 0;
	snprintf(detail, sizeof(detail), "%" PRIu64 " more, not written one by one", n);
	err = add_alone(s, NULL,
		&(struct audit_event){.action = "audit.more", .outcome = o, .detail = detail});
	if (err) {
		pthread_mutex_lock(&s->audit->lock);
		w->missed += n;
		pthread_mutex_unlock(&s->audit->lock);
	}
	return err;
}

static int sum_all(struct service *s, bool now_or_never)
{
	int first = 0;

	for (int o = AUDIT_FAILED; o < AUDIT_OUTCOMES; o++) {
		int err = sum_up(s, (enum audit_outcome)o, now_or_never);

		first = first ? first : err;
	}
	return first;
}

int audit_flush(struct service *s)
{
	return sum_all(s, true);
}

/* ---- the oldest rows ---- */

static int64_t oldest_kept(struct service *s)
{
	struct svc_settings set;

	svc_settings_now(s, &set);
	return service_now(s) - set.number[SVC_AUDIT_DAYS] * 24 * 3600 * 1000;
}

/* Takes the oldest rows away, a bite of those that are over their time or above the most there may
 * be. What goes is looked at once more: afterwards nobody could. *n: how many went. */
static int end_some(struct service *s, uint64_t *n)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct audit_walk w = {0};
	struct audit_head h;
	char detail[AUDIT_DETAIL];
	bool full;
	int err = db_write(s->db, &tx);

	*n = 0;
	if (!err)
		err = read_head(tx, s->ks, &h);
	if (err)
		return err;
	w.next = h.first;
	memcpy(w.hash, h.before, sizeof(w.hash));
	full = h.last + 1 - h.first > s->audit_most;
	err = audit_chain_walk(tx, &w, END_AT_ONCE, full ? INT64_MAX : oldest_kept(s));
	if (err || w.rows == 0)
		return err;
	snprintf(detail, sizeof(detail), "rows %" PRIu64 " to %" PRIu64 ", %s", h.first, w.next - 1,
		full ? "there were too many" : "their time is over");
	h.first = w.next;
	memcpy(h.before, w.hash, sizeof(h.before));
	if (w.broken && !h.broken)
		h.broken = w.broken;
	err = audit_delete_upto(tx, w.next - 1);
	if (!err)
		err = add_to(tx, s->ks, service_now(s), &h, NULL,
			&(struct audit_event){.action = "audit.end", .detail = detail});
	if (!err)
		err = db_commit(&tx);
	*n = err ? 0 : w.rows;
	return err;
}

void audit_end_soon(struct service *s)
{
	pthread_mutex_lock(&s->audit->lock);
	s->audit->end_at = 0;
	pthread_mutex_unlock(&s->audit->lock);
}

/* Whether it is time to look at the oldest rows; then it is not for a while. */
static bool end_due(struct service *s)
{
	uint64_t now = clock_mono_ms(&s->conf.clock);
	bool due;

	pthread_mutex_lock(&s->audit->lock);
	due = now >= s->audit->end_at;
	if (due)
		s->audit->end_at = now + END_EVERY_MS;
	pthread_mutex_unlock(&s->audit->lock);
	return due;
}

int audit_tick(struct service *s)
{
	uint64_t n = END_AT_ONCE;
	int err = sum_all(s, false);

	if (err || !end_due(s))
		return err;
	for (unsigned i = 0; i < BITES && !err && n == END_AT_ONCE; i++)
		err = end_some(s, &n);
	if (err || n == END_AT_ONCE)
		audit_end_soon(s);
	return err;
}
