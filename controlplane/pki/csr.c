#include "pki/csr.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

static int refused(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* The one block of a text. Not PEM_read_bio_X509_REQ: it looks for a block wherever it is, and asks
 * the terminal for a password when the block says that it is encrypted. */
static int read_block(const char *pem, uint8_t **der, long *n, const char **why)
{
	static const char *const begins[] = {
		"-----BEGIN CERTIFICATE REQUEST-----", "-----BEGIN NEW CERTIFICATE REQUEST-----"};
	const char *at = skip_blanks(pem);
	char *name = NULL, *header = NULL, *rest = NULL;
	bool begins_right = false, whole;
	BIO *b;

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
		begins_right |= strncmp(at, begins[i], strlen(begins[i])) == 0;
	if (!begins_right)
		return refused(why, "must begin with -----BEGIN CERTIFICATE REQUEST-----");
	b = BIO_new_mem_buf(at, -1);
	if (!b)
		return -EIO;
	whole = PEM_read_bio(b, &name, &header, der, n) == 1 && !*header;
	if (whole) {
		long left = BIO_get_mem_data(b, &rest);

		whole = left == 0 || strspn(rest, " \t\r\n") == (size_t)left;
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	BIO_free(b);
	return whole ? 0 : refused(why, "must be one whole PEM block and nothing after it");
}

static bool usable_ec(const EVP_PKEY *key)
{
	char group[32];
	int explicit_params = 0;

	/* A curve by its name, not by numbers that only look like it. */
	(void)EVP_PKEY_get_int_param(
		key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_params);
	return !explicit_params && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	       (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
}

static bool usable_kind(const EVP_PKEY *key)
{
	const int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_is_a(key, "EC"))
		return usable_ec(key);
	if (EVP_PKEY_is_a(key, "RSA"))
		return bits >= 2048 && bits <= 4096;
	return EVP_PKEY_is_a(key, "ED25519");
}

static bool key_holds(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool ok = ctx && EVP_PKEY_public_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* The kind is looked at before anything is computed with the key. */
static int check(X509_REQ *req, const char **why)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);

	if (!key)
		return refused(why, "has a public key that can't be read");
	if (!usable_kind(key))
		return refused(why,
			"must have a key of EC P-256 or P-384, Ed25519, or RSA of 2048 to 4096 "
			"bits");
	if (!key_holds(key))
		return refused(why, "has a public key that is not a valid one");
	if (X509_REQ_verify(req, key) != 1)
		return refused(why, "has a wrong signature");
	return 0;
}

int csr_key(const char *pem, EVP_PKEY **key, const char **why)
{
	X509_REQ *req = NULL;
	uint8_t *der = NULL;
	const uint8_t *p;
	long n = 0;
	int err;

	*key = NULL;
	if (strnlen(pem, CSR_PEM_MAX + 1) > CSR_PEM_MAX)
		return refused(why, "is too long");
	err = read_block(pem, &der, &n, why);
	p = der;
	if (!err)
		req = d2i_X509_REQ(NULL, &p, n);
	if (!err && (!req || p != der + n))
		err = refused(why, "is not a certificate request");
	if (!err)
		err = check(req, why);
	if (!err) {
		*key = X509_REQ_get_pubkey(req);
		err = *key ? 0 : -EIO;
	}
	X509_REQ_free(req);
	OPENSSL_free(der);
	return err;
}
