/*
 * Certificate for HTTPS from our own authority, for installations that bring none: an EC P-256 CA
 * that is made once and kept sealed, and a leaf made at every start (90 days).
 */
#ifndef PKI_API_CERT_H
#define PKI_API_CERT_H

#include "base/clock.h"
#include "base/compiler.h"

struct db;
struct keystore;

/* host: DNS name or address for the subject alternative names, beside localhost and loopback.
 * *cert_pem (leaf, then CA) and *key_pem are returned owned; the caller wipes the key.
 * Returns: 0, -EBADMSG (wrong master key), -EIO, -ENOMEM, -errno of the database. */
int api_cert_make(struct keystore *ks, struct db *db, const char *host, const struct clock *clock,
	char **cert_pem, char **key_pem) must_check;

/* Writes the authority's certificate, the last one of cert_pem, to file path, in the place of what
 * was there: for clients on this machine, which have nothing else to trust. Public; the mode is
 * 0666 less the umask. Returns: 0, -EINVAL (no certificate), -errno. */
int api_cert_publish(const char *cert_pem, const char *path) must_check;

#endif
