#include "pki/api_cert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "pki/x509.h"

/* The leaf is made anew at every start only, so it must outlast the longest run; clients refuse
 * more than 825 days. */
enum { CA_DAYS = 3650, LEAF_DAYS = 800 };

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
	X509 *chain[] = {leaf, ca};
	BIO *certs = x509_cert_pem(chain, ARRAY_SIZE(chain)), *secret = x509_key_pem(key);
	int r = -ENOMEM;
	if (certs && secret) {
		*cert_pem = bio_text(certs);
		*key_pem = bio_text(secret);
		r = *cert_pem && *key_pem ? 0 : -ENOMEM;
	}
	BIO_free(certs);
	BIO_free(secret);
	return r;
}

static int make(const struct x509_authority *ca, const char *host, int64_t now_s, char **cert_pem,
	char **key_pem)
{
	struct ip_addr literal;
	char names[400];
	snprintf(names, sizeof(names), "%s:%s,DNS:localhost,IP:127.0.0.1,IP:::1",
		ip_addr_parse(&literal, host) == 0 ? "IP" : "DNS", host);
	const struct x509_extension extensions[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature"},
		{NID_ext_key_usage, "serverAuth"},
		{NID_subject_key_identifier, "hash"},
		{NID_authority_key_identifier, "keyid"},
		{NID_subject_alt_name, names},
	};
	struct x509_leaf leaf = {
		.key = EVP_EC_gen("P-256"),
		.name = "Ireko API",
		.from_s = now_s - 3600, /* for clocks that are behind ours */
		.until_s = now_s + LEAF_DAYS * X509_DAY_S,
		.extensions = extensions,
		.n_extensions = ARRAY_SIZE(extensions),
	};
	X509 *cert = leaf.key && x509_serial(leaf.serial) == 0 ? x509_sign(&leaf, ca) : NULL;
	int r = cert ? to_pem(cert, ca->cert, leaf.key, cert_pem, key_pem) : -EIO;
	X509_free(cert);
	EVP_PKEY_free(leaf.key);
	return r;
}

int api_cert_make(struct keystore *ks, struct db *db, const char *host, const struct clock *clock,
	char **cert_pem, char **key_pem)
{
	static const struct x509_authority_conf conf = {.meta_key = "api_ca",
		.label = "api-ca",
		.name = "Ireko API authority",
		.days = CA_DAYS};
	const int64_t now_s = clock_real_ms(clock) / 1000;
	struct x509_authority ca;
	int r = x509_authority_open(&ca, &conf, ks, db, now_s);
	if (r == 0)
		r = make(&ca, host, now_s, cert_pem, key_pem);
	x509_authority_fini(&ca);
	return r;
}

/* Where the last certificate begins; NULL: there is none. */
static const char *last_certificate(const char *pem)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	const char *last = NULL;
	for (const char *at = strstr(pem, begin); at; at = strstr(at + 1, begin))
		last = at;
	return last;
}

int api_cert_publish(const char *cert_pem, const char *path)
{
	const char *ca = last_certificate(cert_pem);
	char fresh[PATH_MAX];
	int r = 0;
	if (!ca)
		return -EINVAL;
	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	(void)!unlink(fresh);
	const int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	const ssize_t n = write(fd, ca, strlen(ca));
	if (n != (ssize_t)strlen(ca))
		r = n < 0 ? -errno : -ENOSPC;
	if (close(fd) && r == 0)
		r = -errno;
	if (r == 0 && rename(fresh, path))
		r = -errno;
	if (r)
		(void)!unlink(fresh);
	return r;
}
