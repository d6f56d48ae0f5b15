/*
 * Answers that are files: the dashboard's, compressed or not and kept by their tags, and a
 * backup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/dashboard.h"
#include "api/reply.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void a_backup_is_a_file(void **state)
{
	const struct answer *a = request("GET /v1/backup", ADMIN, NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "Content-Length: 3\r\n"));
	assert_non_null(strstr(a->text, "Content-Type: application/vnd.sqlite3\r\n"));
	assert_non_null(strstr(a->text, "Content-Disposition: attachment; "
					"filename=\"ireko-20231114T221320Z.db\"\r\n"));
	assert_non_null(strstr(a->text,
		"Repr-Digest: sha-256=:AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n"));
	assert_non_null(strstr(a->text, "\r\n\r\nbbb"));
	wait_for_backups(0);
	atomic_store(&fake.outcome, SVC_RATE_LIMITED);
	a = request("GET /v1/backup", ADMIN, NULL);
	assert_int_equal(a->status, 429);
	assert_non_null(strstr(a->text, "Retry-After: 7\r\n"));
}

static bool says(const struct answer *a, const char *line)
{
	return strstr(a->text, line) != NULL;
}

/* A GET of one of the dashboard's files, in either form; then the same again, by its tag. */
static void ask_for_file(const char *target, const struct dashboard_file *f, bool gzip)
{
	const struct dashboard_bytes *bytes = gzip ? &f->gzip : &f->plain;
	char first[160], fields[128], tag[64], length[64];
	const struct answer *a;

	snprintf(first, sizeof(first), "GET %s", target);
	snprintf(tag, sizeof(tag), "\"%s%s\"", f->hash, gzip ? "-gzip" : "");
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", bytes->len);
	snprintf(fields, sizeof(fields), "%s", gzip ? "Accept-Encoding: br, gzip\r\n" : "");
	a = request(first, fields, NULL);
	assert_int_equal(a->status, 200);
	assert_true(says(a, f->type) && says(a, tag) && says(a, length));
	assert_true(says(a, "Vary: Accept-Encoding\r\n"));
	assert_true(says(a, "Content-Encoding: gzip\r\n") == gzip);
	assert_memory_equal(a->text + a->len - bytes->len, bytes->at, bytes->len);
	snprintf(fields, sizeof(fields), "%sIf-None-Match: %s\r\n",
		gzip ? "Accept-Encoding: gzip\r\n" : "", tag);
	a = request(first, fields, NULL);
	assert_int_equal(a->status, 304);
	assert_true(says(a, tag) && says(a, "Vary: Accept-Encoding\r\n"));
	assert_memory_equal(a->text + a->len - 4, "\r\n\r\n", 4);
	/* The other form's tag is another. */
	snprintf(fields, sizeof(fields), "%sIf-None-Match: %s\r\n",
		gzip ? "" : "Accept-Encoding: gzip\r\n", tag);
	assert_int_equal(request(first, fields, NULL)->status, 200);
}

static void the_dashboard_is_served(void **state)
{
	const struct dashboard_file *f;
	char target[128], first[160];
	size_t n;

	(void)state;
	f = dashboard_files(&n);
	for (size_t i = 0; i < n; i++) {
		const char *cache = i == 0 ? "Cache-Control: no-cache\r\n"
					   : "Cache-Control: public, max-age=31536000, "
					     "immutable\r\n";

		snprintf(target, sizeof(target), "/%s", i == 0 ? "" : f[i].path);
		snprintf(first, sizeof(first), "GET %s", target);
		if (f[i].gzip.len > 0 && f[i].gzip.len < 60000 && f[i].plain.len < 60000)
			ask_for_file(target, &f[i], true);
		if (f[i].plain.len < 60000)
			ask_for_file(target, &f[i], false);
		snprintf(first, sizeof(first), "HEAD %s", target);
		const struct answer *a = ask_head(first);

		assert_int_equal(a->status, 200);
		assert_true(says(a, cache) && says(a, f[i].hash) && says(a, f[i].type));
		assert_false(says(a, "no-store"));
		for (size_t k = 0; k < n_standing_headers; k++)
			assert_true(
				says(a, standing_headers[k].name) != standing_headers[k].tls_only);
	}
	/* Links are passed on with what messengers append. */
	assert_int_equal(request("GET /?utm_source=x&utm_source=x", "", NULL)->status, 200);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void the_dashboard_has_nothing_else(void **state)
{
	static const char *const none[] = {"GET /index.html", "GET /assets", "GET /assets/",
		"GET /assets/x.js", "GET /assets/index.html", "GET /assets/a/b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		const struct answer *a = request(none[i], "Accept-Encoding: gzip\r\n", NULL);

		assert_int_equal(a->status, 404);
		assert_true(says(a, "Content-Type: application/problem+json\r\n"));
		assert_true(says(a, "Cache-Control: no-store\r\n"));
		assert_false(says(a, "Content-Encoding"));
	}
	assert_int_equal(request("GET /assets/..", "", NULL)->status, 400);
	assert_int_equal(request("POST /", "", NULL)->status, 405);
	assert_int_equal(request("DELETE /assets/x.js", "", NULL)->status, 405);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_backup_is_a_file, fresh),
		cmocka_unit_test_setup(the_dashboard_is_served, fresh),
		cmocka_unit_test_setup(the_dashboard_has_nothing_else, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
