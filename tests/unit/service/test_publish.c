/* The coordinator hears in the order of the commits, and nobody waits for somebody else's
 * dataplane. */
#include <errno.h>
#include <pthread.h>

#include "tests/unit/service/servicetest.h"

struct job {
	struct servicetest *t;
	struct svc_actor actor;
	struct ulid id;
	int result;
	bool done;
};

static void *disable_device(void *arg)
{
	struct job *j = arg;
	struct svc_device_change c = {.set_enabled = true};
	struct svc_error e;
	struct svc_device d;

	j->result = svc_device_patch(j->t->s, &j->actor, &j->id, 0, &c, &d, &e);
	svc_device_fini(&d);
	return NULL;
}

static void *enable_device(void *arg)
{
	struct job *j = arg;
	struct svc_device_change c = {.set_enabled = true, .enabled = true};
	struct svc_error e;
	struct svc_device d;

	j->result = svc_device_patch(j->t->s, &j->actor, &j->id, 0, &c, &d, &e);
	svc_device_fini(&d);
	__atomic_store_n(&j->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static void wait_until_one_waits(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	while (!c->waiting)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void let_them_go(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	c->hold_revokes = false;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

/* A device that does not share its stripe with another by chance. */
static struct ulid apart(struct servicetest *t, const struct ulid *owner, const struct ulid *from)
{
	for (unsigned i = 0;; i++) {
		struct ulid id;
		char name[16];

		snprintf(name, sizeof(name), "apart%u", i);
		id = new_device(t, owner, name);
		if (memcmp(&id.bytes[14], &from->bytes[14], 2) != 0 &&
			((id.bytes[14] ^ from->bytes[14]) & 3 || id.bytes[15] != from->bytes[15]))
			return id;
	}
}

static void only_the_same_device_waits(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct ulid slow = new_device(t, NULL, "slow"), other = apart(t, NULL, &slow),
		    anns = apart(t, &u.id, &slow);
	struct job off = {t, t->admin, slow, -1, false}, on = {t, t->admin, slow, -1, false};
	pthread_t a, b;

	t->c->hold_revokes = true;
	assert_int_equal(pthread_create(&a, NULL, disable_device, &off), 0);
	wait_until_one_waits(t->c);
	/* Everybody else goes on: another device of the same user, other users, the database. */
	(void)new_credential(t, &other);
	(void)new_user(t, "bob", SVC_ROLE_USER);
	(void)new_credential(t, &anns);
	/* The same device does not overtake. */
	assert_int_equal(pthread_create(&b, NULL, enable_device, &on), 0);
	(void)new_credential(t, &anns);
	assert_false(__atomic_load_n(&on.done, __ATOMIC_SEQ_CST));
	assert_null(fake_device(t->c, &slow));
	let_them_go(t->c);
	assert_int_equal(pthread_join(a, NULL), 0);
	assert_int_equal(pthread_join(b, NULL), 0);
	assert_int_equal(off.result, 0);
	assert_int_equal(on.result, 0);
	assert_non_null(fake_device(t->c, &slow));
}

enum { THREADS = 8, ROUNDS = 30 };

struct crowd {
	struct servicetest *t;
	struct ulid device, user;
	unsigned seed;
};

/* Whatever comes: on, off, new credentials, revoked ones, the user off and on. */
static void *meddle(void *arg)
{
	struct crowd *c = arg;
	struct service *s = c->t->s;
	const struct svc_actor *a = &c->t->admin;
	struct svc_error e;

	for (int i = 0; i < ROUNDS; i++) {
		struct svc_device_change toggle = {.set_enabled = true};
		struct svc_user_change user = {.set_disabled = true};
		const struct svc_credential_request r = {.protocol = DIR_WIREGUARD};
		struct svc_device d = {0};
		struct svc_issued *out = NULL;
		struct svc_user u;

		switch (rand_r(&c->seed) % 6) {
		case 0:
		case 1:
			toggle.enabled = rand_r(&c->seed) % 2;
			(void)!svc_device_patch(s, a, &c->device, 0, &toggle, &d, &e);
			break;
		case 2:
			user.disabled = rand_r(&c->seed) % 2;
			(void)!svc_user_patch(s, a, &c->user, 0, &user, &u, &e);
			break;
		case 3:
			if (svc_device_get(s, a, &c->device, &d, &e) == 0 && d.n_credentials)
				(void)!svc_credential_revoke(s, a,
					&d.credentials[(unsigned)rand_r(&c->seed) % d.n_credentials]
						.id,
					&e);
			break;
		default:
			out = malloc(sizeof(*out));
			(void)!svc_credential_issue(s, a, &c->device, &r, out, &e);
			free(out);
			break;
		}
		svc_device_fini(&d);
	}
	return NULL;
}

/* At the end the directory is what the database says, whoever came first. */
static void the_directory_equals_the_database(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct ulid device = new_device(t, &u.id, "a");

	for (unsigned round = 0; round < 6; round++) {
		struct crowd crowd[THREADS];
		pthread_t threads[THREADS];
		struct svc_device d;
		size_t usable = 0;
		bool live;

		for (unsigned i = 0; i < THREADS; i++) {
			crowd[i] = (struct crowd){t, device, u.id, round * 100 + i};
			assert_int_equal(pthread_create(&threads[i], NULL, meddle, &crowd[i]), 0);
		}
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(svc_device_get(t->s, &t->admin, &device, &d, &t->e), 0);
		assert_int_equal(svc_user_get(t->s, &t->admin, &u.id, &u, &t->e), 0);
		live = d.enabled && !u.disabled;
		assert_int_equal(fake_device(t->c, &device) != NULL, live);
		for (size_t i = 0; i < d.n_credentials; i++) {
			bool want = live && !d.credentials[i].revoked_at;

			usable += want;
			assert_int_equal(fake_credential(t->c, &d.credentials[i].id) != NULL, want);
		}
		assert_int_equal(t->c->n_credentials, usable);
		/* Leave room in the fake one. */
		for (size_t i = 0; i < d.n_credentials; i++)
			assert_int_equal(
				svc_credential_revoke(t->s, &t->admin, &d.credentials[i].id, &t->e),
				0);
		svc_device_fini(&d);
	}
}

static void *delete_user(void *arg)
{
	struct job *j = arg;
	struct svc_error e;

	j->result = svc_user_delete(j->t->s, &j->actor, &j->id, 0, &e);
	return NULL;
}

static void *create_device(void *arg)
{
	struct job *j = arg;
	struct svc_device_change c = {
		.set_name = true, .name = "late", .set_user_id = true, .user_id = j->id};
	struct svc_error e;
	struct svc_device d;

	j->result = svc_device_create(j->t->s, &j->actor, &c, &d, &e);
	svc_device_fini(&d);
	return NULL;
}

/* A device that is made while its user goes, goes too. */
static void nothing_is_left_of_a_user(void **state)
{
	struct servicetest *t = *state;

	for (int round = 0; round < 30; round++) {
		char name[16];
		struct job a, b;
		pthread_t threads[2];
		struct svc_user u;

		snprintf(name, sizeof(name), "u%d", round);
		u = new_user(t, name, SVC_ROLE_USER);
		(void)new_device(t, &u.id, "early");
		a = (struct job){t, t->admin, u.id, -1, false};
		b = a;
		assert_int_equal(pthread_create(&threads[round % 2], NULL, delete_user, &a), 0);
		assert_int_equal(
			pthread_create(&threads[!(round % 2)], NULL, create_device, &b), 0);
		assert_int_equal(pthread_join(threads[0], NULL), 0);
		assert_int_equal(pthread_join(threads[1], NULL), 0);
		assert_int_equal(a.result, 0);
		assert_true(b.result == 0 || b.result == SVC_INVALID || b.result == SVC_NOT_FOUND);
		assert_int_equal(t->c->n_devices, 0);
		fake_clock_advance(&t->clock, 200000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_the_same_device_waits),
		T(the_directory_equals_the_database),
		T(nothing_is_left_of_a_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
