/*
 * Certificates and the authorities that sign them, as far as both of ours need them: the one for
 * HTTPS and the one for OpenVPN. EC P-256 and SHA-256 throughout.
 */
#ifndef PKI_X509_H
#define PKI_X509_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct db;
struct keystore;

enum { X509_SERIAL = 16, X509_DAY_S = 24 * 3600 };

struct x509_extension {
	int nid;
	const char *value; /* as in OpenSSL's configuration files */
};

/* The key and certificate that sign others. */
struct x509_authority {
	EVP_PKEY *key;
	X509 *cert;
};

struct x509_leaf {
	EVP_PKEY *key;		     /* the subject's; its public half is taken */
	const char *name;	     /* common name */
	int64_t from_s, until_s;     /* Unix seconds */
	uint8_t serial[X509_SERIAL]; /* of x509_serial */
	const struct x509_extension *extensions;
	size_t n_extensions;
};

/* 126 random bits; the first bit is 0 (positive, RFC 5280 4.1.2.2), the second 1. Returns: 0,
 * -EIO. */
int x509_serial(uint8_t out[X509_SERIAL]) must_check;
/* A certificate by that authority. Returns owned, or NULL. */
X509 *x509_sign(const struct x509_leaf *leaf, const struct x509_authority *by);
/* As PEM in a memory BIO; the key's is in memory that is wiped. Return owned, or NULL. */
BIO *x509_cert_pem(X509 *const *certs, size_t n);
BIO *x509_key_pem(EVP_PKEY *key);

/* What is kept of an authority: where, under which label, and what it is called. */
struct x509_authority_conf {
	const char *meta_key, *label, *name;
	int64_t days;
};
/* The authority of the database, or a new one that is stored there, sealed. Whatever the result,
 * the caller ends with x509_authority_fini. Returns: 0, -EBADMSG (wrong master key), -EIO, -errno
 * of the database. */
int x509_authority_open(struct x509_authority *a, const struct x509_authority_conf *conf,
	struct keystore *ks, struct db *db, int64_t now_s) must_check;
void x509_authority_fini(struct x509_authority *a);

#endif
