/* The dashboard's files as they were compiled in, and who gets which of their two forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/dashboard.h"

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static uint32_t little(const char *at)
{
	const uint8_t *p = (const uint8_t *)at;

	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* RFC 1952 8 */
static uint32_t crc32_of(struct dashboard_bytes b)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < b.len; i++) {
		crc ^= (uint8_t)b.at[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void packed_is_the_same_and_shorter(void **state)
{
	const struct dashboard_file *f;
	size_t n, sum = 0;

	(void)state;
	f = dashboard_files(&n);
	for (size_t i = 0; i < n; i++) {
		const struct dashboard_bytes *z = &f[i].gzip;

		assert_true(f[i].plain.len > 0);
		sum += z->len ? z->len : f[i].plain.len;
		if (!z->len)
			continue;
		assert_true(z->len < f[i].plain.len);
		assert_memory_equal(z->at, "\x1f\x8b\x08", 3);
		assert_int_equal(little(z->at + z->len - 8), crc32_of(f[i].plain));
		assert_int_equal(little(z->at + z->len - 4), f[i].plain.len);
	}
	print_message("# %zu files, %zu bytes over the wire\n", n, sum);
	assert_true(sum <= 150 * 1000);
}

/* The page comes first, and what it asks for is there. Nothing stands in it that the policy of
 * every answer forbids. */
static void the_page_finds_its_parts(void **state)
{
	const struct dashboard_file *f;
	char page[8192];
	size_t n, parts = 0;

	(void)state;
	f = dashboard_files(&n);
	assert_string_equal(f[0].path, "index.html");
	assert_string_equal(f[0].type, "text/html; charset=utf-8");
	assert_true(f[0].plain.len < sizeof(page));
	memcpy(page, f[0].plain.at, f[0].plain.len);
	page[f[0].plain.len] = '\0';
	for (const char *p = page; (p = strstr(p, "/assets/")); parts++) {
		p += strlen("/assets/");
		assert_non_null(dashboard_asset((struct span){p, strcspn(p, "\"'> ")}));
	}
	assert_true(parts >= 2);
	assert_null(strstr(page, "style="));
	assert_null(strstr(page, "<style"));
	assert_null(strstr(page, "<script>"));
	assert_null(strstr(page, "http:"));
	assert_null(strstr(page, "https:"));
}

static void assets_by_name(void **state)
{
	static const char *const none[] = {"", "index.html", "x", "assets/", "../index.html"};
	const struct dashboard_file *f;
	size_t n;

	(void)state;
	f = dashboard_files(&n);
	for (size_t i = 1; i < n; i++) {
		const char *name = strchr(f[i].path, '/') + 1;
		struct span s = span_of(name);

		assert_ptr_equal(dashboard_asset(s), &f[i]);
		s.len--;
		assert_null(dashboard_asset(s));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(f[k].hash, f[i].hash);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_null(dashboard_asset(span_of(none[i])));
}

static void who_takes_gzip(void **state)
{
	static const char *const yes[] = {"gzip", "GZIP", "x-gzip", "deflate, gzip, br", "gzip;q=1",
		"gzip;q=0.001", "gzip; q=1.0", "br;q=1, gzip ; q=0.5", "*", "*;q=0.1", "gzip;",
		"identity, *", ",,gzip,,", "\tgzip\t"};
	static const char *const no[] = {"", "identity", "br", "gzip2", "agzip", "gzip;q=0",
		"gzip;q=0.000", "gzip;q=0, *", "*, gzip;q=0", "*;q=0", "gzip;q",
		"gzip;q=", "gzip;q=x", "gzip;q=0x1", "gzip;q=0.0.1", "gzip;x=1", "gzip;q=2", ";",
		",", "gzip gzip", "g zip"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(dashboard_takes_gzip(span_of(yes[i])));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(dashboard_takes_gzip(span_of(no[i])));
	assert_false(dashboard_takes_gzip((struct span){NULL, 0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_is_the_same_and_shorter),
		cmocka_unit_test(the_page_finds_its_parts),
		cmocka_unit_test(assets_by_name),
		cmocka_unit_test(who_takes_gzip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
