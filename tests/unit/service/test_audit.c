/* The audit log: what is written, what is bounded, and that whatever is done to it shows. */
#include <errno.h>

#include "db/audit_store.h"
#include "service/audit_chain.h"
#include "tests/unit/service/servicetest.h"

static const struct audit_event nothing = {.action = "test.nothing"};

static struct svc_audit_state verify(struct servicetest *t)
{
	struct svc_audit_state st;

	assert_int_equal(svc_audit_verify(t->s, &t->admin, &st, &t->e), 0);
	return st;
}

static void add(struct servicetest *t, unsigned n)
{
	struct db_conn *tx;

	assert_int_equal(db_write(t->db, &tx), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(audit_add(tx, t->s, &t->admin, &nothing), 0);
	assert_int_equal(db_commit(&tx), 0);
}

/* The newest rows, newest first; the caller frees them. */
static struct svc_audit_entry *newest(struct servicetest *t, size_t want)
{
	const struct svc_page p = {.limit = (uint32_t)want};
	const struct svc_audit_filter all = {.action = ""};
	struct svc_audit_entry *list;
	bool more;
	size_t n;

	assert_int_equal(svc_audit_list(t->s, &t->admin, &p, &all, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, want);
	return list;
}

static void row_is(const struct svc_audit_entry *r, const char *action, const char *kind,
	const struct ulid *object, const char *detail)
{
	assert_string_equal(r->action, action);
	assert_string_equal(r->object_kind, kind);
	if (object)
		assert_true(ulid_equal(&r->object_id, object));
	assert_string_equal(r->outcome, "ok");
	if (detail)
		assert_string_equal(r->detail, detail);
}

static void begins_with_a_row_that_says_so(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_state st = verify(t);
	struct svc_audit_entry *r = newest(t, 1);

	assert_true(st.ok);
	assert_int_equal(st.rows, 1);
	assert_int_equal(st.first, 1);
	assert_int_equal(st.last, 1);
	assert_string_equal(st.hash, r->hash);
	row_is(r, "audit.begin", "", NULL, "1 users were there already");
	assert_true(ulid_is_zero(&r->actor_id));
	free(r);
	/* Once, not at every start. */
	service_close(t);
	service_open(t);
	assert_int_equal(verify(t).rows, 1);
}

/* Every mutation, with who and from where and of what. */
static void every_mutation_has_its_row(void **state)
{
	struct servicetest *t = *state;
	struct svc_user_change uc = {.set_email = true,
		.email = "a@b.example",
		.set_role = true,
		.role = SVC_ROLE_AUDITOR,
		.set_disabled = true,
		.disabled = true};
	struct svc_device_change dc = {.set_enabled = true, .set_expires_at = true};
	const struct svc_token_request tr = {.name = "ci"};
	struct svc_audit_entry *r;
	struct svc_device d;
	struct svc_token token;
	char secret[SVC_TOKEN_TEXT], detail[64], id[ULID_TEXT];
	struct svc_user u;
	struct ulid dev, crd;

	t->admin.from = (struct ip_addr){IP_V4, {192, 0, 2, 9}};
	u = new_user(t, "ann", SVC_ROLE_USER);
	dev = new_device(t, &u.id, "laptop");
	crd = new_credential(t, &dev);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &crd, &t->e), 0);
	assert_int_equal(svc_device_patch(t->s, &t->admin, &dev, 0, &dc, &d, &t->e), 0);
	svc_device_fini(&d);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &u.id, 0, &uc, &u, &t->e), 0);
	assert_int_equal(svc_token_create(t->s, &t->admin, &tr, &token, secret, &t->e), 0);
	assert_int_equal(svc_token_delete(t->s, &t->admin, &token.id, &t->e), 0);
	assert_int_equal(svc_device_delete(t->s, &t->admin, &dev, 0, &t->e), 0);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &u.id, 0, &t->e), 0);

	r = newest(t, 11);
	snprintf(detail, sizeof(detail), "of usr_%s", ulid_format(&u.id, id));
	row_is(&r[0], "user.delete", "usr", &u.id, "ann");
	row_is(&r[1], "device.delete", "dev", &dev, detail);
	row_is(&r[2], "token.delete", "tok", &token.id, NULL);
	row_is(&r[3], "token.create", "tok", &token.id, NULL);
	row_is(&r[4], "user.patch", "usr", &u.id, "ann, email, role auditor, disabled");
	snprintf(detail, sizeof(detail), "of usr_%s, disabled, expires_at", id);
	row_is(&r[5], "device.patch", "dev", &dev, detail);
	row_is(&r[6], "credential.revoke", "crd", &crd, NULL);
	snprintf(detail, sizeof(detail), "wireguard, of dev_%s", ulid_format(&dev, id));
	row_is(&r[7], "credential.issue", "crd", &crd, detail);
	row_is(&r[8], "device.create", "dev", &dev, NULL);
	row_is(&r[9], "user.create", "usr", &u.id, "ann, name, role user");
	for (size_t i = 0; i < 10; i++) {
		assert_true(ulid_equal(&r[i].actor_id, &t->admin.user_id));
		assert_string_equal(r[i].actor_name, "admin");
		assert_true(ip_addr_equal(&r[i].from, &t->admin.from));
		assert_int_equal(r[i].sequence, 11 - i);
		assert_int_equal(r[i].at, clock_real_ms(&t->conf.clock));
	}
	free(r);
	assert_true(verify(t).ok);
}

static void what_is_not_done_has_no_row(void **state)
{
	struct servicetest *t = *state;
	struct svc_user_change same = {.set_name = true, .name = "ADMIN"};
	struct svc_user u;

	assert_int_equal(svc_user_create(t->s, &t->admin, &same, &u, &t->e), SVC_CONFLICT);
	assert_int_equal(
		svc_user_delete(t->s, &t->admin, &t->admin.user_id, 0, &t->e), SVC_CONFLICT);
	assert_int_equal(verify(t).rows, 1);
}

static void killing_a_session_has_its_row(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct session_info live = {.id = id_of(77), .device_id = id_of(78), .user_id = u.id};
	struct svc_audit_entry *r;

	t->c->sessions = &live;
	t->c->n_sessions = 1;
	assert_int_equal(svc_session_kill(t->s, &t->admin, &live.id, &t->e), 0);
	t->c->sessions = NULL;
	t->c->n_sessions = 0;
	r = newest(t, 1);
	row_is(r, "session.kill", "ses", &live.id, NULL);
	free(r);
}

/* ---- what is done to it ---- */

/* With all that can be computed without the master key: every hash from row 5 on, and the head's.
 */
static void rewrite(struct servicetest *t)
{
	struct audit_row rows[16];
	struct audit_head h;
	struct db_conn *tx;
	int n;

	assert_int_equal(db_write(t->db, &tx), 0);
	assert_int_equal(audit_head_get(tx, &h), 0);
	n = audit_list_up(tx, 0, rows, 16);
	assert_int_equal(n, 10);
	assert_int_equal(audit_delete_upto(tx, 10), 0);
	strcpy(rows[4].detail, "nothing happened");
	for (int i = 0; i < n; i++) {
		if (i >= 4)
			assert_int_equal(
				audit_chain_hash(rows[i - 1].hash, &rows[i], rows[i].hash), 0);
		assert_int_equal(audit_insert(tx, &rows[i]), 0);
	}
	memcpy(h.hash, rows[9].hash, sizeof(h.hash));
	assert_int_equal(audit_head_set(tx, &h), 0);
	assert_int_equal(db_commit(&tx), 0);
}

static void remove_row(struct servicetest *t)
{
	sql(t, "DELETE FROM audit WHERE seq = 4");
}

static void remove_first(struct servicetest *t)
{
	sql(t, "DELETE FROM audit WHERE seq = 1");
}

static void change_row(struct servicetest *t)
{
	sql(t, "UPDATE audit SET detail = 'nothing' WHERE seq = 5");
}

static void change_hash(struct servicetest *t)
{
	sql(t, "UPDATE audit SET hash = zeroblob(32) WHERE seq = 6");
}

static void move_time(struct servicetest *t)
{
	sql(t, "UPDATE audit SET at = at - 1 WHERE seq = 7");
}

static void cut_tail(struct servicetest *t)
{
	sql(t, "DELETE FROM audit WHERE seq > 8");
}

static void cut_tail_and_head(struct servicetest *t)
{
	cut_tail(t);
	sql(t, "UPDATE audit_head SET last = 8, hash = (SELECT hash FROM audit WHERE seq = 8)");
}

static void reorder(struct servicetest *t)
{
	sql(t, "UPDATE audit SET seq = 99 WHERE seq = 3");
	sql(t, "UPDATE audit SET seq = 3 WHERE seq = 4");
	sql(t, "UPDATE audit SET seq = 4 WHERE seq = 99");
}

static void add_row(struct servicetest *t)
{
	sql(t, "INSERT INTO audit SELECT 11, at, actor_id, actor_name, via, via_id, source, "
	       "action, "
	       "object_kind, object_id, outcome, detail, hash FROM audit WHERE seq = 10");
}

static void take_head(struct servicetest *t)
{
	sql(t, "DELETE FROM audit_head");
}

/* As if nothing had ever been written, with the rows still there. */
static void reset_head(struct servicetest *t)
{
	sql(t, "UPDATE audit_head SET first = 1, before = zeroblob(32), last = 0, "
	       "hash = zeroblob(32), broken = 0, mac = x''");
}

static void end_by_hand(struct servicetest *t)
{
	sql(t, "DELETE FROM audit WHERE seq < 5");
	sql(t, "UPDATE audit_head SET first = 5, before = zeroblob(32)");
}

static void too_long_a_value(struct servicetest *t)
{
	sql(t, "UPDATE audit SET detail = hex(zeroblob(500)) WHERE seq = 9");
}

static const struct {
	const char *name;
	void (*tamper)(struct servicetest *t);
	uint64_t broken_at;
} tamperings[] = {
	{"removed", remove_row, 4},
	{"removed first", remove_first, 1},
	{"changed", change_row, 5},
	{"changed hash", change_hash, 6},
	{"changed time", move_time, 7},
	{"cut tail", cut_tail, 9},
	{"cut tail and head", cut_tail_and_head, 9},
	{"reordered", reorder, 3},
	{"added", add_row, 11},
	{"rewritten", rewrite, 11}, /* consistent in itself: only its end is not what it was */
	{"no head", take_head, 11},
	{"head reset", reset_head, 11},
	{"ended by hand", end_by_hand, 5},
	{"too long a value", too_long_a_value, 9},
};

/* Found, and found for good: neither going on nor a restart makes it right again. */
static void whatever_is_done_shows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tamperings); i++) {
		struct svc_audit_state st;
		struct servicetest *t;
		void *fresh;

		assert_int_equal(servicetest_setup(&fresh), 0);
		t = fresh;
		add(t, 9);
		assert_true(verify(t).ok);
		tamperings[i].tamper(t);
		st = verify(t);
		if (st.ok || st.broken_at != tamperings[i].broken_at)
			fail_msg("%s: broken at %d", tamperings[i].name, (int)st.broken_at);
		add(t, 3);
		st = verify(t);
		if (st.ok || st.broken_at > tamperings[i].broken_at)
			fail_msg("%s, later: broken at %d", tamperings[i].name, (int)st.broken_at);
		service_close(t);
		service_open(t);
		add(t, 1);
		assert_false(verify(t).ok);
		assert_int_equal(servicetest_teardown(&fresh), 0);
	}
}

/* ---- a backup comes back ---- */

static const uint8_t of_backup[32] = {0xab, 0xcd};
#define OF_BACKUP "abcd000000000000000000000000000000000000000000000000000000000000"

static void restored(struct servicetest *t)
{
	char why[128], path[96];

	service_close(t);
	assert_int_equal(db_open(&t->db, t->dir, why), 0);
	snprintf(path, sizeof(path), "%s/master.key", t->dir);
	assert_int_equal(keystore_open(&t->ks, path, false), 0);
	assert_int_equal(audit_restored(t->db, t->ks, 1760000000000, of_backup), 0);
	keystore_free(t->ks);
	db_close(t->db);
	service_open(t);
}

static void a_restore_has_its_row(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_entry *r;

	add(t, 3);
	restored(t);
	r = newest(t, 1);
	assert_int_equal(r->sequence, 5);
	assert_int_equal(r->at, 1760000000000);
	row_is(r, "backup.restore", "", NULL,
		"by the command line, as of 2025-06-15T15:06:40.000Z, SHA-256 " OF_BACKUP);
	assert_true(ulid_is_zero(&r->actor_id) && r->from.family == IP_NONE);
	free(r);
	assert_true(verify(t).ok);
	/* And the log goes on behind it. */
	add(t, 1);
	assert_true(verify(t).ok);
	assert_int_equal(verify(t).rows, 6);
}

/* Of a version that wrote none. */
static void a_restore_without_a_log_begins_one(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_entry *r;

	sql(t, "DELETE FROM audit");
	sql(t, "UPDATE audit_head SET first = 1, before = zeroblob(32), last = 0, "
	       "hash = zeroblob(32), broken = 0, mac = x''");
	restored(t);
	r = newest(t, 2);
	row_is(&r[0], "backup.restore", "", NULL,
		"by the command line, as of an unknown time, SHA-256 " OF_BACKUP);
	row_is(&r[1], "audit.begin", "", NULL, "1 users were there already");
	free(r);
	assert_true(verify(t).ok);
	assert_int_equal(verify(t).rows, 2);
}

/* What was done to the backup before is not made good by it. */
static void a_restore_heals_nothing(void **state)
{
	struct servicetest *t = *state;

	add(t, 3);
	sql(t, "UPDATE audit SET actor_name = 'mallory' WHERE seq = 2");
	sql(t, "DELETE FROM audit WHERE seq = 4");
	restored(t);
	assert_false(verify(t).ok);
	assert_int_equal(verify(t).broken_at, 2);
}

/* All of another installation's log in the place of ours. */
static void a_log_of_another_house_is_not_ours(void **state)
{
	struct servicetest *t = *state, *other;
	struct audit_row rows[8];
	struct audit_head h;
	struct db_conn *tx;
	void *fresh;
	int n;

	add(t, 2);
	assert_int_equal(servicetest_setup(&fresh), 0);
	other = fresh;
	add(other, 4);
	assert_int_equal(db_read(other->db, &tx), 0);
	n = audit_list_up(tx, 0, rows, 8);
	assert_int_equal(audit_head_get(tx, &h), 0);
	db_end(&tx);
	assert_int_equal(db_write(t->db, &tx), 0);
	assert_int_equal(audit_delete_upto(tx, 100), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(audit_insert(tx, &rows[i]), 0);
	assert_int_equal(audit_head_set(tx, &h), 0);
	assert_int_equal(db_commit(&tx), 0);
	assert_true(verify(other).ok);
	assert_false(verify(t).ok);
	assert_int_equal(servicetest_teardown(&fresh), 0);
}

/* ---- what is bounded ---- */

static void notes(struct servicetest *t, unsigned n)
{
	const struct audit_event ev = {.action = "login", .outcome = AUDIT_FAILED};

	for (unsigned i = 0; i < n; i++)
		audit_note(t->s, &t->admin, &ev);
}

static void a_flood_is_counted(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_entry *r;

	notes(t, 1000);
	assert_int_equal(verify(t).rows, 1 + 60);
	/* Another outcome has its own allowance. */
	svc_audit_refused(t->s, &t->admin, SVC_FORBIDDEN, "user.create", "", &(struct ulid){{0}});
	assert_int_equal(verify(t).rows, 1 + 60 + 1);
	assert_int_equal(audit_tick(t->s), 0);
	assert_int_equal(verify(t).rows, 1 + 60 + 1);
	t->clock.mono_ms += 10 * 60 * 1000;
	assert_int_equal(audit_tick(t->s), 0);
	r = newest(t, 1);
	assert_string_equal(r->action, "audit.more");
	assert_string_equal(r->outcome, "failed");
	assert_string_equal(r->detail, "940 more, not written one by one");
	free(r);
	/* One a minute came back meanwhile. */
	notes(t, 100);
	assert_int_equal(verify(t).rows, 1 + 60 + 1 + 1 + 10);
	/* What was counted is written at the end at the latest. */
	service_close(t);
	service_open(t);
	r = newest(t, 1);
	assert_string_equal(r->detail, "90 more, not written one by one");
	free(r);
	assert_true(verify(t).ok);
}

static void later(struct servicetest *t, int64_t days)
{
	t->clock.real_us += days * 86400 * 1000000;
	t->clock.mono_ms += (uint64_t)days * 86400 * 1000;
}

static void old_rows_end(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_state st;
	struct svc_audit_entry *r;

	add(t, 4);
	later(t, 300);
	add(t, 5);
	assert_int_equal(audit_tick(t->s), 0);
	assert_int_equal(verify(t).rows, 10);
	later(t, 67);
	assert_int_equal(audit_tick(t->s), 0);
	st = verify(t);
	assert_true(st.ok);
	assert_int_equal(st.first, 6);
	assert_int_equal(st.last, 11);
	assert_int_equal(st.rows, 6);
	r = newest(t, 1);
	row_is(r, "audit.end", "", NULL, "rows 1 to 5, their time is over");
	free(r);
	/* Everything, and the chain still goes on. */
	later(t, 1000);
	assert_int_equal(audit_tick(t->s), 0);
	add(t, 1);
	st = verify(t);
	assert_true(st.ok);
	assert_int_equal(st.first, 12);
	assert_int_equal(st.last, 13);
	/* What is left can't be cut any further. */
	sql(t, "DELETE FROM audit WHERE seq = 12");
	sql(t, "UPDATE audit_head SET first = 13");
	assert_false(verify(t).ok);
}

/* More than one bite. */
static void many_old_rows_end(void **state)
{
	struct servicetest *t = *state;

	add(t, 6300);
	later(t, 400);
	/* Five bites at once, the rest a second later: nobody waits for all of it. */
	assert_int_equal(audit_tick(t->s), 0);
	assert_int_equal(verify(t).first, 5001);
	assert_int_equal(audit_tick(t->s), 0);
	assert_int_equal(verify(t).first, 6302);
	assert_int_equal(verify(t).rows, 7); /* one for each bite */
	assert_true(verify(t).ok);
}

/* Otherwise whoever waits long enough gets away with it. */
static void what_was_tampered_with_does_not_end_unseen(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_state st;

	add(t, 9);
	change_row(t);
	later(t, 400);
	assert_int_equal(audit_tick(t->s), 0);
	st = verify(t);
	assert_int_equal(st.first, 11);
	assert_false(st.ok);
	assert_int_equal(st.broken_at, 5);
}

static void there_is_a_most(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_state st;
	struct svc_audit_entry *r;

	t->s->audit_most = 2000;
	add(t, 2100);
	assert_int_equal(audit_tick(t->s), 0);
	st = verify(t);
	assert_true(st.ok);
	assert_int_equal(st.first, 1001);
	r = newest(t, 1);
	row_is(r, "audit.end", "", NULL, "rows 1 to 1000, there were too many");
	free(r);
}

/* ---- all at once ---- */

struct worker {
	struct servicetest *t;
	unsigned n;
	pthread_t thread;
};
enum { WORKERS = 4, EACH = 15 };

static void *make_users(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < EACH; i++) {
		char name[16];
		struct svc_user_change c = {.set_name = true, .name = name};
		struct svc_user u;
		struct svc_error e;

		snprintf(name, sizeof(name), "w%u-%u", w->n, i);
		assert_int_equal(svc_user_create(w->t->s, &w->t->admin, &c, &u, &e), 0);
		audit_note(w->t->s, &w->t->admin,
			&(struct audit_event){.action = "test.note", .outcome = AUDIT_DENIED});
	}
	return NULL;
}

/* Whoever looks meanwhile sees a whole chain, however often it has grown. */
static void *look(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < EACH; i++) {
		struct svc_audit_state st;
		struct svc_error e;

		assert_int_equal(svc_audit_verify(w->t->s, &w->t->admin, &st, &e), 0);
		assert_true(st.ok);
	}
	return NULL;
}

static void many_write_one_chain(void **state)
{
	struct servicetest *t = *state;
	struct worker w[WORKERS + 1];
	struct svc_audit_state st;

	for (unsigned i = 0; i <= WORKERS; i++) {
		w[i].t = t;
		w[i].n = i;
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, i < WORKERS ? make_users : look, &w[i]),
			0);
	}
	for (unsigned i = 0; i <= WORKERS; i++)
		pthread_join(w[i].thread, NULL);
	st = verify(t);
	assert_true(st.ok);
	assert_int_equal(st.rows, 1 + 2 * WORKERS * EACH);
}

/* ---- who may see it ---- */

static void pages_and_roles(void **state)
{
	struct servicetest *t = *state;
	struct svc_user u = new_user(t, "ann", SVC_ROLE_USER);
	struct svc_user aud = new_user(t, "aud", SVC_ROLE_AUDITOR);
	struct svc_actor ann = actor_of(&u), auditor = actor_of(&aud);
	struct svc_page p = {.limit = 3};
	struct svc_audit_filter f = {.action = "test.nothing"};
	struct svc_audit_entry *list;
	struct svc_audit_state st;
	uint64_t next = 10;
	bool more = true;
	size_t n;

	add(t, 7);
	assert_int_equal(
		svc_audit_list(t->s, &ann, &p, &f, &list, &n, &more, &t->e), SVC_FORBIDDEN);
	assert_null(list);
	assert_int_equal(svc_audit_verify(t->s, &ann, &st, &t->e), SVC_FORBIDDEN);
	assert_int_equal(svc_audit_verify(t->s, &auditor, &st, &t->e), 0);
	more = true;
	while (more) {
		assert_int_equal(
			svc_audit_list(t->s, &auditor, &p, &f, &list, &n, &more, &t->e), 0);
		assert_int_equal(n, more ? 3 : 1);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(list[i].sequence, next--);
		p.after = list[n - 1].place;
		free(list);
		add(t, 1); /* what comes meanwhile disturbs nobody */
	}
	assert_int_equal(next, 3);
	f = (struct svc_audit_filter){.object = u.id, .object_kind = "usr"};
	p = (struct svc_page){.limit = 9};
	assert_int_equal(svc_audit_list(t->s, &auditor, &p, &f, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	free(list);
	strcpy(f.object_kind, "dev");
	assert_int_equal(svc_audit_list(t->s, &auditor, &p, &f, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 0);
	free(list);
	p.limit = 0;
	assert_int_equal(
		svc_audit_list(t->s, &auditor, &p, &f, &list, &n, &more, &t->e), SVC_INVALID);
}

/* A token may be told, a login's own id not. */
static void says_how_he_came(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_entry *r;

	t->admin.via = id_of(5);
	add(t, 1);
	t->admin.by_login = true;
	add(t, 1);
	r = newest(t, 2);
	assert_true(r[0].by_login && !r[0].by_token && ulid_is_zero(&r[0].token_id));
	assert_true(r[1].by_token && !r[1].by_login && ulid_equal(&r[1].token_id, &t->admin.via));
	free(r);
}

static void one_reads_all_of_it_at_a_time(void **state)
{
	struct servicetest *t = *state;
	struct svc_audit_state st;

	pthread_mutex_lock(&t->s->verify_lock);
	assert_int_equal(svc_audit_verify(t->s, &t->admin, &st, &t->e), SVC_RATE_LIMITED);
	assert_true(t->e.retry_after_s > 0);
	pthread_mutex_unlock(&t->s->verify_lock);
	assert_true(verify(t).ok);
}

/* Nothing in the background: what happens when is the test's. */
static int quiet_setup(void **state)
{
	int err = servicetest_setup(state);

	service_stop(((struct servicetest *)*state)->s);
	return err;
}

#define QUIET(f) cmocka_unit_test_setup_teardown(f, quiet_setup, servicetest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(begins_with_a_row_that_says_so),
		T(every_mutation_has_its_row),
		T(what_is_not_done_has_no_row),
		T(killing_a_session_has_its_row),
		cmocka_unit_test(whatever_is_done_shows),
		T(a_restore_has_its_row),
		T(a_restore_without_a_log_begins_one),
		T(a_restore_heals_nothing),
		T(a_log_of_another_house_is_not_ours),
		QUIET(a_flood_is_counted),
		QUIET(old_rows_end),
		QUIET(many_old_rows_end),
		QUIET(what_was_tampered_with_does_not_end_unseen),
		QUIET(there_is_a_most),
		T(many_write_one_chain),
		T(pages_and_roles),
		T(says_how_he_came),
		T(one_reads_all_of_it_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
