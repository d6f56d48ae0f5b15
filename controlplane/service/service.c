#include "service/service.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"
#include "db/state_store.h"
#include "pki/keystore.h"
#include "service/inside.h"
#include "service/text.h"
#include "uapi/uapi.h"

enum { TRY_ROUNDS = 30 }; /* a write that changes nothing, so many seconds apart */

static const char *const role_names[] = {
	[SVC_ROLE_USER] = "user",
	[SVC_ROLE_AUDITOR] = "auditor",
	[SVC_ROLE_OPERATOR] = "operator",
	[SVC_ROLE_ADMIN] = "admin",
};

const char *svc_role_name(enum svc_role r)
{
	return (size_t)r < ARRAY_SIZE(role_names) ? role_names[r] : "none";
}

int svc_role_parse(const char *text, enum svc_role *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(role_names); i++) {
		if (strcmp(text, role_names[i]) != 0)
			continue;
		*out = (enum svc_role)i;
		return 0;
	}
	return -EINVAL;
}

int refuse(struct svc_error *e, int outcome, const char *field, const char *fmt, ...)
{
	va_list args;

	if (!e)
		return outcome;
	e->retry_after_s = 0;
	snprintf(e->field, sizeof(e->field), "%s", field);
	va_start(args, fmt);
	vsnprintf(e->message, sizeof(e->message), fmt, args);
	va_end(args);
	return outcome;
}

int refuse_for(struct svc_error *e, uint32_t seconds, const char *why)
{
	refuse(e, SVC_RATE_LIMITED, "", "%s", why);
	if (e)
		e->retry_after_s = seconds;
	return SVC_RATE_LIMITED;
}

int refuse_not_found(struct svc_error *e)
{
	return refuse(e, SVC_NOT_FOUND, "", "there is no such object");
}

int answer(int err, struct svc_error *e)
{
	if (err == -ESTALE)
		return refuse(e, SVC_NO_SPACE, "",
			"the files of the database were deleted or replaced; nothing was changed");
	if (err == -ENOSPC || err == -EROFS || err == -EREMOTEIO)
		return refuse(e, SVC_NO_SPACE, "",
			"the disk is full or can't be written; nothing was changed");
	return err;
}

int page_check(const struct svc_page *p, struct svc_error *e)
{
	if (p->limit >= 1 && p->limit <= SVC_LIMIT_MAX)
		return 0;
	return refuse(e, SVC_INVALID, "limit", "must be between 1 and %d", SVC_LIMIT_MAX);
}

int time_check(int64_t t, const char *field, struct svc_error *e)
{
	if (t >= 0 && t <= 253402300799999) /* year 9999 */
		return 0;
	return refuse(e, SVC_INVALID, field, "is not a time between 1970 and 9999");
}

/* Both texts stand in profiles, on a line of their own. */
static bool plain_text(const char *text, const char *also)
{
	for (; *text; text++) {
		bool alnum = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
			     (*text >= '0' && *text <= '9');

		if (!alnum && !strchr(also, *text))
			return false;
	}
	return true;
}

static int conf_check(const struct svc_conf *c)
{
	bool nets = c->net4.addr.family == IP_V4 && c->net4.len >= 8 && c->net4.len <= 30 &&
		    c->net6.addr.family == IP_V6 && c->net6.len >= 8 && c->net6.len <= 126;
	bool texts = plain_text(c->endpoint_host, ".:-_[]%") && plain_text(c->dns, ".:-_, ");

	if (!nets || !texts || (c->admin_password && text_password_fault(c->admin_password)))
		return -EINVAL;
	return 0;
}

/* 24 random bytes are 32 characters. */
static int make_password(char out[33])
{
	uint8_t raw[24];
	int err = secret_random(raw, sizeof(raw));

	if (!err)
		base64url_encode(raw, sizeof(raw), out);
	secret_wipe(raw, sizeof(raw));
	return err;
}

static int count_users(struct service *s, uint64_t *n)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	return err ? err : user_count(tx, n);
}

static int insert_admin(struct service *s, const char *password)
{
	struct user_row u = {.name = "admin", .role = SVC_ROLE_ADMIN, .revision = 1};
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = password_hash(s->gate, password, u.password);

	if (!err)
		err = ulid_new(&u.id, &s->conf.clock);
	u.created_at = u.updated_at = service_now(s);
	if (!err)
		err = db_write(s->db, &tx);
	if (!err)
		err = user_insert(tx, &u);
	if (!err)
		err = audit_add(tx, s, NULL,
			&(struct audit_event){.action = "user.create",
				.kind = "usr",
				.object = &u.id,
				.detail = "admin, role admin, password"});
	if (!err)
		err = db_commit(&tx);
	secret_wipe(u.password, sizeof(u.password));
	return err;
}

/* Users never run out later (the last admin can't go), so no users means first start. */
static int first_start(struct service *s, char made_password[33])
{
	uint64_t n;
	int err = count_users(s, &n);

	if (err || n > 0)
		return err;
	if (!s->conf.admin_password) {
		err = make_password(made_password);
		if (!err && s->conf.keep_password)
			err = s->conf.keep_password(s->conf.keep_arg, made_password);
	}
	if (!err)
		err = insert_admin(
			s, s->conf.admin_password ? s->conf.admin_password : made_password);
	if (err)
		secret_wipe(made_password, 33);
	return err;
}

static void keep_traffic(struct service *s)
{
	struct svc_settings now;

	svc_settings_now(s, &now);
	traffic_keep(s->traffic, &(struct traffic_retention){
					 .minutes = now.number[SVC_TRAFFIC_MINUTES] * TRAFFIC_DAY,
					 .hours = now.number[SVC_TRAFFIC_HOURS] * TRAFFIC_DAY,
					 .days = now.number[SVC_TRAFFIC_DAYS] * TRAFFIC_DAY,
				 });
}

/* Said when it begins and when it ends; while it lasts readiness says it. */
static void note_storage(struct service *s)
{
	const char *fault = db_fault(s->db);

	if (fault && !s->storage_fault)
		log_error("service", "storage: %s: nothing is changed until that is mended", fault);
	else if (!fault && s->storage_fault)
		log_info("service", "storage: the database is written again");
	s->storage_fault = fault;
	db_try(s->db, s->rounds++ % TRY_ROUNDS == 0);
}

/* On the recorder's thread, every second. */
static int background(void *service)
{
	struct service *s = service;

	note_storage(s);
	keep_traffic(s);
	once_table_purge(s->once, service_now(s));
	return audit_tick(s);
}

int service_new(struct service **out, const struct svc_conf *conf, struct db *db,
	struct keystore *ks, struct ca *ca, char made_password[33])
{
	struct service *s;
	int err;

	*out = NULL;
	made_password[0] = '\0';
	err = conf_check(conf);
	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	s->db = db;
	s->ks = ks;
	s->ca = ca;
	s->started_at = service_now(s);
	s->audit_most = AUDIT_MOST;
	pthread_mutex_init(&s->verify_lock, NULL);
	err = stripes_new(&s->stripes);
	if (!err)
		err = settings_new(&s->settings, s);
	if (!err)
		err = audit_new(&s->audit);
	if (!err)
		err = audit_begin(s);
	if (!err)
		err = password_gate_new(&s->gate);
	if (!err)
		err = throttle_new(&s->throttle);
	if (!err)
		err = once_table_new(&s->once);
	if (!err)
		err = first_start(s, made_password);
	if (!err)
		err = events_new(&s->events, &conf->clock);
	if (!err)
		err = traffic_new(&s->traffic, db, &conf->clock, s->events);
	if (!err)
		err = recorder_new(&s->recorder, db, &conf->clock, background, s);
	s->conf.admin_password = NULL; /* the caller wipes it */
	if (err) {
		service_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void service_on_device_state(void *service, const struct device_state *st, size_t n)
{
	recorder_device_state(((struct service *)service)->recorder, st, n);
}

void service_on_credential_state(void *service, const struct credential_state *st, size_t n)
{
	recorder_credential_state(((struct service *)service)->recorder, st, n);
}

void service_stop(struct service *s)
{
	traffic_stop(s->traffic);
	recorder_stop(s->recorder);
	if (audit_flush(s))
		log_error("service", "audit: what was counted can't be written");
}

void service_free(struct service *s)
{
	if (!s)
		return;
	traffic_free(s->traffic);
	events_free(s->events);
	recorder_free(s->recorder);
	once_table_free(s->once);
	throttle_free(s->throttle);
	password_gate_free(s->gate);
	stripes_free(s->stripes);
	audit_free(s->audit);
	settings_free(s->settings);
	pthread_mutex_destroy(&s->verify_lock);
	free(s);
}

/* ---- events ---- */

struct events *svc_events(struct service *s)
{
	return s->events;
}

void tell_device(struct service *s, const struct ulid *device, const struct ulid *user,
	enum device_change how)
{
	events_add(s->events, &(struct event){.type = EVENT_DEVICE_CHANGED,
				      .at = service_now(s),
				      .user_id = *user,
				      .device_id = *device,
				      .how = how});
}

void service_on_event(void *service, const struct coordinator_event *news)
{
	static const enum event_type types[] = {
		[NEWS_SESSION_STARTED] = EVENT_SESSION_STARTED,
		[NEWS_SESSION_ENDED] = EVENT_SESSION_ENDED,
		[NEWS_SESSION_ROAMED] = EVENT_SESSION_ROAMED,
		[NEWS_DATAPLANE_CONNECTED] = EVENT_DATAPLANE_CONNECTED,
		[NEWS_DATAPLANE_LOST] = EVENT_DATAPLANE_LOST,
	};

	events_add(
		((struct service *)service)->events, &(struct event){.type = types[news->what],
							     .at = news->at,
							     .user_id = news->session.user_id,
							     .device_id = news->session.device_id,
							     .news = *news});
}

void service_on_counters(
	void *service, const struct ulid *boot, const struct device_counters *c, size_t n)
{
	traffic_counted(((struct service *)service)->traffic, boot, c, n);
}

/* ---- status ---- */

int svc_status(
	struct service *s, const struct svc_actor *a, struct svc_status *out, struct svc_error *e)
{
	memset(out, 0, sizeof(*out));
	if (!access_reads_all(a))
		return refuse(e, SVC_FORBIDDEN, "", "the role %s does not see the status",
			svc_role_name(a->role));
	out->started_at = s->started_at;
	out->schema_version = db_schema_version(s->db);
	out->database_ok = db_answers(s->db);
	if (s->coordinator)
		coordinator_dataplane_status(s->coordinator, &out->dataplane);
	return 0;
}

bool svc_ready(struct service *s, char *why)
{
	struct dataplane_status *st;
	bool connected, silent;
	const char *fault = db_fault(s->db);

	why[0] = '\0';
	if (fault) {
		snprintf(why, 96, "%s", fault);
		return false;
	}
	if (!db_answers(s->db)) {
		snprintf(why, 96, "the database does not answer");
		return false;
	}
	st = calloc(1, sizeof(*st)); /* large for a stack */
	if (st && s->coordinator)
		coordinator_dataplane_status(s->coordinator, st);
	connected = st && st->connected;
	silent = st && st->silent;
	free(st);
	/* Silent also before its first word: then nobody has seen it connected. */
	if (silent)
		snprintf(why, 96, "the dataplane does not answer");
	else if (!connected)
		snprintf(why, 96, "the dataplane is not connected");
	return connected && !silent;
}

/* Protocols and transports are numbered from 1. */
static void count_sessions(uint32_t counts[2][2], const struct session_info *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		counts[all[i].protocol == DIR_OPENVPN][all[i].transport == UAPI_TCP]++;
}

static int coordinator_part(struct coordinator *c, bool devices, struct svc_figures *out)
{
	struct session_info *all = NULL;
	size_t n = 0;
	int err;

	if (!c)
		return 0;
	coordinator_dataplane_status(c, &out->dataplane);
	coordinator_figures(c, &out->loop);
	err = coordinator_sessions(c, &all, &n);
	if (!err)
		count_sessions(out->sessions, all, n);
	free(all);
	if (!err && devices)
		err = coordinator_totals(c, &out->devices, &out->n_devices);
	return err;
}

int svc_figures(struct service *s, bool devices, struct svc_figures *out)
{
	struct db_figures db;
	char why[96];

	memset(out, 0, sizeof(*out));
	db_figures(s->db, &db);
	out->started_at = s->started_at;
	out->ready = svc_ready(s, why);
	out->db_writable = db_fault(s->db) == NULL;
	out->schema_version = db_schema_version(s->db);
	out->db_bytes = db.bytes;
	out->wal_bytes = db.wal_bytes;
	out->db_writes = db.commits;
	out->db_failures = db.failures;
	return coordinator_part(s->coordinator, devices, out);
}

void svc_figures_fini(struct svc_figures *f)
{
	free(f->devices);
	f->devices = NULL;
}
