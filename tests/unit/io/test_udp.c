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

#include "wire/wg_wire.h"

enum { CAP = 2048, N = 4 };

static struct udp_batch *batch;
static struct offloads offloads;
static uint8_t buffers[UDP_BATCH][CAP];

/* Every test has a batch for one datagram a message, or for runs. */
static int with(unsigned used)
{
	atomic_store(&offloads.used, used);
	return udp_batch_new(&batch, &offloads, CAP);
}

static int plain(void **state)
{
	(void)state;
	return with(0);
}

static int in_runs(void **state)
{
	(void)state;
	return with(UAPI_OFFLOAD_UDP_GSO | UAPI_OFFLOAD_UDP_GRO);
}

static int after(void **state)
{
	(void)state;
	udp_batch_free(batch);
	batch = NULL;
	return 0;
}

static void open_socket(const struct endpoint *at, struct udp_socket *s)
{
	assert_int_equal(udp_open(at, s, 1), UDP_STEERED);
	assert_int_equal(udp_gro_set(s, offloads_has(&offloads, UAPI_OFFLOAD_UDP_GRO)), 0);
}

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

static int wait_receive(const struct udp_socket *s, struct fwd_packet *p)
{
	struct pollfd fd = {.fd = s->fd, .events = POLLIN};

	assert_int_equal(poll(&fd, 1, 2000), 1);
	if (udp_receive(batch, s) <= 0)
		return 0;
	return (int)udp_take(batch, 3, p, UDP_BATCH);
}

static void there_and_back(const char *listen, const char *host, int family)
{
	struct endpoint at = free_port(listen), to;
	struct udp_socket s;
	struct fwd_packet p[UDP_BATCH];
	struct pollfd fd;
	char back[16];
	int client;

	open_socket(&at, &s);
	to = bound_to(&s, host);
	client = client_open(&to);
	assert_int_equal(send(client, "hello", 5, 0), 5);
	assert_int_equal(wait_receive(&s, p), 1);
	assert_int_equal(p[0].len, 5);
	assert_int_equal(p[0].path.listener, 3);
	assert_int_equal(p[0].path.remote.addr.family, family);
	assert_true(ip_addr_equal(&p[0].path.local, &to.addr));

	/* The answer leaves from the address that was asked, or the connected client drops it. */
	memcpy(p[0].data, "there", 5);
	assert_int_equal(udp_send(batch, &s, p, 1), 0);
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
	assert_int_equal(udp_send(batch, &s, p, 1), 0);
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

/* All that has come, in order: how many. */
static uint8_t drain(const struct udp_socket *s, uint8_t from)
{
	struct fwd_packet p[UDP_BATCH];
	uint32_t n;

	while (udp_receive(batch, s) > 0) {
		while ((n = udp_take(batch, 0, p, 7)) > 0) {
			for (uint32_t i = 0; i < n; i++, from++) {
				assert_int_equal(p[i].len, 1);
				assert_int_equal(p[i].data[0], from);
			}
		}
	}
	return from;
}

static void batches_keep_order_and_bounds(void **state)
{
	struct endpoint at = free_port("127.0.0.1");
	struct udp_socket s;
	struct fwd_packet p[UDP_BATCH];
	uint8_t big[CAP + 1] = {0};
	int client;

	(void)state;
	open_socket(&at, &s);
	client = client_open(&at);
	for (uint8_t i = 0; i < 70; i++)
		assert_int_equal(send(client, &i, 1, 0), 1);
	assert_int_equal(drain(&s, 0), 70);
	assert_int_equal(udp_receive(batch, &s), 0);
	assert_int_equal(udp_take(batch, 0, p, UDP_BATCH), 0);
	/* Exactly full is whole, one byte more is nothing. */
	assert_int_equal(send(client, big, CAP, 0), CAP);
	assert_int_equal(send(client, big, CAP + 1, 0), CAP + 1);
	assert_int_equal(send(client, big, 0, 0), 0);
	assert_int_equal(wait_receive(&s, p), 3);
	assert_int_equal(p[0].len, CAP);
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
	assert_int_equal(udp_send(batch, &s, p, 3), 1);
	assert_true(udp_send_one(&s, &p[1].path, "x", 1) < 0);
	assert_int_equal(wait_receive(&s, p), 2);
	assert_true(udp_send_one(&s, &(struct path){0}, "x", 1) < 0);
	udp_close(&s);
}

/* ---- runs ---- */

/* Packets of these lengths, all to one place, each filled with its number. */
static void packets_make(
	struct fwd_packet *p, const uint16_t *lengths, uint32_t n, const struct endpoint *to)
{
	packets_init(p);
	for (uint32_t i = 0; i < n; i++) {
		p[i].len = lengths[i];
		p[i].path.remote = *to;
		memset(p[i].data, (int)i, p[i].len);
	}
}

/* What came is the same, one after the other. Returns: messages that it took. */
static int expect_all(const struct udp_socket *s, const uint16_t *lengths, uint32_t n)
{
	uint32_t got = 0;
	int messages = 0;

	while (got < n) {
		struct fwd_packet p[UDP_BATCH];
		struct pollfd fd = {.fd = s->fd, .events = POLLIN};
		uint32_t some;

		assert_int_equal(poll(&fd, 1, 2000), 1);
		messages += udp_receive(batch, s);
		while ((some = udp_take(batch, 0, p, 5)) > 0) {
			for (uint32_t i = 0; i < some; i++, got++) {
				assert_int_equal(p[i].len, lengths[got]);
				for (uint32_t at = 0; at < p[i].len; at++)
					assert_int_equal(p[i].data[at], (uint8_t)got);
			}
		}
	}
	return messages;
}

static void runs_arrive_whole(void **state)
{
	static const struct {
		uint16_t lengths[12];
		uint32_t n;
		int messages;
	} cases[] = {
		{{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}, 10, 1},
		{{1000, 1000, 1000, 1}, 4, 1},
		{{1000, 999, 1000, 1000, 999, 999}, 6, 3},
		{{1, 2, 3, 4, 5}, 5, 5},
		{{5, 4, 3, 2, 1}, 5, 3},
		{{1500, 1500, 1501, 1501}, 4, 2},
		{{32, 32, 0, 32, 32}, 5, 3},
		{{700}, 1, 1},
	};
	struct endpoint at = free_port("127.0.0.1");
	struct udp_socket s, to;
	struct fwd_packet p[UDP_BATCH];

	(void)state;
	open_socket(&at, &to);
	open_socket(&(struct endpoint){.addr = at.addr}, &s);
	assert_int_equal(udp_gso_probe(&s), 0);
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		packets_make(p, cases[c].lengths, cases[c].n, &at);
		assert_int_equal(udp_send(batch, &s, p, cases[c].n), 0);
		assert_int_equal(expect_all(&to, cases[c].lengths, cases[c].n), cases[c].messages);
	}
	assert_int_equal(atomic_load(&offloads.used), UAPI_OFFLOAD_UDP_GSO | UAPI_OFFLOAD_UDP_GRO);
	udp_close(&s);
	udp_close(&to);
}

/* 64 datagrams of 1452 are two messages, or the kernel would refuse. */
static void runs_end_where_the_kernel_ends_them(void **state)
{
	struct endpoint at = free_port("[::1]");
	struct udp_socket s, to;
	struct fwd_packet p[UDP_BATCH];
	uint16_t lengths[UDP_BATCH];

	(void)state;
	open_socket(&at, &to);
	open_socket(&(struct endpoint){.addr = at.addr}, &s);
	for (int i = 0; i < UDP_BATCH; i++)
		lengths[i] = 1452;
	packets_make(p, lengths, UDP_BATCH, &at);
	assert_int_equal(udp_send(batch, &s, p, UDP_BATCH), 0);
	assert_int_equal(expect_all(&to, lengths, UDP_BATCH), 2);
	for (int i = 0; i < UDP_BATCH; i++)
		lengths[i] = 2;
	packets_make(p, lengths, UDP_BATCH, &at);
	assert_int_equal(udp_send(batch, &s, p, UDP_BATCH), 0);
	assert_int_equal(expect_all(&to, lengths, UDP_BATCH), 1);
	udp_close(&s);
	udp_close(&to);
}

/* Two peers in turn: nobody's datagrams go to the other. */
static void runs_are_of_one_peer(void **state)
{
	struct endpoint at[2] = {free_port("127.0.0.1"), free_port("127.0.0.1")};
	struct udp_socket s, to[2];
	struct fwd_packet p[UDP_BATCH];
	uint16_t lengths[UDP_BATCH];

	(void)state;
	for (int i = 0; i < 2; i++)
		open_socket(&at[i], &to[i]);
	open_socket(&(struct endpoint){.addr = at[0].addr}, &s);
	for (int i = 0; i < 40; i++)
		lengths[i] = 300;
	packets_make(p, lengths, 40, &at[0]);
	for (int i = 20; i < 40; i++) {
		p[i].path.remote = at[1];
		memset(p[i].data, i - 20, 300);
	}
	assert_int_equal(udp_send(batch, &s, p, 40), 0);
	assert_int_equal(expect_all(&to[0], lengths, 20), 1);
	assert_int_equal(expect_all(&to[1], lengths, 20), 1);
	udp_close(&s);
	udp_close(&to[0]);
	udp_close(&to[1]);
}

/* What one by one fails fails in a run, and the next does not suffer. */
static void a_refused_run_is_counted(void **state)
{
	struct endpoint at = free_port("127.0.0.1");
	struct udp_socket s;
	struct fwd_packet p[UDP_BATCH];
	const uint16_t lengths[9] = {100, 100, 100, 100, 100, 100, 100, 100, 100};

	(void)state;
	open_socket(&at, &s);
	packets_make(p, lengths, 9, &at);
	for (int i = 3; i < 6; i++) {
		p[i].path.remote = (struct endpoint){.addr = {.family = IP_V6}, .port = 9};
		p[i].path.remote.addr.bytes[0] = 0x20;
	}
	assert_int_equal(udp_send(batch, &s, p, 9), 3);
	for (int i = 0; i < 6; i++)
		memset(buffers[i < 3 ? i : i + 3], i, 100);
	assert_int_equal(wait_receive(&s, p), 6);
	assert_true(offloads_has(&offloads, UAPI_OFFLOAD_UDP_GSO));
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
		got += wait_receive(&s[worker % N], p);
}

/* Returns: how many of the sockets got some of n datagrams from one address. */
static int holders_of(struct udp_socket *s, const struct endpoint *to, uint8_t first, int n)
{
	const uint8_t m[148] = {first, 1, 2, 3};
	int client = client_open(to), holders = 0, total = 0;

	for (int i = 0; i < n; i++)
		assert_int_equal(send(client, m, sizeof(m), 0), sizeof(m));
	for (int i = 0; i < N; i++) {
		int got = udp_receive(batch, &s[i]);

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
	/* As an index is on the wire: its lowest byte, whose bits a rekey keeps, decides alone. */
	for (uint8_t i = 0; i < 16; i++) {
		uint8_t m[32] = {4};

		wire_put_le32(m + 4, 0xaabbcc00u - 0x01010100u * i + i);
		goes_to(s, &to, m, sizeof(m), i);
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
		cmocka_unit_test_setup_teardown(answers_from_where_it_was_asked, plain, after),
		cmocka_unit_test_setup_teardown(answers_from_where_it_was_asked, in_runs, after),
		cmocka_unit_test_setup_teardown(batches_keep_order_and_bounds, plain, after),
		cmocka_unit_test_setup_teardown(batches_keep_order_and_bounds, in_runs, after),
		cmocka_unit_test_setup_teardown(refusals_are_counted, plain, after),
		cmocka_unit_test_setup_teardown(a_taken_port_is_refused, plain, after),
		cmocka_unit_test_setup_teardown(data_goes_where_its_index_says, plain, after),
		cmocka_unit_test_setup_teardown(runs_arrive_whole, in_runs, after),
		cmocka_unit_test_setup_teardown(
			runs_end_where_the_kernel_ends_them, in_runs, after),
		cmocka_unit_test_setup_teardown(runs_are_of_one_peer, in_runs, after),
		cmocka_unit_test_setup_teardown(a_refused_run_is_counted, in_runs, after),
	};

	return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
