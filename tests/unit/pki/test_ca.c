/* The authority: made once; what it signs; who gets through the handshake and who does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/codec.h"
#include "base/secret.h"
#include "db/db.h"
#include "db/meta_store.h"
#include "pki/ca.h"
#include "pki/keystore.h"
#include "pki/x509.h"

struct rig {
	char dir[64];
	struct keystore *ks;
	struct db *db;
	struct clock clock;
	struct ca *ca;
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	char why[128], key[96];

	snprintf(r->dir, sizeof(r->dir), "/tmp/ireko-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(key, sizeof(key), "%s/master.key", r->dir);
	r->clock = clock_system();
	assert_int_equal(keystore_open(&r->ks, key, true), 0);
	assert_int_equal(db_open(&r->db, r->dir, why), 0);
	assert_int_equal(ca_open(&r->ca, r->ks, r->db, &r->clock), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	static const char *const files[] = {"ireko.db", "ireko.db-wal", "ireko.db-shm",
		"ireko.lock", "master.key", "other.key"};

	ca_free(r->ca);
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

static X509 *cert_of(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	BIO_free(b);
	assert_non_null(x);
	return x;
}

static EVP_PKEY *key_of(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

	BIO_free(b);
	assert_non_null(key);
	return key;
}

static void name_of(const X509 *x, char out[80])
{
	assert_true(
		X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, 80) > 0);
}

static struct ulid a_credential(void)
{
	return (struct ulid){{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
}

static struct ca_issued issued(struct rig *r)
{
	const struct ulid id = a_credential();
	struct ca_issued i;
	const char *why;

	assert_int_equal(ca_issue(r->ca, &id, NULL, 0, &i, &why), 0);
	assert_null(why);
	return i;
}

/* ---- at rest ---- */

static void it_is_made_once(void **state)
{
	struct rig *r = *state;
	struct ca *again;

	assert_int_equal(ca_open(&again, r->ks, r->db, &r->clock), 0);
	assert_string_equal(ca_cert_pem(again), ca_cert_pem(r->ca));
	assert_string_equal(ca_server_name(again), ca_server_name(r->ca));
	assert_memory_equal(ca_v2_server_key(again), ca_v2_server_key(r->ca), CA_V2_SERVER_KEY);
	assert_false(secret_is_zero(ca_v2_server_key(again), CA_V2_SERVER_KEY));
	ca_free(again);
}

static void two_houses_have_nothing_in_common(void **state)
{
	struct rig *r = *state, *other;
	X509 *a, *b;
	char name_a[80], name_b[80];

	setup((void **)&other);
	a = cert_of(ca_cert_pem(r->ca));
	b = cert_of(ca_cert_pem(other->ca));
	name_of(a, name_a);
	name_of(b, name_b);
	assert_int_equal(strncmp(name_a, "Ireko CA ", 9), 0);
	assert_string_not_equal(name_a, name_b);
	assert_string_not_equal(ca_server_name(r->ca), ca_server_name(other->ca));
	assert_memory_not_equal(
		ca_v2_server_key(r->ca), ca_v2_server_key(other->ca), CA_V2_SERVER_KEY);
	X509_free(a);
	X509_free(b);
	teardown((void **)&other);
}

static void another_master_key_does_not_open_it(void **state)
{
	struct rig *r = *state;
	struct keystore *ks;
	struct ca *ca = r->ca;
	char path[96];

	snprintf(path, sizeof(path), "%s/other.key", r->dir);
	assert_int_equal(keystore_open(&ks, path, true), 0);
	assert_int_equal(ca_open(&ca, ks, r->db, &r->clock), -EBADMSG);
	assert_null(ca);
	keystore_free(ks);
}

static void what_was_changed_is_refused(void **state)
{
	static const char *const keys[] = {"ovpn_ca", "ovpn_v2_key"};
	struct rig *r = *state;
	uint8_t blob[4096];
	struct ca *ca;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(meta_get_blob(r->db, keys[i], blob, sizeof(blob), &n), 0);
		blob[n / 2] ^= 1;
		assert_int_equal(meta_set_blob(r->db, keys[i], blob, n), 0);
		assert_int_equal(ca_open(&ca, r->ks, r->db, &r->clock), -EBADMSG);
		blob[n / 2] ^= 1;
		assert_int_equal(meta_set_blob(r->db, keys[i], blob, n - 1), 0);
		assert_int_equal(ca_open(&ca, r->ks, r->db, &r->clock), -EBADMSG);
		assert_int_equal(meta_set_blob(r->db, keys[i], blob, 1), 0);
		assert_int_equal(ca_open(&ca, r->ks, r->db, &r->clock), -EBADMSG);
		assert_int_equal(meta_set_blob(r->db, keys[i], blob, n), 0);
	}
	/* One in the place of the other. */
	assert_int_equal(meta_set_blob(r->db, "ovpn_ca", blob, n), 0);
	assert_int_equal(ca_open(&ca, r->ks, r->db, &r->clock), -EBADMSG);
}

static void the_authority_itself(void **state)
{
	struct rig *r = *state;
	X509 *x = cert_of(ca_cert_pem(r->ca));
	int days = 0, seconds = 0;

	assert_int_equal(X509_check_ca(x), 1);
	assert_int_equal(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_int_equal(X509_self_signed(x, 1), 1);
	assert_true(ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)));
	assert_in_range(days, 20 * 365 - 1, 20 * 365);
	assert_int_equal(X509_cmp_current_time(X509_get0_notBefore(x)), -1);
	assert_string_equal(OBJ_nid2sn(X509_get_signature_nid(x)), "ecdsa-with-SHA256");
	X509_free(x);
}

/* ---- clients' certificates ---- */

static void assert_chain(struct rig *r, X509 *leaf, int purpose, int result)
{
	X509 *authority = cert_of(ca_cert_pem(r->ca));
	X509_STORE *trust = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	assert_int_equal(X509_STORE_add_cert(trust, authority), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, trust, leaf, NULL), 1);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
	assert_int_equal(X509_STORE_CTX_set_purpose(ctx, purpose), 1);
	assert_int_equal(X509_verify_cert(ctx) == 1, result);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(trust);
	X509_free(authority);
}

static void a_clients_certificate(void **state)
{
	struct rig *r = *state;
	struct ca_issued i = issued(r);
	X509 *x = cert_of(i.cert_pem);
	EVP_PKEY *key = key_of(i.key_pem);
	uint8_t serial[CA_SERIAL], sha[32];
	unsigned n;
	char name[80];
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);

	name_of(x, name);
	assert_string_equal(name, "crd_01081G81860W40J2GB1G6GW3RG");
	assert_int_equal(X509_check_private_key(x, key), 1);
	assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
	assert_int_equal(X509_check_ca(x), 0);
	assert_int_equal(BN_bn2binpad(number, serial, CA_SERIAL), CA_SERIAL);
	assert_int_equal(BN_num_bytes(number), CA_SERIAL);
	assert_memory_equal(serial, i.serial, CA_SERIAL);
	assert_int_equal(i.serial[0] & 0xc0, 0x40);
	assert_true(X509_digest(x, EVP_sha256(), sha, &n));
	assert_memory_equal(sha, i.cert_sha256, 32);
	assert_chain(r, x, X509_PURPOSE_SSL_CLIENT, true);
	assert_chain(r, x, X509_PURPOSE_SSL_SERVER, false);
	BN_free(number);
	X509_free(x);
	EVP_PKEY_free(key);
	ca_issued_wipe(&i);
	assert_true(secret_is_zero(&i, sizeof(i)));
}

static void no_two_are_alike(void **state)
{
	struct ca_issued a = issued(*state), b = issued(*state);

	assert_memory_not_equal(a.serial, b.serial, CA_SERIAL);
	assert_memory_not_equal(a.cert_sha256, b.cert_sha256, 32);
	assert_string_not_equal(a.key_pem, b.key_pem);
	ca_issued_wipe(&a);
	ca_issued_wipe(&b);
}

static void it_ends_with_the_credential(void **state)
{
	struct rig *r = *state;
	const struct ulid id = a_credential();
	const int64_t ends[] = {clock_real_ms(&r->clock) + 86400000, 253402300799999};
	struct ca_issued i;
	const char *why;
	int days = 0, seconds = 0;
	X509 *x;

	for (size_t k = 0; k < ARRAY_SIZE(ends); k++) {
		ASN1_TIME *at = ASN1_TIME_set(NULL, ends[k] / 1000);

		assert_int_equal(ca_issue(r->ca, &id, NULL, ends[k], &i, &why), 0);
		x = cert_of(i.cert_pem);
		assert_int_equal(ASN1_TIME_compare(at, X509_get0_notAfter(x)), 0);
		X509_free(x);
		ASN1_TIME_free(at);
	}
	i = issued(r);
	x = cert_of(i.cert_pem);
	assert_true(ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)));
	assert_in_range(days, 3649, 3650);
	X509_free(x);
	ca_issued_wipe(&i);
}

static char *csr_of(EVP_PKEY *key)
{
	X509_REQ *req = X509_REQ_new();
	BIO *b = BIO_new(BIO_s_mem());
	char *data = NULL, *pem;
	long n;

	assert_true(X509_REQ_set_pubkey(req, key));
	assert_true(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_ASC,
		(const uint8_t *)"admin", -1, -1, 0));
	assert_true(X509_REQ_sign(req, key, EVP_sha256()));
	assert_true(PEM_write_bio_X509_REQ(b, req));
	assert_int_equal(BIO_write(b, "", 1), 1);
	n = BIO_get_mem_data(b, &data);
	pem = strndup(data, (size_t)n);
	BIO_free(b);
	X509_REQ_free(req);
	return pem;
}

static void a_request_gives_its_key_and_no_more(void **state)
{
	struct rig *r = *state;
	const struct ulid id = a_credential();
	EVP_PKEY *keys[] = {EVP_EC_gen("P-384"), EVP_RSA_gen(4096)};
	struct ca_issued i;
	const char *why;
	char name[80];

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		char *pem = csr_of(keys[k]);
		X509 *x;

		assert_int_equal(ca_issue(r->ca, &id, pem, 0, &i, &why), 0);
		assert_string_equal(i.key_pem, "");
		x = cert_of(i.cert_pem);
		assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), keys[k]), 1);
		name_of(x, name);
		assert_int_equal(strncmp(name, "crd_", 4), 0);
		assert_int_equal(X509_get_ext_count(x), 5);
		assert_chain(r, x, X509_PURPOSE_SSL_CLIENT, true);
		X509_free(x);
		free(pem);
		EVP_PKEY_free(keys[k]);
	}
	assert_int_equal(ca_issue(r->ca, &id, "garbage", 0, &i, &why), -EINVAL);
	assert_non_null(why);
	assert_true(secret_is_zero(&i, sizeof(i)));
	assert_int_equal(ERR_peek_error(), 0);
}

/* ---- the handshake ---- */

struct client {
	X509 *cert;
	EVP_PKEY *key;
	int version;	     /* the highest it speaks; 0: any */
	const char *ciphers; /* of TLS 1.2 */
};

struct outcome {
	bool done;
	int version;
	long verify;
	char server_name[80];
	EVP_PKEY *server_key;
};

static SSL_CTX *client_ctx(const struct client *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_security_level(ctx, 0);
	if (c->cert) {
		assert_true(SSL_CTX_use_certificate(ctx, c->cert));
		assert_true(SSL_CTX_use_PrivateKey(ctx, c->key));
	}
	if (c->version)
		assert_true(SSL_CTX_set_max_proto_version(ctx, c->version));
	assert_true(SSL_CTX_set_cipher_list(ctx, c->ciphers ? c->ciphers : "ALL"));
	return ctx;
}

/* One step of a side; true when its handshake is complete. */
static bool step(SSL *ssl)
{
	char byte;

	if (SSL_is_init_finished(ssl))
		(void)SSL_read(ssl, &byte, 1); /* what comes after it, a ticket or an alert */
	else
		(void)SSL_do_handshake(ssl);
	return SSL_is_init_finished(ssl);
}

static struct outcome shake(SSL_CTX *server_ctx, const struct client *c)
{
	SSL_CTX *ctx = client_ctx(c);
	SSL *server = SSL_new(server_ctx), *client = SSL_new(ctx);
	BIO *a, *b;
	struct outcome o = {.done = false};
	X509 *x;

	assert_true(BIO_new_bio_pair(&a, 0, &b, 0));
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 12; i++)
		o.done = step(client) & step(server);
	o.version = SSL_version(server);
	o.verify = SSL_get_verify_result(server);
	x = SSL_get0_peer_certificate(client);
	if (x) {
		name_of(x, o.server_name);
		o.server_key = X509_get_pubkey(x);
	}
	if (o.done) {
		assert_int_equal(X509_cmp(SSL_get0_peer_certificate(server), c->cert), 0);
		assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client)), 1);
		assert_false(SSL_SESSION_has_ticket(SSL_get0_session(client)));
		assert_int_equal(SSL_CTX_sess_number(server_ctx), 0);
	}
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return o;
}

static bool gets_in(struct rig *r, const struct client *c, long verify)
{
	SSL_CTX *ctx;
	struct outcome o;

	assert_int_equal(ca_server_tls(r->ca, &ctx), 0);
	o = shake(ctx, c);
	EVP_PKEY_free(o.server_key);
	SSL_CTX_free(ctx);
	assert_int_equal(o.verify, verify);
	return o.done;
}

static struct client client_of(const struct ca_issued *i)
{
	return (struct client){.cert = cert_of(i->cert_pem), .key = key_of(i->key_pem)};
}

static void client_fini(struct client *c)
{
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
}

static void both_versions(void **state)
{
	struct rig *r = *state;
	struct ca_issued i = issued(r);
	struct client c = client_of(&i);
	SSL_CTX *first, *second;
	struct outcome a, b;
	X509 *cert;

	assert_int_equal(ca_server_tls(r->ca, &first), 0);
	assert_int_equal(ca_server_tls(r->ca, &second), 0);
	a = shake(first, &c);
	c.version = TLS1_2_VERSION;
	b = shake(second, &c);
	assert_true(a.done && b.done);
	assert_int_equal(a.version, TLS1_3_VERSION);
	assert_int_equal(b.version, TLS1_2_VERSION);
	/* The name stays, the key does not. */
	assert_string_equal(a.server_name, ca_server_name(r->ca));
	assert_string_equal(b.server_name, ca_server_name(r->ca));
	assert_int_equal(EVP_PKEY_eq(a.server_key, b.server_key), 0);
	cert = SSL_CTX_get0_certificate(first);
	assert_chain(r, cert, X509_PURPOSE_SSL_SERVER, true);
	assert_chain(r, cert, X509_PURPOSE_SSL_CLIENT, false);
	assert_int_equal(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT);
	EVP_PKEY_free(a.server_key);
	EVP_PKEY_free(b.server_key);
	SSL_CTX_free(first);
	SSL_CTX_free(second);
	client_fini(&c);
	ca_issued_wipe(&i);
}

static void weaker_than_asked_for(void **state)
{
	static const char *const ciphers[] = {"ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA256",
		"AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "aNULL"};
	struct rig *r = *state;
	struct ca_issued i = issued(r);
	struct client c = client_of(&i);

	c.version = TLS1_1_VERSION;
	assert_false(gets_in(r, &c, X509_V_OK));
	c.version = TLS1_2_VERSION;
	for (size_t k = 0; k < ARRAY_SIZE(ciphers); k++) {
		c.ciphers = ciphers[k];
		assert_false(gets_in(r, &c, X509_V_OK));
	}
	c.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
	assert_true(gets_in(r, &c, X509_V_OK));
	client_fini(&c);
	ca_issued_wipe(&i);
}

static void nobody_without_a_certificate(void **state)
{
	struct client c = {.cert = NULL};

	assert_false(gets_in(*state, &c, X509_V_OK));
	c.version = TLS1_2_VERSION;
	assert_false(gets_in(*state, &c, X509_V_OK));
}

static void nobody_of_another_authority(void **state)
{
	struct rig *other;
	struct ca_issued i;
	struct client c;

	setup((void **)&other);
	i = issued(other);
	c = client_of(&i);
	assert_false(gets_in(*state, &c, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY));
	client_fini(&c);
	ca_issued_wipe(&i);
	teardown((void **)&other);
}

/* Signed by our own authority, and yet not a client's. */
static struct client signed_with(struct rig *r, const struct x509_extension *list, size_t n,
	int64_t from_days, int64_t until_days)
{
	const struct x509_authority_conf conf = {
		.meta_key = "ovpn_ca", .label = "ovpn-ca", .name = "", .days = 1};
	const int64_t now_s = clock_real_ms(&r->clock) / 1000;
	struct x509_authority own;
	struct x509_leaf leaf = {
		.key = EVP_EC_gen("P-256"),
		.name = "crd_x",
		.from_s = now_s + from_days * X509_DAY_S,
		.until_s = now_s + until_days * X509_DAY_S,
		.serial = {1},
		.extensions = list,
		.n_extensions = n,
	};
	struct client c = {.key = leaf.key};

	assert_int_equal(x509_authority_open(&own, &conf, r->ks, r->db, now_s), 0);
	c.cert = x509_sign(&leaf, &own);
	assert_non_null(c.cert);
	x509_authority_fini(&own);
	return c;
}

static void usages_must_be_there(void **state)
{
	static const struct {
		struct x509_extension list[3];
		size_t n;
		bool in;
	} cases[] = {
		{{{NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "clientAuth"}}, 2, true},
		{{{NID_key_usage, "digitalSignature,keyAgreement"},
			 {NID_ext_key_usage, "serverAuth,clientAuth"}},
			2, true},
		{{{0}}, 0, false},
		{{{NID_key_usage, "digitalSignature"}}, 1, false},
		{{{NID_ext_key_usage, "clientAuth"}}, 1, false},
		{{{NID_key_usage, "keyAgreement"}, {NID_ext_key_usage, "clientAuth"}}, 2, false},
		{{{NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "serverAuth"}}, 2,
			false},
		{{{NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "emailProtection"}}, 2,
			false},
		{{{NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "anyExtendedKeyUsage"}},
			2, false},
		{{{NID_basic_constraints, "critical,CA:TRUE"},
			 {NID_key_usage, "critical,keyCertSign"}},
			2, false},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct client c = signed_with(r, cases[i].list, cases[i].n, -1, 1);

		for (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++) {
			c.version = v;
			if (gets_in(r, &c, cases[i].in ? X509_V_OK : X509_V_ERR_INVALID_PURPOSE) !=
				cases[i].in)
				fail_msg("case %zu", i);
		}
		client_fini(&c);
	}
}

static void neither_early_nor_late(void **state)
{
	static const struct x509_extension usages[] = {
		{NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "clientAuth"}};
	struct client late = signed_with(*state, usages, 2, -3, -1),
		      early = signed_with(*state, usages, 2, 1, 3);

	assert_false(gets_in(*state, &late, X509_V_ERR_CERT_HAS_EXPIRED));
	assert_false(gets_in(*state, &early, X509_V_ERR_CERT_NOT_YET_VALID));
	client_fini(&late);
	client_fini(&early);
}

/* Whoever has a client's key can't sign for others. */
static void a_client_is_no_authority(void **state)
{
	static const struct x509_extension usages[] = {
		{NID_key_usage, "digitalSignature"}, {NID_ext_key_usage, "clientAuth"}};
	struct rig *r = *state;
	struct ca_issued i = issued(r);
	struct client c = client_of(&i), child = {.key = EVP_EC_gen("P-256")};
	const struct x509_authority by = {.key = c.key, .cert = c.cert};
	const struct x509_leaf leaf = {
		.key = child.key,
		.name = "child",
		.from_s = clock_real_ms(&r->clock) / 1000 - 10,
		.until_s = clock_real_ms(&r->clock) / 1000 + 1000,
		.serial = {1},
		.extensions = usages,
		.n_extensions = 2,
	};
	SSL_CTX *ctx, *chain;
	SSL *server, *client;
	BIO *a, *b;

	child.cert = x509_sign(&leaf, &by);
	assert_int_equal(ca_server_tls(r->ca, &ctx), 0);
	chain = client_ctx(&child);
	assert_true(SSL_CTX_add1_chain_cert(chain, c.cert));
	server = SSL_new(ctx);
	client = SSL_new(chain);
	assert_true(BIO_new_bio_pair(&a, 0, &b, 0));
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int k = 0; k < 12; k++) {
		(void)step(client);
		(void)step(server);
	}
	assert_false(SSL_is_init_finished(server));
	assert_int_not_equal(SSL_get_verify_result(server), X509_V_OK);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(chain);
	SSL_CTX_free(ctx);
	client_fini(&c);
	client_fini(&child);
	ca_issued_wipe(&i);
	ERR_clear_error();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_made_once),
		T(two_houses_have_nothing_in_common),
		T(another_master_key_does_not_open_it),
		T(what_was_changed_is_refused),
		T(the_authority_itself),
		T(a_clients_certificate),
		T(no_two_are_alike),
		T(it_ends_with_the_credential),
		T(a_request_gives_its_key_and_no_more),
		T(both_versions),
		T(weaker_than_asked_for),
		T(nobody_without_a_certificate),
		T(nobody_of_another_authority),
		T(usages_must_be_there),
		T(neither_early_nor_late),
		T(a_client_is_no_authority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
