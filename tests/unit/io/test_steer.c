/* Which queue packets come out of: sent by the kernel of a namespace of its own through a real
 * device. It needs the right to make one. */
#include "io/steer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/tun.h"

enum { QUEUES = 3, LONG = 4000, PEERS = 12 };

static bool allowed;

static void command(const char *text)
{
	assert_int_equal(system(text), 0);
}

/* How many packets each queue has. */
static void drain(const int fds[QUEUES], int n[QUEUES])
{
	uint8_t packet[TUN_SUPER];
	struct vnet_hdr h;

	for (int q = 0; q < QUEUES; q++)
		for (n[q] = 0; tun_read(fds[q], false, packet, sizeof(packet), &h) > 0;)
			n[q]++;
}

static void send_one(int fd, const struct sockaddr *to, socklen_t len, size_t size)
{
	static const uint8_t zeros[LONG];

	assert_int_equal(sendto(fd, zeros, size, 0, to, len), size);
}

/* Whole and in fragments, from ports that the kernel's own choice would spread. */
static int queue_of(const int fds[QUEUES], int family, const struct sockaddr *to, socklen_t len)
{
	int n[QUEUES], queue = -1;

	drain(fds, n);
	for (int port = 0; port < 8; port++) {
		const int fd = socket(family, SOCK_DGRAM, 0);
		assert_true(fd >= 0);
		send_one(fd, to, len, 10);
		send_one(fd, to, len, LONG);
		close(fd);
	}
	drain(fds, n);
	for (int q = 0; q < QUEUES; q++) {
		if (n[q] == 0)
			continue;
		assert_int_equal(queue, -1);
		assert_true(n[q] >= 8 * 4);
		queue = q;
	}
	assert_int_not_equal(queue, -1);
	return queue;
}

static void test_by_destination(void **state)
{
	struct tun_mode mode;
	int fds[QUEUES], seen[QUEUES] = {0};

	(void)state;
	if (!allowed)
		fail_msg("needs a network namespace of its own and /dev/net/tun");
	assert_int_equal(tun_open("steer0", fds, QUEUES, 0, &mode), 0);
	assert_int_equal(steer_by_destination(fds[1]), 0);
	command("ip link set steer0 mtu 1400 up && ip address add 10.9.0.1/24 dev steer0 && "
		"ip address add fd09::1/64 dev steer0 nodad");
	for (int i = 2; i < 2 + PEERS; i++) {
		struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(9)};
		struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
		v4.sin_addr.s_addr = htonl(0x0a090000u + (uint32_t)i);
		inet_pton(AF_INET6, "fd09::", &v6.sin6_addr);
		v6.sin6_addr.s6_addr[15] = (uint8_t)i;
		const int q = queue_of(fds, AF_INET, (struct sockaddr *)&v4, sizeof(v4));
		seen[q]++;
		/* The same end of the address: the same queue. */
		assert_int_equal(queue_of(fds, AF_INET6, (struct sockaddr *)&v6, sizeof(v6)), q);
	}
	for (int q = 0; q < QUEUES; q++) {
		assert_int_equal(seen[q], PEERS / QUEUES);
		close(fds[q]);
	}
}

static void test_refused(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_true(steer_by_destination(fd) < 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_destination),
		cmocka_unit_test(test_refused),
	};

	allowed = unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
