#include "pki/api_cert.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/secret.h"
#include "db/meta_store.h"
#include "pki/keystore.h"

/* The leaf is made anew at every start only, so it must outlast the longest run; clients refuse
 * more than 825 days. */
enum { CA_DAYS = 3650, LEAF_DAYS = 800, DER_MAX = 2048, DAY_S = 24 * 3600 };

struct extension {
	int nid;
	const char *value;
};

static int add_serial(X509 *x)
{
	uint8_t bytes[16];
	if (secret_random(bytes, sizeof(bytes)) < 0)
		return -EIO;
	bytes[0] &= 0x7f; /* positive, RFC 5280 4.1.2.2 */
	BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	int ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok ? 0 : -EIO;
}

static int add_extensions(X509 *x, X509 *issuer, const struct extension *list, size_t n)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, list[i].nid, list[i].value);
		int ok = e && X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
		if (!ok)
			return -EIO;
	}
	return 0;
}

/* A certificate for key, signed by issuer_key (its own when issuer is NULL). Returns owned, or
 * NULL. */
static X509 *certificate(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key,
	int64_t now_s, long days, const struct extension *list, size_t n)
{
	X509 *x = X509_new();
	if (!x)
		return NULL;
	X509_NAME *subject = X509_get_subject_name(x);
	/* An hour back, for clocks that are behind ours. */
	int ok = X509_set_version(x, X509_VERSION_3) && add_serial(x) == 0 &&
		 ASN1_TIME_set(X509_getm_notBefore(x), now_s - 3600) &&
		 ASN1_TIME_set(X509_getm_notAfter(x), now_s + days * DAY_S) &&
		 X509_NAME_add_entry_by_txt(
			 subject, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1, 0) &&
		 X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject) &&
		 X509_set_pubkey(x, key) && add_extensions(x, issuer ? issuer : x, list, n) == 0 &&
		 X509_sign(x, issuer_key, EVP_sha256());
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

static const struct extension ca_extensions[] = {
	{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	{NID_key_usage, "critical,keyCertSign,cRLSign"},
	{NID_subject_key_identifier, "hash"},
};

/* The CA as it is kept: key and certificate in DER, each behind its length, sealed. */
struct ca {
	EVP_PKEY *key;
	X509 *cert;
};

static void ca_free(struct ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
}

static int ca_store(struct keystore *ks, struct db *db, const struct ca *ca)
{
	uint8_t plain[2 * DER_MAX], blob[sizeof(plain) + KEYSTORE_SEAL_OVERHEAD], *p = plain;
	const int key_len = i2d_PrivateKey(ca->key, NULL), cert_len = i2d_X509(ca->cert, NULL);
	if (key_len <= 0 || cert_len <= 0 || key_len > DER_MAX || cert_len > DER_MAX)
		return -EIO;
	i2d_PrivateKey(ca->key, &p);
	i2d_X509(ca->cert, &p);
	const size_t n = (size_t)(key_len + cert_len);
	int r = keystore_seal(ks, "api-ca", plain, n, blob);
	if (r == 0)
		r = meta_set_blob(db, "api_ca", blob, n + KEYSTORE_SEAL_OVERHEAD);
	secret_wipe(plain, sizeof(plain));
	return r;
}

static int ca_load(struct keystore *ks, struct db *db, struct ca *ca)
{
	uint8_t plain[2 * DER_MAX], blob[sizeof(plain) + KEYSTORE_SEAL_OVERHEAD];
	size_t n;
	int r = meta_get_blob(db, "api_ca", blob, sizeof(blob), &n);
	if (r < 0)
		return r;
	if (n <= KEYSTORE_SEAL_OVERHEAD)
		return -EBADMSG;
	r = keystore_open_blob(ks, "api-ca", blob, n, plain);
	if (r < 0)
		return r;
	const uint8_t *p = plain, *end = plain + n - KEYSTORE_SEAL_OVERHEAD;
	ca->key = d2i_AutoPrivateKey(NULL, &p, end - p);
	ca->cert = ca->key ? d2i_X509(NULL, &p, end - p) : NULL;
	secret_wipe(plain, sizeof(plain));
	return ca->cert ? 0 : -EBADMSG;
}

static int ca_open(struct keystore *ks, struct db *db, int64_t now_s, struct ca *ca)
{
	int r = ca_load(ks, db, ca);
	if (r != -ENOENT)
		return r;
	ca->key = EVP_EC_gen("P-256");
	if (ca->key)
		ca->cert = certificate(ca->key, "Ireko API authority", NULL, ca->key, now_s,
			CA_DAYS, ca_extensions, ARRAY_SIZE(ca_extensions));
	return ca->cert ? ca_store(ks, db, ca) : -EIO;
}

/* Text of a memory BIO, owned. */
static char *bio_text(BIO *b)
{
	char *data;
	const long n = BIO_get_mem_data(b, &data);
	char *text = n > 0 ? malloc((size_t)n + 1) : NULL;
	if (!text)
		return NULL;
	memcpy(text, data, (size_t)n);
	text[n] = '\0';
	return text;
}

static int to_pem(X509 *leaf, X509 *ca, EVP_PKEY *key, char **cert_pem, char **key_pem)
{
	BIO *certs = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_secmem());
	int r = -ENOMEM;
	if (certs && secret && PEM_write_bio_X509(certs, leaf) && PEM_write_bio_X509(certs, ca) &&
		PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL)) {
		*cert_pem = bio_text(certs);
		*key_pem = bio_text(secret);
		r = *cert_pem && *key_pem ? 0 : -ENOMEM;
	}
	BIO_free(certs);
	BIO_free(secret);
	return r;
}

int api_cert_make(struct keystore *ks, struct db *db, const char *host, const struct clock *clock,
	char **cert_pem, char **key_pem)
{
	const int64_t now_s = clock_real_ms(clock) / 1000;
	struct ca ca = {0};
	struct ip_addr literal;
	char names[400];
	snprintf(names, sizeof(names), "%s:%s,DNS:localhost,IP:127.0.0.1,IP:::1",
		ip_addr_parse(&literal, host) == 0 ? "IP" : "DNS", host);
	const struct extension leaf_extensions[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature"},
		{NID_ext_key_usage, "serverAuth"},
		{NID_subject_key_identifier, "hash"},
		{NID_authority_key_identifier, "keyid"},
		{NID_subject_alt_name, names},
	};
	int r = ca_open(ks, db, now_s, &ca);
	EVP_PKEY *key = r == 0 ? EVP_EC_gen("P-256") : NULL;
	X509 *leaf = key ? certificate(key, "Ireko API", ca.cert, ca.key, now_s, LEAF_DAYS,
				   leaf_extensions, ARRAY_SIZE(leaf_extensions))
			 : NULL;
	if (r == 0)
		r = leaf ? to_pem(leaf, ca.cert, key, cert_pem, key_pem) : -EIO;
	X509_free(leaf);
	EVP_PKEY_free(key);
	ca_free(&ca);
	return r;
}
