#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/api/server/fake_service.h"
#include "uapi/uapi.h"

struct fake_service fake;
struct events *events;

const struct ulid some_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

void fake_service_reset(void)
{
	svc_answer_fini(&fake.answer);
	memset(&fake, 0, sizeof(fake));
	atomic_store(&fake.devices, 1);
}

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

void wait_for_backups(unsigned n)
{
	for (int i = 0; i < 500 && atomic_load(&fake.backups) != n; i++)
		poll(NULL, 0, 10);
	assert_int_equal(atomic_load(&fake.backups), n);
}
