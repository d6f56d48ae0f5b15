/*
 * Who may do what: the whole table of routes, logins and their cookies, and what the audit log
 * hears of a refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/bodies.h"
#include "api/routes.h"
#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void path_of(const struct route *r, char *out, size_t cap)
{
	const char *brace = strchr(r->pattern, '{');

	if (!brace)
		snprintf(out, cap, "%s", r->pattern);
	else
		snprintf(out, cap, "%.*s%.3s_" ID "%s", (int)(brace - r->pattern), r->pattern,
			brace + 1, brace + 5);
}

static const char *body_of(const struct route *r)
{
	static const struct {
		const struct json_schema *schema;
		const char *body;
	} bodies[] = {
		{&body_login, "{\"username\":\"a\",\"password\":\"right\"}"},
		{&body_user_create, "{\"name\":\"a\"}"},
		{&body_user_patch, "{}"},
		{&body_device_create, "{\"name\":\"a\"}"},
		{&body_device_patch, "{}"},
		{&body_credential, "{\"protocol\":\"wireguard\"}"},
		{&body_token, "{\"name\":\"a\"}"},
		{&body_invite, "{\"protocol\":\"wireguard\"}"},
		{&body_settings, "{}"},
		{&body_totp_begin, "{\"password\":\"right\"}"},
		{&body_totp_confirm, "{\"totp\":\"123456\"}"},
		{&body_totp_disable, "{\"password\":\"right\",\"totp\":\"123456\"}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		if (bodies[i].schema == r->body)
			return bodies[i].body;
	}
	return NULL;
}

static unsigned try_route(const struct route *r, const char *fields, bool *only_error)
{
	char path[160], line[200];
	const struct answer *a;

	path_of(r, path, sizeof(path));
	snprintf(line, sizeof(line), "%s %s", http_method_name(r->method), path);
	a = request(line, fields, body_of(r));
	*only_error = strstr(a->text, "\r\n\r\n{\"type\":\"about:blank\",\"title\":") != NULL &&
		      strstr(a->text, "usr_") == NULL;
	return a->status;
}

static void every_route_asks_who_is_there(void **state)
{
	static const char *const strangers[] = {"", "Authorization: Bearer nobody\r\n",
		"Authorization: Bearer\r\n", "Authorization: Basic YTpi\r\n",
		"Authorization: Bearer admin admin\r\n", "Authorization: admin\r\n",
		"Cookie: ireko=nobody\r\n", "Cookie: ireko=admin; ireko=admin\r\n",
		"Cookie: __Host-ireko=admin\r\n", "Cookie: xireko=admin\r\n",
		"Cookie: ireko=admin\r\nAuthorization: Bearer nobody\r\n"};

	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		bool only_error;

		if (routes[i].access & ACCESS_PUBLIC)
			continue;
		for (size_t k = routes[i].access & ACCESS_LOCAL ? 1 : 0; k < ARRAY_SIZE(strangers);
			k++) {
			if (try_route(&routes[i], strangers[k], &only_error) != 401 || !only_error)
				fail_msg("%s with %s", routes[i].pattern, strangers[k]);
		}
		assert_int_equal(
			try_route(&routes[i], "Authorization: Bearer broken\r\n", &only_error),
			500);
	}
	assert_int_equal(atomic_load(&fake.calls), 0);
}

static void every_route_asks_for_the_role(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];

		for (unsigned role = 0; role < 4 && !(r->access & ACCESS_PUBLIC); role++) {
			const bool allowed = r->access & access_of_role((enum svc_role)role);
			const int before = atomic_load(&fake.calls);
			char fields[64];
			bool only_error;
			unsigned status;

			snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n",
				svc_role_name((enum svc_role)role));
			status = try_route(r, fields, &only_error);
			if (allowed ? status / 100 != 2 : status != 403 || !only_error)
				fail_msg("%s as %s: %u", r->pattern,
					svc_role_name((enum svc_role)role), status);
			if (!allowed)
				assert_int_equal(atomic_load(&fake.calls), before);
		}
	}
}

static void cookies_need_the_csrf_token(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];
		const bool safe = r->method == HTTP_GET;
		bool only_error;
		unsigned status;

		if (r->access & ACCESS_PUBLIC)
			continue;
		status = try_route(r, "Cookie: a=b; ireko=admin\r\n", &only_error);
		if (safe ? status != 200 : status != 403 || !only_error)
			fail_msg("%s: %u", r->pattern, status);
		if (safe)
			continue;
		assert_int_equal(
			try_route(r, "Cookie: ireko=admin\r\nX-CSRF-Token: no\r\n", &only_error),
			403);
		assert_int_equal(try_route(r,
					 "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n"
					 "Origin: http://evil.example\r\n",
					 &only_error),
			403);
		assert_int_equal(try_route(r,
					 "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n"
					 "Origin: null\r\n",
					 &only_error),
			403);
		assert_int_equal(try_route(r,
					 "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n"
					 "Origin: http://localhost\r\n",
					 &only_error) /
					 100,
			2);
	}
}

static void login_sets_the_cookie(void **state)
{
	const struct answer *a =
		request("POST /v1/login", "", "{\"username\":\"a\",\"password\":\"right\"}");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(
		strstr(a->text, "Set-Cookie: ireko=admin; Path=/; HttpOnly; SameSite=Strict\r\n"));
	assert_non_null(strstr(a->text, "\"csrf_token\":\"csrf\""));
	a = request("POST /v1/login", "", "{\"username\":\"a\",\"password\":\"wrong\"}");
	assert_int_equal(a->status, 401);
	assert_null(strstr(a->text, "Set-Cookie"));
	assert_non_null(strstr(a->text, "\"type\":\"about:blank\""));
	a = request("POST /v1/login", "Origin: http://evil.example\r\n",
		"{\"username\":\"a\",\"password\":\"right\"}");
	assert_int_equal(a->status, 403);
	assert_non_null(strstr(a->text, "\"type\":\"about:blank\""));
	/* The password was right: that alone is told apart. */
	a = request("POST /v1/login", "", "{\"username\":\"a\",\"password\":\"right totp\"}");
	assert_int_equal(a->status, 401);
	assert_non_null(strstr(a->text, "\"type\":\"urn:ireko:problem:totp-required\""));
	assert_null(strstr(a->text, "Set-Cookie"));
	a = request("POST /v1/login", "",
		"{\"username\":\"a\",\"password\":\"right totp\",\"totp\":\"123456\"}");
	assert_int_equal(a->status, 200);
	a = request("POST /v1/login", "",
		"{\"username\":\"a\",\"password\":\"right totp\",\"totp\":\"1234567\"}");
	assert_int_equal(a->status, 422);
	a = request("POST /v1/logout", "Cookie: ireko=admin\r\nX-CSRF-Token: csrf\r\n", NULL);
	assert_int_equal(a->status, 204);
	assert_non_null(strstr(a->text, "Set-Cookie: ireko=; Path=/; HttpOnly; "
					"SameSite=Strict; Max-Age=0\r\n"));
}

/* Whoever refuses a write of somebody who is known: the audit log hears of it, once. */
static void refused_writes_are_told(void **state)
{
	static const char user[] = "Authorization: Bearer user\r\n";

	(void)state;
	assert_int_equal(request("POST /v1/users", user, "{\"name\":\"a\"}")->status, 403);
	assert_int_equal(atomic_load(&fake.refusals), 1);
	assert_string_equal(fake.refused, "3 user.create  - from 127");
	assert_int_equal(request("DELETE /v1/users/usr_" ID "/totp", user, NULL)->status, 403);
	assert_string_equal(fake.refused, "3 totp.reset usr " ID " from 127");
	atomic_store(&fake.outcome, SVC_FORBIDDEN);
	assert_int_equal(request("PATCH /v1/devices/dev_" ID, user, "{}")->status, 403);
	assert_string_equal(fake.refused, "3 device.patch dev " ID " from 127");
	atomic_store(&fake.outcome, SVC_RATE_LIMITED);
	assert_int_equal(request("PATCH /v1/users/usr_" ID, user, "{}")->status, 429);
	assert_string_equal(fake.refused, "8 user.patch usr " ID " from 127");
	assert_int_equal(atomic_load(&fake.refusals), 4);
	/* Neither reads, nor strangers, nor what was refused for another reason. */
	atomic_store(&fake.outcome, SVC_CONFLICT);
	assert_int_equal(request("PATCH /v1/users/usr_" ID, user, "{}")->status, 409);
	assert_int_equal(request("GET /v1/users", user, NULL)->status, 403);
	assert_int_equal(request("POST /v1/users", "", "{\"name\":\"a\"}")->status, 401);
	assert_int_equal(atomic_load(&fake.refusals), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_route_asks_who_is_there, fresh),
		cmocka_unit_test_setup(every_route_asks_for_the_role, fresh),
		cmocka_unit_test_setup(cookies_need_the_csrf_token, fresh),
		cmocka_unit_test_setup(login_sets_the_cookie, fresh),
		cmocka_unit_test_setup(refused_writes_are_told, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
