/* Running out of memory must not end the process. */
#define HASH_NONFATAL_OOM 1

#include "service/once.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/log.h"
#include "base/secret.h"
#include "db/once_store.h"
#include "pki/keystore.h"
#include "service/inside.h"

#define SEAL_LABEL "idempotency-request"

struct once_key {
	struct ulid user;
	uint8_t key_sha256[32];
};

/* A request that is being worked on, or one whose answer is kept. */
struct entry {
	struct once_key key;
	uint8_t request_sha256[32];
	bool running;
	int64_t at;
	size_t size; /* that it counts for */
	struct svc_answer answer;
	bool secret; /* is in the answer */
	struct once_done done;
	UT_hash_handle hh; /* in the order in which they began */
};

struct once_table {
	pthread_mutex_t lock;
	struct entry *entries;
	size_t size;
};

void svc_answer_fini(struct svc_answer *a)
{
	if (a->body)
		secret_wipe(a->body, strlen(a->body));
	free(a->body);
	secret_wipe(a, sizeof(*a));
}

static int answer_copy(struct svc_answer *out, const struct svc_answer *in)
{
	*out = *in;
	out->body = in->body ? strdup(in->body) : NULL;
	return in->body && !out->body ? -ENOMEM : 0;
}

/* ---- the table; its lock is held ---- */

static struct entry *find(struct once_table *t, const struct once_key *key)
{
	struct entry *e;

	HASH_FIND(hh, t->entries, key, sizeof(*key), e);
	return e;
}

static void drop(struct once_table *t, struct entry *e)
{
	HASH_DEL(t->entries, e);
	t->size -= e->size;
	svc_answer_fini(&e->answer);
	free(e);
}

/* The oldest come first; those that run stay. */
static void drop_until(struct once_table *t, int64_t made, size_t most)
{
	struct entry *e, *next;

	HASH_ITER (hh, t->entries, e, next) {
		if (e->running)
			continue;
		if (e->at > made && t->size <= most)
			return;
		drop(t, e);
	}
}

static struct entry *begin(
	struct once_table *t, const struct once_key *key, const struct svc_once *once)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->key = *key;
	memcpy(e->request_sha256, once->request_sha256, sizeof(e->request_sha256));
	e->running = true;
	HASH_ADD(hh, t->entries, key, sizeof(e->key), e);
	if (e->hh.tbl)
		return e;
	free(e);
	return NULL;
}

int once_table_new(struct once_table **out)
{
	struct once_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

void once_table_free(struct once_table *t)
{
	struct entry *e, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->entries, e, next)
		drop(t, e);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void once_table_purge(struct once_table *t, int64_t now)
{
	pthread_mutex_lock(&t->lock);
	drop_until(t, now - ONCE_MS, ONCE_MEMORY);
	pthread_mutex_unlock(&t->lock);
}

/* ---- before the use-case ---- */

static struct once_key key_of(const struct svc_actor *a)
{
	struct once_key k = {.user = a->user_id};

	memcpy(k.key_sha256, a->once->key_sha256, sizeof(k.key_sha256));
	return k;
}

static int another(struct svc_error *e)
{
	return refuse(e, SVC_INVALID, "Idempotency-Key", "was used for another request");
}

static int not_finished(struct svc_error *e)
{
	refuse(e, SVC_CONFLICT, "Idempotency-Key",
		"the first request with it is not finished yet; try again");
	if (e)
		e->retry_after_s = 1;
	return SVC_CONFLICT;
}

/* The object is there, its secret is not: whoever asks again must not get a second object without
 * knowing of the first. */
static int gone(const struct once_row *row, struct svc_error *e)
{
	if (row->object[0] == '\0')
		return refuse(e, SVC_CONFLICT, "Idempotency-Key",
			"was carried out already, and its answer is not kept");
	return refuse(e, SVC_CONFLICT, "Idempotency-Key",
		"was carried out and made %s, whose secret was told once and is not kept; delete "
		"that and ask again with another key",
		row->object);
}

/* done: what the log has to say before *out may be given; action "" when nothing.
 * Returns: 0 there is no such request yet (it is begun), and what svc_once_begin returns. */
static int from_memory(struct service *s, const struct svc_actor *a, int64_t now,
	struct svc_answer *out, struct once_done *done, struct svc_error *e)
{
	const struct once_key key = key_of(a);
	struct once_table *t = s->once;
	struct entry *at;
	int err = 0;

	pthread_mutex_lock(&t->lock);
	drop_until(t, now - ONCE_MS, ONCE_MEMORY);
	at = find(t, &key);
	if (!at)
		err = begin(t, &key, a->once) ? 0 : -ENOMEM;
	else if (!secret_equal(at->request_sha256, a->once->request_sha256, 32))
		err = another(e);
	else if (at->running)
		err = not_finished(e);
	else
		err = answer_copy(out, &at->answer) ? -ENOMEM : ONCE_REPEAT;
	if (err == ONCE_REPEAT && at->secret)
		*done = at->done;
	pthread_mutex_unlock(&t->lock);
	return err;
}

/* Who is asking is read again: with less than he had for the first answer he would not get it. What
 * an auditor may do is about his own sign-in (access_begin_own). */
static int log_repeat(struct service *s, const struct svc_actor *a, const struct once_done *done,
	struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err = access_begin_own(s, a, &tx, &me, e);

	if (!err && !done->read_only)
		err = access_write(&me, e);
	if (!err && me.role != a->role)
		err = another(e);
	if (!err)
		err = audit_add(tx, s, &me,
			&(struct audit_event){.action = done->action,
				.kind = done->kind,
				.object = &done->object,
				.detail = "the same answer again, to a repeated request"});
	if (!err)
		err = db_commit(&tx);
	return answer(err, e);
}

static int same_request(
	struct service *s, const struct once_row *row, const struct svc_once *once, bool *same)
{
	uint8_t plain[32];
	int err = -EBADMSG;

	if (row->request_len == sizeof(plain) + KEYSTORE_SEAL_OVERHEAD)
		err = keystore_open_blob(s->ks, SEAL_LABEL, row->request, row->request_len, plain);
	*same = !err && secret_equal(plain, once->request_sha256, sizeof(plain));
	return err;
}

static int from_row(struct service *s, const struct svc_actor *a, const struct once_row *row,
	char *body, struct svc_answer *out, struct svc_error *e)
{
	bool same;
	int err = same_request(s, row, a->once, &same);

	if (err)
		return err;
	if (!same)
		return another(e);
	snprintf(out->location, sizeof(out->location), "%s", row->location);
	if (!row->has_body)
		return gone(row, e);
	snprintf(out->etag, sizeof(out->etag), "%s", row->etag);
	out->status = row->status;
	out->body = body[0] != '\0' ? strdup(body) : NULL;
	return body[0] != '\0' && !out->body ? -ENOMEM : ONCE_REPEAT;
}

static int from_database(struct service *s, const struct svc_actor *a, int64_t now,
	struct svc_answer *out, struct svc_error *e)
{
	char *body = calloc(1, ONCE_BODY_MAX);
	struct db_conn *tx cleanup(db_end) = NULL;
	struct once_row row;
	int err = body ? db_read(s->db, &tx) : -ENOMEM;

	if (!err)
		err = once_get(tx, &a->user_id, a->once->key_sha256, now - ONCE_MS + 1, &row, body);
	if (!err)
		err = from_row(s, a, &row, body, out, e);
	else if (err == -ENOENT)
		err = 0;
	free(body);
	return err;
}

int svc_once_begin(
	struct service *s, const struct svc_actor *a, struct svc_answer *out, struct svc_error *e)
{
	const int64_t now = service_now(s);
	struct once_done done = {.action = ""};
	int err;

	memset(out, 0, sizeof(*out));
	err = from_memory(s, a, now, out, &done, e);
	if (err == ONCE_REPEAT && done.action[0] != '\0') {
		err = log_repeat(s, a, &done, e);
		if (err)
			svc_answer_fini(out);
		return err ? err : ONCE_REPEAT;
	}
	if (err)
		return err;
	err = from_database(s, a, now, out, e);
	if (err)
		svc_once_end(s, a, NULL);
	return err;
}

/* ---- in the use-case ---- */

static int seal_request(struct service *s, const struct svc_once *once, struct once_row *row)
{
	row->request_len = sizeof(once->request_sha256) + KEYSTORE_SEAL_OVERHEAD;
	return keystore_seal(s->ks, SEAL_LABEL, once->request_sha256, sizeof(once->request_sha256),
		row->request);
}

static int put(struct service *s, struct db_conn *tx, const struct svc_actor *a, const char *object,
	const struct svc_answer *answer, bool whole)
{
	struct once_row row = {
		.user_id = a->user_id, .created_at = service_now(s), .status = answer->status};
	int err = seal_request(s, a->once, &row);

	memcpy(row.key_sha256, a->once->key_sha256, sizeof(row.key_sha256));
	snprintf(row.object, sizeof(row.object), "%s", object);
	snprintf(row.location, sizeof(row.location), "%s", answer->location);
	snprintf(row.etag, sizeof(row.etag), "%s", answer->etag);
	if (!err)
		err = once_put(tx, &row, !whole ? NULL : answer->body ? answer->body : "");
	return err ? err : once_prune_user(tx, &a->user_id, ONCE_USER_ROWS);
}

int once_add(struct db_conn *tx, struct service *s, const struct svc_actor *a, const char *kind,
	const struct ulid *id, const void *object)
{
	struct svc_once *once = a->once;
	struct svc_answer answer = {.status = 201};
	char text[ULID_TEXT], name[ONCE_OBJECT];
	int err = 0;

	if (!once)
		return 0;
	snprintf(name, sizeof(name), "%s_%s", kind, ulid_format(id, text));
	if (once->render)
		err = once->render(once->arg, object, &answer);
	once->whole = once->render && answer.body && strlen(answer.body) < ONCE_BODY_MAX;
	once->recorded = true;
	if (!err)
		err = put(s, tx, a, name, &answer, once->whole);
	svc_answer_fini(&answer);
	return err;
}

/* ---- after it ---- */

/* Whatever is not known to be without one has a secret. */
static void describe_answer(struct entry *e, const struct svc_actor *a)
{
	static const struct once_done unknown = {.action = "request.repeat"};
	const struct svc_once *once = a->once;

	e->secret = e->answer.body && !once->render;
	e->done = once->done.action[0] != '\0' ? once->done : unknown;
	e->done.read_only = a->read_only;
}

/* For use-cases that have no transaction, or that make nothing: best effort. */
static void record_late(
	struct service *s, const struct svc_actor *a, const struct svc_answer *given)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_write(s->db, &tx);

	a->once->whole = !given->body;
	if (!err)
		err = put(s, tx, a, "", given, a->once->whole);
	if (!err)
		err = db_commit(&tx);
	if (err)
		log_error("service", "idempotency: can't be written: %s", strerror(-err));
}

void svc_once_end(struct service *s, const struct svc_actor *a, const struct svc_answer *given)
{
	const struct once_key key = key_of(a);
	struct once_table *t = s->once;
	struct svc_answer kept = {0};
	struct entry *at;

	if (given && !a->once->recorded)
		record_late(s, a, given);
	if (given && a->once->whole)
		given = NULL; /* the row has it all */
	if (given && answer_copy(&kept, given))
		given = NULL;
	pthread_mutex_lock(&t->lock);
	at = find(t, &key);
	if (at && at->running && !given) {
		drop(t, at);
	} else if (at && at->running) {
		at->running = false;
		at->at = service_now(s);
		at->answer = kept;
		describe_answer(at, a);
		at->size = sizeof(*at) + (kept.body ? strlen(kept.body) + 1 : 0);
		t->size += at->size;
		memset(&kept, 0, sizeof(kept));
		drop_until(t, at->at - ONCE_MS, ONCE_MEMORY);
	}
	pthread_mutex_unlock(&t->lock);
	svc_answer_fini(&kept);
}
