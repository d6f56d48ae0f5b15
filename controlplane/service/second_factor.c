/*
 *   none --begin (password)--> pending --confirm (code), within 10 minutes--> on
 *   on --disable (password and code), or reset by a manager--> none
 *
 * Whoever may only read (an auditor) still has a second factor of his own.
 */
#include "service/second_factor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "db/login_store.h"
#include "pki/keystore.h"

enum { PENDING_MS = 10 * 60 * 1000 };
_Static_assert(TOTP_SECRET + KEYSTORE_SEAL_OVERHEAD <= TOTP_SEALED, "a sealed secret fits");

struct secret {
	uint8_t bytes[TOTP_SECRET];
};

static void secret_fini(struct secret *k)
{
	secret_wipe(k, sizeof(*k));
}

static void label_of(const struct ulid *user, char out[48])
{
	char id[ULID_TEXT];

	snprintf(out, 48, "totp:usr_%s", ulid_format(user, id));
}

static int seal(struct service *s, const struct secret *k, struct totp_row *row)
{
	char label[48];

	label_of(&row->user_id, label);
	row->secret_len = TOTP_SECRET + KEYSTORE_SEAL_OVERHEAD;
	return keystore_seal(s->ks, label, k->bytes, sizeof(k->bytes), row->secret);
}

/* Checks a code against a row; a code that is taken is used up in it.
 * Returns: TOTP_OK, TOTP_WRONG, -errno. */
static int check_code(struct service *s, struct totp_row *row, const char *code)
{
	struct secret k cleanup(secret_fini) = {{0}};
	uint64_t step = 0;
	char label[48];
	int err;

	if (row->secret_len != TOTP_SECRET + KEYSTORE_SEAL_OVERHEAD)
		return -EBADMSG;
	label_of(&row->user_id, label);
	err = keystore_open_blob(s->ks, label, row->secret, row->secret_len, k.bytes);
	if (!err)
		err = totp_check(k.bytes, code, service_now(s) / 1000, row->used_step, &step);
	if (err == TOTP_OK)
		row->used_step = step;
	return err;
}

int second_factor_check(struct service *s, struct db_conn *tx, const struct ulid *user,
	const char *code, struct svc_error *e)
{
	struct totp_row row;
	int err = totp_get(tx, user, &row);

	if (err == -ENOENT || (!err && !row.confirmed))
		return 0;
	if (!err)
		err = code ? check_code(s, &row, code) : TOTP_WRONG;
	if (err == TOTP_WRONG)
		return refuse(e, SVC_TOTP_REQUIRED, "", "a one-time code is needed");
	return err ? err : totp_set(tx, &row);
}

/* Returns: 0 with the code used up in the row, SVC_INVALID, -errno. */
static int prove_code(
	struct service *s, struct totp_row *row, const char *code, struct svc_error *e)
{
	const int err = check_code(s, row, code);

	return err == TOTP_WRONG ? refuse(e, SVC_INVALID, "totp", "is wrong") : err;
}

static void note_failed(struct service *s, const struct svc_actor *a, const char *action)
{
	audit_note(s, a,
		&(struct audit_event){.action = action,
			.kind = "usr",
			.object = &a->user_id,
			.outcome = AUDIT_FAILED});
}

static int add_row(struct db_conn *tx, struct service *s, const struct svc_actor *a,
	const char *action, const struct ulid *user)
{
	return audit_add(
		tx, s, a, &(struct audit_event){.action = action, .kind = "usr", .object = user});
}

/* ---- the password once more ---- */

static int read_user(struct service *s, const struct ulid *id, struct user_row *u)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	int err = db_read(s->db, &tx);

	return err ? err : user_get(tx, id, u);
}

/* Counts as a login does, so that a stolen cookie is no way to guess. */
static int begin_attempt(struct service *s, const struct svc_actor *a,
	struct throttle_attempt *attempt, struct svc_error *e)
{
	uint32_t retry;

	if (throttle_begin(s->throttle, clock_mono_ms(&s->conf.clock), a->user_name, &a->from,
		    attempt, &retry) == THROTTLE_LIMITED)
		return refuse_for(e, retry, "too many attempts");
	return 0;
}

static int prove_password(struct service *s, const struct svc_actor *a, const char *password,
	const char *action, struct throttle_attempt *attempt, struct svc_error *e)
{
	struct user_row u = {0};
	int err = begin_attempt(s, a, attempt, e);

	if (err)
		return err;
	err = read_user(s, &a->user_id, &u);
	if (!err)
		err = password_verify(s->gate, u.password, password);
	secret_wipe(&u, sizeof(u));
	if (err == PASSWORD_WRONG) {
		note_failed(s, a, action);
		return refuse(e, SVC_INVALID, "password", "is wrong");
	}
	if (err == PASSWORD_OK)
		return 0;
	throttle_cancel(s->throttle, attempt);
	if (err == PASSWORD_BUSY)
		return refuse_for(e, 1, "too many attempts");
	if (err == -ENOENT)
		return refuse(e, SVC_UNAUTHENTICATED, "", "the user is gone");
	return err;
}

/* ---- on ---- */

static int put_pending(
	struct service *s, const struct svc_actor *a, const struct secret *k, struct svc_error *e)
{
	struct totp_row old, row = {.user_id = a->user_id, .created_at = service_now(s)};
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err = seal(s, k, &row);

	if (!err)
		err = access_begin_own(s, a, &tx, &me, e);
	if (err)
		return err;
	err = totp_get(tx, &a->user_id, &old);
	if (!err && old.confirmed)
		return refuse(e, SVC_CONFLICT, "", "it is on already; switch it off first");
	if (!err || err == -ENOENT)
		err = totp_set(tx, &row);
	if (!err)
		err = add_row(tx, s, &me, "totp.begin", &a->user_id);
	return err ? err : db_commit(&tx);
}

int svc_totp_begin(struct service *s, const struct svc_actor *a, const char *password,
	struct svc_totp *out, struct svc_error *e)
{
	struct secret k cleanup(secret_fini) = {{0}};
	struct throttle_attempt attempt;
	int err = prove_password(s, a, password, "totp.begin", &attempt, e);

	memset(out, 0, sizeof(*out));
	if (err)
		return answer(err, e);
	throttle_cancel(s->throttle, &attempt);
	err = secret_random(k.bytes, sizeof(k.bytes));
	if (!err)
		err = put_pending(s, a, &k, e);
	if (err)
		return answer(err, e);
	totp_secret_text(k.bytes, out->secret);
	err = totp_url(a->user_name, out->secret, out->url);
	if (err)
		secret_wipe(out, sizeof(*out));
	return err;
}

static int confirm(
	struct service *s, const struct svc_actor *a, const char *code, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	struct totp_row row;
	int err = access_begin_own(s, a, &tx, &me, e);

	if (err)
		return err;
	err = totp_get(tx, &a->user_id, &row);
	if (!err && row.confirmed)
		return refuse(e, SVC_CONFLICT, "", "it is on already");
	if (err == -ENOENT || (!err && service_now(s) - row.created_at > PENDING_MS))
		return refuse(e, SVC_CONFLICT, "", "there is no secret to confirm; ask for one");
	if (!err)
		err = prove_code(s, &row, code, e);
	row.confirmed = true;
	if (!err)
		err = totp_set(tx, &row);
	/* Logins of somebody who never had a code end. */
	if (!err)
		err = login_delete_user(tx, &a->user_id, a->by_login ? &a->via : NULL);
	if (!err)
		err = add_row(tx, s, &me, "totp.confirm", &a->user_id);
	return err ? err : db_commit(&tx);
}

int svc_totp_confirm(
	struct service *s, const struct svc_actor *a, const char *code, struct svc_error *e)
{
	struct throttle_attempt attempt;
	int err = begin_attempt(s, a, &attempt, e);

	if (err)
		return err;
	err = confirm(s, a, code, e);
	if (err != SVC_INVALID)
		throttle_cancel(s->throttle, &attempt);
	return answer(err, e);
}

/* ---- off ---- */

static int remove_own(
	struct service *s, const struct svc_actor *a, const char *code, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	struct totp_row row;
	int err = access_begin_own(s, a, &tx, &me, e);

	if (err)
		return err;
	err = totp_get(tx, &a->user_id, &row);
	if (err == -ENOENT || (!err && !row.confirmed))
		return refuse(e, SVC_CONFLICT, "", "it is not on");
	if (!err)
		err = prove_code(s, &row, code, e);
	if (!err)
		err = totp_delete(tx, &a->user_id);
	if (!err)
		err = add_row(tx, s, &me, "totp.disable", &a->user_id);
	return err ? err : db_commit(&tx);
}

int svc_totp_disable(struct service *s, const struct svc_actor *a, const char *password,
	const char *code, struct svc_error *e)
{
	struct throttle_attempt attempt;
	int err = prove_password(s, a, password, "totp.disable", &attempt, e);

	if (err)
		return answer(err, e);
	err = remove_own(s, a, code, e);
	if (err == SVC_INVALID)
		note_failed(s, a, "totp.disable");
	else
		throttle_cancel(s->throttle, &attempt);
	return answer(err, e);
}

int svc_totp_reset(
	struct service *s, const struct svc_actor *a, const struct ulid *user, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct user_row u = {0};
	struct svc_actor me;
	char text[ULID_TEXT];
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = user_get(tx, user, &u);
	if (err == -ENOENT)
		err = refuse_not_found(e);
	if (!err && !access_manages(&me))
		err = refuse(e, SVC_FORBIDDEN, "", "the role %s resets no second factors",
			svc_role_name(me.role));
	if (!err && (enum svc_role)u.role > me.role)
		err = refuse(e, SVC_FORBIDDEN, "", "the user's role is above yours");
	secret_wipe(&u, sizeof(u));
	if (err)
		return answer(err, e);
	err = totp_delete(tx, user);
	if (err == -ENOENT)
		return 0;
	if (!err)
		err = add_row(tx, s, &me, "totp.reset", user);
	if (!err)
		err = db_commit(&tx);
	if (!err)
		log_info("service", "user usr_%s: second factor reset by %s",
			ulid_format(user, text), a->user_name);
	return answer(err, e);
}
