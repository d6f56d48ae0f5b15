/* Opening the TUN device. */
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

enum {
	QUEUE_PACKETS = 2000, /* the driver drops at 500 before a worker comes round */
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
static int queue_open(const char *name, int first)
{
	struct ifreq r;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	request_init(&r, name);
	r.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | (first ? IFF_TUN_EXCL : 0));
	if (ioctl(fd, TUNSETIFF, &r) == 0)
		return fd;
	error = errno;
	close(fd);
	/* EINVAL: the name belongs to another kind of device. */
	return error == EINVAL ? -EBUSY : -error;
}

static int first_queue_open(const char *name)
{
	for (int i = 0;; i++) {
		const struct timespec pause = {.tv_nsec = TAKEN_PAUSE_MS * 1000000L};
		int fd = queue_open(name, 1);

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

int tun_open(const char *name, int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		fds[i] = i == 0 ? first_queue_open(name) : queue_open(name, 0);
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
	return 0;
}
