/* The certificate and its second reading. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/x509.h>

#include "api/tls.h"
#include "tests/unit/api/certificate.h"

static char folder[] = "/tmp/ireko-tls-XXXXXX";
static char cert_file[64], key_file[64];

static void write_file(const char *path, const gnutls_datum_t *d, int64_t mtime)
{
	struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(d->data, 1, d->size, f), d->size);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static gnutls_pcert_st *current(struct tls *t)
{
	gnutls_pcert_st *chain;
	gnutls_privkey_t key;
	unsigned n;

	tls_current(t, &chain, &n, &key);
	assert_int_equal(n, 1);
	assert_non_null(key);
	return chain;
}

static void reads_again_what_has_changed(void **state)
{
	struct fake_clock fake = {.mono_ms = 10000};
	struct tls_source src = {.cert_file = cert_file, .key_file = key_file};
	gnutls_datum_t cert[2], key[2];
	gnutls_pcert_st *first;
	struct tls *t;
	char why[160];

	(void)state;
	certificate_make(1, &cert[0], &key[0]);
	certificate_make(2, &cert[1], &key[1]);
	write_file(cert_file, &cert[0], 1000);
	write_file(key_file, &key[0], 1000);
	assert_int_equal(tls_new(&t, &src, clock_fake(&fake), why), 0);
	first = current(t);
	/* A certificate without its key leaves what there is. */
	write_file(cert_file, &cert[1], 2000);
	assert_ptr_equal(current(t), first);
	fake_clock_advance(&fake, 1000);
	assert_ptr_equal(current(t), first);
	write_file(key_file, &key[1], 2000);
	assert_ptr_equal(current(t), first); /* at most once a second */
	fake_clock_advance(&fake, 1000);
	assert_ptr_not_equal(current(t), first);
	/* A handshake may still use the first one. */
	assert_int_equal(first->type, GNUTLS_CRT_X509);
	/* Gone, or nonsense. */
	first = current(t);
	assert_int_equal(unlink(key_file), 0);
	fake_clock_advance(&fake, 1000);
	assert_ptr_equal(current(t), first);
	write_file(key_file, &cert[0], 3000);
	fake_clock_advance(&fake, 61000);
	assert_ptr_equal(current(t), first);
	tls_free(t);
	for (int i = 0; i < 2; i++) {
		gnutls_free(cert[i].data);
		gnutls_free(key[i].data);
	}
}

static void refuses_pairs_that_are_none(void **state)
{
	struct fake_clock fake = {.mono_ms = 1};
	gnutls_datum_t cert[2], key[2];
	struct tls_source src = {.cert_pem = NULL};
	struct tls *t;
	char why[160];

	(void)state;
	certificate_make(1, &cert[0], &key[0]);
	certificate_make(2, &cert[1], &key[1]);
	src.cert_pem = (char *)cert[0].data;
	src.key_pem = (char *)key[1].data;
	assert_int_equal(tls_new(&t, &src, clock_fake(&fake), why), -EINVAL);
	assert_null(strstr(why, "BEGIN"));
	src.key_pem = "";
	assert_int_equal(tls_new(&t, &src, clock_fake(&fake), why), -EINVAL);
	src.key_pem = (char *)key[0].data;
	assert_int_equal(tls_new(&t, &src, clock_fake(&fake), why), 0);
	tls_free(t);
	src.cert_pem = (char *)key[0].data;
	assert_int_equal(tls_new(&t, &src, clock_fake(&fake), why), -EINVAL);
	for (int i = 0; i < 2; i++) {
		gnutls_free(cert[i].data);
		gnutls_free(key[i].data);
	}
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(cert_file, sizeof(cert_file), "%s/cert.pem", folder);
	snprintf(key_file, sizeof(key_file), "%s/key.pem", folder);
	return 0;
}

static int drop_folder(void **state)
{
	(void)state;
	unlink(cert_file);
	unlink(key_file);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_again_what_has_changed),
		cmocka_unit_test(refuses_pairs_that_are_none),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
