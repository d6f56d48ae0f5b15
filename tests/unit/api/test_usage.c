/* Memory and processor time rise when they are used. */
#include "api/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void rises_with_use(void **state)
{
	enum { BYTES = 64 << 20 };
	struct usage before, after;
	unsigned char *p = malloc(BYTES);

	(void)state;
	assert_non_null(p);
	usage_now(&before);
	assert_true(before.resident_bytes > 100000);
	for (int i = 0; i < 8; i++)
		memset(p, i + 1, BYTES);
	assert_int_equal(p[BYTES / 2], 8);
	usage_now(&after);
	assert_true(after.resident_bytes > before.resident_bytes + BYTES / 2);
	assert_true(after.cpu_ms > before.cpu_ms);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rises_with_use)};

	return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
