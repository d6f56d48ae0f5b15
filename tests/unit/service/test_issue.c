/* OpenVPN credentials, from the request to the profile and the coordinator. */
#include <errno.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/codec.h"
#include "service/issue.h"
#include "tests/unit/service/servicetest.h"

#define OVPN ((struct svc_credential_request){.protocol = DIR_OPENVPN})

static int issue(struct servicetest *t, const struct ulid *device, struct svc_credential_request r,
	struct svc_issued *out)
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_credential_issue(t->s, &t->admin, device, &r, out, &t->e);
}

/* The text of an inline block; freed by the caller. NULL: there is none. */
static char *block_of(const char *profile, const char *name)
{
	char begin[32], end[32];
	const char *at, *to;

	snprintf(begin, sizeof(begin), "\n<%s>\n", name);
	snprintf(end, sizeof(end), "\n</%s>\n", name);
	at = strstr(profile, begin);
	if (!at)
		return NULL;
	at += strlen(begin);
	to = strstr(at, end);
	assert_non_null(to);
	assert_null(strstr(to + 1, begin)); /* only once */
	return strndup(at, (size_t)(to + 1 - at));
}

static X509 *cert_of(const char *profile)
{
	char *pem = block_of(profile, "cert");
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	assert_non_null(x);
	BIO_free(b);
	free(pem);
	return x;
}

static EVP_PKEY *key_of(const char *profile)
{
	char *pem = block_of(profile, "key");
	BIO *b;
	EVP_PKEY *key;

	if (!pem)
		return NULL;
	b = BIO_new_mem_buf(pem, -1);
	key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	assert_non_null(key);
	BIO_free(b);
	free(pem);
	return key;
}

/* Its wrapped key opens with the server's and names the credential. */
static void check_tls_crypt_v2(struct servicetest *t, const struct svc_issued *i)
{
	char *pem = block_of(i->profile, "tls-crypt-v2");
	struct ovpn_key2 key;
	struct ovpn_wkc opened;
	uint8_t wkc[OVPN_WKC_MAX];
	size_t n = 0;

	assert_non_null(pem);
	assert_int_equal(ovpn_client_key_parse(pem, &key, wkc, &n), 0);
	assert_int_equal(ovpn_wkc_open(ca_v2_server_key(t->ca), wkc, n, &opened), 0);
	assert_memory_equal(opened.key.bytes, key.bytes, OVPN_KEY2);
	assert_true(opened.has_credential);
	assert_true(ulid_equal(&opened.credential, &i->credential.id));
	free(pem);
}

/* The directory knows the certificate that the profile holds. */
static void check_published(struct servicetest *t, const struct svc_issued *i)
{
	const struct dir_credential_conf *in = fake_credential(t->c, &i->credential.id);
	static const uint8_t none[32];
	X509 *x = cert_of(i->profile);
	uint8_t sha[32], serial[16];
	char text[65];
	unsigned n;
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);

	assert_non_null(in);
	assert_int_equal(in->protocol, DIR_OPENVPN);
	assert_true(X509_digest(x, EVP_sha256(), sha, &n));
	assert_memory_equal(in->ovpn_cert, sha, 32);
	hex_encode(sha, 32, text);
	assert_string_equal(i->credential.fingerprint, text);
	assert_int_equal(BN_bn2binpad(number, serial, 16), 16);
	assert_memory_equal(in->ovpn_serial, serial, 16);
	assert_memory_equal(in->wg_public, none, 32);
	assert_memory_equal(in->wg_psk, none, 32);
	BN_free(number);
	X509_free(x);
}

static void server_made_key(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "Ann's laptop");
	struct svc_issued out;
	char name[80], id[ULID_TEXT], want[80], *ca;
	X509 *x;
	EVP_PKEY *key;

	assert_int_equal(issue(t, &device, OVPN, &out), 0);
	assert_string_equal(out.profile_filename, "Ann-s-laptop.ovpn");
	assert_int_equal(out.credential.protocol, DIR_OPENVPN);
	ca = block_of(out.profile, "ca");
	assert_string_equal(ca, ca_cert_pem(t->ca));
	free(ca);
	x = cert_of(out.profile);
	key = key_of(out.profile);
	assert_int_equal(X509_check_private_key(x, key), 1);
	assert_true(X509_NAME_get_text_by_NID(
			    X509_get_subject_name(x), NID_commonName, name, sizeof(name)) > 0);
	snprintf(want, sizeof(want), "crd_%s", ulid_format(&out.credential.id, id));
	assert_string_equal(name, want);
	X509_free(x);
	EVP_PKEY_free(key);
	snprintf(want, sizeof(want), "\nverify-x509-name %s name\n", ca_server_name(t->ca));
	assert_non_null(strstr(out.profile, want));
	assert_non_null(strstr(out.profile, "\nremote vpn.example.org 1194 udp\n"
					    "remote vpn.example.org 1194 tcp\n"));
	check_tls_crypt_v2(t, &out);
	check_published(t, &out);
}

/* ---- the client's own key ---- */

static char *pem_of(X509_REQ *req)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data = NULL, *text;
	long n;

	assert_true(PEM_write_bio_X509_REQ(b, req));
	assert_int_equal(BIO_write(b, "", 1), 1);
	n = BIO_get_mem_data(b, &data);
	text = strndup(data, (size_t)n);
	BIO_free(b);
	return text;
}

/* key is freed; *kept, when not NULL, gets it instead. */
static char *csr_of(EVP_PKEY *key, EVP_PKEY *signer, EVP_PKEY **kept)
{
	X509_REQ *req = X509_REQ_new();
	char *text;

	assert_true(X509_REQ_set_pubkey(req, key));
	assert_true(X509_REQ_sign(req, signer ? signer : key, EVP_sha256()));
	text = pem_of(req);
	X509_REQ_free(req);
	if (kept)
		*kept = key;
	else
		EVP_PKEY_free(key);
	EVP_PKEY_free(signer);
	return text;
}

static void clients_own_key(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a");
	struct svc_credential_request r = OVPN;
	struct svc_issued out, again;
	EVP_PKEY *key;
	char *csr = csr_of(EVP_RSA_gen(4096), NULL, &key); /* the longest there is */
	X509 *x;

	r.csr_pem = csr;
	assert_int_equal(issue(t, &device, r, &out), 0);
	assert_null(block_of(out.profile, "key"));
	assert_null(strstr(out.profile, "PRIVATE"));
	assert_non_null(strstr(out.profile, "\n# Your private key never left your device"));
	assert_true(strlen(out.profile) < SVC_PROFILE_MAX / 2);
	x = cert_of(out.profile);
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), key), 1);
	X509_free(x);
	check_tls_crypt_v2(t, &out);
	check_published(t, &out);
	/* The same request makes another certificate: a credential of its own. */
	assert_int_equal(issue(t, &device, r, &again), 0);
	assert_string_not_equal(again.credential.fingerprint, out.credential.fingerprint);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &out.credential.id, &t->e), 0);
	assert_null(fake_credential(t->c, &out.credential.id));
	assert_non_null(fake_credential(t->c, &again.credential.id));
	EVP_PKEY_free(key);
	free(csr);
}

static void requests_that_are_refused(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a");
	char *good = csr_of(EVP_EC_gen("P-256"), NULL, NULL), *twice, *large;
	char *bad[7];
	uint8_t public_key[32] = {9};
	struct svc_credential_request r = OVPN;
	struct svc_issued out;

	assert_true(asprintf(&twice, "%s%s", good, good) > 0);
	assert_true(asprintf(&large, "%s%8192s", good, "") > 0);
	bad[0] = csr_of(EVP_EC_gen("P-256"), EVP_EC_gen("P-256"), NULL);
	bad[1] = csr_of(EVP_RSA_gen(1024), NULL, NULL);
	bad[2] = csr_of(EVP_EC_gen("P-521"), NULL, NULL);
	bad[3] = strdup("garbage");
	bad[4] = strdup("");
	bad[5] = twice;
	bad[6] = large;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		r.csr_pem = bad[i];
		assert_int_equal(issue(t, &device, r, &out), SVC_INVALID);
		assert_string_equal(t->e.field, "csr");
		assert_true(t->e.message[0] != '\0');
		assert_string_equal(out.profile, "");
		free(bad[i]);
	}
	r.csr_pem = good;
	r.wg_public = public_key;
	assert_int_equal(issue(t, &device, r, &out), SVC_INVALID);
	assert_string_equal(t->e.field, "public_key");
	r = OVPN;
	r.expires_at = 1;
	assert_int_equal(issue(t, &device, r, &out), SVC_INVALID);
	assert_string_equal(t->e.field, "expires_at");
	assert_int_equal(t->c->credential_puts, 0);
	free(good);
}

/* ---- what is in the profile ---- */

/* No word of a user may become an option. */
static void hostile_names(void **state)
{
	static const char *const names[] = {"up /bin/sh", "</ca> script-security 2",
		"x # remote evil.example 1 udp", "$(id)", "\"; plugin /tmp/x.so", "%s%n", "../../x",
		"\xe5\x85\xa5\xe3\x82\x8c\xe5\xad\x90"};
	struct servicetest *t = *state;
	struct svc_issued out;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct ulid device = new_device(t, NULL, names[i]);

		assert_int_equal(issue(t, &device, OVPN, &out), 0);
		assert_null(strstr(out.profile, names[i]));
		assert_null(strstr(out.profile, "script"));
		assert_null(strstr(out.profile, "evil"));
		assert_null(strpbrk(out.profile_filename, " /\\$\"'`#%;<>()"));
		assert_string_equal(strrchr(out.profile_filename, '.'), ".ovpn");
	}
}

static void ports_of_the_dataplane(void **state)
{
	static const struct {
		const char *listen[4];
		const char *remotes, *endpoint;
	} cases[] = {
		{{"udp://[::]:51820", "udp://[::]:1194", "tcp://[::]:1194"},
			"remote vpn.example.org 1194 udp\nremote vpn.example.org 1194 tcp\nserver-",
			"vpn.example.org:51820\n"},
		{{"udp://0.0.0.0:4000", "udp://0.0.0.0:4001", "tcp://0.0.0.0:443"},
			"remote vpn.example.org 4000 udp\nremote vpn.example.org 443 tcp\nserver-",
			"vpn.example.org:4000\n"},
		{{"tcp://[::]:443", "tcp://[::]:1194", "udp://[::]:1194"},
			"remote vpn.example.org 1194 udp\nremote vpn.example.org 1194 tcp\nserver-",
			"vpn.example.org:1194\n"},
		{{"udp://[::]:51820"}, "tun\nremote vpn.example.org 51820 udp\nserver-",
			"vpn.example.org:51820\n"},
		{{"tcp://[::]:443"}, "tun\nremote vpn.example.org 443 tcp\nserver-",
			"vpn.example.org:51820\n"},
		{{NULL}, "tun\nremote vpn.example.org 1194 udp\nremote vpn.example.org 1194 tcp\n",
			"vpn.example.org:51820\n"},
	};
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a");
	struct svc_issued out;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(t->c->listen, cases[i].listen, sizeof(cases[i].listen));
		assert_int_equal(issue(t, &device, OVPN, &out), 0);
		if (!strstr(out.profile, cases[i].remotes))
			fail_msg("%zu: %.200s", i, out.profile);
		assert_int_equal(
			issue(t, &device,
				(struct svc_credential_request){.protocol = DIR_WIREGUARD}, &out),
			0);
		assert_non_null(strstr(out.profile, cases[i].endpoint));
	}
}

static void it_expires_with_its_certificate(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a");
	struct svc_credential_request r = OVPN;
	struct svc_issued out;
	ASN1_TIME *at;
	X509 *x;

	r.expires_at = t->clock.real_us / 1000 + 7200000;
	at = ASN1_TIME_set(NULL, r.expires_at / 1000);
	assert_int_equal(issue(t, &device, r, &out), 0);
	x = cert_of(out.profile);
	assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(x), at), 0);
	assert_true(fake_credential(t->c, &out.credential.id)->expires_at == r.expires_at);
	X509_free(x);
	ASN1_TIME_free(at);
}

/* ---- afterwards ---- */

static void off_and_on_and_after_a_restart(void **state)
{
	struct servicetest *t = *state;
	struct ulid device = new_device(t, NULL, "a"), wg = new_credential(t, &device);
	struct svc_device_change toggle = {.set_enabled = true};
	struct svc_issued out, gone;
	struct svc_device d;

	assert_int_equal(issue(t, &device, OVPN, &out), 0);
	assert_int_equal(issue(t, &device, OVPN, &gone), 0);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &gone.credential.id, &t->e), 0);
	assert_int_equal(svc_device_patch(t->s, &t->admin, &device, 0, &toggle, &d, &t->e), 0);
	svc_device_fini(&d);
	assert_int_equal(t->c->n_credentials, 0);
	toggle.enabled = true;
	assert_int_equal(svc_device_patch(t->s, &t->admin, &device, 0, &toggle, &d, &t->e), 0);
	svc_device_fini(&d);
	check_published(t, &out);
	service_close(t);
	t->c->n_devices = t->c->n_credentials = 0;
	service_open(t);
	assert_int_equal(t->c->n_credentials, 2);
	check_published(t, &out);
	assert_non_null(fake_credential(t->c, &wg));
	assert_null(fake_credential(t->c, &gone.credential.id));
	assert_int_equal(svc_device_get(t->s, &t->admin, &device, &d, &t->e), 0);
	assert_int_equal(d.n_credentials, 3);
	/* Those of one millisecond are in no order. */
	size_t at = 0;
	while (at < 2 && !ulid_equal(&d.credentials[at].id, &out.credential.id))
		at++;
	assert_int_equal(d.credentials[at].protocol, DIR_OPENVPN);
	assert_string_equal(d.credentials[at].fingerprint, out.credential.fingerprint);
	svc_device_fini(&d);
}

/* Neither key stands in the file or its log, as text or as bytes. */
static void no_secret_in_the_file(void **state)
{
	struct servicetest *t = *state;
	static const char *const names[] = {"ireko.db", "ireko.db-wal"};
	struct ulid device = new_device(t, NULL, "a");
	struct svc_issued out;
	struct ovpn_key2 v2;
	uint8_t wkc[OVPN_WKC_MAX], scalar[32];
	char *pem, *v2_pem;
	EVP_PKEY *key;
	BIGNUM *number = NULL;
	size_t n = 0;

	assert_int_equal(issue(t, &device, OVPN, &out), 0);
	pem = block_of(out.profile, "key");
	v2_pem = block_of(out.profile, "tls-crypt-v2");
	assert_int_equal(ovpn_client_key_parse(v2_pem, &v2, wkc, &n), 0);
	key = key_of(out.profile);
	assert_true(EVP_PKEY_get_bn_param(key, "priv", &number));
	assert_int_equal(BN_bn2binpad(number, scalar, 32), 32);
	for (size_t i = 0; i < 2; i++) {
		char *data = malloc(1 << 22), path[128];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", t->dir, names[i]);
		f = fopen(path, "re");
		assert_non_null(f);
		n = fread(data, 1, 1 << 22, f);
		fclose(f);
		assert_true(n > 0);
		assert_null(memmem(data, n, scalar, 32));
		assert_null(memmem(data, n, v2.bytes, 32));
		assert_null(memmem(data, n, strchr(pem, '\n') + 1, 40));
		assert_null(memmem(data, n, strchr(v2_pem, '\n') + 1, 40));
		assert_null(memmem(data, n, ca_v2_server_key(t->ca), 32));
		assert_null(memmem(data, n, "PRIVATE KEY", 11));
		free(data);
	}
	BN_clear_free(number);
	EVP_PKEY_free(key);
	free(pem);
	free(v2_pem);
}

static void a_wipe_leaves_nothing(void **state)
{
	struct issue *i = malloc(sizeof(*i));

	(void)state;
	memset(i, 0x5a, sizeof(*i));
	issue_wipe(i);
	assert_true(secret_is_zero(i, sizeof(*i)));
	free(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(server_made_key),
		T(clients_own_key),
		T(requests_that_are_refused),
		T(hostile_names),
		T(ports_of_the_dataplane),
		T(it_expires_with_its_certificate),
		T(off_and_on_and_after_a_restart),
		T(no_secret_in_the_file),
		cmocka_unit_test(a_wipe_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
