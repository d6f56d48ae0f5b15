#include <errno.h>

#include "tests/unit/service/servicetest.h"

static void lists_and_kills(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER),
			x = new_user(t, "aud", SVC_ROLE_AUDITOR);
	struct svc_actor ann = actor_of(&u), auditor = actor_of(&x);
	struct session_info live[6] = {0}, *list;
	struct svc_page p = {.limit = 4};
	struct ulid nothing = id_of(99);
	size_t n;
	bool more;

	for (unsigned i = 0; i < 6; i++) {
		live[i].id = id_of(i + 1);
		live[i].user_id = i % 2 ? u.id : t->admin.user_id;
	}
	t->c->sessions = live;
	t->c->n_sessions = 6;
	assert_int_equal(svc_session_list(t->s, &auditor, &p, &list, &n, &more, &t->e), 0);
	assert_true(n == 4 && more);
	p.after = list[3].id;
	free(list);
	assert_int_equal(svc_session_list(t->s, &auditor, &p, &list, &n, &more, &t->e), 0);
	assert_true(n == 2 && !more);
	free(list);
	p = (struct svc_page){.limit = 500};
	assert_int_equal(svc_session_list(t->s, &ann, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		assert_true(ulid_equal(&list[i].user_id, &u.id));
	free(list);
	assert_int_equal(svc_session_kill(t->s, &ann, &live[0].id, &t->e), SVC_NOT_FOUND);
	assert_int_equal(svc_session_kill(t->s, &ann, &nothing, &t->e), SVC_NOT_FOUND);
	assert_int_equal(svc_session_kill(t->s, &auditor, &live[1].id, &t->e), SVC_FORBIDDEN);
	assert_true(ulid_is_zero(&t->c->killed));
	assert_int_equal(svc_session_kill(t->s, &ann, &live[1].id, &t->e), 0);
	assert_true(ulid_equal(&t->c->killed, &live[1].id));
	t->c->revoke_result = -ETIMEDOUT;
	assert_int_equal(svc_session_kill(t->s, &t->admin, &live[0].id, &t->e), SVC_UNAVAILABLE);
	t->c->revoke_result = -ENOENT; /* it has ended meanwhile */
	assert_int_equal(svc_session_kill(t->s, &t->admin, &live[0].id, &t->e), SVC_NOT_FOUND);
	p.limit = 0;
	assert_int_equal(svc_session_list(t->s, &ann, &p, &list, &n, &more, &t->e), SVC_INVALID);
}

static void none_at_all(void **state)
{
	struct servicetest *t = *state;
	struct svc_page p = {.limit = 4};
	struct ulid nothing = id_of(99);
	struct session_info *list;
	size_t n;
	bool more;

	assert_int_equal(svc_session_list(t->s, &t->admin, &p, &list, &n, &more, &t->e), 0);
	assert_true(n == 0 && !more);
	free(list);
	assert_int_equal(svc_session_kill(t->s, &t->admin, &nothing, &t->e), SVC_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(lists_and_kills),
		T(none_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
