/* Authorities, certificates and TLS contexts for tests: EC P-256, made on the spot. */
#ifndef SIM_OVPN_PKI_H
#define SIM_OVPN_PKI_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

struct test_ca {
	EVP_PKEY *key;
	X509 *cert;
};

enum test_cert {
	TEST_CERT_SERVER,
	TEST_CERT_CLIENT,
	TEST_CERT_NO_USAGE, /* no extended key usage but the server's */
	TEST_CERT_EXPIRED,
	TEST_CERT_FUTURE,
	TEST_CERT_LONG_SERIAL, /* 17 bytes */
};

/* All of them abort when OpenSSL fails. */
void test_ca_init(struct test_ca *ca, const char *name);
void test_ca_fini(struct test_ca *ca);
/* serial: 16 bytes, big-endian; NULL: 1. */
X509 *test_cert_new(
	const struct test_ca *ca, enum test_cert kind, const uint8_t *serial, EVP_PKEY **key);
/* As ca_server_tls makes it: trusts client_ca, version 0x0303 or 0x0304, 0: both. */
SSL_CTX *test_server_tls(
	const struct test_ca *ca, const struct test_ca *client_ca, uint16_t version);
/* ca signs the client, server_ca is trusted. */
SSL_CTX *test_client_tls(const struct test_ca *ca, const struct test_ca *server_ca,
	enum test_cert kind, const uint8_t *serial);
SSL_CTX *test_client_tls_without_cert(const struct test_ca *server_ca);
/* What the engine will call it. */
void test_fingerprint(SSL_CTX *ctx, uint8_t sha256[32]);

#endif
