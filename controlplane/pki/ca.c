/*
 * The authority and what it signs. What was made at first start stays: the CA, the server's name,
 * the tls-crypt-v2 server key. The server's key pair is made again with every context and never
 * written down, so a stolen database has none, and its certificate is renewed by making a context.
 *
 * Nothing in a ca changes after ca_open, so threads share it without a lock.
 */
#include "pki/ca.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/secret.h"
#include "db/meta_store.h"
#include "pki/csr.h"
#include "pki/keystore.h"
#include "pki/x509.h"

enum { CA_DAYS = 20 * 365, CLIENT_DAYS = 10 * 365, NAME_MAX_LEN = 64 };
#define V2_LABEL "ovpn-v2-server-key"

struct ca {
	struct clock clock;
	struct x509_authority own;
	char cert_pem[CA_PEM_MAX];
	char server_name[NAME_MAX_LEN + 1];
	uint8_t v2_server_key[CA_V2_SERVER_KEY];
};

/* Copies the text of a memory BIO and frees it. Returns: 0, -EIO (none, or it does not fit). */
static int take_text(BIO *b, char out[CA_PEM_MAX])
{
	char *data = NULL;
	long n = b ? BIO_get_mem_data(b, &data) : 0;
	bool fits = n > 0 && n < CA_PEM_MAX;

	if (fits) {
		memcpy(out, data, (size_t)n);
		out[n] = '\0';
	}
	BIO_free(b);
	return fits ? 0 : -EIO;
}

/* ---- what is made once ---- */

/* prefix and n random bytes in hex. */
static int random_name(const char *prefix, size_t n, char *out, size_t cap)
{
	uint8_t raw[16];
	char hex[HEX_TEXT(sizeof(raw))];

	if (secret_random(raw, n) < 0)
		return -EIO;
	hex_encode(raw, n, hex);
	snprintf(out, cap, "%s%s", prefix, hex);
	return 0;
}

static int open_authority(struct ca *ca, struct keystore *ks, struct db *db)
{
	char name[NAME_MAX_LEN + 1];
	const struct x509_authority_conf conf = {
		.meta_key = "ovpn_ca", .label = "ovpn-ca", .name = name, .days = CA_DAYS};
	X509 *cert;
	int err = random_name("Ireko CA ", 4, name, sizeof(name));

	if (!err)
		err = x509_authority_open(
			&ca->own, &conf, ks, db, clock_real_ms(&ca->clock) / 1000);
	cert = ca->own.cert;
	return err ? err : take_text(x509_cert_pem(&cert, 1), ca->cert_pem);
}

static int open_server_name(struct ca *ca, struct db *db)
{
	const size_t cap = sizeof(ca->server_name);
	int err = meta_get_text(db, "ovpn_server_name", ca->server_name, cap);

	if (err != -ENOENT)
		return err;
	err = random_name("ireko-", 8, ca->server_name, cap);
	return err ? err : meta_set_text(db, "ovpn_server_name", ca->server_name);
}

static int open_v2_server_key(struct ca *ca, struct keystore *ks, struct db *db)
{
	uint8_t blob[CA_V2_SERVER_KEY + KEYSTORE_SEAL_OVERHEAD];
	size_t n;
	int err = meta_get_blob(db, "ovpn_v2_key", blob, sizeof(blob), &n);

	if (!err && n != sizeof(blob))
		return -EBADMSG;
	if (!err)
		return keystore_open_blob(ks, V2_LABEL, blob, n, ca->v2_server_key);
	if (err != -ENOENT)
		return err;
	err = secret_random(ca->v2_server_key, CA_V2_SERVER_KEY);
	if (!err)
		err = keystore_seal(ks, V2_LABEL, ca->v2_server_key, CA_V2_SERVER_KEY, blob);
	return err ? err : meta_set_blob(db, "ovpn_v2_key", blob, sizeof(blob));
}

int ca_open(struct ca **out, struct keystore *ks, struct db *db, const struct clock *clock)
{
	struct ca *ca = calloc(1, sizeof(*ca));
	int err;

	*out = NULL;
	if (!ca)
		return -ENOMEM;
	ca->clock = *clock;
	ERR_set_mark();
	err = open_authority(ca, ks, db);
	ERR_pop_to_mark();
	if (!err)
		err = open_server_name(ca, db);
	if (!err)
		err = open_v2_server_key(ca, ks, db);
	if (err) {
		ca_free(ca);
		return err;
	}
	*out = ca;
	return 0;
}

void ca_free(struct ca *ca)
{
	if (!ca)
		return;
	x509_authority_fini(&ca->own);
	secret_wipe(ca, sizeof(*ca));
	free(ca);
}

const char *ca_cert_pem(const struct ca *ca)
{
	return ca->cert_pem;
}

const char *ca_server_name(const struct ca *ca)
{
	return ca->server_name;
}

const uint8_t *ca_v2_server_key(const struct ca *ca)
{
	return ca->v2_server_key;
}

/* ---- clients ---- */

static const struct x509_extension client_extensions[] = {
	{NID_basic_constraints, "critical,CA:FALSE"},
	{NID_key_usage, "critical,digitalSignature"},
	{NID_ext_key_usage, "clientAuth"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid"},
};

void ca_issued_wipe(struct ca_issued *i)
{
	secret_wipe(i, sizeof(*i));
}

static int sign_client(struct ca *ca, struct x509_leaf *leaf, struct ca_issued *out)
{
	unsigned n = 0;
	X509 *cert;
	int err;

	if (x509_serial(leaf->serial) < 0)
		return -EIO;
	cert = x509_sign(leaf, &ca->own);
	if (!cert)
		return -EIO;
	memcpy(out->serial, leaf->serial, sizeof(out->serial));
	err = take_text(x509_cert_pem(&cert, 1), out->cert_pem);
	if (!err && (!X509_digest(cert, EVP_sha256(), out->cert_sha256, &n) ||
			    n != sizeof(out->cert_sha256)))
		err = -EIO;
	X509_free(cert);
	return err;
}

static int issue(struct ca *ca, const struct ulid *credential, const char *csr_pem,
	int64_t not_after_ms, struct ca_issued *out, const char **why)
{
	const int64_t now_s = clock_real_ms(&ca->clock) / 1000;
	char id[ULID_TEXT], name[48];
	struct x509_leaf leaf = {
		.name = name,
		.from_s = now_s - X509_DAY_S,
		.until_s = not_after_ms ? not_after_ms / 1000 : now_s + CLIENT_DAYS * X509_DAY_S,
		.extensions = client_extensions,
		.n_extensions = ARRAY_SIZE(client_extensions),
	};
	int err = 0;

	snprintf(name, sizeof(name), "crd_%s", ulid_format(credential, id));
	if (csr_pem)
		err = csr_key(csr_pem, &leaf.key, why);
	else
		leaf.key = EVP_EC_gen("P-256");
	if (!err && !leaf.key)
		err = -EIO;
	if (!err)
		err = sign_client(ca, &leaf, out);
	if (!err && !csr_pem)
		err = take_text(x509_key_pem(leaf.key), out->key_pem);
	EVP_PKEY_free(leaf.key);
	return err;
}

int ca_issue(struct ca *ca, const struct ulid *credential, const char *csr_pem,
	int64_t not_after_ms, struct ca_issued *out, const char **why)
{
	int err;

	memset(out, 0, sizeof(*out));
	*why = NULL;
	/* What OpenSSL has to say about somebody's request is nobody else's error. */
	ERR_set_mark();
	err = issue(ca, credential, csr_pem, not_after_ms, out, why);
	ERR_pop_to_mark();
	if (err)
		ca_issued_wipe(out);
	return err;
}

/* ---- the control channel ---- */

static X509 *server_cert(struct ca *ca, EVP_PKEY *key)
{
	static const struct x509_extension extensions[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature,keyAgreement"},
		{NID_ext_key_usage, "serverAuth"},
		{NID_subject_key_identifier, "hash"},
		{NID_authority_key_identifier, "keyid"},
	};
	const int64_t now_s = clock_real_ms(&ca->clock) / 1000;
	struct x509_leaf leaf = {
		.key = key,
		.name = ca->server_name,
		.from_s = now_s - X509_DAY_S,
		.until_s = now_s + CA_SERVER_DAYS * X509_DAY_S,
		.extensions = extensions,
		.n_extensions = ARRAY_SIZE(extensions),
	};

	return x509_serial(leaf.serial) == 0 ? x509_sign(&leaf, &ca->own) : NULL;
}

/* OpenSSL's own check of the purpose takes a certificate that says nothing about its use. */
static int verify_usage(int ok, X509_STORE_CTX *ctx)
{
	X509 *x = X509_STORE_CTX_get_current_cert(ctx);
	uint32_t has;

	if (!ok || X509_STORE_CTX_get_error_depth(ctx) > 0)
		return ok;
	has = x ? X509_get_extension_flags(x) : EXFLAG_INVALID;
	if (!(has & EXFLAG_INVALID) && has & EXFLAG_KUSAGE && has & EXFLAG_XKUSAGE &&
		X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE &&
		X509_get_extended_key_usage(x) & XKU_SSL_CLIENT)
		return 1;
	X509_STORE_CTX_set_error(ctx, X509_V_ERR_INVALID_PURPOSE);
	return 0;
}

static bool set_protocol(SSL_CTX *ctx)
{
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* Clients have the CA; sending it along costs them a packet. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
	return SSL_CTX_set_num_tickets(ctx, 0) &&
	       SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
	       SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
	       SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") &&
	       SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384");
}

/* Who may come is a matter of the directory; this is only what a certificate must be. */
static bool set_trust(SSL_CTX *ctx, X509 *authority)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_usage);
	SSL_CTX_set_verify_depth(ctx, 1);
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority) &&
	       SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) &&
	       SSL_CTX_add_client_CA(ctx, authority);
}

static bool set_identity(struct ca *ca, SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? server_cert(ca, key) : NULL;
	bool ok = cert && SSL_CTX_use_certificate(ctx, cert) && SSL_CTX_use_PrivateKey(ctx, key);

	X509_free(cert);
	EVP_PKEY_free(key);
	return ok;
}

int ca_server_tls(struct ca *ca, SSL_CTX **out)
{
	SSL_CTX *ctx;
	bool ok;

	*out = NULL;
	ERR_set_mark();
	ctx = SSL_CTX_new(TLS_server_method());
	ok = ctx && set_protocol(ctx) && set_trust(ctx, ca->own.cert) && set_identity(ca, ctx);
	ERR_pop_to_mark();
	if (!ok) {
		SSL_CTX_free(ctx);
		return -EIO;
	}
	*out = ctx;
	return 0;
}
