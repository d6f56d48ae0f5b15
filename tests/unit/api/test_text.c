/* Text that grows over its first piece by any way of adding, and comes out whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/memory.h"
#include "api/text.h"

static void grows_to_any_length(void **state)
{
	struct text t = {.at = NULL};
	static char want[300000];
	size_t len = 0, n = 0;
	char *text;

	(void)state;
	for (unsigned i = 0; n < sizeof(want) - 4096; i++) {
		char piece[4096];
		const size_t some = i * 7 % 3000;

		memset(piece, 'a' + (int)(i % 26), some);
		piece[some] = '\0';
		if (i % 2)
			text_put(&t, piece, some);
		else
			text_add(&t, "%s", piece);
		memcpy(want + n, piece, some);
		n += some;
		assert_int_equal(t.len, n);
		assert_true(!t.at || t.at[t.len] == '\0');
	}
	text = text_take(&t, &len);
	assert_non_null(text);
	assert_int_equal(len, n);
	assert_memory_equal(text, want, n);
	assert_null(t.at);
	memory_free(text);
}

static void every_length_of_the_first_piece(void **state)
{
	(void)state;
	for (int n = 1000; n < 1100; n++) {
		struct text t = {.at = NULL};
		size_t len = 0;
		char *text;

		text_add(&t, "%*d|", n, 7);
		text = text_take(&t, &len);
		assert_int_equal(len, n + 1);
		assert_string_equal(text + n - 1, "7|");
		memory_free(text);
	}
}

static void nothing_is_a_text_too(void **state)
{
	struct text t = {.at = NULL};
	size_t len = 1;
	char *text = text_take(&t, &len);

	(void)state;
	assert_non_null(text);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	memory_free(text);
}

static void a_failure_stays(void **state)
{
	struct text t = {.failed = true};
	size_t len = 0;

	(void)state;
	text_add(&t, "%d", 1);
	text_put(&t, "x", 1);
	assert_int_equal(t.len, 0);
	assert_null(text_take(&t, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_to_any_length),
		cmocka_unit_test(every_length_of_the_first_piece),
		cmocka_unit_test(nothing_is_a_text_too),
		cmocka_unit_test(a_failure_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
