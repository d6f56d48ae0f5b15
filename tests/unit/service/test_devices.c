#include <errno.h>
#include <pthread.h>

#include "db/lease_store.h"
#include "tests/unit/service/servicetest.h"

static struct ip_addr v4(unsigned last)
{
	return (struct ip_addr){IP_V4, {10, 77, 0, (uint8_t)last}};
}

static int create(struct servicetest *t, const struct svc_actor *a, struct svc_device_change c,
	struct svc_device *out)
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_device_create(t->s, a, &c, out, &t->e);
}

static int patch(struct servicetest *t, const struct svc_actor *a, const struct ulid *id,
	struct svc_device_change c)
{
	struct svc_device out;
	int err;

	memset(&t->e, 0, sizeof(t->e));
	err = svc_device_patch(t->s, a, id, 0, &c, &out, &t->e);
	svc_device_fini(&out);
	return err;
}

static int delete_one(struct servicetest *t, const struct svc_actor *a, const struct ulid *id)
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_device_delete(t->s, a, id, 0, &t->e);
}

#define NAME(x)	    ((struct svc_device_change){.set_name = true, .name = x})
#define ENABLED(x)  ((struct svc_device_change){.set_enabled = true, .enabled = x})
#define EXPIRES(x)  ((struct svc_device_change){.set_expires_at = true, .expires_at = x})
#define ADDRESS4(x) ((struct svc_device_change){.set_address4 = true, .address4 = x})
#define ADDRESS6(x) ((struct svc_device_change){.set_address6 = true, .address6 = x})

static void what_a_new_one_is(void **state)
{
	struct servicetest *t = *state;
	struct svc_device d;
	struct ip_addr first6 = {IP_V6, {0xfd, 0x77, [15] = 2}}, first4 = v4(2);

	assert_int_equal(create(t, &t->admin, NAME("laptop"), &d), 0);
	assert_true(ulid_equal(&d.user_id, &t->admin.user_id));
	assert_true(ip_addr_equal(&d.address4, &first4));
	assert_true(ip_addr_equal(&d.address6, &first6));
	assert_true(d.enabled && !d.expires_at && d.revision == 1 && d.n_credentials == 0);
	assert_int_equal(t->c->n_devices, 1);
	assert_int_equal(t->c->devices[0].peer, 0);
	svc_device_fini(&d);
	assert_int_equal(create(t, &t->admin, NAME("laptop"), &d), SVC_CONFLICT);
	assert_string_equal(t->e.field, "name");
	assert_int_equal(create(t, &t->admin, (struct svc_device_change){0}, &d), SVC_INVALID);
	assert_int_equal(create(t, &t->admin, NAME("a\nb"), &d), SVC_INVALID);
	assert_int_equal(create(t, &t->admin, NAME(NULL), &d), SVC_INVALID);
	assert_int_equal(t->c->n_devices, 1);
}

/* 13 of a /28; the 14th changes nothing; one that goes frees its place after the quarantine. */
static void thirteen_devices(void **state)
{
	struct servicetest *t = *state;
	struct svc_device d;
	struct ulid ids[13];
	char name[16];

	for (unsigned i = 0; i < 13; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		ids[i] = new_device(t, NULL, name);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(create(t, &t->admin, NAME("more"), &d), SVC_FULL);
	assert_int_equal(t->c->n_devices, 13);
	assert_int_equal(delete_one(t, &t->admin, &ids[4]), 0);
	assert_int_equal(create(t, &t->admin, NAME("more"), &d), SVC_FULL);
	fake_clock_advance(&t->clock, LEASE_QUARANTINE_MS - 1);
	assert_int_equal(create(t, &t->admin, NAME("more"), &d), SVC_FULL);
	fake_clock_advance(&t->clock, 1);
	assert_int_equal(create(t, &t->admin, NAME("more"), &d), 0);
	assert_int_equal(d.address4.bytes[3], 2 + 4);
	/* The 6 failures above took neither an IPv6 address nor a slot. */
	assert_int_equal(d.address6.bytes[15], 2 + 13);
	assert_int_equal(fake_device(t->c, &d.id)->peer, 13);
	svc_device_fini(&d);
}

enum { RACERS = 24 };
struct racer {
	struct servicetest *t;
	int number, result;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	char name[16];
	struct svc_device_change c = {.set_name = true, .name = name};
	struct svc_device d;
	struct svc_error e;

	snprintf(name, sizeof(name), "racer%d", r->number);
	r->result = svc_device_create(r->t->s, &r->t->admin, &c, &d, &e);
	svc_device_fini(&d);
	return NULL;
}

static void race_for_the_last_address(void **state)
{
	struct servicetest *t = *state;
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	unsigned won = 0;

	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){t, i, -1};
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(racers[i].result == 0 || racers[i].result == SVC_FULL);
		won += racers[i].result == 0;
	}
	assert_int_equal(won, 13);
	assert_int_equal(t->c->n_devices, 13);
	for (size_t i = 0; i < t->c->n_devices; i++)
		for (size_t j = 0; j < i; j++) {
			assert_false(
				ip_addr_equal(&t->c->devices[i].addr4, &t->c->devices[j].addr4));
			assert_false(
				ip_addr_equal(&t->c->devices[i].addr6, &t->c->devices[j].addr6));
			assert_int_not_equal(t->c->devices[i].peer, t->c->devices[j].peer);
		}
}

static void wanted_addresses(void **state)
{
	struct servicetest *t = *state;
	struct svc_device_change c = NAME("a");
	struct svc_device d;
	struct ulid other = new_device(t, NULL, "other"); /* .2 */
	static const unsigned reserved[] = {0, 1, 15};

	c.set_address4 = true;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		c.address4 = v4(reserved[i]);
		assert_int_equal(create(t, &t->admin, c, &d), SVC_INVALID);
		assert_string_equal(t->e.field, "address4");
	}
	c.address4 = v4(16);
	assert_int_equal(create(t, &t->admin, c, &d), SVC_INVALID);
	c.address4 = (struct ip_addr){0};
	assert_int_equal(create(t, &t->admin, c, &d), SVC_INVALID);
	c.address4 = (struct ip_addr){IP_V6, {0xfd, 0x77, [15] = 9}};
	assert_int_equal(create(t, &t->admin, c, &d), SVC_INVALID);
	c.address4 = v4(2);
	assert_int_equal(create(t, &t->admin, c, &d), SVC_CONFLICT);
	assert_string_equal(t->e.field, "address4");
	c.address4 = v4(14);
	c.set_address6 = true;
	c.address6 = (struct ip_addr){IP_V6, {0xfd, 0x78, [15] = 9}};
	assert_int_equal(create(t, &t->admin, c, &d), SVC_INVALID);
	assert_string_equal(t->e.field, "address6");
	c.address6 = (struct ip_addr){IP_V6, {0xfd, 0x77, [15] = 2}};
	assert_int_equal(create(t, &t->admin, c, &d), SVC_CONFLICT);
	assert_string_equal(t->e.field, "address6");
	/* The failure of one gave the other back. */
	memset(&c.address6.bytes[8], 0xff, 8);
	assert_int_equal(create(t, &t->admin, c, &d), 0);
	assert_true(
		ip_addr_equal(&d.address4, &c.address4) && ip_addr_equal(&d.address6, &c.address6));
	svc_device_fini(&d);
	(void)other;
}

static void changing_an_address(void **state)
{
	struct servicetest *t = *state;
	struct ulid a = new_device(t, NULL, "a"), b = new_device(t, NULL, "b");
	struct ip_addr nine = v4(9);

	assert_int_equal(patch(t, &t->admin, &a, ADDRESS4(v4(9))), 0);
	assert_true(ip_addr_equal(&fake_device(t->c, &a)->addr4, &nine));
	assert_int_equal(patch(t, &t->admin, &a, ADDRESS4(v4(9))), 0); /* its own */
	assert_int_equal(patch(t, &t->admin, &b, ADDRESS4(v4(9))), SVC_CONFLICT);
	assert_int_equal(patch(t, &t->admin, &b, ADDRESS4(v4(2))), SVC_CONFLICT); /* quarantined */
	assert_non_null(strstr(t->e.message, "released"));
	fake_clock_advance(&t->clock, LEASE_QUARANTINE_MS);
	assert_int_equal(patch(t, &t->admin, &b, ADDRESS4(v4(2))), 0);
	assert_int_equal(patch(t, &t->admin, &b, ADDRESS4(v4(1))), SVC_INVALID);
}

static void a_user_and_his_own(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER),
			v = new_user(t, "bob", SVC_ROLE_USER);
	struct svc_actor ann = actor_of(&u);
	struct ulid own, other = new_device(t, &v.id, "bob's"), nobody = {{9}};
	struct svc_device_change c = NAME("for bob");
	struct svc_page p = {.limit = 50};
	struct svc_device d, *list;
	size_t n;
	bool more;

	assert_int_equal(try_device(t, &ann, NULL, "own", &d), 0);
	own = d.id;
	svc_device_fini(&d);
	assert_int_equal(try_device(t, &ann, &v.id, "for bob", &d), SVC_NOT_FOUND);
	assert_int_equal(try_device(t, &ann, &nobody, "for bob", &d), SVC_NOT_FOUND);
	assert_int_equal(svc_device_get(t->s, &ann, &other, &d, &t->e), SVC_NOT_FOUND);
	assert_int_equal(patch(t, &ann, &other, NAME("x")), SVC_NOT_FOUND);
	assert_int_equal(delete_one(t, &ann, &other), SVC_NOT_FOUND);
	assert_int_equal(patch(t, &ann, &own, NAME("mine")), 0);
	assert_int_equal(patch(t, &ann, &own, ENABLED(false)), 0);
	/* On again is for operators: they may have switched it off. */
	assert_int_equal(patch(t, &ann, &own, ENABLED(true)), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "enabled");
	assert_int_equal(patch(t, &t->admin, &own, ENABLED(true)), 0);
	assert_int_equal(patch(t, &ann, &own, ADDRESS4(v4(9))), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "address4");
	assert_int_equal(patch(t, &ann, &own, ADDRESS6(v4(9))), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "address6");
	assert_int_equal(patch(t, &ann, &own, EXPIRES(0)), SVC_FORBIDDEN);
	assert_string_equal(t->e.field, "expires_at");
	c.set_address4 = true;
	c.address4 = v4(9);
	assert_int_equal(create(t, &ann, c, &d), SVC_FORBIDDEN);
	assert_int_equal(svc_device_list(t->s, &ann, NULL, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	svc_devices_free(list, n);
	assert_int_equal(svc_device_list(t->s, &ann, &v.id, &p, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 0);
	svc_devices_free(list, n);
	assert_int_equal(delete_one(t, &ann, &own), 0);
	assert_int_equal(delete_one(t, &ann, &own), SVC_NOT_FOUND);
}

static void roles(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER),
			o = new_user(t, "op", SVC_ROLE_OPERATOR),
			x = new_user(t, "aud", SVC_ROLE_AUDITOR);
	struct svc_actor operator= actor_of(&o), auditor = actor_of(&x);
	struct ulid id = new_device(t, &u.id, "ann's"), nobody = {{9}};
	struct svc_device d;

	assert_int_equal(svc_device_get(t->s, &auditor, &id, &d, &t->e), 0);
	svc_device_fini(&d);
	assert_int_equal(patch(t, &auditor, &id, NAME("x")), SVC_FORBIDDEN);
	assert_int_equal(delete_one(t, &auditor, &id), SVC_FORBIDDEN);
	assert_int_equal(try_device(t, &auditor, NULL, "own", &d), SVC_FORBIDDEN);
	assert_int_equal(patch(t, &operator, & id, ADDRESS4(v4(9))), 0);
	assert_int_equal(patch(t, &operator, & id, EXPIRES(0)), 0);
	assert_int_equal(try_device(t, &operator, & nobody, "x", &d), SVC_INVALID);
	assert_string_equal(t->e.field, "user_id");
	assert_int_equal(patch(t, &operator, & id,
				 (struct svc_device_change){.set_user_id = true, .user_id = o.id}),
		SVC_INVALID);
	assert_int_equal(patch(t, &operator, & id,
				 (struct svc_device_change){.set_user_id = true, .user_id = u.id}),
		0);
	assert_int_equal(delete_one(t, &operator, & id), 0);
}

static void disabling_and_expiry(void **state)
{
	struct servicetest *t = *state;
	struct ulid id = new_device(t, NULL, "a");
	int64_t now = t->clock.real_us / 1000;

	(void)new_credential(t, &id);
	assert_int_equal(patch(t, &t->admin, &id, ENABLED(false)), 0);
	assert_int_equal(t->c->n_devices + t->c->n_credentials, 0);
	(void)new_credential(t, &id); /* for later */
	assert_int_equal(t->c->n_credentials, 0);
	assert_int_equal(patch(t, &t->admin, &id, NAME("b")), 0);
	assert_int_equal(t->c->n_devices, 0);
	assert_int_equal(patch(t, &t->admin, &id, ENABLED(true)), 0);
	assert_int_equal(t->c->n_devices, 1);
	assert_int_equal(t->c->n_credentials, 2);
	assert_int_equal(patch(t, &t->admin, &id, EXPIRES(now + 60000)), 0);
	assert_true(t->c->devices[0].expires_at == now + 60000);
	assert_int_equal(t->c->n_credentials, 2);
	assert_int_equal(patch(t, &t->admin, &id, EXPIRES(now)), 0);
	assert_int_equal(t->c->n_devices, 0);
	assert_int_equal(patch(t, &t->admin, &id, ENABLED(true)), 0);
	assert_int_equal(t->c->n_devices, 0);
	assert_int_equal(patch(t, &t->admin, &id, EXPIRES(0)), 0);
	assert_int_equal(t->c->n_devices, 1);
	assert_int_equal(t->c->n_credentials, 2);
	assert_int_equal(patch(t, &t->admin, &id, EXPIRES(-1)), SVC_INVALID);
	assert_int_equal(patch(t, &t->admin, &id, EXPIRES(INT64_MAX)), SVC_INVALID);
	/* It ran out by itself, the coordinator dropped it; a later date brings it back whole. */
	assert_int_equal(patch(t, &t->admin, &id, EXPIRES(now + 1000)), 0);
	fake_clock_advance(&t->clock, 1000);
	fake_drop_device(t->c, &id);
	assert_int_equal(patch(t, &t->admin, &id, EXPIRES(now + 99000)), 0);
	assert_int_equal(t->c->n_devices, 1);
	assert_int_equal(t->c->n_credentials, 2);
}

static void silent_dataplane(void **state)
{
	struct servicetest *t = *state;
	struct ulid id = new_device(t, NULL, "a");
	struct svc_device d;

	t->c->revoke_result = -ETIMEDOUT;
	assert_int_equal(patch(t, &t->admin, &id, ENABLED(false)), SVC_UNAVAILABLE);
	assert_int_equal(svc_device_get(t->s, &t->admin, &id, &d, &t->e), 0);
	assert_false(d.enabled);
	svc_device_fini(&d);
	/* Asked again, it is tried again. */
	t->c->revoke_result = 0;
	assert_int_equal(patch(t, &t->admin, &id, ENABLED(false)), 0);
	assert_int_equal(t->c->revokes, 2);
	t->c->revoke_result = -ETIMEDOUT;
	assert_int_equal(delete_one(t, &t->admin, &id), SVC_UNAVAILABLE);
	assert_int_equal(t->c->forgets, 1);
	assert_int_equal(svc_device_get(t->s, &t->admin, &id, &d, &t->e), SVC_NOT_FOUND);
}

static void revisions(void **state)
{
	struct servicetest *t = *state;
	struct svc_device_change c = NAME("b");
	struct ulid id = new_device(t, NULL, "a"), cred;
	struct svc_device d;

	assert_int_equal(
		svc_device_patch(t->s, &t->admin, &id, 2, &c, &d, &t->e), SVC_PRECONDITION);
	assert_int_equal(svc_device_patch(t->s, &t->admin, &id, 1, &c, &d, &t->e), 0);
	assert_int_equal(d.revision, 2);
	svc_device_fini(&d);
	cred = new_credential(t, &id);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &cred, &t->e), 0);
	assert_int_equal(svc_device_get(t->s, &t->admin, &id, &d, &t->e), 0);
	assert_int_equal(d.revision, 4);
	svc_device_fini(&d);
	assert_int_equal(svc_device_delete(t->s, &t->admin, &id, 3, &t->e), SVC_PRECONDITION);
	assert_int_equal(svc_device_delete(t->s, &t->admin, &id, 4, &t->e), 0);
}

static void live_counters(void **state)
{
	struct servicetest *t = *state;
	struct ulid id = new_device(t, NULL, "a");
	struct device_state st = {.device_id = id, .rx_bytes = 70, .last_handshake_at = 5};
	struct svc_device d;

	t->c->live = (struct device_live){.connected = true, .rx_bytes = 80};
	service_on_device_state(t->s, &st, 1);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_int_equal(svc_device_get(t->s, &t->admin, &id, &d, &t->e), 0);
	assert_true(d.live.connected && d.live.rx_bytes == 80);
	svc_device_fini(&d);
	/* One that the coordinator does not know shows what it had. */
	assert_int_equal(patch(t, &t->admin, &id, ENABLED(false)), 0);
	assert_int_equal(svc_device_get(t->s, &t->admin, &id, &d, &t->e), 0);
	assert_true(!d.live.connected && d.live.rx_bytes == 70 && d.live.last_handshake_at == 5);
	svc_device_fini(&d);
}

static void pages(void **state)
{
	struct servicetest *t = *state;
	struct svc_page p = {.limit = 5};
	struct svc_device *list;
	size_t n, total = 0;
	bool more = true;
	char name[8];

	for (unsigned i = 0; i < 12; i++) {
		struct ulid id;

		snprintf(name, sizeof(name), "d%u", i);
		id = new_device(t, NULL, name);
		(void)new_credential(t, &id);
	}
	while (more) {
		assert_int_equal(
			svc_device_list(t->s, &t->admin, NULL, &p, &list, &n, &more, &t->e), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(list[i].n_credentials, 1);
		total += n;
		p.after = list[n - 1].id;
		svc_devices_free(list, n);
	}
	assert_int_equal(total, 12);
	p.limit = 501;
	assert_int_equal(
		svc_device_list(t->s, &t->admin, NULL, &p, &list, &n, &more, &t->e), SVC_INVALID);
}

/* Who helps himself does not get the pool, also not by deleting what he has; operators may. */
static void a_user_does_not_take_them_all(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u, other;
	struct svc_actor ann, bea;
	struct svc_device d;
	struct ulid last;
	char name[16];

	service_close(t);
	t->conf.net4.len = 16;
	service_open(t);
	u = new_user(t, "ann", SVC_ROLE_USER);
	other = new_user(t, "bea", SVC_ROLE_USER);
	ann = actor_of(&u);
	bea = actor_of(&other);
	for (unsigned i = 0; i < SVC_OWN_DEVICES; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(create(t, &ann, NAME(name), &d), 0);
		last = d.id;
		svc_device_fini(&d);
	}
	assert_int_equal(create(t, &ann, NAME("more"), &d), SVC_FULL);
	assert_non_null(strstr(t->e.message, "at most 64"));
	assert_int_equal(delete_one(t, &ann, &last), 0);
	fake_clock_advance(&t->clock, LEASE_QUARANTINE_MS - 1);
	assert_int_equal(create(t, &ann, NAME("more"), &d), SVC_FULL);
	assert_int_equal(create(t, &bea, NAME("more"), &d), 0);
	svc_device_fini(&d);
	assert_int_equal(try_device(t, &t->admin, &u.id, "given", &d), 0);
	last = d.id;
	svc_device_fini(&d);
	assert_int_equal(delete_one(t, &t->admin, &last), 0);
	fake_clock_advance(&t->clock, LEASE_QUARANTINE_MS);
	assert_int_equal(create(t, &ann, NAME("more"), &d), 0);
	svc_device_fini(&d);
	assert_int_equal(create(t, &ann, NAME("and more"), &d), SVC_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_a_new_one_is),
		T(thirteen_devices),
		T(race_for_the_last_address),
		T(wanted_addresses),
		T(changing_an_address),
		T(a_user_and_his_own),
		T(roles),
		T(disabling_and_expiry),
		T(silent_dataplane),
		T(revisions),
		T(live_counters),
		T(pages),
		T(a_user_does_not_take_them_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
