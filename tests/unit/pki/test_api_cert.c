/* The certificate for HTTPS: names, usages, chain; one authority for all starts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/secret.h"
#include "db/db.h"
#include "pki/api_cert.h"
#include "pki/keystore.h"

struct rig {
	char dir[64], key[96];
	struct keystore *ks;
	struct db *db;
	struct clock clock;
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	char why[128];
	strcpy(r->dir, "/tmp/ireko-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	char dir[sizeof(r->dir)];
	memcpy(dir, r->dir, sizeof(dir));
	snprintf(r->key, sizeof(r->key), "%.60s/master.key", dir);
	r->clock = clock_system();
	assert_int_equal(keystore_open(&r->ks, r->key, true), 0);
	assert_int_equal(db_open(&r->db, r->dir, why), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	static const char *const files[] = {"ireko.db", "ireko.db-wal", "ireko.db-shm",
		"ireko.lock", "master.key", "other.key"};
	db_close(r->db);
	keystore_free(r->ks);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
		unlink(path);
	}
	rmdir(r->dir);
	free(r);
	return 0;
}

struct made {
	X509 *leaf, *ca;
	EVP_PKEY *key;
};

static struct made make(struct rig *r, const char *host)
{
	struct made m = {0};
	char *cert, *key;
	assert_int_equal(api_cert_make(r->ks, r->db, host, &r->clock, &cert, &key), 0);
	BIO *b = BIO_new_mem_buf(cert, -1);
	m.leaf = PEM_read_bio_X509(b, NULL, NULL, NULL);
	m.ca = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	b = BIO_new_mem_buf(key, -1);
	m.key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	BIO_free(b);
	secret_wipe(key, strlen(key));
	free(key);
	free(cert);
	assert_non_null(m.leaf);
	assert_non_null(m.ca);
	assert_non_null(m.key);
	return m;
}

static void made_free(struct made *m)
{
	X509_free(m->leaf);
	X509_free(m->ca);
	EVP_PKEY_free(m->key);
}

static void a_client_would_take_it(void **state)
{
	struct made m = make(*state, "vpn.example.net");
	assert_int_equal(X509_check_private_key(m.leaf, m.key), 1);
	assert_int_equal(X509_check_host(m.leaf, "vpn.example.net", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(m.leaf, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(m.leaf, "127.0.0.1", 0), 1);
	assert_int_not_equal(X509_check_host(m.leaf, "other.example.net", 0, 0, NULL), 1);

	X509_STORE *trust = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	assert_int_equal(X509_STORE_add_cert(trust, m.ca), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, trust, m.leaf, NULL), 1);
	assert_int_equal(X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER), 1);
	assert_int_equal(X509_verify_cert(ctx), 1);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(trust);

	assert_int_equal(X509_check_ca(m.leaf), 0);
	assert_int_equal(X509_check_ca(m.ca), 1);
	assert_int_equal(X509_check_purpose(m.leaf, X509_PURPOSE_SSL_CLIENT, 0), 0);
	made_free(&m);
}

static void an_address_is_a_name_too(void **state)
{
	struct made four = make(*state, "203.0.113.5"), six = make(*state, "2001:db8::5");
	assert_int_equal(X509_check_ip_asc(four.leaf, "203.0.113.5", 0), 1);
	assert_int_equal(X509_check_ip_asc(six.leaf, "2001:db8::5", 0), 1);
	made_free(&four);
	made_free(&six);
}

static void the_authority_stays(void **state)
{
	struct made a = make(*state, "a.example"), b = make(*state, "a.example");
	assert_int_equal(X509_cmp(a.ca, b.ca), 0);
	assert_int_not_equal(X509_cmp(a.leaf, b.leaf), 0);
	assert_int_equal(EVP_PKEY_eq(a.key, b.key), 0);
	made_free(&a);
	made_free(&b);
}

static void another_master_key_does_not_open_it(void **state)
{
	struct rig *r = *state;
	struct made m = make(r, "a.example");
	char other[96], dir[sizeof(r->dir)], *cert = NULL, *key = NULL;
	struct keystore *ks;
	memcpy(dir, r->dir, sizeof(dir));
	snprintf(other, sizeof(other), "%.60s/other.key", dir);
	assert_int_equal(keystore_open(&ks, other, true), 0);
	assert_int_equal(api_cert_make(ks, r->db, "a.example", &r->clock, &cert, &key), -EBADMSG);
	assert_null(cert);
	assert_null(key);
	keystore_free(ks);
	made_free(&m);
}

/* Only the authority, whatever stood there. */
static void the_authority_as_a_file(void **state)
{
	struct rig *r = *state;
	struct made m = make(r, "a.example");
	char path[96], dir[sizeof(r->dir)], *cert, *key;
	memcpy(dir, r->dir, sizeof(dir));
	snprintf(path, sizeof(path), "%.60s/api-ca.pem", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("what was there", f);
	fclose(f);
	assert_int_equal(api_cert_make(r->ks, r->db, "a.example", &r->clock, &cert, &key), 0);
	assert_int_equal(api_cert_publish(cert, path), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	X509 *ca = PEM_read_X509(f, NULL, NULL, NULL);
	assert_non_null(ca);
	assert_int_equal(X509_cmp(ca, m.ca), 0);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
	X509_free(ca);

	assert_int_equal(api_cert_publish("nothing of the kind", path), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(api_cert_publish(cert, "/nowhere/api-ca.pem"), -ENOENT);
	secret_wipe(key, strlen(key));
	free(key);
	free(cert);
	made_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_client_would_take_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_is_a_name_too, setup, teardown),
		cmocka_unit_test_setup_teardown(the_authority_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(
			another_master_key_does_not_open_it, setup, teardown),
		cmocka_unit_test_setup_teardown(the_authority_as_a_file, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
