#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"
#include "db/token_store.h"
#include "service/inside.h"
#include "service/text.h"

static void fill(struct svc_token *out, const struct token_row *row)
{
	*out = (struct svc_token){
		.id = row->id,
		.user_id = row->user_id,
		.role = (enum svc_role)row->role,
		.created_at = row->created_at,
		.expires_at = row->expires_at,
		.last_used_at = row->last_used_at,
	};
	snprintf(out->name, sizeof(out->name), "%s", row->name);
}

static int make_secret(char secret[SVC_TOKEN_TEXT], uint8_t hash[32])
{
	secret_key raw;
	int err = secret_random(raw.bytes, sizeof(raw.bytes));

	if (err)
		return err;
	memcpy(secret, "ireko_", 6);
	base64url_encode(raw.bytes, sizeof(raw.bytes), secret + 6);
	SHA256((const unsigned char *)secret, SVC_TOKEN_TEXT - 1, hash);
	return 0;
}

static int check_request(struct service *s, const struct svc_token_request *r, struct svc_error *e)
{
	const char *fault = r->name ? text_label_fault(r->name, SVC_NAME_MAX, false) : "is missing";
	int err;

	if (fault)
		return refuse(e, SVC_INVALID, "name", "%s", fault);
	err = time_check(r->expires_at, "expires_at", e);
	if (err)
		return err;
	if (r->expires_at && r->expires_at <= service_now(s))
		return refuse(e, SVC_INVALID, "expires_at", "is in the past");
	return 0;
}

static int check_room(
	struct service *s, struct db_conn *tx, const struct ulid *user, struct svc_error *e)
{
	uint64_t n;
	int err = token_count_user(tx, user, service_now(s), &n);

	if (!err && n >= SVC_USER_TOKENS)
		err = refuse(e, SVC_FULL, "", "a user has at most %d tokens; delete one",
			SVC_USER_TOKENS);
	return err;
}

static int add_row(struct db_conn *tx, struct service *s, const struct svc_actor *me,
	const char *action, const struct token_row *t)
{
	char id[ULID_TEXT], detail[AUDIT_FIELDS_TEXT];

	snprintf(detail, sizeof(detail), "role %s, of usr_%s",
		svc_role_name((enum svc_role)t->role), ulid_format(&t->user_id, id));
	return audit_add(tx, s, me,
		&(struct audit_event){
			.action = action, .kind = "tok", .object = &t->id, .detail = detail});
}

int svc_token_create(struct service *s, const struct svc_actor *a,
	const struct svc_token_request *r, struct svc_token *out, char secret[SVC_TOKEN_TEXT],
	struct svc_error *e)
{
	struct token_row row = {.user_id = a->user_id, .expires_at = r->expires_at};
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	int err;

	secret[0] = '\0';
	err = access_write(a, e);
	if (!err)
		err = check_request(s, r, e);
	if (!err)
		err = access_begin(s, a, &tx, &me, e);
	if (err)
		return answer(err, e);
	if (r->set_role && r->role > me.role)
		return refuse(e, SVC_FORBIDDEN, "role", "is above your own");
	err = check_room(s, tx, &me.user_id, e);
	if (err)
		return answer(err, e);
	row.role = (uint8_t)(r->set_role ? r->role : me.role);
	row.created_at = service_now(s);
	snprintf(row.name, sizeof(row.name), "%s", r->name);
	err = ulid_new(&row.id, &s->conf.clock);
	if (!err)
		err = make_secret(secret, row.sha256);
	if (!err)
		err = token_insert(tx, &row);
	if (!err)
		err = once_add(tx, s, &me, "tok", &row.id, NULL);
	if (!err)
		err = add_row(tx, s, &me, "token.create", &row);
	if (!err)
		err = db_commit(&tx);
	if (err)
		secret_wipe(secret, SVC_TOKEN_TEXT);
	else
		fill(out, &row);
	return answer(err, e);
}

int svc_token_list(struct service *s, const struct svc_actor *a, const struct svc_page *p,
	struct svc_token **out, size_t *n, bool *more, struct svc_error *e)
{
	bool all = a->role == SVC_ROLE_ADMIN || a->role == SVC_ROLE_AUDITOR;
	struct db_conn *tx cleanup(db_end) = NULL;
	struct token_row *rows;
	int got = page_check(p, e);

	*out = NULL;
	*n = 0;
	*more = false;
	if (got)
		return got;
	rows = calloc(p->limit + 1, sizeof(*rows));
	*out = calloc(p->limit + 1, sizeof(**out));
	got = rows && *out ? db_read(s->db, &tx) : -ENOMEM;
	if (!got)
		got = token_list(tx, all ? NULL : &a->user_id, &p->after, rows, p->limit + 1);
	for (int i = 0; i < got && i < (int)p->limit; i++)
		fill(&(*out)[(*n)++], &rows[i]);
	*more = got > (int)p->limit;
	free(rows);
	if (got >= 0)
		return 0;
	free(*out);
	*out = NULL;
	return answer(got, e);
}

int svc_token_delete(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct svc_actor me;
	struct token_row row;
	int err = access_write(a, e);

	if (!err)
		err = access_begin(s, a, &tx, &me, e);
	if (err)
		return answer(err, e);
	err = token_get(tx, id, &row);
	if (err == -ENOENT ||
		(!err && me.role != SVC_ROLE_ADMIN && !ulid_equal(&row.user_id, &me.user_id)))
		return refuse_not_found(e);
	if (!err && row.role > me.role)
		return refuse(e, SVC_FORBIDDEN, "", "the token's role is above your own");
	if (!err)
		err = token_delete(tx, id);
	if (!err)
		err = add_row(tx, s, &me, "token.delete", &row);
	if (!err)
		err = db_commit(&tx);
	return answer(err, e);
}
