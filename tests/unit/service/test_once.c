#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "db/once_store.h"
#include "service/invites.h"
#include "service/once.h"
#include "tests/unit/service/servicetest.h"

/* What the api does: a POST with a key, from its begin to its end. */
struct post {
	struct svc_actor actor;
	struct svc_once once;
	struct svc_answer answer;
	struct svc_error e;
};

static int render_name(void *arg, const void *object, struct svc_answer *out)
{
	const struct svc_user *u = object;

	(void)arg;
	*out = (struct svc_answer){.status = 201, .location = "/v1/users/x", .etag = "\"1\""};
	return asprintf(&out->body, "{\"name\":\"%s\"}", u->name) < 0 ? -ENOMEM : 0;
}

static int begin_post(struct servicetest *t, struct post *p, const struct svc_actor *a, uint8_t key,
	uint8_t request)
{
	memset(p, 0, sizeof(*p));
	p->actor = *a;
	p->once = (struct svc_once){.key_sha256 = {key}, .request_sha256 = {request}};
	p->actor.once = &p->once;
	return svc_once_begin(t->s, &p->actor, &p->answer, &p->e);
}

static void end_post(struct servicetest *t, struct post *p, const char *body)
{
	struct svc_answer given = {.status = 201, .location = "/v1/x", .body = (char *)body};

	svc_once_end(t->s, &p->actor, body ? &given : NULL);
}

static int make_user(struct servicetest *t, struct post *p, const char *name)
{
	struct svc_user_change c = {.set_name = true, .name = name};
	struct svc_user u;

	p->once.render = render_name;
	return svc_user_create(t->s, &p->actor, &c, &u, &p->e);
}

static int make_token(struct servicetest *t, struct post *p)
{
	const struct svc_token_request r = {.name = "ci"};
	char secret[SVC_TOKEN_TEXT];
	struct svc_token token;

	return svc_token_create(t->s, &p->actor, &r, &token, secret, &p->e);
}

static void again(struct servicetest *t)
{
	service_close(t);
	service_open(t);
}

static void the_first_answer_again(void **state)
{
	struct servicetest *t = *state;
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "ann"), 0);
	assert_true(p.once.recorded && p.once.whole);
	end_post(t, &p, "{\"name\":\"ann\"}");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), ONCE_REPEAT);
		assert_int_equal(p.answer.status, 201);
		assert_string_equal(p.answer.body, "{\"name\":\"ann\"}");
		assert_string_equal(p.answer.location, "/v1/users/x");
		assert_string_equal(p.answer.etag, "\"1\"");
		svc_answer_fini(&p.answer);
		again(t); /* it is on disk */
	}
}

static void another_request(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER);
	struct svc_actor a = actor_of(&ann);
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "bob"), 0);
	end_post(t, &p, "{}");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(begin_post(t, &p, &t->admin, 1, 2), SVC_INVALID);
		assert_string_equal(p.e.field, "Idempotency-Key");
		again(t);
	}
	/* Somebody else's key of the same text is another one. */
	assert_int_equal(begin_post(t, &p, &a, 1, 2), 0);
	end_post(t, &p, NULL);
}

static void not_finished(void **state)
{
	struct servicetest *t = *state;
	struct post p, q;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(begin_post(t, &q, &t->admin, 1, 1), SVC_CONFLICT);
	assert_true(q.e.retry_after_s > 0);
	assert_int_equal(begin_post(t, &q, &t->admin, 1, 2), SVC_INVALID);
	assert_int_equal(begin_post(t, &q, &t->admin, 2, 1), 0);
	end_post(t, &q, NULL);
	end_post(t, &p, NULL);
	/* What failed may be tried again, also as something else. */
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 2), 0);
	end_post(t, &p, NULL);
}

static void a_failure_leaves_nothing(void **state)
{
	struct servicetest *t = *state;
	struct post p;

	new_user(t, "ann", SVC_ROLE_USER);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "ann"), SVC_CONFLICT);
	end_post(t, &p, NULL);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "bob"), 0);
	end_post(t, &p, "{}");
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), ONCE_REPEAT);
	svc_answer_fini(&p.answer);
}

static int render_nothing(void *arg, const void *object, struct svc_answer *out)
{
	(void)arg;
	(void)object;
	(void)out;
	return -ENOMEM;
}

static void no_answer_no_object(void **state)
{
	struct servicetest *t = *state;
	struct svc_user_change c = {.set_name = true, .name = "ann"};
	struct svc_user u;
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	p.once.render = render_nothing;
	assert_int_equal(svc_user_create(t->s, &p.actor, &c, &u, &p.e), -ENOMEM);
	end_post(t, &p, NULL);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "ann"), 0);
	end_post(t, &p, "{}");
}

/* Until the process ends, a secret can be had again; after it, what it belongs to is told. */
static void secrets_stay_in_memory(void **state)
{
	struct servicetest *t = *state;
	char path[96];
	static char file[1 << 22];
	struct post p;
	size_t n;
	FILE *f;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_token(t, &p), 0);
	assert_true(p.once.recorded && !p.once.whole);
	end_post(t, &p, "{\"token\":\"very secret words\"}");
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), ONCE_REPEAT);
	assert_string_equal(p.answer.body, "{\"token\":\"very secret words\"}");
	svc_answer_fini(&p.answer);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/ireko.db%s", t->dir, i ? "-wal" : "");
		f = fopen(path, "rb");
		assert_non_null(f);
		n = fread(file, 1, sizeof(file), f);
		fclose(f);
		assert_null(memmem(file, n, "very secret words", 17));
	}
	again(t);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), SVC_CONFLICT);
	assert_int_equal(p.e.retry_after_s, 0);
	assert_non_null(strstr(p.e.message, "made tok_"));
	assert_null(p.answer.body);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 2), SVC_INVALID);
}

/* ---- a secret that goes out again ---- */

static struct svc_audit_entry last_row(struct servicetest *t)
{
	const struct svc_page p = {.limit = 1};
	const struct svc_audit_filter all = {.action = ""};
	struct svc_audit_entry *list, row;
	bool more;
	size_t n;

	assert_int_equal(svc_audit_list(t->s, &t->admin, &p, &all, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	row = list[0];
	free(list);
	return row;
}

static void repeat_has_row(struct servicetest *t, struct post *p, const char *action,
	const char *kind, const struct ulid *object)
{
	const uint64_t before = last_row(t).sequence;

	for (uint64_t i = 1; i <= 2; i++) {
		struct svc_audit_entry r;

		p->actor.from = (struct ip_addr){IP_V4, {192, 0, 2, (uint8_t)i}};
		assert_int_equal(svc_once_begin(t->s, &p->actor, &p->answer, &p->e), ONCE_REPEAT);
		assert_non_null(p->answer.body);
		svc_answer_fini(&p->answer);
		r = last_row(t);
		assert_int_equal(r.sequence, before + i);
		assert_string_equal(r.action, action);
		assert_string_equal(r.object_kind, kind);
		assert_true(ulid_equal(&r.object_id, object));
		assert_string_equal(r.outcome, "ok");
		assert_non_null(strstr(r.detail, "repeated"));
		assert_true(ulid_equal(&r.actor_id, &t->admin.user_id));
		assert_true(ip_addr_equal(&r.from, &p->actor.from));
	}
}

static void repeated_secrets_are_on_record(void **state)
{
	struct servicetest *t = *state;
	const struct svc_credential_request cr = {.protocol = DIR_OPENVPN};
	const struct svc_invite_request ir = {.protocol = DIR_WIREGUARD};
	const struct svc_token_request tr = {.name = "ci"};
	const struct ulid d = new_device(t, NULL, "laptop"), none = {{0}};
	struct svc_issued *out = calloc(1, sizeof(*out));
	char secret[SVC_TOKEN_TEXT], link[INVITE_TEXT];
	struct svc_audit_state st;
	struct svc_invite invite;
	struct svc_token token;
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(svc_credential_issue(t->s, &p.actor, &d, &cr, out, &p.e), 0);
	end_post(t, &p, "{\"profile\":1}");
	repeat_has_row(t, &p, "credential.issue", "crd", &out->credential.id);
	assert_int_equal(begin_post(t, &p, &t->admin, 2, 1), 0);
	assert_int_equal(svc_invite_create(t->s, &p.actor, &d, &ir, &invite, link, &p.e), 0);
	end_post(t, &p, "{\"url\":1}");
	repeat_has_row(t, &p, "invite.create", "inv", &invite.id);
	assert_int_equal(begin_post(t, &p, &t->admin, 3, 1), 0);
	assert_int_equal(svc_token_create(t->s, &p.actor, &tr, &token, secret, &p.e), 0);
	end_post(t, &p, "{\"token\":1}");
	repeat_has_row(t, &p, "token.create", "tok", &token.id);
	/* Of what nothing is known but that it may have a secret. */
	assert_int_equal(begin_post(t, &p, &t->admin, 4, 1), 0);
	end_post(t, &p, "{\"whatever\":1}");
	repeat_has_row(t, &p, "request.repeat", "", &none);
	assert_int_equal(svc_audit_verify(t->s, &t->admin, &st, &t->e), 0);
	assert_true(st.ok);
	secret_wipe(out, sizeof(*out));
	free(out);
}

static void repeats_without_a_secret_have_no_row(void **state)
{
	struct servicetest *t = *state;
	struct svc_answer none = {.status = 204};
	struct post p;
	uint64_t before;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "ann"), 0);
	end_post(t, &p, "{}");
	assert_int_equal(begin_post(t, &p, &t->admin, 2, 1), 0);
	svc_once_end(t->s, &p.actor, &none);
	assert_int_equal(begin_post(t, &p, &t->admin, 3, 1), 0);
	assert_int_equal(make_token(t, &p), 0);
	end_post(t, &p, "{\"token\":1}");
	before = last_row(t).sequence;
	for (uint8_t key = 1; key <= 2; key++) {
		assert_int_equal(begin_post(t, &p, &t->admin, key, 1), ONCE_REPEAT);
		svc_answer_fini(&p.answer);
	}
	assert_int_equal(begin_post(t, &p, &t->admin, 3, 2), SVC_INVALID);
	again(t);
	assert_int_equal(begin_post(t, &p, &t->admin, 3, 1), SVC_CONFLICT);
	assert_int_equal(last_row(t).sequence, before);
}

static void no_row_no_secret(void **state)
{
	struct servicetest *t = *state;
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_token(t, &p), 0);
	end_post(t, &p, "{\"token\":1}");
	sql(t, "ALTER TABLE audit RENAME TO elsewhere");
	assert_true(begin_post(t, &p, &t->admin, 1, 1) < 0);
	assert_null(p.answer.body);
	assert_string_equal(p.answer.location, "");
	/* It is not forgotten for that. */
	sql(t, "ALTER TABLE elsewhere RENAME TO audit");
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), ONCE_REPEAT);
	assert_non_null(p.answer.body);
	svc_answer_fini(&p.answer);
}

/* Between his authentication and the answer. */
static void who_is_asking_is_read_again(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_OPERATOR);
	const struct svc_actor a = actor_of(&ann);
	struct svc_user_change c = {.set_role = true, .role = SVC_ROLE_USER};
	struct post p;

	assert_int_equal(begin_post(t, &p, &a, 1, 1), 0);
	assert_int_equal(make_token(t, &p), 0);
	end_post(t, &p, "{\"token\":1}");
	assert_int_equal(svc_user_patch(t->s, &t->admin, &ann.id, 0, &c, &ann, &t->e), 0);
	assert_int_equal(begin_post(t, &p, &a, 1, 1), SVC_INVALID);
	assert_null(p.answer.body);
	c.role = SVC_ROLE_AUDITOR;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &ann.id, 0, &c, &ann, &t->e), 0);
	assert_int_equal(begin_post(t, &p, &a, 1, 1), SVC_FORBIDDEN);
	assert_null(p.answer.body);
	c = (struct svc_user_change){.set_disabled = true, .disabled = true};
	assert_int_equal(svc_user_patch(t->s, &t->admin, &ann.id, 0, &c, &ann, &t->e), 0);
	assert_int_equal(begin_post(t, &p, &a, 1, 1), SVC_UNAUTHENTICATED);
	assert_null(p.answer.body);
	assert_string_equal(last_row(t).action, "user.patch");
}

/* The secret of a second factor is the one that an auditor gets. */
static void an_auditor_repeats_his_own(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_AUDITOR);
	const struct svc_actor a = actor_of(&ann);
	uint64_t before;
	struct post p;

	assert_int_equal(begin_post(t, &p, &a, 1, 1), 0);
	end_post(t, &p, "{\"secret\":1}");
	before = last_row(t).sequence;
	assert_int_equal(begin_post(t, &p, &a, 1, 1), ONCE_REPEAT);
	assert_string_equal(p.answer.body, "{\"secret\":1}");
	svc_answer_fini(&p.answer);
	assert_int_equal(last_row(t).sequence, before + 1);
	assert_string_equal(last_row(t).action, "request.repeat");
}

/* A request that can't be remembered makes nothing. */
static void no_memory_of_it_no_token(void **state)
{
	struct servicetest *t = *state;
	const struct svc_page page = {.limit = 1};
	struct svc_token *list;
	struct post p;
	bool more;
	size_t n;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	sql(t, "ALTER TABLE requests_made RENAME TO elsewhere");
	assert_true(make_token(t, &p) < 0);
	sql(t, "ALTER TABLE elsewhere RENAME TO requests_made");
	end_post(t, &p, NULL);
	assert_int_equal(svc_token_list(t->s, &t->admin, &page, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 0);
	free(list);
}

/* Died between the commit and the answer. */
static void a_crash_in_between(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	const struct svc_credential_request r = {.protocol = DIR_WIREGUARD};
	struct svc_issued *out = calloc(1, sizeof(*out));
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "ann"), 0);
	assert_int_equal(begin_post(t, &p, &t->admin, 2, 1), 0);
	assert_int_equal(svc_credential_issue(t->s, &p.actor, &d, &r, out, &p.e), 0);
	again(t);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), ONCE_REPEAT);
	assert_string_equal(p.answer.body, "{\"name\":\"ann\"}");
	svc_answer_fini(&p.answer);
	assert_int_equal(begin_post(t, &p, &t->admin, 2, 1), SVC_CONFLICT);
	assert_non_null(strstr(p.e.message, "made crd_"));
	secret_wipe(out, sizeof(*out));
	free(out);
}

/* The hash of a request that held a password must not help to guess it. */
static void requests_are_sealed(void **state)
{
	struct servicetest *t = *state;
	const uint8_t key[32] = {1};
	struct once_row row;
	struct db_conn *tx;
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 0xaa), 0);
	assert_int_equal(make_user(t, &p, "ann"), 0);
	end_post(t, &p, "{}");
	assert_int_equal(db_read(t->db, &tx), 0);
	assert_int_equal(once_get(tx, &t->admin.user_id, key, 0, &row, NULL), 0);
	db_end(&tx);
	assert_int_equal(row.request_len, 32 + KEYSTORE_SEAL_OVERHEAD);
	assert_null(memmem(row.request, row.request_len, p.once.request_sha256, 32));
	assert_memory_equal(row.object, "usr_", 4);
}

/* For what writes nothing by itself. */
static void without_a_transaction(void **state)
{
	struct servicetest *t = *state;
	struct svc_answer none = {.status = 204};
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	svc_once_end(t->s, &p.actor, &none);
	assert_int_equal(begin_post(t, &p, &t->admin, 2, 1), 0);
	end_post(t, &p, "{\"secret\":1}");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), ONCE_REPEAT);
		assert_int_equal(p.answer.status, 204);
		assert_null(p.answer.body);
		svc_answer_fini(&p.answer);
		assert_int_equal(
			begin_post(t, &p, &t->admin, 2, 1), i ? SVC_CONFLICT : ONCE_REPEAT);
		svc_answer_fini(&p.answer);
		again(t);
	}
}

static void a_day_later(void **state)
{
	struct servicetest *t = *state;
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "ann"), 0);
	end_post(t, &p, "{}");
	assert_int_equal(begin_post(t, &p, &t->admin, 2, 1), 0);
	assert_int_equal(make_token(t, &p), 0);
	end_post(t, &p, "{\"token\":1}");
	fake_clock_advance(&t->clock, ONCE_MS - 1);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), ONCE_REPEAT);
	svc_answer_fini(&p.answer);
	assert_int_equal(begin_post(t, &p, &t->admin, 2, 1), ONCE_REPEAT);
	svc_answer_fini(&p.answer);
	fake_clock_advance(&t->clock, 1);
	for (uint8_t key = 1; key <= 2; key++) {
		assert_int_equal(begin_post(t, &p, &t->admin, key, 2), 0);
		end_post(t, &p, NULL);
	}
	/* And the rows go. */
	fake_clock_advance(&t->clock, 60 * 1000);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	for (uint8_t key = 1; key <= 2; key++) {
		const uint8_t hash[32] = {key};
		struct once_row row;
		struct db_conn *tx;

		assert_int_equal(db_read(t->db, &tx), 0);
		assert_int_equal(once_get(tx, &t->admin.user_id, hash, 0, &row, NULL), -ENOENT);
		db_end(&tx);
	}
}

/* An expired row that was not purged yet is replaced. */
static void a_key_is_used_again(void **state)
{
	struct servicetest *t = *state;
	struct post p;

	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), 0);
	assert_int_equal(make_user(t, &p, "ann"), 0);
	end_post(t, &p, "{}");
	fake_clock_advance(&t->clock, ONCE_MS);
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 2), 0);
	assert_int_equal(make_user(t, &p, "bob"), 0);
	end_post(t, &p, "{}");
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 2), ONCE_REPEAT);
	assert_string_equal(p.answer.body, "{\"name\":\"bob\"}");
	svc_answer_fini(&p.answer);
}

/* The oldest answers go, the rows stay and say what was made. */
static void memory_is_bounded(void **state)
{
	struct servicetest *t = *state;
	enum { SIZE = 1024 * 1024, N = ONCE_MEMORY / SIZE + 2 };
	char *body = calloc(1, SIZE + 1);
	struct post p;

	memset(body, 'x', SIZE);
	for (uint8_t key = 1; key <= N; key++) {
		assert_int_equal(begin_post(t, &p, &t->admin, key, 1), 0);
		end_post(t, &p, body);
	}
	assert_int_equal(begin_post(t, &p, &t->admin, 1, 1), SVC_CONFLICT);
	assert_int_equal(begin_post(t, &p, &t->admin, N, 1), ONCE_REPEAT);
	assert_int_equal(strlen(p.answer.body), SIZE);
	svc_answer_fini(&p.answer);
	free(body);
}

struct race {
	struct servicetest *t;
	atomic_int made, repeated, busy, other;
};

static void *race_main(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < 10; i++) {
		struct post p;
		int err = begin_post(r->t, &p, &r->t->admin, 1, 1);

		if (err == ONCE_REPEAT) {
			atomic_fetch_add(&r->repeated, 1);
			svc_answer_fini(&p.answer);
		} else if (err == SVC_CONFLICT && p.e.retry_after_s) {
			atomic_fetch_add(&r->busy, 1);
		} else if (err == 0 && make_user(r->t, &p, "ann") == 0) {
			end_post(r->t, &p, "{}");
			atomic_fetch_add(&r->made, 1);
		} else {
			atomic_fetch_add(&r->other, 1);
		}
	}
	return NULL;
}

static void a_hundred_at_once(void **state)
{
	struct race r = {.t = *state};
	pthread_t threads[10];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_main, &r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(r.made, 1);
	assert_int_equal(r.other, 0);
	assert_int_equal(r.repeated + r.busy, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_answer_again),
		T(another_request),
		T(not_finished),
		T(a_failure_leaves_nothing),
		T(no_answer_no_object),
		T(secrets_stay_in_memory),
		T(repeated_secrets_are_on_record),
		T(repeats_without_a_secret_have_no_row),
		T(no_row_no_secret),
		T(who_is_asking_is_read_again),
		T(an_auditor_repeats_his_own),
		T(no_memory_of_it_no_token),
		T(a_crash_in_between),
		T(requests_are_sealed),
		T(without_a_transaction),
		T(a_day_later),
		T(a_key_is_used_again),
		T(memory_is_bounded),
		T(a_hundred_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
