/*
 * OpenVPN resets from everywhere: UDP datagrams with random source addresses and ports.
 *
 *   flood ADDR PORT RATE SECONDS v2              bare resets, 14 bytes
 *   flood ADDR PORT RATE SECONDS v3              resets with a wrapped key that is garbage, 353
 * bytes flood ADDR PORT RATE SECONDS replay FILE     the packet that the file holds, as it is
 *
 * RATE is packets a second, sent in bursts of a millisecond. Sources are unicast IPv4 addresses
 * outside of the networks that the tests use. Prints how many were sent, as JSON. Needs a raw
 * socket; meant for a network namespace of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

enum { PAYLOAD_MAX = 1400, V2 = 14, V3 = 353, WKC = 299, BURST = 256 };
static const uint64_t SECOND = 1000000000ULL;

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	unsigned char payload[PAYLOAD_MAX];
} __attribute__((packed));

struct flood {
	int fd;
	struct sockaddr_in to;
	bool fresh;	 /* a random session id in every packet */
	size_t len, wkc; /* of the payload; where garbage begins that is random too */
	unsigned char payload[PAYLOAD_MAX];
	uint64_t random; /* xorshift: nobody has to be unable to guess it */
	uint64_t sent, failed;
};

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(struct flood *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

/* Networks that the tests give a meaning, and those that no router would let in. */
static bool usable(uint32_t a)
{
	static const struct {
		uint32_t net, mask;
	} not[] = {
		{0x00000000, 0xff000000},
		{0x0a000000, 0xff000000},
		{0x64400000, 0xffc00000},
		{0x7f000000, 0xff000000},
		{0xa9fe0000, 0xffff0000},
		{0xac100000, 0xfff00000},
		{0xc0a80000, 0xffff0000},
		{0xc6336400, 0xffffff00},
		{0xcb007100, 0xffffff00},
		{0xe0000000, 0xe0000000},
	};

	for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++)
		if ((a & not[i].mask) == not[i].net)
			return false;
	return true;
}

static uint32_t random_source(struct flood *f)
{
	uint32_t a;

	do {
		a = (uint32_t)next_random(f);
	} while (!usable(a));
	return htonl(a);
}

static void fill_random(struct flood *f, unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t r = next_random(f);

		memcpy(p + i, &r, n - i < 8 ? n - i : 8);
	}
}

static void make(struct flood *f, struct packet *p)
{
	const size_t len = sizeof(p->ip) + sizeof(p->udp) + f->len;

	memset(p, 0, sizeof(p->ip) + sizeof(p->udp));
	p->ip.version = 4;
	p->ip.ihl = 5;
	p->ip.ttl = 64;
	p->ip.protocol = IPPROTO_UDP;
	p->ip.tot_len = htons((uint16_t)len); /* the kernel sums the header */
	p->ip.saddr = random_source(f);
	p->ip.daddr = f->to.sin_addr.s_addr;
	p->udp.source = htons((uint16_t)(1024 + next_random(f) % 64000));
	p->udp.dest = f->to.sin_port;
	p->udp.len = htons((uint16_t)(sizeof(p->udp) + f->len)); /* sum 0: none, RFC 768 */
	memcpy(p->payload, f->payload, f->len);
	if (f->fresh)
		fill_random(f, p->payload + 1, 8);
	if (f->wkc)
		fill_random(f, p->payload + f->wkc, f->len - f->wkc - 2);
}

static void send_burst(struct flood *f, struct packet *packets, size_t n)
{
	struct mmsghdr m[BURST] = {0};
	struct iovec v[BURST];

	for (size_t i = 0; i < n; i++) {
		make(f, &packets[i]);
		v[i].iov_base = &packets[i];
		v[i].iov_len = sizeof(packets[i].ip) + sizeof(packets[i].udp) + f->len;
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_name = &f->to;
		m[i].msg_hdr.msg_namelen = sizeof(f->to);
	}
	const int sent = sendmmsg(f->fd, m, (unsigned)n, 0);

	f->sent += sent > 0 ? (uint64_t)sent : 0;
	f->failed += n - (sent > 0 ? (uint64_t)sent : 0);
}

static void run(struct flood *f, uint64_t rate, uint64_t seconds)
{
	static struct packet packets[BURST];
	const uint64_t start = now_ns(), end = start + seconds * SECOND;
	uint64_t asked = 0;

	for (;;) {
		const uint64_t t = now_ns();
		const uint64_t due = (t - start) / 1000 * rate / 1000000;

		if (t >= end)
			return;
		/* What could not be sent in time is not made up for with one great burst. */
		if (due > asked + rate / 20)
			asked = due - rate / 20;
		while (asked < due) {
			const size_t n = due - asked < BURST ? (size_t)(due - asked) : BURST;

			send_burst(f, packets, n);
			asked += n;
		}
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
}

static void choose(struct flood *f, const char *mode, const char *file)
{
	if (!strcmp(mode, "v2")) {
		f->payload[0] = 7 << 3;
		f->len = V2;
		f->fresh = true;
	} else if (!strcmp(mode, "v3")) {
		fill_random(f, f->payload, V3);
		f->payload[0] = 10 << 3;
		f->payload[V3 - 2] = WKC >> 8;
		f->payload[V3 - 1] = WKC & 255;
		f->len = V3;
		f->fresh = true;
		f->wkc = V3 - WKC;
	} else if (!strcmp(mode, "replay") && file) {
		FILE *in = fopen(file, "rb");

		if (!in)
			die(file);
		f->len = fread(f->payload, 1, sizeof(f->payload), in);
		fclose(in);
	} else {
		errno = EINVAL;
		die(mode);
	}
}

int main(int argc, char **argv)
{
	struct flood f = {.to.sin_family = AF_INET};

	if (argc < 6 || inet_pton(AF_INET, argv[1], &f.to.sin_addr) != 1) {
		fprintf(stderr, "usage: flood ADDR PORT RATE SECONDS v2|v3|replay [FILE]\n");
		return 2;
	}
	if (getrandom(&f.random, sizeof(f.random), 0) != (ssize_t)sizeof(f.random))
		die("random");
	f.random |= 1;
	f.to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	choose(&f, argv[5], argc > 6 ? argv[6] : NULL);
	f.fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (f.fd < 0)
		die("raw socket");
	printf("ready\n");
	fflush(stdout);
	run(&f, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
	printf("{\"sent\": %llu, \"failed\": %llu}\n", (unsigned long long)f.sent,
		(unsigned long long)f.failed);
	return 0;
}
