/*
 * Invites: a link that gives a device's credential to whoever opens it first. The link holds 256
 * random bits; only their SHA-256 is stored.
 *
 * An invite can do what its maker could still do: it dies with him, with the device and its user,
 * also when one of them is disabled in the meantime.
 */
#ifndef SERVICE_INVITES_H
#define SERVICE_INVITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "service/service.h"

enum {
	INVITE_TEXT = 44,	    /* 43 characters of base64url */
	INVITE_MS = 15 * 60 * 1000, /* when nothing else is asked for */
	INVITE_MAX_MS = 7 * 24 * 3600 * 1000,
	INVITE_KEEP_MS = 24 * 3600 * 1000, /* so long an ended one is still listed */
	INVITES_OPEN = 16,		   /* of one device */
	INVITES_ENDED = 32,		   /* of one device, the newest */
};

struct svc_invite {
	struct ulid id, device_id, created_by;
	uint8_t protocol; /* enum dir_protocol */
	int64_t created_at, expires_at, used_at;
	struct ulid credential_id; /* what it became, zero while it is not used */
};

struct svc_invite_request {
	uint8_t protocol;
	int64_t expires_at; /* 0: INVITE_MS from now */
};

/* secret: what stands in the link, given this once; wiped on failure. The device must be one that
 * can connect: SVC_CONFLICT when it is disabled or expired. */
int svc_invite_create(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_invite_request *r, struct svc_invite *out, char secret[INVITE_TEXT],
	struct svc_error *e) must_check;
/* Used and expired ones too, for a day. */
int svc_invite_list(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_page *p, struct svc_invite **out, size_t *n, bool *more,
	struct svc_error *e) must_check;
int svc_invite_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_invite *out, struct svc_error *e) must_check;
/* Withdraws it; a credential that it became stays. */
int svc_invite_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_error *e) must_check;

/* Burns the invite and issues its credential, in one transaction. secret: any text. from: who asks;
 * 30 guesses a minute from one /24 or /64, then SVC_RATE_LIMITED. Used, expired, withdrawn and
 * never made ones are all SVC_NOT_FOUND. *out as that of svc_credential_issue. */
int svc_invite_open(struct service *s, const char *secret, size_t secret_len,
	const struct ip_addr *from, struct svc_issued *out, struct svc_error *e) must_check;

#endif
