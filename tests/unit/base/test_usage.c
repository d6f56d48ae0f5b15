/* Memory and processor time rise when they are used. */
#include "base/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void rises_with_use(void **state)
{
	enum { BYTES = 64 << 20 };
	struct usage before, after;
	unsigned char *p = malloc(BYTES);
	const int fd = usage_open();

	(void)state;
	assert_non_null(p);
	assert_true(fd >= 0);
	usage_now(fd, &before);
	assert_true(before.resident_bytes > 100000);
	for (int i = 0; i < 8; i++)
		memset(p, i + 1, BYTES);
	assert_int_equal(p[BYTES / 2], 8);
	usage_now(fd, &after);
	assert_true(after.resident_bytes > before.resident_bytes + BYTES / 2);
	assert_true(after.cpu_ms > before.cpu_ms);
	free(p);
	close(fd);
}

/* Of a machine without /proc. */
static void memory_may_be_unknown(void **state)
{
	int ends[2];
	struct usage u;

	(void)state;
	usage_now(-1, &u);
	assert_int_equal(u.resident_bytes, 0);
	assert_int_equal(pipe(ends), 0);
	usage_now(ends[0], &u);
	assert_int_equal(u.resident_bytes, 0);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rises_with_use),
		cmocka_unit_test(memory_may_be_unknown),
	};

	return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
