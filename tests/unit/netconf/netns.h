/*
 * A network namespace for one test program, with two TUN devices whose other ends the test holds:
 *
 *     test --write--> [tun] kernel [wan] --read--> test        "tun": what devices send and get
 *                                                              "wan": the internet
 *
 * Writing a packet into a TUN takes it through the whole stack, so rules are seen at work without
 * a second host. Needs root; a machine where it can't work fails the tests.
 */
#ifndef TEST_NETCONF_NETNS_H
#define TEST_NETCONF_NETNS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <nftables/libnftables.h>

#include "netconf/netconf.h"

#define TUN "irktest"

enum { WAIT_MS = 5000, UDP_PORT_A = 51820, UDP_PORT_B = 1194 };

static inline void netns_sysctl(const char *key, char *value, size_t cap)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s", key);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	assert_non_null(fgets(value, (int)cap, f));
	fclose(f);
	value[strcspn(value, "\n")] = '\0';
}

static inline void netns_sysctl_set(const char *key, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s", key);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(value, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void expect_sysctl(const char *key, const char *value)
{
	char now[32];

	netns_sysctl(key, now, sizeof(now));
	if (strcmp(now, value) != 0)
		fail_msg("%s is %s, not %s", key, now, value);
}

static inline int netns_run(const char *command)
{
	return system(command); /* NOLINT: a test's own constant text */
}

static inline int tun_open(const char *name)
{
	struct ifreq req = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) != 0)
		return -1;
	return fd;
}

/* A new namespace with loopback and the internet. Returns: descriptor of "wan", -1. */
static inline int netns_enter(void)
{
	if (unshare(CLONE_NEWNET) != 0)
		return -1;
	int wan = tun_open("wan");
	if (wan < 0)
		return -1;
	netns_sysctl_set("ipv4/ip_forward", "0");
	netns_sysctl_set("ipv6/conf/all/forwarding", "0");
	netns_sysctl_set("ipv6/conf/wan/accept_ra", "1");
	netns_sysctl_set("ipv6/conf/wan/router_solicitations", "0");
	if (netns_run("ip link set lo up && ip link set wan addrgenmode none multicast off up && "
		      "ip addr add 198.51.100.1/24 dev wan && "
		      "ip addr add 2001:db8:1::1/64 dev wan nodad && "
		      "ip route add default dev wan && ip -6 route add default dev wan && "
		      "ip addr add 192.168.7.1/24 dev lo") != 0)
		return -1;
	return wan;
}

static inline struct netconf_static netns_static(void)
{
	struct netconf_static conf = {
		.tun = TUN,
		.nat = true,
		.ports = {UDP_PORT_A, UDP_PORT_B},
		.n_ports = 2,
		.who = {65534, 65534},
	};

	/* In a folder of its own: fs.protected_regular guards files right below /tmp. */
	char folder[64];
	snprintf(folder, sizeof(folder), "/tmp/test_netconf.%d", getpid());
	assert_true(mkdir(folder, 0755) == 0 || errno == EEXIST);
	snprintf(conf.lock_path, sizeof(conf.lock_path), "%s/lock", folder);
	return conf;
}

static inline void netns_static_fini(struct netconf_static *conf)
{
	unlink(conf->lock_path);
	conf->lock_path[strlen(conf->lock_path) - strlen("/lock")] = '\0';
	rmdir(conf->lock_path);
}

static inline struct netconf_networks netns_networks(const char *net4, const char *net6)
{
	struct netconf_networks w = {.mtu = 1420};

	assert_int_equal(ip_prefix_parse(&w.net4, net4), 0);
	assert_int_equal(ip_prefix_parse(&w.net6, net6), 0);
	return w;
}

/* What nft prints for a command, to be freed; NULL when it refuses. */
static inline char *nft_says(const char *command)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	char *out = NULL;

	assert_non_null(nft);
	nft_ctx_buffer_output(nft);
	nft_ctx_buffer_error(nft);
	if (nft_run_cmd_from_buffer(nft, command) == 0)
		out = strdup(nft_ctx_get_output_buffer(nft));
	nft_ctx_free(nft);
	return out;
}

static inline bool table_stands(const char *name)
{
	char command[64];

	snprintf(command, sizeof(command), "list counters table inet %s", name);
	char *text = nft_says(command);
	bool stands = text != NULL && strstr(text, "drop_spoofed") != NULL;
	free(text);
	return stands;
}

static inline uint64_t drops(const char *counter)
{
	char command[96];
	unsigned long long n = 0;

	snprintf(command, sizeof(command), "list counter inet %s %s", TUN, counter);
	char *text = nft_says(command);
	assert_non_null(text);
	const char *at = strstr(text, "packets ");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "packets %llu", &n), 1);
	free(text);
	return n;
}

/* ---- packets ---- */

struct packet {
	uint8_t bytes[2048];
	size_t len;
};

static inline uint32_t sum16(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
	return sum;
}

static inline uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static inline bool is6(const struct packet *p)
{
	return p->bytes[0] >> 4 == 6;
}

static inline uint8_t *packet_l4(struct packet *p)
{
	return p->bytes + (is6(p) ? 40 : 20);
}

/* Where the checksum stands in the header. */
static inline size_t sum_at(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP ? 6 : 2;
}

/* An IP packet around n bytes of a transport header and payload, all checksums right. */
static inline struct packet packet_make(
	const char *from, const char *to, uint8_t protocol, const void *l4, size_t n)
{
	struct packet p = {0};
	bool v6 = strchr(from, ':') != NULL;
	size_t head = v6 ? 40 : 20, addr = v6 ? 16 : 4, src = v6 ? 8 : 12;
	int family = v6 ? AF_INET6 : AF_INET;

	p.len = head + n;
	p.bytes[0] = v6 ? 0x60 : 0x45;
	p.bytes[v6 ? 5 : 3] = (uint8_t)(v6 ? n : p.len);
	p.bytes[v6 ? 4 : 2] = (uint8_t)((v6 ? n : p.len) >> 8);
	p.bytes[v6 ? 6 : 9] = protocol;
	p.bytes[v6 ? 7 : 8] = 64;
	assert_int_equal(inet_pton(family, from, p.bytes + src), 1);
	assert_int_equal(inet_pton(family, to, p.bytes + src + addr), 1);
	memcpy(p.bytes + head, l4, n);
	if (!v6) {
		uint16_t check = sum_fold(sum16(p.bytes, head, 0));
		memcpy(p.bytes + 10, &check, 2);
	}
	uint32_t pseudo = protocol == IPPROTO_ICMP
				  ? 0
				  : sum16(p.bytes + src, 2 * addr, (uint32_t)n + protocol);
	uint16_t check = sum_fold(sum16(p.bytes + head, n, pseudo));
	memcpy(p.bytes + head + sum_at(protocol), &check, 2);
	return p;
}

static inline struct packet packet_udp(
	const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	uint8_t l4[16] = {(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8),
		(uint8_t)dport, 0, sizeof(l4)};

	return packet_make(from, to, IPPROTO_UDP, l4, sizeof(l4));
}

/* With the one option MSS. */
static inline struct packet packet_syn(const char *from, uint16_t sport, const char *to,
	uint16_t dport, uint8_t flags, uint16_t mss, uint32_t ack)
{
	uint8_t l4[24] = {(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8),
		(uint8_t)dport, 0, 0, 1, 0, (uint8_t)(ack >> 24), (uint8_t)(ack >> 16),
		(uint8_t)(ack >> 8), (uint8_t)ack, 0x60, flags, 0xff, 0xff, 0, 0, 0, 0, 2, 4,
		(uint8_t)(mss >> 8), (uint8_t)mss};

	return packet_make(from, to, IPPROTO_TCP, l4, sizeof(l4));
}

static inline struct packet packet_ping(const char *from, const char *to)
{
	bool v6 = strchr(from, ':') != NULL;
	uint8_t l4[16] = {v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO, 0, 0, 0, 0x12, 0x34, 0, 1};

	return packet_make(from, to, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, l4, sizeof(l4));
}

static inline uint16_t port_at(struct packet *p, size_t offset)
{
	const uint8_t *l4 = packet_l4(p);

	return (uint16_t)(l4[offset] << 8 | l4[offset + 1]);
}

static inline bool has_addr(const struct packet *p, bool destination, const char *text)
{
	uint8_t addr[16];
	bool v6 = strchr(text, ':') != NULL;
	size_t n = v6 ? 16 : 4;

	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, text, addr), 1);
	return is6(p) == v6 &&
	       memcmp(p->bytes + (v6 ? 8 : 12) + (destination ? n : 0), addr, n) == 0;
}

static inline void expect_from(const struct packet *p, const char *text)
{
	if (!has_addr(p, false, text))
		fail_msg("not from %s", text);
}

static inline void expect_to(const struct packet *p, const char *text)
{
	if (!has_addr(p, true, text))
		fail_msg("not to %s", text);
}

static inline void packet_send(int fd, const struct packet *p)
{
	assert_int_equal(write(fd, p->bytes, p->len), (ssize_t)p->len);
}

/* The next packet that the kernel sends on this device; fails when none comes. */
static inline struct packet packet_read(int fd)
{
	struct packet p = {0};
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	if (poll(&wait, 1, WAIT_MS) != 1)
		fail_msg("no packet came");
	ssize_t n = read(fd, p.bytes, sizeof(p.bytes));
	assert_true(n > 0);
	p.len = (size_t)n;
	return p;
}

/* What was written before has gone through the stack by now (NAPI-less TUN: within write). */
static inline void expect_silence(int fd)
{
	struct packet p = {0};
	ssize_t n = read(fd, p.bytes, sizeof(p.bytes));

	if (n > 0)
		fail_msg("a packet came on %d, protocol %u, %zd bytes", fd,
			p.bytes[is6(&p) ? 6 : 9], n);
}

static inline void drain(int fd)
{
	struct packet p;

	while (read(fd, p.bytes, sizeof(p.bytes)) > 0)
		;
}

/* Polls until the condition holds; fails after WAIT_MS. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		int left = WAIT_MS;                                                                \
		while (!(condition) && left-- > 0)                                                 \
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                   \
		if (left <= 0)                                                                     \
			fail_msg("never: %s", #condition);                                         \
	} while (0)

#endif
