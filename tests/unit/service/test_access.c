#include <errno.h>

#include "tests/unit/service/servicetest.h"

static int refresh(struct servicetest *t, const struct svc_actor *a, struct svc_actor *me)
{
	struct db_conn *tx;
	int err;

	assert_int_equal(db_read(t->db, &tx), 0);
	err = access_refresh(tx, a, me, &t->e);
	db_end(&tx);
	return err;
}

static void the_lower_role_counts(void **state)
{
	struct servicetest *t = *state;

	for (int owner = SVC_ROLE_USER; owner <= SVC_ROLE_ADMIN; owner++) {
		struct svc_user u;
		char name[8];

		snprintf(name, sizeof(name), "u%d", owner);
		u = new_user(t, name, (enum svc_role)owner);
		for (int role = SVC_ROLE_USER; role <= SVC_ROLE_ADMIN; role++) {
			struct svc_actor a = {.user_id = u.id, .role = (enum svc_role)role}, me;
			bool reads_only = owner == SVC_ROLE_AUDITOR ||
					  (role == SVC_ROLE_AUDITOR && owner > role);

			assert_int_equal(refresh(t, &a, &me), reads_only ? SVC_FORBIDDEN : 0);
			assert_int_equal(me.role, role < owner ? role : owner);
		}
	}
}

static void who_is_not_there(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor a = t->admin, me;

	a.via = id_of(55); /* a token that does not exist */
	assert_int_equal(refresh(t, &a, &me), SVC_UNAUTHENTICATED);
	a.by_login = true;
	assert_int_equal(refresh(t, &a, &me), SVC_UNAUTHENTICATED);
	a = t->admin;
	a.user_id = id_of(55);
	assert_int_equal(refresh(t, &a, &me), SVC_UNAUTHENTICATED);
	a = (struct svc_actor){0};
	assert_int_equal(refresh(t, &a, &me), SVC_UNAUTHENTICATED);
}

static void seeing_and_changing(void **state)
{
	struct ulid own = id_of(1), other = id_of(2);
	struct svc_error e;

	(void)state;
	for (int role = SVC_ROLE_USER; role <= SVC_ROLE_ADMIN; role++) {
		struct svc_actor a = {.user_id = own, .role = (enum svc_role)role};
		bool all = role >= SVC_ROLE_AUDITOR, writes = role != SVC_ROLE_AUDITOR;

		assert_int_equal(access_reads_all(&a), all);
		assert_int_equal(access_manages(&a), role >= SVC_ROLE_OPERATOR);
		assert_int_equal(access_see(&a, &own, &e), 0);
		assert_int_equal(access_see(&a, &other, &e), all ? 0 : SVC_NOT_FOUND);
		assert_int_equal(access_change(&a, &own, &e), writes ? 0 : SVC_FORBIDDEN);
		assert_int_equal(access_change(&a, &other, &e), !all	 ? SVC_NOT_FOUND
								: writes ? 0
									 : SVC_FORBIDDEN);
		a.read_only = true;
		assert_int_equal(access_change(&a, &own, &e), SVC_FORBIDDEN);
	}
}

static int begin_as(struct servicetest *t, const struct svc_actor *a,
	int (*how)(struct service *, const struct svc_actor *, struct db_conn **,
		struct svc_actor *, struct svc_error *))
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;

	return how(t->s, a, &tx, &me, &t->e);
}

static void who_writes_is_read_again(void **state)
{
	struct servicetest *t = *state;
	const struct svc_user eve = new_user(t, "eve", SVC_ROLE_AUDITOR);
	struct svc_actor a = {.user_id = eve.id, .role = SVC_ROLE_ADMIN};

	assert_int_equal(begin_as(t, &t->admin, access_begin), 0);
	assert_int_equal(begin_as(t, &a, access_begin), SVC_FORBIDDEN);
	assert_int_equal(begin_as(t, &a, access_begin_own), 0);
	a.user_id = id_of(55);
	assert_int_equal(begin_as(t, &a, access_begin), SVC_UNAUTHENTICATED);
	assert_int_equal(begin_as(t, &a, access_begin_own), SVC_UNAUTHENTICATED);
}

static void whose_device(void **state)
{
	struct servicetest *t = *state;
	const struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER),
			      bob = new_user(t, "bob", SVC_ROLE_USER),
			      eve = new_user(t, "eve", SVC_ROLE_AUDITOR);
	const struct ulid id = new_device(t, &ann.id, "one"), none = id_of(55);
	const struct {
		struct svc_actor a;
		int sees, changes;
	} cases[] = {
		{actor_of(&ann), 0, 0},
		{actor_of(&bob), SVC_NOT_FOUND, SVC_NOT_FOUND},
		{actor_of(&eve), 0, SVC_FORBIDDEN},
		{t->admin, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct svc_actor *a = &cases[i].a;
		struct ulid owner = {0};
		struct device_row d;
		struct db_conn *tx;

		assert_int_equal(db_read(t->db, &tx), 0);
		assert_int_equal(access_device(tx, a, &id, &d, &t->e), cases[i].sees);
		assert_int_equal(access_device_change(tx, a, &id, &d, &t->e), cases[i].changes);
		assert_int_equal(access_device(tx, a, &none, &d, &t->e), SVC_NOT_FOUND);
		assert_int_equal(access_device_change(tx, a, &none, &d, &t->e), SVC_NOT_FOUND);
		db_end(&tx);
		assert_int_equal(
			access_device_owner(t->s, a, &id, &owner, &t->e), cases[i].changes);
		assert_int_equal(ulid_equal(&owner, &ann.id), cases[i].changes == 0);
		assert_int_equal(access_device_owner(t->s, a, &none, &owner, &t->e), SVC_NOT_FOUND);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_lower_role_counts),
		T(who_is_not_there),
		cmocka_unit_test(seeing_and_changing),
		T(who_writes_is_read_again),
		T(whose_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
