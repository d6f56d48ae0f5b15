/* A service on a database of its own, a fake coordinator and a clock that stands still. */
#ifndef TESTS_SERVICETEST_H
#define TESTS_SERVICETEST_H

#include "db/stmt.h"
#include "base/secret.h"
#include "ovpn/wrap.h"
#include "pki/ca.h"
#include "pki/keystore.h"
#include "service/inside.h"
#include "tests/unit/db/dbtest.h"
#include "tests/unit/service/fake_coordinator.h"

struct servicetest {
	char dir[64];
	struct db *db;
	struct keystore *ks;
	struct ca *ca;
	struct coordinator *c;
	struct service *s;
	struct fake_clock clock;
	struct svc_conf conf;
	struct svc_actor admin;
	struct svc_error e;
};

static inline struct svc_actor actor_of(const struct svc_user *u)
{
	struct svc_actor a = {.user_id = u->id, .role = u->role};

	a.read_only = u->role == SVC_ROLE_AUDITOR;
	memcpy(a.user_name, u->name, sizeof(a.user_name));
	return a;
}

static inline void service_open(struct servicetest *t)
{
	char made[33], why[128], path[96];

	snprintf(path, sizeof(path), "%s/master.key", t->dir);
	assert_int_equal(db_open(&t->db, t->dir, why), 0);
	assert_int_equal(keystore_open(&t->ks, path, true), 0);
	if (!t->c) {
		uint8_t blob[KEYSTORE_WG_BLOB];

		assert_int_equal(coordinator_new(&t->c, NULL, NULL), 0);
		assert_int_equal(keystore_wg_create(t->ks, blob), 0);
	}
	assert_int_equal(ca_open(&t->ca, t->ks, t->db, &t->conf.clock), 0);
	assert_int_equal(service_new(&t->s, &t->conf, t->db, t->ks, t->ca, made), 0);
	assert_int_equal(service_attach(t->s, t->c), 0);
}

/* An admin without a password, so that no hash is computed. */
static inline void insert_first_admin(struct servicetest *t)
{
	struct user_row u = a_user(1, "admin");
	struct db_conn *tx;
	char why[128];

	assert_int_equal(db_open(&t->db, t->dir, why), 0);
	assert_int_equal(db_write(t->db, &tx), 0);
	u.role = SVC_ROLE_ADMIN;
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(db_commit(&tx), 0);
	db_close(t->db);
	t->admin =
		(struct svc_actor){.user_id = u.id, .user_name = "admin", .role = SVC_ROLE_ADMIN};
}

static inline int servicetest_setup(void **state)
{
	struct servicetest *t = calloc(1, sizeof(*t));

	dir_make(t->dir);
	t->clock = (struct fake_clock){.mono_ms = 1000000, .real_us = 1750000000000000};
	t->conf = (struct svc_conf){
		.net4 = {{IP_V4, {10, 77, 0, 0}}, 28},
		.net6 = {{IP_V6, {0xfd, 0x77}}, 64},
		.endpoint_host = "vpn.example.org",
		.wg_port = 51820,
		.ovpn_port = 1194,
		.mtu = 1420,
		.keepalive_s = 25,
		.clock = clock_fake(&t->clock),
	};
	insert_first_admin(t);
	assert_int_equal(ovpn_wrap_global_init(), 0);
	service_open(t);
	*state = t;
	return 0;
}

static inline void service_close(struct servicetest *t)
{
	service_stop(t->s);
	service_free(t->s);
	ca_free(t->ca);
	keystore_free(t->ks);
	db_close(t->db);
}

/* Behind the service's back. */
static inline void sql(struct servicetest *t, const char *literal)
{
	struct db_conn *tx;

	assert_int_equal(db_write(t->db, &tx), 0);
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, literal);

		assert_int_equal(stmt_run(&st), 0);
	}
	assert_int_equal(db_commit(&tx), 0);
}

static inline int servicetest_teardown(void **state)
{
	struct servicetest *t = *state;

	service_close(t);
	coordinator_free(t->c);
	dir_remove(t->dir);
	free(t);
	return 0;
}

static inline struct svc_user new_user(struct servicetest *t, const char *name, enum svc_role role)
{
	struct svc_user_change c = {.set_name = true, .name = name, .set_role = true, .role = role};
	struct svc_user u;

	assert_int_equal(svc_user_create(t->s, &t->admin, &c, &u, &t->e), 0);
	return u;
}

static inline int try_device(struct servicetest *t, const struct svc_actor *a,
	const struct ulid *owner, const char *name, struct svc_device *out)
{
	struct svc_device_change c = {.set_name = true, .name = name};

	if (owner) {
		c.set_user_id = true;
		c.user_id = *owner;
	}
	memset(&t->e, 0, sizeof(t->e));
	return svc_device_create(t->s, a, &c, out, &t->e);
}

static inline struct ulid new_device(
	struct servicetest *t, const struct ulid *owner, const char *name)
{
	struct svc_device d;

	assert_int_equal(try_device(t, &t->admin, owner, name, &d), 0);
	svc_device_fini(&d);
	return d.id;
}

static inline struct ulid new_credential(struct servicetest *t, const struct ulid *device)
{
	const struct svc_credential_request r = {.protocol = DIR_WIREGUARD};
	struct svc_issued out;

	assert_int_equal(svc_credential_issue(t->s, &t->admin, device, &r, &out, &t->e), 0);
	secret_wipe(out.profile, sizeof(out.profile));
	return out.credential.id;
}

#define T(f) cmocka_unit_test_setup_teardown(f, servicetest_setup, servicetest_teardown)

#endif
