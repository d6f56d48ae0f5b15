/* Bodies: prescan, parser and field tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/bodies.h"
#include "api/json_in.h"
#include "directory/directory.h"

/* The service's, so that this test needs no database. */
const char *svc_role_name(enum svc_role r)
{
	return r == SVC_ROLE_ADMIN ? "admin" : "user";
}

int svc_role_parse(const char *text, enum svc_role *out)
{
	if (strcmp(text, "admin") != 0)
		return -EINVAL;
	*out = SVC_ROLE_ADMIN;
	return 0;
}

static struct field_errors errors;
static const char *detail;

/* Parses and, on success, keeps the document for the fields' text. */
static int take(const struct json_schema *schema, const char *text, union body *out, json_t **doc)
{
	json_t *root = NULL;
	const int rc = json_in_read(text, strlen(text), schema, out, &root, &errors, &detail);

	assert_true((rc == 0) == (root != NULL));
	if (doc)
		*doc = root;
	else
		json_decref(root);
	return rc;
}

static int status_of(const struct json_schema *schema, const char *text)
{
	union body b;

	return take(schema, text, &b, NULL);
}

static const char *message_of(const char *field)
{
	for (size_t i = 0; i < errors.n; i++) {
		if (strcmp(errors.list[i].field, field) == 0)
			return errors.list[i].message;
	}
	return NULL;
}

static void prescan_bounds_depth_and_elements(void **state)
{
	char text[4096];

	(void)state;
	for (size_t depth = 1; depth < 2000; depth += depth < 20 ? 1 : 500) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(json_in_prescan(text, 2 * depth), depth <= 16 ? 0 : -EINVAL);
	}
	memset(text, ',', sizeof(text));
	assert_int_equal(json_in_prescan(text, JSON_IN_ELEMENTS), 0);
	assert_int_equal(json_in_prescan(text, JSON_IN_ELEMENTS + 1), -EINVAL);
	assert_int_equal(json_in_prescan("]", 1), -EINVAL);
	assert_int_equal(json_in_prescan("\"[[[[[[[[[[[[[[[[[[[[\"", 22), 0);
	assert_int_equal(json_in_prescan("\"\\\"[[[[[[[[[[[[[[[[[[[[\"", 24), 0);
	assert_int_equal(json_in_prescan("\"\\", 2), 0);
	assert_int_equal(json_in_prescan("", 0), 0);
}

static void refuses_what_is_no_object(void **state)
{
	static const char *const bad[] = {"", " ", "null", "1", "\"a\"", "[]", "{", "}", "{}x",
		"{} {}", "{\"a\"}", "{\"a\":}", "{'a':1}", "{\"a\":1,}", "{\"a\":01}",
		"{\"a\":1e400}", "{\"a\":99999999999999999999999999}", "{\"a\":NaN}",
		"{\"a\":\"\\u0000\"}", "{\"\\u0000\":1}", "{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\\ud800\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xff\"}", "{\"a\":\"\n\"}", "{\"a\":1,\"a\":1}",
		"{\"a\":1,\"\\u0061\":1}", "\xef\xbb\xbf{}", "{/**/}", "{\"a\":tru}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (status_of(&body_login, bad[i]) != 400)
			fail_msg("%s", bad[i]);
		assert_int_equal(errors.n, 0);
		assert_non_null(detail);
	}
}

static void names_every_wrong_field(void **state)
{
	(void)state;
	assert_int_equal(status_of(&body_device_create,
				 "{\"user_id\":\"dev_01081G81860W40J2GB1G6GW3RG\",\"name\":null,"
				 "\"address4\":\"::1\",\"address6\":\"10.0.0.1\",\"enabled\":1,"
				 "\"expires_at\":\"tomorrow\",\"routes\":[],\"id\":\"x\"}"),
		422);
	assert_int_equal(errors.n, 8);
	assert_string_equal(message_of("routes"), "is unknown or can't be set here");
	assert_string_equal(message_of("name"), "must not be null");
	assert_string_equal(message_of("enabled"), "must be true or false");
	assert_non_null(message_of("address4"));
	assert_non_null(message_of("address6"));
	assert_non_null(message_of("expires_at"));
	assert_non_null(message_of("user_id"));
	assert_int_equal(status_of(&body_login, "{}"), 422);
	assert_string_equal(message_of("username"), "is required");
	assert_string_equal(message_of("password"), "is required");
}

static void wrong_types_of_every_field(void **state)
{
	static const struct json_schema *const all[] = {&body_login, &body_user_create,
		&body_user_patch, &body_device_create, &body_device_patch, &body_credential,
		&body_token};
	static const char *const values[] = {"1", "1.5", "[]", "{}", "[\"a\"]"};
	char text[256];

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(all); s++) {
		for (size_t f = 0; f < all[s]->n; f++) {
			const struct json_field *field = &all[s]->fields[f];

			for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
				snprintf(text, sizeof(text), "{\"%s\":%s}", field->name, values[v]);
				assert_int_equal(status_of(all[s], text), 422);
				assert_non_null(message_of(field->name));
			}
			snprintf(text, sizeof(text), "{\"%s\":%s}", field->name,
				field->kind == IN_BOOL ? "\"true\"" : "true");
			assert_int_equal(status_of(all[s], text), 422);
			assert_non_null(message_of(field->name));
		}
	}
}

static void text_is_as_long_as_allowed(void **state)
{
	char name[SVC_NAME_MAX + 2], text[256];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[SVC_NAME_MAX] = '\0';
	snprintf(text, sizeof(text), "{\"name\":\"%s\"}", name);
	assert_int_equal(status_of(&body_token, text), 0);
	snprintf(text, sizeof(text), "{\"name\":\"%sb\"}", name);
	assert_int_equal(status_of(&body_token, text), 422);
	assert_string_equal(message_of("name"), "is longer than 64 bytes");
}

static void null_clears_or_is_absent(void **state)
{
	union body b;

	(void)state;
	assert_int_equal(
		take(&body_user_patch, "{\"email\":null,\"display_name\":null,\"password\":null}",
			&b, NULL),
		0);
	assert_true(b.user.set_email && b.user.set_display_name && b.user.set_password);
	assert_null(b.user.email);
	assert_int_equal(status_of(&body_user_patch, "{\"name\":null}"), 422);
	assert_int_equal(status_of(&body_user_patch, "{\"role\":null}"), 422);
	assert_int_equal(take(&body_device_create,
				 "{\"name\":\"a\",\"address4\":null,\"user_id\":null,"
				 "\"expires_at\":null}",
				 &b, NULL),
		0);
	assert_false(b.device.set_address4 || b.device.set_user_id || b.device.set_enabled);
	assert_true(b.device.set_expires_at);
	assert_int_equal(b.device.expires_at, 0);
	assert_int_equal(status_of(&body_device_patch, "{\"address4\":null}"), 422);
	assert_int_equal(status_of(&body_device_patch, "{\"user_id\":\"usr_\"}"), 422);
	/* The beginning of time is not the same as never. */
	assert_int_equal(
		status_of(&body_device_patch, "{\"expires_at\":\"1970-01-01T00:00:00Z\"}"), 422);
	assert_int_equal(take(&body_user_patch, "{}", &b, NULL), 0);
	assert_false(b.user.set_name || b.user.set_role || b.user.set_disabled);
}

static void values_arrive(void **state)
{
	union body b;
	json_t *doc;

	(void)state;
	assert_int_equal(take(&body_device_create,
				 "{\"user_id\":\"usr_01081G81860W40J2GB1G6GW3RG\","
				 "\"name\":\"\xc3\xa9\",\"address4\":\"10.77.0.9\","
				 "\"address6\":\"fd00::9\",\"enabled\":false,"
				 "\"expires_at\":\"2030-01-01T00:00:00+01:00\"}",
				 &b, &doc),
		0);
	assert_string_equal(b.device.name, "\xc3\xa9");
	assert_int_equal(b.device.user_id.bytes[15], 16);
	assert_int_equal(b.device.address4.bytes[3], 9);
	assert_int_equal(b.device.address6.family, IP_V6);
	assert_true(b.device.set_enabled && !b.device.enabled);
	assert_int_equal(b.device.expires_at, 1893452400000);
	json_decref(doc);
	assert_int_equal(take(&body_credential,
				 "{\"protocol\":\"wireguard\",\"public_key\":"
				 "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=\"}",
				 &b, NULL),
		0);
	assert_int_equal(b.credential.protocol, DIR_WIREGUARD);
	assert_true(b.credential.has_public_key);
	assert_int_equal(b.credential.public_key[0], 1);
	assert_int_equal(b.credential.public_key[31], 2);
	assert_int_equal(take(&body_token, "{\"name\":\"a\",\"role\":\"admin\"}", &b, NULL), 0);
	assert_int_equal(b.token.role, SVC_ROLE_ADMIN);
}

static void keys_and_protocols(void **state)
{
	static const char *const keys[] = {"",
		"AA==", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI",
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAJ=",
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\\n="};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		snprintf(text, sizeof(text), "{\"protocol\":\"wireguard\",\"public_key\":\"%s\"}",
			keys[i]);
		assert_int_equal(status_of(&body_credential, text), 422);
		assert_non_null(message_of("public_key"));
	}
	assert_int_equal(status_of(&body_credential, "{\"protocol\":\"WireGuard\"}"), 422);
	assert_int_equal(status_of(&body_credential, "{\"protocol\":\"openvpn2\"}"), 422);
	assert_int_equal(status_of(&body_credential, "{\"protocol\":\"\"}"), 422);
	assert_string_equal(message_of("protocol"), "is not wireguard or openvpn");
	assert_int_equal(status_of(&body_credential, "{\"protocol\":\"openvpn\"}"), 0);
}

static void a_csr_is_text_of_many_lines(void **state)
{
	static const char head[] = "{\"protocol\":\"openvpn\",\"csr\":\"";
	char *text = malloc(20000);
	union body b;
	json_t *doc;

	(void)state;
	assert_int_equal(
		take(&body_credential,
			"{\"protocol\":\"openvpn\",\"csr\":\"-----BEGIN\\nAA==\\r\\n\"}", &b, &doc),
		0);
	assert_int_equal(b.credential.protocol, DIR_OPENVPN);
	assert_string_equal(b.credential.csr, "-----BEGIN\nAA==\r\n");
	assert_false(b.credential.has_public_key);
	json_decref(doc);
	assert_int_equal(
		take(&body_credential, "{\"protocol\":\"openvpn\",\"csr\":null}", &b, NULL), 0);
	assert_null(b.credential.csr);
	/* A line that is not escaped is no JSON; a NUL would end the text early. */
	snprintf(text, 20000, "%sa\nb\"}", head);
	assert_int_equal(status_of(&body_credential, text), 400);
	snprintf(text, 20000, "%sa\\u0000b\"}", head);
	assert_int_equal(status_of(&body_credential, text), 400);
	for (int n = 8192; n <= 8193; n++) {
		snprintf(text, 20000, "%s%0*d\"}", head, n, 0);
		assert_int_equal(status_of(&body_credential, text), n == 8192 ? 0 : 422);
	}
	assert_string_equal(message_of("csr"), "is longer than 8192 bytes");
	free(text);
}

static void many_and_long_unknown_fields(void **state)
{
	char text[4096];
	size_t n = 1;

	(void)state;
	text[0] = '{';
	for (int i = 0; i < 40; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"x%d\":1", i ? "," : "", i);
	snprintf(text + n, sizeof(text) - n, "}");
	assert_int_equal(status_of(&body_user_patch, text), 422);
	assert_int_equal(errors.n, FIELD_ERRORS_MAX);
	/* A long name is cut between characters, whichever byte the limit falls on. */
	for (size_t shift = 0; shift < 4; shift++) {
		json_t *check;

		n = 2;
		memcpy(text, "{\"", 2);
		for (size_t i = 0; i < shift; i++)
			text[n++] = 'a';
		for (int i = 0; i < 30; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "\xf0\x9f\x94\x91");
		snprintf(text + n, sizeof(text) - n, "\":1}");
		assert_int_equal(status_of(&body_user_patch, text), 422);
		check = json_string(errors.list[0].field);
		assert_non_null(check);
		json_decref(check);
	}
}

static void numbers_lists_and_objects(void **state)
{
	static const struct {
		const char *text, *field, *message;
	} wrong[] = {
		{"{\"mtu\":1279}", "mtu", "must be between 1280 and 9000"},
		{"{\"mtu\":9001}", "mtu", "must be between 1280 and 9000"},
		{"{\"mtu\":1400.0}", "mtu", "must be a whole number"},
		{"{\"mtu\":\"1400\"}", "mtu", "must be a whole number"},
		{"{\"mtu\":true}", "mtu", "must be a whole number"},
		{"{\"mtu\":[]}", "mtu", "must be a whole number"},
		{"{\"keepalive\":-1}", "keepalive", "must be between 0 and 3600"},
		{"{\"dns\":\"9.9.9.9\"}", "dns", "must be a list of at most 4 addresses"},
		{"{\"dns\":{}}", "dns", "must be a list of at most 4 addresses"},
		{"{\"dns\":[\"::1\",\"::2\",\"::3\",\"::4\",\"::5\"]}", "dns",
			"must be a list of at most 4 addresses"},
		{"{\"dns\":[\"9.9.9.9\",\"x\"]}", "dns", "entry 2 is not an address"},
		{"{\"dns\":[null]}", "dns", "entry 1 is not an address"},
		{"{\"dns\":[9]}", "dns", "entry 1 is not an address"},
		{"{\"endpoint\":7}", "endpoint", "must be a string"},
		{"{\"traffic_retention\":3}", "traffic_retention", "must be an object"},
		{"{\"traffic_retention\":[]}", "traffic_retention", "must be an object"},
		{"{\"traffic_retention\":{\"weeks\":1}}", "traffic_retention",
			"has unknown members"},
		{"{\"traffic_retention\":{\"hours\":0}}", "traffic_retention.hours",
			"must be between 1 and 366"},
		{"{\"traffic_retention\":{\"hours\":{}}}", "traffic_retention.hours",
			"must be a whole number"},
		/* A member is one in its object only, and the other way round. */
		{"{\"hours\":1}", "hours", "is unknown or can't be set here"},
		{"{\"traffic_retention.hours\":1}", "traffic_retention.hours",
			"is unknown or can't be set here"},
		{"{\"traffic_retention\":{\"mtu\":1400}}", "traffic_retention",
			"has unknown members"},
	};
	struct svc_settings_change *c;
	union body b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(status_of(&body_settings, wrong[i].text), 422);
		assert_string_equal(message_of(wrong[i].field), wrong[i].message);
	}
	c = &b.settings;
	assert_int_equal(take(&body_settings,
				 "{\"mtu\":1280,\"dns\":[\"9.9.9.9\",\"2620:fe::fe\"],"
				 "\"keepalive\":0,\"traffic_retention\":{\"days\":36525,"
				 "\"minutes\":null}}",
				 &b, NULL),
		0);
	assert_true(c->set_number[SVC_MTU] && c->number[SVC_MTU].there);
	assert_int_equal(c->number[SVC_MTU].n, 1280);
	assert_true(c->set_number[SVC_KEEPALIVE] && c->number[SVC_KEEPALIVE].there);
	assert_true(c->set_dns && c->dns.there);
	assert_int_equal(c->dns.n, 2);
	assert_int_equal(c->dns.list[1].family, IP_V6);
	assert_int_equal(c->number[SVC_TRAFFIC_DAYS].n, 36525);
	assert_true(c->set_number[SVC_TRAFFIC_MINUTES] && !c->number[SVC_TRAFFIC_MINUTES].there);
	assert_false(c->set_number[SVC_TRAFFIC_HOURS] || c->set_endpoint);
	/* null of the object is null of its members; an empty list is a value. */
	assert_int_equal(take(&body_settings,
				 "{\"traffic_retention\":null,\"dns\":[],\"mtu\":null}", &b, NULL),
		0);
	for (size_t i = SVC_TRAFFIC_MINUTES; i <= SVC_TRAFFIC_DAYS; i++)
		assert_true(c->set_number[i] && !c->number[i].there);
	assert_true(c->set_dns && c->dns.there && c->dns.n == 0);
	assert_true(c->set_number[SVC_MTU] && !c->number[SVC_MTU].there);
	assert_int_equal(take(&body_settings, "{\"dns\":null}", &b, NULL), 0);
	assert_true(c->set_dns && !c->dns.there);
	assert_int_equal(take(&body_settings, "{\"traffic_retention\":{}}", &b, NULL), 0);
	assert_false(c->set_number[SVC_TRAFFIC_DAYS]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prescan_bounds_depth_and_elements),
		cmocka_unit_test(refuses_what_is_no_object),
		cmocka_unit_test(names_every_wrong_field),
		cmocka_unit_test(wrong_types_of_every_field),
		cmocka_unit_test(text_is_as_long_as_allowed),
		cmocka_unit_test(null_clears_or_is_absent),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(keys_and_protocols),
		cmocka_unit_test(a_csr_is_text_of_many_lines),
		cmocka_unit_test(many_and_long_unknown_fields),
		cmocka_unit_test(numbers_lists_and_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
