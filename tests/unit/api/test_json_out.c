/* Structs into JSON by tables: each kind, what is null, what stands where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/memory.h"
#include "api/objects.h"
#include "base/compiler.h"
#include "crypto/aead.h"
#include "directory/directory.h"
#include "uapi/uapi.h"

static const struct ulid id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
#define ID "01081G81860W40J2GB1G6GW3RG"

static int adopt(void **state)
{
	(void)state;
	memory_adopt_json();
	return 0;
}

static void assert_says(json_t *doc, const char *text)
{
	char *got = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	assert_non_null(got);
	assert_string_equal(got, text);
	memory_free(got);
	json_decref(doc);
}

static void fields_in_their_order(void **state)
{
	const struct svc_user u = {.id = id,
		.name = "ann",
		.display_name = "\"A\"\n</script>",
		.role = SVC_ROLE_OPERATOR,
		.created_at = 1700000000123,
		.updated_at = 1700000000000};

	(void)state;
	assert_says(json_out(&object_user, &u),
		"{\"id\":\"usr_" ID "\",\"name\":\"ann\",\"display_name\":\"\\\"A\\\"\\n"
		"</script>\",\"email\":null,\"role\":\"operator\",\"disabled\":false,"
		"\"totp\":false,\"created_at\":\"2023-11-14T22:13:20.123Z\","
		"\"updated_at\":\"2023-11-14T22:13:20.000Z\"}");
}

/* The table decides what nothing is. */
static void nothing_is_null_where_it_may_be(void **state)
{
	const struct svc_settings v = {.endpoint = ""};

	(void)state;
	assert_says(json_out(&object_settings_values, &v),
		"{\"endpoint\":\"\",\"dns\":null,\"mtu\":0,\"keepalive\":0,"
		"\"credential_lifetime_s\":null,\"traffic_retention\":{\"minutes\":0,\"hours\":0,"
		"\"days\":0},\"audit_retention_days\":0}");
}

static void some_tunnel(struct device_live *l)
{
	*l = (struct device_live){.session = {.protocol = DIR_OPENVPN,
					  .transport = UAPI_TCP,
					  .cipher = AEAD_AES_128_GCM,
					  .tls = 0x0303,
					  .started_at = 1700000000000},
		.rx_bytes = UINT64_MAX,
		.tx_packets = 7};
}

static void a_tunnel_that_is_gone_shows_nothing(void **state)
{
	struct device_live l;

	(void)state;
	some_tunnel(&l);
	assert_says(json_out(&object_device_status, &l),
		"{\"connected\":false,\"protocol\":null,\"transport\":null,\"cipher\":null,"
		"\"tls_version\":null,\"endpoint\":null,\"connected_since\":null,"
		"\"last_handshake_at\":null,\"rx_bytes\":9223372036854775807,\"tx_bytes\":0,"
		"\"rx_packets\":0,\"tx_packets\":7}");
	l.connected = true;
	assert_says(json_out(&object_device_status, &l),
		"{\"connected\":true,\"protocol\":\"openvpn\",\"transport\":\"tcp\","
		"\"cipher\":\"AES-128-GCM\",\"tls_version\":\"TLSv1.2\",\"endpoint\":null,"
		"\"connected_since\":\"2023-11-14T22:13:20.000Z\",\"last_handshake_at\":null,"
		"\"rx_bytes\":9223372036854775807,\"tx_bytes\":0,\"rx_packets\":0,\"tx_packets\":"
		"7}");
}

static void lists_and_objects_inside(void **state)
{
	struct svc_credential two[2] = {
		{.id = id, .device_id = id, .protocol = DIR_WIREGUARD, .fingerprint = "ab"},
		{.id = id, .device_id = id, .protocol = DIR_OPENVPN, .fingerprint = "cd"}};
	struct svc_device d = {.id = id, .name = "x"};
	json_t *doc;

	(void)state;
	doc = json_out(&object_device, &d);
	assert_int_equal(json_array_size(json_object_get(doc, "credentials")), 0);
	assert_true(json_is_object(json_object_get(doc, "status")));
	json_decref(doc);
	d.credentials = two;
	d.n_credentials = ARRAY_SIZE(two);
	doc = json_out(&object_device, &d);
	assert_says(json_incref(json_object_get(doc, "credentials")),
		"[{\"id\":\"crd_" ID "\",\"device_id\":\"dev_" ID "\",\"protocol\":\"wireguard\","
		"\"fingerprint\":\"ab\",\"created_at\":null,\"expires_at\":null,"
		"\"revoked_at\":null},{\"id\":\"crd_" ID "\",\"device_id\":\"dev_" ID
		"\",\"protocol\":\"openvpn\",\"fingerprint\":\"cd\",\"created_at\":null,"
		"\"expires_at\":null,\"revoked_at\":null}]");
	json_decref(doc);
}

/* Not UTF-8: it can't be JSON, and half an object is none. */
static void what_cant_be_made_is_null(void **state)
{
	const struct svc_user u = {.id = id, .name = "\xff"};

	(void)state;
	assert_null(json_out(&object_user, &u));
	assert_null(json_out_list(&object_user, &u, 1));
}

/* Every table is whole: what it refers to is there, and what it reads lies inside of its struct. */
static void tables_are_whole(void **state)
{
#define OBJECT_ROW(name) &object_##name,
	static const struct json_object *const all[] = {OBJECTS(OBJECT_ROW)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		for (size_t k = 0; k < all[i]->n; k++) {
			const struct json_out_field *f = &all[i]->fields[k];
			const bool refers = f->kind == OUT_OBJECT || f->kind == OUT_LIST;

			assert_true(f->kind < OUT_KINDS && strlen(f->about) > 5);
			assert_int_equal(refers, f->of != NULL);
			assert_true(f->at == OUT_NOWHERE || f->at < all[i]->size);
			assert_true(f->at == OUT_NOWHERE || !(f->flags & OUT_OPTIONAL));
			for (size_t j = 0; j < k; j++)
				assert_string_not_equal(all[i]->fields[j].name, f->name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_in_their_order),
		cmocka_unit_test(nothing_is_null_where_it_may_be),
		cmocka_unit_test(a_tunnel_that_is_gone_shows_nothing),
		cmocka_unit_test(lists_and_objects_inside),
		cmocka_unit_test(what_cant_be_made_is_null),
		cmocka_unit_test(tables_are_whole),
	};

	return cmocka_run_group_tests(tests, adopt, NULL);
}
