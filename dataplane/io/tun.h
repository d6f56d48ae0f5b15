/* The TUN device: made at start, gone when its last descriptor closes. */
#ifndef IO_TUN_H
#define IO_TUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "wire/vnet_hdr.h"

/* How packets pass the descriptors. */
struct tun_mode {
	bool vnet;	   /* a virtio header stands before each */
	bool udp;	   /* UDP may be written in super-packets, too */
	unsigned offloads; /* bits of enum uapi_offload that are in use */
	int error;	   /* why one that was wanted is not */
};

/* Creates the device, which must not exist, with n queues: one non-blocking descriptor each. Of the
 * wanted offloads, TUN_GSO and TUN_GRO, it gets what the kernel has; the kernel is asked with
 * super-packets, which a device that is down does not let pass. The device is down and has no
 * address.
 * Returns: 0, -EBUSY (the name is taken), -ENOENT or -ENODEV (no /dev/net/tun), -EPERM, -errno. */
int tun_open(
	const char *name, int *fds, uint32_t n, unsigned wanted, struct tun_mode *mode) must_check;

enum { TUN_SUPER = 65535 }; /* longest packet that is read with a virtio header */

/* Reads one packet; with vnet the sizeof(*h) bytes before it are written to as well. Without, h
 * says that it is whole. Returns: its length, -errno. */
ssize_t tun_read(int fd, bool vnet, uint8_t *packet, size_t cap, struct vnet_hdr *h) must_check;
/* Writes one from pieces; iov[0] is the function's own, the pieces are iov[1] to iov[n].
 * Returns: 0, -errno. */
int tun_write(int fd, bool vnet, const struct vnet_hdr *h, struct iovec *iov, size_t n) must_check;

#endif
