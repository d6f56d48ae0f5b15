#include "service/invites.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"
#include "db/invite_store.h"
#include "service/inside.h"

/* A link that was good until a moment ago is not guessed: a page that is opened twice, or by a
 * hundred at once, shuts nobody out. */
enum { JUST_USED_MS = 60 * 1000 };

static void fill(struct svc_invite *out, const struct invite_row *row)
{
	*out = (struct svc_invite){
		.id = row->id,
		.device_id = row->device_id,
		.created_by = row->created_by,
		.protocol = row->protocol,
		.created_at = row->created_at,
		.expires_at = row->expires_at,
		.used_at = row->used_at,
		.credential_id = row->credential_id,
	};
}

static int add_row(struct db_conn *tx, struct service *s, const struct svc_actor *me,
	const char *action, const struct invite_row *row)
{
	char id[ULID_TEXT], detail[AUDIT_FIELDS_TEXT];

	snprintf(detail, sizeof(detail), "%s, of dev_%s",
		row->protocol == DIR_OPENVPN ? "openvpn" : "wireguard",
		ulid_format(&row->device_id, id));
	return audit_add(tx, s, me,
		&(struct audit_event){
			.action = action, .kind = "inv", .object = &row->id, .detail = detail});
}

/* ---- create ---- */

static int make_secret(char secret[INVITE_TEXT], uint8_t hash[32])
{
	secret_key raw;
	int err = secret_random(raw.bytes, sizeof(raw.bytes));

	if (err)
		return err;
	base64url_encode(raw.bytes, sizeof(raw.bytes), secret);
	SHA256((const unsigned char *)secret, INVITE_TEXT - 1, hash);
	return 0;
}

static int check_request(const struct svc_invite_request *r, int64_t now, struct svc_error *e)
{
	int err = time_check(r->expires_at, "expires_at", e);

	if (err)
		return err;
	if (r->protocol != DIR_WIREGUARD && r->protocol != DIR_OPENVPN)
		return refuse(e, SVC_INVALID, "protocol", "is not a protocol");
	if (r->expires_at && r->expires_at <= now)
		return refuse(e, SVC_INVALID, "expires_at", "is in the past");
	if (r->expires_at > now + INVITE_MAX_MS)
		return refuse(e, SVC_INVALID, "expires_at", "is more than 7 days from now");
	return 0;
}

static int check_room(
	struct db_conn *tx, const struct ulid *device, int64_t now, struct svc_error *e)
{
	uint64_t n;
	int err = invite_count_open(tx, device, now, &n);

	if (!err && n >= INVITES_OPEN)
		err = refuse(e, SVC_FULL, "", "a device has at most %d open invites; withdraw one",
			INVITES_OPEN);
	return err;
}

/* The transaction. */
static int insert(struct service *s, const struct svc_actor *a, struct invite_row *row,
	const uint8_t sha256[32], struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct device_row d;
	struct svc_actor me;
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = access_device_change(tx, &me, &row->device_id, &d, e);
	if (!err && !publish_is_live(&d, row->created_at))
		err = refuse(e, SVC_CONFLICT, "",
			"the device is disabled or expired, so nobody could open it");
	if (!err)
		err = check_room(tx, &row->device_id, row->created_at, e);
	if (err)
		return err;
	row->created_by = me.user_id;
	row->role = (uint8_t)me.role;
	err = invite_prune(tx, &row->device_id, row->created_at, INVITES_ENDED);
	if (!err)
		err = invite_insert(tx, row, sha256);
	if (!err)
		err = once_add(tx, s, &me, "inv", &row->id, NULL);
	if (!err)
		err = add_row(tx, s, &me, "invite.create", row);
	return err ? err : db_commit(&tx);
}

int svc_invite_create(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_invite_request *r, struct svc_invite *out, char secret[INVITE_TEXT],
	struct svc_error *e)
{
	struct invite_row row = {.device_id = *device,
		.protocol = r->protocol,
		.created_at = service_now(s),
		.expires_at = r->expires_at};
	char text[ULID_TEXT];
	uint8_t hash[32];
	int err = access_write(a, e);

	secret[0] = '\0';
	if (!err)
		err = check_request(r, row.created_at, e);
	if (!err)
		err = ulid_new(&row.id, &s->conf.clock);
	if (!err)
		err = make_secret(secret, hash);
	if (!row.expires_at)
		row.expires_at = row.created_at + INVITE_MS;
	if (!err)
		err = insert(s, a, &row, hash, e);
	if (err) {
		secret_wipe(secret, INVITE_TEXT);
		return answer(err, e);
	}
	fill(out, &row);
	log_info("service", "invite inv_%s: made by %s", ulid_format(&row.id, text), a->user_name);
	return 0;
}

/* ---- read, withdraw ---- */

int svc_invite_list(struct service *s, const struct svc_actor *a, const struct ulid *device,
	const struct svc_page *p, struct svc_invite **out, size_t *n, bool *more,
	struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct invite_row *rows;
	struct device_row d;
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
		got = access_device(tx, a, device, &d, e);
	if (!got) {
		got = invite_list(tx, device, &p->after, rows, p->limit + 1);
		for (int i = 0; i < got && i < (int)p->limit; i++)
			fill(&(*out)[(*n)++], &rows[i]);
		*more = got > (int)p->limit;
		got = got < 0 ? got : 0;
	}
	free(rows);
	if (!got)
		return 0;
	free(*out);
	*out = NULL;
	return answer(got, e);
}

/* One whose device the actor may see. */
static int find(struct db_conn *tx, const struct svc_actor *a, const struct ulid *id,
	struct invite_row *row, struct device_row *d, struct svc_error *e)
{
	int err = invite_get(tx, id, row);

	if (err)
		return err == -ENOENT ? refuse_not_found(e) : err;
	return access_device(tx, a, &row->device_id, d, e);
}

int svc_invite_get(struct service *s, const struct svc_actor *a, const struct ulid *id,
	struct svc_invite *out, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct invite_row row;
	struct device_row d;
	int err = db_read(s->db, &tx);

	if (!err)
		err = find(tx, a, id, &row, &d, e);
	if (!err)
		fill(out, &row);
	return answer(err, e);
}

int svc_invite_delete(
	struct service *s, const struct svc_actor *a, const struct ulid *id, struct svc_error *e)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct invite_row row;
	struct device_row d;
	struct svc_actor me;
	char text[ULID_TEXT];
	int err = access_begin(s, a, &tx, &me, e);

	if (!err)
		err = find(tx, &me, id, &row, &d, e);
	if (!err)
		err = access_change(&me, &d.user_id, e);
	if (!err)
		err = invite_delete(tx, id);
	if (!err)
		err = add_row(tx, s, &me, "invite.delete", &row);
	if (!err)
		err = db_commit(&tx);
	if (!err)
		log_info("service", "invite inv_%s: withdrawn by %s", ulid_format(id, text),
			a->user_name);
	return answer(err, e);
}

/* ---- open ---- */

struct opening {
	struct service *s;
	struct invite_row row;
	struct svc_actor maker; /* in whose name it is done, from where it was opened */
	bool no_guess;		/* whoever has that link was given it */
};

/* The invite and who made it, as he is now. Returns: 0, -ENOENT (used, expired, never made). */
static int look_up(struct opening *o, const uint8_t sha256[32])
{
	struct db_conn *tx cleanup(db_end) = NULL;
	const int64_t now = service_now(o->s);
	struct user_row u;
	int err = db_read(o->s->db, &tx);

	if (!err)
		err = invite_get_by_sha256(tx, sha256, &o->row);
	if (err)
		return err;
	o->no_guess =
		o->row.used_at ? now - o->row.used_at < JUST_USED_MS : o->row.expires_at > now;
	if (o->row.used_at || o->row.expires_at <= now)
		return -ENOENT;
	err = user_get(tx, &o->row.created_by, &u);
	if (err)
		return err;
	o->maker = (struct svc_actor){.user_id = u.id, .role = (enum svc_role)o->row.role};
	memcpy(o->maker.user_name, u.name, sizeof(o->maker.user_name));
	secret_wipe(&u, sizeof(u));
	return 0;
}

/* In the transaction that issues the credential. Of a hundred at once one comes through here. */
static int burn(void *arg, struct db_conn *tx, const struct credential_row *c,
	const struct device_row *d, struct svc_error *e)
{
	const struct opening *o = arg;
	int err;

	if (!publish_is_live(d, c->created_at))
		return refuse_not_found(e);
	err = invite_use(tx, &o->row.id, &c->id, c->created_at);
	if (err)
		return err == -ENOENT ? refuse_not_found(e) : err;
	return add_row(tx, o->s, &o->maker, "invite.open", &o->row);
}

/* Whatever the maker may not do any more is an invite that is no longer valid. */
static int as_invite(int err, struct svc_error *e)
{
	if (err == SVC_FORBIDDEN || err == SVC_UNAUTHENTICATED || err == SVC_NOT_FOUND ||
		err == -ENOENT)
		return refuse_not_found(e);
	return err;
}

static int issue(struct opening *o, struct svc_issued *out, struct svc_error *e)
{
	const struct svc_credential_request r = {.protocol = o->row.protocol};
	const struct issue_also also = {.run = burn, .arg = o};
	char text[ULID_TEXT];
	int err = credential_issue(o->s, &o->maker, &o->row.device_id, &r, &also, out, e);

	if (!err)
		log_info("service", "invite inv_%s: opened", ulid_format(&o->row.id, text));
	return err;
}

int svc_invite_open(struct service *s, const char *secret, size_t secret_len,
	const struct ip_addr *from, struct svc_issued *out, struct svc_error *e)
{
	struct throttle_attempt attempt;
	struct opening o = {.s = s};
	uint8_t hash[32];
	uint32_t retry;
	int err;

	memset(out, 0, sizeof(*out));
	if (throttle_guess(s->throttle, clock_mono_ms(&s->conf.clock), from, &attempt, &retry) ==
		THROTTLE_LIMITED)
		return refuse_for(e, retry, "too many links were tried; wait a minute");
	SHA256((const unsigned char *)secret, secret_len, hash);
	err = look_up(&o, hash);
	if (from)
		o.maker.from = *from;
	if (o.no_guess || (err && err != -ENOENT))
		throttle_cancel(s->throttle, &attempt);
	if (!err)
		err = issue(&o, out, e);
	return answer(as_invite(err, e), e);
}
