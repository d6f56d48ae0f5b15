/*
 * Two rings of slots. Ids on the wire have 32 bits; inside they have 64, so that nothing wraps and
 * an id's slot is its remainder:
 *
 *   ours      oldest <= id < next      at most RELIABLE_SEND of them: the other side keeps no more
 *   theirs    expect <= id < expect + RELIABLE_RECEIVE
 *
 * What the other side says moves nothing but these two windows. An acknowledgement of something
 * that was never sent, or again, finds no slot; the pause before a retransmission only doubles up
 * to RELIABLE_MAX_MS.
 */
#include "ovpn/reliable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/secret.h"

enum {
	OWED = 16,		 /* more wait for their retransmission */
	FAST_AFTER = 3,		 /* acknowledgements of later ids: this one was lost */
	STREAM_FIRST_MS = 30000, /* TCP does the repeating; then a connection is as good as gone */
};

struct bytes {
	uint8_t *p;
	size_t n;
};

struct sent {
	bool used;
	uint8_t op;
	uint8_t overtaken; /* acknowledgements of later ids since it was sent */
	uint32_t pause_ms; /* until the next time; 0: not sent yet */
	uint64_t due_ms;
	struct bytes payload;
};

struct taken {
	bool used;
	uint8_t op;
	struct bytes payload;
};

struct reliable {
	uint64_t oldest, next; /* of ours */
	struct sent sent[RELIABLE_SEND];
	uint64_t expect; /* of theirs */
	struct taken taken[RELIABLE_RECEIVE];
	struct bytes lent; /* by reliable_next */
	uint32_t owed[OWED];
	uint32_t said[RELIABLE_ACKS]; /* acknowledged lately, the last one first */
	uint8_t n_owed, n_said;
};

/* ---- the tail of a packet ---- */

int ovpn_tail_parse(struct ovpn_tail *out, bool is_ack, const uint8_t *tail, size_t n)
{
	struct reader r = reader_init(tail, n);
	struct ovpn_tail t = {.n_acks = reader_u8(&r)};

	if (t.n_acks > RELIABLE_ACKS)
		return -EBADMSG;
	for (size_t i = 0; i < t.n_acks; i++)
		t.acks[i] = reader_be32(&r);
	if (t.n_acks > 0)
		reader_bytes(&r, t.remote_sid, OVPN_SID);
	if (!is_ack) {
		t.id = reader_be32(&r);
		t.payload_len = reader_left(&r);
		t.payload = reader_view(&r, t.payload_len);
	}
	if (reader_end(&r) < 0)
		return -EBADMSG;
	*out = t;
	return 0;
}

int ovpn_tail_pack(const struct ovpn_tail *t, bool is_ack, uint8_t *out, size_t cap)
{
	struct writer w = writer_init(out, cap);

	if (t->n_acks > RELIABLE_ACKS)
		return -EMSGSIZE;
	writer_u8(&w, t->n_acks);
	for (size_t i = 0; i < t->n_acks; i++)
		writer_be32(&w, t->acks[i]);
	if (t->n_acks > 0)
		writer_bytes(&w, t->remote_sid, OVPN_SID);
	if (!is_ack) {
		writer_be32(&w, t->id);
		writer_bytes(&w, t->payload, t->payload_len);
	}
	return writer_end(&w) < 0 ? -EMSGSIZE : (int)writer_len(&w);
}

/* ---- memory ---- */

static int bytes_copy(struct bytes *b, const uint8_t *p, size_t n)
{
	*b = (struct bytes){.n = n};
	if (n == 0)
		return 0;
	b->p = malloc(n);
	if (!b->p)
		return -ENOMEM;
	memcpy(b->p, p, n);
	return 0;
}

static void bytes_free(struct bytes *b)
{
	secret_wipe(b->p, b->p ? b->n : 0);
	free(b->p);
	*b = (struct bytes){0};
}

int reliable_new(struct reliable **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void reliable_free(struct reliable *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < RELIABLE_SEND; i++)
		bytes_free(&r->sent[i].payload);
	for (size_t i = 0; i < RELIABLE_RECEIVE; i++)
		bytes_free(&r->taken[i].payload);
	bytes_free(&r->lent);
	secret_wipe(r, sizeof(*r));
	free(r);
}

size_t reliable_memory(const struct reliable *r)
{
	size_t sum = sizeof(*r) + r->lent.n;

	for (size_t i = 0; i < RELIABLE_SEND; i++)
		sum += r->sent[i].payload.n;
	for (size_t i = 0; i < RELIABLE_RECEIVE; i++)
		sum += r->taken[i].payload.n;
	return sum;
}

void reliable_resume(struct reliable *r)
{
	r->oldest = r->next = 1;
	r->expect = 1;
}

/* ---- theirs ---- */

/* Owes an acknowledgement, once. When there is no room they will send it again. */
static void owe(struct reliable *r, uint32_t id)
{
	for (size_t i = 0; i < r->n_owed; i++)
		if (r->owed[i] == id)
			return;
	if (r->n_owed < OWED)
		r->owed[r->n_owed++] = id;
}

/* Whether it is an id before the next one that was really there, at most half the ids back. */
static bool had(const struct reliable *r, uint32_t id)
{
	const uint32_t behind = (uint32_t)r->expect - id;

	return behind > 0 && behind <= INT32_MAX && behind <= r->expect;
}

int reliable_take(struct reliable *r, uint8_t op, uint32_t id, const uint8_t *payload, size_t n)
{
	const uint32_t ahead = id - (uint32_t)r->expect;
	struct taken *t = &r->taken[(r->expect + ahead) % RELIABLE_RECEIVE];

	if (n > RELIABLE_TAKES)
		return -EMSGSIZE;
	if (ahead >= RELIABLE_RECEIVE && !had(r, id))
		return RELIABLE_OUTSIDE;
	if (ahead >= RELIABLE_RECEIVE || t->used) {
		owe(r, id);
		return RELIABLE_DUPLICATE;
	}
	if (bytes_copy(&t->payload, payload, n) < 0)
		return -ENOMEM;
	t->used = true;
	t->op = op;
	owe(r, id);
	return RELIABLE_TAKEN;
}

bool reliable_next(struct reliable *r, uint8_t *op, const uint8_t **payload, size_t *n)
{
	struct taken *t = &r->taken[r->expect % RELIABLE_RECEIVE];

	bytes_free(&r->lent);
	if (!t->used)
		return false;
	r->lent = t->payload;
	*op = t->op;
	*payload = r->lent.p;
	*n = r->lent.n;
	*t = (struct taken){0};
	r->expect++;
	return true;
}

/* ---- ours ---- */

static struct sent *sent_at(struct reliable *r, uint64_t id)
{
	return &r->sent[id % RELIABLE_SEND];
}

static void acked(struct reliable *r, uint32_t wire_id)
{
	const uint64_t id = r->oldest + (uint32_t)(wire_id - (uint32_t)r->oldest);

	/* One that waits for its first time has not been sent either. */
	if (id >= r->next || !sent_at(r, id)->used || sent_at(r, id)->pause_ms == 0)
		return;
	bytes_free(&sent_at(r, id)->payload);
	*sent_at(r, id) = (struct sent){0};
	for (uint64_t earlier = r->oldest; earlier < id; earlier++)
		if (sent_at(r, earlier)->used && sent_at(r, earlier)->overtaken < FAST_AFTER)
			sent_at(r, earlier)->overtaken++;
	while (r->oldest < r->next && !sent_at(r, r->oldest)->used)
		r->oldest++;
}

void reliable_acked(struct reliable *r, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		acked(r, ids[i]);
}

bool reliable_can_send(const struct reliable *r)
{
	return r->next - r->oldest < RELIABLE_SEND;
}

bool reliable_idle(const struct reliable *r)
{
	return r->next == r->oldest;
}

int reliable_send(struct reliable *r, uint8_t op, const uint8_t *payload, size_t n, uint64_t now_ms)
{
	struct sent *s = sent_at(r, r->next);

	if (n > RELIABLE_PAYLOAD)
		return -EMSGSIZE;
	if (!reliable_can_send(r))
		return -EAGAIN;
	if (bytes_copy(&s->payload, payload, n) < 0)
		return -ENOMEM;
	s->used = true;
	s->op = op;
	s->due_ms = now_ms;
	r->next++;
	return 0;
}

/* ---- out ---- */

static bool is_due(const struct sent *s, uint64_t now_ms, bool stream)
{
	return s->used && (now_ms >= s->due_ms || (!stream && s->overtaken >= FAST_AFTER));
}

/* Sent now; when again? */
static void mark_sent(struct sent *s, uint64_t now_ms, bool stream)
{
	if (s->pause_ms == 0)
		s->pause_ms = stream ? STREAM_FIRST_MS : RELIABLE_FIRST_MS;
	else if (s->pause_ms > RELIABLE_MAX_MS / 2)
		s->pause_ms = RELIABLE_MAX_MS;
	else
		s->pause_ms *= 2;
	s->due_ms = now_ms + s->pause_ms;
	s->overtaken = 0;
}

/* Puts id first among what was said lately. */
static void say(struct reliable *r, uint32_t id)
{
	size_t at = 0;

	while (at < r->n_said && r->said[at] != id)
		at++;
	if (at == r->n_said && r->n_said < RELIABLE_ACKS)
		r->n_said++;
	if (at == RELIABLE_ACKS)
		at--;
	memmove(r->said + 1, r->said, at * sizeof(r->said[0]));
	r->said[0] = id;
}

/* Up to max: those owed, then those said lately again, because their packet may be lost. */
static void put_acks(struct reliable *r, struct ovpn_tail *t, size_t max)
{
	const size_t fresh = r->n_owed < max ? r->n_owed : max;

	for (size_t i = 0; i < fresh; i++)
		say(r, r->owed[i]);
	r->n_owed = (uint8_t)(r->n_owed - fresh);
	memmove(r->owed, r->owed + fresh, r->n_owed * sizeof(r->owed[0]));
	t->n_acks = (uint8_t)(r->n_said < max ? r->n_said : max);
	memcpy(t->acks, r->said, t->n_acks * sizeof(t->acks[0]));
}

bool reliable_due(
	struct reliable *r, uint64_t now_ms, bool stream, uint8_t *op, struct ovpn_tail *t)
{
	*t = (struct ovpn_tail){0};
	for (uint64_t id = r->oldest; id < r->next; id++) {
		struct sent *s = sent_at(r, id);

		if (!is_due(s, now_ms, stream))
			continue;
		mark_sent(s, now_ms, stream);
		*op = s->op;
		t->id = (uint32_t)id;
		t->payload = s->payload.p;
		t->payload_len = s->payload.n;
		put_acks(r, t, RELIABLE_PIGGYBACK);
		return true;
	}
	if (r->n_owed == 0)
		return false;
	*op = OVPN_ACK;
	put_acks(r, t, RELIABLE_ACKS);
	return true;
}

uint64_t reliable_next_due(const struct reliable *r, uint64_t now_ms)
{
	uint64_t due = r->n_owed ? now_ms : UINT64_MAX;

	for (size_t i = 0; i < RELIABLE_SEND; i++) {
		const struct sent *s = &r->sent[i];

		if (s->used && s->due_ms < due)
			due = s->due_ms;
	}
	return due;
}
