/* The outer sockets of a configuration, on ports of the loopback that the kernel chose. */
#include "sockets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum { WORKERS = 2 };

static struct endpoint free_port(bool tcp)
{
	struct endpoint at = {0};
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct udp_socket udp = {.fd = -1};
	int fd = -1;

	assert_int_equal(ip_addr_parse(&at.addr, "127.0.0.1"), 0);
	if (tcp)
		assert_int_equal(tcp_open(&at, &fd, 1), 0);
	else
		assert_int_equal(udp_open(&at, &udp, 1), UDP_STEERED);
	assert_int_equal(getsockname(tcp ? fd : udp.fd, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(endpoint_from_sockaddr(&at, (struct sockaddr *)&name), 0);
	if (tcp)
		close(fd);
	udp_close(&udp);
	return at;
}

static struct config a_config(void)
{
	return (struct config){.n_listeners = 2,
		.listeners = {{false, free_port(false)}, {true, free_port(true)}}};
}

static void opens_what_the_listeners_say(void **state)
{
	struct config conf = a_config();
	struct sockets s;
	uint32_t n = WORKERS;
	int tries = 0;

	(void)state;
	sockets_init(&s);
	assert_int_equal(sockets_open(&s, &conf, &n, &tries), 0);
	assert_int_equal(n, WORKERS);
	for (uint32_t w = 0; w < CONFIG_WORKERS; w++) {
		for (uint32_t l = 0; l < CONFIG_LISTENERS; l++) {
			assert_int_equal(s.udp[w * UDP_LISTENERS + l].fd >= 0, w < n && l == 0);
			assert_int_equal(s.tcp[w * TCP_LISTENERS + l] >= 0, w < n && l == 1);
		}
	}
	sockets_close(&s);
	assert_int_equal(s.tcp[1], -1);
	sockets_close(&s);
}

static void a_taken_port_ends_it(void **state)
{
	struct sockets first, second;
	uint32_t n = WORKERS;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct config conf = a_config(), other = a_config();
		int tries = INT_MAX; /* no patience */

		other.listeners[i].at = conf.listeners[i].at;
		sockets_init(&first);
		sockets_init(&second);
		assert_int_equal(sockets_open(&first, &conf, &n, &tries), 0);
		assert_int_equal(sockets_open(&second, &other, &n, &tries), -EADDRINUSE);
		sockets_close(&second);
		sockets_close(&first);
		assert_int_equal(sockets_open(&second, &other, &n, &tries), 0);
		sockets_close(&second);
	}
}

static void patience_ends(void **state)
{
	int tries = 19;

	(void)state;
	assert_false(sockets_try_again(&tries, 0));
	assert_false(sockets_try_again(&tries, -EACCES));
	assert_int_equal(tries, 19);
	assert_true(sockets_try_again(&tries, -EADDRINUSE));
	assert_false(sockets_try_again(&tries, -EADDRINUSE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_what_the_listeners_say),
		cmocka_unit_test(a_taken_port_ends_it),
		cmocka_unit_test(patience_ends),
	};

	log_init(LOG_ERROR, LOG_TEXT);
	return cmocka_run_group_tests_name("sockets", tests, NULL, NULL);
}
