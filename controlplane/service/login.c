/* Who is asking: passwords, cookies, tokens. */
#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"
#include "db/login_store.h"
#include "db/token_store.h"
#include "service/inside.h"
#include "service/second_factor.h"

enum { LOGINS_OF_ONE = 64, SECRET_TEXT = 43, TOKEN_CHARS = SVC_TOKEN_TEXT - 1 };

static void sha256(const char *text, uint8_t out[32])
{
	SHA256((const unsigned char *)text, strlen(text), out);
}

static void fill_actor(struct svc_actor *a, const struct user_row *u, enum svc_role role)
{
	*a = (struct svc_actor){
		.user_id = u->id,
		.role = role,
		.read_only = u->role == SVC_ROLE_AUDITOR,
	};
	memcpy(a->user_name, u->name, sizeof(a->user_name));
}

static int wrong(struct svc_error *e)
{
	return refuse(e, SVC_UNAUTHENTICATED, "", "the user name or the password is wrong");
}

static int read_user(struct service *s, const char *name, struct user_row *u)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	return err ? err : user_get_by_name(tx, name, u);
}

static int random_text(char out[SECRET_TEXT + 1])
{
	secret_key raw;
	int err = secret_random(raw.bytes, sizeof(raw.bytes));

	if (!err)
		base64url_encode(raw.bytes, sizeof(raw.bytes), out);
	return err;
}

/* Writes the login, unless the user has changed since his password was looked at, or his code is
 * missing or wrong. */
static int start_login(struct service *s, const struct user_row *checked, const char *totp,
	const struct ip_addr *from, struct svc_login *out, struct svc_error *e)
{
	struct login_row row = {.user_id = checked->id};
	struct db_conn *tx cleanup(db_end) = NULL;
	struct user_row u = {0}; /* as the one that was checked, so that all of it compares */
	int err = random_text(out->cookie);

	if (!err)
		err = random_text(out->csrf_token);
	if (!err)
		err = ulid_new(&row.id, &s->conf.clock);
	if (!err)
		err = db_write(s->db, &tx);
	if (!err)
		err = user_get(tx, &checked->id, &u);
	if (err == -ENOENT || (!err && (u.disabled || !secret_equal(u.password, checked->password,
							      sizeof(u.password)))))
		return wrong(e);
	if (!err)
		err = second_factor_check(s, tx, &checked->id, totp, e);
	if (err)
		return err;
	sha256(out->cookie, row.cookie_sha256);
	sha256(out->csrf_token, row.csrf_sha256);
	row.created_at = row.last_used_at = service_now(s);
	fill_actor(&out->actor, &u, (enum svc_role)u.role);
	out->actor.by_login = true;
	out->actor.via = row.id;
	out->actor.from = *from;
	memcpy(out->actor.csrf_sha256, row.csrf_sha256, sizeof(row.csrf_sha256));
	err = login_insert(tx, &row, LOGINS_OF_ONE);
	if (!err)
		err = audit_add(tx, s, &out->actor, &(struct audit_event){.action = "login"});
	return err ? err : db_commit(&tx);
}

/* A user that does not exist, is disabled or has no password costs the same and says the same. */
static int check_password(
	struct service *s, const char *username, const char *password, struct user_row *u)
{
	bool usable;
	int err;

	memset(u, 0, sizeof(*u));
	err = read_user(s, username, u);
	if (err && err != -ENOENT)
		return err;
	usable =
		!err && !u->disabled && strnlen(password, SVC_PASSWORD_MAX + 1) <= SVC_PASSWORD_MAX;
	return password_verify(s->gate, usable ? u->password : NULL, password);
}

/* u is zero when nobody has that name; what was typed for one may be a password, so it is written
 * nowhere. */
static void note(struct service *s, const struct user_row *u, const struct ip_addr *from,
	enum audit_outcome outcome, const char *detail)
{
	struct svc_actor who;

	fill_actor(&who, u, SVC_ROLE_USER);
	who.from = *from;
	audit_note(s, &who,
		&(struct audit_event){.action = "login", .outcome = outcome, .detail = detail});
}

/* The first refusal of a window. */
static void note_limited(struct service *s, const char *username, const struct ip_addr *from)
{
	struct user_row u;

	if (read_user(s, username, &u))
		memset(&u, 0, sizeof(u));
	note(s, &u, from, AUDIT_LIMITED, NULL);
	secret_wipe(&u, sizeof(u));
}

int svc_login(struct service *s, const char *username, const char *password, const char *totp,
	const struct ip_addr *from, struct svc_login *out, struct svc_error *e)
{
	struct throttle_attempt attempt;
	struct user_row u;
	uint32_t retry;
	int err;

	memset(out, 0, sizeof(*out));
	if (throttle_begin(s->throttle, clock_mono_ms(&s->conf.clock), username, from, &attempt,
		    &retry) == THROTTLE_LIMITED) {
		if (!attempt.told)
			note_limited(s, username, from);
		return refuse_for(e, retry, "too many attempts");
	}
	err = check_password(s, username, password, &u);
	if (err == PASSWORD_WRONG) {
		note(s, &u, from, AUDIT_FAILED, NULL);
		err = wrong(e);
	} else if (err) {
		throttle_cancel(s->throttle, &attempt);
		err = err == PASSWORD_BUSY ? refuse_for(e, 1, "too many attempts") : err;
	} else {
		err = start_login(s, &u, totp, from, out, e);
		if (!err)
			throttle_succeeded(s->throttle, &attempt);
		else if (err != SVC_UNAUTHENTICATED && !(err == SVC_TOTP_REQUIRED && totp))
			throttle_cancel(s->throttle, &attempt);
		if (err == SVC_TOTP_REQUIRED)
			note(s, &u, from, AUDIT_FAILED, totp ? "wrong code" : "no code");
	}
	secret_wipe(&u, sizeof(u));
	if (err)
		secret_wipe(out, sizeof(*out));
	return answer(err, e);
}

int svc_logout(struct service *s, const struct svc_actor *a)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err;

	if (!a->by_login)
		return 0;
	err = db_write(s->db, &tx);
	if (!err)
		err = login_delete(tx, &a->via);
	if (err == -ENOENT)
		return 0;
	if (!err)
		err = audit_add(tx, s, a, &(struct audit_event){.action = "logout"});
	if (!err)
		err = db_commit(&tx);
	return answer(err, NULL);
}

/* Exactly n characters of the alphabet that our texts are made of. */
static bool looks_made(const char *text, size_t n)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return strnlen(text, n + 1) == n && strspn(text, alphabet) == n;
}

int svc_authenticate_token(struct service *s, const char *token, struct svc_actor *out)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int64_t now = service_now(s);
	struct token_row row;
	struct user_row u;
	uint8_t hash[32];
	int err;

	memset(out, 0, sizeof(*out));
	if (!looks_made(token, TOKEN_CHARS) || strncmp(token, "ireko_", 6) != 0)
		return SVC_UNAUTHENTICATED;
	sha256(token, hash);
	err = db_read(s->db, &tx);
	if (!err)
		err = token_get_by_sha256(tx, hash, &row);
	if (!err)
		err = user_get(tx, &row.user_id, &u);
	if (err)
		return err == -ENOENT ? SVC_UNAUTHENTICATED : err;
	if (!secret_equal(hash, row.sha256, sizeof(hash)) || u.disabled ||
		(row.expires_at && row.expires_at <= now))
		return SVC_UNAUTHENTICATED;
	fill_actor(out, &u, access_lower((enum svc_role)row.role, (enum svc_role)u.role));
	out->via = row.id;
	recorder_use(s->recorder, RECORDER_TOKEN, &row.id, row.last_used_at, now);
	return 0;
}

int svc_authenticate_cookie(struct service *s, const char *cookie, struct svc_actor *out)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int64_t now = service_now(s), last;
	struct login_row row;
	struct user_row u;
	uint8_t hash[32];
	int err;

	memset(out, 0, sizeof(*out));
	if (!looks_made(cookie, SECRET_TEXT))
		return SVC_UNAUTHENTICATED;
	sha256(cookie, hash);
	err = db_read(s->db, &tx);
	if (!err)
		err = login_get_by_cookie(tx, hash, &row);
	if (!err)
		err = user_get(tx, &row.user_id, &u);
	if (err)
		return err == -ENOENT ? SVC_UNAUTHENTICATED : err;
	last = recorder_last_use(s->recorder, &row.id, row.last_used_at);
	if (!secret_equal(hash, row.cookie_sha256, sizeof(hash)) || u.disabled ||
		now - row.created_at >= LOGIN_MAX_MS || now - last >= LOGIN_IDLE_MS)
		return SVC_UNAUTHENTICATED;
	fill_actor(out, &u, (enum svc_role)u.role);
	out->by_login = true;
	out->via = row.id;
	memcpy(out->csrf_sha256, row.csrf_sha256, sizeof(row.csrf_sha256));
	recorder_use(s->recorder, RECORDER_LOGIN, &row.id, row.last_used_at, now);
	return 0;
}

bool svc_csrf_ok(const struct svc_actor *a, const char *csrf_token)
{
	uint8_t hash[32];

	sha256(csrf_token, hash);
	return a->by_login && secret_equal(hash, a->csrf_sha256, sizeof(hash));
}
