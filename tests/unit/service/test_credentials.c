#include <errno.h>

#include "base/codec.h"
#include "tests/unit/service/servicetest.h"

static int issue(struct servicetest *t, const struct svc_actor *a, const struct ulid *device,
	struct svc_credential_request r, struct svc_issued *out)
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_credential_issue(t->s, a, device, &r, out, &t->e);
}

#define WG ((struct svc_credential_request){.protocol = DIR_WIREGUARD})

/* The value of "name = " in a profile. */
static void value_of(const char *profile, const char *name, char *out, size_t cap)
{
	const char *at = strstr(profile, name);

	assert_non_null(at);
	at += strlen(name);
	assert_int_equal(strncmp(at, " = ", 3), 0);
	snprintf(out, cap, "%.*s", (int)strcspn(at + 3, "\n"), at + 3);
}

static void server_made_key(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "Ann's laptop");
	struct svc_issued out;
	char text[64];
	uint8_t key[32];
	struct dir_credential_conf *in;

	assert_int_equal(issue(t, &t->admin, &device, WG, &out), 0);
	assert_string_equal(out.profile_filename, "Ann-s-laptop.conf");
	assert_int_equal(strlen(out.credential.fingerprint), 64);
	assert_int_equal(t->c->n_credentials, 1);
	in = &t->c->credentials[0];
	assert_true(ulid_equal(&in->id, &out.credential.id));
	value_of(out.profile, "PresharedKey", text, sizeof(text));
	assert_int_equal(base64_decode(text, key, 32), 0);
	assert_memory_equal(key, in->wg_psk, 32);
	value_of(out.profile, "PublicKey", text, sizeof(text));
	assert_int_equal(base64_decode(text, key, 32), 0);
	assert_memory_equal(key, keystore_wg_public(t->ks), 32);
	value_of(out.profile, "PrivateKey", text, sizeof(text));
	assert_int_equal(base64_decode(text, key, 32), 0);
	assert_false(secret_is_zero(key, 32));
	assert_non_null(strstr(out.profile, "Address = 10.77.0.2/32, fd77::2/128\n"));
	assert_non_null(strstr(out.profile, "Endpoint = vpn.example.org:51820\n"));
	secret_wipe(key, 32);
}

static void clients_own_key(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a"), other = new_device(t, NULL, "b");
	uint8_t private_key[32], public_key[32];
	struct svc_credential_request r = WG;
	struct svc_issued out, again;

	assert_int_equal(keystore_wg_keypair(private_key, public_key), 0);
	r.wg_public = public_key;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), 0);
	assert_null(strstr(out.profile, "\nPrivateKey"));
	assert_memory_equal(t->c->credentials[0].wg_public, public_key, 32);
	/* In use, here and on another device; free again when it is revoked. */
	assert_int_equal(issue(t, &t->admin, &device, r, &again), SVC_CONFLICT);
	assert_string_equal(t->e.field, "public_key");
	assert_int_equal(again.profile[0], 0);
	assert_int_equal(issue(t, &t->admin, &other, r, &again), SVC_CONFLICT);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &out.credential.id, &t->e), 0);
	assert_int_equal(issue(t, &t->admin, &other, r, &again), 0);
	assert_string_equal(again.credential.fingerprint, out.credential.fingerprint);
}

static void bad_requests(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a"), nothing = {{9}};
	int64_t now = t->clock.real_us / 1000;
	uint8_t zero[32] = {0}, one[32] = {1}, order8[32], twin[32];
	struct svc_credential_request r = WG;
	struct svc_issued out;

	assert_int_equal(
		hex_decode("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
			order8, 32),
		0);
	r.wg_public = zero;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	assert_string_equal(t->e.field, "public_key");
	r.wg_public = one;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	r.wg_public = order8;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	r.wg_public = keystore_wg_public(t->ks);
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	memcpy(twin, r.wg_public, sizeof(twin));
	twin[31] |= 0x80;
	r.wg_public = twin;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	r = WG;
	r.csr_pem = "";
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	assert_string_equal(t->e.field, "csr");
	r.csr_pem = NULL;
	r.protocol = 3;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	assert_string_equal(t->e.field, "protocol");
	r.protocol = 0;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	r = WG;
	r.expires_at = now;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	assert_string_equal(t->e.field, "expires_at");
	r.expires_at = -5;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), SVC_INVALID);
	assert_int_equal(issue(t, &t->admin, &nothing, WG, &out), SVC_NOT_FOUND);
	assert_int_equal(t->c->credential_puts, 0);
	r.expires_at = now + 1;
	assert_int_equal(issue(t, &t->admin, &device, r, &out), 0);
	assert_true(t->c->credentials[0].expires_at == now + 1);
}

static void roles(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER),
			v = new_user(t, "bob", SVC_ROLE_USER),
			x = new_user(t, "aud", SVC_ROLE_AUDITOR);
	struct svc_actor ann = actor_of(&u), bob = actor_of(&v), auditor = actor_of(&x);
	struct ulid device = new_device(t, &u.id, "ann's");
	struct svc_issued out, other;

	assert_int_equal(issue(t, &bob, &device, WG, &other), SVC_NOT_FOUND);
	assert_int_equal(issue(t, &auditor, &device, WG, &other), SVC_FORBIDDEN);
	assert_int_equal(other.profile[0], 0);
	assert_int_equal(issue(t, &ann, &device, WG, &out), 0);
	assert_int_equal(
		svc_credential_revoke(t->s, &bob, &out.credential.id, &t->e), SVC_NOT_FOUND);
	assert_int_equal(
		svc_credential_revoke(t->s, &auditor, &out.credential.id, &t->e), SVC_FORBIDDEN);
	assert_int_equal(t->c->n_credentials, 1);
	assert_int_equal(svc_credential_revoke(t->s, &ann, &out.credential.id, &t->e), 0);
	assert_int_equal(t->c->n_credentials, 0);
}

static void revoking(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a"), id = new_credential(t, &device),
		    nothing = {{9}};
	struct svc_device_change toggle = {.set_enabled = true};
	struct svc_device d;

	t->c->revoke_result = -ETIMEDOUT;
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &id, &t->e), SVC_UNAVAILABLE);
	/* Whoever is not sure asks again. */
	t->c->revoke_result = 0;
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &id, &t->e), 0);
	assert_int_equal(t->c->revokes, 2);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &nothing, &t->e), SVC_NOT_FOUND);
	/* Off and on again does not bring it back. */
	assert_int_equal(svc_device_patch(t->s, &t->admin, &device, 0, &toggle, &d, &t->e), 0);
	svc_device_fini(&d);
	toggle.enabled = true;
	assert_int_equal(svc_device_patch(t->s, &t->admin, &device, 0, &toggle, &d, &t->e), 0);
	assert_int_equal(d.n_credentials, 1);
	assert_true(d.credentials[0].revoked_at > 0);
	svc_device_fini(&d);
	assert_int_equal(t->c->n_credentials, 0);
}

/* Neither the private key nor the pre-shared key stands in the file or its log. */
static void no_secret_in_the_file(void **state)
{
	struct servicetest *t = *state;
	static const char *const names[] = {"ireko.db", "ireko.db-wal"};
	struct ulid device = new_device(t, NULL, "a");
	struct svc_issued out;
	char path[128], priv[64];
	uint8_t key[32];

	assert_int_equal(issue(t, &t->admin, &device, WG, &out), 0);
	value_of(out.profile, "PrivateKey", priv, sizeof(priv));
	assert_int_equal(base64_decode(priv, key, 32), 0);
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
		assert_null(memmem(data, n, key, 32));
		assert_null(memmem(data, n, priv, 43));
		assert_null(memmem(data, n, t->c->credentials[0].wg_psk, 32));
		free(data);
	}
}

static void not_without_end(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a"), other = new_device(t, NULL, "b");
	struct ulid ids[SVC_DEVICE_CREDENTIALS];
	struct svc_issued out;
	struct svc_device d;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SVC_DEVICE_CREDENTIALS; i++)
			ids[i] = new_credential(t, &device);
		assert_int_equal(issue(t, &t->admin, &device, WG, &out), SVC_FULL);
		assert_string_equal(out.profile, "");
		(void)new_credential(t, &other);
		for (unsigned i = 0; i < SVC_DEVICE_CREDENTIALS; i++) {
			fake_clock_advance(&t->clock, 1);
			assert_int_equal(svc_credential_revoke(t->s, &t->admin, &ids[i], &t->e), 0);
		}
	}
	/* The oldest of the revoked ones are forgotten. */
	assert_int_equal(svc_device_get(t->s, &t->admin, &device, &d, &t->e), 0);
	assert_int_equal(d.n_credentials, SVC_DEVICE_REVOKED);
	for (unsigned i = 0; i < SVC_DEVICE_CREDENTIALS; i++)
		assert_int_equal(svc_credential_revoke(t->s, &t->admin, &ids[i], &t->e), 0);
	svc_device_fini(&d);
	assert_int_equal(t->c->n_credentials, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(server_made_key),
		T(clients_own_key),
		T(bad_requests),
		T(roles),
		T(revoking),
		T(no_secret_in_the_file),
		T(not_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
