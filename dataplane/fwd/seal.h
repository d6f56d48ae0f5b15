/* Sealing a run of packets with one session: what tx, unstage and the tick have in common. */
#ifndef FWD_SEAL_H
#define FWD_SEAL_H

#include <stdint.h>

struct fwd_packet;
struct session;

/* n <= FWD_RUN packets: data and len become the outer datagram, verdict SEND. Fewer when the
 * counters end: the packets from the returned number on are untouched. One that can't be sealed
 * has verdict NO_SESSION and holds no plaintext any more.
 * sealer is the worker's number, or the number of workers for the control thread.
 * Returns: how many counters were used. */
uint32_t seal_run(
	struct session *s, uint32_t sealer, struct fwd_packet *const *p, uint32_t n, uint32_t mtu);

#endif
