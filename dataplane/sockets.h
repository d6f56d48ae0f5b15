/*
 * All outer sockets, of all listeners and workers, as opened at the start.
 */
#ifndef DATAPLANE_SOCKETS_H
#define DATAPLANE_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "config.h"
#include "io/tcp.h"
#include "io/udp.h"

/* By worker, then by listener; the descriptor is -1 where there is none. */
struct sockets {
	struct udp_socket udp[CONFIG_WORKERS * UDP_LISTENERS];
	int tcp[CONFIG_WORKERS * TCP_LISTENERS];
};

void sockets_init(struct sockets *s);
/* Opens every listener for *n_workers workers; sets it to 1 when the kernel does not steer
 * datagrams to more. Tries are those of sockets_try_again. One line has been logged when it fails.
 * Returns: 0, -errno. */
int sockets_open(
	struct sockets *s, const struct config *conf, uint32_t *n_workers, int *tries) must_check;
void sockets_close(struct sockets *s);

/* Whether to try again what returned r: when it is in use, and not too often; it has then waited a
 * moment. What a process that was just killed held is free soon after it. */
bool sockets_try_again(int *tries, int r);

#endif
