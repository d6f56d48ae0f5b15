/* A second factor from its beginning to its end, and at logins. */
#include <errno.h>

#include "db/login_store.h"
#include "db/stmt.h"
#include "service/second_factor.h"
#include "tests/unit/service/servicetest.h"

static const char password[] = "correct horse";
static const struct ip_addr home = {IP_V4, {192, 0, 2, 1}};

static struct svc_actor with_password(struct servicetest *t, const char *name, enum svc_role role)
{
	struct svc_user_change c = {.set_name = true,
		.name = name,
		.set_role = true,
		.role = role,
		.set_password = true,
		.password = password};
	struct svc_user u;
	struct svc_actor a;

	assert_int_equal(svc_user_create(t->s, &t->admin, &c, &u, &t->e), 0);
	a = actor_of(&u);
	a.from = home;
	return a;
}

static int log_in(struct servicetest *t, const char *name, const char *pw, const char *code,
	struct svc_login *out)
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_login(t->s, name, pw, code, &home, out, &t->e);
}

static void decode(const char *text, uint8_t out[TOTP_SECRET])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (; *text; text++) {
		bits = bits << 5 | (uint32_t)(strchr(digits, *text) - digits);
		have += 5;
		if (have >= 8)
			out[n++] = (uint8_t)(bits >> (have -= 8));
	}
	assert_int_equal(n, TOTP_SECRET);
}

/* What the app shows, off steps from now. */
static const char *shown(struct servicetest *t, const struct svc_totp *s, int off, char out[7])
{
	uint8_t secret[TOTP_SECRET];
	uint64_t step = (uint64_t)(clock_real_ms(&t->conf.clock) / 1000 / TOTP_STEP_S);

	decode(s->secret, secret);
	assert_int_equal(totp_code(secret, TOTP_SECRET, step + (uint64_t)off, 6, out), 0);
	return out;
}

static void later(struct servicetest *t, unsigned seconds)
{
	t->clock.real_us += (int64_t)seconds * 1000000;
	t->clock.mono_ms += seconds * 1000;
}

static bool is_on(struct servicetest *t, const struct svc_actor *a)
{
	struct svc_user u;

	assert_int_equal(svc_user_get(t->s, &t->admin, &a->user_id, &u, &t->e), 0);
	return u.totp;
}

static struct svc_totp switch_on(struct servicetest *t, const struct svc_actor *a)
{
	struct svc_totp s;
	char code[7];

	assert_int_equal(svc_totp_begin(t->s, a, password, &s, &t->e), 0);
	assert_int_equal(svc_totp_confirm(t->s, a, shown(t, &s, 0, code), &t->e), 0);
	assert_true(is_on(t, a));
	return s;
}

static void from_begin_to_end(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_totp first, s;
	struct svc_login l, zero = {0};
	char code[7];

	assert_int_equal(svc_totp_confirm(t->s, &ann, "123456", &t->e), SVC_CONFLICT);
	assert_int_equal(svc_totp_disable(t->s, &ann, password, "123456", &t->e), SVC_CONFLICT);
	assert_int_equal(svc_totp_begin(t->s, &ann, "wrong horse", &s, &t->e), SVC_INVALID);
	assert_string_equal(t->e.field, "password");
	assert_string_equal(s.secret, "");
	assert_int_equal(svc_totp_begin(t->s, &ann, password, &first, &t->e), 0);
	assert_non_null(strstr(first.url, first.secret));
	/* Begun is not on; begun again is another one. */
	assert_false(is_on(t, &ann));
	assert_int_equal(log_in(t, "ann", password, NULL, &l), 0);
	assert_int_equal(svc_totp_begin(t->s, &ann, password, &s, &t->e), 0);
	assert_string_not_equal(first.secret, s.secret);
	assert_int_equal(
		svc_totp_confirm(t->s, &ann, shown(t, &first, 0, code), &t->e), SVC_INVALID);
	assert_string_equal(t->e.field, "totp");
	assert_int_equal(svc_totp_confirm(t->s, &ann, shown(t, &s, 0, code), &t->e), 0);
	assert_true(is_on(t, &ann));
	assert_int_equal(svc_totp_begin(t->s, &ann, password, &first, &t->e), SVC_CONFLICT);
	assert_int_equal(svc_totp_confirm(t->s, &ann, code, &t->e), SVC_CONFLICT);
	/* The login from before is over: it never had a code. */
	assert_int_equal(svc_authenticate_cookie(t->s, l.cookie, &ann), SVC_UNAUTHENTICATED);

	ann = with_password(t, "ann2", SVC_ROLE_USER); /* overwritten above */
	s = switch_on(t, &ann);
	assert_int_equal(log_in(t, "ann2", password, NULL, &l), SVC_TOTP_REQUIRED);
	assert_memory_equal(&l, &zero, sizeof(l));
	assert_int_equal(log_in(t, "ann2", password, "000000", &l), SVC_TOTP_REQUIRED);
	assert_int_equal(log_in(t, "ann2", "wrong horse", NULL, &l), SVC_UNAUTHENTICATED);
	/* A wrong password is a wrong password, with whatever code. */
	assert_int_equal(
		log_in(t, "ann2", "wrong horse", shown(t, &s, 1, code), &l), SVC_UNAUTHENTICATED);
	assert_int_equal(log_in(t, "ann2", password, shown(t, &s, 1, code), &l), 0);
	assert_int_equal(log_in(t, "ann2", password, code, &l), SVC_TOTP_REQUIRED);
	later(t, 60);
	assert_int_equal(log_in(t, "ann2", password, shown(t, &s, 0, code), &l), 0);

	assert_int_equal(svc_totp_disable(t->s, &ann, "wrong horse", code, &t->e), SVC_INVALID);
	assert_string_equal(t->e.field, "password");
	assert_int_equal(svc_totp_disable(t->s, &ann, password, code, &t->e), SVC_INVALID);
	assert_string_equal(t->e.field, "totp");
	assert_int_equal(svc_totp_disable(t->s, &ann, password, shown(t, &s, 1, code), &t->e), 0);
	assert_false(is_on(t, &ann));
	assert_int_equal(log_in(t, "ann2", password, NULL, &l), 0);
}

static void a_pending_one_expires(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_totp s;
	char code[7];

	assert_int_equal(svc_totp_begin(t->s, &ann, password, &s, &t->e), 0);
	later(t, 601);
	assert_int_equal(svc_totp_confirm(t->s, &ann, shown(t, &s, 0, code), &t->e), SVC_CONFLICT);
	assert_false(is_on(t, &ann));
}

/* As many failures as leave two. */
static void fail_eight_times(struct servicetest *t)
{
	struct throttle_attempt a;
	uint32_t retry;

	for (unsigned i = 0; i < THROTTLE_ACCOUNT - 2; i++)
		assert_int_equal(throttle_begin(t->s->throttle, clock_mono_ms(&t->conf.clock),
					 "ann", &home, &a, &retry),
			THROTTLE_OK);
}

/* Whoever knows the password has ten guesses as well. */
static void wrong_codes_are_counted(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_totp s = switch_on(t, &ann);
	struct svc_login l;
	char code[7];

	/* None at all is no guess: so an app asks first. */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(log_in(t, "ann", password, NULL, &l), SVC_TOTP_REQUIRED);
	fail_eight_times(t);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(log_in(t, "ann", password, "00000x", &l), SVC_TOTP_REQUIRED);
	assert_int_equal(log_in(t, "ann", password, shown(t, &s, 1, code), &l), SVC_RATE_LIMITED);
	later(t, 901);
	assert_int_equal(log_in(t, "ann", password, shown(t, &s, 0, code), &l), 0);
}

/* A stolen cookie is no way to guess either of them. */
static void guesses_at_switching_off_are_counted(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_totp s = switch_on(t, &ann);
	struct svc_login l;
	char code[7];

	fail_eight_times(t);
	assert_int_equal(svc_totp_disable(t->s, &ann, "wrong horse", "000000", &t->e), SVC_INVALID);
	assert_int_equal(svc_totp_disable(t->s, &ann, password, "00000x", &t->e), SVC_INVALID);
	shown(t, &s, 1, code);
	assert_int_equal(svc_totp_disable(t->s, &ann, password, code, &t->e), SVC_RATE_LIMITED);
	assert_true(t->e.retry_after_s > 0);
	assert_int_equal(log_in(t, "ann", password, code, &l), SVC_RATE_LIMITED);
	assert_true(is_on(t, &ann));
}

static void guesses_at_confirming_are_counted(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_totp s;
	char code[7];

	assert_int_equal(svc_totp_begin(t->s, &ann, password, &s, &t->e), 0);
	for (unsigned i = 0; i < THROTTLE_ACCOUNT; i++)
		assert_int_equal(svc_totp_confirm(t->s, &ann, "00000x", &t->e), SVC_INVALID);
	assert_int_equal(
		svc_totp_confirm(t->s, &ann, shown(t, &s, 0, code), &t->e), SVC_RATE_LIMITED);
	assert_false(is_on(t, &ann));
}

/* One code, some logins at once: the database's writer takes one after the other. */
struct racer {
	struct servicetest *t;
	const char *code;
	int result;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct svc_login l;
	struct svc_error e;

	r->result = svc_login(r->t->s, "ann", password, r->code, &home, &l, &e);
	return NULL;
}

static void a_code_logs_in_once(void **state)
{
	enum { N = 3 };
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_totp s = switch_on(t, &ann);
	struct racer racers[N];
	pthread_t threads[N];
	unsigned won = 0;
	char code[7];

	shown(t, &s, 1, code);
	for (size_t i = 0; i < N; i++) {
		racers[i] = (struct racer){t, code, -1};
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < N; i++) {
		pthread_join(threads[i], NULL);
		won += racers[i].result == 0;
		assert_true(racers[i].result == 0 || racers[i].result == SVC_TOTP_REQUIRED);
	}
	assert_int_equal(won, 1);
}

static void managers_reset_those_below(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_actor op = with_password(t, "op", SVC_ROLE_OPERATOR);
	struct svc_actor aud = with_password(t, "aud", SVC_ROLE_AUDITOR);
	struct svc_user boss = new_user(t, "boss", SVC_ROLE_ADMIN);
	struct ulid nobody = id_of(999);
	struct svc_login l;

	(void)switch_on(t, &ann);
	(void)switch_on(t, &aud); /* an auditor has one of his own, too */
	assert_int_equal(svc_totp_reset(t->s, &ann, &ann.user_id, &t->e), SVC_FORBIDDEN);
	assert_int_equal(svc_totp_reset(t->s, &aud, &ann.user_id, &t->e), SVC_FORBIDDEN);
	assert_int_equal(svc_totp_reset(t->s, &op, &boss.id, &t->e), SVC_FORBIDDEN);
	assert_int_equal(svc_totp_reset(t->s, &op, &nobody, &t->e), SVC_NOT_FOUND);
	assert_true(is_on(t, &ann));
	assert_int_equal(svc_totp_reset(t->s, &op, &ann.user_id, &t->e), 0);
	assert_int_equal(svc_totp_reset(t->s, &op, &ann.user_id, &t->e), 0); /* again is fine */
	assert_false(is_on(t, &ann));
	assert_int_equal(log_in(t, "ann", password, NULL, &l), 0);
	assert_int_equal(log_in(t, "aud", password, NULL, &l), SVC_TOTP_REQUIRED);
}

/* The secret is sealed to its user: another's does not open. */
static void a_secret_is_its_users(void **state)
{
	struct servicetest *t = *state;
	struct svc_actor ann = with_password(t, "ann", SVC_ROLE_USER);
	struct svc_actor bob = with_password(t, "bob", SVC_ROLE_USER);
	struct svc_totp a = switch_on(t, &ann);
	struct totp_row row;
	struct svc_login l;
	struct db_conn *tx;
	uint8_t plain[TOTP_SECRET];
	char code[7];

	(void)switch_on(t, &bob);
	decode(a.secret, plain);
	assert_int_equal(db_write(t->db, &tx), 0);
	assert_int_equal(totp_get(tx, &ann.user_id, &row), 0);
	for (size_t i = 0; i + 4 <= row.secret_len; i++)
		assert_memory_not_equal(row.secret + i, plain, 4);
	row.user_id = bob.user_id;
	row.used_step = 0;
	assert_int_equal(totp_set(tx, &row), 0);
	assert_int_equal(db_commit(&tx), 0);
	assert_int_equal(log_in(t, "bob", password, shown(t, &a, 1, code), &l), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(from_begin_to_end),
		T(a_pending_one_expires),
		T(wrong_codes_are_counted),
		T(guesses_at_switching_off_are_counted),
		T(guesses_at_confirming_are_counted),
		T(a_code_logs_in_once),
		T(managers_reset_those_below),
		T(a_secret_is_its_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
