/* What users wrote, on a terminal: width, and what is not let through. */
#include "api/cli/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_plain(const char *text, const char *expect)
{
	char *plain = text_plain(text);

	assert_string_equal(plain, expect);
	free(plain);
}

static void hostile_text_is_shown_not_obeyed(void **state)
{
	(void)state;
	assert_plain("plain", "plain");
	assert_plain("", "");
	assert_plain("\x1b[2J\r\n\t\x7f", "\\x1b[2J\\x0d\\x0a\\x09\\x7f");
	assert_plain("\xc2\x9b"
		     "31m",
		"\\u{9b}31m"); /* CSI in one character */
	assert_plain("\xe2\x80\xaegnp.exe", "\\u{202e}gnp.exe");
	assert_plain("a\xe2\x80\x8b"
		     "b\xef\xbb\xbf",
		"a\\u{200b}b\\u{feff}");
	assert_plain("\xf3\xa0\x80\x81", "\\u{e0001}");
	assert_plain("\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x94\x91 \xc3\xa9",
		"\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x94\x91 \xc3\xa9");
}

static void broken_utf8_is_shown_by_bytes(void **state)
{
	(void)state;
	assert_plain("\xff", "\\xff");
	assert_plain("\xc3", "\\xc3");
	assert_plain("\xe6\x97", "\\xe6\\x97");
	assert_plain("\xc0\xaf", "\\xc0\\xaf");			  /* overlong */
	assert_plain("\xed\xa0\x80", "\\u{d800}");		  /* a surrogate */
	assert_plain("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond the end */
}

static void width_is_what_a_terminal_takes(void **state)
{
	(void)state;
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("\xc3\xa9"), 1);
	assert_int_equal(text_width("e\xcc\x81"), 1); /* combining */
	assert_int_equal(text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4);
	assert_int_equal(text_width("\xf0\x9f\x94\x91"), 2);
}

static void what_fits_ends_at_a_character(void **state)
{
	(void)state;
	assert_int_equal(text_fit("abc", 2), 2);
	assert_int_equal(text_fit("abc", 9), 3);
	assert_int_equal(text_fit("\xe6\x97\xa5\xe6\x9c\xac", 3), 3);
	assert_int_equal(text_fit("\xe6\x97\xa5\xe6\x9c\xac", 1), 0);
	assert_int_equal(text_fit("e\xcc\x81x", 1), 3); /* the accent belongs to it */
}

/* Whatever bytes come, nothing that is not printable goes out. */
static void any_bytes(void **state)
{
	char text[9] = "";

	(void)state;
	for (unsigned n = 1; n < 200000; n++) {
		unsigned x = n * 2654435761U;
		char *plain;

		for (size_t i = 0; i < 8; i++, x = x * 1103515245U + 12345U)
			text[i] = (char)(x >> 16);
		plain = text_plain(text);
		for (const char *p = plain; *p; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
		assert_true(text_fit(plain, 5) <= strlen(plain));
		free(plain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_text_is_shown_not_obeyed),
		cmocka_unit_test(broken_utf8_is_shown_by_bytes),
		cmocka_unit_test(width_is_what_a_terminal_takes),
		cmocka_unit_test(what_fits_ends_at_a_character),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
