#include "pki/x509.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/secret.h"
#include "db/meta_store.h"
#include "pki/keystore.h"

enum { DER_MAX = 2048 };

int x509_serial(uint8_t out[X509_SERIAL])
{
	if (secret_random(out, X509_SERIAL) < 0)
		return -EIO;
	out[0] = (out[0] & 0x3f) | 0x40; /* never shorter, so that its bytes are its name */
	return 0;
}

static int add_serial(X509 *x, const uint8_t serial[X509_SERIAL])
{
	BIGNUM *n = BN_bin2bn(serial, X509_SERIAL, NULL);
	int ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok ? 0 : -EIO;
}

static int add_extensions(X509 *x, X509 *issuer, const struct x509_extension *list, size_t n)
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

X509 *x509_sign(const struct x509_leaf *leaf, const struct x509_authority *by)
{
	X509 *x = X509_new();
	if (!x)
		return NULL;
	X509_NAME *subject = X509_get_subject_name(x);
	/* An authority that has no certificate yet signs its own. */
	X509 *issuer = by->cert ? by->cert : x;
	int ok = X509_set_version(x, X509_VERSION_3) && add_serial(x, leaf->serial) == 0 &&
		 ASN1_TIME_set(X509_getm_notBefore(x), leaf->from_s) &&
		 ASN1_TIME_set(X509_getm_notAfter(x), leaf->until_s) &&
		 X509_NAME_add_entry_by_txt(
			 subject, "CN", MBSTRING_UTF8, (const uint8_t *)leaf->name, -1, -1, 0) &&
		 X509_set_issuer_name(x, X509_get_subject_name(issuer)) &&
		 X509_set_pubkey(x, leaf->key) &&
		 add_extensions(x, issuer, leaf->extensions, leaf->n_extensions) == 0 &&
		 X509_sign(x, by->key, EVP_sha256());
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

BIO *x509_cert_pem(X509 *const *certs, size_t n)
{
	BIO *b = BIO_new(BIO_s_mem());
	int ok = b != NULL;
	for (size_t i = 0; i < n && ok; i++)
		ok = PEM_write_bio_X509(b, certs[i]);
	if (ok)
		return b;
	BIO_free(b);
	return NULL;
}

BIO *x509_key_pem(EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_secmem());
	if (b && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL))
		return b;
	BIO_free(b);
	return NULL;
}

/* ---- authorities ---- */

static const struct x509_extension authority_extensions[] = {
	{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	{NID_key_usage, "critical,keyCertSign,cRLSign"},
	{NID_subject_key_identifier, "hash"},
};

void x509_authority_fini(struct x509_authority *a)
{
	EVP_PKEY_free(a->key);
	X509_free(a->cert);
	*a = (struct x509_authority){0};
}

/* As it is kept: key and certificate in DER, one behind the other, sealed. */
static int store(const struct x509_authority *a, const struct x509_authority_conf *conf,
	struct keystore *ks, struct db *db)
{
	uint8_t plain[2 * DER_MAX], blob[sizeof(plain) + KEYSTORE_SEAL_OVERHEAD], *p = plain;
	const int key_len = i2d_PrivateKey(a->key, NULL), cert_len = i2d_X509(a->cert, NULL);
	if (key_len <= 0 || cert_len <= 0 || key_len > DER_MAX || cert_len > DER_MAX)
		return -EIO;
	i2d_PrivateKey(a->key, &p);
	i2d_X509(a->cert, &p);
	const size_t n = (size_t)(key_len + cert_len);
	int r = keystore_seal(ks, conf->label, plain, n, blob);
	if (r == 0)
		r = meta_set_blob(db, conf->meta_key, blob, n + KEYSTORE_SEAL_OVERHEAD);
	secret_wipe(plain, sizeof(plain));
	return r;
}

static int load(struct x509_authority *a, const struct x509_authority_conf *conf,
	struct keystore *ks, struct db *db)
{
	uint8_t plain[2 * DER_MAX], blob[sizeof(plain) + KEYSTORE_SEAL_OVERHEAD];
	size_t n;
	int r = meta_get_blob(db, conf->meta_key, blob, sizeof(blob), &n);
	if (r < 0)
		return r;
	if (n <= KEYSTORE_SEAL_OVERHEAD)
		return -EBADMSG;
	r = keystore_open_blob(ks, conf->label, blob, n, plain);
	if (r < 0)
		return r;
	const uint8_t *p = plain, *end = plain + n - KEYSTORE_SEAL_OVERHEAD;
	a->key = d2i_AutoPrivateKey(NULL, &p, end - p);
	a->cert = a->key ? d2i_X509(NULL, &p, end - p) : NULL;
	secret_wipe(plain, sizeof(plain));
	return a->cert && p == end && X509_check_private_key(a->cert, a->key) ? 0 : -EBADMSG;
}

static int make(struct x509_authority *a, const struct x509_authority_conf *conf, int64_t now_s)
{
	struct x509_leaf self = {
		.key = EVP_EC_gen("P-256"),
		.name = conf->name,
		.from_s = now_s - X509_DAY_S, /* for clocks that are behind ours */
		.until_s = now_s + conf->days * X509_DAY_S,
		.extensions = authority_extensions,
		.n_extensions = ARRAY_SIZE(authority_extensions),
	};
	a->key = self.key;
	if (a->key && x509_serial(self.serial) == 0)
		a->cert = x509_sign(&self, a);
	return a->cert ? 0 : -EIO;
}

int x509_authority_open(struct x509_authority *a, const struct x509_authority_conf *conf,
	struct keystore *ks, struct db *db, int64_t now_s)
{
	*a = (struct x509_authority){0};
	int r = load(a, conf, ks, db);
	if (r != -ENOENT)
		return r;
	r = make(a, conf, now_s);
	return r ? r : store(a, conf, ks, db);
}
