/*
 * Invites and the pages behind their links: looking does nothing, the button opens, refusals
 * have pages of their own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void invites_hand_out_their_link(void **state)
{
	const struct answer *a = request(
		"POST /v1/devices/dev_" ID "/invites", ADMIN, "{\"protocol\":\"wireguard\"}");

	(void)state;
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Location: /v1/invites/inv_" ID "\r\n"));
	assert_non_null(strstr(a->text, "\"url\":\"http://localhost/i/invite_secret\""));
	assert_non_null(strstr(a->text, "\"expires_at\":\"2023-11-14T22:28:20.000Z\""));
	a = request("GET /v1/devices/dev_" ID "/invites", ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"id\":\"inv_" ID "\""));
	assert_non_null(strstr(a->text, "\"used_at\":null,\"credential_id\":null"));
	assert_null(strstr(a->text, "secret"));
	a = request("GET /v1/invites/inv_" ID, ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_null(strstr(a->text, "secret"));
	assert_int_equal(request("DELETE /v1/invites/inv_" ID, ADMIN, NULL)->status, 204);
	assert_int_equal(request("POST /v1/devices/dev_" ID "/invites", ADMIN, "{}")->status, 422);
}

static void links_begin_as_the_setting_says(void **state)
{
	const struct answer *a;

	(void)state;
	another_serves("127.0.0.1:0", (struct api_conf){.public_url = "https://vpn.example.net"});
	a = request("POST /v1/devices/dev_" ID "/invites", ADMIN, "{\"protocol\":\"openvpn\"}");
	assert_non_null(strstr(a->text, "\"url\":\"https://vpn.example.net/i/invite_secret\""));
	the_first_serves();
}

static void looking_at_a_link_does_nothing(void **state)
{
	static char first[65536];
	const struct answer *a = request("GET /i/abc", "", NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	snprintf(first, sizeof(first), "%s", strstr(a->text, "\r\n\r\n"));
	assert_non_null(strstr(first, "<form method=\"post\">"));
	assert_non_null(strstr(a->text, "Content-Type: text/html; charset=utf-8\r\n"));
	assert_non_null(strstr(a->text, "Referrer-Policy: no-referrer\r\n"));
	assert_non_null(strstr(a->text, "Cache-Control: no-store\r\n"));
	assert_null(strstr(first, "script"));
	assert_null(strstr(first, "style="));
	a = request("GET /i/0123456789012345678901234567890123456789012", "", NULL);
	assert_string_equal(first, strstr(a->text, "\r\n\r\n"));
	/* What a messenger appends does not matter. */
	a = request("GET /i/abc?fbclid=x&fbclid=y", "", NULL);
	assert_string_equal(first, strstr(a->text, "\r\n\r\n"));
	assert_int_equal(request("GET /invite.css", "", NULL)->status, 200);
	assert_int_equal(request("GET /i/", "", NULL)->status, 404);
	assert_int_equal(request("GET /i/a/b", "", NULL)->status, 404);
	assert_int_equal(request("PUT /i/abc", "", NULL)->status, 405);
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void the_button_opens_it(void **state)
{
	const struct answer *a = request("POST /i/abc", "", NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_string_equal(fake.name, "abc");
	assert_non_null(strstr(a->text, "PrivateKey = &lt;&amp;&quot;&#39;&gt;\n"));
	assert_non_null(strstr(a->text, "src=\"data:image/svg+xml;base64,PHN2Zy"));
	assert_non_null(strstr(a->text, "download=\"laptop.conf\""));
	assert_non_null(strstr(a->text, "base64,W0ludGVyZmFjZV0KUHJpdmF0ZUtleSA9IDwmIic+Cg==\""));
	assert_non_null(strstr(a->text, "Cache-Control: no-store\r\n"));
	a = request("POST /i/abc", "Content-Type: application/x-www-form-urlencoded\r\n", "");
	assert_int_equal(a->status, 200);
	a = request("POST /i/abc", "Content-Type: application/x-www-form-urlencoded\r\n", "a=b");
	assert_int_equal(a->status, 200);
	a = request("POST /i/abc", "Accept: application/json\r\n", NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"profile\":\"[Interface]"));
	assert_non_null(strstr(a->text, "\"profile_filename\":\"laptop.conf\",\"qr_svg\":\"<svg"));
	fake.openvpn = true;
	a = request("POST /i/abc", "", NULL);
	assert_int_equal(a->status, 200);
	assert_null(strstr(a->text, "<img"));
	assert_int_equal(atomic_load(&fake.calls), 5);
	assert_int_equal(request("POST /i/abc", JSON, "{}")->status, 415);
	assert_int_equal(atomic_load(&fake.calls), 5);
}

/* Our own pages send no referrer, so a browser sends Origin: null with their forms. */
static void only_our_own_page_has_the_button(void **state)
{
	static const struct {
		const char *fields;
		unsigned status;
	} cases[] = {
		{"Origin: http://localhost\r\n", 200},
		{"Origin: null\r\n", 200},
		{"Origin: null\r\nSec-Fetch-Site: same-origin\r\n", 200},
		{"Origin: null\r\nSec-Fetch-Site: cross-site\r\n", 403},
		{"Origin: null\r\nSec-Fetch-Site: same-site\r\n", 403},
		{"Sec-Fetch-Site: cross-site\r\n", 403},
		{"Origin: http://evil.example\r\n", 403},
		{"Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n", 403},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const int before = atomic_load(&fake.calls);
		const struct answer *a = request("POST /i/abc", cases[i].fields, NULL);

		if (a->status != cases[i].status)
			fail_msg("%s: %s", cases[i].fields, a->text);
		assert_int_equal(atomic_load(&fake.calls) - before, a->status == 200);
	}
}

static void refused_links_have_pages(void **state)
{
	static const struct {
		int outcome;
		unsigned status;
		const char *text;
	} cases[] = {{SVC_NOT_FOUND, 404, "no longer valid"}, {SVC_RATE_LIMITED, 429, "Too many"},
		{SVC_FULL, 409, "did not work"}, {-EIO, 500, "did not work"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct answer *a;

		atomic_store(&fake.outcome, cases[i].outcome);
		a = request("POST /i/abc", "", NULL);
		assert_int_equal(a->status, cases[i].status);
		assert_non_null(strstr(a->text, cases[i].text));
		assert_null(strstr(a->text, "PrivateKey"));
		assert_true((cases[i].status == 429) ==
			    (strstr(a->text, "Retry-After: 7\r\n") != NULL));
		a = request("POST /i/abc", "Accept: application/json\r\n", NULL);
		assert_int_equal(a->status, cases[i].status);
		assert_non_null(strstr(a->text, "application/problem+json"));
		assert_null(strstr(a->text, "PrivateKey"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(invites_hand_out_their_link, fresh),
		cmocka_unit_test_setup(links_begin_as_the_setting_says, fresh),
		cmocka_unit_test_setup(looking_at_a_link_does_nothing, fresh),
		cmocka_unit_test_setup(the_button_opens_it, fresh),
		cmocka_unit_test_setup(only_our_own_page_has_the_button, fresh),
		cmocka_unit_test_setup(refused_links_have_pages, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
