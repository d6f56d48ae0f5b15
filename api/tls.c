#include "api/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/secret.h"

enum { CHAIN_MAX = 8, WHY = 160, LOOK_MS = 1000, KEEP_MS = 60000 };

struct pair {
	struct pair *older;
	uint64_t replaced_ms;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned n;
	gnutls_privkey_t key;
};

struct stamp {
	struct timespec cert, key;
};

struct tls {
	char *cert_file, *key_file;
	struct clock clock;
	struct stamp stamp;
	uint64_t looked_ms;
	struct pair *current;
};

static void pair_free(struct pair *p)
{
	for (unsigned i = 0; i < p->n; i++)
		gnutls_pcert_deinit(&p->chain[i]);
	if (p->key)
		gnutls_privkey_deinit(p->key);
	free(p);
}

static int pair_fill(
	struct pair *p, const gnutls_datum_t *cert, const gnutls_datum_t *key, const char **what)
{
	gnutls_pubkey_t public = NULL;
	int rc;

	p->n = CHAIN_MAX;
	*what = "certificate";
	rc = gnutls_pcert_list_import_x509_raw(p->chain, &p->n, cert, GNUTLS_X509_FMT_PEM, 0);
	if (rc < 0) {
		p->n = 0;
		return rc;
	}
	*what = "key";
	rc = gnutls_privkey_init(&p->key);
	if (rc == 0)
		rc = gnutls_privkey_import_x509_raw(p->key, key, GNUTLS_X509_FMT_PEM, NULL, 0);
	/* They belong together. */
	if (rc == 0)
		rc = gnutls_pubkey_init(&public);
	if (rc == 0) {
		unsigned char ours[64], theirs[64];
		size_t n_ours = sizeof(ours), n_theirs = sizeof(theirs);

		rc = gnutls_pubkey_import_privkey(public, p->key, 0, 0);
		if (rc == 0)
			rc = gnutls_pubkey_get_key_id(
				public, GNUTLS_KEYID_USE_SHA256, ours, &n_ours);
		if (rc == 0)
			rc = gnutls_pubkey_get_key_id(
				p->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, theirs, &n_theirs);
		if (rc == 0 && (n_ours != n_theirs || !secret_equal(ours, theirs, n_ours)))
			rc = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
		gnutls_pubkey_deinit(public);
	}
	return rc;
}

static int pair_new(struct pair **out, const gnutls_datum_t *cert, const gnutls_datum_t *key,
	const char *cert_name, const char *key_name, char *why)
{
	struct pair *p = calloc(1, sizeof(*p));
	const char *what = "";
	int rc;

	if (!p) {
		snprintf(why, WHY, "no memory");
		return -ENOMEM;
	}
	rc = pair_fill(p, cert, key, &what);
	if (rc < 0) {
		snprintf(why, WHY, "TLS %s %.70s: %.60s", what,
			strcmp(what, "key") == 0 ? key_name : cert_name, gnutls_strerror(rc));
		pair_free(p);
		return -EINVAL;
	}
	*out = p;
	return 0;
}

static int load_file(const char *path, gnutls_datum_t *out, char *why)
{
	errno = 0;
	if (gnutls_load_file(path, out) < 0) {
		const int error = errno ? errno : EIO;

		snprintf(why, WHY, "TLS file %.80s: %.40s", path, strerror(error));
		return -error;
	}
	return 0;
}

static void datum_wipe(gnutls_datum_t *d)
{
	if (d->data) {
		secret_wipe(d->data, d->size);
		gnutls_free(d->data);
	}
}

static int pair_from_files(
	struct pair **out, const char *cert_file, const char *key_file, char *why)
{
	gnutls_datum_t cert cleanup(datum_wipe) = {NULL, 0}, key cleanup(datum_wipe) = {NULL, 0};
	int rc = load_file(cert_file, &cert, why);

	if (rc == 0)
		rc = load_file(key_file, &key, why);
	return rc ? rc : pair_new(out, &cert, &key, cert_file, key_file, why);
}

static struct stamp stamp_of(const struct tls *t)
{
	struct stamp s;
	struct stat st;

	memset(&s, 0, sizeof(s));
	if (stat(t->cert_file, &st) == 0)
		s.cert = st.st_mtim;
	if (stat(t->key_file, &st) == 0)
		s.key = st.st_mtim;
	return s;
}

int tls_new(struct tls **out, const struct tls_source *src, struct clock clock, char *why)
{
	struct tls *t = calloc(1, sizeof(*t));
	int rc;

	if (!t) {
		snprintf(why, WHY, "no memory");
		return -ENOMEM;
	}
	t->clock = clock;
	if (src->cert_file) {
		t->cert_file = strdup(src->cert_file);
		t->key_file = strdup(src->key_file ? src->key_file : src->cert_file);
		rc = -ENOMEM;
		if (t->cert_file && t->key_file) {
			t->stamp = stamp_of(t);
			rc = pair_from_files(&t->current, t->cert_file, t->key_file, why);
		}
	} else {
		gnutls_datum_t cert, key;

		cert.data = (unsigned char *)src->cert_pem;
		cert.size = (unsigned)strlen(src->cert_pem);
		key.data = (unsigned char *)src->key_pem;
		key.size = (unsigned)strlen(src->key_pem);
		rc = pair_new(&t->current, &cert, &key, "given", "given", why);
	}
	if (rc) {
		tls_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void tls_free(struct tls *t)
{
	while (t->current) {
		struct pair *p = t->current;

		t->current = p->older;
		pair_free(p);
	}
	free(t->cert_file);
	free(t->key_file);
	free(t);
}

/* Handshakes that began with an older pair may still point to it. */
static void drop_old(struct tls *t, uint64_t now)
{
	struct pair **at = &t->current->older;

	while (*at) {
		struct pair *p = *at;

		if (now - p->replaced_ms < KEEP_MS) {
			at = &p->older;
			continue;
		}
		*at = p->older;
		pair_free(p);
	}
}

static void look(struct tls *t)
{
	const uint64_t now = clock_mono_ms(&t->clock);
	struct pair *fresh;
	struct stamp stamp;
	char why[WHY];

	if (!t->cert_file || now - t->looked_ms < LOOK_MS)
		return;
	t->looked_ms = now;
	drop_old(t, now);
	stamp = stamp_of(t);
	if (memcmp(&stamp, &t->stamp, sizeof(stamp)) == 0)
		return;
	t->stamp = stamp;
	if (pair_from_files(&fresh, t->cert_file, t->key_file, why)) {
		log_warn("http", "%s; the old certificate stays", why);
		return;
	}
	t->current->replaced_ms = now;
	fresh->older = t->current;
	t->current = fresh;
	log_info("http", "TLS certificate %s: read again", t->cert_file);
}

void tls_current(struct tls *t, gnutls_pcert_st **chain, unsigned *n, gnutls_privkey_t *key)
{
	look(t);
	*chain = t->current->chain;
	*n = t->current->n;
	*key = t->current->key;
}
