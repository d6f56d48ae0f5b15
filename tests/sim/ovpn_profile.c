/* The blocks of a profile: <name> ... </name>. */
#include "ovpn_profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

static char *block(const char *profile, const char *name)
{
	char open[64], close[64];

	snprintf(open, sizeof(open), "<%s>\n", name);
	snprintf(close, sizeof(close), "</%s>", name);
	const char *from = strstr(profile, open), *to = from ? strstr(from, close) : NULL;
	if (!to)
		return NULL;
	from += strlen(open);
	return strndup(from, (size_t)(to - from));
}

static X509 *certificate(const char *profile, const char *name)
{
	char *text = block(profile, name);
	BIO *b = text ? BIO_new_mem_buf(text, -1) : NULL;
	X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	BIO_free(b);
	free(text);
	return x;
}

static EVP_PKEY *private_key(const char *profile)
{
	char *text = block(profile, "key");
	BIO *b = text ? BIO_new_mem_buf(text, -1) : NULL;
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;

	BIO_free(b);
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
	return k;
}

static SSL_CTX *context(const char *profile)
{
	X509 *authority = certificate(profile, "ca"), *own = certificate(profile, "cert");
	EVP_PKEY *key = private_key(profile);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	bool good = authority && own && key && ctx && SSL_CTX_use_certificate(ctx, own) == 1 &&
		    SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority) == 1;

	X509_free(authority);
	X509_free(own);
	EVP_PKEY_free(key);
	if (!good) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}

int ovpn_profile_read(struct ovpn_client_conf *conf, const char *text)
{
	char *pem = block(text, "tls-crypt-v2");
	int r = pem ? ovpn_client_key_parse(pem, &conf->key, conf->wkc, &conf->wkc_len) : -EINVAL;

	free(pem);
	conf->tls = r ? NULL : context(text);
	return conf->tls ? 0 : -EINVAL;
}
