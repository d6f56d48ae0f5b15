/* The route table: what it matches, and what it promises about itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/handlers/handlers.h"
#include "api/routes.h"

/* The table needs an address for each handler, the test none of their insides. */
#define NO_HANDLER(method, pattern, lane, access, query, body, handler)                            \
	void handle_##handler(struct request *rq)                                                  \
	{                                                                                          \
		(void)rq;                                                                          \
	}
ROUTES(NO_HANDLER)
#undef NO_HANDLER

#define ID "01081G81860W40J2GB1G6GW3RG"

static struct match match(enum http_method m, const char *path)
{
	return router_match(m, (struct span){path, strlen(path)});
}

static void finds_every_route(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		const char *brace = strchr(routes[i].pattern, '{');
		char path[128];
		struct match m;

		if (brace && !route_has_id(&routes[i]))
			snprintf(path, sizeof(path), "%.*sany-text_%s",
				(int)(brace - routes[i].pattern), routes[i].pattern, brace + 5);
		else if (brace)
			snprintf(path, sizeof(path), "%.*s%.3s_" ID "%s",
				(int)(brace - routes[i].pattern), routes[i].pattern, brace + 1,
				brace + 5);
		else
			snprintf(path, sizeof(path), "%s", routes[i].pattern);
		m = match(routes[i].method, path);
		assert_ptr_equal(m.route, &routes[i]);
		assert_true(!route_has_id(&routes[i]) || (m.id_ok && m.id.bytes[15] == 16));
		/* One byte more or less is another path. */
		strcat(path, "x");
		m = match(routes[i].method, path);
		assert_true(!m.route || (route_has_id(m.route) && !m.id_ok) ||
			    strstr(m.route->pattern, "{txt}"));
	}
}

static void every_route_is_declared_once_and_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		assert_true(routes[i].access != 0);
		assert_non_null(routes[i].handler);
		assert_true(routes[i].lane < LANE_COUNT);
		/* What changes something is not public, but for the login and the button behind an
		 * invite's link; what reads has no body. */
		if (routes[i].method != HTTP_GET && (routes[i].access & ACCESS_PUBLIC))
			assert_true(strcmp(routes[i].pattern, "/v1/login") == 0 ||
				    strcmp(routes[i].pattern, "/i/{txt}") == 0);
		assert_true(!routes[i].body || routes[i].method == HTTP_POST ||
			    routes[i].method == HTTP_PATCH);
		assert_true(routes[i].method == HTTP_GET || routes[i].lane >= LANE_WRITE);
		/* An auditor reads: nothing but his own way in and out takes his writes, and
		 * what makes that safer. */
		if (routes[i].method != HTTP_GET && (routes[i].access & ACCESS_AUDITOR))
			assert_true(strstr(routes[i].pattern, "logout") ||
				    strstr(routes[i].pattern, "/me/totp"));
		for (size_t k = 0; k < i; k++)
			assert_true(routes[k].method != routes[i].method ||
				    strcmp(routes[k].pattern, routes[i].pattern) != 0);
	}
}

/* The audit log's words: an object and a verb, each the name of one route only. */
static void every_route_has_its_action(void **state)
{
	char name[ACTION_TEXT], other[ACTION_TEXT];

	(void)state;
	for (size_t i = 0; i < n_routes; i++) {
		route_action(&routes[i], name);
		assert_true(strlen(name) < ACTION_TEXT - 1);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_."), strlen(name));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(name, route_action(&routes[k], other));
	}
	assert_string_equal(
		route_action(match(HTTP_DELETE, "/v1/users/usr_" ID "/totp").route, name),
		"totp.reset");
	assert_string_equal(route_action(match(HTTP_POST, "/v1/logout").route, name), "logout");
}

static void refuses_the_rest(void **state)
{
	static const char *const unknown[] = {"", "/v1", "/v1/", "/v1/user", "/v1/users/",
		"/v1/users/usr_" ID "/", "/v1/users//", "/v1/devices/dev_" ID "/credentials/",
		"/v1/devices//credentials", "/V1/users", "/healthz/", "/v1/groups", "/v1/policies"};
	struct match m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		m = match(HTTP_GET, unknown[i]);
		if (m.route || m.status != 404)
			fail_msg("%s", unknown[i]);
	}
	m = match(HTTP_PUT, "/v1/devices");
	assert_int_equal(m.status, 405);
	assert_string_equal(m.allow, "GET, HEAD, POST");
	m = match(HTTP_OPTIONS, "/v1/login");
	assert_int_equal(m.status, 405);
	assert_string_equal(m.allow, "POST");
	m = match(HTTP_HEAD, "/healthz");
	assert_non_null(m.route);
	m = match(HTTP_HEAD, "/v1/login");
	assert_int_equal(m.status, 405);
}

static void any_text_is_taken_as_it_is(void **state)
{
	struct match m = match(HTTP_POST, "/i/Some-_.text");

	(void)state;
	assert_non_null(m.route);
	assert_int_equal(m.text.len, 11);
	assert_memory_equal(m.text.at, "Some-_.text", 11);
	assert_null(match(HTTP_GET, "/i/").route);
	assert_null(match(HTTP_GET, "/i").route);
	assert_null(match(HTTP_GET, "/i/a/").route);
}

static void ids_of_another_kind_are_none(void **state)
{
	static const char *const bad[] = {"/v1/users/dev_" ID, "/v1/users/usr_", "/v1/users/" ID,
		"/v1/users/usr-" ID, "/v1/users/usr_" ID "0", "/v1/users/USR_" ID,
		"/v1/users/usr_01081g81860w40j2gb1g6gw3rg",
		"/v1/users/usr_81081G81860W40J2GB1G6GW3RG",
		"/v1/users/usr_U1081G81860W40J2GB1G6GW3RG", "/v1/users/1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct match m = match(HTTP_GET, bad[i]);

		assert_non_null(m.route);
		if (m.id_ok)
			fail_msg("%s", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_every_route),
		cmocka_unit_test(every_route_is_declared_once_and_whole),
		cmocka_unit_test(every_route_has_its_action),
		cmocka_unit_test(refuses_the_rest),
		cmocka_unit_test(any_text_is_taken_as_it_is),
		cmocka_unit_test(ids_of_another_kind_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
