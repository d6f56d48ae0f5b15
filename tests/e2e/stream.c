/*
 * A packet stream with sequence numbers, both ways at once.
 *
 *   stream connect ADDR PORT RATE SIZE LOG [DEVICE]   starts at once
 *   stream listen  ADDR PORT RATE SIZE LOG            sends to whoever was heard last
 *
 * Each end sends its own numbers at RATE packets a second and logs every packet it receives:
 * number, time sent, time received (u64 each, native, nanoseconds of the monotonic clock, which
 * all namespaces share). SIGUSR1: stop sending, go on receiving until a second of silence, then
 * print what was sent as JSON and exit. An end that was held up does not catch up with a burst.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAGIC = 0x1e40, SIZE_MAX_ = 1400, RECORDS = 4096 };
static const uint64_t SECOND = 1000000000ULL;

static volatile sig_atomic_t stopping;

static void on_stop(int sig)
{
	(void)sig;
	stopping = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct end {
	int fd;
	FILE *log;
	struct sockaddr_storage peer;
	socklen_t peer_len; /* 0: not heard of yet */
	uint64_t sent, failed, first_sent, last_sent, last_received;
	size_t size;
};

static void send_one(struct end *e)
{
	unsigned char p[SIZE_MAX_] = {0};
	uint64_t h[3] = {MAGIC, e->sent, now_ns()};

	memcpy(p, h, sizeof h);
	if (sendto(e->fd, p, e->size, 0, (struct sockaddr *)&e->peer, e->peer_len) < 0) {
		e->failed++; /* an ICMP error of an earlier packet, or no route just now */
		return;
	}
	if (!e->sent)
		e->first_sent = h[2];
	e->last_sent = h[2];
	e->sent++;
}

static void receive_all(struct end *e, int learn)
{
	unsigned char p[2048];
	struct sockaddr_storage from;

	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n =
			recvfrom(e->fd, p, sizeof p, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		uint64_t h[3];

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < (ssize_t)sizeof h)
			continue;
		memcpy(h, p, sizeof h);
		if (h[0] != MAGIC)
			continue;
		uint64_t record[3] = {h[1], h[2], now_ns()};

		e->last_received = record[2];
		fwrite(record, sizeof record, 1, e->log);
		if (learn) {
			e->peer = from;
			e->peer_len = len;
		}
	}
}

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM}, *at;
	struct end e = {0};
	int room = 8 << 20;

	if (argc < 7 || getaddrinfo(argv[2], argv[3], &hints, &at)) {
		fprintf(stderr, "stream: bad arguments\n");
		return 2;
	}
	int listening = !strcmp(argv[1], "listen");
	uint64_t rate = strtoull(argv[4], NULL, 10);

	e.size = strtoul(argv[5], NULL, 10);
	e.log = fopen(argv[6], "wb");
	if (!e.log || !rate || e.size > SIZE_MAX_ || e.size < 24)
		die("arguments");
	e.fd = socket(at->ai_family, SOCK_DGRAM, 0);
	if (e.fd < 0)
		die("socket");
	setsockopt(e.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	setsockopt(e.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	if (argc > 7 &&
		setsockopt(e.fd, SOL_SOCKET, SO_BINDTODEVICE, argv[7], (socklen_t)strlen(argv[7])))
		die("device");
	if (listening) {
		if (bind(e.fd, at->ai_addr, at->ai_addrlen))
			die("bind");
	} else {
		memcpy(&e.peer, at->ai_addr, at->ai_addrlen);
		e.peer_len = at->ai_addrlen;
	}
	freeaddrinfo(at);
	signal(SIGUSR1, on_stop);
	setvbuf(e.log, NULL, _IOFBF, 24 * RECORDS);
	printf("ready\n");
	fflush(stdout);

	uint64_t step = SECOND / rate, next = now_ns(), flushed = 0, stopped = 0;

	for (;;) {
		uint64_t t = now_ns();

		if (stopping && !stopped)
			stopped = t;
		if (stopped && t - stopped > SECOND && t - e.last_received > SECOND)
			break;
		if (t > next + 20 * SECOND / 1000)
			next = t;
		for (; next <= t; next += step)
			if (e.peer_len && !stopped)
				send_one(&e);
		receive_all(&e, listening);
		if (t - flushed > SECOND / 20) {
			fflush(e.log);
			flushed = t;
		}
		t = now_ns();
		struct timespec wait = {0, next > t ? (long)(next - t) : 0};
		struct pollfd p = {.fd = e.fd, .events = POLLIN};

		ppoll(&p, 1, &wait, NULL);
	}
	fclose(e.log);
	printf("{\"sent\": %llu, \"failed\": %llu, \"first_sent\": %llu, \"last_sent\": %llu}\n",
		(unsigned long long)e.sent, (unsigned long long)e.failed,
		(unsigned long long)e.first_sent, (unsigned long long)e.last_sent);
	return 0;
}
