/*
 * The table, and the steps that are not about keys (keying.c).
 *
 *   RESET --bytes--> TLS --certificate verified--> KM2 --record--> KEYS --installed--> ANSWERED
 *   ANSWERED --acked or asked--> PUSHING --acked--> ACTIVE           the first
 *   ANSWERED --acked--> ACTIVE, and the one before is freed          a rekey
 *
 *   refused, no keys:  --> PARTING --our KM2 acked--> LEAVING --acked, or late--> GONE
 *   farewell:          --> LEAVING        EXIT: --> EXITED --late--> GONE
 */
#include "ovpn/fsm.h"

#include <errno.h>
#include <string.h>

#include "base/secret.h"
#include "ovpn/push.h"

enum {
	USE_AFTER_MS = 60 * 1000, /* stock clients send with the new key from then on */
	RETRY_REKEY_MS = 60 * 1000,
	PUSH_AGAIN_MS = 3000,
};

void fsm_enter(struct negotiation *n, enum ovpn_state state)
{
	n->state = state;
}

/* ---- ends ---- */

/* Of two negotiations n alone stays. */
static void keep_only(struct session *s, struct negotiation *n)
{
	if (n == s->next)
		negotiation_free(s->current);
	else
		negotiation_free(s->next);
	s->current = n;
	s->next = NULL;
}

static void rekey_drop(const struct turn *t)
{
	struct session *s = t->s;

	negotiation_free(s->next);
	s->next = NULL;
	s->current->renew_at_ms = t->now.mono_ms + RETRY_REKEY_MS;
}

void negotiation_fail(const struct turn *t, struct negotiation *n, const char *reason)
{
	if (n == t->s->next) {
		rekey_drop(t);
		return;
	}
	ovpn_session_ended(t, reason);
	ovpn_session_vanish(t);
}

/* An alert, when there is one, is all that is still sent. */
static void tls_broken(const struct turn *t, struct negotiation *n)
{
	const char *reason = ovpn_tls_failure(n->tls);

	t->e->figures.tls_failed++;
	if (n == t->s->next && !ovpn_tls_refused_certificate(n->tls)) {
		negotiation_flush(t, n);
		rekey_drop(t);
		return;
	}
	keep_only(t->s, n);
	ovpn_session_ended(t, reason);
	negotiation_drain(t, n);
	ovpn_tls_free(n->tls);
	n->tls = NULL;
	n->until_ms = t->now.mono_ms + OVPN_LEAVE_MS;
	half_opens_progress(&t->e->half, &t->s->half_open, HALF_OPEN_SILENT);
	if (n->state != AT_GONE)
		fsm_enter(n, AT_LEAVING);
}

static void leave(const struct turn *t, struct negotiation *n)
{
	static const char *const keywords[] = {
		[OVPN_FAREWELL_RESTART] = "RESTART", [OVPN_FAREWELL_REFUSED] = "AUTH_FAILED"};
	char text[PUSH_MESSAGE];
	const size_t len = push_farewell(keywords[t->s->how], t->s->reason, text, sizeof(text));

	if (ovpn_tls_write(n->tls, text, len + 1) < 0)
		ovpn_session_vanish(t);
	else
		fsm_enter(n, AT_LEAVING);
}

static void farewell_now(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	keep_only(t->s, n);
	ovpn_session_ended(t, t->s->reason);
	n->until_ms = t->now.mono_ms + OVPN_LEAVE_MS;
	leave(t, n);
}

/* OpenVPN 3 does not hear it before our key method 2 has arrived (A13.1). */
static void farewell_waits(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	keep_only(t->s, n);
	ovpn_session_ended(t, t->s->reason);
	n->until_ms = t->now.mono_ms + OVPN_LEAVE_MS;
	fsm_enter(n, AT_PARTING);
}

void part_after_answer(
	const struct turn *t, struct negotiation *n, enum ovpn_farewell how, const char *reason)
{
	t->s->how = how;
	t->s->reason = reason;
	farewell_waits(t, n, (struct span){0});
	if (answer_write(n) < 0)
		ovpn_session_vanish(t);
}

static void farewell_after_answer(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	part_after_answer(t, n, t->s->how, t->s->reason);
}

/* There is no way to say it. */
static void farewell_silent(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)n;
	(void)arg;
	ovpn_session_ended(t, t->s->reason);
	ovpn_session_vanish(t);
}

static void say_farewell(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	leave(t, n);
}

void session_farewell(const struct turn *t)
{
	struct session *s = t->s;
	/* A stock client no longer listens on the older key id once a rekey has begun. */
	const bool newer = s->next && s->next->state >= AT_KEYS;

	(void)fsm_event(t, newer ? s->next : s->current, ON_FAREWELL, (struct span){0});
}

/* He may send it again; the data keys are gone at once (A13.5). */
static void on_goodbye(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	keep_only(t->s, n);
	ovpn_session_ended(t, "the client said goodbye");
	n->until_ms = t->now.mono_ms + OVPN_LEAVE_MS;
	fsm_enter(n, AT_EXITED);
}

static void give_up(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	t->e->figures.timed_out++;
	negotiation_fail(t, n, "the handshake was not finished in time");
}

static void vanish(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)n;
	(void)arg;
	ovpn_session_vanish(t);
}

/* ---- TLS ---- */

/* Messages are text with a NUL; one record may hold several. */
static void on_text(const struct turn *t, struct negotiation *n, const char *text, size_t len)
{
	static const struct span none;

	switch (push_parse(text, len)) {
	case PUSH_REQUEST:
		(void)fsm_event(t, n, ON_PUSH_ASKED, none);
		break;
	case PUSH_EXIT:
		(void)fsm_event(t, n, ON_EXIT, none);
		break;
	case PUSH_UNKNOWN:
		break;
	}
}

static void on_texts(const struct turn *t, struct negotiation *n, const char *p, size_t left)
{
	while (left > 0 && negotiation_lives(t->s, n)) {
		const size_t len = strnlen(p, left);

		if (len < left) /* without its NUL it is no message */
			on_text(t, n, p, len);
		p += len < left ? len + 1 : len;
		left -= len < left ? len + 1 : len;
	}
}

static void on_record(const struct turn *t, struct negotiation *n, const uint8_t *p, int len)
{
	if (len == -EPROTO)
		tls_broken(t, n);
	else if (n->state == AT_KM2 && len < 0)
		negotiation_fail(t, n, "the client's key method 2 message is too long");
	else if (n->state == AT_KM2)
		(void)fsm_event(t, n, ON_RECORD, (struct span){p, (size_t)len});
	else if (len > 0)
		on_texts(t, n, (const char *)p, (size_t)len);
}

static void read_records(const struct turn *t, struct negotiation *n)
{
	uint8_t record[KM2_MAX];

	while (negotiation_lives(t->s, n)) {
		const int len = ovpn_tls_read(n->tls, record, sizeof(record));

		if (len == 0)
			break;
		on_record(t, n, record, len);
	}
	secret_wipe(record, sizeof(record));
}

static void handshake(const struct turn *t, struct negotiation *n, struct span bytes)
{
	struct half_open *o = &t->s->half_open;

	switch (ovpn_tls_handshake(n->tls, bytes.p, bytes.n)) {
	case TLS_MORE:
		half_opens_progress(&t->e->half, o,
			ovpn_tls_has_answered(n->tls) ? HALF_OPEN_HELLO : HALF_OPEN_BYTES);
		return;
	case TLS_DONE:
		half_opens_progress(&t->e->half, o, HALF_OPEN_VERIFIED);
		fsm_enter(n, AT_KM2);
		read_records(t, n);
		return;
	case -ENOMEM:
		negotiation_fail(t, n, "no memory");
		return;
	}
	tls_broken(t, n);
}

/* Now, and not before, the client costs more than a few hundred bytes. */
static void begin_tls(const struct turn *t, struct negotiation *n, struct span bytes)
{
	if (ovpn_tls_new(&n->tls, t->e->tls) < 0) {
		negotiation_fail(t, n, "no memory");
		return;
	}
	fsm_enter(n, AT_TLS);
	handshake(t, n, bytes);
}

static void feed(const struct turn *t, struct negotiation *n, struct span bytes)
{
	if (ovpn_tls_feed(n->tls, bytes.p, bytes.n) < 0)
		negotiation_fail(t, n, "no memory");
	else
		read_records(t, n);
}

/* ---- keys are there ---- */

static void on_keys_ok(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	if (answer_write(n) < 0)
		negotiation_fail(t, n, "TLS failed");
	else
		fsm_enter(n, AT_ANSWERED);
}

static void on_keys_failed(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	if (n == t->s->next)
		rekey_drop(t);
	else
		part_after_answer(
			t, n, OVPN_FAREWELL_RESTART, "the dataplane did not take the keys");
}

static void push(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	if (n->key_id != 0)
		return;
	if (push_write(t, n) < 0) {
		negotiation_fail(t, n, "the options could not be pushed");
		return;
	}
	n->pushed_ms = t->now.mono_ms;
	fsm_enter(n, AT_PUSHING);
}

static void push_again(const struct turn *t, struct negotiation *n, struct span arg)
{
	(void)arg;
	if (n->key_id != 0 || t->now.mono_ms - n->pushed_ms < PUSH_AGAIN_MS)
		return;
	n->pushed_ms = t->now.mono_ms;
	if (push_write(t, n) < 0)
		negotiation_fail(t, n, "the options could not be pushed");
}

/* So much less than the whole that not all sessions of one restart come at once. */
static uint64_t renew_at(const struct ovpn_engine *e, uint64_t now_ms)
{
	uint32_t random = 0;

	if (e->conf.reneg_ms == 0)
		return UINT64_MAX;
	/* Without randomness no rekey will work either. */
	if (secret_random(&random, sizeof(random)) < 0)
		random = 0;
	return now_ms + e->conf.reneg_ms - random % (e->conf.reneg_ms / 10 + 1);
}

static void become_active(const struct turn *t, struct negotiation *n)
{
	n->until_ms = UINT64_MAX;
	n->renew_at_ms = renew_at(t->e, t->now.mono_ms);
	memset(n->random1, 0, sizeof(n->random1));
	memset(n->random2, 0, sizeof(n->random2));
	fsm_enter(n, AT_ACTIVE);
}

static void on_push_acked(const struct turn *t, struct negotiation *n, struct span arg)
{
	struct session *s = t->s;

	(void)arg;
	become_active(t, n);
	t->e->figures.handshakes++;
	if (s->is_making)
		TAILQ_REMOVE(&t->e->making, s, making);
	s->is_making = false;
	n->use_at_ms = t->now.mono_ms;
	current_use(t);
}

static uint64_t use_after(const struct ovpn_engine *e)
{
	const uint32_t half = e->conf.reneg_ms / 2;

	return half > 0 && half < USE_AFTER_MS ? half : USE_AFTER_MS;
}

static void rekey_done(const struct turn *t, struct negotiation *n)
{
	struct session *s = t->s;

	s->retired_key_id = s->current->key_id;
	s->retired_taken = s->current->taken;
	keep_only(s, n);
	become_active(t, n);
	t->e->figures.rekeys++;
	n->use_at_ms = n->started_ms + use_after(t->e);
}

static void on_answer_acked(const struct turn *t, struct negotiation *n, struct span arg)
{
	if (n->key_id != 0)
		rekey_done(t, n);
	else if (t->s->peer.proto & IV_PROTO_REQUEST_PUSH)
		push(t, n, arg);
}

/* ---- the table ---- */

/* clang-format off */
static void (*const steps[OVPN_STATE_COUNT][OVPN_EVENT_COUNT])(
	const struct turn *t, struct negotiation *n, struct span arg) = {
	[AT_RESET] = {
		[ON_BYTES] = begin_tls, [ON_FAREWELL] = farewell_silent, [ON_LATE] = give_up},
	[AT_TLS] = {
		[ON_BYTES] = handshake, [ON_FAREWELL] = farewell_silent, [ON_LATE] = give_up},
	[AT_KM2] = {
		[ON_BYTES] = feed, [ON_RECORD] = on_key_method,
		[ON_FAREWELL] = farewell_silent, [ON_LATE] = give_up},
	[AT_KEYS] = {
		[ON_BYTES] = feed, [ON_EXIT] = on_goodbye,
		[ON_KEYS_OK] = on_keys_ok, [ON_KEYS_FAILED] = on_keys_failed,
		[ON_FAREWELL] = farewell_after_answer, [ON_LATE] = give_up},
	[AT_ANSWERED] = {
		[ON_BYTES] = feed, [ON_PUSH_ASKED] = push, [ON_EXIT] = on_goodbye,
		[ON_ACKED] = on_answer_acked,
		[ON_FAREWELL] = farewell_waits, [ON_LATE] = give_up},
	[AT_PUSHING] = {
		[ON_BYTES] = feed, [ON_PUSH_ASKED] = push_again, [ON_EXIT] = on_goodbye,
		[ON_ACKED] = on_push_acked,
		[ON_FAREWELL] = farewell_now, [ON_LATE] = give_up},
	[AT_ACTIVE] = {
		[ON_BYTES] = feed, [ON_PUSH_ASKED] = push_again, [ON_EXIT] = on_goodbye,
		[ON_FAREWELL] = farewell_now},
	[AT_PARTING] = {
		[ON_BYTES] = feed, [ON_PUSH_ASKED] = say_farewell, [ON_EXIT] = on_goodbye,
		[ON_ACKED] = say_farewell, [ON_LATE] = vanish},
	[AT_LEAVING] = {[ON_LATE] = vanish},
	[AT_EXITED] = {[ON_LATE] = vanish},
	[AT_GONE] = {0},
};
/* clang-format on */

bool fsm_event(const struct turn *t, struct negotiation *n, enum ovpn_event event, struct span arg)
{
	if (!steps[n->state][event]) {
		/* Acknowledgements are no request. */
		if (event != ON_ACKED)
			t->e->figures.verdicts[OVPN_NOT_NOW]++;
		return false;
	}
	steps[n->state][event](t, n, arg);
	return true;
}

/* ---- rekeys and the clock ---- */

void current_use(const struct turn *t)
{
	struct session *s = t->s;
	const struct ovpn_action a = {.kind = OVPN_ACTION_USE,
		.session = s->id,
		.path = s->path,
		.key_id = s->current->key_id,
		.credential = s->grant.credential,
		.peer_id = s->peer_id};

	if (s->current->use_at_ms == UINT64_MAX)
		return;
	/* When it is lost the dataplane goes by the client's first packet with the new key. */
	if (actions_push(&t->e->actions, &a) < 0)
		return;
	s->current->use_at_ms = UINT64_MAX;
}

uint8_t rekey_key_id(const struct session *s)
{
	return (uint8_t)(s->current->key_id % (OVPN_KEY_IDS - 1) + 1);
}

int rekey_begin(const struct turn *t)
{
	struct session *s = t->s;
	struct negotiation *n;

	if (s->next || s->current->state != AT_ACTIVE)
		return -EBUSY;
	if (negotiation_new(&n, rekey_key_id(s), t->now.mono_ms) < 0)
		return -ENOMEM;
	if (reliable_send(n->messages, OVPN_SOFT_RESET, NULL, 0, t->now.mono_ms) < 0) {
		negotiation_free(n);
		return -ENOMEM;
	}
	/* A stock client forgets the key id before the current one now. */
	current_use(t);
	s->next = n;
	return 0;
}

void session_on_time(const struct turn *t)
{
	struct session *s = t->s;
	const uint64_t now_ms = t->now.mono_ms;

	if (s->next && s->next->until_ms <= now_ms)
		(void)fsm_event(t, s->next, ON_LATE, (struct span){0});
	if (s->current->until_ms <= now_ms)
		(void)fsm_event(t, s->current, ON_LATE, (struct span){0});
	if (s->current->state != AT_ACTIVE)
		return;
	if (s->current->use_at_ms <= now_ms)
		current_use(t);
	if (s->current->renew_at_ms <= now_ms && !s->next && rekey_begin(t) < 0)
		s->current->renew_at_ms = now_ms + RETRY_REKEY_MS;
}
