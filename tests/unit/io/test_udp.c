/* Outer sockets on the loopback: addresses both ways, steering, errors. */
#include "io/udp.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CAP = 2048, N = 4 };

static struct udp_batch batch;
static uint8_t buffers[UDP_BATCH][CAP];

static struct endpoint bound_to(const struct udp_socket *s, const char *host)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct endpoint e;
	char text[ENDPOINT_TEXT];

	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&name, &len), 0);
	snprintf(text, sizeof(text), "%s:%u", host,
		ntohs(((const struct sockaddr_in *)&name)->sin_port));
	assert_int_equal(endpoint_parse(&e, text), 0);
	return e;
}

/* A free port, as the kernel chooses; sockets that share it are then opened by number. */
static struct endpoint free_port(const char *listen)
{
	struct endpoint at = {0};
	struct udp_socket s;
	char text[ENDPOINT_TEXT];

	snprintf(text, sizeof(text), "%s:1", listen);
	assert_int_equal(endpoint_parse(&at, text), 0);
	at.port = 0;
	assert_int_equal(udp_open(&at, &s, 1), UDP_STEERED);
	at = bound_to(&s, listen);
	udp_close(&s);
	return at;
}

static int client_open(const struct endpoint *to)
{
	struct sockaddr_storage name;
	socklen_t len = endpoint_to_sockaddr6(to, &name);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static void packets_init(struct fwd_packet *p)
{
	for (int i = 0; i < UDP_BATCH; i++)
		p[i] = (struct fwd_packet){.data = buffers[i]};
}

static int wait_receive(const struct udp_socket *s, struct fwd_packet *p, size_t cap)
{
	struct pollfd fd = {.fd = s->fd, .events = POLLIN};

	assert_int_equal(poll(&fd, 1, 2000), 1);
	packets_init(p);
	return udp_receive(&batch, s, 3, p, UDP_BATCH, cap);
}

static void there_and_back(const char *listen, const char *host, int family)
{
	struct endpoint at = free_port(listen), to;
	struct udp_socket s;
	struct fwd_packet p[UDP_BATCH];
	struct pollfd fd;
	char back[16];
	int client;

	assert_int_equal(udp_open(&at, &s, 1), UDP_STEERED);
	to = bound_to(&s, host);
	client = client_open(&to);
	assert_int_equal(send(client, "hello", 5, 0), 5);
	assert_int_equal(wait_receive(&s, p, CAP), 1);
	assert_int_equal(p[0].len, 5);
	assert_int_equal(p[0].path.listener, 3);
	assert_int_equal(p[0].path.remote.addr.family, family);
	assert_true(ip_addr_equal(&p[0].path.local, &to.addr));

	/* The answer leaves from the address that was asked, or the connected client drops it. */
	memcpy(p[0].data, "there", 5);
	assert_int_equal(udp_send(&batch, &s, p, 1), 0);
	fd = (struct pollfd){.fd = client, .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 2000), 1);
	assert_int_equal(recv(client, back, sizeof(back), 0), 5);
	assert_memory_equal(back, "there", 5);
	assert_int_equal(udp_send_one(&s, &p[0].path, "again", 5), 0);
	assert_int_equal(poll(&fd, 1, 2000), 1);
	assert_int_equal(recv(client, back, sizeof(back), 0), 5);
	assert_memory_equal(back, "again", 5);

	/* An address of ours that has gone: the kernel chooses another. */
	assert_int_equal(
		ip_addr_parse(&p[0].path.local, family == IP_V4 ? "192.0.2.99" : "2001:db8::99"),
		0);
	assert_int_equal(udp_send_one(&s, &p[0].path, "moved", 5), 0);
	assert_int_equal(udp_send(&batch, &s, p, 1), 0);
	close(client);
	udp_close(&s);
}

static void answers_from_where_it_was_asked(void **state)
{
	(void)state;
	there_and_back("[::]", "127.0.0.3", IP_V4);
	there_and_back("[::]", "[::1]", IP_V6);
	there_and_back("0.0.0.0", "127.0.0.2", IP_V4);
	there_and_back("[::1]", "[::1]", IP_V6);
	there_and_back("127.0.0.4", "127.0.0.4", IP_V4);
}

static void batches_keep_order_and_bounds(void **state)
{
	struct endpoint at = free_port("127.0.0.1");
	struct udp_socket s;
	struct fwd_packet p[UDP_BATCH];
	uint8_t big[512] = {0};
	int client;

	(void)state;
	assert_int_equal(udp_open(&at, &s, 1), UDP_STEERED);
	client = client_open(&at);
	for (uint8_t i = 0; i < 70; i++)
		assert_int_equal(send(client, &i, 1, 0), 1);
	assert_int_equal(wait_receive(&s, p, CAP), UDP_BATCH);
	for (uint8_t i = 0; i < UDP_BATCH; i++)
		assert_int_equal(p[i].data[0], i);
	assert_int_equal(wait_receive(&s, p, CAP), 6);
	packets_init(p);
	assert_int_equal(udp_receive(&batch, &s, 0, p, UDP_BATCH, CAP), 0);
	/* Exactly full is whole, one byte more is nothing. */
	assert_int_equal(send(client, big, 256, 0), 256);
	assert_int_equal(send(client, big, 257, 0), 257);
	assert_int_equal(send(client, big, 0, 0), 0);
	assert_int_equal(wait_receive(&s, p, 256), 3);
	assert_int_equal(p[0].len, 256);
	assert_int_equal(p[1].len, 0);
	assert_int_equal(p[2].len, 0);
	close(client);
	udp_close(&s);
}

static void refusals_are_counted(void **state)
{
	struct endpoint at = free_port("127.0.0.1");
	struct udp_socket s;
	struct fwd_packet p[UDP_BATCH];

	(void)state;
	assert_int_equal(udp_open(&at, &s, 1), UDP_STEERED);
	packets_init(p);
	for (int i = 0; i < 3; i++) {
		p[i].len = 4;
		p[i].path.remote = at;
	}
	/* An IPv4 socket can't send to IPv6; the others must not suffer. */
	p[1].path.remote = (struct endpoint){.addr = {.family = IP_V6}, .port = 9};
	p[1].path.remote.addr.bytes[0] = 0x20;
	assert_int_equal(udp_send(&batch, &s, p, 3), 1);
	assert_true(udp_send_one(&s, &p[1].path, "x", 1) < 0);
	assert_int_equal(wait_receive(&s, p, CAP), 2);
	assert_true(udp_send_one(&s, &(struct path){0}, "x", 1) < 0);
	udp_close(&s);
}

static void a_taken_port_is_refused(void **state)
{
	struct endpoint at = free_port("[::]"), v4 = at;
	struct udp_socket first[N], second[N];

	(void)state;
	assert_int_equal(udp_open(&at, first, N), UDP_STEERED);
	/* Though they are the same user's, and share the port among themselves. */
	assert_int_equal(udp_open(&at, second, N), -EADDRINUSE);
	v4.addr = (struct ip_addr){.family = IP_V4};
	assert_int_equal(udp_open(&v4, second, 1), -EADDRINUSE);
	for (int i = 0; i < N; i++)
		udp_close(&first[i]);
	assert_int_equal(udp_open(&at, second, 1), UDP_STEERED);
	udp_close(&second[0]);
}

/* The same datagram from five ports; all of them must be worker's, modulo N. */
static void goes_to(const struct udp_socket *s, const struct endpoint *to, const uint8_t *m,
	size_t len, uint32_t worker)
{
	struct fwd_packet p[UDP_BATCH];

	for (int i = 0; i < 5; i++) {
		int client = client_open(to);

		assert_int_equal(send(client, m, len, 0), len);
		close(client);
	}
	for (int got = 0; got < 5;)
		got += wait_receive(&s[worker % N], p, CAP);
}

/* Returns: how many of the sockets got some of n datagrams from one address. */
static int holders_of(struct udp_socket *s, const struct endpoint *to, uint8_t first, int n)
{
	struct fwd_packet p[UDP_BATCH];
	const uint8_t m[148] = {first, 1, 2, 3};
	int client = client_open(to), holders = 0, total = 0;

	for (int i = 0; i < n; i++)
		assert_int_equal(send(client, m, sizeof(m), 0), sizeof(m));
	for (int i = 0; i < N; i++) {
		packets_init(p);
		int got = udp_receive(&batch, &s[i], 0, p, UDP_BATCH, CAP);

		total += got;
		holders += got > 0;
	}
	assert_int_equal(total, n);
	close(client);
	return holders;
}

static void data_goes_where_its_index_says(void **state)
{
	struct endpoint at = free_port("[::]"), to = at;
	struct udp_socket s[N];

	(void)state;
	assert_int_equal(udp_open(&at, s, N), UDP_STEERED);
	assert_int_equal(ip_addr_parse(&to.addr, "127.0.0.1"), 0);
	for (uint8_t index = 0; index < 16; index++) {
		const uint8_t m[32] = {4, 0, 0, 0, 0xaa, 0xbb, 0xcc, index};

		goes_to(s, &to, m, sizeof(m), 0xaabbcc00u + index);
	}
	/* OpenVPN's peer-id, whatever the key id; the opcode is none of it. */
	for (uint8_t i = 0; i < 16; i++) {
		const uint8_t m[32] = {(uint8_t)(0x48 | (i & 7)), 0xfe, i, (uint8_t)(3 * i)};

		goes_to(s, &to, m, sizeof(m), 0xfe0000u + 256u * i + 3u * i);
	}
	/* Others are spread by address, all of one address to one worker. */
	static const uint8_t others[] = {1, 0x20, 0x30, 0x38, 0x40, 0x47, 0x50, 0x5f};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(holders_of(s, &to, others[i], 8), 1);
	for (int i = 0; i < N; i++)
		udp_close(&s[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_from_where_it_was_asked),
		cmocka_unit_test(batches_keep_order_and_bounds),
		cmocka_unit_test(refusals_are_counted),
		cmocka_unit_test(a_taken_port_is_refused),
		cmocka_unit_test(data_goes_where_its_index_says),
	};

	return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
