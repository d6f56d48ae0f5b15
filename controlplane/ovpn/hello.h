/*
 * A gate in front of the server's TLS. OpenSSL reserves what a handshake message announces, up to
 * 128 kB for a ClientHello, before any of it has come; so whatever a stranger sends is read here
 * first, in the clear part of the handshake only, and what announces too much never gets there.
 *
 *   WAITED --ClientHello--> CLEAR --ChangeCipherSpec of TLS 1.2--> SEALED
 *
 * Pure and incremental: records, headers and messages may be cut anywhere. Nothing is kept but
 * where in them we are, and nothing is changed.
 */
#ifndef OVPN_HELLO_H
#define OVPN_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum {
	HELLO_MAX = 8 * 1024, /* of a ClientHello; the largest known ones have 2 kB */
	HELLO_RECORD_HEAD = 5,
	HELLO_MESSAGE_HEAD = 4,
};

enum hello_state {
	HELLO_WAITED, /* only a ClientHello may come */
	HELLO_CLEAR,  /* it has begun; a second one may follow (TLS 1.3, HelloRetryRequest) */
	HELLO_SEALED, /* handshake records are encrypted from here on */
};

/* Zeroed is the beginning. */
struct hello_gate {
	enum hello_state state;
	uint8_t record[HELLO_RECORD_HEAD], message[HELLO_MESSAGE_HEAD];
	uint8_t n_record, n_message; /* how much of them is there */
	uint16_t record_left;	     /* of the record's body */
	uint32_t message_left;
	uint32_t messages; /* that have begun */
};

/* The client's next bytes. Returns: NULL when they may be passed on; constant text why not, and
 * then none of them may. */
const char *hello_gate_look(struct hello_gate *g, const uint8_t *bytes, size_t n) must_check;

#endif
