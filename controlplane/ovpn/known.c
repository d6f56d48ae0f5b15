/* Packets of a session: wrapper, replay, acknowledgements, messages in order. */
#include <errno.h>
#include <string.h>

#include "base/secret.h"
#include "ovpn/fsm.h"
#include "ovpn/packets.h"

enum {
	/* Out-of-order messages that are kept, in bytes with the rest of reliable's. */
	KEPT_BEFORE_TLS = 2048,
	KEPT_UNAUTHORISED = 6 * 1024,
	KEPT = 20 * 1024,
};

enum ovpn_verdict packet_open(struct ovpn_wrap *w, const uint8_t *bytes, size_t n,
	uint8_t buf[OVPN_TAIL_MAX], struct ovpn_opened *opened, struct ovpn_tail *tail)
{
	switch (ovpn_wrap_open(w, bytes, n, true, buf, opened)) {
	case 0:
		break;
	case -EMSGSIZE:
		return OVPN_MALFORMED;
	case -EBADMSG:
		return OVPN_BAD_WRAP;
	case -EALREADY:
		return OVPN_REPLAYED;
	default:
		return OVPN_INTERNAL;
	}
	if (ovpn_tail_parse(tail, ovpn_opcode(opened->first) == OVPN_ACK, opened->tail,
		    opened->tail_len) < 0)
		return OVPN_MALFORMED;
	return OVPN_TAKEN;
}

/* ---- messages ---- */

static bool is_reset(enum ovpn_opcode op)
{
	return op == OVPN_SOFT_RESET || op == OVPN_RESET_CLIENT_V2 || op == OVPN_RESET_CLIENT_V3;
}

static size_t may_keep(const struct session *s, const struct negotiation *n)
{
	if (s->authorised)
		return KEPT;
	return n->tls ? KEPT_UNAUTHORISED : KEPT_BEFORE_TLS;
}

static bool has_room(
	const struct session *s, const struct negotiation *n, const struct ovpn_tail *tail)
{
	return tail->id == n->taken ||
	       reliable_memory(n->messages) + tail->payload_len <= may_keep(s, n);
}

static void deliver(const struct turn *t, struct negotiation *n)
{
	const uint8_t *payload;
	uint8_t op;
	size_t len;

	while ((t->s->current == n || t->s->next == n) &&
		reliable_next(n->messages, &op, &payload, &len)) {
		n->taken++;
		if (!is_reset((enum ovpn_opcode)op) && len > 0)
			(void)fsm_event(t, n, ON_BYTES, (struct span){payload, len});
	}
}

static enum ovpn_verdict take_payload(const struct turn *t, struct negotiation *n,
	enum ovpn_opcode op, const struct ovpn_tail *tail)
{
	/* The first message is the reset, and only that. */
	if (is_reset(op) != (tail->id == 0) || !has_room(t->s, n, tail))
		return OVPN_NOT_NOW;
	switch (reliable_take(
		n->messages, (uint8_t)op, tail->id, tail->payload, tail->payload_len)) {
	case RELIABLE_TAKEN:
		deliver(t, n);
		return OVPN_TAKEN;
	case RELIABLE_DUPLICATE:
		return OVPN_TAKEN;
	case RELIABLE_OUTSIDE:
		return OVPN_NOT_NOW;
	case -EMSGSIZE:
		return OVPN_MALFORMED;
	default:
		return OVPN_INTERNAL;
	}
}

enum ovpn_verdict message_take(const struct turn *t, struct negotiation *n, enum ovpn_opcode op,
	const struct ovpn_tail *tail)
{
	if (tail->n_acks > 0) {
		reliable_acked(n->messages, tail->acks, tail->n_acks);
		negotiation_drain(t, n); /* what waited for room is on its way, too */
		if (negotiation_idle(n))
			(void)fsm_event(t, n, ON_ACKED, (struct span){0});
	}
	if (op == OVPN_ACK || t->s->current->state == AT_GONE)
		return OVPN_TAKEN;
	/* An acknowledgement may have ended one or the other. */
	if (t->s->current != n && t->s->next != n)
		return OVPN_TAKEN;
	return take_payload(t, n, op, tail);
}

/* ---- key ids ---- */

/* Late packets of a key id that is over are no mistake: what was taken is acknowledged again. */
static enum ovpn_verdict take_retired(
	const struct turn *t, uint8_t key_id, enum ovpn_opcode op, const struct ovpn_tail *tail)
{
	struct ovpn_tail ack = {.n_acks = 1, .acks = {tail->id}};

	if (op != OVPN_ACK && tail->id < t->s->retired_taken)
		packet_send(t, key_id, OVPN_ACK, &ack);
	return OVPN_TAKEN;
}

static enum ovpn_verdict take_new_key_id(
	const struct turn *t, uint8_t key_id, enum ovpn_opcode op, const struct ovpn_tail *tail)
{
	if (op != OVPN_SOFT_RESET || tail->id != 0 || key_id != rekey_key_id(t->s))
		return OVPN_NOT_NOW;
	switch (rekey_begin(t)) {
	case 0:
		return message_take(t, t->s->next, op, tail);
	case -EBUSY:
		return OVPN_NOT_NOW;
	default:
		return OVPN_INTERNAL;
	}
}

static enum ovpn_verdict take_opened(
	const struct turn *t, const struct ovpn_opened *o, const struct ovpn_tail *tail)
{
	const enum ovpn_opcode op = ovpn_opcode(o->first);
	const uint8_t key_id = ovpn_key_id(o->first);
	struct negotiation *n = negotiation_of(t->s, key_id);

	if (tail->n_acks > 0 && !secret_equal(tail->remote_sid, t->s->sid, OVPN_SID))
		return OVPN_BAD_COOKIE;
	if ((op == OVPN_SOFT_RESET) != (key_id > 0) && is_reset(op))
		return OVPN_NOT_NOW;
	if (n)
		return message_take(t, n, op, tail);
	if (t->s->retired_taken > 0 && key_id == t->s->retired_key_id)
		return take_retired(t, key_id, op, tail);
	return take_new_key_id(t, key_id, op, tail);
}

enum ovpn_verdict known_packet(const struct turn *t, const struct packet *p)
{
	const enum ovpn_opcode op = ovpn_opcode(p->bytes[0]);
	uint8_t buf[OVPN_TAIL_MAX];
	struct ovpn_opened opened;
	struct ovpn_tail tail;
	const uint8_t *wkc;
	size_t n = p->n, wkc_len;
	enum ovpn_verdict v;

	/* One session a connection. */
	if (!secret_equal(packet_sid(p), t->s->client_sid, OVPN_SID))
		return OVPN_UNKNOWN_SESSION;
	/* Its key is known already; the rest is an ordinary packet (A3.5). */
	if ((op == OVPN_RESET_CLIENT_V3 || op == OVPN_CONTROL_WKC) &&
		ovpn_wkc_cut(p->bytes, p->n, &wkc, &wkc_len, &n) < 0)
		return OVPN_MALFORMED;
	v = packet_open(wrap_of(t->s, ovpn_key_id(p->bytes[0])), p->bytes, n, buf, &opened, &tail);
	return v == OVPN_TAKEN ? take_opened(t, &opened, &tail) : v;
}
