/* Tables: alignment, cutting, values. */
#include "api/cli/columns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/cli/text.h"
#include "base/compiler.h"

static const struct column columns[] = {
	{"NAME", "name", COLUMN_TEXT},
	{"BYTES", "live.bytes", COLUMN_BYTES},
	{"UP", "up", COLUMN_YES},
	{"AT", "at", COLUMN_TIME},
};

static char *printed(size_t width, const char *rows)
{
	json_t *doc = json_loads(rows, 0, NULL);
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(doc);
	columns_print(out, width, columns, ARRAY_SIZE(columns), doc);
	fclose(out);
	json_decref(doc);
	return text;
}

static void columns_are_aligned(void **state)
{
	char *text = printed(0, "[{\"name\": \"ann\", \"live\": {\"bytes\": 5}, \"up\": true, "
				"\"at\": \"2026-01-02T03:04:05.678Z\"},"
				" {\"name\": \"\\u65e5\\u672c\", \"live\": {\"bytes\": 1572864}}]");

	(void)state;
	assert_string_equal(text, "NAME    BYTES  UP   AT\n"
				  "ann       5 B  yes  2026-01-02 03:04:05Z\n"
				  "\xe6\x97\xa5\xe6\x9c\xac  1.5 MiB  no   -\n");
	free(text);
}

static void no_line_is_wider_than_the_terminal(void **state)
{
	static const char rows[] =
		"[{\"name\": \"\\u65e5\\u672c\\u8a9e\\u306e\\u540d\\u524d\\u304c\\u9577\\u3044\", "
		"\"live\": {\"bytes\": 5}, \"up\": true, \"at\": \"2026-01-02T03:04:05.678Z\"},"
		"{\"name\": \"a name that is much longer than all of the others\", "
		"\"live\": {\"bytes\": 123456789}, \"up\": false, \"at\": null}]";

	(void)state;
	for (size_t width = 30; width < 90; width++) {
		char *text = printed(width, rows), *rest = text, *line;

		while ((line = strsep(&rest, "\n")) && *line)
			assert_true(text_width(line) <= width);
		free(text);
	}
}

static void what_is_not_there_is_a_dash(void **state)
{
	char *text =
		printed(0, "[{}, {\"name\": {\"x\": 1}, \"live\": 3, \"up\": null, \"at\": 7}]");

	(void)state;
	assert_string_equal(text, "NAME  BYTES  UP  AT\n-         -  no  -\n-         -  no  7\n");
	free(text);
	text = printed(40, "[]");
	assert_string_equal(text, "NAME  BYTES  UP  AT\n");
	free(text);
}

static void hostile_values_stay_in_their_cell(void **state)
{
	char *text = printed(0, "[{\"name\": \"a\\nb\\u001b[31m\", \"at\": \"\\u202e\"}]");

	(void)state;
	assert_non_null(strstr(text, "a\\x0ab\\x1b[31m"));
	assert_non_null(strstr(text, "\\u{202e}"));
	assert_int_equal(strchr(strchr(text, '\n') + 1, '\n')[1], '\0'); /* two lines */
	free(text);
}

static void sizes_and_rates(void **state)
{
	char buf[24];

	(void)state;
	assert_string_equal(columns_bytes(0, buf), "0 B");
	assert_string_equal(columns_bytes(1023, buf), "1023 B");
	assert_string_equal(columns_bytes(1024, buf), "1.0 KiB");
	assert_string_equal(columns_bytes(UINT64_MAX, buf), "16384 PiB");
	assert_string_equal(columns_rate(999, buf), "999 bit/s");
	assert_string_equal(columns_rate(1500000, buf), "1.5 Mbit/s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(no_line_is_wider_than_the_terminal),
		cmocka_unit_test(what_is_not_there_is_a_dash),
		cmocka_unit_test(hostile_values_stay_in_their_cell),
		cmocka_unit_test(sizes_and_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
