/*
 * Makes a server the only one who has something to do.
 *
 *   saturate PROFILE OUTER INNER HOST TUN BYTES PACKETS PID...
 *
 *      open   this program --sealed beforehand, UDP_SEGMENT--> server --> TUN (counted, dropped)
 *      seal   INNER --UDP_SEGMENT--> server's TUN --> server --UDP_GRO--> OUTER (counted)
 *
 * OUTER is a socket connected to the server, UDP or (without those offloads) TCP, INNER a UDP one
 * on HOST, behind the server, that gets what the tunnel sends to HELLO_PORT; what goes to
 * FLOOD_PORT is dropped behind the server's TUN. BYTES is the length of the inner packets. PIDs are
 * the server's processes, the first one's network namespace has the TUN. The sender keeps a bounded
 * number of packets under way, so next to nothing is lost, and the server always has a full batch
 * to take. Nothing is sealed here while time and CPU are counted. Prints one line of JSON per
 * direction.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "entry.h"
#include "wire/ovpn_wire.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	HELLO_PORT = 7,
	FLOOD_PORT = 9,
	OWN_PORT = 4000,
	IP_UDP = 28,
	BURST_MAX = 60, /* the kernel takes 64 segments */
	DATAGRAM_MAX = 65000,
	UNDER_WAY = 440,      /* packets, at first: fits the queue of a TUN as it is by itself */
	CHUNK = 16 * 1024,    /* sealed ahead */
	STUCK_NS = 200000000, /* no progress for that long: what is missing is lost */
	BUFFER = 16 << 20,
	PIDS_MAX = 8,
};

struct run {
	struct entry entry;
	int outer, inner; /* outer: also in the entry */
	struct in_addr host;
	const char *tun;
	int net_dev; /* /proc/PID/net/dev */
	size_t bytes;
	uint64_t packets;
	uint64_t under_way; /* most packets; halved when some are lost, down to one burst */
	clockid_t clocks[PIDS_MAX];
	int n_clocks;
};

struct figures {
	uint64_t sent, got, lost, cpu_ns;
	uint64_t wall_ns; /* without the waiting for what was lost */
};

/* A direction ends after that long, however many have passed. */
static const uint64_t LONGEST_NS = 4000000000;

static void die(const char *what)
{
	fprintf(stderr, "saturate: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) != 0)
		die("clock of the server");
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Of all threads of all its processes. */
static uint64_t server_ns(const struct run *r)
{
	uint64_t sum = 0;

	for (int i = 0; i < r->n_clocks; i++)
		sum += clock_ns(r->clocks[i]);
	return sum;
}

/* Packets of r->bytes that came out of the TUN. One that is as long as several has their payload
 * behind one header. */
static uint64_t came_out(const struct run *r)
{
	char text[8192], name[32];
	unsigned long long bytes, packets;
	const ssize_t n = pread(r->net_dev, text, sizeof(text) - 1, 0);
	char *line;

	if (n <= 0)
		die("net/dev");
	text[n] = '\0';
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, " %31[^:]: %llu %llu", name, &bytes, &packets) == 3 &&
			strcmp(name, r->tun) == 0)
			return (bytes - IP_UDP * packets) / (r->bytes - IP_UDP);
	}
	die("the TUN is not there");
	return 0;
}

/* ---- packets ---- */

static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

/* Its UDP checksum is right: what is checked on the way shall be worth its while. */
static void inner_write(const struct run *r, uint8_t *p, size_t len, uint16_t port)
{
	uint32_t sum = 0;

	memset(p, 0, len);
	p[0] = 0x45;
	wire_put_be16(p + 2, (uint16_t)len);
	/* DF, as in what sockets send. Otherwise each would need an identification of its own, and
	 * nobody may make one of several that have the same. */
	p[6] = 0x40;
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, &r->entry.own, 4);
	memcpy(p + 16, &r->host, 4);
	wire_put_be16(p + 10, checksum(p, 20));
	wire_put_be16(p + 20, OWN_PORT);
	wire_put_be16(p + 22, port);
	wire_put_be16(p + 24, (uint16_t)(len - 20));
	for (size_t i = IP_UDP; i < len; i++)
		p[i] = (uint8_t)i;
	for (size_t i = 12; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	sum += IPPROTO_UDP + (uint32_t)(len - 20);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	wire_put_be16(p + 26, (uint16_t)~sum);
}

static size_t burst_of(size_t datagram)
{
	const size_t n = DATAGRAM_MAX / datagram;

	return n < BURST_MAX ? n : BURST_MAX;
}

/* ---- open ---- */

struct ring {
	uint8_t *bytes;
	size_t datagram; /* bytes of each, with its head */
	size_t n;
};

enum { ROOM = OUTER_FRAME + LANE_OVERHEAD_MAX };

/* Close together, so that a burst is one piece. */
static void ring_fill(struct run *r, struct ring *g, size_t n)
{
	const size_t head = outer_head(&r->entry.outer);
	uint8_t inner[2048], *at = g->bytes;

	inner_write(r, inner, r->bytes, FLOOD_PORT);
	for (g->n = 0; g->n < n; g->n++) {
		const size_t len = lane_seal(&r->entry.lane, inner, r->bytes, at + head);
		if (len == 0)
			die("seal");
		outer_put_head(&r->entry.outer, at, len);
		g->datagram = head + len;
		at += g->datagram;
	}
}

/* What has not come by now never will: the server's queue is shorter than we thought. */
static void give_up(struct run *r, struct figures *f, size_t burst)
{
	f->lost = f->sent - f->got;
	f->wall_ns -= STUCK_NS;
	r->under_way = r->under_way / 2 > burst ? r->under_way / 2 : burst;
}

/* What came late was not lost. */
static void came(struct figures *f, uint64_t got)
{
	f->got = got;
	if (f->got + f->lost > f->sent)
		f->lost = f->sent > f->got ? f->sent - f->got : 0;
}

static uint64_t missing(const struct figures *f)
{
	const uint64_t there = f->got + f->lost;

	return f->sent > there ? f->sent - there : 0;
}

/* Waits until no more than `most` are under way. */
static void wait_out(
	struct run *r, struct figures *f, const uint64_t *base, size_t burst, uint64_t most)
{
	uint64_t since = now_ns();

	for (;;) {
		const uint64_t got = came_out(r) - *base;

		if (got != f->got)
			since = now_ns();
		came(f, got);
		if (missing(f) <= most)
			return;
		if (now_ns() - since > STUCK_NS)
			give_up(r, f, burst);
	}
}

/* base: what had come out before the first packet of all. */
static void send_ring(struct run *r, const struct ring *g, struct figures *f, const uint64_t *base)
{
	const size_t burst = burst_of(g->datagram);
	const uint64_t cpu = server_ns(r), began = now_ns();

	for (size_t at = 0; at < g->n;) {
		const size_t n = g->n - at < burst ? g->n - at : burst;

		wait_out(r, f, base, burst, r->under_way - burst);
		if (outer_send_raw(&r->entry.outer, g->bytes + at * g->datagram, n * g->datagram) <
			0)
			die("send");
		f->sent += n;
		at += n;
	}
	wait_out(r, f, base, burst, 0);
	f->wall_ns += now_ns() - began;
	f->cpu_ns += server_ns(r) - cpu;
}

static void segment_set(int fd, size_t bytes)
{
	const int n = (int)bytes;

	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &n, sizeof(n)) != 0)
		die("UDP_SEGMENT");
}

static void open_direction(struct run *r, struct figures *f)
{
	struct ring g = {.bytes = malloc(CHUNK * (r->bytes + ROOM))};

	const uint64_t base = came_out(r), began = now_ns();

	if (!g.bytes)
		die("memory");
	while (f->sent < r->packets && now_ns() - began < LONGEST_NS) {
		const uint64_t left = r->packets - f->sent;

		ring_fill(r, &g, left < CHUNK ? left : CHUNK);
		if (!r->entry.outer.stream)
			segment_set(r->outer, g.datagram);
		send_ring(r, &g, f, &base);
	}
	if (!r->entry.outer.stream)
		segment_set(r->outer, 0);
	free(g.bytes);
}

/* ---- seal ---- */

/* The way back through address translation: INNER is connected to it afterwards. It may be another
 * one than before, when that was not used for long. */
static void say_hello(struct run *r)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	uint8_t inner[64], out[64 + LANE_OVERHEAD_MAX], got[64];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct pollfd p = {.fd = r->inner, .events = POLLIN};

	if (connect(r->inner, &nobody, sizeof(nobody)) != 0)
		die("disconnect");
	for (int i = 0; i < 20; i++) {
		inner_write(r, inner, sizeof(inner), HELLO_PORT);
		const size_t n = lane_seal(&r->entry.lane, inner, sizeof(inner), out);
		if (n == 0 || outer_send(&r->entry.outer, out, n) < 0)
			die("hello");
		if (poll(&p, 1, 500) > 0 && recvfrom(r->inner, got, sizeof(got), 0,
						    (struct sockaddr *)&from, &len) > 0) {
			if (connect(r->inner, (struct sockaddr *)&from, len) != 0)
				die("connect");
			return;
		}
	}
	die("nothing comes through the tunnel");
}

/* How many data packets have come meanwhile, and not keepalives. */
static uint64_t take_sealed(struct run *r)
{
	return outer_take(&r->entry.outer, r->bytes);
}

static void seal_direction(struct run *r, struct figures *f)
{
	static uint8_t payload[DATAGRAM_MAX];
	const size_t size = r->bytes - IP_UDP, burst = burst_of(size);
	const int on = 1;
	uint64_t cpu, began, since;

	say_hello(r);
	segment_set(r->inner, size);
	if (!r->entry.outer.stream &&
		setsockopt(r->outer, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0)
		die("UDP_GRO");
	(void)take_sealed(r);
	cpu = server_ns(r);
	began = since = now_ns();
	for (bool more = true; more || missing(f) > 0;) {
		more = f->sent < r->packets && now_ns() - began < LONGEST_NS;
		if (more && missing(f) <= r->under_way - burst) {
			if (send(r->inner, payload, burst * size, 0) < 0)
				die("send");
			f->sent += burst;
			since = now_ns();
		}
		const uint64_t n = take_sealed(r);
		came(f, f->got + n);
		if (n > 0)
			since = now_ns();
		else if (now_ns() - since > STUCK_NS)
			give_up(r, f, burst);
	}
	f->wall_ns += now_ns() - began;
	f->cpu_ns = server_ns(r) - cpu;
}

/* ---- */

static void print(const char *what, const struct run *r, const struct figures *f)
{
	printf("{\"direction\": \"%s\", \"bytes\": %zu, \"sent\": %llu, \"got\": %llu, "
	       "\"cpu_ns\": %llu, \"seconds\": %.4f, \"under_way\": %llu}\n",
		what, r->bytes, (unsigned long long)f->sent, (unsigned long long)f->got,
		(unsigned long long)f->cpu_ns, (double)f->wall_ns / 1e9,
		(unsigned long long)r->under_way);
}

static const char *read_profile(const char *path)
{
	static char text[1 << 16];
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void look_at_server(struct run *r, int n, char **pids)
{
	char path[64];

	for (; r->n_clocks < n && r->n_clocks < PIDS_MAX; r->n_clocks++)
		if (clock_getcpuclockid(atoi(pids[r->n_clocks]), &r->clocks[r->n_clocks]) != 0)
			die("PID");
	snprintf(path, sizeof(path), "/proc/%d/net/dev", atoi(pids[0]));
	r->net_dev = open(path, O_RDONLY);
	if (r->net_dev < 0)
		die(path);
}

int main(int argc, char **argv)
{
	struct run r = {0};
	struct figures f = {0};
	const int room = BUFFER;

	if (argc < 9 || inet_aton(argv[4], &r.host) == 0 || atoi(argv[6]) < 64 ||
		atoi(argv[6]) > 1500) {
		fprintf(stderr,
			"usage: saturate PROFILE OUTER INNER HOST TUN BYTES PACKETS PID...\n");
		return 2;
	}
	r.outer = atoi(argv[2]);
	r.inner = atoi(argv[3]);
	r.tun = argv[5];
	r.bytes = (size_t)atoi(argv[6]);
	r.packets = strtoull(argv[7], NULL, 10);
	r.under_way = UNDER_WAY;
	look_at_server(&r, argc - 8, argv + 8);
	(void)!setsockopt(r.outer, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	(void)!setsockopt(r.outer, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	(void)!setsockopt(r.inner, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	entry_make(&r.entry, r.outer, read_profile(argv[1]));
	say_hello(&r); /* and the server knows that the session is in use */
	open_direction(&r, &f);
	print("open", &r, &f);
	f = (struct figures){0};
	r.under_way = UNDER_WAY;
	seal_direction(&r, &f);
	print("seal", &r, &f);
	lane_fini(&r.entry.lane);
	return 0;
}
