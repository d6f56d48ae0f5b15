/*
 * Records (RFC 8446, section 5.1) and the messages in them (section 4). In TLS 1.3 what is
 * encrypted comes in records of another type than the handshake's. In TLS 1.2 it has the same type
 * but comes after ChangeCipherSpec, and more than one message before that, as nothing is ever
 * resumed; in TLS 1.3 the same record means nothing and may stand between two ClientHellos
 * (appendix D.4). That a handshake record comes after application data is left to be looked at:
 * OpenSSL passes over such data while it waits for a second ClientHello.
 */
#include "ovpn/hello.h"

#include <stdbool.h>

enum {
	RECORD_CHANGE_CIPHER_SPEC = 20,
	RECORD_HANDSHAKE = 22,
	RECORD_VERSION_MAJOR = 3,
	MESSAGE_CLIENT_HELLO = 1,
};

static uint32_t message_length(const struct hello_gate *g)
{
	return (uint32_t)g->message[1] << 16 | (uint32_t)g->message[2] << 8 | g->message[3];
}

static bool is_handshake(const struct hello_gate *g)
{
	return g->record[0] == RECORD_HANDSHAKE;
}

static bool has_messages(const struct hello_gate *g)
{
	return is_handshake(g) && g->state != HELLO_SEALED;
}

static bool is_hello(const struct hello_gate *g)
{
	return g->message[0] == MESSAGE_CLIENT_HELLO;
}

/* Nothing has begun that has to be whole. */
static bool is_whole(const struct hello_gate *g)
{
	if (g->state == HELLO_WAITED || g->record_left > 0 || g->n_record > 0)
		return false;
	/* Of a message whose head is cut nobody knows yet what it is. */
	return g->n_message == 0 && (g->message_left == 0 || !is_hello(g));
}

/* ---- headers ---- */

static const char *on_message_head(struct hello_gate *g)
{
	if (g->state == HELLO_WAITED && !is_hello(g))
		return "TLS does not begin with a ClientHello";
	if (is_hello(g) && message_length(g) > HELLO_MAX)
		return "ClientHello too long";
	g->state = HELLO_CLEAR;
	g->messages++;
	g->message_left = message_length(g);
	return NULL;
}

static const char *on_record_head(struct hello_gate *g)
{
	const uint16_t length = (uint16_t)(g->record[3] << 8 | g->record[4]);
	const bool begins = g->state == HELLO_WAITED;

	if (g->record[1] != RECORD_VERSION_MAJOR || (begins && !is_handshake(g)))
		return "no TLS";
	if (length > (begins ? HELLO_MESSAGE_HEAD + HELLO_MAX : HELLO_RECORD))
		return "TLS record too long";
	if (g->record[0] == RECORD_CHANGE_CIPHER_SPEC && g->messages > 1)
		g->state = HELLO_SEALED;
	g->record_left = length;
	return NULL;
}

/* ---- bytes ---- */

/* Takes one byte into a header. Returns: whether it is whole. */
static bool take(uint8_t *head, uint8_t *have, uint8_t want, uint8_t byte)
{
	head[(*have)++] = byte;
	if (*have < want)
		return false;
	*have = 0;
	return true;
}

/* As much of a body as there is. */
static size_t skip(struct hello_gate *g, size_t n)
{
	size_t k = n < g->record_left ? n : g->record_left;

	if (has_messages(g)) {
		k = k < g->message_left ? k : g->message_left;
		g->message_left -= (uint32_t)k;
	}
	g->record_left = (uint16_t)(g->record_left - k);
	return k;
}

/* One step: part of a body, or one byte of a head. Returns: how many bytes it took. */
static size_t step(struct hello_gate *g, const uint8_t *p, size_t n, const char **why)
{
	if (g->record_left == 0) {
		if (take(g->record, &g->n_record, HELLO_RECORD_HEAD, *p))
			*why = on_record_head(g);
		return 1;
	}
	if (!has_messages(g) || g->message_left > 0)
		return skip(g, n);
	g->record_left--;
	if (take(g->message, &g->n_message, HELLO_MESSAGE_HEAD, *p))
		*why = on_message_head(g);
	return 1;
}

const char *hello_gate_look(struct hello_gate *g, const uint8_t *bytes, size_t n, size_t *whole)
{
	const char *why = NULL;

	*whole = 0;
	for (size_t at = 0, k; at < n && !why; at += k) {
		k = step(g, bytes + at, n - at, &why);
		g->pending += (uint32_t)k;
		if (!why && is_whole(g)) {
			*whole = at + k;
			g->pending = 0;
		}
		if (g->pending > HELLO_PENDING)
			why = "ClientHello in too many records";
	}
	return why;
}
