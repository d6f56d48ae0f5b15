#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "service/service.h"
#include "service/text.h"

static const char *const good_labels[] = {
	"a",
	"laptop",
	"Ann's phone (2nd) <b>$(id);`x`\"%s\\",
	"\xe5\x85\xa5\xe3\x82\x8c\xe5\xad\x90",
	"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", /* an emoji with a joiner */
	"\xf4\x8f\xbf\xbd",
};
static const char *const bad_labels[] = {
	"",
	" a",
	"a ",
	"a\nb",
	"a\rb",
	"a\tb",
	"\x1b[31m",
	"\x7f",
	"\xc2\x80",	/* C1 */
	"\xc2\x85",	/* next line */
	"\xe2\x80\xa8", /* line separator */
	"\xe2\x80\xa9", /* paragraph separator */
	"a\xe2\x80\xae"
	"b", /* right-to-left override */
	"a\xe2\x81\xa6"
	"b",		    /* isolate */
	"\xe2\x80\x8f",	    /* right-to-left mark */
	"\xd8\x9c",	    /* Arabic letter mark */
	"\xe2\x80\x8b",	    /* zero-width space */
	"\xef\xbb\xbf",	    /* byte order mark */
	"\xf3\xa0\x81\x81", /* tag */
	"\xef\xbf\xbf",	    /* noncharacter */
	"\xef\xb7\x90",
	"\xff",
	"\xc0\x80", /* overlong NUL */
	"\xc1\xbf",
	"\xe0\x80\xaf", /* overlong slash */
	"\xf0\x80\x80\xaf",
	"\xed\xa0\x80",	    /* surrogate */
	"\xf4\x90\x80\x80", /* above U+10FFFF */
	"\xf5\x80\x80\x80",
	"\x80",
	"a\xc3", /* one byte short */
	"a\xe2\x80",
	"a\xf0\x9f\x91",
	"\xc3(",
};

static void labels(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good_labels); i++)
		assert_null(text_label_fault(good_labels[i], 64, false));
	for (size_t i = 0; i < ARRAY_SIZE(bad_labels); i++)
		assert_non_null(text_label_fault(bad_labels[i], 64, false));
	assert_null(text_label_fault("", 64, true));
}

static void lengths_in_bytes(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[64] = '\0';
	assert_null(text_label_fault(text, 64, false));
	assert_null(text_user_name_fault(text));
	text[64] = 'a';
	text[65] = '\0';
	assert_non_null(text_label_fault(text, 64, false));
	assert_non_null(text_user_name_fault(text));
	text[65] = 'a';
	text[SVC_PASSWORD_MAX] = '\0';
	assert_null(text_password_fault(text));
	text[SVC_PASSWORD_MAX] = 'a';
	text[SVC_PASSWORD_MAX + 1] = '\0';
	assert_non_null(text_password_fault(text));
	/* Cut in the middle of a character is too long, not half a character. */
	assert_non_null(text_label_fault("aa\xc3\xaf", 3, false));
}

static void user_names(void **state)
{
	static const char *const good[] = {"a", "ann", "Ann.B-c_d@example.org", "0"};
	static const char *const bad[] = {
		"", " ", "a b", "a/b", "a\n", "\xc3\xa4", "a:b", "a+b", "*", "a\"", "a'b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_null(text_user_name_fault(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_non_null(text_user_name_fault(bad[i]));
}

static void emails(void **state)
{
	static const char *const good[] = {
		"", "a@b", "ann+vpn@mail.example.org", "\xc3\xa4@example.org"};
	static const char *const bad[] = {"a", "@", "a@", "@b", "a@b@c", "a b@c", "<a@b>", "a@.b",
		"a@b..c", "a@b.", "a@-b", "a@b-", "a\n@b", "a@b,c@d", "\"a\"@b",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_null(text_email_fault(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_non_null(text_email_fault(bad[i]));
}

static void passwords(void **state)
{
	(void)state;
	assert_null(text_password_fault("12345678"));
	assert_null(text_password_fault(" spaces at both ends are fine "));
	assert_null(text_password_fault("\xd7\xa1\xd7\x99\xd7\xa1\xd7\x9e\xd7\x94"));
	assert_non_null(text_password_fault(""));
	assert_non_null(text_password_fault("1234567"));
	assert_non_null(text_password_fault("1234567\n"));
	assert_non_null(text_password_fault("1234567\xff"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels),
		cmocka_unit_test(lengths_in_bytes),
		cmocka_unit_test(user_names),
		cmocka_unit_test(emails),
		cmocka_unit_test(passwords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
