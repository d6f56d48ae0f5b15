/*
 * The use-cases that REST offers. No HTTP, no JSON, no SQL text: the api room translates, the db
 * room stores, the coordinator carries out. Safe from any thread.
 *
 * Every function takes the actor and checks what he may do (role and ownership); somebody else's
 * object is SVC_NOT_FOUND. A positive result is an outcome for the caller of the API and comes with
 * struct svc_error; 0 is success; a negative errno is ours (500). An answer is only given after the
 * database has committed durably; a revocation only after the dataplane has acknowledged it.
 *
 * Text is UTF-8, checked by the service. Times are Unix milliseconds, 0: none.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "session/coordinator.h"

struct ca;
struct db;
struct keystore;
struct service;
struct svc_once;

enum svc_outcome {
	SVC_OK = 0,
	SVC_INVALID = 1,     /* 422, error names the field */
	SVC_UNAUTHENTICATED, /* 401 */
	SVC_FORBIDDEN,	     /* 403 */
	SVC_NOT_FOUND,	     /* 404 */
	SVC_CONFLICT,	     /* 409: a name, address or key is taken */
	SVC_FULL,	     /* 409: no address is free, or a limit below is reached */
	SVC_PRECONDITION,    /* 412: If-Match does not match any more */
	SVC_RATE_LIMITED,    /* 429, retry_after_s */
	SVC_NO_SPACE,	     /* 507: the disk is full, read-only or gone; nothing was changed */
	SVC_TOTP_REQUIRED, /* 401 of a kind of its own: the password was right, a code is needed */
	SVC_UNAVAILABLE,   /* 503: done here, but the dataplane has not acknowledged it yet */
};

struct svc_error {
	char field[48];	   /* JSON field, "" when it is not about one */
	char message[192]; /* for people; never holds a secret */
	uint32_t retry_after_s;
};

enum svc_role { SVC_ROLE_USER, SVC_ROLE_AUDITOR, SVC_ROLE_OPERATOR, SVC_ROLE_ADMIN };
/* "user", "auditor", "operator", "admin". */
const char *svc_role_name(enum svc_role r);
int svc_role_parse(const char *text, enum svc_role *out) must_check;

struct svc_actor {
	struct ulid user_id;
	char user_name[65];
	enum svc_role role;	 /* of the token or login, never above the user's own */
	bool read_only;		 /* its owner is an auditor: no writes, whatever the role */
	bool by_login;		 /* cookie; CSRF token is then required on anything but GET */
	struct ulid via;	 /* id of the token or login session */
	uint8_t csrf_sha256[32]; /* of the login's CSRF token */
	struct svc_once *once;	 /* of a request that may be repeated (once.h), or NULL */
	struct ip_addr from;	 /* where the request came from */
};

/* Lengths in bytes without NUL; fields below have room for them. */
enum {
	SVC_NAME_MAX = 64,
	SVC_DISPLAY_MAX = 128,
	SVC_EMAIL_MAX = 254,
	SVC_PASSWORD_MIN = 8,
	SVC_PASSWORD_MAX = 256,
	SVC_TOKEN_TEXT = 50,
	SVC_PROFILE_MAX = 16384,
	SVC_LIMIT_MAX = 500
};

/* So that no single caller can fill the address pool or the disk. More is SVC_FULL. */
enum {
	SVC_OWN_DEVICES = 64,	     /* that a user makes himself; operators may give him more.
					Deleted ones count until their addresses have rested */
	SVC_DEVICE_CREDENTIALS = 32, /* unrevoked, expired ones included */
	SVC_DEVICE_REVOKED = 32,     /* revoked ones that are remembered, the newest */
	SVC_USER_TOKENS = 64,	     /* unexpired */
};

struct svc_conf {
	struct ip_prefix net4, net6; /* as stored at first start */
	char endpoint_host[256];     /* what profiles tell clients to connect to, without a port */
	uint16_t wg_port;	     /* while the dataplane has not said where it listens: 51820 */
	uint16_t ovpn_port;	     /* the same for OpenVPN: 1194 */
	char dns[256];		     /* comma-separated, "" for none */
	uint16_t mtu, keepalive_s;
	struct clock clock;
	const char *admin_password; /* for first start; NULL: make one */
	/* Given the one that was made before there is a user with it, so that no password is lost:
	 * when this fails, first start has not been. NULL: nothing is to be kept.
	 * Returns: 0, -errno. */
	int (*keep_password)(void *arg, const char *password);
	void *keep_arg;
};

/* Opens the house: migrates nothing (db_open did), creates user admin at first start. When it made
 * the password, writes it to made_password (33 bytes), otherwise makes it "". Borrows db, ks, ca,
 * and, from service_attach on, the coordinator. Returns: 0, -errno. */
int service_new(struct service **out, const struct svc_conf *conf, struct db *db,
	struct keystore *ks, struct ca *ca, char made_password[33]) must_check;
/* Loads every device and credential that should exist into the coordinator, before it starts. */
int service_attach(struct service *s, struct coordinator *c) must_check;
/* For the coordinator's hooks: queue, and write in the background in one transaction a second. */
void service_on_device_state(void *service, const struct device_state *st, size_t n);
void service_on_credential_state(void *service, const struct credential_state *st, size_t n);
void service_on_event(void *service, const struct coordinator_event *e);
void service_on_counters(
	void *service, const struct ulid *boot, const struct device_counters *c, size_t n);
/* Writes what is queued, ends the background thread. Call after coordinator_stop. */
void service_stop(struct service *s);
void service_free(struct service *s);

/* ---- who is asking ---- */

struct svc_login {
	char cookie[44]; /* base64url of 32 random bytes; only its hash is stored */
	char csrf_token[44];
	struct svc_actor actor;
};
/* from: where it comes from, borrowed. At most 2 password checks run at a time, the rest wait in a
 * bounded queue. Failures are counted by account (10 in 15 minutes) and by /24 or /64 (30); the
 * answers are the same for accounts that exist and those that don't. totp: the code of a user who
 * has a second factor, NULL for none; a wrong one counts as a failure. Returns: 0,
 * SVC_UNAUTHENTICATED, SVC_TOTP_REQUIRED, SVC_RATE_LIMITED, -errno. */
int svc_login(struct service *s, const char *username, const char *password, const char *totp,
	const struct ip_addr *from, struct svc_login *out, struct svc_error *e) must_check;
int svc_logout(struct service *s, const struct svc_actor *a) must_check;
/* By bearer token text or by cookie text. Idle logins end after 30 minutes, all after 12 hours.
 * Returns: 0, SVC_UNAUTHENTICATED, -errno. */
int svc_authenticate_token(struct service *s, const char *token, struct svc_actor *out) must_check;
int svc_authenticate_cookie(
	struct service *s, const char *cookie, struct svc_actor *out) must_check;
/* Constant time. */
bool svc_csrf_ok(const struct svc_actor *a, const char *csrf_token);

/* ---- second factors ---- */

struct svc_totp {
	char secret[33]; /* base32 */
	char url[224];	 /* otpauth://, what an app scans */
};
/* Makes a secret for the actor himself, which counts from svc_totp_confirm on, within 10 minutes.
 * The password is asked for again, and failures count as those of logins. The caller wipes *out.
 * Returns: 0, SVC_INVALID (password), SVC_CONFLICT (it is on), SVC_RATE_LIMITED, -errno. */
int svc_totp_begin(struct service *s, const struct svc_actor *a, const char *password,
	struct svc_totp *out, struct svc_error *e) must_check;
/* The other logins of the user end. Returns: 0, SVC_INVALID (totp), SVC_CONFLICT (it is on, or
 * nothing was begun), SVC_RATE_LIMITED, -errno. */
int svc_totp_confirm(struct service *s, const struct svc_actor *a, const char *code,
	struct svc_error *e) must_check;
/* Returns: 0, SVC_INVALID (password, totp), SVC_CONFLICT (it is not on), SVC_RATE_LIMITED. */
int svc_totp_disable(struct service *s, const struct svc_actor *a, const char *password,
	const char *code, struct svc_error *e) must_check;
/* Of somebody who lost his device: by a manager whose role is not below the user's. */
int svc_totp_reset(struct service *s, const struct svc_actor *a, const struct ulid *user,
	struct svc_error *e) must_check;

/* ---- lists ---- */

struct svc_page {
	uint32_t limit;	   /* 1..SVC_LIMIT_MAX */
	struct ulid after; /* zero: from the start; lists are in the order of their ids */
};
/* Results come as arrays that the caller frees with free(); *more says that another page follows,
 * whose `after` is the last item's id. */

/* ---- users ---- */

struct svc_user {
	struct ulid id;
	char name[SVC_NAME_MAX + 1], display_name[SVC_DISPLAY_MAX + 1], email[SVC_EMAIL_MAX + 1];
	enum svc_role role;
	bool disabled;
	bool has_password;
	bool totp; /* a second factor is on */
	int64_t created_at, updated_at;
	uint64_t revision; /* rises with every change; the ETag */
};
/* A change: a field is taken when its flag is set. */
struct svc_user_change {
	bool set_name, set_display_name, set_email, set_role, set_password, set_disabled;
	const char *name, *display_name, *email,
		*password; /* display_name, email, password: NULL clears */
	enum svc_role role;
	bool disabled;
};
/* if_match: 0 for none, else the revision that must still hold. A user without a managing role sets
 * his password at most 10 times in 15 minutes (SVC_RATE_LIMITED). */
int svc_user_create(struct service *s, const struct svc_actor *a, const struct svc_user_change *c,
	struct svc_user *out, struct svc_error *e) must_check;
int svc_user_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_user *out, struct svc_error *e) must_check;
int svc_user_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct svc_user **out, size_t *n, bool *more, struct svc_error *e) must_check;
int svc_user_patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_user_change *c, struct svc_user *out,
	struct svc_error *e) must_check;
/* Its devices, credentials, tokens and logins go with it. The last admin can't be deleted,
 * disabled or demoted (SVC_CONFLICT). */
int svc_user_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct svc_error *e) must_check;

/* ---- devices and credentials ---- */

struct svc_credential {
	struct ulid id, device_id;
	uint8_t protocol;     /* enum dir_protocol */
	char fingerprint[65]; /* SHA-256 of the public key (OpenVPN: of the certificate), lower-case
				 hex */
	int64_t created_at, expires_at, revoked_at;
};
struct svc_device {
	struct ulid id, user_id;
	char name[SVC_NAME_MAX + 1];
	struct ip_addr address4, address6;
	bool enabled;
	int64_t expires_at, created_at, updated_at;
	uint64_t revision;
	struct svc_credential *credentials; /* oldest first, revoked ones too; owned */
	size_t n_credentials;
	struct device_live live;
};
void svc_device_fini(struct svc_device *d);
void svc_devices_free(struct svc_device *d, size_t n);

struct svc_device_change {
	bool set_user_id, set_name, set_address4, set_address6, set_enabled, set_expires_at;
	struct ulid user_id; /* at creation only; a user's own may leave it out */
	const char *name;
	struct ip_addr address4, address6; /* must be free and inside the tunnel networks */
	bool enabled;
	int64_t expires_at; /* 0 clears */
};
int svc_device_create(struct service *s, const struct svc_actor *a,
	const struct svc_device_change *c, struct svc_device *out, struct svc_error *e) must_check;
int svc_device_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_device *out, struct svc_error *e) must_check;
/* user_id: only that user's, when not NULL. */
int svc_device_list(struct service *s, const struct svc_actor *a, const struct ulid *user_id,
	const struct svc_page *p, struct svc_device **out, size_t *n, bool *more,
	struct svc_error *e) must_check;
int svc_device_patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_device_change *c, struct svc_device *out,
	struct svc_error *e) must_check;
int svc_device_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct svc_error *e) must_check;

struct svc_credential_request {
	uint8_t protocol; /* enum dir_protocol */
	const uint8_t
		*wg_public;  /* WireGuard, 32 bytes: the client made its own key; NULL: we do */
	const char *csr_pem; /* OpenVPN: the same */
	bool set_expires_at; /* false: the default lifetime of the settings */
	int64_t expires_at;
};
struct svc_issued {
	struct svc_credential credential;
	char profile[SVC_PROFILE_MAX]; /* secret: given this once, never stored; wiped by the caller
					*/
	char profile_filename[80]; /* "laptop.conf" or ".ovpn", safe characters, at most 15 before
				      the dot */
};
int svc_credential_issue(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_credential_request *r, struct svc_issued *out,
	struct svc_error *e) must_check;
int svc_credential_revoke(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_error *e) must_check;

/* ---- sessions ---- */

/* The caller frees *out. */
int svc_session_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct session_info **out, size_t *n, bool *more, struct svc_error *e) must_check;
int svc_session_kill(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_error *e) must_check;

/* ---- tokens ---- */

struct svc_token {
	struct ulid id, user_id;
	char name[SVC_NAME_MAX + 1];
	enum svc_role role;
	int64_t created_at, expires_at, last_used_at;
};
struct svc_token_request {
	const char *name;
	bool set_role;
	enum svc_role role; /* no higher than the owner's; left out: the actor's */
	int64_t expires_at;
};
/* secret: "ireko_" and 43 characters, given this once. The actor's own tokens, all for an admin. */
int svc_token_create(struct service *s, const struct svc_actor *a,
	const struct svc_token_request *r, struct svc_token *out, char secret[SVC_TOKEN_TEXT],
	struct svc_error *e) must_check;
int svc_token_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct svc_token **out, size_t *n, bool *more, struct svc_error *e) must_check;
int svc_token_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_error *e) must_check;

/* ---- settings ---- */

/* The whole numbers among them, in the order of the database.
 * X(name, JSON name, least, most, unless given at start)
 * keepalive: seconds, 0 for none; credential_lifetime_s: of new credentials without an expiry, 0
 * for no end; the others: days that rows of a minute, an hour, a day of traffic and of the audit
 * log are kept. */
#define SVC_NUMBERS(X)                                                                             \
	X(MTU, "mtu", 1280, 9000, 1420)                                                            \
	X(KEEPALIVE, "keepalive", 0, 3600, 25)                                                     \
	X(CREDENTIAL_LIFETIME, "credential_lifetime_s", 0, 3155760000, 0)                          \
	X(TRAFFIC_MINUTES, "traffic_retention.minutes", 1, 31, 2)                                  \
	X(TRAFFIC_HOURS, "traffic_retention.hours", 1, 366, 62)                                    \
	X(TRAFFIC_DAYS, "traffic_retention.days", 1, 36525, 1826)                                  \
	X(AUDIT_DAYS, "audit_retention_days", 1, 36525, 366)
#define SVC_NUMBER_ENUM(name, json, least, most, initial) SVC_##name,
enum svc_setting { SVC_NUMBERS(SVC_NUMBER_ENUM) SVC_SETTINGS };
#undef SVC_NUMBER_ENUM
enum { SVC_DNS_MAX = 4 };
struct svc_settings {
	char endpoint[256]; /* what profiles tell clients to connect to, without a port */
	char dns[256];	    /* addresses with ", " between them, "" for none */
	int64_t number[SVC_SETTINGS];
};
/* What holds now. */
void svc_settings_now(struct service *s, struct svc_settings *out);

struct svc_settings_state {
	struct svc_settings now, defaults; /* defaults: as given at start */
	int64_t updated_at;		   /* 0: never */
	uint64_t revision;
};
struct svc_number {
	bool there; /* false: back to the default */
	int64_t n;
};
struct svc_addresses {
	bool there;
	size_t n;
	struct ip_addr list[SVC_DNS_MAX];
};
struct svc_settings_change {
	bool set_endpoint, set_dns, set_number[SVC_SETTINGS];
	const char *endpoint; /* NULL: back to the default */
	struct svc_addresses dns;
	struct svc_number number[SVC_SETTINGS];
};
int svc_settings_get(struct service *s, const struct svc_actor *a, struct svc_settings_state *out,
	struct svc_error *e) must_check;
/* Admins. Holds at once: profiles made from now on, OpenVPN clients that connect from now on, the
 * tunnel device. */
int svc_settings_patch(struct service *s, const struct svc_actor *a, uint64_t if_match,
	const struct svc_settings_change *c, struct svc_settings_state *out,
	struct svc_error *e) must_check;

/* ---- audit ---- */

/* A row of the audit log; see service/audit.h. */
struct svc_audit_entry {
	struct ulid place; /* its sequence in the form that pages go on from */
	uint64_t sequence;
	int64_t at;
	struct ulid actor_id; /* zero: the service itself, or nobody who is known */
	char actor_name[SVC_NAME_MAX + 1];
	bool by_token, by_login;
	struct ulid token_id; /* by_token */
	struct ip_addr from;
	char action[33];
	char object_kind[4]; /* "usr", "" for none */
	struct ulid object_id;
	char outcome[9], detail[161];
	char hash[65]; /* lower-case hex */
};
struct svc_audit_filter {
	struct ulid actor, object; /* zero: any */
	char object_kind[4];	   /* goes with object */
	char action[33];	   /* "": any */
};
/* Newest first; page->after is the place of the last one before. Auditors, operators, admins. */
int svc_audit_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	const struct svc_audit_filter *f, struct svc_audit_entry **out, size_t *n, bool *more,
	struct svc_error *e) must_check;

struct svc_audit_state {
	bool ok;
	uint64_t rows, first, last; /* sequences; 0 for none */
	uint64_t broken_at;	    /* the first that is not what was written; 0 for none */
	char hash[65];		    /* of the last row */
};
/* Reads all of it; one at a time (SVC_RATE_LIMITED). */
int svc_audit_verify(struct service *s, const struct svc_actor *a, struct svc_audit_state *out,
	struct svc_error *e) must_check;
/* A request that was refused before or in its use-case (SVC_FORBIDDEN, SVC_RATE_LIMITED): what was
 * asked for, of which object (kind "" for none). */
void svc_audit_refused(struct service *s, const struct svc_actor *a, int outcome,
	const char *action, const char *kind, const struct ulid *object);

/* ---- backup ---- */

struct svc_backup {
	int fd; /* owned; a file without a name, at its beginning */
	uint64_t size;
	uint8_t sha256[32];
	int64_t made_at;
};
/* A snapshot of the database, for an admin. One at a time, from here until svc_backup_end, because
 * each takes its size of disk: another is SVC_RATE_LIMITED. It holds secrets only as sealed with
 * the master key, or hashed. */
int svc_backup_begin(struct service *s, const struct svc_actor *a, struct svc_backup *out,
	struct svc_error *e) must_check;
/* After a begin that succeeded, when its descriptor is closed. */
void svc_backup_end(struct service *s);

/* ---- what happens, and what has moved ---- */

struct events;
/* To be read by whoever may; see events.h. */
struct events *svc_events(struct service *s);
/* Whether the token or login that the actor came with is still good, and his role the same; not
 * counted as a use of it. Returns: 0, SVC_UNAUTHENTICATED, -errno. */
int svc_actor_stands(struct service *s, const struct svc_actor *a) must_check;

enum { SVC_TRAFFIC_POINTS = 2000, SVC_TRAFFIC_SERIES = 100 };
struct svc_traffic_request {
	bool has_device_id, has_user_id; /* neither: an actor who reads all gets one sum of all */
	struct ulid device_id, user_id;
	int64_t from, to; /* Unix ms, 0: as much as suits the step, now */
	uint32_t step;	  /* seconds: 1, 60, 3600, 86400; 0: what suits the range */
};
/* Inner bytes in a step that begins then. */
struct svc_traffic_point {
	int64_t at; /* Unix ms */
	uint64_t rx_bytes, tx_bytes;
};
struct svc_traffic_series {
	struct ulid device_id; /* zero: all devices */
	struct svc_traffic_point *points;
	size_t n;
};
/* from and to are widened to whole steps; steps in which nothing moved are left out. */
struct svc_traffic {
	int64_t from, to; /* Unix ms */
	uint32_t step;
	struct svc_traffic_series *series;
	size_t n;
};
int svc_traffic(struct service *s, const struct svc_actor *a, const struct svc_traffic_request *r,
	struct svc_traffic *out, struct svc_error *e) must_check;
void svc_traffic_fini(struct svc_traffic *t);

/* ---- status ---- */

/* For those who watch the machine. The caller has seen to it who that is. */
struct svc_figures {
	int64_t started_at;
	bool ready, db_writable;
	uint32_t schema_version;
	uint64_t db_bytes, wal_bytes, db_writes, db_failures;
	uint32_t sessions[2][2]; /* WireGuard, OpenVPN; UDP, TCP */
	struct dataplane_status dataplane;
	struct coordinator_figures loop;
	struct device_total *devices; /* when asked for; owned */
	size_t n_devices;
};
int svc_figures(struct service *s, bool devices, struct svc_figures *out) must_check;
void svc_figures_fini(struct svc_figures *f);

struct svc_status {
	int64_t started_at;
	uint32_t schema_version;
	bool database_ok;
	struct dataplane_status dataplane;
};
int svc_status(struct service *s, const struct svc_actor *a, struct svc_status *out,
	struct svc_error *e) must_check;
/* The database answers and the dataplane is connected and synchronised. why has 96 bytes. */
bool svc_ready(struct service *s, char *why);

#endif
