#include "service/settings.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "db/settings_store.h"
#include "service/inside.h"
#include "service/text.h"

/* Two locks: `patching` is held from before a change's transaction until the coordinator has it,
 * so that what holds is what was committed last; `lock` only for copying. */
struct settings {
	pthread_mutex_t patching;
	pthread_mutex_t lock;
	struct svc_settings_state state;
};

_Static_assert(sizeof(((struct svc_settings *)0)->endpoint) == SETTINGS_TEXT &&
		       sizeof(((struct svc_settings *)0)->dns) == SETTINGS_TEXT,
	"what a row has fits");
_Static_assert((int)SVC_SETTINGS == (int)SETTINGS_NUMBERS, "one column for each number");

static const struct {
	const char *name;
	int64_t least, most, initial;
} numbers[SVC_SETTINGS] = {
#define NUMBER(name, json, least, most, initial) [SVC_##name] = {json, least, most, initial},
	SVC_NUMBERS(NUMBER)
#undef NUMBER
};

/* ---- what holds ---- */

static void take_defaults(struct svc_settings *out, const struct svc_conf *c)
{
	snprintf(out->endpoint, sizeof(out->endpoint), "%s", c->endpoint_host);
	snprintf(out->dns, sizeof(out->dns), "%s", c->dns);
	for (size_t i = 0; i < SVC_SETTINGS; i++)
		out->number[i] = numbers[i].initial;
	out->number[SVC_MTU] = c->mtu;
	out->number[SVC_KEEPALIVE] = c->keepalive_s;
}

static void take_row(struct svc_settings_state *st, const struct settings_row *r)
{
	st->now = st->defaults;
	if (r->has_endpoint)
		memcpy(st->now.endpoint, r->endpoint, sizeof(st->now.endpoint));
	if (r->has_dns)
		memcpy(st->now.dns, r->dns, sizeof(st->now.dns));
	for (size_t i = 0; i < SVC_SETTINGS; i++)
		if (r->has[i])
			st->now.number[i] = r->number[i];
	st->updated_at = r->updated_at;
	st->revision = r->revision;
}

static int read_row(struct service *s, struct settings_row *r)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	return err ? err : settings_get(tx, r);
}

int settings_new(struct settings **out, struct service *s)
{
	struct settings *st = calloc(1, sizeof(*st));
	struct settings_row r;
	int err = st ? read_row(s, &r) : -ENOMEM;

	if (err) {
		free(st);
		return err;
	}
	pthread_mutex_init(&st->patching, NULL);
	pthread_mutex_init(&st->lock, NULL);
	take_defaults(&st->state.defaults, &s->conf);
	take_row(&st->state, &r);
	*out = st;
	return 0;
}

void settings_free(struct settings *st)
{
	if (!st)
		return;
	pthread_mutex_destroy(&st->lock);
	pthread_mutex_destroy(&st->patching);
	free(st);
}

static void copy_state(struct settings *st, struct svc_settings_state *out)
{
	pthread_mutex_lock(&st->lock);
	*out = st->state;
	pthread_mutex_unlock(&st->lock);
}

void svc_settings_now(struct service *s, struct svc_settings *out)
{
	struct svc_settings_state all;

	copy_state(s->settings, &all);
	*out = all.now;
}

int svc_settings_get(struct service *s, const struct svc_actor *a, struct svc_settings_state *out,
	struct svc_error *e)
{
	memset(out, 0, sizeof(*out));
	if (!access_reads_all(a))
		return refuse(e, SVC_FORBIDDEN, "", "the role %s does not see the settings",
			svc_role_name(a->role));
	copy_state(s->settings, out);
	return 0;
}

/* ---- changes ---- */

static int may_change(const struct svc_actor *a, struct svc_error *e)
{
	int err = access_write(a, e);

	if (!err && a->role != SVC_ROLE_ADMIN)
		err = refuse(e, SVC_FORBIDDEN, "", "the role %s changes no settings",
			svc_role_name(a->role));
	return err;
}

static int check_dns(const struct svc_addresses *d, struct svc_error *e)
{
	for (size_t i = 0; i < d->n; i++)
		if (!text_host_address_ok(&d->list[i]))
			return refuse(
				e, SVC_INVALID, "dns", "entry %zu is no resolver's address", i + 1);
	return 0;
}

static int check(const struct svc_settings_change *c, struct svc_error *e)
{
	const char *fault = c->set_endpoint && c->endpoint ? text_host_fault(c->endpoint) : NULL;

	if (fault)
		return refuse(e, SVC_INVALID, "endpoint", "%s", fault);
	if (c->set_dns && c->dns.there && check_dns(&c->dns, e))
		return SVC_INVALID;
	for (size_t i = 0; i < SVC_SETTINGS; i++) {
		const struct svc_number *n = &c->number[i];

		if (c->set_number[i] && n->there &&
			(n->n < numbers[i].least || n->n > numbers[i].most))
			return refuse(e, SVC_INVALID, numbers[i].name,
				"must be between %lld and %lld", (long long)numbers[i].least,
				(long long)numbers[i].most);
	}
	return 0;
}

static void write_dns(char out[SETTINGS_TEXT], const struct svc_addresses *d)
{
	char text[IP_ADDR_TEXT];
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < d->n; i++)
		used += (size_t)snprintf(out + used, SETTINGS_TEXT - used, "%s%s", i ? ", " : "",
			ip_addr_format(&d->list[i], text));
}
_Static_assert(SVC_DNS_MAX *(IP_ADDR_TEXT + 2) < SETTINGS_TEXT, "all addresses fit");

static void apply(struct settings_row *r, const struct svc_settings_change *c)
{
	if (c->set_endpoint) {
		r->has_endpoint = c->endpoint != NULL;
		snprintf(r->endpoint, sizeof(r->endpoint), "%s", c->endpoint ? c->endpoint : "");
	}
	if (c->set_dns) {
		r->has_dns = c->dns.there;
		write_dns(r->dns, &c->dns);
	}
	for (size_t i = 0; i < SVC_SETTINGS; i++) {
		if (!c->set_number[i])
			continue;
		r->has[i] = c->number[i].there;
		r->number[i] = c->number[i].n;
	}
}

static int add_row(struct db_conn *tx, struct service *s, const struct svc_actor *me,
	const struct svc_settings_change *c)
{
	struct audit_field fields[SVC_SETTINGS + 2] = {
		{c->set_endpoint, "endpoint"}, {c->set_dns, "dns"}};
	char detail[AUDIT_FIELDS_TEXT];

	for (size_t i = 0; i < SVC_SETTINGS; i++)
		fields[i + 2] = (struct audit_field){c->set_number[i], numbers[i].name};
	return audit_add(tx, s, me,
		&(struct audit_event){
			.action = "settings.patch",
			.detail = audit_fields(fields, ARRAY_SIZE(fields), detail),
		});
}

/* The transaction. */
static int patch(struct service *s, const struct svc_actor *a, uint64_t if_match,
	const struct svc_settings_change *c, struct settings_row *r, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = may_change(&me, e);
	if (!err)
		err = settings_get(tx, r);
	if (!err && if_match && if_match != r->revision)
		err = refuse(e, SVC_PRECONDITION, "", "the settings have changed meanwhile");
	if (err)
		return err;
	apply(r, c);
	r->updated_at = service_now(s);
	r->revision++;
	err = settings_set(tx, r);
	if (!err)
		err = add_row(tx, s, &me, c);
	return err ? err : db_commit(&tx);
}

/* Whoever keeps a copy of his own. */
static int tell(
	struct service *s, const struct svc_settings *before, const struct svc_settings *now)
{
	bool tunnel = before->number[SVC_MTU] != now->number[SVC_MTU] ||
		      strcmp(before->dns, now->dns) != 0;

	if (before->number[SVC_AUDIT_DAYS] != now->number[SVC_AUDIT_DAYS])
		audit_end_soon(s);
	if (!tunnel || !s->coordinator)
		return 0;
	return coordinator_tunnel_set(s->coordinator, now->dns, (uint16_t)now->number[SVC_MTU]);
}

int svc_settings_patch(struct service *s, const struct svc_actor *a, uint64_t if_match,
	const struct svc_settings_change *c, struct svc_settings_state *out, struct svc_error *e)
{
	struct settings *st = s->settings;
	struct svc_settings before;
	struct settings_row r;
	int err = may_change(a, e);

	memset(out, 0, sizeof(*out));
	if (!err)
		err = check(c, e);
	if (err)
		return answer(err, e);
	pthread_mutex_lock(&st->patching);
	err = patch(s, a, if_match, c, &r, e);
	if (!err) {
		pthread_mutex_lock(&st->lock);
		before = st->state.now;
		take_row(&st->state, &r);
		*out = st->state;
		pthread_mutex_unlock(&st->lock);
		log_info("service", "settings: changed by %s", a->user_name);
		err = tell(s, &before, &out->now);
	}
	pthread_mutex_unlock(&st->patching);
	return answer(err, e);
}
