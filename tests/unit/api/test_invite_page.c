/* The page that hands a profile over: whatever stands in it, it stays text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/handlers/invite_page.h"
#include "api/memory.h"

static struct svc_issued *issued(const char *profile, const char *filename)
{
	struct svc_issued *i = calloc(1, sizeof(*i));

	snprintf(i->profile, sizeof(i->profile), "%s", profile);
	snprintf(i->profile_filename, sizeof(i->profile_filename), "%s", filename);
	return i;
}

static size_t count(const char *page, const char *what)
{
	size_t n = 0;

	for (; (page = strstr(page, what)); page += strlen(what))
		n++;
	return n;
}

static void text_stays_text(void **state)
{
	static const char *const hostile[] = {"</pre><script>alert(1)</script>", "\" onload=\"x",
		"%s%n%1000000d", "&lt;", "'><img src=x>", "\n\n&&&<<<>>>", ""};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(hostile); k++) {
		struct svc_issued *i = issued(hostile[k], hostile[k]);
		char *page = invite_page_profile(i, NULL);

		assert_non_null(page);
		assert_int_equal(count(page, "<pre "), 1);
		assert_int_equal(count(page, "</pre>"), 1);
		assert_int_equal(count(page, "<script"), 0);
		assert_int_equal(count(page, "<img"), 0);
		assert_int_equal(count(page, "onload=\""), 0);
		assert_int_equal(count(page, "</html>\n"), 1);
		memory_free(page);
		free(i);
	}
}

static void the_longest_profile_has_room(void **state)
{
	struct svc_issued *i = issued("", "laptop.conf");
	static char svg[60000];
	char *page, *pre;

	(void)state;
	memset(i->profile, '&', sizeof(i->profile) - 1);
	memset(svg, 's', sizeof(svg) - 1);
	page = invite_page_profile(i, svg);
	assert_non_null(page);
	pre = strchr(strstr(page, "<pre "), '>') + 1;
	assert_int_equal(strstr(page, "</pre>") - pre, 5 * (sizeof(i->profile) - 1));
	assert_int_equal(count(page, "data:image/svg+xml;base64,c3Nzc3Nz"), 1);
	memory_free(page);
	free(i);
}

/* They live under the policy of every other answer: no script, no style but from our own place. */
static void pages_need_no_exception(void **state)
{
	static const char *const pages[] = {
		invite_page_landing, invite_page_gone, invite_page_later, invite_page_failed};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(pages); k++) {
		assert_int_equal(count(pages[k], "<script"), 0);
		assert_int_equal(count(pages[k], "<style"), 0);
		assert_int_equal(count(pages[k], "style="), 0);
		assert_int_equal(count(pages[k], "://"), 0);
		assert_int_equal(count(pages[k], "href=\"/invite.css\""), 1);
		assert_int_equal(count(pages[k], "<form"), pages[k] == invite_page_landing);
		assert_int_equal(count(pages[k], "</html>\n"), 1);
	}
	assert_int_equal(count(invite_page_css, "url("), 0);
	assert_int_equal(count(invite_page_css, "@import"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays_text),
		cmocka_unit_test(the_longest_profile_has_room),
		cmocka_unit_test(pages_need_no_exception),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
