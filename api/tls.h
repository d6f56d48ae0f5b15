/*
 * The certificate of the HTTPS listener, read again when its files change, without a restart and
 * without touching connections that are open. A pair that can't be read leaves the old one.
 */
#ifndef API_TLS_H
#define API_TLS_H

#include <gnutls/gnutls.h>
#include <gnutls/abstract.h>

#include "base/clock.h"
#include "base/compiler.h"

struct tls;

/* TLS 1.2 and 1.3 only. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

struct tls_source {
	const char *cert_file, *key_file; /* PEM files, or NULL */
	const char *cert_pem, *key_pem;	  /* else PEM text */
};

/* Returns: 0, -errno; why has 160 bytes and names the file. */
int tls_new(
	struct tls **out, const struct tls_source *src, struct clock clock, char *why) must_check;
void tls_free(struct tls *t);
/* The pair for a handshake; looks at the files at most once a second. Owned by t and good for at
 * least a minute after a change, longer than any handshake may take. One thread at a time. */
void tls_current(struct tls *t, gnutls_pcert_st **chain, unsigned *n, gnutls_privkey_t *key);

#endif
