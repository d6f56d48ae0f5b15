/* Which queue of the TUN device the kernel puts a packet into. */
#ifndef IO_STEER_H
#define IO_STEER_H

#include "base/compiler.h"

/* From now on a packet's queue follows from its destination address alone. By itself the kernel
 * goes by addresses and ports, and fragments have no ports: they would overtake the whole packets
 * of their flow, or be overtaken, in another worker's queue. fd is any queue. Needs CAP_BPF (or
 * CAP_SYS_ADMIN) and CAP_NET_ADMIN; without, the kernel's own way stays. Returns: 0, -errno. */
int steer_by_destination(int fd) must_check;

#endif
