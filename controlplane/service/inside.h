/*
 * What the files of this room share. Nobody else includes it.
 *
 * A mutation goes: checks -> stripe lock -> write transaction (who is asking is read again in it)
 * -> commit -> coordinator -> unlock. The stripe keeps what reaches the coordinator about one
 * device, or one user's devices, in the order of the commits; so a slow grant can't bring back what
 * a faster revocation took away. Locks are taken in this order: user stripe, device stripe, writer.
 */
#ifndef SERVICE_INSIDE_H
#define SERVICE_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "db/credential_store.h"
#include "db/db.h"
#include "db/device_store.h"
#include "db/user_store.h"
#include "service/audit.h"
#include "service/once.h"
#include "service/password.h"
#include "service/events.h"
#include "service/recorder.h"
#include "service/service.h"
#include "service/settings.h"
#include "service/stripes.h"
#include "service/throttle.h"
#include "service/traffic.h"

struct service {
	struct svc_conf conf;
	struct db *db;
	struct keystore *ks;
	struct ca *ca;
	struct coordinator *coordinator; /* NULL until service_attach */
	int64_t started_at;
	unsigned rounds;	   /* of the recorder's thread, as what follows */
	const char *storage_fault; /* as it was told last */
	struct stripes *stripes;
	struct password_gate *gate;
	struct throttle *throttle;
	struct recorder *recorder;
	struct once_table *once;
	struct settings *settings;
	struct audit_log *audit;
	uint64_t audit_most;	     /* AUDIT_MOST */
	pthread_mutex_t verify_lock; /* one reads the whole audit log at a time */
	atomic_flag backup;	     /* one is being made or sent */
	struct events *events;
	struct traffic *traffic;
};

static inline int64_t service_now(const struct service *s)
{
	return clock_real_ms(&s->conf.clock);
}

/* ---- answers ---- */

/* Fills *e (when there is one) and returns outcome. field "" when it is about none. */
int refuse(struct svc_error *e, int outcome, const char *field, const char *fmt, ...)
	printf_like(4, 5);
/* The last step of every use-case: a full disk becomes an outcome, everything else stays. */
int answer(int err, struct svc_error *e);
int refuse_not_found(struct svc_error *e);
/* Returns: SVC_RATE_LIMITED, until so many seconds have passed. */
int refuse_for(struct svc_error *e, uint32_t seconds, const char *why);

/* ---- who may do what (access.c) ---- */

/* Begins the write transaction of a use-case and reads the actor again in it.
 * Returns: 0 with *me to be used from here on, as access_refresh, -errno. */
int access_begin(struct service *s, const struct svc_actor *a, struct db_conn **tx,
	struct svc_actor *me, struct svc_error *e) must_check;
/* The same, as access_again. */
int access_begin_own(struct service *s, const struct svc_actor *a, struct db_conn **tx,
	struct svc_actor *me, struct svc_error *e) must_check;
/* Reads the actor again inside the transaction: his role may have changed, he may be gone.
 * Returns: 0 with *me to be used from here on, SVC_UNAUTHENTICATED, -errno. */
int access_refresh(struct db_conn *tx, const struct svc_actor *a, struct svc_actor *me,
	struct svc_error *e) must_check;
/* The same, for what also those who only read may do: to what is only theirs. */
int access_again(struct db_conn *tx, const struct svc_actor *a, struct svc_actor *me,
	struct svc_error *e) must_check;
bool access_reads_all(const struct svc_actor *a);
bool access_manages(const struct svc_actor *a);
/* Returns: 0, SVC_FORBIDDEN for those who never write. */
int access_write(const struct svc_actor *a, struct svc_error *e) must_check;
/* An object of owner. Returns: 0, SVC_NOT_FOUND. */
int access_see(const struct svc_actor *a, const struct ulid *owner, struct svc_error *e) must_check;
/* Returns: 0, SVC_NOT_FOUND, SVC_FORBIDDEN. */
int access_change(
	const struct svc_actor *a, const struct ulid *owner, struct svc_error *e) must_check;
/* A device, for those who may see it. Returns: 0, SVC_NOT_FOUND, -errno. */
int access_device(struct db_conn *tx, const struct svc_actor *a, const struct ulid *id,
	struct device_row *d, struct svc_error *e) must_check;
/* The same, for those who may change it. Returns: also SVC_FORBIDDEN. */
int access_device_change(struct db_conn *tx, const struct svc_actor *a, const struct ulid *id,
	struct device_row *d, struct svc_error *e) must_check;
/* Whose device it is, for those who may change it: what has to be known before its stripe is held.
 */
int access_device_owner(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct ulid *owner, struct svc_error *e) must_check;
/* Roles of a token: its own, never above its owner's. */
enum svc_role access_lower(enum svc_role a, enum svc_role b);

/* Limits of a page. Returns: 0, SVC_INVALID. */
int page_check(const struct svc_page *p, struct svc_error *e) must_check;
/* An expiry or another time from outside. Returns: 0, SVC_INVALID. */
int time_check(int64_t t, const char *field, struct svc_error *e) must_check;

/* ---- towards the coordinator (publish.c) ---- */

/* Should be in the directory. */
bool publish_is_live(const struct device_row *d, int64_t now);
/* Puts the device, and with credentials all of its usable ones. The caller holds its stripe.
 * Returns: 0, -errno. */
int publish_device(struct service *s, const struct device_row *d, bool credentials) must_check;
int publish_credential(struct service *s, const struct credential_row *c) must_check;
/* Puts back what a user has. */
int publish_user(struct service *s, const struct ulid *user) must_check;
/* Returns: 0, SVC_UNAVAILABLE, -errno. */
int revoke_devices(
	struct service *s, const struct ulid *ids, size_t n, struct svc_error *e) must_check;
/* After the revocation of devices that were deleted, whatever its result: their counters go.
 * Returns: 0, -errno. */
int forget_devices(struct service *s, const struct ulid *ids, size_t n) must_check;
int revoke_credential(struct service *s, const struct ulid *id, struct svc_error *e) must_check;

/* ---- towards whoever listens ---- */

/* After the commit. */
void tell_device(struct service *s, const struct ulid *device, const struct ulid *user,
	enum device_change how);

/* ---- requests that may be repeated (once.c) ---- */

/* In the write transaction of a POST, right before its commit: remembers that a's request made this
 * object ("dev", its id), and, unless the answer has a secret, the answer. object is what a->once's
 * render takes. Nothing when the request had no key. Returns: 0, -ENOSPC, -errno. */
int once_add(struct db_conn *tx, struct service *s, const struct svc_actor *a, const char *kind,
	const struct ulid *id, const void *object) must_check;

/* ---- shared by devices.c, credentials.c and invites.c ---- */

/* What else happens in the transaction that issues a credential. */
struct issue_also {
	int (*run)(void *arg, struct db_conn *tx, const struct credential_row *c,
		const struct device_row *d, struct svc_error *e);
	void *arg;
};
/* svc_credential_issue, and also (NULL: nothing) in the same transaction. */
int credential_issue(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_credential_request *r, const struct issue_also *also,
	struct svc_issued *out, struct svc_error *e) must_check;

void credential_fill(struct svc_credential *out, const struct credential_row *c);

#endif
