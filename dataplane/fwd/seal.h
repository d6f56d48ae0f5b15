/* Sealing a run of packets with one session: what tx, unstage, the streams and the tick have in
 * common. */
#ifndef FWD_SEAL_H
#define FWD_SEAL_H

#include <stdint.h>

struct fwd;
struct fwd_packet;
struct session;

/* n <= FWD_RUN packets: data and len become the outer datagram, verdict SEND. Fewer when the
 * counters end: the packets from the returned number on are untouched. One that can't be sealed
 * has verdict NO_SESSION and holds no plaintext any more.
 * sealer is the worker's number, or the number of workers for the control thread.
 * Returns: how many counters were used. */
uint32_t seal_run(
	struct session *s, uint32_t sealer, struct fwd_packet *const *p, uint32_t n, uint32_t mtu);

/* The same for inner packets: what was sealed is counted for the peer and starts its timers, what
 * could not be is counted as such. */
uint32_t seal_data(struct fwd *f, uint32_t worker, struct session *s, struct fwd_packet *const *p,
	uint32_t n, uint64_t now);

/* The one packet of an OpenVPN session that is kept until after its end: OCC_EXIT, under the
 * counter limits.end. sealing_reserve gives out what is below it and nothing else, for as long as
 * the key lives, and the text is always the same: whoever asks twice has the same bytes. out has
 * room for OVPN_EPOCH_OVERHEAD + OVPN_OCC. Returns: its length, 0 when the blocks of AES-GCM are
 * used up. */
uint32_t seal_farewell(struct session *s, uint32_t sealer, uint8_t *out);

#endif
