/*
 * A gate in front of the server's TLS. OpenSSL reserves what it is promised: 128 kB when the head
 * of a ClientHello says so, 16 kB and more for a record whose end never comes. So what a client
 * sends in the handshake is looked at here first. Its records are let through when they are whole,
 * a ClientHello when all of its records are, and what announces too much never.
 *
 *   WAITED --ClientHello--> CLEAR --ChangeCipherSpec of TLS 1.2--> SEALED
 *
 * Pure and incremental: records, heads and messages may be cut anywhere. Nothing is changed and
 * nothing kept but where in them we are; the caller holds the bytes.
 */
#ifndef OVPN_HELLO_H
#define OVPN_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum {
	HELLO_MAX = 4 * 1024,	       /* of a ClientHello; the largest known ones have 2 kB */
	HELLO_PENDING = 5 * 1024,      /* of its records, in all */
	HELLO_RECORD = 4 * 1024 + 512, /* of any later record: a certificate, and more than that */
	HELLO_RECORD_HEAD = 5,
	HELLO_MESSAGE_HEAD = 4,
};

enum hello_state {
	HELLO_WAITED, /* only a ClientHello may come */
	HELLO_CLEAR,  /* it has begun; a second one may follow (TLS 1.3, HelloRetryRequest) */
	HELLO_SEALED, /* messages are encrypted from here on: only records are seen */
};

/* Zeroed is the beginning. */
struct hello_gate {
	enum hello_state state;
	uint8_t record[HELLO_RECORD_HEAD], message[HELLO_MESSAGE_HEAD];
	uint8_t n_record, n_message; /* how much of them is there */
	uint16_t record_left;	     /* of the record's body */
	uint32_t message_left;
	uint32_t messages; /* that have begun */
	uint32_t pending;  /* bytes that were not let through yet */
};

/* The client's next bytes. *whole: so many of them end what was begun before and are let through
 * with everything that was held back; 0: nothing is. Returns: NULL, or constant text why TLS may
 * get none of them. */
const char *hello_gate_look(
	struct hello_gate *g, const uint8_t *bytes, size_t n, size_t *whole) must_check;

#endif
