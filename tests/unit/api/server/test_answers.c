/* What stands in answers: objects, lists, settings, figures, as the contract says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api/server/client.h"
#include "tests/unit/api/server/fake_service.h"

static void objects_as_the_contract_says(void **state)
{
	const struct answer *a;

	(void)state;
	a = request("POST /v1/users", ADMIN, "{\"name\":\"x\",\"role\":\"user\",\"email\":null}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Location: /v1/users/usr_" ID "\r\n"));
	assert_non_null(strstr(a->text, "ETag: \"5\"\r\n"));
	assert_non_null(strstr(a->text, "\"name\":\"ann\\\"<b>\""));
	assert_non_null(strstr(a->text, "\"created_at\":\"2023-11-14T22:13:20.123Z\""));
	assert_non_null(strstr(a->text, "\"email\":null"));
	assert_null(strstr(a->text, "password"));
	assert_true(fake.user.set_name && fake.user.set_role && fake.user.set_email);
	assert_false(fake.user.set_password || fake.user.set_disabled);
	assert_string_equal(fake.name, "x");

	a = request("GET /v1/devices/dev_" ID, ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"address4\":\"10.77.0.2\",\"address6\":null"));
	assert_non_null(strstr(a->text, "\"endpoint\":\"[2001:db8::1]:5\""));
	assert_non_null(strstr(a->text, "\"credentials\":[{\"id\":\"crd_" ID "\""));

	a = request(
		"POST /v1/devices/dev_" ID "/credentials", ADMIN, "{\"protocol\":\"wireguard\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "Location: /v1/credentials/crd_" ID "\r\n"));
	assert_non_null(strstr(a->text, "\"profile\":\"[Interface]\\nPrivateKey = x\\n\""));
	assert_non_null(strstr(a->text, "\"qr_svg\":\"<svg xmlns="));

	a = request("GET /v1/status", ADMIN, NULL);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\"drops\":{\"replay\":3}"));
	assert_non_null(strstr(a->text, "\"aead\":{\"AES-256-GCM\":\"openssl\"}"));
	assert_non_null(strstr(a->text, "\"offloads\":[\"tun-gso\",\"udp-gro\"]"));
	a = request("GET /v1/sessions", ADMIN, NULL);
	assert_non_null(strstr(a->text, "\"cipher\":\"CHACHA20-POLY1305\""));
	assert_non_null(strstr(a->text, "\"next_cursor\":null"));
	a = request("POST /v1/tokens", ADMIN, "{\"name\":\"ci\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "\"token\":\"ireko_secret\""));
}

static void audit_settings_and_second_factors(void **state)
{
	const struct answer *a = request("GET /v1/audit?actor=usr_" ID "&object=dev_" ID
					 "&action=user.create&limit=2",
		ADMIN, NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_memory_equal(&fake.filter.actor, &some_id, sizeof(some_id));
	assert_memory_equal(&fake.filter.object, &some_id, sizeof(some_id));
	assert_string_equal(fake.filter.object_kind, "dev");
	assert_string_equal(fake.filter.action, "user.create");
	assert_non_null(strstr(a->text,
		"{\"sequence\":7,\"at\":\"2023-11-14T22:13:20.000Z\",\"actor\":{\"user_id\":"
		"\"usr_" ID "\",\"name\":\"ann\",\"via\":\"token\",\"token_id\":\"tok_" ID
		"\"},\"from\":\"192.0.2.7\",\"action\":\"user.create\",\"object\":\"usr_" ID
		"\",\"outcome\":\"ok\",\"detail\":\"bob, role user\",\"hash\":\"\"}"));
	assert_non_null(strstr(a->text,
		"{\"sequence\":6,\"at\":null,\"actor\":null,\"from\":null,\"action\":"
		"\"audit.begin\",\"object\":null,\"outcome\":\"ok\",\"detail\":null,"
		"\"hash\":\"ab\"}"));
	assert_non_null(strstr(a->text, "\"next_cursor\":\""));
	assert_int_equal(request("GET /v1/audit?actor=dev_" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?object=usr-" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?object=" ID, ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?action=User", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/audit?action=", ADMIN, NULL)->status, 422);
	assert_int_equal(request("GET /v1/users?action=a", ADMIN, NULL)->status, 422);
	a = request("GET /v1/audit/verify", ADMIN, NULL);
	assert_non_null(strstr(a->text, "{\"ok\":false,\"rows\":5,\"first\":3,\"last\":7,"
					"\"broken_at\":4,\"hash\":\"ab\"}"));

	a = request("GET /v1/settings", ADMIN, NULL);
	assert_non_null(strstr(a->text, "ETag: \"3\"\r\n"));
	assert_non_null(strstr(a->text,
		"{\"endpoint\":\"vpn.example.org\",\"dns\":[\"9.9.9.9\",\"2620:fe::fe\"],\"mtu\":"
		"10,"
		"\"keepalive\":11,\"credential_lifetime_s\":12,\"traffic_retention\":{\"minutes\":"
		"13,"
		"\"hours\":14,\"days\":15},\"audit_retention_days\":16,\"defaults\":{\"endpoint\":"
		"\"192.0.2.1\",\"dns\":[],"));
	assert_non_null(strstr(a->text, "\"credential_lifetime_s\":null"));
	assert_non_null(strstr(a->text, "\"updated_at\":null}"));
	a = request("PATCH /v1/settings", ADMIN "If-Match: \"3\"\r\n",
		"{\"mtu\":1300,\"endpoint\":null}");
	assert_int_equal(a->status, 200);
	assert_int_equal(fake.settings.number[SVC_MTU].n, 1300);
	assert_true(fake.settings.set_endpoint && !fake.settings.endpoint);
	assert_int_equal(
		request("PATCH /v1/settings", ADMIN "If-Match: \"4\"\r\n", "{}")->status, 412);

	a = request("POST /v1/me/totp", ADMIN, "{\"password\":\"x\"}");
	assert_non_null(strstr(a->text, "{\"secret\":\"GEZDGNBV\",\"otpauth_url\":"
					"\"otpauth://totp/Ireko:ann?secret=GEZDGNBV\","
					"\"qr_svg\":\"<svg "));
}

static void openvpn_credentials(void **state)
{
	const struct answer *a;
	char *body;

	(void)state;
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN, "{\"protocol\":\"openvpn\"}");
	assert_int_equal(a->status, 201);
	assert_non_null(strstr(a->text, "\"protocol\":\"openvpn\""));
	assert_non_null(strstr(a->text, "\"profile_filename\":\"laptop.ovpn\""));
	assert_non_null(strstr(a->text, "\"qr_svg\":null"));
	assert_string_equal(fake.csr, "none");
	/* PEM has lines. */
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN,
		"{\"protocol\":\"openvpn\",\"csr\":\"-----BEGIN X-----\\r\\nAAAA\\n\"}");
	assert_int_equal(a->status, 201);
	assert_string_equal(fake.csr, "-----BEGIN X-----\r\nAAAA\n");
	assert_true(asprintf(&body, "{\"protocol\":\"openvpn\",\"csr\":\"%08193d\"}", 0) > 0);
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN, body);
	assert_int_equal(a->status, 422);
	assert_non_null(strstr(a->text, "\"field\":\"csr\""));
	free(body);
	a = request("POST /v1/devices/dev_" ID "/credentials", ADMIN, "{\"protocol\":\"ipsec\"}");
	assert_int_equal(a->status, 422);
	assert_non_null(strstr(a->text, "is not wireguard or openvpn"));
}

static void tunnels_say_how_they_are(void **state)
{
	static const struct {
		uint16_t tls;
		const char *json;
	} cases[] = {{0x0304, "\"tls_version\":\"TLSv1.3\""},
		{0x0303, "\"tls_version\":\"TLSv1.2\""}, {0, "\"tls_version\":null"},
		{0x0302, "\"tls_version\":null"}};
	static const char *const paths[] = {"GET /v1/sessions", "GET /v1/devices/dev_" ID};
	const struct answer *a;

	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(paths); p++) {
		fake.openvpn = false;
		fake.tls = 0;
		a = request(paths[p], ADMIN, NULL);
		assert_non_null(strstr(a->text, "\"protocol\":\"wireguard\""));
		assert_non_null(strstr(a->text, "\"transport\":\"udp\""));
		assert_non_null(strstr(a->text, "\"tls_version\":null"));
		fake.openvpn = true;
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			fake.tls = cases[i].tls;
			a = request(paths[p], ADMIN, NULL);
			assert_int_equal(a->status, 200);
			assert_non_null(strstr(a->text, "\"protocol\":\"openvpn\""));
			assert_non_null(strstr(a->text, "\"transport\":\"tcp\""));
			assert_non_null(strstr(a->text, "\"cipher\":\"AES-256-GCM\""));
			assert_non_null(strstr(a->text, cases[i].json));
		}
	}
}

static void traffic_as_the_contract_says(void **state)
{
	const struct answer *a =
		request("GET /v1/traffic?from=2026-01-02T03:04:05Z&to=2026-01-03T00%3A00%3A00"
			"%2B01:00&step=3600&device_id=dev_" ID,
			ADMIN, NULL);

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text,
		"\r\n\r\n{\"from\":\"2023-11-14T22:13:20.000Z\",\"to\":\"2023-11-14T22:15:20."
		"000Z\","
		"\"step\":60,\"series\":[{\"device_id\":null,\"points\":[]},{\"device_id\":"
		"\"dev_" ID "\",\"points\":[[\"2023-11-14T22:13:20.000Z\",5,18446744073709551615],"
		"[\"2023-11-14T22:14:20.000Z\",5,9223372036854775807]]}]}"));
	assert_true(fake.traffic.has_device_id && !fake.traffic.has_user_id);
	assert_int_equal(fake.traffic.from, 1767323045000);
	assert_int_equal(fake.traffic.to, 1767394800000);
	assert_int_equal(fake.traffic.step, 3600);
	static const struct {
		const char *line, *field;
	} wrong[] = {
		{"GET /v1/traffic?step=7", "step"},
		{"GET /v1/traffic?step=", "step"},
		{"GET /v1/traffic?step=%31%32", "step"},
		{"GET /v1/traffic?from=yesterday", "from"},
		{"GET /v1/traffic?to=2026-13-01T00:00:00Z", "to"},
		{"GET /v1/traffic?device_id=usr_" ID, "device_id"},
		{"GET /v1/traffic?device_id=dev_" ID "&device_id=dev_" ID, "device_id"},
		{"GET /v1/traffic?user_id=x", "user_id"},
		{"GET /v1/traffic?limit=5", "limit"},
		{"GET /v1/traffic?types=traffic", "types"},
		{"GET /v1/events?types=", "types"},
		{"GET /v1/events?types=traffic,", "types"},
		{"GET /v1/events?types=traffic,nothing", "types"},
		{"GET /v1/events?step=1", "step"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char want[64];

		a = request(wrong[i].line, ADMIN, NULL);
		snprintf(want, sizeof(want), "\"errors\":[{\"field\":\"%s\"", wrong[i].field);
		if (a->status != 422 || !strstr(a->text, want))
			fail_msg("%s: %s", wrong[i].line, a->text);
	}
}

static void metrics_for_whoever_may(void **state)
{
	static const struct {
		const char *fields;
		unsigned status;
	} cases[] = {
		{"", 200}, /* from this very machine */
		{ADMIN, 200},
		{"Authorization: Bearer auditor\r\n", 200},
		{"Authorization: Bearer user\r\n", 403},
		{"Authorization: Bearer nobody\r\n", 401},
		{"X-Forwarded-For: 192.0.2.1\r\n", 401},
		{"x-forwarded-for: 127.0.0.1\r\n", 401},
		{"Forwarded: for=192.0.2.1\r\n", 401},
		{"Via: 1.1 proxy\r\n", 401},
		{"X-Real-IP: 192.0.2.1\r\n", 401},
		{"Origin: http://localhost\r\n", 401},
		{"Cookie: ireko=nobody\r\n", 401},
		{"X-Forwarded-For: 192.0.2.1\r\n" ADMIN, 200},
	};
	const struct answer *a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		a = request("GET /metrics", cases[i].fields, NULL);
		if (a->status != cases[i].status)
			fail_msg("%s: %u", cases[i].fields, a->status);
	}
	/* A browser that was told that evil.example is 127.0.0.1. */
	assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")->status, 401);
	assert_int_equal(
		ask("GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n")->status, 401);
	assert_int_equal(ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n")->status, 200);
	a = request("GET /metrics", "", NULL);
	assert_non_null(
		strstr(a->text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(a->text, "\nireko_drops_total{reason=\"replay\"} 3\n"));
	assert_null(strstr(a->text, "reason=\"delivered\""));
	assert_non_null(
		strstr(a->text, "\nireko_sessions{protocol=\"openvpn\",transport=\"tcp\"} 4\n"));
	assert_non_null(strstr(
		a->text, "\nireko_handshakes_total{protocol=\"openvpn\",result=\"refused\"} 8\n"));
	assert_non_null(strstr(a->text, "\nireko_database_schema_version 9\n"));
	assert_non_null(strstr(a->text,
		"\nireko_device_bytes_total{device=\"dev_" ID "\",direction=\"tx\"} 12\n"));
	assert_non_null(strstr(a->text,
		"\nireko_http_requests_total{route=\"/metrics\",method=\"GET\",status=\"4xx\"} "));
	atomic_store(&fake.outcome, -EIO);
	assert_int_equal(request("GET /metrics", "", NULL)->status, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(objects_as_the_contract_says, fresh),
		cmocka_unit_test_setup(audit_settings_and_second_factors, fresh),
		cmocka_unit_test_setup(openvpn_credentials, fresh),
		cmocka_unit_test_setup(tunnels_say_how_they_are, fresh),
		cmocka_unit_test_setup(traffic_as_the_contract_says, fresh),
		cmocka_unit_test_setup(metrics_for_whoever_may, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
