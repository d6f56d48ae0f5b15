/* Every role tries what it may and what it may not. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/service/servicetest.h"

struct cast {
	struct svc_user admin2, operator, operator2, auditor, user, user2;
	struct svc_actor a_operator, a_auditor, a_user;
};

static struct cast the_cast(struct servicetest *t)
{
	struct cast c = {
		.admin2 = new_user(t, "admin2", SVC_ROLE_ADMIN),
		.operator= new_user(t, "operator", SVC_ROLE_OPERATOR),
		.operator2 = new_user(t, "operator2", SVC_ROLE_OPERATOR),
		.auditor = new_user(t, "auditor", SVC_ROLE_AUDITOR),
		.user = new_user(t, "user", SVC_ROLE_USER),
		.user2 = new_user(t, "user2", SVC_ROLE_USER),
	};

	c.a_operator = actor_of(&c.operator);
	c.a_auditor = actor_of(&c.auditor);
	c.a_user = actor_of(&c.user);
	return c;
}

static int create_role(struct servicetest *t, const struct svc_actor *a, enum svc_role role)
{
	static unsigned n;
	char name[16];
	struct svc_user_change c = {.set_name = true, .name = name, .set_role = true, .role = role};
	struct svc_user out;

	snprintf(name, sizeof(name), "n%u", n++);
	memset(&t->e, 0, sizeof(t->e));
	return svc_user_create(t->s, a, &c, &out, &t->e);
}

static int patch(struct servicetest *t, const struct svc_actor *a, const struct ulid *id,
	struct svc_user_change c)
{
	struct svc_user out;

	memset(&t->e, 0, sizeof(t->e));
	return svc_user_patch(t->s, a, id, 0, &c, &out, &t->e);
}

#define NAME(x)	    ((struct svc_user_change){.set_name = true, .name = x})
#define DISPLAY(x)  ((struct svc_user_change){.set_display_name = true, .display_name = x})
#define EMAIL(x)    ((struct svc_user_change){.set_email = true, .email = x})
#define ROLE(x)	    ((struct svc_user_change){.set_role = true, .role = x})
#define PASSWORD(x) ((struct svc_user_change){.set_password = true, .password = x})
#define DISABLED(x) ((struct svc_user_change){.set_disabled = true, .disabled = x})

static void who_creates_whom(void **state)
{
	struct servicetest *t = *state;
	struct cast c = the_cast(t);

	for (int role = SVC_ROLE_USER; role <= SVC_ROLE_ADMIN; role++) {
		enum svc_role r = (enum svc_role)role;

		assert_int_equal(create_role(t, &t->admin, r), 0);
		assert_int_equal(create_role(t, &c.a_operator, r),
			r <= SVC_ROLE_OPERATOR ? 0 : SVC_FORBIDDEN);
		assert_int_equal(create_role(t, &c.a_auditor, r), SVC_FORBIDDEN);
		assert_int_equal(create_role(t, &c.a_user, r), SVC_FORBIDDEN);
	}
	assert_int_equal(create_role(t, &t->admin, (enum svc_role)7), SVC_FORBIDDEN);
}

static void operator_never_touches_an_admin(void **state)
{
	struct servicetest *t = *state;
	struct cast c = the_cast(t);
	const struct ulid *admin = &c.admin2.id;

	assert_int_equal(patch(t, &c.a_operator, admin, NAME("x")), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &c.a_operator, admin, PASSWORD("12345678")), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &c.a_operator, admin, ROLE(SVC_ROLE_USER)), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &c.a_operator, admin, DISABLED(true)), SVC_FORBIDDEN);
	assert_int_equal(svc_user_delete(t->s, &c.a_operator, admin, 0, &t->e), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &c.a_operator, &c.user.id, ROLE(SVC_ROLE_ADMIN)), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "role");
	assert_int_equal(
		patch(t, &c.a_operator, &c.operator.id, ROLE(SVC_ROLE_ADMIN)), SVC_FORBIDDEN);
	assert_int_equal(
		patch(t, &c.a_operator, &c.operator.id, ROLE(SVC_ROLE_USER)), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &c.a_operator, &c.operator.id, ROLE(SVC_ROLE_OPERATOR)), 0);
	assert_int_equal(patch(t, &c.a_operator, &c.operator.id, DISPLAY("Op")), 0);
	assert_int_equal(patch(t, &c.a_operator, &c.user.id, ROLE(SVC_ROLE_OPERATOR)), 0);
	assert_int_equal(svc_user_delete(t->s, &c.a_operator, &c.user2.id, 0, &t->e), 0);
}

/* With a weak token of an admin nobody becomes that admin. */
static void weak_token_of_an_admin(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor weak = t->admin;

	for (int role = SVC_ROLE_USER; role < SVC_ROLE_ADMIN; role++) {
		weak.role = (enum svc_role)role;
		assert_int_equal(
			patch(t, &weak, &t->admin.user_id, PASSWORD("12345678")), SVC_FORBIDDEN);
		assert_int_equal(patch(t, &weak, &t->admin.user_id, EMAIL("a@b")), SVC_FORBIDDEN);
		assert_int_equal(create_role(t, &weak, SVC_ROLE_ADMIN), SVC_FORBIDDEN);
	}
}

static void user_has_only_himself(void **state)
{
	struct servicetest *t = *state;
	struct cast c = the_cast(t);
	struct svc_user out;

	assert_int_equal(svc_user_get(t->s, &c.a_user, &c.user.id, &out, &t->e), 0);
	assert_int_equal(svc_user_get(t->s, &c.a_user, &c.user2.id, &out, &t->e), SVC_NOT_FOUND);
	assert_int_equal(patch(t, &c.a_user, &c.user2.id, DISPLAY("x")), SVC_NOT_FOUND);
	assert_int_equal(svc_user_delete(t->s, &c.a_user, &c.user2.id, 0, &t->e), SVC_NOT_FOUND);
	assert_int_equal(svc_user_delete(t->s, &c.a_user, &c.user.id, 0, &t->e), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &c.a_user, &c.user.id, DISPLAY("Me")), 0);
	assert_int_equal(patch(t, &c.a_user, &c.user.id, EMAIL("me@example.org")), 0);
	assert_int_equal(patch(t, &c.a_user, &c.user.id, NAME("me")), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "name");
	assert_int_equal(patch(t, &c.a_user, &c.user.id, ROLE(SVC_ROLE_USER)), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "role");
	assert_int_equal(patch(t, &c.a_user, &c.user.id, DISABLED(false)), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "disabled");
}

static void auditor_reads_and_writes_nothing(void **state)
{
	struct servicetest *t = *state;
	struct cast c = the_cast(t);
	struct svc_actor weak = c.a_auditor;
	struct svc_user out;

	assert_int_equal(svc_user_get(t->s, &c.a_auditor, &c.admin2.id, &out, &t->e), 0);
	assert_int_equal(patch(t, &c.a_auditor, &c.user.id, DISPLAY("x")), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &c.a_auditor, &c.auditor.id, DISPLAY("x")), SVC_FORBIDDEN);
	assert_int_equal(
		patch(t, &c.a_auditor, &c.auditor.id, PASSWORD("12345678")), SVC_FORBIDDEN);
	assert_int_equal(svc_user_delete(t->s, &c.a_auditor, &c.user.id, 0, &t->e), SVC_FORBIDDEN);
	/* Nor with a token that has the role of a user. */
	weak.role = SVC_ROLE_USER;
	assert_int_equal(patch(t, &weak, &c.auditor.id, DISPLAY("x")), SVC_FORBIDDEN);
	weak.read_only = false; /* as if authenticated before he became an auditor */
	assert_int_equal(patch(t, &weak, &c.auditor.id, DISPLAY("x")), SVC_FORBIDDEN);
}

static void last_admin_stays(void **state)
{
	struct servicetest *t = *state;
	struct svc_user second = new_user(t, "second", SVC_ROLE_ADMIN);
	const struct ulid *me = &t->admin.user_id;

	assert_int_equal(patch(t, &t->admin, &second.id, DISABLED(true)), 0);
	assert_int_equal(patch(t, &t->admin, me, DISABLED(true)), SVC_CONFLICT);
	assert_int_equal(patch(t, &t->admin, me, ROLE(SVC_ROLE_OPERATOR)), SVC_CONFLICT);
	assert_int_equal(svc_user_delete(t->s, &t->admin, me, 0, &t->e), SVC_CONFLICT);
	assert_int_equal(patch(t, &t->admin, &second.id, DISABLED(false)), 0);
	assert_int_equal(svc_user_delete(t->s, &t->admin, me, 0, &t->e), 0);
	/* The one who did it is gone now. */
	assert_int_equal(create_role(t, &t->admin, SVC_ROLE_USER), SVC_UNAUTHENTICATED);
}

struct duel {
	struct servicetest *t;
	struct svc_actor me;
	struct ulid other;
	int result;
};

static void *demote(void *arg)
{
	struct duel *d = arg;
	struct svc_user_change c = ROLE(SVC_ROLE_USER);
	struct svc_error e;
	struct svc_user out;

	d->result = svc_user_patch(d->t->s, &d->me, &d->other, 0, &c, &out, &e);
	return NULL;
}

/* Two admins demote each other at the same moment: one of them stays. */
static void two_admins_duel(void **state)
{
	struct servicetest *t = *state;

	for (int round = 0; round < 20; round++) {
		char name[16];
		struct svc_user second;
		struct duel a, b;
		pthread_t thread;

		snprintf(name, sizeof(name), "second%d", round);
		second = new_user(t, name, SVC_ROLE_ADMIN);
		a = (struct duel){t, t->admin, second.id, -1};
		b = (struct duel){t, actor_of(&second), t->admin.user_id, -1};
		assert_int_equal(pthread_create(&thread, NULL, demote, &a), 0);
		demote(&b);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal((a.result == 0) + (b.result == 0), 1);
		if (b.result == 0)
			t->admin = b.me;
	}
}

static void names_and_other_texts(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER),
			other = new_user(t, "bob", SVC_ROLE_USER);
	struct svc_user_change none = {0}, same = NAME("ANN");
	struct svc_user out;

	assert_int_equal(svc_user_create(t->s, &t->admin, &none, &out, &t->e), SVC_INVALID);
	assert_string_equal(t->e.field, "name");
	assert_int_equal(svc_user_create(t->s, &t->admin, &same, &out, &t->e), SVC_CONFLICT);
	assert_string_equal(t->e.field, "name");
	assert_int_equal(patch(t, &t->admin, &other.id, same), SVC_CONFLICT);
	assert_int_equal(patch(t, &t->admin, &u.id, same), 0); /* its own, written otherwise */
	assert_int_equal(patch(t, &t->admin, &u.id, NAME("a b")), SVC_INVALID);
	assert_int_equal(patch(t, &t->admin, &u.id, NAME(NULL)), SVC_INVALID);
	assert_int_equal(patch(t, &t->admin, &u.id, DISPLAY("a\nb")), SVC_INVALID);
	assert_string_equal(t->e.field, "display_name");
	assert_int_equal(patch(t, &t->admin, &u.id, EMAIL("nope")), SVC_INVALID);
	assert_int_equal(patch(t, &t->admin, &u.id, PASSWORD("short")), SVC_INVALID);
	assert_string_equal(t->e.field, "password");
	assert_null(strstr(t->e.message, "short\""));
	assert_int_equal(patch(t, &t->admin, &u.id, DISPLAY(NULL)), 0);
	assert_int_equal(patch(t, &t->admin, &u.id, EMAIL(NULL)), 0);
}

static void revisions(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER), v;
	struct svc_user_change c = DISPLAY("Ann");

	assert_int_equal(u.revision, 1);
	fake_clock_advance(&t->clock, 5);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 1, &c, &v, &t->e), 0);
	assert_int_equal(v.revision, 2);
	assert_true(v.updated_at == u.updated_at + 5 && v.created_at == u.created_at);
	assert_int_equal(
		svc_user_patch(t->s, &t->admin, &u.id, 1, &c, &v, &t->e), SVC_PRECONDITION);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 1, &t->e), SVC_PRECONDITION);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 2, &t->e), 0);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), SVC_NOT_FOUND);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &v, &t->e), SVC_NOT_FOUND);
}

static void pages(void **state)
{
	struct servicetest *t = *state;
	struct svc_page p = {.limit = 4};
	struct svc_user me = {0}, *list;
	size_t n, total = 0;
	struct svc_actor a;
	bool more = true;

	for (int i = 0; i < 9; i++) {
		char name[8];

		snprintf(name, sizeof(name), "u%d", i);
		me = new_user(t, name, SVC_ROLE_USER);
	}
	while (more) {
		assert_int_equal(svc_user_list(t->s, &t->admin, &p, &list, &n, &more, &t->e), 0);
		assert_true(n <= 4);
		total += n;
		if (n)
			p.after = list[n - 1].id;
		free(list);
	}
	assert_int_equal(total, 10);
	a = actor_of(&me);
	p.after = (struct ulid){0};
	assert_int_equal(svc_user_list(t->s, &a, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	assert_true(ulid_equal(&list[0].id, &me.id) && !more);
	free(list);
	p.after = me.id;
	assert_int_equal(svc_user_list(t->s, &a, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 0);
	free(list);
	p.limit = 0;
	assert_int_equal(svc_user_list(t->s, &a, &p, &list, &n, &more, &t->e), SVC_INVALID);
	p.limit = SVC_LIMIT_MAX + 1;
	assert_int_equal(svc_user_list(t->s, &a, &p, &list, &n, &more, &t->e), SVC_INVALID);
	assert_null(list);
}

static void disabling_takes_the_tunnels(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct ulid d1 = new_device(t, &u.id, "one"), d2 = new_device(t, &u.id, "two"), mine;

	mine = new_device(t, NULL, "admin's");
	(void)new_credential(t, &d1);
	(void)new_credential(t, &d2);
	assert_int_equal(t->c->n_devices, 3);
	assert_int_equal(t->c->n_credentials, 2);
	assert_int_equal(patch(t, &t->admin, &u.id, DISABLED(true)), 0);
	assert_int_equal(t->c->n_devices, 1);
	assert_true(ulid_equal(&t->c->devices[0].id, &mine));
	assert_int_equal(t->c->n_credentials, 0);
	/* What is made meanwhile waits for him. */
	(void)new_credential(t, &d1);
	(void)new_device(t, &u.id, "three");
	assert_int_equal(t->c->n_devices, 1);
	assert_int_equal(t->c->n_credentials, 0);
	assert_int_equal(patch(t, &t->admin, &u.id, DISABLED(false)), 0);
	assert_int_equal(t->c->n_devices, 4);
	assert_int_equal(t->c->n_credentials, 3);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), 0);
	assert_int_equal(t->c->n_devices, 1);
	assert_int_equal(t->c->forgets, 3);
}

static void dataplane_that_is_silent(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER), out;

	(void)new_device(t, &u.id, "one");
	t->c->revoke_result = -ETIMEDOUT;
	assert_int_equal(patch(t, &t->admin, &u.id, DISABLED(true)), SVC_UNAVAILABLE);
	assert_int_equal(svc_user_get(t->s, &t->admin, &u.id, &out, &t->e), 0);
	assert_true(out.disabled); /* done here */
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), SVC_UNAVAILABLE);
	assert_int_equal(svc_user_get(t->s, &t->admin, &u.id, &out, &t->e), SVC_NOT_FOUND);
}

static void full_disk(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER), out;
	struct rlimit old, full = {0, 0};

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	full.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	assert_int_equal(patch(t, &t->admin, &u.id, DISPLAY("x")), SVC_NO_SPACE);
	assert_int_equal(create_role(t, &t->admin, SVC_ROLE_USER), SVC_NO_SPACE);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), SVC_NO_SPACE);
	assert_int_equal(svc_user_get(t->s, &t->admin, &u.id, &out, &t->e), 0);
	assert_int_equal(out.revision, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(patch(t, &t->admin, &u.id, DISPLAY("x")), 0);
}

static void own_password_not_all_the_time(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct svc_actor ann = actor_of(&u);

	for (unsigned i = 0; i < THROTTLE_ACCOUNT; i++)
		assert_int_equal(patch(t, &ann, &u.id, PASSWORD("correct horse")), 0);
	assert_int_equal(patch(t, &ann, &u.id, PASSWORD("correct horse")), SVC_RATE_LIMITED);
	assert_true(t->e.retry_after_s > 0);
	assert_int_equal(patch(t, &ann, &u.id, DISPLAY("Ann")), 0);
	assert_int_equal(patch(t, &t->admin, &u.id, PASSWORD("correct horse")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_creates_whom),
		T(operator_never_touches_an_admin),
		T(weak_token_of_an_admin),
		T(user_has_only_himself),
		T(auditor_reads_and_writes_nothing),
		T(last_admin_stays),
		T(two_admins_duel),
		T(names_and_other_texts),
		T(revisions),
		T(pages),
		T(disabling_takes_the_tunnels),
		T(dataplane_that_is_silent),
		T(full_disk),
		T(own_password_not_all_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
