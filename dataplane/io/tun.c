/* Opening the TUN device; reading and writing with a virtio header or without. */
#include "io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "uapi/uapi.h"
#include "wire/inet_sum.h"

/* Newer than some headers. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
	GSO_TCP = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
	GSO_UDP = TUN_F_USO4 | TUN_F_USO6, /* either alone is of no use */
	QUEUE_PACKETS = 2000,		   /* the driver drops at 500 before a worker comes round */
	/* The device of a process that was just killed goes a moment after it. */
	TAKEN_TRIES = 20,
	TAKEN_PAUSE_MS = 50,
};

static void request_init(struct ifreq *r, const char *name)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->ifr_name, name, strnlen(name, sizeof(r->ifr_name) - 1));
}

/* The first queue creates the device, so a device of that name is refused. */
static int queue_open(const char *name, int first, bool vnet)
{
	struct ifreq r;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	request_init(&r, name);
	r.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | (vnet ? IFF_VNET_HDR : 0) |
			      (first ? IFF_TUN_EXCL : 0));
	if (ioctl(fd, TUNSETIFF, &r) == 0)
		return fd;
	error = errno;
	close(fd);
	/* EINVAL: the name belongs to another kind of device. */
	return error == EINVAL ? -EBUSY : -error;
}

static int first_queue_open(const char *name, bool vnet)
{
	for (int i = 0;; i++) {
		const struct timespec pause = {.tv_nsec = TAKEN_PAUSE_MS * 1000000L};
		int fd = queue_open(name, 1, vnet);

		if (fd != -EBUSY || i == TAKEN_TRIES)
			return fd;
		nanosleep(&pause, NULL);
	}
}

/* A longer queue is a wish, not a need. */
static void queue_length_set(const char *name)
{
	struct ifreq r;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	request_init(&r, name);
	r.ifr_qlen = QUEUE_PACKETS;
	(void)!ioctl(fd, SIOCSIFTXQLEN, &r);
	close(fd);
}

/* ---- offloads ---- */

static bool has_vnet(void)
{
	unsigned features = 0;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	bool has = fd >= 0 && ioctl(fd, TUNGETFEATURES, &features) == 0 && features & IFF_VNET_HDR;

	if (fd >= 0)
		close(fd);
	return has;
}

/* Bits that the kernel does not know are refused. */
static int gso_start(int fd)
{
	if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(GSO_TCP | GSO_UDP)) == 0 ||
		ioctl(fd, TUNSETOFFLOAD, (unsigned long)GSO_TCP) == 0)
		return 0;
	return -errno;
}

/* Whether a super-packet of two may be written. The header is looked at first; that the device is
 * down comes after it. */
static int gro_probe(int fd, uint8_t type)
{
	enum { V4 = 20, HEAD_TCP = 20, HEAD_UDP = 8, PAYLOAD = 8 };
	const uint8_t head = type == VNET_UDP ? HEAD_UDP : HEAD_TCP;
	const struct vnet_hdr h = {.flags = VNET_NEEDS_CSUM,
		.gso_type = type,
		.hdr_len = V4 + head,
		.gso_size = PAYLOAD,
		.csum_start = V4,
		.csum_offset = type == VNET_UDP ? 6 : 16};
	uint8_t p[V4 + HEAD_TCP + 2 * PAYLOAD] = {0x45, [8] = 64, [9] = type == VNET_UDP ? 17 : 6};
	const uint8_t len = (uint8_t)(V4 + head + 2 * PAYLOAD);
	struct iovec iov[2] = {{0}, {p, len}};
	int r;

	p[3] = len;
	p[V4 + 12] = type == VNET_UDP ? 0 : HEAD_TCP << 2;
	p[V4 + 5] = type == VNET_UDP ? len - V4 : 0;
	inet_word_put(p + 10, (uint16_t)~inet_fold(inet_sum(p, V4, 0)));
	r = tun_write(fd, true, &h, iov, 1);
	return r == -EIO ? 0 : r;
}

static void offloads_start(int fd, unsigned wanted, struct tun_mode *m)
{
	int gso = wanted & UAPI_OFFLOAD_TUN_GSO ? gso_start(fd) : -1;
	int gro = wanted & UAPI_OFFLOAD_TUN_GRO ? gro_probe(fd, VNET_TCP4) : -1;

	if (gso == 0)
		m->offloads |= UAPI_OFFLOAD_TUN_GSO;
	if (gro == 0)
		m->offloads |= UAPI_OFFLOAD_TUN_GRO;
	m->udp = gro == 0 && gro_probe(fd, VNET_UDP) == 0;
	m->error = gso < 0 && wanted & UAPI_OFFLOAD_TUN_GSO ? -gso : -gro;
}

int tun_open(const char *name, int *fds, uint32_t n, unsigned wanted, struct tun_mode *mode)
{
	wanted &= UAPI_OFFLOAD_TUN_GSO | UAPI_OFFLOAD_TUN_GRO;
	*mode = (struct tun_mode){.vnet = wanted != 0 && has_vnet(), .error = EOPNOTSUPP};
	for (uint32_t i = 0; i < n; i++) {
		fds[i] = i == 0 ? first_queue_open(name, mode->vnet)
				: queue_open(name, 0, mode->vnet);
		if (fds[i] < 0) {
			int r = fds[i];

			fds[i] = -1;
			while (i > 0) {
				close(fds[--i]);
				fds[i] = -1;
			}
			return r;
		}
	}
	queue_length_set(name);
	if (mode->vnet)
		offloads_start(fds[0], wanted, mode);
	return 0;
}

/* ---- packets ---- */

ssize_t tun_read(int fd, bool vnet, uint8_t *packet, size_t cap, struct vnet_hdr *h)
{
	const size_t before = vnet ? sizeof(*h) : 0;
	ssize_t r = read(fd, packet - before, before + cap);

	if (r < 0)
		return -errno;
	*h = (struct vnet_hdr){0};
	if ((size_t)r < before)
		return 0;
	memcpy(h, packet - before, before);
	return r - (ssize_t)before;
}

int tun_write(int fd, bool vnet, const struct vnet_hdr *h, struct iovec *iov, size_t n)
{
	const size_t skip = vnet ? 0 : 1;

	iov[0] = (struct iovec){(void *)(uintptr_t)h, sizeof(*h)};
	/* The kernel takes a packet whole or not at all. */
	return writev(fd, iov + skip, (int)(n + 1 - skip)) >= 0 ? 0 : -errno;
}
