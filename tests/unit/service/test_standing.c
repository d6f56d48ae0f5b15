/* Whoever is served for long is asked about again: tokens, logins, users, roles; and what he is
 * told meanwhile, when something happens to a device. */
#include <errno.h>

#include "db/login_store.h"
#include "db/token_store.h"
#include "tests/unit/service/servicetest.h"

static struct svc_actor by_token(struct servicetest *t, const struct svc_actor *owner,
	enum svc_role role, int64_t expires_at)
{
	const struct svc_token_request r = {
		.name = "t", .set_role = true, .role = role, .expires_at = expires_at};
	char secret[SVC_TOKEN_TEXT];
	struct svc_token token;
	struct svc_actor a;

	assert_int_equal(svc_token_create(t->s, owner, &r, &token, secret, &t->e), 0);
	assert_int_equal(svc_authenticate_token(t->s, secret, &a), 0);
	return a;
}

static void until_a_token_is_gone(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor a = by_token(t, &t->admin, SVC_ROLE_OPERATOR, 0);

	assert_int_equal(svc_actor_stands(t->s, &a), 0);
	assert_int_equal(svc_token_delete(t->s, &t->admin, &a.via, &t->e), 0);
	assert_int_equal(svc_actor_stands(t->s, &a), SVC_UNAUTHENTICATED);
}

static void until_a_token_has_expired(void **state)
{
	struct servicetest *t = *state;
	const int64_t now = t->clock.real_us / 1000;
	struct svc_actor a = by_token(t, &t->admin, SVC_ROLE_ADMIN, now + 5000);

	fake_clock_advance(&t->clock, 4999);
	assert_int_equal(svc_actor_stands(t->s, &a), 0);
	fake_clock_advance(&t->clock, 1);
	assert_int_equal(svc_actor_stands(t->s, &a), SVC_UNAUTHENTICATED);
}

static struct svc_actor by_login(struct servicetest *t, const struct svc_user *u)
{
	struct login_row row = {.user_id = u->id, .cookie_sha256 = {1}, .csrf_sha256 = {2}};
	struct svc_actor a = actor_of(u);
	struct db_conn *tx;

	row.id = id_of(300);
	row.created_at = row.last_used_at = t->clock.real_us / 1000;
	assert_int_equal(db_write(t->db, &tx), 0);
	assert_int_equal(login_insert(tx, &row, 8), 0);
	assert_int_equal(db_commit(&tx), 0);
	a.by_login = true;
	a.via = row.id;
	return a;
}

static void until_a_login_ends(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct svc_actor a = by_login(t, &u);

	assert_int_equal(svc_actor_stands(t->s, &a), 0);
	/* Being there is no use: it falls asleep. */
	fake_clock_advance(&t->clock, LOGIN_IDLE_MS - 1);
	assert_int_equal(svc_actor_stands(t->s, &a), 0);
	fake_clock_advance(&t->clock, 1);
	assert_int_equal(svc_actor_stands(t->s, &a), SVC_UNAUTHENTICATED);
	/* Used, it goes on; then he logs out. */
	recorder_use(t->s->recorder, RECORDER_LOGIN, &a.via, 0, t->clock.real_us / 1000);
	assert_int_equal(svc_actor_stands(t->s, &a), 0);
	assert_int_equal(svc_logout(t->s, &a), 0);
	assert_int_equal(svc_actor_stands(t->s, &a), SVC_UNAUTHENTICATED);
}

static void until_the_user_may_not_or_is_another(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_OPERATOR), now;
	struct svc_actor ann = actor_of(&u), a = by_token(t, &ann, SVC_ROLE_OPERATOR, 0);
	struct svc_user_change c = {.set_role = true, .role = SVC_ROLE_USER};

	assert_int_equal(svc_actor_stands(t->s, &a), 0);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &now, &t->e), 0);
	assert_int_equal(svc_actor_stands(t->s, &a), SVC_UNAUTHENTICATED);
	c.role = SVC_ROLE_ADMIN; /* the token is an operator's still */
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &now, &t->e), 0);
	assert_int_equal(svc_actor_stands(t->s, &a), 0);
	c = (struct svc_user_change){.set_disabled = true, .disabled = true};
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &c, &now, &t->e), 0);
	assert_int_equal(svc_actor_stands(t->s, &a), SVC_UNAUTHENTICATED);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), 0);
	assert_int_equal(svc_actor_stands(t->s, &a), SVC_UNAUTHENTICATED);
}

/* ---- what is told ---- */

struct ear {
	struct events *ev;
	uint64_t at;
};

static void hears(struct ear *ear, const struct ulid *device, enum device_change how)
{
	struct event *e;

	assert_int_equal(events_next(ear->ev, ear->at, &e), EVENTS_ONE);
	assert_int_equal(e->type, EVENT_DEVICE_CHANGED);
	assert_int_equal(e->how, how);
	if (device)
		assert_true(ulid_equal(&e->device_id, device));
	ear->at = e->id;
	event_put(ear->ev, e);
}

static void hears_nothing(struct ear *ear)
{
	struct event *e;

	assert_int_equal(events_next(ear->ev, ear->at, &e), EVENTS_NONE);
}

static void devices_are_told_of_after_the_commit(void **state)
{
	struct servicetest *t = *state;
	struct ear ear = {svc_events(t->s), events_newest(svc_events(t->s))};
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER), now;
	struct svc_device_change c = {
		.set_name = true, .name = "phone", .set_user_id = true, .user_id = u.id};
	const struct svc_credential_request wg = {.protocol = DIR_WIREGUARD};
	struct svc_user_change disabled = {.set_disabled = true, .disabled = true};
	struct svc_issued *issued = calloc(1, sizeof(*issued));
	struct svc_device d, again;

	assert_non_null(issued);
	assert_int_equal(svc_device_create(t->s, &t->admin, &c, &d, &t->e), 0);
	svc_device_fini(&d);
	hears(&ear, &d.id, DEVICE_CREATED);
	/* What was refused is not told. */
	assert_int_equal(svc_device_create(t->s, &t->admin, &c, &again, &t->e), SVC_CONFLICT);
	hears_nothing(&ear);
	c = (struct svc_device_change){.set_name = true, .name = "tablet"};
	assert_int_equal(svc_device_patch(t->s, &t->admin, &d.id, 0, &c, &again, &t->e), 0);
	svc_device_fini(&again);
	hears(&ear, &d.id, DEVICE_UPDATED);
	assert_int_equal(svc_credential_issue(t->s, &t->admin, &d.id, &wg, issued, &t->e), 0);
	hears(&ear, &d.id, DEVICE_CREDENTIAL_ISSUED);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &issued->credential.id, &t->e), 0);
	hears(&ear, &d.id, DEVICE_CREDENTIAL_REVOKED);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &disabled, &now, &t->e), 0);
	hears(&ear, &d.id, DEVICE_USER_DISABLED);
	/* Once: he is disabled already. */
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &disabled, &now, &t->e), 0);
	hears_nothing(&ear);
	disabled.disabled = false;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &disabled, &now, &t->e), 0);
	hears(&ear, &d.id, DEVICE_USER_ENABLED);
	/* The dataplane does not answer: it is done and told all the same. */
	t->c->revoke_result = -ETIMEDOUT;
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), SVC_UNAVAILABLE);
	hears(&ear, &d.id, DEVICE_DELETED);
	hears_nothing(&ear);
	free(issued);
}

static void news_of_the_coordinator_are_told(void **state)
{
	struct servicetest *t = *state;
	struct ear ear = {svc_events(t->s), events_newest(svc_events(t->s))};
	const struct coordinator_event news = {.what = NEWS_SESSION_ENDED,
		.at = 5,
		.session = {.device_id = id_of(1), .user_id = id_of(2)},
		.why = SESSION_END_SILENT};
	struct event *e;

	service_on_event(t->s, &news);
	assert_int_equal(events_next(ear.ev, ear.at, &e), EVENTS_ONE);
	assert_int_equal(e->type, EVENT_SESSION_ENDED);
	assert_int_equal(e->at, 5);
	assert_int_equal(e->news.why, SESSION_END_SILENT);
	assert_true(ulid_equal(&e->user_id, &news.session.user_id));
	event_put(ear.ev, e);
}

static void figures_are_of_all_parts(void **state)
{
	struct servicetest *t = *state;
	struct session_info live[2] = {{.protocol = DIR_WIREGUARD, .transport = 1},
		{.protocol = DIR_OPENVPN, .transport = 2}};
	struct svc_figures f;

	t->c->sessions = live;
	t->c->n_sessions = 2;
	assert_int_equal(svc_figures(t->s, false, &f), 0);
	assert_int_equal(f.sessions[0][0], 1);
	assert_int_equal(f.sessions[1][1], 1);
	assert_int_equal(f.sessions[1][0], 0);
	assert_int_equal(f.loop.mailbox, 3);
	assert_true(f.ready);
	assert_true(f.db_bytes > 0 && f.db_writes > 0);
	assert_null(f.devices);
	svc_figures_fini(&f);
	assert_int_equal(svc_figures(t->s, true, &f), 0);
	assert_non_null(f.devices);
	svc_figures_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(until_a_token_is_gone),
		T(until_a_token_has_expired),
		T(until_a_login_ends),
		T(until_the_user_may_not_or_is_another),
		T(devices_are_told_of_after_the_commit),
		T(news_of_the_coordinator_are_told),
		T(figures_are_of_all_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
