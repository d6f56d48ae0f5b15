/*
 * What a new credential is made of, protocol by protocol: keys, what is stored of them, and the
 * text that the client takes. The use-case around it is in credentials.c.
 */
#ifndef SERVICE_ISSUE_H
#define SERVICE_ISSUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "ovpn/wrap.h"
#include "pki/ca.h"
#include "service/inside.h"

/* Secrets of one issue, given to the client and never stored; wiped on every path. */
struct issue {
	uint8_t private_key[32], psk[32]; /* WireGuard */
	bool has_private;		  /* we made private_key */
	struct ca_issued cert;		  /* OpenVPN */
	char tls_crypt_v2[OVPN_CLIENT_KEY_PEM];
};
void issue_wipe(struct issue *i);

/* What can be said of a request before anything is made. Returns: 0, SVC_INVALID, -errno. */
int issue_check(
	struct service *s, const struct svc_credential_request *r, struct svc_error *e) must_check;
/* Makes the keys; row has its id, protocol and expiry, and gets the rest but for created_at.
 * Returns: 0, SVC_INVALID (csr), -errno. */
int issue_make(struct service *s, const struct svc_credential_request *r, struct issue *i,
	struct credential_row *row, struct svc_error *e) must_check;
/* Writes profile and file name for the device as it is now. Returns: 0, -EMSGSIZE. */
int issue_profile(struct service *s, uint8_t protocol, const struct device_row *d,
	const struct issue *i, struct svc_issued *out) must_check;

#endif
