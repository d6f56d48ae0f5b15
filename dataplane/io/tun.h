/* The TUN device: made at start, gone when its last descriptor closes. */
#ifndef IO_TUN_H
#define IO_TUN_H

#include <stdint.h>

#include "base/compiler.h"

/* Creates the device, which must not exist, with n queues: one non-blocking descriptor each, whose
 * reads and writes are whole IP packets. The device is down and has no address.
 * Returns: 0, -EBUSY (the name is taken), -ENOENT or -ENODEV (no /dev/net/tun), -EPERM, -errno. */
int tun_open(const char *name, int *fds, uint32_t n) must_check;

#endif
