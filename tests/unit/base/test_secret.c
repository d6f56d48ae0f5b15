/* Secrets: what is wiped is zero, what differs in one bit differs, what a fork makes is new. */
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_wipe(void **state)
{
	uint8_t buf[40];

	(void)state;
	memset(buf, 0xaa, sizeof(buf));
	secret_wipe(buf, 32);
	assert_true(secret_is_zero(buf, 32));
	assert_int_equal(buf[32], 0xaa);
	secret_wipe(NULL, 0);
}

static struct key32 *wiped;

static void wipe_and_show(struct key32 *k)
{
	key32_wipe(k);
	*wiped = *k;
}

static void test_cleanup_runs_at_the_end_of_the_scope(void **state)
{
	struct key32 seen;

	(void)state;
	memset(&seen, 0xff, sizeof(seen));
	wiped = &seen;
	{
		struct key32 k cleanup(wipe_and_show);

		memset(&k, 0xee, sizeof(k));
		assert_false(secret_is_zero(&k, sizeof(k)));
	}
	assert_true(secret_is_zero(&seen, sizeof(seen)));
}

static void test_equal_sees_every_bit(void **state)
{
	uint8_t a[32] = {0}, b[32] = {0};

	(void)state;
	assert_true(secret_equal(a, b, sizeof(a)));
	assert_true(secret_is_zero(a, sizeof(a)));
	for (unsigned bit = 0; bit < 256; bit++) {
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(secret_equal(a, b, sizeof(a)));
		assert_false(secret_is_zero(b, sizeof(b)));
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(secret_equal(a, b, 0));
	assert_true(secret_is_zero(a, 0));
}

static void test_random_fills_all(void **state)
{
	uint8_t once[4096], again[4096];

	(void)state;
	assert_int_equal(secret_random(once, sizeof(once)), 0);
	assert_int_equal(secret_random(again, sizeof(again)), 0);
	for (size_t i = 0; i < sizeof(once); i += 16)
		assert_memory_not_equal(once + i, again + i, 16);
	assert_int_equal(secret_random(NULL, 0), 0);
}

static void test_random_after_fork(void **state)
{
	uint8_t mine[32], theirs[32];
	int fds[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		int ok = secret_random(theirs, 32) == 0 && write(fds[1], theirs, 32) == 32;

		_exit(ok ? 0 : 1);
	}
	assert_int_equal(secret_random(mine, 32), 0);
	assert_int_equal(read(fds[0], theirs, 32), 32);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_memory_not_equal(mine, theirs, 32);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_cleanup_runs_at_the_end_of_the_scope),
		cmocka_unit_test(test_equal_sees_every_bit),
		cmocka_unit_test(test_random_fills_all),
		cmocka_unit_test(test_random_after_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
