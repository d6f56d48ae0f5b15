/* The TUN device, in a network namespace of its own; skipped without the right to make one. */
#include "io/tun.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

static bool allowed;

static void comes_and_goes(void **state)
{
	int fds[3], more[1];
	char packet[64];

	(void)state;
	if (!allowed)
		skip();
	assert_int_equal(tun_open("probe0", fds, 3), 0);
	assert_true(if_nametoindex("probe0") != 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(read(fds[i], packet, sizeof(packet)), -1);
		assert_int_equal(errno, EAGAIN);
	}
	/* Taken, also by one of the same kind. */
	assert_int_equal(tun_open("probe0", more, 1), -EBUSY);
	assert_int_equal(more[0], -1);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	assert_int_equal(if_nametoindex("probe0"), 0);
	assert_int_equal(tun_open("probe0", more, 1), 0);
	close(more[0]);
}

static void a_name_of_another_kind_is_taken(void **state)
{
	int fds[1];

	(void)state;
	if (!allowed)
		skip();
	assert_int_equal(tun_open("lo", fds, 1), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(a_name_of_another_kind_is_taken),
	};

	allowed = unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
	return cmocka_run_group_tests_name("tun", tests, NULL, NULL);
}
