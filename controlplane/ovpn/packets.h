/* Control packets as they arrive: of a session, or of somebody unknown. */
#ifndef OVPN_PACKETS_H
#define OVPN_PACKETS_H

#include <stddef.h>
#include <stdint.h>

#include "ovpn/session.h"

/* Longer than its head, of a control opcode. */
struct packet {
	const uint8_t *bytes;
	size_t n;
	const struct path *from;
	struct ovpn_time now;
};

static inline const uint8_t *packet_sid(const struct packet *p)
{
	return p->bytes + 1;
}

/* t->s is whose it may be, by where it came from and its session id. */
enum ovpn_verdict known_packet(const struct turn *t, const struct packet *p);
/* t->s is set when a session begins. */
enum ovpn_verdict stranger_packet(struct turn *t, const struct packet *p);
/* Acknowledgements and message of a packet that is authentic and answers our session id. */
enum ovpn_verdict message_take(const struct turn *t, struct negotiation *n, enum ovpn_opcode op,
	const struct ovpn_tail *tail);

/* Opens a packet whose wrapped key was cut off; tail points into buf. Returns: OVPN_TAKEN, or why
 * not. */
enum ovpn_verdict packet_open(struct ovpn_wrap *w, const uint8_t *bytes, size_t n,
	uint8_t buf[OVPN_TAIL_MAX], struct ovpn_opened *opened, struct ovpn_tail *tail);

#endif
