/* Sockets of both families before anything is done with them. */
#include "io/outer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void each_address_has_its_socket(void **state)
{
	static const struct {
		const char *host;
		bool v4;
		int only6;
	} rows[] = {
		{"0.0.0.0", true, 0}, {"127.0.0.1", true, 0}, {"::", false, 0}, {"::1", false, 1}};
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct endpoint at = {0};
		bool v4, shared = i & 1;
		int fd;

		assert_int_equal(ip_addr_parse(&at.addr, rows[i / 2].host), 0);
		fd = outer_socket(&at, types[i & 1], shared, &v4);
		assert_true(fd >= 0);
		assert_int_equal(v4, rows[i / 2].v4);
		assert_int_equal(option(fd, SOL_SOCKET, SO_TYPE), types[i & 1]);
		assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEPORT), shared);
		if (!v4)
			assert_int_equal(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), rows[i / 2].only6);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(outer_bind(fd, &at, v4), 0);
		close(fd);
	}
}

static void errors_are_told(void **state)
{
	struct endpoint at = {.addr = {IP_V4, {192, 0, 2, 1}}}; /* not an address of ours */
	bool v4;
	int fd = outer_socket(&at, SOCK_STREAM, false, &v4);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(outer_bind(fd, &at, v4), -EADDRNOTAVAIL);
	assert_int_equal(outer_set(fd, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
	close(fd);
	assert_int_equal(outer_bind(fd, &at, v4), -EBADF);
	assert_true(outer_socket(&at, 99, false, &v4) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_has_its_socket),
		cmocka_unit_test(errors_are_told),
	};

	return cmocka_run_group_tests_name("outer", tests, NULL, NULL);
}
