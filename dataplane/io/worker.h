/*
 * The forwarding threads. Each runs to completion over its own sockets and its own TUN queue:
 *
 *   UDP --datagrams----> classify --data--> fwd_rx --> merge --> TUN
 *   TCP --frames-----------'  '--handshake--> admission --> punt, or a cookie back
 *   TUN --(super-)packets--> segment --> fwd_tx --> UDP, in runs
 *                                           '--> TCP, sealed there
 *
 * A turn of the loop takes a bounded amount from each source that has something, so none starves
 * another. When turns follow each other closely a worker steps back between them (moderation.h).
 * What a worker shares with other threads: the engine, the punt descriptor, the table of
 * TCP connections, what admission goes by (copied when its generation changed) and two flags.
 */
#ifndef IO_WORKER_H
#define IO_WORKER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "fwd/fwd.h"
#include "io/offloads.h"
#include "io/punt.h"
#include "io/tcp.h"
#include "io/tun.h"
#include "io/udp.h"

enum { WORKER_MTU_MAX = 9000 }; /* longest inner packet */

struct workers_conf {
	struct fwd *fwd;
	const struct punt *punt;
	struct tcp *tcp;
	struct clock clock;
	uint32_t n;
	uint32_t n_listeners;
	/* Borrowed: sockets[worker * UDP_LISTENERS + listener] and one TUN queue per worker. */
	const struct udp_socket *sockets;
	const int *tuns;
	struct tun_mode tun;	   /* how packets pass them */
	struct offloads *offloads; /* borrowed */
};

struct workers;

/* Returns owned. Returns: 0, -ENOMEM, -EIO (no randomness), -errno. */
int workers_new(struct workers **out, const struct workers_conf *conf) must_check;
/* Only when no thread runs. */
void workers_free(struct workers *w);
/* Returns when every thread has begun. Returns: 0, or -errno with all threads stopped again. */
int workers_start(struct workers *w) must_check;
/* Returns when all threads have ended. */
void workers_stop(struct workers *w);

/* Makes every worker look for staged packets whose peers have got a session. */
void workers_wake(struct workers *w);
/* For admission: everything received after this returns is judged by it. A key of all zero: no
 * WireGuard; openvpn has bits of enum uapi_openvpn. */
void workers_set_admission(struct workers *w, const uint8_t wg_public[32], uint8_t openvpn);
/* Becomes readable when a worker can't go on (the device is gone); it has logged why. */
int workers_fd(const struct workers *w);

#endif
