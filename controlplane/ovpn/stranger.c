/*
 * Packets of nobody we know (reference A6.5). Over UDP nothing is kept until the client has shown
 * that he receives what is sent to his address: his reset is answered with a cookie for a session
 * id, and the packet that gives it back makes the session. Two keep something at once: clients too
 * old to send their wrapped key again, and connections, which are proof enough.
 */
#include <errno.h>
#include <string.h>

#include "base/secret.h"
#include "ovpn/packets.h"

enum {
	RESENDS = 0x0f000000,	 /* in a reset's packet id: sends its wrapped key again (A6.1) */
	FIRST_ID_OF_SESSION = 2, /* the stateless answer has used 1 */
};

/* In the answer to a client that sends its wrapped key again: do so (A6.3). */
static const uint8_t RESEND_TLV[] = {0, 1, 0, 2, 0, 1};

struct arrival {
	const struct packet *p;
	enum ovpn_opcode op;
	struct newcomer c;
	struct ovpn_opened opened;
	struct ovpn_tail tail;
	uint8_t buf[OVPN_TAIL_MAX];
};

static void arrival_wipe(struct arrival *a)
{
	secret_wipe(&a->c, sizeof(a->c));
}

static bool is_stateful(const struct arrival *a)
{
	return a->p->from->connection != 0;
}

static bool carries_key(enum ovpn_opcode op)
{
	return op == OVPN_RESET_CLIENT_V3 || op == OVPN_CONTROL_WKC;
}

static bool is_reset(enum ovpn_opcode op)
{
	return op == OVPN_RESET_CLIENT_V2 || op == OVPN_RESET_CLIENT_V3;
}

/* ---- opening ---- */

static enum ovpn_verdict key_of(struct ovpn_engine *e, struct arrival *a, size_t *n)
{
	struct ovpn_wkc wkc cleanup(ovpn_wkc_wipe) = {.has_credential = false};
	const uint8_t *sealed;
	size_t sealed_len;

	if (!carries_key(a->op)) {
		a->c.key = e->conf.tls_crypt;
		*n = a->p->n;
		return OVPN_TAKEN;
	}
	if (ovpn_wkc_cut(a->p->bytes, a->p->n, &sealed, &sealed_len, n) < 0)
		return OVPN_MALFORMED;
	if (ovpn_wkc_open(e->conf.v2_server_key, sealed, sealed_len, &wkc) < 0)
		return OVPN_BAD_CLIENT_KEY;
	a->c.key = wkc.key;
	a->c.has_wkc = wkc.has_credential;
	a->c.wkc_credential = wkc.credential;
	return OVPN_TAKEN;
}

static enum ovpn_verdict arrival_open(struct ovpn_engine *e, struct arrival *a)
{
	size_t n;
	enum ovpn_verdict v = key_of(e, a, &n);

	if (v != OVPN_TAKEN)
		return v;
	ovpn_wrap_init(&a->c.wrap, &a->c.key, OVPN_SERVER,
		is_reset(a->op) ? 1 : FIRST_ID_OF_SESSION, wrap_time(e, a->p->now));
	return packet_open(&a->c.wrap, a->p->bytes, n, a->buf, &a->opened, &a->tail);
}

/* ---- resets ---- */

static enum ovpn_verdict answer(struct ovpn_engine *e, struct arrival *a)
{
	const bool resend = a->op == OVPN_RESET_CLIENT_V3;
	struct ovpn_tail tail = {
		.n_acks = 1, .payload = RESEND_TLV, .payload_len = resend ? sizeof(RESEND_TLV) : 0};
	struct ovpn_action out = {.kind = OVPN_ACTION_SEND, .path = *a->p->from};
	uint8_t clear[64];
	int n;

	if (!budget_take(e->answers, &a->p->from->remote.addr, a->p->now.mono_ms))
		return OVPN_FULL;
	memcpy(tail.remote_sid, a->c.client_sid, OVPN_SID);
	n = ovpn_tail_pack(&tail, false, clear, sizeof(clear));
	if (n < 0 || cookie_make(&e->cookies, a->p->from, a->c.client_sid, a->p->now.mono_ms,
			     a->c.sid) < 0)
		return OVPN_INTERNAL;
	n = ovpn_wrap_seal(&a->c.wrap, ovpn_first(OVPN_RESET_SERVER_V2, 0), a->c.sid, clear,
		(size_t)n, out.bytes, sizeof(out.bytes));
	if (n < 0)
		return OVPN_INTERNAL;
	out.len = (size_t)n;
	return actions_push(&e->actions, &out) < 0 ? OVPN_INTERNAL : OVPN_ANSWERED;
}

static enum ovpn_verdict opened(struct turn *t, const struct arrival *a)
{
	switch (ovpn_session_new(t->e, &t->s, &a->c, a->p->now)) {
	case 0:
		return OVPN_OPENED;
	case -EBUSY:
		return OVPN_FULL;
	default:
		return OVPN_INTERNAL;
	}
}

static enum ovpn_verdict open_at_reset(struct turn *t, struct arrival *a)
{
	enum ovpn_verdict v;

	if (secret_random(a->c.sid, OVPN_SID) < 0)
		return OVPN_INTERNAL;
	v = opened(t, a);
	if (v != OVPN_OPENED)
		return v;
	if (reliable_send(t->s->current->messages, OVPN_RESET_SERVER_V2, NULL, 0, t->now.mono_ms) <
		0) {
		ovpn_session_vanish(t);
		return OVPN_INTERNAL;
	}
	v = message_take(t, t->s->current, a->op, &a->tail);
	return v == OVPN_TAKEN ? OVPN_OPENED : v;
}

static enum ovpn_verdict take_reset(struct turn *t, struct arrival *a)
{
	const bool resends = (a->opened.packet_id & RESENDS) == RESENDS;

	if (a->tail.n_acks > 0 || a->tail.id != 0)
		return OVPN_MALFORMED;
	if (is_stateful(a) || (a->op == OVPN_RESET_CLIENT_V3 && !resends))
		return open_at_reset(t, a);
	return answer(t->e, a);
}

/* ---- the cookie comes back ---- */

static bool nothing_later_acked(const struct ovpn_tail *tail)
{
	for (size_t i = 0; i < tail->n_acks; i++)
		if (tail->acks[i] > 1)
			return false;
	return true;
}

static enum ovpn_verdict take_echo(struct turn *t, struct arrival *a)
{
	enum ovpn_verdict v;

	/* The first that can come after the reset; the others are retransmitted. */
	if (a->op != OVPN_ACK && a->tail.id != 1)
		return OVPN_UNKNOWN_SESSION;
	if (a->tail.n_acks == 0 || !nothing_later_acked(&a->tail) ||
		!cookie_good(&t->e->cookies, a->p->from, a->c.client_sid, a->p->now.mono_ms,
			a->tail.remote_sid))
		return OVPN_BAD_COOKIE;
	memcpy(a->c.sid, a->tail.remote_sid, OVPN_SID);
	v = opened(t, a);
	if (v != OVPN_OPENED)
		return v;
	reliable_resume(t->s->current->messages);
	t->s->current->taken = 1;
	v = message_take(t, t->s->current, a->op, &a->tail);
	return v == OVPN_TAKEN ? OVPN_OPENED : v;
}

/* What is not for strangers is told before anything is opened. */
static enum ovpn_verdict accepted(const struct ovpn_engine *e, const struct arrival *a)
{
	if (ovpn_key_id(a->p->bytes[0]) != 0 || a->op == OVPN_SOFT_RESET)
		return OVPN_UNKNOWN_SESSION;
	if (is_stateful(a) && !is_reset(a->op))
		return OVPN_UNKNOWN_SESSION;
	if (carries_key(a->op) || e->conf.has_tls_crypt)
		return OVPN_TAKEN;
	return is_reset(a->op) ? OVPN_NOT_ACCEPTED : OVPN_UNKNOWN_SESSION;
}

enum ovpn_verdict stranger_packet(struct turn *t, const struct packet *p)
{
	struct arrival a cleanup(arrival_wipe) = {
		.p = p, .op = ovpn_opcode(p->bytes[0]), .c = {.from = p->from}};
	enum ovpn_verdict v = accepted(t->e, &a);

	memcpy(a.c.client_sid, packet_sid(p), OVPN_SID);
	if (v == OVPN_TAKEN)
		v = arrival_open(t->e, &a);
	if (v != OVPN_TAKEN)
		return v;
	return is_reset(a.op) ? take_reset(t, &a) : take_echo(t, &a);
}
