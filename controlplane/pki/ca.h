/*
 * The authority of the OpenVPN side: an EC P-256 CA, the server's certificate, the certificates of
 * devices, and the tls-crypt-v2 server key. Made at first start, sealed with the master key, kept
 * in the database's meta table. Which certificate may connect is the database's business, not a
 * date's or a name's: a certificate lives as long as its credential.
 */
#ifndef PKI_CA_H
#define PKI_CA_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/ulid.h"

struct ca;
struct db;
struct keystore;

enum {
	CA_SERIAL = 16,		/* bytes of a serial number; the first bit is 0, the second 1 */
	CA_V2_SERVER_KEY = 128, /* tls-crypt-v2 server key */
	CA_SERVER_DAYS = 365,
	CA_PEM_MAX = 4096,
};

/* Any thread may use a ca once it is open. Returns: 0, -EBADMSG (wrong master key), -EIO, -ENOMEM,
 * -errno of the database. */
int ca_open(
	struct ca **out, struct keystore *ks, struct db *db, const struct clock *clock) must_check;
void ca_free(struct ca *ca); /* wipes */

/* Borrowed: the CA certificate as PEM; the server certificate's common name, which profiles pin and
 * which stays when the certificate is renewed; the key that wraps clients' tls-crypt-v2 keys. */
const char *ca_cert_pem(const struct ca *ca);
const char *ca_server_name(const struct ca *ca);
const uint8_t *ca_v2_server_key(const struct ca *ca);

struct ca_issued {
	char cert_pem[CA_PEM_MAX];
	char key_pem[CA_PEM_MAX]; /* "" when the client has its own; secret, wiped by the caller */
	uint8_t serial[CA_SERIAL];
	uint8_t cert_sha256[32]; /* of the DER form */
};
void ca_issued_wipe(struct ca_issued *i);
/* A client certificate for a credential: CN is "crd_<ulid>", digitalSignature, clientAuth. csr_pem:
 * the client's own request, whose public key alone is taken (EC P-256, P-384, Ed25519 or RSA of
 * 2048 to 4096 bits, with a right signature); NULL: a new P-256 key. not_after_ms: Unix ms, 0: 10
 * years. Returns: 0, -EINVAL (csr: *why is a constant text), -EIO. */
int ca_issue(struct ca *ca, const struct ulid *credential, const char *csr_pem,
	int64_t not_after_ms, struct ca_issued *out, const char **why) must_check;

/* A context for the control channel with a new server certificate (P-256, serverAuth): TLS 1.2 or
 * 1.3, ECDHE only, client certificates required and verified against this CA alone with purpose and
 * key usage, no tickets, no resumption, no renegotiation, no compression. Returns owned.
 * Returns: 0, -EIO, -ENOMEM. */
int ca_server_tls(struct ca *ca, SSL_CTX **out) must_check;

#endif
