/*
 * Many OpenVPN sessions from one place, each with real TLS and a profile of its own.
 *
 *   ovpnload HOST PORT AT_ONCE FOLDER [epochs]      (FOLDER holds 0.ovpn, 1.ovpn, ...)
 *
 * One line of JSON when all handshakes are over, one when a ping through each tunnel was answered
 * or not; with "epochs" the clients announce the epoch data format, and a line follows for each
 * thing that they do with it. Then it keeps the tunnels with a ping every ten seconds until it is
 * ended.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "crypto/epoch.h"
#include "ovpn_client.h"
#include "ovpn_data.h"
#include "ovpn_profile.h"
#include "wire/ovpn_wire.h"

enum { SESSIONS_MAX = 4096, PACKET = 2048, PROFILE = 32768, INNER = 20 + 8 + 32, HAND_MS = 30000 };

enum state { WAITING, SHAKING, UP, FAILED };

struct session {
	enum state state;
	int fd;
	struct ovpn_client *client;
	uint64_t began_ms, took_ms;
	struct ovpn_data data[OVPN_KEY_IDS];
	uint8_t key_id; /* of what is sent */
	struct in_addr own, gateway;
	int answered;
};

static struct session all[SESSIONS_MAX];
static size_t n_all;
static struct sockaddr_in server;
static bool epochs;

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- profiles ---- */

static int load(const char *folder, size_t i)
{
	static char text[PROFILE];
	char path[512];
	struct ovpn_client_conf conf = {.mode = OVPN_CLIENT_V3};

	snprintf(path, sizeof(path), "%s/%zu.ovpn", folder, i);
	FILE *f = fopen(path, "r");
	if (!f)
		return 0;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	if (ovpn_profile_read(&conf, text) != 0)
		die(path);
	conf.peer_info = epochs ? OVPN_CLIENT_PEER_INFO_EPOCH : NULL;
	if (ovpn_client_new(&all[i].client, &conf) != 0)
		die("client");
	SSL_CTX_free(conf.tls);
	return 1;
}

/* ---- handshakes ---- */

static void flush(struct session *s)
{
	uint8_t packet[PACKET];
	size_t n;

	while ((n = ovpn_client_output(s->client, packet, sizeof(packet))) > 0)
		(void)!send(s->fd, packet, n, 0);
}

static void begin(struct session *s)
{
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&server, sizeof(server)) != 0)
		die("socket");
	s->began_ms = now_ms();
	s->state = SHAKING;
	if (ovpn_client_start(s->client, s->began_ms, time(NULL)) != 0)
		die("start");
	flush(s);
}

/* A rekey's are sent with at once: the server has them before we do. */
static void take_keys(struct session *s, const struct ovpn_client_event *e)
{
	s->data[e->key_id] = (struct ovpn_data){.keys = e->keys,
		.epochs = e->epoch,
		.key_id = e->key_id,
		.peer_id = e->peer_id,
		.epoch = 1,
		.id = 1};
	s->key_id = e->key_id;
}

static void take_options(struct session *s, const struct ovpn_client_event *e)
{
	char own[32] = "", gateway[32] = "";
	const char *a = strstr(e->text, "ifconfig "), *b = strstr(e->text, "route-gateway ");

	s->data[0].peer_id = e->peer_id;
	if (!a || !b || sscanf(a, "ifconfig %31[0-9.]", own) != 1 ||
		sscanf(b, "route-gateway %31[0-9.]", gateway) != 1 ||
		inet_aton(own, &s->own) == 0 || inet_aton(gateway, &s->gateway) == 0)
		die("options");
	s->took_ms = now_ms() - s->began_ms;
	s->state = UP;
}

static void on_events(struct session *s)
{
	struct ovpn_client_event e;

	while (ovpn_client_event(s->client, &e)) {
		if (e.kind == OVPN_CLIENT_KEYS)
			take_keys(s, &e);
		else if (e.kind == OVPN_CLIENT_UP)
			take_options(s, &e);
		else if (e.kind == OVPN_CLIENT_TEXT || e.kind == OVPN_CLIENT_FAILED) {
			fprintf(stderr, "ovpnload: %s\n", e.text);
			s->state = FAILED;
		}
	}
}

/* ---- data ---- */

static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

static void echo_write(const struct session *s, uint8_t p[INNER])
{
	memset(p, 0, INNER);
	p[0] = 0x45;
	wire_put_be16(p + 2, INNER);
	p[8] = 64;
	p[9] = 1;
	memcpy(p + 12, &s->own, 4);
	memcpy(p + 16, &s->gateway, 4);
	wire_put_be16(p + 10, checksum(p, 20));
	p[20] = 8;
	wire_put_be16(p + 26, 1);
	wire_put_be16(p + 22, checksum(p + 20, INNER - 20));
}

static void send_sealed(struct session *s, const uint8_t *inner, size_t n)
{
	uint8_t packet[PACKET];
	const size_t len = ovpn_data_seal(&s->data[s->key_id], inner, n, packet);

	if (!len)
		die("seal");
	(void)!send(s->fd, packet, len, 0);
}

static void on_data(struct session *s, uint8_t *p, size_t n)
{
	struct ovpn_data *d = &s->data[ovpn_key_id(p[0])];
	size_t len = 0;
	const uint8_t *text = d->id ? ovpn_data_open(d, p, n, &len) : NULL;

	/* An echo reply to us, under the key that we use. */
	if (text && len >= 28 && text[9] == 1 && text[20] == 0 &&
		memcmp(text + 16, &s->own, 4) == 0 && d->key_id == s->key_id)
		s->answered = 1;
}

static void on_readable(struct session *s)
{
	uint8_t packet[PACKET];
	ssize_t n;

	while ((n = recv(s->fd, packet, sizeof(packet), 0)) > 0) {
		if (ovpn_opcode(packet[0]) == OVPN_DATA_V2)
			on_data(s, packet, (size_t)n);
		else
			(void)ovpn_client_input(s->client, packet, (size_t)n, now_ms());
	}
	on_events(s);
	flush(s);
}

/* One turn over all sockets; ms to wait at most. */
static void turn(int ms)
{
	static struct pollfd fds[SESSIONS_MAX];
	static struct session *whose[SESSIONS_MAX];
	nfds_t n = 0;

	for (size_t i = 0; i < n_all; i++) {
		if (all[i].state != SHAKING && all[i].state != UP)
			continue;
		fds[n] = (struct pollfd){.fd = all[i].fd, .events = POLLIN};
		whose[n++] = &all[i];
	}
	if (poll(fds, n, ms) < 0)
		die("poll");
	for (nfds_t i = 0; i < n; i++) {
		if (fds[i].revents)
			on_readable(whose[i]);
		if (ovpn_client_next_due(whose[i]->client, now_ms()) <= now_ms())
			ovpn_client_tick(whose[i]->client, now_ms());
		on_events(whose[i]);
		flush(whose[i]);
		if (whose[i]->state == SHAKING && now_ms() - whose[i]->began_ms > HAND_MS)
			whose[i]->state = FAILED;
	}
}

static size_t count(enum state state)
{
	size_t n = 0;

	for (size_t i = 0; i < n_all; i++)
		n += all[i].state == state;
	return n;
}

static void shake_hands(size_t at_once)
{
	const uint64_t began = now_ms();
	uint64_t slowest = 0;
	size_t next = 0;

	while (next < n_all || count(SHAKING) > 0) {
		for (size_t under_way = count(SHAKING); next < n_all && under_way < at_once;
			under_way++)
			begin(&all[next++]);
		turn(5);
	}
	for (size_t i = 0; i < n_all; i++)
		slowest = all[i].took_ms > slowest ? all[i].took_ms : slowest;
	printf("{\"sessions\": %zu, \"failed\": %zu, \"seconds\": %.3f, \"slowest_ms\": %llu}\n",
		count(UP), count(FAILED), (double)(now_ms() - began) / 1000,
		(unsigned long long)slowest);
	fflush(stdout);
}

static void ping_all(void)
{
	for (size_t i = 0; i < n_all; i++) {
		uint8_t inner[INNER];

		if (all[i].state != UP)
			continue;
		echo_write(&all[i], inner);
		send_sealed(&all[i], inner, sizeof(inner));
	}
}

static size_t answered(void)
{
	size_t n = 0;

	for (size_t i = 0; i < n_all; i++)
		n += all[i].answered;
	return n;
}

/* Returns: how many had an answer. */
static size_t echo(int wait_ms)
{
	const uint64_t until = now_ms() + (uint64_t)wait_ms;

	for (size_t i = 0; i < n_all; i++)
		all[i].answered = 0;
	ping_all();
	do
		turn(20);
	while (answered() < count(UP) && now_ms() < until);
	return answered();
}

/* ---- epochs ---- */

/* The lowest of what the server has come to under the key in use. */
static uint16_t heard(void)
{
	uint16_t least = UINT16_MAX;

	for (size_t i = 0; i < n_all; i++) {
		const uint16_t h = all[i].data[all[i].key_id].heard;
		if (all[i].state == UP && h < least)
			least = h;
	}
	return least;
}

static void tell(const char *what, size_t got)
{
	printf("{\"what\": \"%s\", \"sent\": %zu, \"answered\": %zu, \"epoch\": %u}\n", what,
		count(UP), got, heard());
	fflush(stdout);
}

static void send_next(uint16_t epoch, uint64_t id)
{
	for (size_t i = 0; i < n_all; i++) {
		struct ovpn_data *d = &all[i].data[all[i].key_id];
		d->epoch = epoch;
		d->id = id;
	}
}

/* All go to that epoch, and ping until the server is there as well. */
static void enter(const char *what, uint16_t epoch)
{
	const uint64_t until = now_ms() + 5000;
	size_t got;

	send_next(epoch, 1);
	do
		got = echo(1000);
	while (heard() < epoch && now_ms() < until);
	tell(what, got);
}

/* One ping each in another epoch, as if it had been held up. All have sent the same so far. */
static void send_in(const char *what, uint16_t epoch, uint64_t id, int wait_ms)
{
	const struct ovpn_data was = all[0].data[all[0].key_id];

	send_next(epoch, id);
	tell(what, echo(wait_ms));
	send_next(was.epoch, was.id);
}

static bool all_have(uint8_t key_id)
{
	for (size_t i = 0; i < n_all; i++)
		if (all[i].state == UP && all[i].key_id != key_id)
			return false;
	return true;
}

static void rekey(void)
{
	const uint64_t until = now_ms() + 5000;

	for (size_t i = 0; i < n_all; i++)
		if (all[i].state == UP)
			ovpn_client_rekey(all[i].client, now_ms());
	while (!all_have(1) && now_ms() < until)
		turn(20);
	tell("rekeyed", all_have(1) ? echo(2000) : 0);
}

static void through_epochs(void)
{
	enter("next", 2);
	enter("jump", 6);
	send_in("late", 2, 1000, 2000);
	send_in("again", 2, 1000, 300);
	send_in("passed over", 4, 1, 300);
	send_in("too far", 11, 1, 300);
	tell("still", echo(2000));
	rekey();
	enter("after the rekey", 3);
}

int main(int argc, char **argv)
{
	epochs = argc == 6 && strcmp(argv[5], "epochs") == 0;
	if (argc != 5 && !epochs) {
		fprintf(stderr, "usage: ovpnload HOST PORT AT_ONCE FOLDER [epochs]\n");
		return 2;
	}
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_aton(argv[1], &server.sin_addr) == 0 || ovpn_wrap_global_init() != 0 ||
		aead_init() != 0 || epoch_init() != 0)
		return 2;
	while (n_all < SESSIONS_MAX && load(argv[4], n_all))
		n_all++;
	shake_hands((size_t)atoi(argv[3]));
	tell("first", echo(3000));
	if (epochs)
		through_epochs();
	for (uint64_t at = now_ms() + 10000;;) {
		turn(100);
		if (now_ms() < at)
			continue;
		at += 10000;
		ping_all();
	}
}
