/*
 * The whole API over loopback sockets, with a service made of constants: framing, deadlines,
 * authentication, roles, answers. What the service functions record says whether a handler ran.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "api/api.h"
#include "api/dashboard.h"
#include "api/request.h"
#include "api/routes.h"
#include "base/secret.h"
#include "service/events.h"
#include "service/invites.h"
#include "service/once.h"
#include "service/service.h"
#include "uapi/uapi.h"

/* ---- a service of constants ---- */

static struct {
	atomic_int calls;		  /* of use-cases, not of authentication */
	atomic_int slow_ms;		  /* how long a use-case takes */
	atomic_uint devices;		  /* length of the device list */
	atomic_int outcome;		  /* what use-cases return */
	atomic_uint backup_size, backups; /* of one; that are not ended */
	struct svc_user_change user;
	struct svc_device_change device;
	char name[128];
	char csr[256]; /* of the last credential that was asked for */
	int once;      /* what svc_once_begin says */
	int begun, ended;
	bool remembered;
	char location[64];
	uint8_t request_sha256[32], key_sha256[32];
	int rendered; /* what render said, and made */
	struct svc_answer answer;
	struct svc_settings_change settings;
	struct svc_audit_filter filter;
	char refused[160]; /* what the audit log was told last */
	atomic_int refusals;
	bool openvpn; /* live tunnels are OpenVPN's, over TCP */
	uint16_t tls;
	atomic_int stands; /* what is said of whoever reads events */
	struct svc_traffic_request traffic;
	struct ip_addr from; /* of the last login, invite that was opened, or list of users */
} fake;

static struct events *events; /* real ones */

static const struct ulid some_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static int called(struct svc_error *e)
{
	const int outcome = atomic_load(&fake.outcome);

	atomic_fetch_add(&fake.calls, 1);
	if (atomic_load(&fake.slow_ms))
		poll(NULL, 0, atomic_load(&fake.slow_ms));
	if (outcome > 0 && e) {
		snprintf(e->field, sizeof(e->field), "name");
		snprintf(e->message, sizeof(e->message), "is \"odd\"\n");
		e->retry_after_s = 7;
	}
	return outcome;
}

const char *svc_role_name(enum svc_role r)
{
	static const char *const names[] = {"user", "auditor", "operator", "admin"};

	return names[r];
}

int svc_role_parse(const char *text, enum svc_role *out)
{
	for (unsigned r = 0; r < 4; r++) {
		if (strcmp(text, svc_role_name((enum svc_role)r)) == 0) {
			*out = (enum svc_role)r;
			return 0;
		}
	}
	return -EINVAL;
}

/* The token's text is the role's name. */
int svc_authenticate_token(struct service *s, const char *token, struct svc_actor *out)
{
	(void)s;
	memset(out, 0, sizeof(*out));
	out->user_id = some_id;
	if (strcmp(token, "broken") == 0)
		return -EIO;
	return svc_role_parse(token, &out->role) ? SVC_UNAUTHENTICATED : 0;
}

int svc_authenticate_cookie(struct service *s, const char *cookie, struct svc_actor *out)
{
	const int rc = svc_authenticate_token(s, cookie, out);

	out->by_login = true;
	return rc;
}

bool svc_csrf_ok(const struct svc_actor *a, const char *csrf_token)
{
	(void)a;
	return strcmp(csrf_token, "csrf") == 0;
}

int svc_login(struct service *s, const char *username, const char *password, const char *totp,
	const struct ip_addr *from, struct svc_login *out, struct svc_error *e)
{
	(void)s;
	(void)username;
	fake.from = *from;
	memset(out, 0, sizeof(*out));
	snprintf(out->cookie, sizeof(out->cookie), "admin");
	snprintf(out->csrf_token, sizeof(out->csrf_token), "csrf");
	if (strcmp(password, "right totp") == 0)
		return totp && strcmp(totp, "123456") == 0 ? called(e) : SVC_TOTP_REQUIRED;
	return strcmp(password, "right") == 0 ? called(e) : SVC_UNAUTHENTICATED;
}

int svc_totp_begin(struct service *s, const struct svc_actor *a, const char *password,
	struct svc_totp *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)password;
	snprintf(out->secret, sizeof(out->secret), "GEZDGNBV");
	snprintf(out->url, sizeof(out->url), "otpauth://totp/Ireko:ann?secret=GEZDGNBV");
	return called(e);
}

int svc_totp_confirm(
	struct service *s, const struct svc_actor *a, const char *code, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)code;
	return called(e);
}

int svc_totp_disable(struct service *s, const struct svc_actor *a, const char *password,
	const char *code, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)password;
	(void)code;
	return called(e);
}

int svc_totp_reset(
	struct service *s, const struct svc_actor *a, const struct ulid *user, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)user;
	return called(e);
}

int svc_logout(struct service *s, const struct svc_actor *a)
{
	(void)s;
	(void)a;
	return called(NULL);
}

static void a_user(struct svc_user *u)
{
	memset(u, 0, sizeof(*u));
	u->id = some_id;
	snprintf(u->name, sizeof(u->name), "ann\"<b>");
	u->role = SVC_ROLE_ADMIN;
	u->created_at = u->updated_at = 1700000000123;
	u->revision = 5;
}

int svc_user_create(struct service *s, const struct svc_actor *a, const struct svc_user_change *c,
	struct svc_user *out, struct svc_error *e)
{
	(void)s;
	fake.user = *c;
	snprintf(fake.name, sizeof(fake.name), "%s", c->name);
	a_user(out);
	if (a->once)
		fake.rendered = a->once->render(a->once->arg, out, &fake.answer);
	return called(e);
}

int svc_user_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_user *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	a_user(out);
	return called(e);
}

int svc_user_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct svc_user **out, size_t *n, bool *more, struct svc_error *e)
{
	(void)s;
	fake.from = a->from;
	*out = calloc(1, sizeof(**out));
	a_user(*out);
	*n = 1;
	*more = ulid_is_zero(&p->after);
	return called(e);
}

int svc_user_patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_user_change *c, struct svc_user *out,
	struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	fake.user = *c;
	a_user(out);
	return if_match && if_match != 5 ? SVC_PRECONDITION : called(e);
}

int svc_user_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	(void)if_match;
	return called(e);
}

static void a_session(struct session_info *i)
{
	memset(i, 0, sizeof(*i));
	i->id = i->device_id = i->user_id = some_id;
	i->protocol = UAPI_WIREGUARD;
	i->transport = UAPI_UDP;
	i->cipher = 1;
	if (fake.openvpn) {
		i->protocol = UAPI_OPENVPN;
		i->transport = UAPI_TCP;
		i->cipher = 2;
	}
	i->tls = fake.tls;
	i->started_at = 1700000000000;
	i->rx_bytes = UINT64_MAX;
	assert_int_equal(endpoint_parse(&i->endpoint, "[2001:db8::1]:5"), 0);
}

static void a_device(struct svc_device *d)
{
	memset(d, 0, sizeof(*d));
	d->id = d->user_id = some_id;
	snprintf(d->name, sizeof(d->name), "laptop");
	assert_int_equal(ip_addr_parse(&d->address4, "10.77.0.2"), 0);
	d->enabled = true;
	d->revision = 9;
	d->live.connected = true;
	a_session(&d->live.session);
	d->credentials = calloc(1, sizeof(*d->credentials));
	d->credentials[0].id = d->credentials[0].device_id = some_id;
	d->credentials[0].protocol = 1;
	d->n_credentials = 1;
}

void svc_device_fini(struct svc_device *d)
{
	free(d->credentials);
}

void svc_devices_free(struct svc_device *d, size_t n)
{
	for (size_t i = 0; i < n; i++)
		svc_device_fini(&d[i]);
	free(d);
}

static int a_device_or(struct svc_device *out, int rc)
{
	if (rc == 0)
		a_device(out);
	return rc;
}

int svc_device_create(struct service *s, const struct svc_actor *a,
	const struct svc_device_change *c, struct svc_device *out, struct svc_error *e)
{
	(void)s;
	fake.device = *c;
	if (a->once) {
		a_device(out);
		fake.rendered = a->once->render(a->once->arg, out, &fake.answer);
		svc_device_fini(out);
	}
	return a_device_or(out, called(e));
}

int svc_device_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_device *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	return a_device_or(out, called(e));
}

int svc_device_list(struct service *s, const struct svc_actor *a, const struct ulid *user_id,
	const struct svc_page *p, struct svc_device **out, size_t *n, bool *more,
	struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)user_id;
	(void)p;
	*n = atomic_load(&fake.devices);
	*out = calloc(*n ? *n : 1, sizeof(**out));
	*more = false;
	for (size_t i = 0; i < *n; i++)
		a_device(&(*out)[i]);
	return called(e);
}

int svc_device_patch(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, const struct svc_device_change *c, struct svc_device *out,
	struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	(void)if_match;
	fake.device = *c;
	return a_device_or(out, called(e));
}

int svc_device_delete(struct service *s, const struct svc_actor *a, const struct ulid *id,
	uint64_t if_match, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	return if_match && if_match != 9 ? SVC_PRECONDITION : called(e);
}

int svc_credential_issue(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_credential_request *r, struct svc_issued *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)device;
	memset(out, 0, sizeof(*out));
	out->credential.id = out->credential.device_id = some_id;
	out->credential.protocol = r->protocol;
	snprintf(fake.csr, sizeof(fake.csr), "%s", r->csr_pem ? r->csr_pem : "none");
	if (r->protocol == DIR_OPENVPN) /* longer than any QR code */
		memset(out->profile, '#', sizeof(out->profile) - 1);
	else
		snprintf(out->profile, sizeof(out->profile), "[Interface]\nPrivateKey = x\n");
	snprintf(out->profile_filename, sizeof(out->profile_filename), "laptop.%s",
		r->protocol == DIR_OPENVPN ? "ovpn" : "conf");
	return called(e);
}

int svc_credential_revoke(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	return called(e);
}

int svc_session_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct session_info **out, size_t *n, bool *more, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)p;
	*out = calloc(1, sizeof(**out));
	a_session(*out);
	*n = 1;
	*more = false;
	return called(e);
}

int svc_session_kill(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	return called(e);
}

int svc_token_create(struct service *s, const struct svc_actor *a,
	const struct svc_token_request *r, struct svc_token *out, char secret[SVC_TOKEN_TEXT],
	struct svc_error *e)
{
	(void)s;
	(void)a;
	memset(out, 0, sizeof(*out));
	out->id = out->user_id = some_id;
	snprintf(out->name, sizeof(out->name), "%s", r->name);
	snprintf(secret, SVC_TOKEN_TEXT, "ireko_secret");
	return called(e);
}

int svc_token_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct svc_token **out, size_t *n, bool *more, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)p;
	*out = NULL;
	*n = 0;
	*more = false;
	return called(e);
}

int svc_token_delete(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	return called(e);
}

static void some_settings(struct svc_settings_state *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->now.endpoint, sizeof(out->now.endpoint), "vpn.example.org");
	snprintf(out->now.dns, sizeof(out->now.dns), "9.9.9.9, 2620:fe::fe");
	for (size_t i = 0; i < SVC_SETTINGS; i++)
		out->now.number[i] = (int64_t)i + 10;
	snprintf(out->defaults.endpoint, sizeof(out->defaults.endpoint), "192.0.2.1");
	out->revision = 3;
}

int svc_settings_get(struct service *s, const struct svc_actor *a, struct svc_settings_state *out,
	struct svc_error *e)
{
	(void)s;
	(void)a;
	some_settings(out);
	return called(e);
}

int svc_settings_patch(struct service *s, const struct svc_actor *a, uint64_t if_match,
	const struct svc_settings_change *c, struct svc_settings_state *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	fake.settings = *c;
	some_settings(out);
	return if_match && if_match != 3 ? SVC_PRECONDITION : called(e);
}

static void an_invite(struct svc_invite *i)
{
	*i = (struct svc_invite){.id = some_id,
		.device_id = some_id,
		.created_by = some_id,
		.protocol = DIR_WIREGUARD,
		.created_at = 1700000000000,
		.expires_at = 1700000900000};
}

int svc_invite_create(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_invite_request *r, struct svc_invite *out, char secret[INVITE_TEXT],
	struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)device;
	an_invite(out);
	out->protocol = r->protocol;
	out->expires_at = r->expires_at ? r->expires_at : out->expires_at;
	snprintf(secret, INVITE_TEXT, "invite_secret");
	return called(e);
}

int svc_invite_list(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_page *p, struct svc_invite **out, size_t *n, bool *more,
	struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)device;
	(void)p;
	*out = calloc(1, sizeof(**out));
	an_invite(*out);
	*n = 1;
	*more = false;
	return called(e);
}

int svc_invite_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_invite *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	an_invite(out);
	return called(e);
}

int svc_invite_delete(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	(void)s;
	(void)a;
	(void)id;
	return called(e);
}

int svc_invite_open(struct service *s, const char *secret, size_t secret_len,
	const struct ip_addr *from, struct svc_issued *out, struct svc_error *e)
{
	(void)s;
	fake.from = *from;
	memset(out, 0, sizeof(*out));
	snprintf(fake.name, sizeof(fake.name), "%.*s", (int)secret_len, secret);
	snprintf(out->profile, sizeof(out->profile), "[Interface]\nPrivateKey = <&\"'>\n");
	if (fake.openvpn)
		memset(out->profile, '#', sizeof(out->profile) - 1);
	snprintf(out->profile_filename, sizeof(out->profile_filename), "laptop.conf");
	return called(e);
}

void svc_answer_fini(struct svc_answer *a)
{
	free(a->body);
	memset(a, 0, sizeof(*a));
}

int svc_once_begin(
	struct service *s, const struct svc_actor *a, struct svc_answer *out, struct svc_error *e)
{
	(void)s;
	memset(out, 0, sizeof(*out));
	fake.begun++;
	memcpy(fake.request_sha256, a->once->request_sha256, 32);
	memcpy(fake.key_sha256, a->once->key_sha256, 32);
	if (fake.once == SVC_CONFLICT) {
		snprintf(e->message, sizeof(e->message), "is not finished");
		e->retry_after_s = 3;
	}
	if (fake.once != ONCE_REPEAT)
		return fake.once;
	out->status = 201;
	snprintf(out->location, sizeof(out->location), "/v1/users/usr_first");
	snprintf(out->etag, sizeof(out->etag), "\"1\"");
	out->body = strdup("{\"first\":true}");
	return ONCE_REPEAT;
}

void svc_once_end(struct service *s, const struct svc_actor *a, const struct svc_answer *given)
{
	(void)s;
	(void)a;
	fake.ended++;
	fake.remembered = given != NULL;
	if (given)
		snprintf(fake.location, sizeof(fake.location), "%s", given->location);
}

int svc_audit_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	const struct svc_audit_filter *f, struct svc_audit_entry **out, size_t *n, bool *more,
	struct svc_error *e)
{
	struct svc_audit_entry *rows = calloc(2, sizeof(*rows));

	(void)s;
	(void)a;
	(void)p;
	fake.filter = *f;
	rows[0] = (struct svc_audit_entry){.sequence = 7,
		.at = 1700000000000,
		.actor_id = some_id,
		.actor_name = "ann",
		.by_token = true,
		.token_id = some_id,
		.action = "user.create",
		.object_kind = "usr",
		.object_id = some_id,
		.outcome = "ok",
		.detail = "bob, role user"};
	assert_int_equal(ip_addr_parse(&rows[0].from, "192.0.2.7"), 0);
	rows[0].place.bytes[15] = 7;
	rows[1] = (struct svc_audit_entry){
		.sequence = 6, .action = "audit.begin", .outcome = "ok", .hash = "ab"};
	rows[1].place.bytes[15] = 6;
	*out = rows;
	*n = 2;
	*more = true;
	return called(e);
}

int svc_audit_verify(struct service *s, const struct svc_actor *a, struct svc_audit_state *out,
	struct svc_error *e)
{
	(void)s;
	(void)a;
	*out = (struct svc_audit_state){
		.rows = 5, .first = 3, .last = 7, .broken_at = 4, .hash = "ab"};
	return called(e);
}

void svc_audit_refused(struct service *s, const struct svc_actor *a, int outcome,
	const char *action, const char *kind, const struct ulid *object)
{
	char id[ULID_TEXT];

	(void)s;
	snprintf(fake.refused, sizeof(fake.refused), "%d %s %s %s from %u", outcome, action, kind,
		kind[0] ? ulid_format(object, id) : "-", a->from.bytes[0]);
	atomic_fetch_add(&fake.refusals, 1);
}

/* fake.backup_size bytes of 'b'. */
int svc_backup_begin(
	struct service *s, const struct svc_actor *a, struct svc_backup *out, struct svc_error *e)
{
	static char piece[64 * 1024];
	const int rc = called(e);

	(void)s;
	(void)a;
	*out = (struct svc_backup){.fd = -1, .size = 3, .sha256 = {1, 2, 3}};
	if (atomic_load(&fake.backup_size))
		out->size = atomic_load(&fake.backup_size);
	if (rc)
		return rc;
	memset(piece, 'b', sizeof(piece));
	out->fd = memfd_create("backup", MFD_CLOEXEC);
	out->made_at = 1700000000123;
	for (uint64_t n = 0; n < out->size; n += sizeof(piece))
		assert_true(pwrite(out->fd, piece, sizeof(piece), (off_t)n) > 0);
	atomic_fetch_add(&fake.backups, 1);
	return 0;
}

void svc_backup_end(struct service *s)
{
	(void)s;
	atomic_fetch_sub(&fake.backups, 1);
}

int svc_status(
	struct service *s, const struct svc_actor *a, struct svc_status *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	memset(out, 0, sizeof(*out));
	out->started_at = 1700000000000;
	out->database_ok = true;
	out->schema_version = 1;
	out->dataplane.connected = true;
	out->dataplane.n_listen = 1;
	snprintf(out->dataplane.listen[0], 64, "udp://[::]:51820");
	out->dataplane.offloads = UAPI_OFFLOAD_TUN_GSO | UAPI_OFFLOAD_UDP_GRO;
	out->dataplane.n_verdicts = 2;
	snprintf(out->dataplane.verdicts[0].name, 32, "delivered");
	snprintf(out->dataplane.verdicts[1].name, 32, "replay");
	out->dataplane.verdicts[1].count = 3;
	out->dataplane.n_aead = 1;
	out->dataplane.aead[0] = (struct cipher_library){"AES-256-GCM", "openssl"};
	return called(e);
}

struct events *svc_events(struct service *s)
{
	(void)s;
	return events;
}

int svc_actor_stands(struct service *s, const struct svc_actor *a)
{
	(void)s;
	(void)a;
	return atomic_load(&fake.stands);
}

int svc_traffic(struct service *s, const struct svc_actor *a, const struct svc_traffic_request *r,
	struct svc_traffic *out, struct svc_error *e)
{
	(void)s;
	(void)a;
	fake.traffic = *r;
	*out = (struct svc_traffic){.from = 1700000000000, .to = 1700000120000, .step = 60, .n = 2};
	out->series = calloc(2, sizeof(*out->series));
	out->series[1].device_id = some_id;
	out->series[1].points = calloc(2, sizeof(*out->series[1].points));
	out->series[1].n = 2;
	for (int i = 0; i < 2; i++)
		out->series[1].points[i] =
			(struct svc_traffic_point){1700000000000 + i * 60000, 5, UINT64_MAX >> i};
	return called(e);
}

void svc_traffic_fini(struct svc_traffic *t)
{
	free(t->series[1].points);
	free(t->series);
}

int svc_figures(struct service *s, bool devices, struct svc_figures *out)
{
	(void)s;
	memset(out, 0, sizeof(*out));
	out->schema_version = 9;
	out->sessions[1][1] = 4;
	out->dataplane.n_verdicts = 2;
	snprintf(out->dataplane.verdicts[0].name, 32, "delivered");
	snprintf(out->dataplane.verdicts[1].name, 32, "replay");
	out->dataplane.verdicts[1].count = 3;
	out->loop.n_handshakes = 1;
	out->loop.handshakes[0] = (struct handshake_count){UAPI_OPENVPN, "refused", 8};
	if (devices) {
		out->devices = calloc(1, sizeof(*out->devices));
		out->devices[0] = (struct device_total){some_id, true, 11, 12};
		out->n_devices = 1;
	}
	atomic_fetch_add(&fake.calls, 1);
	return atomic_load(&fake.outcome);
}

void svc_figures_fini(struct svc_figures *f)
{
	free(f->devices);
}

bool svc_ready(struct service *s, char *why)
{
	(void)s;
	snprintf(why, 96, "no dataplane");
	return atomic_load(&fake.outcome) == 0;
}

/* ---- a client ---- */

enum { REQUEST_MS = 1500, STUCK_MS = 600, MAX_CONNECTIONS = 40 };

static struct api *api;
static uint16_t port;

static int start(void **state)
{
	struct api_conf conf = {.max_connections = MAX_CONNECTIONS, .request_ms = REQUEST_MS};
	const struct clock clock = clock_system();
	char why[160] = "";

	(void)state;
	if (!events)
		assert_int_equal(events_new(&events, &clock), 0);
	conf.metrics_devices = true;
	assert_int_equal(endpoint_parse(&conf.listen, "127.0.0.1:0"), 0);
	assert_int_equal(api_start(&api, &conf, NULL, why), 0);
	port = api_address(api).port;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	api_stop(api);
	events_free(events);
	events = NULL;
	return 0;
}

static int fresh(void **state)
{
	(void)state;
	svc_answer_fini(&fake.answer);
	memset(&fake, 0, sizeof(fake));
	atomic_store(&fake.devices, 1);
	return 0;
}

static int dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	const struct timeval patience = {.tv_sec = 10};
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t n)
{
	while (n > 0) {
		const ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		text += sent;
		n -= (size_t)sent;
	}
}

struct answer {
	unsigned status;
	bool closed; /* by the server, after it */
	size_t len;
	char text[65536];
};

static bool is_stream(const struct answer *a)
{
	return strstr(a->text, "Content-Type: text/event-stream") != NULL;
}

/* Reads one answer; a second read tells whether the connection is over. */
static void hear(int fd, struct answer *a)
{
	char *body, *length;
	size_t want = SIZE_MAX;

	memset(a, 0, sizeof(*a));
	while (a->len < sizeof(a->text) - 1 && a->len < want) {
		const ssize_t n = recv(fd, a->text + a->len, sizeof(a->text) - 1 - a->len, 0);

		if (n <= 0) {
			a->closed = true;
			break;
		}
		a->len += (size_t)n;
		body = strstr(a->text, "\r\n\r\n");
		length = strstr(a->text, "Content-Length: ");
		if (body && is_stream(a)) /* it has no end */
			want = 0;
		else if (body)
			want = (size_t)(body + 4 - a->text) +
			       (length && length < body ? strtoul(length + 16, NULL, 10) : 0);
	}
	if (sscanf(a->text, "HTTP/1.1 %u", &a->status) != 1)
		a->status = 0;
}

static bool is_over(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) <= 0;
}

static struct answer *ask_bytes(const char *text, size_t n)
{
	static struct answer a;
	const int fd = dial();

	say(fd, text, n);
	hear(fd, &a);
	if (strstr(a.text, "Connection: close") && !is_stream(&a))
		a.closed = is_over(fd);
	close(fd);
	return &a;
}

static struct answer *ask(const char *text)
{
	return ask_bytes(text, strlen(text));
}

#define HOST  "Host: localhost\r\n"
#define ADMIN "Authorization: Bearer admin\r\n"
#define JSON  "Content-Type: application/json\r\n"
#define ID    "01081G81860W40J2GB1G6GW3RG"

/* method and path, extra header lines, body */
static struct answer *request(const char *line, const char *fields, const char *body)
{
	char text[70000];
	char length[96] = "";

	if (body)
		snprintf(length, sizeof(length), "%sContent-Length: %zu\r\n",
			strstr(fields, "Content-Type") ? "" : JSON, strlen(body));
	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n" HOST "%s%s\r\n%s", line, fields, length,
		body ? body : "");
	return ask(text);
}

/* ---- framing ---- */

static const struct {
	const char *name, *text;
	unsigned status;
} malformed[] = {
	{"two Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		400},
	{"differing Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
		400},
	{"list in Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: 2, 2\r\n\r\n{}", 400},
	{"signed Content-Length", "POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: +2\r\n\r\n{}",
		400},
	{"negative Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: -2\r\n\r\n{}", 400},
	{"hexadecimal Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: 0x2\r\n\r\n{}", 400},
	{"empty Content-Length", "POST /v1/users HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\n",
		400},
	{"huge Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST
		"Content-Length: 99999999999999999999999\r\n\r\n",
		413},
	{"chunked",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		400},
	{"chunked and length",
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
		400},
	{"odd transfer encoding",
		"POST /v1/users HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 400},
	{"identity", "GET /healthz HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400},
	{"no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400},
	{"two Host", "GET /healthz HTTP/1.1\r\n" HOST HOST "\r\n", 400},
	{"empty Host", "GET /healthz HTTP/1.1\r\nHost: \r\n\r\n", 400},
	{"Host with a path", "GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{"Host with user", "GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
	{"Host with a bad port", "GET /healthz HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400},
	{"Host with a blank", "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	{"bare LF", "GET /healthz HTTP/1.1\nHost: localhost\n\n", 400},
	{"bare LF in one line", "GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", 400},
	{"bare LF at the end", "GET /healthz HTTP/1.1\r\n" HOST "X: y\n\r\n", 400},
	{"bare LF as last line", "GET /healthz HTTP/1.1\r\n" HOST "X: y\r\n\n", 400},
	{"bare CR in a value", "GET /healthz HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", 400},
	{"folded line", "GET /healthz HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", 400},
	{"folded Content-Length",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length:\r\n 2\r\n\r\n{}", 400},
	{"folded first line", "GET /healthz HTTP/1.1\r\n " HOST "\r\n", 400},
	{"blank before the colon", "GET /healthz HTTP/1.1\r\n" HOST "X : a\r\n\r\n", 400},
	{"blank before Content-Length's colon",
		"POST /v1/users HTTP/1.1\r\n" HOST "Content-Length : 2\r\n\r\n{}", 400},
	{"no name", "GET /healthz HTTP/1.1\r\n" HOST ": a\r\n\r\n", 400},
	{"no colon", "GET /healthz HTTP/1.1\r\n" HOST "nonsense\r\n\r\n", 400},
	{"odd name", "GET /healthz HTTP/1.1\r\n" HOST "X(y): a\r\n\r\n", 400},
	{"control character in a value",
		"GET /healthz HTTP/1.1\r\n" HOST "X: a\x01"
		"b\r\n\r\n",
		400},
	{"two Authorization", "GET /v1/me HTTP/1.1\r\n" HOST ADMIN ADMIN "\r\n", 400},
	{"HTTP/1.0", "GET /healthz HTTP/1.0\r\n" HOST "\r\n", 505},
	{"HTTP/1.2", "GET /healthz HTTP/1.2\r\n" HOST "\r\n", 505},
	{"HTTP/0.9", "GET /healthz\r\n\r\n", 400},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"lower-case version", "GET /healthz http/1.1\r\n" HOST "\r\n", 400},
	{"unknown method", "BREW /healthz HTTP/1.1\r\n" HOST "\r\n", 501},
	{"lower-case method", "get /healthz HTTP/1.1\r\n" HOST "\r\n", 501},
	{"TRACE", "TRACE /healthz HTTP/1.1\r\n" HOST "\r\n", 501},
	{"CONNECT", "CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n", 501},
	{"absolute form", "GET http://localhost/healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"other host in absolute form", "GET http://other/healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400},
	{"dot segment", "GET /v1/../healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"dot at the end", "GET /v1/.. HTTP/1.1\r\n" HOST "\r\n", 400},
	{"single dot", "GET /./healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded dots", "GET /v1/%2e%2e/healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded slash", "GET /v1%2fme HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded NUL", "GET /healthz%00 HTTP/1.1\r\n" HOST "\r\n", 400},
	{"encoded NUL in the query", "GET /healthz?a=%00 HTTP/1.1\r\n" HOST "\r\n", 400},
	{"half an escape in the query", "GET /healthz?a=%f HTTP/1.1\r\n" HOST "\r\n", 400},
	{"double slash", "GET //healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"backslash", "GET /v1\\me HTTP/1.1\r\n" HOST "\r\n", 400},
	{"fragment", "GET /healthz#x HTTP/1.1\r\n" HOST "\r\n", 400},
	{"control character in the target", "GET /heal\x01thz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"tab in the target", "GET /heal\tthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"blank in the target", "GET /heal thz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"high bytes in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400},
	{"two blanks", "GET  /healthz HTTP/1.1\r\n" HOST "\r\n", 400},
	{"body on GET", "GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 400},
	{"body on DELETE",
		"DELETE /v1/tokens/tok_" ID " HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 2\r\n\r\n{}",
		400},
	{"upgrade",
		"GET /healthz HTTP/1.1\r\n" HOST
		"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		400},
	{"option that names a field", "GET /healthz HTTP/1.1\r\n" HOST "Connection: Host\r\n\r\n",
		400},
	{"odd Expect", "GET /healthz HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n", 417},
	{"Trailer", "GET /healthz HTTP/1.1\r\n" HOST "Trailer: X\r\n\r\n", 400},
	{"method override",
		"POST /v1/users HTTP/1.1\r\n" HOST
		"X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n",
		400},
};

static void refuses_malformed_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		const struct answer *a = ask(malformed[i].text);

		if (a->status != malformed[i].status || !a->closed)
			fail_msg("%s: %u%s: %s", malformed[i].name, a->status,
				a->closed ? "" : ", not closed", a->text);
	}
	assert_int_equal(atomic_load(&fake.calls), 0);
}

/* libmicrohttpd 1.0 hangs up on some of them by itself, before we see the request. */
static void assert_refused(const char *text, size_t n)
{
	const struct answer *a = ask_bytes(text, n);

	if ((a->status != 400 && a->len > 0) || !a->closed)
		fail_msg("%s: %u%s: %s", text, a->status, a->closed ? "" : ", not closed", a->text);
}

static void refuses_nul_bytes(void **state)
{
	static const char target[] = "GET /v1/user\0s HTTP/1.1\r\n" HOST ADMIN "\r\n";
	static const char end[] = "GET /v1/users\0 HTTP/1.1\r\n" HOST ADMIN "\r\n";
	static const char value[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "X: a\0b\r\n\r\n";
	static const char line[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "\0X: b\r\n\r\n";
	static const char blank[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "X: a\0 \r\n\r\n";
	static const char folded[] = "GET /v1/users HTTP/1.1\r\n" HOST ADMIN "X: a\0 \r\n \r\n\r\n";
	static const char method[] = "GET\0X /v1/users HTTP/1.1\r\n" HOST ADMIN "\r\n";

	(void)state;
	assert_refused(target, sizeof(target) - 1);
	assert_refused(end, sizeof(end) - 1);
	assert_refused(value, sizeof(value) - 1);
	assert_refused(line, sizeof(line) - 1);
	assert_refused(blank, sizeof(blank) - 1);
	assert_refused(folded, sizeof(folded) - 1);
	assert_refused(method, sizeof(method) - 1);
	assert_int_equal(atomic_load(&fake.calls), 0);
	/* The same without a NUL arrives. */
	assert_int_equal(ask("GET /v1/users HTTP/1.1\r\n" HOST ADMIN "\r\n")->status, 200);
	assert_int_not_equal(atomic_load(&fake.calls), 0);
}

/* RFC 9112 5.1: blanks around a value are no part of it. */
static void takes_blanks_around_values(void **state)
{
	static const char *const fields[] = {
		"Authorization: Bearer admin \r\n",
		"Authorization: Bearer admin  \t\r\nX: y\r\n",
		"Authorization: \t Bearer admin\t \r\nX: y \r\nY: z  \r\n",
		"X: \r\n" ADMIN,
		"X:\r\nY: \t \r\n" ADMIN "Z:\r\n",
		ADMIN "X: \t\r\n",
		"X:y \r\nAuthorization:Bearer admin \r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct answer *a = request("GET /v1/users", fields[i], NULL);

		if (a->status != 200 || a->closed)
			fail_msg("%s: %u: %s", fields[i], a->status, a->text);
	}
	assert_int_equal(atomic_load(&fake.calls), ARRAY_SIZE(fields));
}

static void refuses_what_is_too_big(void **state)
{
	static char text[80000];
	size_t n;

	(void)state;
	/* 4 KiB and one byte, and far more than libmicrohttpd's memory */
	for (size_t len = 4097; len <= 40000; len += 35903) {
		n = (size_t)snprintf(text, sizeof(text), "GET /");
		memset(text + n, 'a', len - 1);
		n += len - 1;
		n += (size_t)snprintf(text + n, sizeof(text) - n, " HTTP/1.1\r\n" HOST "\r\n");
		assert_int_equal(ask_bytes(text, n)->status, 414);
	}
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 64; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X-%d: y\r\n", i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 431);
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST "X: ");
	memset(text + n, 'a', 17000);
	n += 17000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 431);
	n = (size_t)snprintf(text, sizeof(text),
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON "Content-Length: 65537\r\n\r\n");
	memset(text + n, ' ', 65537);
	assert_int_equal(ask_bytes(text, n + 65537)->status, 413);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void takes_the_largest_that_is_allowed(void **state)
{
	static char text[80000];
	size_t n;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 63; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X-%d: y\r\n", i);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 200);
	n = (size_t)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" HOST "X: ");
	memset(text + n, 'a', 16000);
	n += 16000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n\r\n");
	assert_int_equal(ask_bytes(text, n)->status, 200);
	n = (size_t)snprintf(text, sizeof(text),
		"POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON
		"Content-Length: 65536\r\n\r\n{\"name\":\"ann\"");
	memset(text + n, ' ', 65536);
	text[n + 65536 - 13 - 1] = '}';
	assert_int_equal(ask_bytes(text, n + 65536 - 13)->status, 201);
}

static void an_answer_closes_the_door_to_what_follows(void **state)
{
	static struct answer a;
	const int fd = dial();
	const char *two = "GET /healthz HTTP/1.1\r\n" HOST HOST "\r\n"
			  "GET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n";

	(void)state;
	say(fd, two, strlen(two));
	hear(fd, &a);
	assert_int_equal(a.status, 400);
	assert_true(is_over(fd));
	close(fd);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void keeps_connections_and_answers_in_order(void **state)
{
	static struct answer a;
	const int fd = dial();
	const char *two = "\r\nGET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n"
			  "GET /v1/nothing HTTP/1.1\r\n" HOST ADMIN "\r\n";

	(void)state;
	for (int i = 0; i < 20; i++) {
		say(fd, "GET /healthz HTTP/1.1\r\n" HOST "\r\n", 40 + 2);
		hear(fd, &a);
		assert_int_equal(a.status, 200);
	}
	say(fd, two, strlen(two));
	hear(fd, &a);
	assert_int_equal(a.status, 200);
	close(fd);
}

/* ---- deadlines ---- */

/* Milliseconds until the server ends the connection while one byte comes every 100 ms. */
static unsigned drip(const char *begin, const char *more)
{
	const struct clock clock = clock_system();
	const uint64_t start_ms = clock_mono_ms(&clock);
	const int fd = dial();
	size_t at = 0;
	bool over = false;

	say(fd, begin, strlen(begin));
	while (!over && clock_mono_ms(&clock) - start_ms < 5 * REQUEST_MS) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, 100) > 0)
			over = is_over(fd);
		else if (more[at])
			say(fd, more + at++, 1);
	}
	close(fd);
	return (unsigned)(clock_mono_ms(&clock) - start_ms);
}

static void assert_in_time(unsigned ms)
{
	if (ms + 50 < REQUEST_MS || ms > REQUEST_MS + 1000)
		fail_msg("closed after %u ms", ms);
}

static void ends_slow_senders(void **state)
{
	static const char slow[] =
		"X-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	(void)state;
	assert_in_time(drip("", "G"));
	assert_in_time(
		drip("GET /healthz HT", "TP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_in_time(drip("GET /healthz HTTP/1.1\r\n" HOST, slow));
	assert_in_time(
		drip("POST /v1/users HTTP/1.1\r\n" HOST ADMIN JSON "Content-Length: 1000\r\n\r\n{",
			slow));
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void ends_slow_senders_on_kept_connections(void **state)
{
	static struct answer a;
	const struct clock clock = clock_system();
	uint64_t start_ms;
	const int fd = dial();

	(void)state;
	say(fd, "GET /healthz HTTP/1.1\r\n" HOST "\r\n", 42);
	hear(fd, &a);
	assert_int_equal(a.status, 200);
	/* Between requests there is more time than for one. */
	poll(NULL, 0, REQUEST_MS + 600);
	start_ms = clock_mono_ms(&clock);
	say(fd, "GET", 3);
	assert_true(is_over(fd));
	assert_in_time((unsigned)(clock_mono_ms(&clock) - start_ms));
	close(fd);
}

static void ends_slow_readers(void **state)
{
	static const char get[] = "GET /v1/devices HTTP/1.1\r\n" HOST ADMIN "\r\n";
	const struct clock clock = clock_system();
	const int small = 4096, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	uint64_t start_ms;
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	(void)state;
	atomic_store(&fake.devices, 20000);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	start_ms = clock_mono_ms(&clock);
	say(fd, get, sizeof(get) - 1);
	while (clock_mono_ms(&clock) - start_ms < 5 * REQUEST_MS) {
		static char sink[512];

		if (poll(&p, 1, 50) > 0 || recv(fd, sink, sizeof(sink), MSG_DONTWAIT) == 0)
			break;
	}
	/* What is still in flight comes first; the end is seen when a little of it was read. */
	while (clock_mono_ms(&clock) - start_ms < 5 * REQUEST_MS) {
		static char sink[65536];

		if (recv(fd, sink, sizeof(sink), 0) <= 0)
			break;
	}
	close(fd);
	assert_in_range(clock_mono_ms(&clock) - start_ms, REQUEST_MS - 50, REQUEST_MS + 2500);
}

static void idlers_make_room(void **state)
{
	int idle[3 * MAX_CONNECTIONS];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		idle[i] = dial();
		say(idle[i], "G", 1);
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 200);
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		close(idle[i]);
}

static void *ask_slowly(void *arg)
{
	static const char get[] = "GET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n";
	struct answer *a = malloc(sizeof(*a));
	unsigned *status = arg;
	const int fd = dial();

	say(fd, get, sizeof(get) - 1);
	hear(fd, a);
	*status = a->status;
	close(fd);
	free(a);
	return NULL;
}

static void slow_use_cases_do_not_stop_the_rest(void **state)
{
	pthread_t threads[12];
	unsigned status[12] = {0};
	const struct clock clock = clock_system();
	uint64_t start_ms;

	(void)state;
	atomic_store(&fake.slow_ms, 200);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_slowly, &status[i]), 0);
	start_ms = clock_mono_ms(&clock);
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 200);
	assert_true(clock_mono_ms(&clock) - start_ms < 200);
	/* Another lane. */
	start_ms = clock_mono_ms(&clock);
	assert_int_equal(request("DELETE /v1/users/usr_" ID, ADMIN, NULL)->status, 204);
	assert_true(clock_mono_ms(&clock) - start_ms < 500);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(status[i], 200);
	}
}

static void an_answer_that_comes_too_late_is_not_sent(void **state)
{
	static struct answer a;
	static const char get[] = "GET /v1/me HTTP/1.1\r\n" HOST ADMIN "\r\n";
	const int fd = dial();

	(void)state;
	atomic_store(&fake.slow_ms, REQUEST_MS + 700);
	say(fd, get, sizeof(get) - 1);
	hear(fd, &a);
	assert_int_equal(a.status, 0);
	assert_true(a.closed);
	close(fd);
}

/* ---- who may do what: the whole table ---- */

static void path_of(const struct route *r, char *out, size_t cap)
{
	const char *brace = strchr(r->pattern, '{');

	if (!brace)
		snprintf(out, cap, "%s", r->pattern);
	else
		snprintf(out, cap, "%.*s%.3s_" ID "%s", (int)(brace - r->pattern), r->pattern,
			brace + 1, brace + 5);
}

static const char *body_of(const struct route *r)
{
	static const struct {
		const struct json_schema *schema;
		const char *body;
	} bodies[] = {
		{&body_login, "{\"username\":\"a\",\"password\":\"right\"}"},
		{&body_user_create, "{\"name\":\"a\"}"},
		{&body_user_patch, "{}"},
		{&body_device_create, "{\"name\":\"a\"}"},
		{&body_device_patch, "{}"},
		{&body_credential, "{\"protocol\":\"wireguard\"}"},
		{&body_token, "{\"name\":\"a\"}"},
		{&body_invite, "{\"protocol\":\"wireguard\"}"},
		{&body_settings, "{}"},
		{&body_totp_begin, "{\"password\":\"right\"}"},
		{&body_totp_confirm, "{\"totp\":\"123456\"}"},
		{&body_totp_disable, "{\"password\":\"right\",\"totp\":\"123456\"}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		if (bodies[i].schema == r->body)
			return bodies[i].body;
	}
	return NULL;
}

static unsigned try_route(const struct route *r, const char *fields, bool *only_error)
{
	char path[160], line[200];
	const struct answer *a;

	path_of(r, path, sizeof(path));
	snprintf(line, sizeof(line), "%s %s", http_method_name(r->method), path);
	a = request(line, fields, body_of(r));
	*only_error = strstr(a->text, "\r\n\r\n{\"type\":\"about:blank\",\"title\":") != NULL &&
		      strstr(a->text, "usr_") == NULL;
	return a->status;
}

static void every_route_asks_who_is_there(void **state)
{
	static const char *const strangers[] = {"", "Authorization: Bearer nobody\r\n",
		"Authorization: Bearer\r\n", "Authorization: Basic YTpi\r\n",
		"Authorization: Bearer admin admin\r\n", "Authorization: admin\r\n",
		"Cookie: ireko=nobody\r\n", "Cookie: ireko=admin; ireko=admin\r\n",
		"Cookie: __Host-ireko=admin\r\n", "Cookie: xireko=admin\r\n",
		"Cookie: ireko=admin\r\nAuthorization: Bearer nobody\r\n"};

	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		bool only_error;

		if (routes[i].access & ACCESS_PUBLIC)
			continue;
		for (size_t k = routes[i].access & ACCESS_LOCAL ? 1 : 0; k < ARRAY_SIZE(strangers);
			k++) {
			if (try_route(&routes[i], strangers[k], &only_error) != 401 || !only_error)
				fail_msg("%s with %s", routes[i].pattern, strangers[k]);
		}
		assert_int_equal(
			try_route(&routes[i], "Authorization: Bearer broken\r\n", &only_error),
			500);
	}
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void every_route_asks_for_the_role(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];

		for (unsigned role = 0; role < 4 && !(r->access & ACCESS_PUBLIC); role++) {
			const bool allowed = r->access & access_of_role((enum svc_role)role);
			const int before = atomic_load(&fake.calls);
			char fields[64];
			bool only_error;
			unsigned status;

			snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n",
				svc_role_name((enum svc_role)role));
			status = try_route(r, fields, &only_error);
			if (allowed ? status / 100 != 2 : status != 403 || !only_error)
				fail_msg("%s as %s: %u", r->pattern,
					svc_role_name((enum svc_role)role), status);
			if (!allowed)
				assert_int_equal(atomic_load(&fake.calls), before);
		}
	}
}

static void cookies_need_the_csrf_token(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];
		const bool safe = r->method == HTTP_GET;
		bool only_error;
		unsigned status;

		if (r->access & ACCESS_PUBLIC)
			continue;
		status = try_route(r, "Cookie: a=b; ireko=admin\r\n", &only_error);
		if (safe ? status != 200 : status != 403 || !only_error)
			fail_msg("%s: %u", r->pattern, status);
		if (safe)
			continue;
		assert_int_equal(
			try_route(r, "Cookie: ireko=admin\r\nX-CSRF-Token: no\r\n", &only_error),
			403);
		assert_int_equal(try_route(r,
					 "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n"
					 "Origin: http://evil.example\r\n",
					 &only_error),
			403);
		assert_int_equal(try_route(r,
					 "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n"
					 "Origin: null\r\n",
					 &only_error),
			403);
		assert_int_equal(try_route(r,
					 "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n"
					 "Origin: http://localhost\r\n",
					 &only_error) /
					 100,
			2);
	}
}

/* ---- answers that come from a file ---- */

static void wait_for_backups(unsigned n)
{
	for (int i = 0; i < 500 && atomic_load(&fake.backups) != n; i++)
		poll(NULL, 0, 10);
	assert_int_equal(atomic_load(&fake.backups), n);
}

static void a_backup_is_a_file(void **state)
{
	const struct answer *a = request("GET /v1/backup", ADMIN, NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "Content-Length: 3\r\n"));
	assert_non_null(strstr(a->text, "Content-Type: application/vnd.sqlite3\r\n"));
	assert_non_null(strstr(a->text, "Content-Disposition: attachment; "
					"filename=\"ireko-20231114T221320Z.db\"\r\n"));
	assert_non_null(strstr(a->text,
		"Repr-Digest: sha-256=:AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n"));
	assert_non_null(strstr(a->text, "\r\n\r\nbbb"));
	wait_for_backups(0);
	atomic_store(&fake.outcome, SVC_RATE_LIMITED);
	a = request("GET /v1/backup", ADMIN, NULL);
	assert_int_equal(a->status, 429);
	assert_non_null(strstr(a->text, "Retry-After: 7\r\n"));
}

/* Longer than a request may take, as long as its client takes something now and then. */
static void a_slow_download_goes_on(void **state)
{
	static const char head[] = "GET /v1/backup HTTP/1.1\r\n" HOST ADMIN "\r\n";
	const int fd = dial();
	static char piece[256 * 1024];
	size_t got = 0;
	ssize_t n;

	(void)state;
	atomic_store(&fake.backup_size, 24 * 1024 * 1024);
	say(fd, head, strlen(head));
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		got += (size_t)n;
		if (got < 8 * 1024 * 1024)
			poll(NULL, 0, REQUEST_MS / 16);
		if (got > atomic_load(&fake.backup_size))
			break;
	}
	assert_true(got > atomic_load(&fake.backup_size));
	close(fd);
	wait_for_backups(0);
}

/* On a server of its own: streams of events have the same patience. */
static void who_takes_nothing_is_dropped(void **state)
{
	static const char head[] = "GET /v1/backup HTTP/1.1\r\n" HOST ADMIN "\r\n";
	struct api_conf conf = {
		.max_connections = 8, .request_ms = REQUEST_MS, .stuck_ms = STUCK_MS};
	struct api *patient = api;
	const uint16_t patient_port = port;
	char why[160] = "";
	int fd;

	(void)state;
	assert_int_equal(endpoint_parse(&conf.listen, "127.0.0.1:0"), 0);
	assert_int_equal(api_start(&api, &conf, NULL, why), 0);
	port = api_address(api).port;
	fd = dial();
	atomic_store(&fake.backup_size, 24 * 1024 * 1024);
	say(fd, head, strlen(head));
	wait_for_backups(1);
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 200);
	wait_for_backups(0);
	close(fd);
	api_stop(api);
	api = patient;
	port = patient_port;
}

static void unknown_paths_and_methods(void **state)
{
	const struct answer *a;

	(void)state;
	assert_int_equal(request("GET /v1/nothing", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/usr_" ID "/x", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /V1/users", ADMIN, NULL)->status, 404);
	a = request("DELETE /v1/users", ADMIN, NULL);
	assert_int_equal(a->status, 405);
	assert_non_null(strstr(a->text, "Allow: GET, HEAD, POST\r\n"));
	a = request("PUT /v1/users/usr_" ID, ADMIN, "{}");
	assert_int_equal(a->status, 405);
	assert_non_null(strstr(a->text, "Allow: GET, HEAD, PATCH, DELETE\r\n"));
	assert_int_equal(request("OPTIONS /v1/users", ADMIN, NULL)->status, 405);
	/* An id that is none is an object that is not there, but only for those who may ask. */
	assert_int_equal(request("GET /v1/users/usr_1", ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/dev_" ID, ADMIN, NULL)->status, 404);
	assert_int_equal(request("GET /v1/users/usr_1", "", NULL)->status, 401);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

/* ---- answers ---- */

static void answers_carry_the_standing_headers(void **state)
{
	static const char *const texts[] = {"GET /healthz HTTP/1.1\r\n" HOST "\r\n",
		"GET /nothing HTTP/1.1\r\n" HOST "\r\n", "GET /v1/me HTTP/1.1\r\n" HOST "\r\n",
		"GET /v1/me HTTP/1.1\r\n" HOST HOST "\r\n",
		"DELETE /v1/users/usr_" ID " HTTP/1.1\r\n" HOST ADMIN "\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct answer *a = ask(texts[i]);

		for (size_t k = 0; k < n_standing_headers; k++) {
			const bool there = strstr(a->text, standing_headers[k].name) != NULL;

			assert_true(there != standing_headers[k].tls_only);
		}
		assert_non_null(strstr(a->text, "Cache-Control: no-store\r\n"));
		assert_true((a->status == 401) ==
			    (strstr(a->text, "WWW-Authenticate: Bearer\r\n") != NULL));
		assert_null(strstr(a->text, "Access-Control"));
	}
}

/* first: "HEAD /path". An answer without a body, which the connection ends with. */
static const struct answer *ask_head(const char *first)
{
	static struct answer a;
	const int fd = dial();
	char text[256];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", first);
	say(fd, text, strlen(text));
	for (a.len = 0; a.len < sizeof(a.text) - 1;) {
		const ssize_t n = recv(fd, a.text + a.len, sizeof(a.text) - 1 - a.len, 0);

		if (n <= 0)
			break;
		a.len += (size_t)n;
	}
	close(fd);
	a.text[a.len] = '\0';
	assert_true(a.len > 16);
	a.status = (unsigned)atoi(a.text + strlen("HTTP/1.1 "));
	assert_memory_equal(a.text + a.len - 4, "\r\n\r\n", 4);
	return &a;
}

static void head_is_like_get(void **state)
{
	const struct answer *a = ask_head("HEAD /healthz");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "Content-Length: 15\r\n"));
}

static bool says(const struct answer *a, const char *line)
{
	return strstr(a->text, line) != NULL;
}

/* A GET of one of the dashboard's files, in either form; then the same again, by its tag. */
static void ask_for_file(const char *target, const struct dashboard_file *f, bool gzip)
{
	const struct dashboard_bytes *bytes = gzip ? &f->gzip : &f->plain;
	char first[160], fields[128], tag[64], length[64];
	const struct answer *a;

	snprintf(first, sizeof(first), "GET %s", target);
	snprintf(tag, sizeof(tag), "\"%s%s\"", f->hash, gzip ? "-gzip" : "");
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", bytes->len);
	snprintf(fields, sizeof(fields), "%s", gzip ? "Accept-Encoding: br, gzip\r\n" : "");
	a = request(first, fields, NULL);
	assert_int_equal(a->status, 200);
	assert_true(says(a, f->type) && says(a, tag) && says(a, length));
	assert_true(says(a, "Vary: Accept-Encoding\r\n"));
	assert_true(says(a, "Content-Encoding: gzip\r\n") == gzip);
	assert_memory_equal(a->text + a->len - bytes->len, bytes->at, bytes->len);
	snprintf(fields, sizeof(fields), "%sIf-None-Match: %s\r\n",
		gzip ? "Accept-Encoding: gzip\r\n" : "", tag);
	a = request(first, fields, NULL);
	assert_int_equal(a->status, 304);
	assert_true(says(a, tag) && says(a, "Vary: Accept-Encoding\r\n"));
	assert_memory_equal(a->text + a->len - 4, "\r\n\r\n", 4);
	/* The other form's tag is another. */
	snprintf(fields, sizeof(fields), "%sIf-None-Match: %s\r\n",
		gzip ? "" : "Accept-Encoding: gzip\r\n", tag);
	assert_int_equal(request(first, fields, NULL)->status, 200);
}

static void the_dashboard_is_served(void **state)
{
	const struct dashboard_file *f;
	char target[128], first[160];
	size_t n;

	(void)state;
	f = dashboard_files(&n);
	for (size_t i = 0; i < n; i++) {
		const char *cache = i == 0 ? "Cache-Control: no-cache\r\n"
					   : "Cache-Control: public, max-age=31536000, "
					     "immutable\r\n";

		snprintf(target, sizeof(target), "/%s", i == 0 ? "" : f[i].path);
		snprintf(first, sizeof(first), "GET %s", target);
		if (f[i].gzip.len > 0 && f[i].gzip.len < 60000 && f[i].plain.len < 60000)
			ask_for_file(target, &f[i], true);
		if (f[i].plain.len < 60000)
			ask_for_file(target, &f[i], false);
		snprintf(first, sizeof(first), "HEAD %s", target);
		const struct answer *a = ask_head(first);

		assert_int_equal(a->status, 200);
		assert_true(says(a, cache) && says(a, f[i].hash) && says(a, f[i].type));
		assert_false(says(a, "no-store"));
		for (size_t k = 0; k < n_standing_headers; k++)
			assert_true(
				says(a, standing_headers[k].name) != standing_headers[k].tls_only);
	}
	/* Links are passed on with what messengers append. */
	assert_int_equal(request("GET /?utm_source=x&utm_source=x", "", NULL)->status, 200);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void the_dashboard_has_nothing_else(void **state)
{
	static const char *const none[] = {"GET /index.html", "GET /assets", "GET /assets/",
		"GET /assets/x.js", "GET /assets/index.html", "GET /assets/a/b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		const struct answer *a = request(none[i], "Accept-Encoding: gzip\r\n", NULL);

		assert_int_equal(a->status, 404);
		assert_true(says(a, "Content-Type: application/problem+json\r\n"));
		assert_true(says(a, "Cache-Control: no-store\r\n"));
		assert_false(says(a, "Content-Encoding"));
	}
	assert_int_equal(request("GET /assets/..", "", NULL)->status, 400);
	assert_int_equal(request("POST /", "", NULL)->status, 405);
	assert_int_equal(request("DELETE /assets/x.js", "", NULL)->status, 405);
}

static void login_sets_the_cookie(void **state)
{
	const struct answer *a =
		request("POST /v1/login", "", "{\"username\":\"a\",\"password\":\"right\"}");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(
		strstr(a->text, "Set-Cookie: ireko=admin; Path=/; HttpOnly; SameSite=Strict\r\n"));
	assert_non_null(strstr(a->text, "\"csrf_token\":\"csrf\""));
	a = request("POST /v1/login", "", "{\"username\":\"a\",\"password\":\"wrong\"}");
	assert_int_equal(a->status, 401);
	assert_null(strstr(a->text, "Set-Cookie"));
	assert_non_null(strstr(a->text, "\"type\":\"about:blank\""));
	a = request("POST /v1/login", "Origin: http://evil.example\r\n",
		"{\"username\":\"a\",\"password\":\"right\"}");
	assert_int_equal(a->status, 403);
	assert_non_null(strstr(a->text, "\"type\":\"about:blank\""));
	/* The password was right: that alone is told apart. */
	a = request("POST /v1/login", "", "{\"username\":\"a\",\"password\":\"right totp\"}");
	assert_int_equal(a->status, 401);
	assert_non_null(strstr(a->text, "\"type\":\"urn:ireko:problem:totp-required\""));
	assert_null(strstr(a->text, "Set-Cookie"));
	a = request("POST /v1/login", "",
		"{\"username\":\"a\",\"password\":\"right totp\",\"totp\":\"123456\"}");
	assert_int_equal(a->status, 200);
	a = request("POST /v1/login", "",
		"{\"username\":\"a\",\"password\":\"right totp\",\"totp\":\"1234567\"}");
	assert_int_equal(a->status, 422);
	a = request("POST /v1/logout", "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n", NULL);
	assert_int_equal(a->status, 204);
	assert_non_null(strstr(a->text, "Set-Cookie: ireko=; Path=/; HttpOnly; "
					"SameSite=Strict; Max-Age=0\r\n"));
}

static void objects_as_the_contract_says(void **state)
{
	const struct answer *a;

	(void)state;
	a = request("POST /v1/users", ADMIN, "{\"name\":\"x\",\"role\":\"user\",\"email\":null}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Location: /v1/users/usr_" ID "\r\n"));
	assert_non_null(strstr(a->text, "ETag: \"5\"\r\n"));
	assert_non_null(strstr(a->text, "\"name\":\"ann\\\"<b>\""));
	assert_non_null(strstr(a->text, "\"created_at\":\"2023-11-14T22:13:20.123Z\""));
	assert_non_null(strstr(a->text, "\"email\":null"));
	assert_null(strstr(a->text, "password"));
	assert_true(fake.user.set_name && fake.user.set_role && fake.user.set_email);
	assert_false(fake.user.set_password || fake.user.set_disabled);
	assert_string_equal(fake.name, "x");

	a = request("GET /v1/devices/dev_" ID, ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"address4\":\"10.77.0.2\",\"address6\":null"));
	assert_non_null(strstr(a->text, "\"endpoint\":\"[2001:db8::1]:5\""));
	assert_non_null(strstr(a->text, "\"credentials\":[{\"id\":\"crd_" ID "\""));

	a = request(
		"POST /v1/devices/dev_" ID "/credentials", ADMIN, "{\"protocol\":\"wireguard\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Location: /v1/credentials/crd_" ID "\r\n"));
	assert_non_null(strstr(a->text, "\"profile\":\"[Interface]\\nPrivateKey = x\\n\""));
	assert_non_null(strstr(a->text, "\"qr_svg\":\"<svg xmlns="));

	a = request("GET /v1/status", ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"drops\":{\"replay\":3}"));
	assert_non_null(strstr(a->text, "\"aead\":{\"AES-256-GCM\":\"openssl\"}"));
	assert_non_null(strstr(a->text, "\"offloads\":[\"tun-gso\",\"udp-gro\"]"));
	a = request("GET /v1/sessions", ADMIN, NULL);
	assert_non_null(strstr(a->text, "\"cipher\":\"CHACHA20-POLY1305\""));
	assert_non_null(strstr(a->text, "\"next_cursor\":null"));
	a = request("POST /v1/tokens", ADMIN, "{\"name\":\"ci\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "\"token\":\"ireko_secret\""));
}

static void audit_settings_and_second_factors(void **state)
{
	const struct answer *a = request("GET /v1/audit?actor=usr_" ID "&object=dev_" ID
					 "&action=user.create&limit=2",
		ADMIN, NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_memory_equal(&fake.filter.actor, &some_id, sizeof(some_id));
	assert_memory_equal(&fake.filter.object, &some_id, sizeof(some_id));
	assert_string_equal(fake.filter.object_kind, "dev");
	assert_string_equal(fake.filter.action, "user.create");
	assert_non_null(strstr(a->text,
		"{\"sequence\":7,\"at\":\"2023-11-14T22:13:20.000Z\",\"actor\":{\"user_id\":"
		"\"usr_" ID "\",\"name\":\"ann\",\"via\":\"token\",\"token_id\":\"tok_" ID
		"\"},\"from\":\"192.0.2.7\",\"action\":\"user.create\",\"object\":\"usr_" ID
		"\",\"outcome\":\"ok\",\"detail\":\"bob, role user\",\"hash\":\"\"}"));
	assert_non_null(strstr(a->text,
		"{\"sequence\":6,\"at\":null,\"actor\":null,\"from\":null,\"action\":"
		"\"audit.begin\",\"object\":null,\"outcome\":\"ok\",\"detail\":null,"
		"\"hash\":\"ab\"}"));
	assert_non_null(strstr(a->text, "\"next_cursor\":\""));
	assert_int_equal(request("GET /v1/audit?actor=dev_" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?object=usr-" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?object=" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?action=User", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?action=", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?action=a", ADMIN, NULL)->status, 422);
	a = request("GET /v1/audit/verify", ADMIN, NULL);
	assert_non_null(strstr(a->text, "{\"ok\":false,\"rows\":5,\"first\":3,\"last\":7,"
					"\"broken_at\":4,\"hash\":\"ab\"}"));

	a = request("GET /v1/settings", ADMIN, NULL);
	assert_non_null(strstr(a->text, "ETag: \"3\"\r\n"));
	assert_non_null(strstr(a->text,
		"{\"endpoint\":\"vpn.example.org\",\"dns\":[\"9.9.9.9\",\"2620:fe::fe\"],\"mtu\":"
		"10,"
		"\"keepalive\":11,\"credential_lifetime_s\":12,\"traffic_retention\":{\"minutes\":"
		"13,"
		"\"hours\":14,\"days\":15},\"audit_retention_days\":16,\"defaults\":{\"endpoint\":"
		"\"192.0.2.1\",\"dns\":[],"));
	assert_non_null(strstr(a->text, "\"credential_lifetime_s\":null"));
	assert_non_null(strstr(a->text, "\"updated_at\":null}"));
	a = request("PATCH /v1/settings", ADMIN "If-Match: \"3\"\r\n",
		"{\"mtu\":1300,\"endpoint\":null}");
	assert_int_equal(a->status, 200);
	assert_int_equal(fake.settings.number[SVC_MTU].n, 1300);
	assert_true(fake.settings.set_endpoint && !fake.settings.endpoint);
	assert_int_equal(
		request("PATCH /v1/settings", ADMIN "If-Match: \"4\"\r\n", "{}")->status, 412);

	a = request("POST /v1/me/totp", ADMIN, "{\"password\":\"x\"}");
	assert_non_null(strstr(a->text, "{\"secret\":\"GEZDGNBV\",\"otpauth_url\":"
					"\"otpauth://totp/Ireko:ann?secret=GEZDGNBV\","
					"\"qr_svg\":\"<svg "));
}

/* Whoever refuses a write of somebody who is known: the audit log hears of it, once. */
static void refused_writes_are_told(void **state)
{
	static const char user[] = "Authorization: Bearer user\r\n";

	(void)state;
	assert_int_equal(request("POST /v1/users", user, "{\"name\":\"a\"}")->status, 403);
	assert_int_equal(atomic_load(&fake.refusals), 1);
	assert_string_equal(fake.refused, "3 user.create  - from 127");
	assert_int_equal(request("DELETE /v1/users/usr_" ID "/totp", user, NULL)->status, 403);
	assert_string_equal(fake.refused, "3 totp.reset usr " ID " from 127");
	atomic_store(&fake.outcome, SVC_FORBIDDEN);
	assert_int_equal(request("PATCH /v1/devices/dev_" ID, user, "{}")->status, 403);
	assert_string_equal(fake.refused, "3 device.patch dev " ID " from 127");
	atomic_store(&fake.outcome, SVC_RATE_LIMITED);
	assert_int_equal(request("PATCH /v1/users/usr_" ID, user, "{}")->status, 429);
	assert_string_equal(fake.refused, "8 user.patch usr " ID " from 127");
	assert_int_equal(atomic_load(&fake.refusals), 4);
	/* Neither reads, nor strangers, nor what was refused for another reason. */
	atomic_store(&fake.outcome, SVC_CONFLICT);
	assert_int_equal(request("PATCH /v1/users/usr_" ID, user, "{}")->status, 409);
	assert_int_equal(request("GET /v1/users", user, NULL)->status, 403);
	assert_int_equal(request("POST /v1/users", "", "{\"name\":\"a\"}")->status, 401);
	assert_int_equal(atomic_load(&fake.refusals), 4);
}

static void openvpn_credentials(void **state)
{
	const struct answer *a;
	char *body;

	(void)state;
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN, "{\"protocol\":\"openvpn\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "\"protocol\":\"openvpn\""));
	assert_non_null(strstr(a->text, "\"profile_filename\":\"laptop.ovpn\""));
	assert_non_null(strstr(a->text, "\"qr_svg\":null"));
	assert_string_equal(fake.csr, "none");
	/* PEM has lines. */
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN,
		"{\"protocol\":\"openvpn\",\"csr\":\"-----BEGIN X-----\\r\\nAAAA\\n\"}");
	assert_int_equal(a->status, 201);
	assert_string_equal(fake.csr, "-----BEGIN X-----\r\nAAAA\n");
	assert_true(asprintf(&body, "{\"protocol\":\"openvpn\",\"csr\":\"%08193d\"}", 0) > 0);
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN, body);
	assert_int_equal(a->status, 422);
	assert_non_null(strstr(a->text, "\"field\":\"csr\""));
	free(body);
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN, "{\"protocol\":\"ipsec\"}");
	assert_int_equal(a->status, 422);
	assert_non_null(strstr(a->text, "is not wireguard or openvpn"));
}

static void tunnels_say_how_they_are(void **state)
{
	static const struct {
		uint16_t tls;
		const char *json;
	} cases[] = {{0x0304, "\"tls_version\":\"TLSv1.3\""},
		{0x0303, "\"tls_version\":\"TLSv1.2\""}, {0, "\"tls_version\":null"},
		{0x0302, "\"tls_version\":null"}};
	static const char *const paths[] = {"GET /v1/sessions", "GET /v1/devices/dev_" ID};
	const struct answer *a;

	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(paths); p++) {
		fake.openvpn = false;
		fake.tls = 0;
		a = request(paths[p], ADMIN, NULL);
		assert_non_null(strstr(a->text, "\"protocol\":\"wireguard\""));
		assert_non_null(strstr(a->text, "\"transport\":\"udp\""));
		assert_non_null(strstr(a->text, "\"tls_version\":null"));
		fake.openvpn = true;
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			fake.tls = cases[i].tls;
			a = request(paths[p], ADMIN, NULL);
			assert_int_equal(a->status, 200);
			assert_non_null(strstr(a->text, "\"protocol\":\"openvpn\""));
			assert_non_null(strstr(a->text, "\"transport\":\"tcp\""));
			assert_non_null(strstr(a->text, "\"cipher\":\"AES-256-GCM\""));
			assert_non_null(strstr(a->text, cases[i].json));
		}
	}
}

static void pages_continue(void **state)
{
	const struct answer *a = request("GET /v1/users?limit=1", ADMIN, NULL);
	char cursor[64] = "", line[128];
	const char *at = strstr(a->text, "\"next_cursor\":\"");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(at);
	assert_int_equal(sscanf(at, "\"next_cursor\":\"%63[^\"]", cursor), 1);
	snprintf(line, sizeof(line), "GET /v1/users?cursor=%s&limit=500", cursor);
	a = request(line, ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"next_cursor\":null"));
	/* Of another list. */
	snprintf(line, sizeof(line), "GET /v1/devices?cursor=%s", cursor);
	assert_int_equal(request(line, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?limit=0", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?limit=501", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?limit=1&limit=1", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?user_id=usr_" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/devices?user_id=usr_" ID, ADMIN, NULL)->status, 200);
	assert_int_equal(request("GET /v1/me?x=1", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?cursor=!", ADMIN, NULL)->status, 422);
}

static void bodies_are_strict(void **state)
{
	static const struct {
		const char *fields, *body;
		unsigned status;
	} cases[] = {
		{ADMIN, "{", 400},
		{ADMIN, "[]", 400},
		{ADMIN, "{\"name\":\"a\",\"name\":\"b\"}", 400},
		{ADMIN, "{\"name\":\"a\"} x", 400},
		{ADMIN, "{\"name\":\"\\u0000\"}", 400},
		{ADMIN, "{\"name\":\"\\ud800\"}", 400},
		{ADMIN, "{\"name\":\"\xff\"}", 400},
		{ADMIN, "{\"name\":\"a\",\"x\":1e400}", 400},
		{ADMIN, "{\"name\":1}", 422},
		{ADMIN, "{\"name\":\"a\",\"id\":\"usr_1\"}", 422},
		{ADMIN, "{\"name\":\"a\",\"groups\":[]}", 422},
		{ADMIN, "{\"name\":\"a\",\"role\":\"root\"}", 422},
		{ADMIN, "{}", 422},
		{ADMIN "Content-Type: text/plain\r\n", "{\"name\":\"a\"}", 415},
		{ADMIN "Content-Type: application/merge-patch+json\r\n", "{\"name\":\"a\"}", 415},
		{ADMIN "Content-Type: application/json; charset=latin1\r\n", "{\"name\":\"a\"}",
			415},
		{ADMIN "Content-Type: application/json; charset=utf-8\r\n", "{\"name\":\"a\"}",
			201},
		{ADMIN JSON "Content-Encoding: gzip\r\n", "{\"name\":\"a\"}", 415},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct answer *a = request("POST /v1/users", cases[i].fields, cases[i].body);

		if (a->status != cases[i].status)
			fail_msg("%s%s: %s", cases[i].fields, cases[i].body, a->text);
	}
	assert_int_equal(atomic_load(&fake.calls), 1);
	assert_int_equal(request("POST /v1/users", ADMIN, NULL)->status, 400);
	assert_int_equal(request("POST /v1/logout", ADMIN, "{}")->status, 400);
	assert_int_equal(request("PATCH /v1/users/usr_" ID,
				 ADMIN "Content-Type: application/merge-patch+json\r\n",
				 "{\"display_name\":null}")
				 ->status,
		200);
	assert_true(fake.user.set_display_name);
	assert_null(fake.user.display_name);
}

static void preconditions(void **state)
{
	static const char *const never[] = {"\"4\"", "\"0\"", "5", "W/\"5\"", "\"5\", \"6\"",
		"\"\"", "\"05\"", "\"99999999999999999999\""};
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-Match: %s\r\n", never[i]);
		assert_int_equal(request("PATCH /v1/users/usr_" ID, fields, "{}")->status, 412);
	}
	assert_int_equal(
		request("PATCH /v1/users/usr_" ID, ADMIN "If-Match: \"5\"\r\n", "{}")->status, 200);
	assert_int_equal(
		request("PATCH /v1/users/usr_" ID, ADMIN "If-Match: *\r\n", "{}")->status, 200);
}

/* What a tag has behind the revision changes without an edit, so it is not compared. */
static void preconditions_of_live_objects(void **state)
{
	static const char *const never[] = {"\"8.0123456789abcdef\"", "\"9.\"",
		"\"9.0123456789abcde\"", "\"9.0123456789abcdef0\"", "\"9.0123456789abcdeg\"",
		"\"9.0123456789ABCDEF\"", "\".0123456789abcdef\"", "W/\"9.0123456789abcdef\""};
	static const char *const fine[] = {"\"9\"", "\"9.0123456789abcdef\"", "*"};
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-Match: %s\r\n", never[i]);
		if (request("DELETE /v1/devices/dev_" ID, fields, NULL)->status != 412)
			fail_msg("%s", never[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-Match: %s\r\n", fine[i]);
		if (request("DELETE /v1/devices/dev_" ID, fields, NULL)->status != 204)
			fail_msg("%s", fine[i]);
	}
}

static void what_has_no_etag_matches_none(void **state)
{
	static const char *const lines[] = {"DELETE /v1/credentials/crd_" ID,
		"DELETE /v1/tokens/tok_" ID, "DELETE /v1/sessions/ses_" ID,
		"DELETE /v1/invites/inv_" ID};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const int before = atomic_load(&fake.calls);

		assert_int_equal(request(lines[i], ADMIN "If-Match: \"1\"\r\n", NULL)->status, 412);
		assert_int_equal(atomic_load(&fake.calls), before);
		assert_int_equal(request(lines[i], ADMIN "If-Match: *\r\n", NULL)->status, 204);
		assert_int_equal(request(lines[i], ADMIN, NULL)->status, 204);
	}
}

static void header_of(const struct answer *a, const char *name, char out[96])
{
	const char *at = strstr(a->text, name);

	assert_non_null(at);
	assert_int_equal(sscanf(at + strlen(name), "%95[^\r]", out), 1);
}

static void unchanged_is_not_sent_again(void **state)
{
	static const char *const lists[] = {"%s", "W/%s", "\"other\", %s", "%s ,\"x\"", "*"};
	static const char *const other[] = {"\"5x\"", "5", "\"\"", ",", "\"4\", \"6\""};
	const struct answer *a = request("GET /v1/users/usr_" ID, ADMIN, NULL);
	char etag[96], value[128], fields[256];

	(void)state;
	header_of(a, "ETag: ", etag);
	assert_string_equal(etag, "\"5\"");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(value, sizeof(value), lists[i], etag);
#pragma GCC diagnostic pop
		snprintf(fields, sizeof(fields), ADMIN "If-None-Match: %s\r\n", value);
		a = request("GET /v1/users/usr_" ID, fields, NULL);
		if (a->status != 304 || strstr(a->text, "created_at") ||
			!strstr(a->text, "ETag: \"5\"\r\n"))
			fail_msg("%s: %s", value, a->text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		snprintf(fields, sizeof(fields), ADMIN "If-None-Match: %s\r\n", other[i]);
		assert_int_equal(request("GET /v1/users/usr_" ID, fields, NULL)->status, 200);
	}
	/* Only for what is read, only for those who may read it. */
	assert_int_equal(
		request("PATCH /v1/users/usr_" ID, ADMIN "If-None-Match: \"5\"\r\n", "{}")->status,
		200);
	assert_int_equal(
		request("GET /v1/users/usr_" ID, "If-None-Match: *\r\n", NULL)->status, 401);
}

/* Its counters move: what was sent is stale although nobody edited it. */
static void a_devices_tag_follows_its_status(void **state)
{
	char before[96], after[96], fields[256];
	const struct answer *a = request("GET /v1/devices/dev_" ID, ADMIN, NULL);

	(void)state;
	header_of(a, "ETag: ", before);
	assert_memory_equal(before, "\"9.", 3);
	snprintf(fields, sizeof(fields), ADMIN "If-None-Match: %s\r\n", before);
	assert_int_equal(request("GET /v1/devices/dev_" ID, fields, NULL)->status, 304);
	fake.openvpn = true;
	a = request("GET /v1/devices/dev_" ID, fields, NULL);
	assert_int_equal(a->status, 200);
	header_of(a, "ETag: ", after);
	assert_string_not_equal(before, after);
}

/* ---- requests that may be repeated ---- */

#define KEY "Idempotency-Key: k1\r\n"

static void keys_that_cant_be_taken(void **state)
{
	static char fields[600], key[300];
	const struct answer *a;

	(void)state;
	memset(key, 'k', 256);
	for (int i = 0; i < 3; i++) {
		const char *bad[] = {"", key, "\xc3\xa9"};

		snprintf(fields, sizeof(fields), ADMIN "Idempotency-Key: %s\r\n", bad[i]);
		a = request("POST /v1/users", fields, "{\"name\":\"a\"}");
		assert_int_equal(a->status, 400);
		assert_non_null(strstr(a->text, "\"field\":\"Idempotency-Key\""));
	}
	a = request("POST /v1/users", ADMIN KEY KEY, "{\"name\":\"a\"}");
	assert_int_equal(a->status, 400);
	assert_int_equal(fake.begun, 0);
	assert_int_equal(atomic_load(&fake.calls), 0);
	key[255] = '\0';
	snprintf(fields, sizeof(fields), ADMIN "Idempotency-Key: %s\r\n", key);
	assert_int_equal(request("POST /v1/users", fields, "{\"name\":\"a\"}")->status, 201);
	assert_int_equal(fake.begun, 1);
}

/* What is stored is what is sent, byte for byte. */
static void the_answer_is_made_in_the_transaction(void **state)
{
	static const struct {
		const char *line, *body;
	} makes[] = {
		{"POST /v1/users", "{\"name\":\"a\"}"}, {"POST /v1/devices", "{\"name\":\"a\"}"}};
	const struct answer *a;
	char value[96];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(makes); i++) {
		a = request(makes[i].line, ADMIN KEY, makes[i].body);
		assert_int_equal(a->status, 201);
		assert_int_equal(fake.rendered, 0);
		assert_int_equal(fake.answer.status, 201);
		assert_string_equal(strstr(a->text, "\r\n\r\n") + 4, fake.answer.body);
		header_of(a, "Location: ", value);
		assert_string_equal(value, fake.answer.location);
		assert_string_equal(value, fake.location);
		header_of(a, "ETag: ", value);
		assert_string_equal(value, fake.answer.etag);
		assert_null(strstr(a->text, "Idempotency-Replayed"));
		assert_true(fake.remembered);
		assert_int_equal(fake.begun, (int)i + 1);
		assert_int_equal(fake.ended, fake.begun);
		svc_answer_fini(&fake.answer);
	}
}

static void repeats_are_answered_as_before(void **state)
{
	const struct answer *a;

	(void)state;
	fake.once = ONCE_REPEAT;
	a = request("POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Idempotency-Replayed: true\r\n"));
	assert_non_null(strstr(a->text, "Location: /v1/users/usr_first\r\n"));
	assert_non_null(strstr(a->text, "ETag: \"1\"\r\n"));
	assert_non_null(strstr(a->text, "\r\n\r\n{\"first\":true}"));
	fake.once = SVC_CONFLICT;
	a = request("POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}");
	assert_int_equal(a->status, 409);
	assert_non_null(strstr(a->text, "Retry-After: 3\r\n"));
	fake.once = -EIO;
	assert_int_equal(request("POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}")->status, 500);
	assert_int_equal(atomic_load(&fake.calls), 0);
	assert_int_equal(fake.ended, 0);
}

static void only_success_is_remembered(void **state)
{
	(void)state;
	atomic_store(&fake.outcome, SVC_CONFLICT);
	assert_int_equal(request("POST /v1/tokens", ADMIN KEY, "{\"name\":\"a\"}")->status, 409);
	assert_int_equal(fake.ended, 1);
	assert_false(fake.remembered);
	/* What is refused before is not even looked at. */
	assert_int_equal(request("POST /v1/tokens", ADMIN KEY, "{\"name\":1}")->status, 422);
	assert_int_equal(request("POST /v1/tokens", KEY, "{\"name\":\"a\"}")->status, 401);
	assert_int_equal(fake.begun, 1);
}

/* Path, body and role make a request what it is; headers don't. */
static void requests_differ(void **state)
{
	static const struct {
		const char *line, *fields, *body;
		bool same;
	} cases[] = {
		{"POST /v1/tokens", ADMIN KEY, "{\"name\":\"a\"}", true},
		{"POST /v1/tokens", ADMIN KEY "X-Request: 2\r\n", "{\"name\":\"a\"}", true},
		{"POST /v1/tokens", ADMIN KEY, "{\"name\":\"b\"}", false},
		{"POST /v1/tokens", ADMIN KEY, "{\"name\":\"a\"} ", false},
		{"POST /v1/users", ADMIN KEY, "{\"name\":\"a\"}", false},
		{"POST /v1/tokens", "Authorization: Bearer operator\r\n" KEY, "{\"name\":\"a\"}",
			false},
	};
	uint8_t first[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		request(cases[i].line, cases[i].fields, cases[i].body);
		svc_answer_fini(&fake.answer);
		assert_int_equal(fake.begun, (int)i + 1);
		if (i == 0)
			memcpy(first, fake.request_sha256, sizeof(first));
		assert_int_equal(memcmp(first, fake.request_sha256, 32) == 0, cases[i].same);
	}
}

static void what_makes_nothing_is_not_remembered(void **state)
{
	(void)state;
	request("POST /v1/logout", ADMIN KEY, NULL);
	request("POST /v1/tokens", "Authorization: Bearer auditor\r\n" KEY, "{\"name\":\"a\"}");
	request("PATCH /v1/users/usr_" ID, ADMIN KEY, "{}");
	request("DELETE /v1/users/usr_" ID, ADMIN KEY, NULL);
	request("POST /v1/login", KEY, "{\"username\":\"a\",\"password\":\"right\"}");
	assert_int_equal(fake.begun, 0);
}

/* ---- invites ---- */

static void invites_hand_out_their_link(void **state)
{
	const struct answer *a = request(
		"POST /v1/devices/dev_" ID "/invites", ADMIN, "{\"protocol\":\"wireguard\"}");

	(void)state;
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Location: /v1/invites/inv_" ID "\r\n"));
	assert_non_null(strstr(a->text, "\"url\":\"http://localhost/i/invite_secret\""));
	assert_non_null(strstr(a->text, "\"expires_at\":\"2023-11-14T22:28:20.000Z\""));
	a = request("GET /v1/devices/dev_" ID "/invites", ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"id\":\"inv_" ID "\""));
	assert_non_null(strstr(a->text, "\"used_at\":null,\"credential_id\":null"));
	assert_null(strstr(a->text, "secret"));
	a = request("GET /v1/invites/inv_" ID, ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_null(strstr(a->text, "secret"));
	assert_int_equal(request("DELETE /v1/invites/inv_" ID, ADMIN, NULL)->status, 204);
	assert_int_equal(request("POST /v1/devices/dev_" ID "/invites", ADMIN, "{}")->status, 422);
}

static void links_begin_as_the_setting_says(void **state)
{
	struct api_conf conf = {.public_url = "https://vpn.example.net",
		.max_connections = 8,
		.request_ms = REQUEST_MS};
	struct api *other = api;
	const uint16_t other_port = port;
	const struct answer *a;
	char why[160] = "";

	(void)state;
	assert_int_equal(endpoint_parse(&conf.listen, "127.0.0.1:0"), 0);
	assert_int_equal(api_start(&api, &conf, NULL, why), 0);
	port = api_address(api).port;
	a = request("POST /v1/devices/dev_" ID "/invites", ADMIN, "{\"protocol\":\"openvpn\"}");
	assert_non_null(strstr(a->text, "\"url\":\"https://vpn.example.net/i/invite_secret\""));
	api_stop(api);
	api = other;
	port = other_port;
}

static void looking_at_a_link_does_nothing(void **state)
{
	static char first[65536];
	const struct answer *a = request("GET /i/abc", "", NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	snprintf(first, sizeof(first), "%s", strstr(a->text, "\r\n\r\n"));
	assert_non_null(strstr(first, "<form method=\"post\">"));
	assert_non_null(strstr(a->text, "Content-Type: text/html; charset=utf-8\r\n"));
	assert_non_null(strstr(a->text, "Referrer-Policy: no-referrer\r\n"));
	assert_non_null(strstr(a->text, "Cache-Control: no-store\r\n"));
	assert_null(strstr(first, "script"));
	assert_null(strstr(first, "style="));
	a = request("GET /i/0123456789012345678901234567890123456789012", "", NULL);
	assert_string_equal(first, strstr(a->text, "\r\n\r\n"));
	/* What a messenger appends does not matter. */
	a = request("GET /i/abc?fbclid=x&fbclid=y", "", NULL);
	assert_string_equal(first, strstr(a->text, "\r\n\r\n"));
	assert_int_equal(request("GET /invite.css", "", NULL)->status, 200);
	assert_int_equal(request("GET /i/", "", NULL)->status, 404);
	assert_int_equal(request("GET /i/a/b", "", NULL)->status, 404);
	assert_int_equal(request("PUT /i/abc", "", NULL)->status, 405);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void the_button_opens_it(void **state)
{
	const struct answer *a = request("POST /i/abc", "", NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_string_equal(fake.name, "abc");
	assert_non_null(strstr(a->text, "PrivateKey = &lt;&amp;&quot;&#39;&gt;\n"));
	assert_non_null(strstr(a->text, "src=\"data:image/svg+xml;base64,PHN2Zy"));
	assert_non_null(strstr(a->text, "download=\"laptop.conf\""));
	assert_non_null(strstr(a->text, "base64,W0ludGVyZmFjZV0KUHJpdmF0ZUtleSA9IDwmIic+Cg==\""));
	assert_non_null(strstr(a->text, "Cache-Control: no-store\r\n"));
	a = request("POST /i/abc", "Content-Type: application/x-www-form-urlencoded\r\n", "");
	assert_int_equal(a->status, 200);
	a = request("POST /i/abc", "Content-Type: application/x-www-form-urlencoded\r\n", "a=b");
	assert_int_equal(a->status, 200);
	a = request("POST /i/abc", "Accept: application/json\r\n", NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"profile\":\"[Interface]"));
	assert_non_null(strstr(a->text, "\"profile_filename\":\"laptop.conf\",\"qr_svg\":\"<svg"));
	fake.openvpn = true;
	a = request("POST /i/abc", "", NULL);
	assert_int_equal(a->status, 200);
	assert_null(strstr(a->text, "<img"));
	assert_int_equal(atomic_load(&fake.calls), 5);
	assert_int_equal(request("POST /i/abc", JSON, "{}")->status, 415);
	assert_int_equal(atomic_load(&fake.calls), 5);
}

/* Our own pages send no referrer, so a browser sends Origin: null with their forms. */
static void only_our_own_page_has_the_button(void **state)
{
	static const struct {
		const char *fields;
		unsigned status;
	} cases[] = {
		{"Origin: http://localhost\r\n", 200},
		{"Origin: null\r\n", 200},
		{"Origin: null\r\nSec-Fetch-Site: same-origin\r\n", 200},
		{"Origin: null\r\nSec-Fetch-Site: cross-site\r\n", 403},
		{"Origin: null\r\nSec-Fetch-Site: same-site\r\n", 403},
		{"Sec-Fetch-Site: cross-site\r\n", 403},
		{"Origin: http://evil.example\r\n", 403},
		{"Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n", 403},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const int before = atomic_load(&fake.calls);
		const struct answer *a = request("POST /i/abc", cases[i].fields, NULL);

		if (a->status != cases[i].status)
			fail_msg("%s: %s", cases[i].fields, a->text);
		assert_int_equal(atomic_load(&fake.calls) - before, a->status == 200);
	}
}

static void refused_links_have_pages(void **state)
{
	static const struct {
		int outcome;
		unsigned status;
		const char *text;
	} cases[] = {{SVC_NOT_FOUND, 404, "no longer valid"}, {SVC_RATE_LIMITED, 429, "Too many"},
		{SVC_FULL, 409, "did not work"}, {-EIO, 500, "did not work"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct answer *a;

		atomic_store(&fake.outcome, cases[i].outcome);
		a = request("POST /i/abc", "", NULL);
		assert_int_equal(a->status, cases[i].status);
		assert_non_null(strstr(a->text, cases[i].text));
		assert_null(strstr(a->text, "PrivateKey"));
		assert_true((cases[i].status == 429) ==
			    (strstr(a->text, "Retry-After: 7\r\n") != NULL));
		a = request("POST /i/abc", "Accept: application/json\r\n", NULL);
		assert_int_equal(a->status, cases[i].status);
		assert_non_null(strstr(a->text, "application/problem+json"));
		assert_null(strstr(a->text, "PrivateKey"));
	}
}

static void outcomes_become_statuses(void **state)
{
	static const struct {
		int outcome;
		unsigned status;
	} cases[] = {{SVC_INVALID, 422}, {SVC_FORBIDDEN, 403}, {SVC_NOT_FOUND, 404},
		{SVC_CONFLICT, 409}, {SVC_FULL, 409}, {SVC_PRECONDITION, 412},
		{SVC_RATE_LIMITED, 429}, {SVC_NO_SPACE, 507}, {SVC_UNAVAILABLE, 503}, {-EIO, 500},
		{99, 500}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct answer *a;

		atomic_store(&fake.outcome, cases[i].outcome);
		a = request("POST /v1/users", ADMIN, "{\"name\":\"a\"}");
		assert_int_equal(a->status, cases[i].status);
		assert_non_null(strstr(a->text, "Content-Type: application/problem+json\r\n"));
		assert_null(strstr(a->text, "Location"));
		assert_null(strstr(a->text, "usr_"));
		if (cases[i].status == 422)
			assert_non_null(strstr(a->text, "\"errors\":[{\"field\":\"name\","
							"\"message\":\"is \\\"odd\\\"\\n\"}]"));
		assert_true((cases[i].status == 429 || cases[i].status == 503) ==
			    (strstr(a->text, "Retry-After: 7\r\n") != NULL));
	}
	atomic_store(&fake.outcome, SVC_CONFLICT);
	assert_int_equal(request("GET /readyz", "", NULL)->status, 503);
	atomic_store(&fake.outcome, 0);
	assert_int_equal(request("GET /readyz", "", NULL)->status, 200);
}

/* ---- HTTPS ---- */

static void make_certificate(gnutls_datum_t *cert, gnutls_datum_t *key)
{
	const unsigned char serial = 1;
	gnutls_x509_privkey_t k;
	gnutls_x509_crt_t c;

	assert_int_equal(gnutls_x509_privkey_init(&k), 0);
	assert_int_equal(gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA,
				 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	assert_int_equal(gnutls_x509_crt_init(&c), 0);
	gnutls_x509_crt_set_version(c, 3);
	gnutls_x509_crt_set_serial(c, &serial, 1);
	gnutls_x509_crt_set_activation_time(c, 1);
	gnutls_x509_crt_set_expiration_time(c, 2000000000);
	gnutls_x509_crt_set_key(c, k);
	assert_int_equal(gnutls_x509_crt_sign2(c, c, k, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, cert), 0);
	assert_int_equal(gnutls_x509_privkey_export2(k, GNUTLS_X509_FMT_PEM, key), 0);
	gnutls_x509_crt_deinit(c);
	gnutls_x509_privkey_deinit(k);
}

/* One exchange over TLS. Returns: gnutls_handshake's result. */
static int ask_tls(const char *priorities, const char *text, struct answer *a)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	const int fd = dial();
	int rc;

	memset(a, 0, sizeof(*a));
	assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
	assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT), 0);
	assert_int_equal(gnutls_priority_set_direct(session, priorities, NULL), 0);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(session, fd);
	do {
		rc = gnutls_handshake(session);
	} while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc == 0) {
		gnutls_record_send(session, text, strlen(text));
		while (a->len < sizeof(a->text) - 1) {
			const ssize_t n = gnutls_record_recv(
				session, a->text + a->len, sizeof(a->text) - 1 - a->len);

			if (n <= 0 && n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED)
				break;
			a->len += n > 0 ? (size_t)n : 0;
		}
	}
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	close(fd);
	return rc;
}

static void speaks_https(void **state)
{
	static const char login[] = "POST /v1/login HTTP/1.1\r\n" HOST JSON
				    "Connection: close\r\nContent-Length: 35\r\n\r\n"
				    "{\"username\":\"a\",\"password\":\"right\"}";
	static struct answer a;
	struct api_conf conf = {.tls = true, .max_connections = 8, .request_ms = REQUEST_MS};
	struct api *plain = api;
	const uint16_t plain_port = port;
	gnutls_datum_t cert, key;
	char why[160] = "";

	(void)state;
	make_certificate(&cert, &key);
	conf.tls_cert_pem = (char *)cert.data;
	conf.tls_key_pem = (char *)key.data;
	assert_int_equal(endpoint_parse(&conf.listen, "[::]:0"), 0);
	assert_int_equal(api_start(&api, &conf, NULL, why), 0);
	port = api_address(api).port;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			ask_tls(i ? "NORMAL:-VERS-ALL:+VERS-TLS1.2" : "NORMAL", login, &a), 0);
		assert_non_null(strstr(a.text, "HTTP/1.1 200"));
		assert_non_null(strstr(a.text, "Strict-Transport-Security: max-age=31536000\r\n"));
		assert_non_null(strstr(a.text, "Set-Cookie: __Host-ireko=admin; Path=/; HttpOnly; "
					       "SameSite=Strict; Secure\r\n"));
	}
	assert_int_not_equal(
		ask_tls("NORMAL:-VERS-ALL:+VERS-TLS1.1:%ALLOW_SMALL_RECORDS", login, &a), 0);
	/* A handshake that does not go on, and plain HTTP on this port. */
	assert_in_time(drip("", ""));
	assert_in_time(drip("\x16\x03\x01\x02", ""));
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 0);
	api_stop(api);
	gnutls_free(cert.data);
	gnutls_free(key.data);
	api = plain;
	port = plain_port;
}

/* ---- events ---- */

/* A stream's connection: what came so far. */
struct ear {
	int fd;
	struct answer a;
};

static void listen_with(struct ear *ear, const char *target, const char *fields)
{
	char text[512];

	ear->fd = dial();
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "%s\r\n", target, fields);
	say(ear->fd, text, strlen(text));
	hear(ear->fd, &ear->a);
}

/* Waits until that stands in what came. Returns: where, NULL when the stream ended. */
static const char *hears(struct ear *ear, const char *what)
{
	struct answer *a = &ear->a;
	const char *at;

	while (!(at = strstr(a->text, what))) {
		const ssize_t n = recv(ear->fd, a->text + a->len, sizeof(a->text) - 1 - a->len, 0);

		if (n <= 0)
			return NULL;
		a->len += (size_t)n;
		a->text[a->len] = '\0';
	}
	return at;
}

static void device_changed(const struct ulid *user)
{
	events_add(events, &(struct event){.type = EVENT_DEVICE_CHANGED,
				   .at = 1700000000000,
				   .user_id = *user,
				   .device_id = some_id,
				   .how = DEVICE_UPDATED});
}

static void events_are_told_as_they_come(void **state)
{
	static struct ear ear, only;
	const struct ulid other = {{9}};
	const char *at;
	char want[64];

	(void)state;
	listen_with(&ear, "/v1/events", ADMIN);
	assert_int_equal(ear.a.status, 200);
	assert_non_null(strstr(ear.a.text, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(ear.a.text, "X-Accel-Buffering: no\r\n"));
	at = hears(&ear, "retry: 2000\nid: ");
	assert_non_null(at);
	assert_non_null(hears(&ear, "event: hello\ndata: {"));
	listen_with(
		&only, "/v1/events?types=session.ended,traffic", "Authorization: Bearer user\r\n");
	assert_non_null(hears(&only, "event: hello\n"));
	device_changed(&other);
	snprintf(want, sizeof(want), "id: %llu\nevent: device.changed\ndata: {\"at\":",
		(unsigned long long)events_newest(events));
	assert_non_null(hears(&ear, want));
	assert_non_null(hears(&ear, "\"change\":\"updated\"}\n\n"));
	events_add(events, &(struct event){.type = EVENT_SESSION_ENDED,
				   .user_id = some_id,
				   .news = {.why = SESSION_END_REVOKED}});
	assert_non_null(hears(&ear, "\"reason\":\"revoked\""));
	assert_non_null(hears(&only, "\"reason\":\"revoked\""));
	assert_null(strstr(only.a.text, "device.changed"));
	close(ear.fd);
	close(only.fd);
}

static void users_are_told_of_their_own_traffic(void **state)
{
	static struct ear all, own;
	struct moved *m = calloc(2, sizeof(*m));

	(void)state;
	m[0] = (struct moved){
		.device_id = some_id, .user_id = some_id, .rx_bytes = 100, .tx_bytes = 1};
	m[1] = (struct moved){
		.device_id = {{7}}, .user_id = {{7}}, .rx_bytes = 5000, .tx_bytes = 2};
	listen_with(&all, "/v1/events", ADMIN);
	listen_with(&own, "/v1/events", "Authorization: Bearer user\r\n");
	assert_non_null(hears(&own, "event: hello"));
	assert_non_null(hears(&all, "event: hello"));
	events_add(events,
		&(struct event){
			.type = EVENT_TRAFFIC, .interval_ms = 500, .moved = m, .n_moved = 2});
	assert_non_null(hears(&all, "\"rx_bps\":81600,"));
	assert_non_null(hears(&all, "\"totals\":{\"rx_bytes\":5100,\"tx_bytes\":3,\"devices\":2}"));
	assert_non_null(hears(&all, ",5000,2],[\"dev_" ID "\",100,1]]}\n\n"));
	assert_non_null(hears(&own, "\"totals\":{\"rx_bytes\":100,\"tx_bytes\":1,\"devices\":1}"));
	assert_non_null(hears(&own, "\"devices\":[[\"dev_" ID "\",100,1]]}\n\n"));
	close(all.fd);
	close(own.fd);
}

static void streams_go_on_where_they_were(void **state)
{
	static struct ear ear;
	const uint64_t seen = events_newest(events);
	char fields[128], want[64];

	(void)state;
	for (int i = 0; i < 3; i++)
		device_changed(&some_id);
	snprintf(fields, sizeof(fields), ADMIN "Last-Event-ID: %llu\r\n", (unsigned long long)seen);
	listen_with(&ear, "/v1/events", fields);
	for (int i = 1; i <= 3; i++) {
		snprintf(want, sizeof(want), "id: %llu\nevent: device.changed",
			(unsigned long long)seen + i);
		assert_non_null(hears(&ear, want));
	}
	assert_null(strstr(ear.a.text, "event: gap"));
	close(ear.fd);
	/* Of another process, of the future, of nobody. */
	static const char *const strange[] = {
		"1", "9007199254740993", "x", "-1", "", "99999999999999999999999999"};
	for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
		snprintf(fields, sizeof(fields), ADMIN "Last-Event-ID: %s\r\n", strange[i]);
		listen_with(&ear, "/v1/events", fields);
		assert_non_null(hears(&ear, "event: gap\ndata: {\"after\":"));
		close(ear.fd);
	}
}

static void streams_end_with_their_right(void **state)
{
	static struct ear ear;
	const struct clock clock = clock_system();
	uint64_t begun;

	(void)state;
	listen_with(&ear, "/v1/events", ADMIN);
	assert_non_null(hears(&ear, "event: hello"));
	begun = clock_mono_ms(&clock);
	atomic_store(&fake.stands, SVC_UNAUTHENTICATED);
	assert_null(hears(&ear, "what never comes"));
	assert_true(clock_mono_ms(&clock) - begun < 1500);
	assert_non_null(hears(&ear, "\r\n0\r\n\r\n")); /* as it should end */
	close(ear.fd);
}

static void there_are_only_so_many_streams(void **state)
{
	static struct ear ears[17];
	unsigned refused = 0;

	(void)state;
	/* Those of the tests before may still be on their way out. */
	for (int tries = 0; tries < 200; tries++) {
		refused = 0;
		for (int i = 0; i < 16; i++) {
			listen_with(&ears[i], "/v1/events", ADMIN);
			refused += ears[i].a.status != 200;
		}
		if (refused == 0)
			break;
		for (int i = 0; i < 16; i++)
			close(ears[i].fd);
		poll(NULL, 0, 20);
	}
	assert_int_equal(refused, 0);
	listen_with(&ears[16], "/v1/events", ADMIN);
	assert_int_equal(ears[16].a.status, 429);
	assert_non_null(strstr(ears[16].a.text, "Retry-After: 5\r\n"));
	close(ears[16].fd);
	/* HEAD takes no place. */
	assert_int_equal(request("HEAD /v1/events", ADMIN, NULL)->status, 200);
	for (int i = 0; i < 16; i++)
		close(ears[i].fd);
	/* Whoever goes makes room, though nobody writes to him. */
	for (int tries = 0; tries < 200; tries++) {
		listen_with(&ears[0], "/v1/events", ADMIN);
		close(ears[0].fd);
		if (ears[0].a.status == 200)
			return;
		poll(NULL, 0, 20);
	}
	fail_msg("streams whose clients are gone stay");
}

/* Who does not read is cut off; who reads has everything, at once. */
static void nobody_waits_for_a_slow_reader(void **state)
{
	static struct ear slow, quick;
	const struct timeval patience = {.tv_sec = 2};
	const int little = 4096;
	const uint64_t from = events_newest(events);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	const char *text = "GET /v1/events HTTP/1.1\r\n" HOST ADMIN "\r\n";
	char want[64];
	unsigned rounds = 0, tries = 0;
	struct pollfd gone;

	(void)state;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* Streams of the tests before may still count against the caller. */
	do {
		memset(&slow, 0, sizeof(slow));
		slow.fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
		setsockopt(slow.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		assert_int_equal(connect(slow.fd, (struct sockaddr *)&to, sizeof(to)), 0);
		say(slow.fd, text, strlen(text));
		if (hears(&slow, "event: hello"))
			break;
		close(slow.fd);
		poll(NULL, 0, 50);
	} while (tries++ < 100);
	assert_true(tries <= 100);
	listen_with(&quick, "/v1/events?types=device.changed", ADMIN);
	assert_non_null(hears(&quick, "event: hello"));
	gone = (struct pollfd){.fd = slow.fd, .events = POLLRDHUP};
	/* As many as the ring holds, again and again, at the pace of the one who reads. */
	while (poll(&gone, 1, 0) == 0 && rounds++ < 200) {
		for (unsigned i = 0; i < 64; i++)
			device_changed(&some_id);
		snprintf(want, sizeof(want), "id: %llu\n",
			(unsigned long long)events_newest(events));
		assert_non_null(hears(&quick, want));
		quick.a.len = 0;
		quick.a.text[0] = '\0';
	}
	assert_true(poll(&gone, 1, 2000) == 1);
	assert_true(events_newest(events) - from > EVENTS_KEPT);
	close(slow.fd);
	close(quick.fd);
}

static void a_stop_ends_streams_at_once(void **state)
{
	static struct ear ear;
	const struct clock clock = clock_system();
	uint64_t begun;

	(void)state;
	listen_with(&ear, "/v1/events", ADMIN);
	assert_non_null(hears(&ear, "event: hello"));
	begun = clock_mono_ms(&clock);
	api_stop(api);
	assert_true(clock_mono_ms(&clock) - begun < 1000);
	assert_non_null(hears(&ear, "\r\n0\r\n\r\n"));
	close(ear.fd);
	assert_int_equal(start(NULL), 0);
}

/* ---- traffic and metrics ---- */

static void traffic_as_the_contract_says(void **state)
{
	const struct answer *a =
		request("GET /v1/traffic?from=2026-01-02T03:04:05Z&to=2026-01-03T00%3A00%3A00"
			"%2B01:00&step=3600&device_id=dev_" ID,
			ADMIN, NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text,
		"\r\n\r\n{\"from\":\"2023-11-14T22:13:20.000Z\",\"to\":\"2023-11-14T22:15:20."
		"000Z\","
		"\"step\":60,\"series\":[{\"device_id\":null,\"points\":[]},{\"device_id\":"
		"\"dev_" ID "\",\"points\":[[\"2023-11-14T22:13:20.000Z\",5,18446744073709551615],"
		"[\"2023-11-14T22:14:20.000Z\",5,9223372036854775807]]}]}"));
	assert_true(fake.traffic.has_device_id && !fake.traffic.has_user_id);
	assert_int_equal(fake.traffic.from, 1767323045000);
	assert_int_equal(fake.traffic.to, 1767394800000);
	assert_int_equal(fake.traffic.step, 3600);
	static const struct {
		const char *line, *field;
	} wrong[] = {
		{"GET /v1/traffic?step=7", "step"},
		{"GET /v1/traffic?step=", "step"},
		{"GET /v1/traffic?step=%31%32", "step"},
		{"GET /v1/traffic?from=yesterday", "from"},
		{"GET /v1/traffic?to=2026-13-01T00:00:00Z", "to"},
		{"GET /v1/traffic?device_id=usr_" ID, "device_id"},
		{"GET /v1/traffic?device_id=dev_" ID "&device_id=dev_" ID, "device_id"},
		{"GET /v1/traffic?user_id=x", "user_id"},
		{"GET /v1/traffic?limit=5", "limit"},
		{"GET /v1/traffic?types=traffic", "types"},
		{"GET /v1/events?types=", "types"},
		{"GET /v1/events?types=traffic,", "types"},
		{"GET /v1/events?types=traffic,nothing", "types"},
		{"GET /v1/events?step=1", "step"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char want[64];

		a = request(wrong[i].line, ADMIN, NULL);
		snprintf(want, sizeof(want), "\"errors\":[{\"field\":\"%s\"", wrong[i].field);
		if (a->status != 422 || !strstr(a->text, want))
			fail_msg("%s: %s", wrong[i].line, a->text);
	}
}

static void metrics_for_whoever_may(void **state)
{
	static const struct {
		const char *fields;
		unsigned status;
	} cases[] = {
		{"", 200}, /* from this very machine */
		{ADMIN, 200},
		{"Authorization: Bearer auditor\r\n", 200},
		{"Authorization: Bearer user\r\n", 403},
		{"Authorization: Bearer nobody\r\n", 401},
		{"X-Forwarded-For: 192.0.2.1\r\n", 401},
		{"x-forwarded-for: 127.0.0.1\r\n", 401},
		{"Forwarded: for=192.0.2.1\r\n", 401},
		{"Via: 1.1 proxy\r\n", 401},
		{"X-Real-IP: 192.0.2.1\r\n", 401},
		{"Origin: http://localhost\r\n", 401},
		{"Cookie: ireko=nobody\r\n", 401},
		{"X-Forwarded-For: 192.0.2.1\r\n" ADMIN, 200},
	};
	const struct answer *a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		a = request("GET /metrics", cases[i].fields, NULL);
		if (a->status != cases[i].status)
			fail_msg("%s: %u", cases[i].fields, a->status);
	}
	/* A browser that was told that evil.example is 127.0.0.1. */
	assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")->status, 401);
	assert_int_equal(
		ask("GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n")->status, 401);
	assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n")->status, 200);
	a = request("GET /metrics", "", NULL);
	assert_non_null(
		strstr(a->text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(a->text, "\nireko_drops_total{reason=\"replay\"} 3\n"));
	assert_null(strstr(a->text, "reason=\"delivered\""));
	assert_non_null(
		strstr(a->text, "\nireko_sessions{protocol=\"openvpn\",transport=\"tcp\"} 4\n"));
	assert_non_null(strstr(
		a->text, "\nireko_handshakes_total{protocol=\"openvpn\",result=\"refused\"} 8\n"));
	assert_non_null(strstr(a->text, "\nireko_database_schema_version 9\n"));
	assert_non_null(strstr(a->text,
		"\nireko_device_bytes_total{device=\"dev_" ID "\",direction=\"tx\"} 12\n"));
	assert_non_null(strstr(a->text,
		"\nireko_http_requests_total{route=\"/metrics\",method=\"GET\",status=\"4xx\"} "));
	atomic_store(&fake.outcome, -EIO);
	assert_int_equal(request("GET /metrics", "", NULL)->status, 500);
}

/* ---- behind a proxy ---- */

#define LOGIN "{\"username\":\"ann\",\"password\":\"right\"}"

static const char *from(void)
{
	static char text[IP_ADDR_TEXT];

	return ip_addr_format(&fake.from, text);
}

static void a_proxy_says_whose_request_it_is(void **state)
{
	struct ip_prefix trusted[2];
	struct api_conf conf = {.proxies = trusted,
		.n_proxies = ARRAY_SIZE(trusted),
		.max_connections = 8,
		.request_ms = REQUEST_MS};
	struct api *other = api;
	const uint16_t other_port = port;
	char why[160] = "";

	(void)state;
	assert_int_equal(ip_prefix_parse(&trusted[0], "127.0.0.1"), 0);
	assert_int_equal(ip_prefix_parse(&trusted[1], "10.0.0.0/8"), 0);
	assert_int_equal(endpoint_parse(&conf.listen, "127.0.0.1:0"), 0);
	assert_int_equal(api_start(&api, &conf, NULL, why), 0);
	port = api_address(api).port;
	assert_int_equal(request("POST /v1/login", "", LOGIN)->status, 200);
	assert_string_equal(from(), "127.0.0.1");
	assert_int_equal(request("POST /v1/login",
				 "X-Forwarded-For: 192.0.2.1, 198.51.100.7, 10.1.2.3\r\n", LOGIN)
				 ->status,
		200);
	assert_string_equal(from(), "198.51.100.7");
	assert_int_equal(
		request("GET /v1/users",
			ADMIN "X-Forwarded-For: 192.0.2.1\r\nX-Other: 1\r\n"
			      "x-forwarded-for: [2001:db8::7]:80\r\nX-Forwarded-Proto: https\r\n",
			NULL)
			->status,
		200);
	assert_string_equal(from(), "2001:db8::7");
	assert_int_equal(
		request("POST /i/abc", "X-Forwarded-For: 192.0.2.1,unknown\r\n", NULL)->status,
		200);
	assert_string_equal(from(), "127.0.0.1");
	/* Nobody becomes local by it, and who is local stays it. */
	assert_int_equal(request("GET /metrics", "", NULL)->status, 200);
	assert_int_equal(
		request("GET /metrics", "X-Forwarded-For: 127.0.0.1\r\n", NULL)->status, 401);
	assert_int_equal(request("GET /metrics", "X-Forwarded-For: ::1\r\n", NULL)->status, 401);
	assert_int_equal(request("GET /metrics", "X-Forwarded-For:\r\n", NULL)->status, 401);
	assert_int_equal(request("GET /metrics", "X-Forwarded-Proto: http\r\n", NULL)->status, 401);
	api_stop(api);
	api = other;
	port = other_port;
}

static void nobody_else_is_believed(void **state)
{
	(void)state;
	assert_int_equal(
		request("POST /v1/login", "X-Forwarded-For: 192.0.2.1\r\n", LOGIN)->status, 200);
	assert_string_equal(from(), "127.0.0.1");
	request("GET /v1/users", ADMIN "X-Forwarded-For: 192.0.2.1\r\n", NULL);
	assert_string_equal(from(), "127.0.0.1");
}

/* ---- start and stop ---- */

static void says_why_it_does_not_start(void **state)
{
	struct api_conf conf = {.listen = api_address(api)};
	char why[160] = "";
	struct api *second;

	(void)state;
	assert_int_equal(api_start(&second, &conf, NULL, why), -EADDRINUSE);
	assert_non_null(strstr(why, "127.0.0.1"));
	conf.listen.port = 0;
	conf.tls = true;
	assert_int_equal(api_start(&second, &conf, NULL, why), -EINVAL);
	conf.tls_cert_file = "/nonexistent/cert.pem";
	assert_int_equal(api_start(&second, &conf, NULL, why), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/cert.pem"));
	conf.tls_cert_file = NULL;
	conf.tls_cert_pem = conf.tls_key_pem = "nonsense";
	assert_int_equal(api_start(&second, &conf, NULL, why), -EINVAL);
}

static void stop_lets_running_requests_finish(void **state)
{
	pthread_t thread;
	unsigned status = 0;

	(void)state;
	atomic_store(&fake.slow_ms, 300);
	assert_int_equal(pthread_create(&thread, NULL, ask_slowly, &status), 0);
	while (atomic_load(&fake.calls) == 0)
		poll(NULL, 0, 5);
	api_stop(api);
	pthread_join(thread, NULL);
	assert_int_equal(status, 200);
	assert_int_equal(start(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(refuses_malformed_requests, fresh),
		cmocka_unit_test_setup(refuses_nul_bytes, fresh),
		cmocka_unit_test_setup(takes_blanks_around_values, fresh),
		cmocka_unit_test_setup(refuses_what_is_too_big, fresh),
		cmocka_unit_test_setup(takes_the_largest_that_is_allowed, fresh),
		cmocka_unit_test_setup(an_answer_closes_the_door_to_what_follows, fresh),
		cmocka_unit_test_setup(keeps_connections_and_answers_in_order, fresh),
		cmocka_unit_test_setup(ends_slow_senders, fresh),
		cmocka_unit_test_setup(ends_slow_senders_on_kept_connections, fresh),
		cmocka_unit_test_setup(ends_slow_readers, fresh),
		cmocka_unit_test_setup(idlers_make_room, fresh),
		cmocka_unit_test_setup(slow_use_cases_do_not_stop_the_rest, fresh),
		cmocka_unit_test_setup(an_answer_that_comes_too_late_is_not_sent, fresh),
		cmocka_unit_test_setup(every_route_asks_who_is_there, fresh),
		cmocka_unit_test_setup(every_route_asks_for_the_role, fresh),
		cmocka_unit_test_setup(cookies_need_the_csrf_token, fresh),
		cmocka_unit_test_setup(a_backup_is_a_file, fresh),
		cmocka_unit_test_setup(a_slow_download_goes_on, fresh),
		cmocka_unit_test_setup(who_takes_nothing_is_dropped, fresh),
		cmocka_unit_test_setup(unknown_paths_and_methods, fresh),
		cmocka_unit_test_setup(answers_carry_the_standing_headers, fresh),
		cmocka_unit_test_setup(head_is_like_get, fresh),
		cmocka_unit_test_setup(the_dashboard_is_served, fresh),
		cmocka_unit_test_setup(the_dashboard_has_nothing_else, fresh),
		cmocka_unit_test_setup(login_sets_the_cookie, fresh),
		cmocka_unit_test_setup(objects_as_the_contract_says, fresh),
		cmocka_unit_test_setup(audit_settings_and_second_factors, fresh),
		cmocka_unit_test_setup(refused_writes_are_told, fresh),
		cmocka_unit_test_setup(openvpn_credentials, fresh),
		cmocka_unit_test_setup(tunnels_say_how_they_are, fresh),
		cmocka_unit_test_setup(pages_continue, fresh),
		cmocka_unit_test_setup(bodies_are_strict, fresh),
		cmocka_unit_test_setup(preconditions, fresh),
		cmocka_unit_test_setup(preconditions_of_live_objects, fresh),
		cmocka_unit_test_setup(what_has_no_etag_matches_none, fresh),
		cmocka_unit_test_setup(unchanged_is_not_sent_again, fresh),
		cmocka_unit_test_setup(a_devices_tag_follows_its_status, fresh),
		cmocka_unit_test_setup(keys_that_cant_be_taken, fresh),
		cmocka_unit_test_setup(the_answer_is_made_in_the_transaction, fresh),
		cmocka_unit_test_setup(repeats_are_answered_as_before, fresh),
		cmocka_unit_test_setup(only_success_is_remembered, fresh),
		cmocka_unit_test_setup(requests_differ, fresh),
		cmocka_unit_test_setup(what_makes_nothing_is_not_remembered, fresh),
		cmocka_unit_test_setup(invites_hand_out_their_link, fresh),
		cmocka_unit_test_setup(links_begin_as_the_setting_says, fresh),
		cmocka_unit_test_setup(looking_at_a_link_does_nothing, fresh),
		cmocka_unit_test_setup(the_button_opens_it, fresh),
		cmocka_unit_test_setup(only_our_own_page_has_the_button, fresh),
		cmocka_unit_test_setup(refused_links_have_pages, fresh),
		cmocka_unit_test_setup(outcomes_become_statuses, fresh),
		cmocka_unit_test_setup(events_are_told_as_they_come, fresh),
		cmocka_unit_test_setup(users_are_told_of_their_own_traffic, fresh),
		cmocka_unit_test_setup(streams_go_on_where_they_were, fresh),
		cmocka_unit_test_setup(streams_end_with_their_right, fresh),
		cmocka_unit_test_setup(there_are_only_so_many_streams, fresh),
		cmocka_unit_test_setup(nobody_waits_for_a_slow_reader, fresh),
		cmocka_unit_test_setup(a_stop_ends_streams_at_once, fresh),
		cmocka_unit_test_setup(traffic_as_the_contract_says, fresh),
		cmocka_unit_test_setup(metrics_for_whoever_may, fresh),
		cmocka_unit_test_setup(speaks_https, fresh),
		cmocka_unit_test_setup(a_proxy_says_whose_request_it_is, fresh),
		cmocka_unit_test_setup(nobody_else_is_believed, fresh),
		cmocka_unit_test_setup(says_why_it_does_not_start, fresh),
		cmocka_unit_test_setup(stop_lets_running_requests_finish, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
