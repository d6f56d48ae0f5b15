#include "tests/sim/ovpn_pki.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	need(e && X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static X509 *cert_begin(const char *name, EVP_PKEY *key, X509 *issuer, long from_s, long to_s)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	need(cert && X509_set_version(cert, 2) == 1 && X509_set_pubkey(cert, key) == 1);
	need(X509_NAME_add_entry_by_txt(
		     subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1);
	need(X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject) == 1);
	need(X509_gmtime_adj(X509_getm_notBefore(cert), from_s) &&
		X509_gmtime_adj(X509_getm_notAfter(cert), to_s));
	return cert;
}

static void set_serial(X509 *cert, const uint8_t *serial, size_t n)
{
	BIGNUM *b = serial ? BN_bin2bn(serial, (int)n, NULL) : NULL;

	if (b)
		need(BN_to_ASN1_INTEGER(b, X509_get_serialNumber(cert)) != NULL);
	else
		need(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1);
	BN_free(b);
}

void test_ca_init(struct test_ca *ca, const char *name)
{
	ca->key = EVP_EC_gen("P-256");
	need(ca->key);
	ca->cert = cert_begin(name, ca->key, NULL, -3600, 86400);
	set_serial(ca->cert, NULL, 0);
	extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE");
	extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	need(X509_sign(ca->cert, ca->key, EVP_sha256()) > 0);
}

void test_ca_fini(struct test_ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
}

X509 *test_cert_new(
	const struct test_ca *ca, enum test_cert kind, const uint8_t *serial, EVP_PKEY **key)
{
	static const uint8_t long_serial[17] = {0x7f, 1};
	const bool server = kind == TEST_CERT_SERVER || kind == TEST_CERT_NO_USAGE;
	X509 *cert;

	*key = EVP_EC_gen("P-256");
	need(*key);
	cert = cert_begin("test", *key, ca->cert, kind == TEST_CERT_FUTURE ? 3600 : -7200,
		kind == TEST_CERT_EXPIRED ? -3600 : 86400);
	if (kind == TEST_CERT_LONG_SERIAL)
		set_serial(cert, long_serial, sizeof(long_serial));
	else
		set_serial(cert, serial, 16);
	extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE");
	extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature");
	extension(cert, ca->cert, NID_ext_key_usage, server ? "serverAuth" : "clientAuth");
	need(X509_sign(cert, ca->key, EVP_sha256()) > 0);
	return cert;
}

static void use_cert(
	SSL_CTX *ctx, const struct test_ca *ca, enum test_cert kind, const uint8_t *serial)
{
	EVP_PKEY *key;
	X509 *cert = test_cert_new(ca, kind, serial, &key);

	need(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void trust(SSL_CTX *ctx, const struct test_ca *ca)
{
	need(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->cert) == 1);
}

SSL_CTX *test_server_tls(
	const struct test_ca *ca, const struct test_ca *client_ca, uint16_t version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	need(ctx);
	use_cert(ctx, ca, TEST_CERT_SERVER, NULL);
	trust(ctx, client_ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	need(SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) == 1);
	need(SSL_CTX_set_min_proto_version(ctx, version ? version : TLS1_2_VERSION) == 1);
	need(SSL_CTX_set_max_proto_version(ctx, version) == 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	need(SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1);
	SSL_CTX_set_options(
		ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	need(SSL_CTX_set_num_tickets(ctx, 0) == 1);
	return ctx;
}

SSL_CTX *test_client_tls_without_cert(const struct test_ca *server_ca)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	need(ctx);
	trust(ctx, server_ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}

SSL_CTX *test_client_tls(const struct test_ca *ca, const struct test_ca *server_ca,
	enum test_cert kind, const uint8_t *serial)
{
	SSL_CTX *ctx = test_client_tls_without_cert(server_ca);

	use_cert(ctx, ca, kind, serial);
	return ctx;
}

void test_fingerprint(SSL_CTX *ctx, uint8_t sha256[32])
{
	unsigned int n = 32;

	need(X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), sha256, &n) == 1);
}
