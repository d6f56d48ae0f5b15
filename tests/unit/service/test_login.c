/* Who is asking: right, wrong, too often, too late, not any more. */
#include <errno.h>

#include "db/login_store.h"
#include "tests/unit/service/servicetest.h"

static const char password[] = "correct horse";
static const struct ip_addr home = {IP_V4, {192, 0, 2, 1}};

static struct svc_user with_password(struct servicetest *t, const char *name, enum svc_role role)
{
	struct svc_user_change c = {.set_name = true,
		.name = name,
		.set_role = true,
		.role = role,
		.set_password = true,
		.password = password};
	struct svc_user u;

	assert_int_equal(svc_user_create(t->s, &t->admin, &c, &u, &t->e), 0);
	assert_true(u.has_password);
	return u;
}

static int log_in(struct servicetest *t, const char *name, const char *pw, struct svc_login *out)
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_login(t->s, name, pw, NULL, &home, out, &t->e);
}

static void right_password(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = with_password(t, "Ann", SVC_ROLE_OPERATOR);
	struct svc_login l, m;
	struct svc_actor a;

	assert_int_equal(log_in(t, "aNN", password, &l), 0);
	assert_int_equal(strlen(l.cookie), 43);
	assert_int_equal(strlen(l.csrf_token), 43);
	assert_true(ulid_equal(&l.actor.user_id, &u.id));
	assert_int_equal(l.actor.role, SVC_ROLE_OPERATOR);
	assert_true(l.actor.by_login);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), 0);
	assert_memory_equal(&a.via, &l.actor.via, sizeof(a.via));
	assert_string_equal(a.user_name, "Ann");
	assert_true(svc_csrf_ok(&a, l.csrf_token));
	assert_false(svc_csrf_ok(&a, l.cookie));
	assert_false(svc_csrf_ok(&a, ""));
	/* Another login is another cookie, and another CSRF token. */
	assert_int_equal(log_in(t, "ann", password, &m), 0);
	assert_string_not_equal(l.cookie, m.cookie);
	assert_false(svc_csrf_ok(&a, m.csrf_token));
}

/* Everybody who can't get in hears the same. */
static void same_answer_for_all(void **state)
{
	struct servicetest *t = *state;
	struct svc_user off = with_password(t, "off", SVC_ROLE_USER);
	struct svc_user_change disable = {.set_disabled = true, .disabled = true};
	struct svc_error first, e;
	struct svc_login l, zero = {0};
	char big[SVC_PASSWORD_MAX + 2];
	static const char *const names[] = {"ann", "nobody", "off", "admin" /* has none */, "",
		"a b\n", "\xff",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	(void)with_password(t, "ann", SVC_ROLE_USER);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &off.id, 0, &disable, &off, &t->e), 0);
	assert_int_equal(log_in(t, "ann", "wrong horse!", &l), SVC_UNAUTHENTICATED);
	first = t->e;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *pw = strcmp(names[i], "off") == 0 ? password : "wrong horse?";

		assert_int_equal(log_in(t, names[i], pw, &l), SVC_UNAUTHENTICATED);
		e = t->e;
		assert_memory_equal(&e, &first, sizeof(e));
		assert_memory_equal(&l, &zero, sizeof(l));
	}
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(log_in(t, "ann", big, &l), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "ann", "", &l), SVC_UNAUTHENTICATED);
}

static void ten_failures(void **state)
{
	struct servicetest *t = *state;
	static const char *const names[] = {"ann", "nobody"};
	struct svc_login l;

	(void)with_password(t, "ann", SVC_ROLE_USER);
	for (size_t n = 0; n < 2; n++) {
		for (int i = 0; i < 10; i++)
			assert_int_equal(
				log_in(t, names[n], "wrong horse", &l), SVC_UNAUTHENTICATED);
		assert_int_equal(log_in(t, names[n], password, &l), SVC_RATE_LIMITED);
		assert_int_equal(t->e.retry_after_s, 900);
	}
	fake_clock_advance(&t->clock, 900 * 1000);
	assert_int_equal(log_in(t, "ann", password, &l), 0);
}

static void success_resets_the_account(void **state)
{
	struct servicetest *t = *state;
	struct svc_login l;

	(void)with_password(t, "ann", SVC_ROLE_USER);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 9; i++)
			assert_int_equal(log_in(t, "ann", "wrong horse", &l), SVC_UNAUTHENTICATED);
		assert_int_equal(log_in(t, "ann", password, &l), 0);
	}
}

static void cookies_end(void **state)
{
	struct servicetest *t = *state;
	struct svc_login l;
	struct svc_actor a;

	(void)with_password(t, "ann", SVC_ROLE_USER);
	assert_int_equal(log_in(t, "ann", password, &l), 0);
	/* Used every 29 minutes and a bit it lives, until 12 hours are over; also when the writer
	 * in the background has never come to it. */
	for (int64_t ms = 0; ms + LOGIN_IDLE_MS - 1 < LOGIN_MAX_MS; ms += LOGIN_IDLE_MS - 1) {
		assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), 0);
		fake_clock_advance(&t->clock, LOGIN_IDLE_MS - 1);
	}
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), 0);
	fake_clock_advance(&t->clock, LOGIN_IDLE_MS - 1);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), SVC_UNAUTHENTICATED);
	assert_true(ulid_is_zero(&a.user_id));
	assert_int_equal(log_in(t, "ann", password, &l), 0);
	fake_clock_advance(&t->clock, LOGIN_IDLE_MS);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), SVC_UNAUTHENTICATED);
}

static void logout_ends_it_at_once(void **state)
{
	struct servicetest *t = *state;
	struct svc_login l, other;
	struct svc_actor a;

	(void)with_password(t, "ann", SVC_ROLE_AUDITOR);
	assert_int_equal(log_in(t, "ann", password, &l), 0);
	assert_int_equal(log_in(t, "ann", password, &other), 0);
	assert_int_equal(svc_logout(t->s, &l.actor), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_authenticate_cookie(t->s, other.cookie, &a), 0);
	assert_int_equal(svc_logout(t->s, &l.actor), 0);
}

static void new_password_ends_other_logins(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_user_change c = {.set_password = true, .password = "another horse"};
	struct svc_login l, other;
	struct svc_actor a;

	assert_int_equal(log_in(t, "ann", password, &l), 0);
	assert_int_equal(log_in(t, "ann", password, &other), 0);
	assert_int_equal(svc_user_patch(t->s, &l.actor, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, other.cookie, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "ann", password, &other), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "ann", "another horse", &other), 0);
	/* By somebody else: all of them. */
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), SVC_UNAUTHENTICATED);
	/* Without a password nobody gets in. */
	c.password = NULL;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_false(u.has_password);
	assert_int_equal(log_in(t, "ann", "", &l), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "ann", "another horse", &l), SVC_UNAUTHENTICATED);
}

static void disabling_ends_logins_for_good(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_user_change c = {.set_disabled = true, .disabled = true};
	struct svc_login l;
	struct svc_actor a;

	assert_int_equal(log_in(t, "ann", password, &l), 0);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), SVC_UNAUTHENTICATED);
	c.disabled = false;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "ann", password, &l), 0);
}

static void role_is_the_current_one(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = with_password(t, "ann", SVC_ROLE_OPERATOR);
	struct svc_user_change c = {.set_role = true, .role = SVC_ROLE_AUDITOR};
	struct svc_login l;
	struct svc_actor a;

	assert_int_equal(log_in(t, "ann", password, &l), 0);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &u, &t->e), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), 0);
	assert_int_equal(a.role, SVC_ROLE_AUDITOR);
	assert_true(a.read_only);
}

static void what_is_not_a_cookie(void **state)
{
	struct servicetest *t = *state;
	struct svc_login l;
	struct svc_actor a;
	char text[64];

	(void)with_password(t, "ann", SVC_ROLE_USER);
	assert_int_equal(log_in(t, "ann", password, &l), 0);
	assert_int_equal(svc_authenticate_cookie(t->s, "", &a), SVC_UNAUTHENTICATED);
	snprintf(text, sizeof(text), "%sA", l.cookie);
	assert_int_equal(svc_authenticate_cookie(t->s, text, &a), SVC_UNAUTHENTICATED);
	snprintf(text, sizeof(text), "%.42s", l.cookie);
	assert_int_equal(svc_authenticate_cookie(t->s, text, &a), SVC_UNAUTHENTICATED);
	for (size_t i = 0; i < 43; i++) {
		snprintf(text, sizeof(text), "%s", l.cookie);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_int_equal(svc_authenticate_cookie(t->s, text, &a), SVC_UNAUTHENTICATED);
	}
	assert_int_equal(svc_authenticate_cookie(t->s, l.csrf_token, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_authenticate_token(t->s, l.cookie, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &a), 0);
}

/* Neither cookie nor CSRF token nor password stands in the file or its log. */
static void no_secret_in_the_file(void **state)
{
	struct servicetest *t = *state;
	static const char *const names[] = {"ireko.db", "ireko.db-wal"};
	struct svc_login l;
	char path[128];

	(void)with_password(t, "ann", SVC_ROLE_USER);
	assert_int_equal(log_in(t, "ann", password, &l), 0);
	for (size_t i = 0; i < 2; i++) {
		char *data = malloc(1 << 22);
		size_t n;
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", t->dir, names[i]);
		f = fopen(path, "re");
		assert_non_null(f);
		n = fread(data, 1, 1 << 22, f);
		fclose(f);
		assert_true(n > 0);
		assert_null(memmem(data, n, l.cookie, 43));
		assert_null(memmem(data, n, l.csrf_token, 43));
		assert_null(memmem(data, n, password, strlen(password)));
		free(data);
	}
}

/* The newest rows of the audit log, newest first. */
static void rows_are(struct servicetest *t, const char *const *want, size_t n_want)
{
	const struct svc_page p = {.limit = 50};
	const struct svc_audit_filter all = {.action = ""};
	struct svc_audit_entry *r;
	char text[512];
	bool more;
	size_t n;

	assert_int_equal(svc_audit_list(t->s, &t->admin, &p, &all, &r, &n, &more, &t->e), 0);
	assert_true(n >= n_want);
	for (size_t i = 0; i < n_want; i++) {
		char from[IP_ADDR_TEXT];

		snprintf(text, sizeof(text), "%s %s %s %s %s", r[i].action, r[i].outcome,
			r[i].actor_name[0] ? r[i].actor_name : "-",
			ip_addr_format(&r[i].from, from), r[i].detail);
		assert_string_equal(text, want[i]);
		assert_int_equal(ulid_is_zero(&r[i].actor_id), r[i].actor_name[0] == '\0');
	}
	free(r);
}

/* Who came, who was kept out, and nothing of what was typed: somebody's password in the field of
 * the name is no rare mistake. */
static void logins_are_written_down(void **state)
{
	static const char *const first[] = {"logout ok Ann 192.0.2.1 ", "login ok Ann 192.0.2.1 ",
		"login failed - 192.0.2.1 ", "login failed Ann 192.0.2.1 "};
	static const char *const after[] = {
		"login limited Ann 192.0.2.1 ", "login failed Ann 192.0.2.1 "};
	struct servicetest *t = *state;
	struct svc_login l;

	(void)with_password(t, "Ann", SVC_ROLE_USER);
	assert_int_equal(log_in(t, "ann", "wrong horse", &l), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "correct horse", "wrong horse", &l), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "ann", password, &l), 0);
	assert_int_equal(svc_logout(t->s, &l.actor), 0);
	assert_int_equal(svc_logout(t->s, &l.actor), 0); /* it was over: no row */
	rows_are(t, first, ARRAY_SIZE(first));
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(log_in(t, "ann", "wrong horse", &l), SVC_UNAUTHENTICATED);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(log_in(t, "ann", "wrong horse", &l), SVC_RATE_LIMITED);
	rows_are(t, after, ARRAY_SIZE(after));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(right_password),
		T(same_answer_for_all),
		T(ten_failures),
		T(success_resets_the_account),
		T(cookies_end),
		T(logout_ends_it_at_once),
		T(new_password_ends_other_logins),
		T(disabling_ends_logins_for_good),
		T(role_is_the_current_one),
		T(what_is_not_a_cookie),
		T(logins_are_written_down),
		T(no_secret_in_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
