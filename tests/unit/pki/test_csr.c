/* Requests from outside: which keys, whose signature, and nothing but one block. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "pki/csr.h"

static char *text_of(BIO *b)
{
	char *data = NULL, *text;
	long n;

	assert_int_equal(BIO_write(b, "", 1), 1);
	n = BIO_get_mem_data(b, &data);
	text = strndup(data, (size_t)n);

	BIO_free(b);
	return text;
}

static X509_REQ *request(EVP_PKEY *key, const EVP_MD *md)
{
	X509_REQ *req = X509_REQ_new();

	assert_non_null(key);
	assert_true(X509_REQ_set_pubkey(req, key));
	assert_true(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_ASC,
		(const uint8_t *)"somebody else", -1, -1, 0));
	assert_true(X509_REQ_sign(req, key, md));
	return req;
}

static char *pem_of(X509_REQ *req)
{
	BIO *b = BIO_new(BIO_s_mem());

	assert_true(PEM_write_bio_X509_REQ(b, req));
	return text_of(b);
}

/* PEM of a request with that key, which is freed. */
static char *csr_of(EVP_PKEY *key, const EVP_MD *md)
{
	X509_REQ *req = request(key, md);
	char *pem = pem_of(req);

	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return pem;
}

static void taken(const char *pem)
{
	const char *why = NULL;
	EVP_PKEY *key = NULL;

	if (csr_key(pem, &key, &why))
		fail_msg("%s: %s", why, pem);
	assert_non_null(key);
	EVP_PKEY_free(key);
}

static void not_taken(const char *pem, const char *because)
{
	const char *why = NULL;
	EVP_PKEY *key = NULL;

	assert_int_equal(csr_key(pem, &key, &why), -EINVAL);
	assert_null(key);
	assert_non_null(why);
	if (!strstr(why, because))
		fail_msg("%s, not %s", why, because);
}

static void taken_and_free(char *pem)
{
	taken(pem);
	free(pem);
}

static void not_taken_and_free(char *pem, const char *because)
{
	not_taken(pem, because);
	free(pem);
}

static EVP_PKEY *key_of(const char *kind)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

static void kinds_of_keys(void **state)
{
	(void)state;
	taken_and_free(csr_of(EVP_EC_gen("P-256"), EVP_sha256()));
	taken_and_free(csr_of(EVP_EC_gen("P-384"), EVP_sha384()));
	taken_and_free(csr_of(key_of("ED25519"), NULL));
	taken_and_free(csr_of(EVP_RSA_gen(2048), EVP_sha256()));
	taken_and_free(csr_of(EVP_RSA_gen(3072), EVP_sha256()));
	not_taken_and_free(csr_of(EVP_EC_gen("P-521"), EVP_sha512()), "must have a key of");
	not_taken_and_free(csr_of(EVP_EC_gen("P-224"), EVP_sha256()), "must have a key of");
	not_taken_and_free(csr_of(EVP_EC_gen("secp256k1"), EVP_sha256()), "must have a key of");
	not_taken_and_free(csr_of(key_of("ED448"), NULL), "must have a key of");
	not_taken_and_free(csr_of(EVP_RSA_gen(1024), EVP_sha256()), "must have a key of");
	not_taken_and_free(csr_of(EVP_RSA_gen(2047), EVP_sha256()), "must have a key of");
}

/* The same curve, spelt out as numbers. */
static void a_curve_has_a_name(void **state)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 0),
		OSSL_PARAM_construct_utf8_string(
			OSSL_PKEY_PARAM_EC_ENCODING, (char *)OSSL_PKEY_EC_ENCODING_EXPLICIT, 0),
		OSSL_PARAM_construct_end(),
	};

	(void)state;
	assert_true(EVP_PKEY_keygen_init(ctx) > 0);
	assert_true(EVP_PKEY_CTX_set_params(ctx, params));
	assert_true(EVP_PKEY_generate(ctx, &key) > 0);
	EVP_PKEY_CTX_free(ctx);
	not_taken_and_free(csr_of(key, EVP_sha256()), "must have a key of");
}

static void every_flipped_bit(void **state)
{
	EVP_PKEY *made = EVP_EC_gen("P-256");
	X509_REQ *req = request(made, EVP_sha256());
	uint8_t *der = NULL;
	int n = i2d_X509_REQ(req, &der);
	char *pem;

	(void)state;
	assert_true(n > 0);
	EVP_PKEY_free(made);
	X509_REQ_free(req);
	for (int i = 0; i < n; i++) {
		BIO *b = BIO_new(BIO_s_mem());
		const char *why = NULL;
		EVP_PKEY *key = NULL;

		der[i] ^= (uint8_t)(1 << i % 8);
		assert_true(PEM_write_bio(b, "CERTIFICATE REQUEST", "", der, n));
		pem = text_of(b);
		assert_int_equal(csr_key(pem, &key, &why), -EINVAL);
		assert_non_null(why);
		assert_null(key);
		free(pem);
		der[i] ^= (uint8_t)(1 << i % 8);
	}
	OPENSSL_free(der);
}

static void signed_by_another_key(void **state)
{
	EVP_PKEY *mine = EVP_EC_gen("P-256"), *theirs = EVP_EC_gen("P-256");
	X509_REQ *req = request(mine, EVP_sha256());

	(void)state;
	assert_true(X509_REQ_set_pubkey(req, theirs));
	assert_true(X509_REQ_sign(req, mine, EVP_sha256()));
	not_taken_and_free(pem_of(req), "wrong signature");
	X509_REQ_free(req);
	EVP_PKEY_free(mine);
	EVP_PKEY_free(theirs);
}

static void one_block_and_nothing_else(void **state)
{
	char *pem = csr_of(EVP_EC_gen("P-256"), EVP_sha256());
	static const char begin[] = "-----BEGIN CERTIFICATE REQUEST-----\n";
	const size_t n = strlen(pem);
	char text[4096];

	(void)state;
	snprintf(text, sizeof(text), "\r\n %s \n\t\n", pem);
	taken(text);
	snprintf(text, sizeof(text), "%s%s", pem, pem);
	not_taken(text, "one whole PEM block");
	snprintf(text, sizeof(text), "%sx", pem);
	not_taken(text, "one whole PEM block");
	snprintf(text, sizeof(text), "Certificate Request:\n%s", pem);
	not_taken(text, "must begin with");
	/* A password must not be asked for. */
	snprintf(text, sizeof(text),
		"%sProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n"
		"\n%s",
		begin, pem + strlen(begin));
	not_taken(text, "one whole PEM block");
	for (size_t cut = 0; cut < n - 1; cut += 7) {
		snprintf(text, sizeof(text), "%.*s", (int)cut, pem);
		not_taken(text, "must");
	}
	free(pem);
}

static void what_is_no_request(void **state)
{
	static char large[CSR_PEM_MAX + 2];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *b = BIO_new(BIO_s_mem());
	uint8_t *der = NULL;
	char *pem;
	X509_REQ *req;
	int n;

	(void)state;
	not_taken("", "must begin with");
	not_taken("garbage", "must begin with");
	not_taken("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
		"is not a certificate request");
	memset(large, ' ', sizeof(large) - 1);
	not_taken(large, "is too long");
	large[CSR_PEM_MAX] = '\0';
	not_taken(large, "must begin with");
	/* Somebody's private key. */
	assert_true(PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL));
	not_taken_and_free(text_of(b), "must begin with");
	/* Bytes behind the request, inside the block. */
	req = request(key, EVP_sha256());
	n = i2d_X509_REQ(req, &der);
	der = OPENSSL_realloc(der, (size_t)n + 1);
	der[n] = 0;
	b = BIO_new(BIO_s_mem());
	assert_true(PEM_write_bio(b, "CERTIFICATE REQUEST", "", der, n + 1));
	not_taken_and_free(text_of(b), "is not a certificate request");
	/* The other name of the same block. */
	b = BIO_new(BIO_s_mem());
	assert_true(PEM_write_bio(b, "NEW CERTIFICATE REQUEST", "", der, n));
	pem = text_of(b);
	taken_and_free(pem);
	OPENSSL_free(der);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_of_keys),
		cmocka_unit_test(a_curve_has_a_name),
		cmocka_unit_test(every_flipped_bit),
		cmocka_unit_test(signed_by_another_key),
		cmocka_unit_test(one_block_and_nothing_else),
		cmocka_unit_test(what_is_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
