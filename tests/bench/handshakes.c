/*
 * Many WireGuard devices that come at once, each with an identity and an address of its own.
 *
 *   handshakes FD HOST PORT SERVER_KEY FIRST_ADDRESS AT_ONCE FILE [BURST]
 *
 * FD is an unconnected UDP socket whose namespace has all addresses from FIRST_ADDRESS on. FILE has
 * a line "PRIVATE PSK" for each device. Cookies are obeyed, a handshake without an answer begins
 * again after a second, and whoever is done sends a keepalive, so that the server knows it too.
 * BURST: so many begin, and the next ones when all are done and a second is over; seconds without
 * these pauses are printed. Prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/codec.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "lane.h"
#include "wg_peer.h"

enum { AGAIN_MS = 1000, TRIES = 5, BUFFER = 8 << 20, BURST_MS = 1050 };

enum state { WAITING, SHAKING, UP, FAILED };

struct device {
	struct wg_peer peer;
	enum state state;
	uint64_t asked_ms;
	int tries;
};

struct crowd {
	int fd;
	struct sockaddr_in server;
	uint32_t first_address;
	struct device *devices;
	uint32_t n, next, under_way, up, failed;
	uint64_t initiations, cookies;
	uint32_t burst, begun; /* most, and now; 0: no limit */
	uint64_t burst_began, paused_ms;
};

static void die(const char *what)
{
	fprintf(stderr, "handshakes: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int64_t real_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* From the address of device i. */
static void send_from(const struct crowd *c, uint32_t i, const void *bytes, size_t n)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)&c->server,
		.msg_namelen = sizeof(c->server),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(c->first_address + i)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = IPPROTO_IP;
	h->cmsg_type = IP_PKTINFO;
	h->cmsg_len = CMSG_LEN(sizeof(from));
	memcpy(CMSG_DATA(h), &from, sizeof(from));
	if (sendmsg(c->fd, &m, 0) < 0 && errno != EAGAIN && errno != ENOBUFS)
		die("sendmsg");
}

static void ask(struct crowd *c, uint32_t i, uint64_t now)
{
	struct device *d = &c->devices[i];

	if (wg_peer_begin(&d->peer, real_us()) != 0)
		die("initiation");
	d->tries++;
	d->asked_ms = now;
	c->initiations++;
	send_from(c, i, &d->peer.sent, sizeof(d->peer.sent));
}

static void confirm(const struct crowd *c, uint32_t i, const struct noise_keys *keys)
{
	uint8_t out[LANE_OVERHEAD_MAX];
	struct lane lane;

	if (lane_wg(&lane, keys, c->devices[i].peer.their_index) != 0)
		die("keys");
	const size_t n = lane_seal(&lane, out, 0, out);
	lane_fini(&lane);
	send_from(c, i, out, n);
}

static void on_datagram(struct crowd *c, const uint8_t *p, size_t n, uint64_t now)
{
	struct noise_keys keys;
	/* The receiver's index is that of the device; where it stands depends on the message. */
	const size_t at = p[0] == WG_RESPONSE ? 8 : 4;

	if (n < at + 4 || wire_le32(p + at) >= c->n)
		return;
	const uint32_t i = wire_le32(p + at);
	struct device *d = &c->devices[i];
	if (d->state != SHAKING)
		return;
	switch (wg_peer_input(&d->peer, p, n, &keys)) {
	case WG_PEER_UP:
		confirm(c, i, &keys);
		noise_keys_wipe(&keys);
		d->state = UP;
		c->up++;
		c->under_way--;
		return;
	case WG_PEER_COOKIE:
		c->cookies++;
		d->asked_ms = now;
		send_from(c, i, &d->peer.sent, sizeof(d->peer.sent));
		return;
	case WG_PEER_IGNORED:
		return;
	}
}

static void drain(struct crowd *c, uint64_t now)
{
	uint8_t packet[2048];
	ssize_t n;

	while ((n = recv(c->fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		on_datagram(c, packet, (size_t)n, now);
}

static void look_after(struct crowd *c, uint64_t now)
{
	for (uint32_t i = 0; i < c->next; i++) {
		struct device *d = &c->devices[i];

		if (d->state != SHAKING || now - d->asked_ms < AGAIN_MS)
			continue;
		if (d->tries < TRIES) {
			ask(c, i, now);
			continue;
		}
		d->state = FAILED;
		c->failed++;
		c->under_way--;
	}
}

static void begin_some(struct crowd *c, uint32_t at_once, uint64_t now)
{
	while (c->next < c->n && c->under_way < at_once && (!c->burst || c->begun < c->burst)) {
		c->devices[c->next].state = SHAKING;
		ask(c, c->next, now);
		c->next++;
		c->under_way++;
		c->begun++;
	}
}

/* Between two bursts: all are done. */
static void pause_for_next(struct crowd *c)
{
	const uint64_t began = now_ms(), due = c->burst_began + BURST_MS;

	if (due > began)
		(void)poll(NULL, 0, (int)(due - began));
	c->burst_began = now_ms();
	c->paused_ms += c->burst_began - began;
	c->begun = 0;
}

static void shake_hands(struct crowd *c, uint32_t at_once)
{
	uint64_t looked = now_ms();

	c->burst_began = looked;
	while (c->next < c->n || c->under_way) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		uint64_t now;

		if (c->burst && c->begun == c->burst && !c->under_way)
			pause_for_next(c);
		now = now_ms();
		begin_some(c, at_once, now);
		if (poll(&p, 1, 100) < 0)
			die("poll");
		drain(c, now);
		if (now - looked >= 100) {
			look_after(c, now);
			looked = now;
		}
	}
}

static void load(struct crowd *c, const char *path, const uint8_t server[32])
{
	char key[64], psk[64];
	uint32_t room = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		die(path);
	while (fscanf(f, "%63s %63s", key, psk) == 2) {
		struct wg_identity id;

		if (c->n == room) {
			room = room ? room * 2 : 1024;
			c->devices = realloc(c->devices, room * sizeof(*c->devices));
			if (!c->devices)
				die("memory");
		}
		memcpy(id.server, server, sizeof(id.server));
		if (base64_decode(key, id.key.bytes, 32) != 0 ||
			base64_decode(psk, id.psk.bytes, 32) != 0)
			die("a key");
		struct device *d = &c->devices[c->n];
		memset(d, 0, sizeof(*d));
		if (wg_peer_init(&d->peer, &id, c->n++) != 0)
			die("identity");
	}
	fclose(f);
	for (uint32_t i = 0; i < c->n; i++) /* realloc has moved them */
		c->devices[i].peer.local.arg = &c->devices[i].peer.key;
}

int main(int argc, char **argv)
{
	struct crowd c = {.server.sin_family = AF_INET};
	struct in_addr first;
	uint8_t key[32];
	const int room = BUFFER;

	if (argc < 8 || argc > 9 || inet_aton(argv[2], &c.server.sin_addr) == 0 ||
		base64_decode(argv[4], key, 32) != 0 || inet_aton(argv[5], &first) == 0) {
		fprintf(stderr, "usage: handshakes FD HOST PORT SERVER_KEY FIRST_ADDRESS AT_ONCE "
				"FILE [BURST]\n");
		return 2;
	}
	if (aead_init() != 0 || blake2s_init() != 0)
		return 2;
	c.fd = atoi(argv[1]);
	c.server.sin_port = htons((uint16_t)atoi(argv[3]));
	c.first_address = ntohl(first.s_addr);
	(void)!setsockopt(c.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	load(&c, argv[7], key);
	c.burst = argc > 8 ? (uint32_t)atoi(argv[8]) : 0;
	const uint64_t began = now_ms();
	shake_hands(&c, (uint32_t)atoi(argv[6]));
	printf("{\"done\": %u, \"failed\": %u, \"seconds\": %.3f, \"initiations\": %llu, "
	       "\"cookies\": %llu}\n",
		c.up, c.failed, (double)(now_ms() - began - c.paused_ms) / 1000,
		(unsigned long long)c.initiations, (unsigned long long)c.cookies);
	free(c.devices);
	return 0;
}
