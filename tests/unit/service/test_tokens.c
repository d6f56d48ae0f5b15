#include <errno.h>

#include "db/stmt.h"
#include "tests/unit/service/servicetest.h"

static int create(struct servicetest *t, const struct svc_actor *a, struct svc_token_request r,
	struct svc_token *out, char secret[SVC_TOKEN_TEXT])
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_token_create(t->s, a, &r, out, secret, &t->e);
}

#define NAMED(x)   ((struct svc_token_request){.name = x})
#define ROLE_OF(x) ((struct svc_token_request){.name = "ci", .set_role = true, .role = x})

static void made_and_used(void **state)
{
	struct servicetest *t = *state;
	char secret[SVC_TOKEN_TEXT], text[64];
	struct svc_token tok;
	struct svc_actor a;

	assert_int_equal(create(t, &t->admin, NAMED("ci"), &tok, secret), 0);
	assert_int_equal(strlen(secret), 49);
	assert_int_equal(strncmp(secret, "ireko_", 6), 0);
	assert_int_equal(tok.role, SVC_ROLE_ADMIN);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	assert_true(ulid_equal(&a.user_id, &t->admin.user_id));
	assert_true(ulid_equal(&a.via, &tok.id));
	assert_false(a.by_login);
	assert_false(svc_csrf_ok(&a, ""));
	for (size_t i = 0; i < 49; i++) {
		snprintf(text, sizeof(text), "%s", secret);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_int_equal(svc_authenticate_token(t->s, text, &a), SVC_UNAUTHENTICATED);
		assert_true(ulid_is_zero(&a.user_id));
	}
	snprintf(text, sizeof(text), "%sA", secret);
	assert_int_equal(svc_authenticate_token(t->s, text, &a), SVC_UNAUTHENTICATED);
	snprintf(text, sizeof(text), "%.48s", secret);
	assert_int_equal(svc_authenticate_token(t->s, text, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_authenticate_token(t->s, "", &a), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_authenticate_cookie(t->s, secret + 6, &a), SVC_UNAUTHENTICATED);
}

static void ends_when_deleted_or_expired(void **state)
{
	struct servicetest *t = *state;
	int64_t now = t->clock.real_us / 1000;
	struct svc_token_request r = NAMED("ci");
	char secret[SVC_TOKEN_TEXT];
	struct svc_token tok;
	struct svc_actor a;

	r.expires_at = now + 1000;
	assert_int_equal(create(t, &t->admin, r, &tok, secret), 0);
	fake_clock_advance(&t->clock, 999);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	fake_clock_advance(&t->clock, 1);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(create(t, &t->admin, NAMED("ci"), &tok, secret), 0);
	assert_int_equal(svc_token_delete(t->s, &t->admin, &tok.id, &t->e), 0);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_token_delete(t->s, &t->admin, &tok.id, &t->e), SVC_NOT_FOUND);
	r.expires_at = now;
	assert_int_equal(create(t, &t->admin, r, &tok, secret), SVC_INVALID);
	assert_string_equal(t->e.field, "expires_at");
	assert_int_equal(create(t, &t->admin, NAMED(""), &tok, secret), SVC_INVALID);
	assert_int_equal(create(t, &t->admin, NAMED(NULL), &tok, secret), SVC_INVALID);
	assert_string_equal(secret, "");
}

static void never_above_the_owner(void **state)
{
	struct servicetest *t = *state;

	for (int owner = SVC_ROLE_USER; owner <= SVC_ROLE_ADMIN; owner++) {
		struct svc_user u;
		struct svc_actor a;
		char name[8], secret[SVC_TOKEN_TEXT];
		struct svc_token tok;

		snprintf(name, sizeof(name), "u%d", owner);
		u = new_user(t, name, (enum svc_role)owner);
		a = actor_of(&u);
		for (int role = SVC_ROLE_USER; role <= SVC_ROLE_ADMIN; role++) {
			int want = owner == SVC_ROLE_AUDITOR || role > owner ? SVC_FORBIDDEN : 0;

			assert_int_equal(
				create(t, &a, ROLE_OF((enum svc_role)role), &tok, secret), want);
		}
	}
}

/* A token makes no stronger token, and does not delete one either. */
static void weak_token_makes_weak_tokens(void **state)
{
	struct servicetest *t = *state;
	char strong[SVC_TOKEN_TEXT], weak[SVC_TOKEN_TEXT], secret[SVC_TOKEN_TEXT];
	struct svc_token s_tok, w_tok, tok;
	struct svc_actor a;

	assert_int_equal(create(t, &t->admin, NAMED("strong"), &s_tok, strong), 0);
	assert_int_equal(create(t, &t->admin, ROLE_OF(SVC_ROLE_USER), &w_tok, weak), 0);
	assert_int_equal(svc_authenticate_token(t->s, weak, &a), 0);
	assert_int_equal(a.role, SVC_ROLE_USER);
	assert_int_equal(create(t, &a, ROLE_OF(SVC_ROLE_ADMIN), &tok, secret), SVC_FORBIDDEN);
	assert_int_equal(create(t, &a, NAMED("x"), &tok, secret), 0);
	assert_int_equal(tok.role, SVC_ROLE_USER);
	assert_int_equal(svc_token_delete(t->s, &a, &s_tok.id, &t->e), SVC_FORBIDDEN);
	assert_int_equal(svc_token_delete(t->s, &a, &tok.id, &t->e), 0);
}

static void follows_its_owner(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_OPERATOR);
	struct svc_user_change c = {.set_role = true, .role = SVC_ROLE_USER};
	struct svc_actor owner = actor_of(&u), a;
	char secret[SVC_TOKEN_TEXT], low[SVC_TOKEN_TEXT];
	struct svc_device d;
	struct svc_token tok;

	assert_int_equal(create(t, &owner, NAMED("ci"), &tok, secret), 0);
	assert_int_equal(create(t, &owner, ROLE_OF(SVC_ROLE_USER), &tok, low), 0);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	assert_int_equal(a.role, SVC_ROLE_USER);
	/* An auditor's token of a user's role reads like a user and writes nothing. */
	c.role = SVC_ROLE_AUDITOR;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_token(t->s, low, &a), 0);
	assert_int_equal(a.role, SVC_ROLE_USER);
	assert_int_equal(try_device(t, &a, NULL, "mine", &d), SVC_FORBIDDEN);
	/* What was authenticated before he was disabled does not go through either. */
	c = (struct svc_user_change){.set_role = true,
		.role = SVC_ROLE_OPERATOR,
		.set_disabled = true,
		.disabled = true};
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	a.role = SVC_ROLE_OPERATOR;
	a.read_only = false;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(try_device(t, &a, NULL, "mine", &d), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), SVC_UNAUTHENTICATED);
	c.disabled = false;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), 0);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), SVC_UNAUTHENTICATED);
}

/* A token that is deleted while a request with it is under way. */
static void deleted_under_way(void **state)
{
	struct servicetest *t = *state;
	char secret[SVC_TOKEN_TEXT];
	struct svc_token tok;
	struct svc_device d;
	struct svc_actor a;

	assert_int_equal(create(t, &t->admin, NAMED("ci"), &tok, secret), 0);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	assert_int_equal(svc_token_delete(t->s, &t->admin, &tok.id, &t->e), 0);
	assert_int_equal(try_device(t, &a, NULL, "x", &d), SVC_UNAUTHENTICATED);
	assert_int_equal(t->c->n_devices, 0);
}

static void whose_are_listed(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER),
			v = new_user(t, "op", SVC_ROLE_OPERATOR),
			x = new_user(t, "aud", SVC_ROLE_AUDITOR);
	struct svc_actor ann = actor_of(&u), op = actor_of(&v), auditor = actor_of(&x);
	char secret[SVC_TOKEN_TEXT];
	struct svc_token tok, *list;
	struct svc_page p = {.limit = 50};
	size_t n;
	bool more;

	assert_int_equal(create(t, &ann, NAMED("a"), &tok, secret), 0);
	assert_int_equal(create(t, &op, NAMED("b"), &tok, secret), 0);
	assert_int_equal(create(t, &t->admin, NAMED("c"), &tok, secret), 0);
	assert_int_equal(svc_token_list(t->s, &ann, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	free(list);
	assert_int_equal(svc_token_list(t->s, &op, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	free(list);
	assert_int_equal(svc_token_list(t->s, &t->admin, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 3);
	free(list);
	assert_int_equal(svc_token_list(t->s, &auditor, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 3);
	free(list);
	p.limit = 2;
	assert_int_equal(svc_token_list(t->s, &t->admin, &p, &list, &n, &more, &t->e), 0);
	assert_true(n == 2 && more);
	free(list);
	assert_int_equal(svc_token_delete(t->s, &ann, &tok.id, &t->e), SVC_NOT_FOUND);
	assert_int_equal(svc_token_delete(t->s, &auditor, &tok.id, &t->e), SVC_FORBIDDEN);
	assert_int_equal(svc_token_delete(t->s, &op, &tok.id, &t->e), SVC_NOT_FOUND);
}

static void not_without_end(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct svc_actor ann = actor_of(&u);
	struct svc_token_request r = NAMED("short");
	struct svc_token tok;
	char secret[SVC_TOKEN_TEXT];

	r.expires_at = t->clock.real_us / 1000 + 1000;
	assert_int_equal(create(t, &ann, r, &tok, secret), 0);
	for (unsigned i = 1; i < SVC_USER_TOKENS; i++)
		assert_int_equal(create(t, &ann, NAMED("ci"), &tok, secret), 0);
	assert_int_equal(create(t, &ann, NAMED("ci"), &tok, secret), SVC_FULL);
	assert_string_equal(secret, "");
	assert_int_equal(create(t, &t->admin, NAMED("ci"), &tok, secret), 0);
	/* What has expired makes room. */
	fake_clock_advance(&t->clock, 1000);
	assert_int_equal(create(t, &ann, NAMED("ci"), &tok, secret), 0);
	assert_int_equal(create(t, &ann, NAMED("ci"), &tok, secret), SVC_FULL);
	assert_int_equal(svc_token_delete(t->s, &ann, &tok.id, &t->e), 0);
	assert_int_equal(create(t, &ann, NAMED("ci"), &tok, secret), 0);
}

/* Runs SQL that a store would not. */
static void alter(struct servicetest *t, const char *sql)
{
	struct db_conn *tx cleanup(db_end) = NULL;

	assert_int_equal(db_write(t->db, &tx), 0);
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, sql);

		assert_int_equal(stmt_run(&st), 0);
	}
	assert_int_equal(db_commit(&tx), 0);
}

/* Nobody is given a token that no row stands for, and the log knows of none. */
static void what_was_not_written_was_not_made(void **state)
{
	struct servicetest *t = *state;
	const struct svc_audit_filter made = {.action = "token.create"};
	const struct svc_page page = {.limit = 5};
	struct svc_audit_entry *rows;
	char secret[SVC_TOKEN_TEXT];
	struct svc_token tok;
	bool more;
	size_t n;

	alter(t, "CREATE TRIGGER refuse BEFORE INSERT ON tokens BEGIN SELECT RAISE(ABORT, 'no'); "
		 "END");
	assert_int_equal(create(t, &t->admin, NAMED("ci"), &tok, secret), -EINVAL);
	assert_string_equal(secret, "");
	assert_int_equal(svc_audit_list(t->s, &t->admin, &page, &made, &rows, &n, &more, &t->e), 0);
	assert_int_equal(n, 0);
	free(rows);
	alter(t, "DROP TRIGGER refuse");
	assert_int_equal(create(t, &t->admin, NAMED("ci"), &tok, secret), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(made_and_used),
		T(ends_when_deleted_or_expired),
		T(never_above_the_owner),
		T(weak_token_makes_weak_tokens),
		T(follows_its_owner),
		T(deleted_under_way),
		T(whose_are_listed),
		T(not_without_end),
		T(what_was_not_written_was_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
