/*
 * OpenVPN's reliability layer for one key id, and the tail of a control packet (reference A3.1,
 * A5). Pure: packets and a time in, packets out. Sequence numbers start at 0 with the reset.
 *
 *   tail: n acks | n * id | (n > 0) remote session id | (not ACK_V1) message id | payload
 */
#ifndef OVPN_RELIABLE_H
#define OVPN_RELIABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/ovpn_wire.h"

enum {
	RELIABLE_SEND = 6,	  /* unacknowledged messages of ours */
	RELIABLE_RECEIVE = 12,	  /* ids ahead of the next one that are kept */
	RELIABLE_PAYLOAD = 1100,  /* bytes of one message of ours: the datagram stays below 1,250 */
	RELIABLE_TAKES = 1500,	  /* of one of theirs */
	RELIABLE_ACKS = 8,	  /* in one packet */
	RELIABLE_PIGGYBACK = 4,	  /* on a packet that carries a message */
	RELIABLE_FIRST_MS = 2000, /* until the first retransmission, then twice as long each time */
	RELIABLE_MAX_MS = 60 * 1000,
};

/* A parsed tail. payload points into it. */
struct ovpn_tail {
	uint8_t n_acks;
	uint32_t acks[RELIABLE_ACKS];
	uint8_t remote_sid[OVPN_SID]; /* when n_acks > 0 */
	uint32_t id;		      /* when it is no ACK_V1 */
	const uint8_t *payload;
	size_t payload_len;
};
/* Returns: 0, -EBADMSG (short, more than 8 acks, something after the acks of an ACK_V1). */
int ovpn_tail_parse(struct ovpn_tail *out, bool is_ack, const uint8_t *tail, size_t n) must_check;
/* Writes one; id and payload only when it is no ACK_V1. Returns: length, -EMSGSIZE. */
int ovpn_tail_pack(const struct ovpn_tail *t, bool is_ack, uint8_t *out, size_t cap) must_check;

struct reliable;

/* Memory is taken as messages are kept, and given back with them. Returns: 0, -ENOMEM. */
int reliable_new(struct reliable **out) must_check;
void reliable_free(struct reliable *r); /* wipes */
/* As after a stateless answer: our message 0 is sent and acknowledged, theirs is taken. */
void reliable_resume(struct reliable *r);

/* What the other side acknowledges. An id that was never sent or is acknowledged already changes
 * nothing. */
void reliable_acked(struct reliable *r, const uint32_t *ids, size_t n);
enum reliable_outcome {
	RELIABLE_TAKEN = 0,
	RELIABLE_DUPLICATE = 1, /* had it: to be acknowledged again */
	RELIABLE_OUTSIDE = 2,	/* beyond the window: dropped, not acknowledged */
};
/* A message of theirs. Copies the payload. Returns: an outcome, -ENOMEM, -EMSGSIZE. */
int reliable_take(
	struct reliable *r, uint8_t op, uint32_t id, const uint8_t *payload, size_t n) must_check;
/* The next one in order, borrowed until the next call; false when it is not there yet. */
bool reliable_next(struct reliable *r, uint8_t *op, const uint8_t **payload, size_t *n);

/* Room for one more message of ours. */
bool reliable_can_send(const struct reliable *r);
/* Queues a message; it is due at once. Returns: 0, -EAGAIN (window full), -ENOMEM, -EMSGSIZE. */
int reliable_send(struct reliable *r, uint8_t op, const uint8_t *payload, size_t n,
	uint64_t now_ms) must_check;
/* Everything that we sent is acknowledged. */
bool reliable_idle(const struct reliable *r);

/* One packet that is due now: a message (first time or again) with acks on it, or bare acks when
 * there are some that no message carries. Fills t (remote_sid is left to the caller) and *op;
 * t->payload is borrowed until the next call. stream: over TCP nothing is sent twice unless half a
 * minute has passed. Returns: false when nothing is due. */
bool reliable_due(
	struct reliable *r, uint64_t now_ms, bool stream, uint8_t *op, struct ovpn_tail *t);
/* When the next message is due, UINT64_MAX: never. Owed acks: now. */
uint64_t reliable_next_due(const struct reliable *r, uint64_t now_ms);
/* Bytes held. */
size_t reliable_memory(const struct reliable *r);

#endif
