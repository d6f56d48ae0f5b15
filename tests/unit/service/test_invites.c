#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/codec.h"
#include "db/invite_store.h"
#include "service/invites.h"
#include "tests/unit/service/servicetest.h"

#define WG ((struct svc_invite_request){.protocol = DIR_WIREGUARD})

static const struct ip_addr somewhere = {IP_V4, {192, 0, 2, 7}};

static int make_as(struct servicetest *t, const struct svc_actor *a, const struct ulid *device,
	struct svc_invite_request r, struct svc_invite *out, char secret[INVITE_TEXT])
{
	memset(&t->e, 0, sizeof(t->e));
	return svc_invite_create(t->s, a, device, &r, out, secret, &t->e);
}

static struct svc_invite make(
	struct servicetest *t, const struct ulid *device, char secret[INVITE_TEXT])
{
	struct svc_invite i;

	assert_int_equal(make_as(t, &t->admin, device, WG, &i, secret), 0);
	return i;
}

static int open_from(struct servicetest *t, const char *secret, const struct ip_addr *from)
{
	struct svc_issued *out = calloc(1, sizeof(*out));
	int err;

	memset(&t->e, 0, sizeof(t->e));
	err = svc_invite_open(t->s, secret, strlen(secret), from, out, &t->e);
	assert_true((err == 0) == (strstr(out->profile, "PrivateKey = ") != NULL));
	secret_wipe(out, sizeof(*out));
	free(out);
	return err;
}

static int open_it(struct servicetest *t, const char *secret)
{
	return open_from(t, secret, &somewhere);
}

static int64_t now_of(struct servicetest *t)
{
	return clock_real_ms(&t->conf.clock);
}

static void opens_once(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	char secret[INVITE_TEXT];
	struct svc_invite i = make(t, &d, secret), got;

	assert_int_equal(strlen(secret), INVITE_TEXT - 1);
	assert_int_equal(i.expires_at - i.created_at, INVITE_MS);
	assert_int_equal(i.used_at, 0);
	assert_int_equal(t->c->n_credentials, 0);
	assert_int_equal(open_it(t, secret), 0);
	assert_int_equal(t->c->n_credentials, 1);
	assert_int_equal(svc_invite_get(t->s, &t->admin, &i.id, &got, &t->e), 0);
	assert_int_equal(got.used_at, now_of(t));
	assert_true(ulid_equal(&got.credential_id, &t->c->credentials[0].id));
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	assert_int_equal(t->c->n_credentials, 1);
}

/* The answers of all that are not valid are the same, to the last byte. */
static void not_valid_any_more(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	char used[INVITE_TEXT], expired[INVITE_TEXT], withdrawn[INVITE_TEXT];
	struct svc_error errors[4];
	struct svc_invite i;

	make(t, &d, used);
	assert_int_equal(open_it(t, used), 0);
	make(t, &d, expired);
	fake_clock_advance(&t->clock, INVITE_MS);
	i = make(t, &d, withdrawn);
	assert_int_equal(svc_invite_delete(t->s, &t->admin, &i.id, &t->e), 0);
	assert_int_equal(svc_invite_delete(t->s, &t->admin, &i.id, &t->e), SVC_NOT_FOUND);
	for (int n = 0; n < 4; n++) {
		const char *texts[] = {used, expired, withdrawn, "never"};

		assert_int_equal(open_it(t, texts[n]), SVC_NOT_FOUND);
		errors[n] = t->e;
		assert_memory_equal(&errors[n], &errors[0], sizeof(errors[0]));
	}
	assert_int_equal(t->c->n_credentials, 1);
}

static void only_the_hash_is_stored(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	char secret[INVITE_TEXT], path[96];
	static char file[1 << 22];
	size_t n;
	FILE *f;

	make(t, &d, secret);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/ireko.db%s", t->dir, i ? "-wal" : "");
		f = fopen(path, "rb");
		assert_non_null(f);
		n = fread(file, 1, sizeof(file), f);
		fclose(f);
		assert_true(n > 0);
		assert_null(memmem(file, n, secret, INVITE_TEXT - 1));
	}
}

static void how_long(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	struct svc_invite_request r = WG;
	char secret[INVITE_TEXT];
	struct svc_invite i;

	r.expires_at = now_of(t);
	assert_int_equal(make_as(t, &t->admin, &d, r, &i, secret), SVC_INVALID);
	assert_string_equal(t->e.field, "expires_at");
	r.expires_at = now_of(t) + INVITE_MAX_MS + 1;
	assert_int_equal(make_as(t, &t->admin, &d, r, &i, secret), SVC_INVALID);
	assert_string_equal(t->e.field, "expires_at");
	assert_string_equal(secret, "");
	r.expires_at--;
	assert_int_equal(make_as(t, &t->admin, &d, r, &i, secret), 0);
	fake_clock_advance(&t->clock, INVITE_MAX_MS - 1);
	assert_int_equal(open_it(t, secret), 0);
	r = (struct svc_invite_request){.protocol = 3};
	assert_int_equal(make_as(t, &t->admin, &d, r, &i, secret), SVC_INVALID);
	assert_string_equal(t->e.field, "protocol");
}

static void whose_devices(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER),
			bob = new_user(t, "bob", SVC_ROLE_USER),
			eve = new_user(t, "eve", SVC_ROLE_AUDITOR);
	struct svc_actor a = actor_of(&ann), b = actor_of(&bob), auditor = actor_of(&eve);
	struct ulid d = new_device(t, &ann.id, "laptop"), none = {{1}};
	const struct svc_page page = {.limit = 10};
	char secret[INVITE_TEXT];
	struct svc_invite i, got, *list;
	bool more;
	size_t n;

	assert_int_equal(make_as(t, &b, &d, WG, &i, secret), SVC_NOT_FOUND);
	assert_int_equal(make_as(t, &auditor, &d, WG, &i, secret), SVC_FORBIDDEN);
	assert_int_equal(make_as(t, &a, &none, WG, &i, secret), SVC_NOT_FOUND);
	assert_int_equal(make_as(t, &a, &d, WG, &i, secret), 0);
	assert_true(ulid_equal(&i.created_by, &ann.id));
	assert_int_equal(svc_invite_get(t->s, &b, &i.id, &got, &t->e), SVC_NOT_FOUND);
	assert_int_equal(svc_invite_get(t->s, &auditor, &i.id, &got, &t->e), 0);
	assert_int_equal(
		svc_invite_list(t->s, &b, &d, &page, &list, &n, &more, &t->e), SVC_NOT_FOUND);
	assert_null(list);
	assert_int_equal(svc_invite_list(t->s, &auditor, &d, &page, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 1);
	assert_true(ulid_equal(&list[0].id, &i.id));
	free(list);
	assert_int_equal(svc_invite_delete(t->s, &b, &i.id, &t->e), SVC_NOT_FOUND);
	assert_int_equal(svc_invite_delete(t->s, &auditor, &i.id, &t->e), SVC_FORBIDDEN);
	assert_int_equal(svc_invite_delete(t->s, &a, &i.id, &t->e), 0);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
}

static void set_enabled(struct servicetest *t, const struct ulid *device, bool on)
{
	struct svc_device_change c = {.set_enabled = true, .enabled = on};
	struct svc_device out;

	assert_int_equal(svc_device_patch(t->s, &t->admin, device, 0, &c, &out, &t->e), 0);
	svc_device_fini(&out);
}

static void set_disabled(struct servicetest *t, const struct ulid *user, bool disabled)
{
	struct svc_user_change c = {.set_disabled = true, .disabled = disabled};
	struct svc_user out;

	assert_int_equal(svc_user_patch(t->s, &t->admin, user, 0, &c, &out, &t->e), 0);
}

/* Switched on again, what was sent out before stays dead. */
static void dies_with_what_it_is_for(void **state)
{
	struct servicetest *t = *state;
	struct svc_user ann = new_user(t, "ann", SVC_ROLE_USER);
	struct ulid d = new_device(t, &ann.id, "laptop");
	struct svc_device_change expire = {.set_expires_at = true};
	char secret[INVITE_TEXT];
	struct svc_device out;
	struct svc_invite i;

	make(t, &d, secret);
	set_enabled(t, &d, false);
	assert_int_equal(make_as(t, &t->admin, &d, WG, &i, secret), SVC_CONFLICT);
	set_enabled(t, &d, true);
	make(t, &d, secret);
	set_enabled(t, &d, false);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	set_enabled(t, &d, true);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);

	make(t, &d, secret);
	set_disabled(t, &ann.id, true);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	set_disabled(t, &ann.id, false);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);

	make(t, &d, secret);
	expire.expires_at = now_of(t) + 1000;
	assert_int_equal(svc_device_patch(t->s, &t->admin, &d, 0, &expire, &out, &t->e), 0);
	svc_device_fini(&out);
	fake_clock_advance(&t->clock, 1000);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	expire.expires_at = 0;
	assert_int_equal(svc_device_patch(t->s, &t->admin, &d, 0, &expire, &out, &t->e), 0);
	svc_device_fini(&out);
	assert_int_equal(open_it(t, secret), 0); /* was never told to go */

	make(t, &d, secret);
	assert_int_equal(svc_device_delete(t->s, &t->admin, &d, 0, &t->e), 0);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	assert_int_equal(t->c->n_credentials, 0);
}

/* An invite does what its maker could do now. */
static void dies_with_its_maker(void **state)
{
	struct servicetest *t = *state;
	struct svc_user op = new_user(t, "op", SVC_ROLE_OPERATOR);
	struct svc_actor a = actor_of(&op);
	struct svc_user_change lower = {.set_role = true, .role = SVC_ROLE_USER};
	struct ulid d = new_device(t, NULL, "laptop");
	char secret[INVITE_TEXT];
	struct svc_user out;
	struct svc_invite i;

	assert_int_equal(make_as(t, &a, &d, WG, &i, secret), 0);
	assert_int_equal(svc_user_patch(t->s, &t->admin, &op.id, 0, &lower, &out, &t->e), 0);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	lower.role = SVC_ROLE_AUDITOR;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &op.id, 0, &lower, &out, &t->e), 0);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	lower.role = SVC_ROLE_OPERATOR;
	assert_int_equal(svc_user_patch(t->s, &t->admin, &op.id, 0, &lower, &out, &t->e), 0);
	assert_int_equal(open_it(t, secret), 0);

	/* A token's lower role stays the invite's. */
	a.role = SVC_ROLE_USER;
	assert_int_equal(make_as(t, &a, &d, WG, &i, secret), SVC_NOT_FOUND);
	a.role = SVC_ROLE_OPERATOR;
	assert_int_equal(make_as(t, &a, &d, WG, &i, secret), 0);
	set_disabled(t, &op.id, true);
	set_disabled(t, &op.id, false);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
	assert_int_equal(make_as(t, &a, &d, WG, &i, secret), 0);
	assert_int_equal(svc_user_delete(t->s, &t->admin, &op.id, 0, &t->e), 0);
	assert_int_equal(open_it(t, secret), SVC_NOT_FOUND);
}

static void guessing_is_limited(void **state)
{
	struct servicetest *t = *state;
	const struct ip_addr near = {IP_V4, {192, 0, 2, 200}}, far = {IP_V4, {192, 0, 3, 7}};
	struct ulid d = new_device(t, NULL, "laptop");
	char good[INVITE_TEXT], used[INVITE_TEXT], guess[8];

	make(t, &d, good);
	make(t, &d, used);
	assert_int_equal(open_it(t, used), 0);
	/* Whoever has a link that was good until now, guesses nothing. */
	for (int i = 0; i < 2 * THROTTLE_GUESSES; i++)
		assert_int_equal(open_it(t, used), SVC_NOT_FOUND);
	for (int i = 0; i < THROTTLE_GUESSES; i++) {
		snprintf(guess, sizeof(guess), "g%d", i);
		assert_int_equal(open_from(t, guess, i % 2 ? &near : &somewhere), SVC_NOT_FOUND);
	}
	assert_int_equal(open_it(t, "one more"), SVC_RATE_LIMITED);
	assert_int_equal(t->e.retry_after_s, THROTTLE_GUESS_WINDOW_S);
	assert_int_equal(open_from(t, good, &near), SVC_RATE_LIMITED);
	assert_int_equal(open_from(t, "one more", &far), SVC_NOT_FOUND);
	fake_clock_advance(&t->clock, THROTTLE_GUESS_WINDOW_S * 1000);
	assert_int_equal(open_it(t, good), 0);
	for (int i = 0; i < THROTTLE_GUESSES; i++)
		assert_int_equal(open_it(t, used), SVC_NOT_FOUND);
	assert_int_equal(open_it(t, used), SVC_RATE_LIMITED);
}

static void as_many_as_there_may_be(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	char secret[INVITES_OPEN][INVITE_TEXT], more[INVITE_TEXT];
	struct svc_invite i;

	for (int n = 0; n < INVITES_OPEN; n++)
		make(t, &d, secret[n]);
	assert_int_equal(make_as(t, &t->admin, &d, WG, &i, more), SVC_FULL);
	assert_int_equal(open_it(t, secret[0]), 0);
	assert_int_equal(make_as(t, &t->admin, &d, WG, &i, more), 0);
	assert_int_equal(make_as(t, &t->admin, &d, WG, &i, more), SVC_FULL);
	fake_clock_advance(&t->clock, INVITE_MS);
	assert_int_equal(make_as(t, &t->admin, &d, WG, &i, more), 0);
}

/* What can't be issued burns nothing. */
static void a_full_device_keeps_its_invite(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop"), c = {{0}};
	char secret[INVITE_TEXT];

	make(t, &d, secret);
	for (int i = 0; i < SVC_DEVICE_CREDENTIALS; i++)
		c = new_credential(t, &d);
	assert_int_equal(open_it(t, secret), SVC_FULL);
	assert_int_equal(svc_credential_revoke(t->s, &t->admin, &c, &t->e), 0);
	assert_int_equal(open_it(t, secret), 0);
}

static void pages_and_the_purge(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	struct svc_page page = {.limit = 2};
	char secret[INVITE_TEXT];
	struct svc_invite *list;
	bool more;
	size_t n;

	for (int i = 0; i < 3; i++)
		make(t, &d, secret);
	assert_int_equal(svc_invite_list(t->s, &t->admin, &d, &page, &list, &n, &more, &t->e), 0);
	assert_true(n == 2 && more);
	page.after = list[1].id;
	free(list);
	assert_int_equal(svc_invite_list(t->s, &t->admin, &d, &page, &list, &n, &more, &t->e), 0);
	assert_true(n == 1 && !more);
	free(list);
	page = (struct svc_page){.limit = 0};
	assert_int_equal(
		svc_invite_list(t->s, &t->admin, &d, &page, &list, &n, &more, &t->e), SVC_INVALID);
	page.limit = 10;
	fake_clock_advance(&t->clock, INVITE_MS + INVITE_KEEP_MS);
	assert_int_equal(recorder_flush(t->s->recorder), 0);
	assert_int_equal(svc_invite_list(t->s, &t->admin, &d, &page, &list, &n, &more, &t->e), 0);
	assert_int_equal(n, 0);
	free(list);
}

struct race {
	struct servicetest *t;
	const char *secret;
	atomic_int won, lost, other;
};

static void *race_main(void *arg)
{
	struct race *r = arg;
	struct svc_issued *out = calloc(1, sizeof(*out));

	for (int i = 0; i < 10; i++) {
		struct svc_error e;
		int err =
			svc_invite_open(r->t->s, r->secret, strlen(r->secret), &somewhere, out, &e);

		atomic_fetch_add(err == 0		? &r->won
				 : err == SVC_NOT_FOUND ? &r->lost
							: &r->other,
			1);
	}
	secret_wipe(out, sizeof(*out));
	free(out);
	return NULL;
}

static void a_hundred_at_once(void **state)
{
	struct race r = {.t = *state};
	struct ulid d = new_device(r.t, NULL, "laptop");
	char secret[INVITE_TEXT];
	pthread_t threads[10];

	make(r.t, &d, secret);
	r.secret = secret;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_main, &r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(r.won, 1);
	assert_int_equal(r.lost, 99);
	assert_int_equal(r.other, 0);
	assert_int_equal(r.t->c->n_credentials, 1);
}

static void openvpn_as_well(void **state)
{
	struct servicetest *t = *state;
	struct ulid d = new_device(t, NULL, "laptop");
	struct svc_invite_request r = {.protocol = DIR_OPENVPN};
	struct svc_issued *out = calloc(1, sizeof(*out));
	char secret[INVITE_TEXT];
	struct svc_invite i;

	assert_int_equal(make_as(t, &t->admin, &d, r, &i, secret), 0);
	assert_int_equal(svc_invite_open(t->s, secret, INVITE_TEXT - 1, NULL, out, &t->e), 0);
	assert_non_null(strstr(out->profile, "<tls-crypt-v2>"));
	assert_string_equal(out->profile_filename, "laptop.ovpn");
	secret_wipe(out, sizeof(*out));
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(opens_once),
		T(not_valid_any_more),
		T(only_the_hash_is_stored),
		T(how_long),
		T(whose_devices),
		T(dies_with_what_it_is_for),
		T(dies_with_its_maker),
		T(guessing_is_limited),
		T(as_many_as_there_may_be),
		T(a_full_device_keeps_its_invite),
		T(pages_and_the_purge),
		T(a_hundred_at_once),
		T(openvpn_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
