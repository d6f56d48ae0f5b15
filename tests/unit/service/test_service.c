/* First start, attach after a restart, status, readiness. */
#include <errno.h>

#include "db/state_store.h"
#include "tests/unit/service/servicetest.h"

static void roles_have_names(void **state)
{
	enum svc_role r;

	(void)state;
	for (int i = SVC_ROLE_USER; i <= SVC_ROLE_ADMIN; i++) {
		assert_int_equal(svc_role_parse(svc_role_name((enum svc_role)i), &r), 0);
		assert_int_equal(r, i);
	}
	assert_int_equal(svc_role_parse("root", &r), -EINVAL);
	assert_int_equal(svc_role_parse("", &r), -EINVAL);
	assert_int_equal(svc_role_parse("Admin", &r), -EINVAL);
	assert_string_equal(svc_role_name((enum svc_role)9), "none");
}

/* An empty database: nobody is in it yet. */
static int empty_setup(void **state)
{
	struct servicetest *t;

	servicetest_setup(state);
	t = *state;
	service_close(t);
	coordinator_free(t->c);
	t->c = NULL;
	dir_remove(t->dir);
	dir_make(t->dir);
	return 0;
}

static int empty_teardown(void **state)
{
	struct servicetest *t = *state;

	dir_remove(t->dir);
	free(t);
	return 0;
}

static int start(struct servicetest *t, const char *password, char made[33])
{
	char why[128], path[96];
	uint8_t blob[KEYSTORE_WG_BLOB];

	snprintf(path, sizeof(path), "%s/master.key", t->dir);
	t->conf.admin_password = password;
	t->s = NULL;
	assert_int_equal(db_open(&t->db, t->dir, why), 0);
	assert_int_equal(keystore_open(&t->ks, path, true), 0);
	assert_int_equal(keystore_wg_create(t->ks, blob), 0);
	return service_new(&t->s, &t->conf, t->db, t->ks, NULL, made); /* signs nothing */
}

static void end(struct servicetest *t)
{
	if (t->s)
		service_stop(t->s);
	service_free(t->s);
	keystore_free(t->ks);
	db_close(t->db);
}

static int log_in(struct servicetest *t, const char *name, const char *password)
{
	struct ip_addr from = {IP_V4, {192, 0, 2, 1}};
	struct svc_login out;

	return svc_login(t->s, name, password, NULL, &from, &out, &t->e);
}

static void first_start_makes_a_password_once(void **state)
{
	struct servicetest *t = *state;
	char made[33], again[33];

	assert_int_equal(start(t, NULL, made), 0);
	assert_int_equal(strlen(made), 32);
	assert_int_equal(log_in(t, "admin", made), 0);
	end(t);
	assert_int_equal(start(t, NULL, again), 0);
	assert_string_equal(again, "");
	assert_int_equal(log_in(t, "admin", made), 0);
	end(t);
	/* A password that is given later changes nothing. */
	assert_int_equal(start(t, "another password", again), 0);
	assert_string_equal(again, "");
	assert_int_equal(log_in(t, "admin", "another password"), SVC_UNAUTHENTICATED);
	end(t);
}

struct kept {
	char text[33];
	int calls, result;
};

static int keep(void *arg, const char *password)
{
	struct kept *k = arg;

	snprintf(k->text, sizeof(k->text), "%s", password);
	k->calls++;
	return k->result;
}

static void the_made_password_is_kept_first(void **state)
{
	struct servicetest *t = *state;
	struct kept k = {.result = -ENOSPC};
	char made[33];

	t->conf.keep_password = keep;
	t->conf.keep_arg = &k;
	/* Nowhere to keep it: nobody is made, and next time is a first start again. */
	assert_int_equal(start(t, NULL, made), -ENOSPC);
	assert_string_equal(made, "");
	end(t);
	k.result = 0;
	assert_int_equal(start(t, NULL, made), 0);
	assert_int_equal(k.calls, 2);
	assert_string_equal(k.text, made);
	assert_int_equal(log_in(t, "admin", k.text), 0);
	end(t);
	assert_int_equal(start(t, NULL, made), 0);
	end(t);
	assert_int_equal(k.calls, 2);
}

static void first_start_takes_the_given_one(void **state)
{
	struct servicetest *t = *state;
	char made[33];

	assert_int_equal(start(t, "from the environment", made), 0);
	assert_string_equal(made, "");
	assert_int_equal(log_in(t, "admin", "from the environment"), 0);
	assert_null(t->s->conf.admin_password);
	end(t);
}

static void weak_or_odd_settings_are_refused(void **state)
{
	struct servicetest *t = *state;
	struct svc_conf good = t->conf;
	char made[33];

	assert_int_equal(start(t, "", made), -EINVAL);
	end(t);
	assert_int_equal(start(t, "short", made), -EINVAL);
	end(t);
	snprintf(t->conf.endpoint_host, sizeof(t->conf.endpoint_host), "host\nPostUp = x");
	assert_int_equal(start(t, NULL, made), -EINVAL);
	end(t);
	t->conf = good;
	snprintf(t->conf.dns, sizeof(t->conf.dns), "1.1.1.1\nPostUp = x");
	assert_int_equal(start(t, NULL, made), -EINVAL);
	end(t);
	t->conf = good;
	t->conf.net4.len = 31;
	assert_int_equal(start(t, NULL, made), -EINVAL);
	end(t);
	t->conf = good;
	t->conf.net6 = t->conf.net4;
	assert_int_equal(start(t, NULL, made), -EINVAL);
	end(t);
}

/* What stands in the directory after a restart is what should exist. */
static void attach_brings_everything_back(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER),
			bob = new_user(t, "bob", SVC_ROLE_USER);
	struct ulid live = new_device(t, &ann.id, "live"), off = new_device(t, &ann.id, "off"),
		    over = new_device(t, &ann.id, "over"), bobs = new_device(t, &bob.id, "live");
	struct ulid good = new_credential(t, &live), revoked = new_credential(t, &live);
	struct svc_device_change disable = {.set_enabled = true},
				 expire = {.set_expires_at = true, .expires_at = 5};
	struct svc_user_change user_off = {.set_disabled = true, .disabled = true};
	struct device_state st = {
		.device_id = off, .rx_bytes = 7, .farewell = {.len = 64, .bytes = {5, [63] = 6}}};
	struct credential_state cs = {.credential_id = good, .wg_greatest = {0x40, 1}};
	struct dir_credential_conf before;
	struct svc_device d;

	(void)new_credential(t, &off);
	(void)new_credential(t, &bobs);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &revoked, &t->e), 0);
	assert_int_equal(svc_device_patch(t->s, &t->admin, &off, 0, &disable, &d, &t->e), 0);
	svc_device_fini(&d);
	assert_int_equal(svc_device_patch(t->s, &t->admin, &over, 0, &expire, &d, &t->e), 0);
	svc_device_fini(&d);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &bob.id, 0, &user_off, &bob, &t->e), 0);
	before = *fake_credential(t->c, &good);
	service_on_device_state(t->s, &st, 1);
	service_on_credential_state(t->s, &cs, 1);
	service_close(t);
	t->c->n_devices = t->c->n_credentials = 0;
	service_open(t);
	assert_int_equal(t->c->n_devices, 1);
	assert_true(ulid_equal(&t->c->devices[0].id, &live));
	assert_int_equal(t->c->n_credentials, 1);
	assert_memory_equal(&t->c->credentials[0], &before, sizeof(before));
	assert_memory_equal(t->c->greatest[0], cs.wg_greatest, 12);
	/* Counters also of one that is off. */
	assert_int_equal(t->c->n_states, 1);
	assert_int_equal(t->c->states[0].rx_bytes, 7);
	assert_int_equal(t->c->states[0].farewell.len, 64);
	assert_memory_equal(t->c->states[0].farewell.bytes, st.farewell.bytes, 64);
}

/* A credential whose key can't be opened is left out; the others work. */
static void damaged_key_is_left_out(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "one"), good = new_credential(t, &device);
	struct credential_row row = {
		.device_id = device, .protocol = 1, .wg_public = {9}, .wg_psk_len = 61};
	struct db_conn *tx;

	assert_int_equal(ulid_new(&row.id, &t->conf.clock), 0);
	assert_int_equal(db_write(t->db, &tx), 0);
	assert_int_equal(credential_insert(tx, &row), 0);
	assert_int_equal(db_commit(&tx), 0);
	service_close(t);
	t->c->n_devices = t->c->n_credentials = 0;
	service_open(t);
	assert_int_equal(t->c->n_credentials, 1);
	assert_non_null(fake_credential(t->c, &good));
}

/* What can't be written is not ready, whoever asks first; and ready again without a restart. */
static void readiness_sees_the_storage(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER);
	char path[128], other[128], why[96];

	snprintf(path, sizeof(path), "%s/ireko.db", t->dir);
	snprintf(other, sizeof(other), "%s/other", t->dir);
	assert_int_equal(rename(path, other), 0);
	assert_false(svc_ready(t->s, why));
	assert_non_null(strstr(why, "deleted"));
	assert_int_equal(svc_user_delete(t->s, &t->admin, &ann.id, 0, &t->e), SVC_NO_SPACE);
	assert_non_null(strstr(t->e.message, "deleted or replaced"));
	assert_int_equal(rename(other, path), 0);
	assert_true(svc_ready(t->s, why));
	assert_int_equal(svc_user_delete(t->s, &t->admin, &ann.id, 0, &t->e), 0);
}

static void status_and_readiness(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER),
			eve = new_user(t, "eve", SVC_ROLE_AUDITOR);
	struct svc_actor user = actor_of(&ann), auditor = actor_of(&eve);
	struct svc_status *st = calloc(1, sizeof(*st));
	char why[96];

	assert_int_equal(svc_status(t->s, &auditor, st, &t->e), 0);
	assert_true(st->database_ok && st->schema_version >= 1 && st->dataplane.connected);
	assert_true(st->started_at == t->clock.real_us / 1000);
	assert_int_equal(svc_status(t->s, &user, st, &t->e), SVC_FORBIDDEN);
	assert_true(svc_ready(t->s, why));
	assert_string_equal(why, "");
	t->c->connected = false;
	assert_false(svc_ready(t->s, why));
	assert_string_equal(why, "the dataplane is not connected");
	t->c->connected = t->c->silent = true;
	assert_false(svc_ready(t->s, why));
	assert_string_equal(why, "the dataplane does not answer");
	t->c->connected = false; /* it has not said a word yet */
	assert_false(svc_ready(t->s, why));
	assert_string_equal(why, "the dataplane does not answer");
	free(st);
}

#define E(f) cmocka_unit_test_setup_teardown(f, empty_setup, empty_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roles_have_names),
		E(first_start_makes_a_password_once),
		E(the_made_password_is_kept_first),
		E(first_start_takes_the_given_one),
		E(weak_or_odd_settings_are_refused),
		T(attach_brings_everything_back),
		T(damaged_key_is_left_out),
		T(status_and_readiness),
		T(readiness_sees_the_storage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
