#include <errno.h>

#include "db/credential_store.h"
#include "tests/unit/db/dbtest.h"

static int setup(void **state)
{
	struct user_row u = a_user(1, "ann");
	struct device_row d = a_device(1, u.id, "one"), e = a_device(2, u.id, "two");
	struct db_conn *tx;

	dbtest_setup(state);
	tx = begin(*state);
	assert_int_equal(user_insert(tx, &u), 0);
	assert_int_equal(device_insert(tx, &d), 0);
	assert_int_equal(device_insert(tx, &e), 0);
	commit(tx);
	return 0;
}

static struct credential_row a_credential(unsigned n, unsigned device, uint8_t key)
{
	struct credential_row c = {
		.id = id_of(n),
		.device_id = id_of(device),
		.protocol = 1,
		.fingerprint = {key},
		.wg_public = {key},
		.wg_psk = {0xaa, key},
		.wg_psk_len = 61,
		.created_at = 5,
	};

	return c;
}

static void round_trip_and_revoke(void **state)
{
	struct credential_row c = a_credential(1, 1, 7), got;
	struct db_conn *tx = begin(*state);

	c.expires_at = 99;
	assert_int_equal(credential_insert(tx, &c), 0);
	assert_int_equal(credential_get(tx, &c.id, &got), 0);
	assert_memory_equal(got.wg_public, c.wg_public, 32);
	assert_memory_equal(got.wg_psk, c.wg_psk, 61);
	assert_int_equal(got.wg_psk_len, 61);
	assert_int_equal(got.expires_at, 99);
	assert_int_equal(got.revoked_at, 0);
	assert_int_equal(credential_revoke(tx, &c.id, 50), 0);
	assert_int_equal(credential_revoke(tx, &c.id, 51), -ENOENT);
	assert_int_equal(credential_get(tx, &c.id, &got), 0);
	assert_int_equal(got.revoked_at, 50);
	assert_int_equal(got.wg_psk_len, 0);
	commit(tx);
}

static void keys_are_unique_while_unrevoked(void **state)
{
	struct credential_row c = a_credential(1, 1, 7), same = a_credential(2, 2, 7);
	struct db_conn *tx = begin(*state);

	assert_int_equal(credential_wg_public_taken(tx, c.wg_public), 0);
	assert_int_equal(credential_insert(tx, &c), 0);
	assert_int_equal(credential_wg_public_taken(tx, c.wg_public), 1);
	assert_int_equal(credential_insert(tx, &same), -EEXIST);
	assert_int_equal(credential_revoke(tx, &c.id, 50), 0);
	assert_int_equal(credential_wg_public_taken(tx, c.wg_public), 0);
	assert_int_equal(credential_insert(tx, &same), 0);
	commit(tx);
}

static struct credential_row an_openvpn_one(unsigned n, unsigned device, uint8_t serial)
{
	return (struct credential_row){
		.id = id_of(n),
		.device_id = id_of(device),
		.protocol = 2,
		.fingerprint = {0xfe, serial},
		.ovpn_serial = {0x40, [15] = serial},
		.created_at = 5,
	};
}

static void openvpn_round_trip(void **state)
{
	struct credential_row c = an_openvpn_one(1, 1, 7), wg = a_credential(2, 1, 7), got;
	static const uint8_t none[64];
	struct db_conn *tx = begin(*state);

	memset(c.wg_public, 1, sizeof(c.wg_public)); /* is not looked at */
	assert_int_equal(credential_insert(tx, &c), 0);
	assert_int_equal(credential_insert(tx, &wg), 0);
	assert_int_equal(credential_get(tx, &c.id, &got), 0);
	assert_int_equal(got.protocol, 2);
	assert_memory_equal(got.ovpn_serial, c.ovpn_serial, 16);
	assert_memory_equal(got.fingerprint, c.fingerprint, 32);
	assert_memory_equal(got.wg_public, none, 32);
	assert_int_equal(got.wg_psk_len, 0);
	assert_int_equal(credential_wg_public_taken(tx, c.wg_public), 0);
	assert_int_equal(credential_get(tx, &wg.id, &got), 0);
	assert_memory_equal(got.ovpn_serial, none, 16);
	assert_int_equal(credential_revoke(tx, &c.id, 50), 0);
	assert_int_equal(credential_get(tx, &c.id, &got), 0);
	assert_int_equal(got.revoked_at, 50);
	assert_memory_equal(got.ovpn_serial, c.ovpn_serial, 16);
	commit(tx);
}

/* A revoked certificate lives on in somebody's hands. */
static void serials_are_unique_for_ever(void **state)
{
	struct credential_row c = an_openvpn_one(1, 1, 7), same = an_openvpn_one(2, 2, 7),
			      other = an_openvpn_one(3, 2, 8);
	struct db_conn *tx = begin(*state);

	assert_int_equal(credential_insert(tx, &c), 0);
	assert_int_equal(credential_insert(tx, &same), -EEXIST);
	assert_int_equal(credential_insert(tx, &other), 0);
	assert_int_equal(credential_revoke(tx, &c.id, 50), 0);
	assert_int_equal(credential_insert(tx, &same), -EEXIST);
	commit(tx);
}

static void bad_values_are_refused(void **state)
{
	struct credential_row c = a_credential(1, 9, 7), got;
	struct db_conn *tx = begin(*state);

	assert_int_equal(credential_insert(tx, &c), -ENOENT);
	c.device_id = id_of(1);
	c.protocol = 3;
	assert_int_equal(credential_insert(tx, &c), -EINVAL);
	assert_int_equal(credential_get(tx, &c.id, &got), -ENOENT);
	assert_int_equal(credential_revoke(tx, &c.id, 1), -ENOENT);
	db_end(&tx);
}

static void lists_oldest_first(void **state)
{
	struct db_conn *tx = begin(*state);
	struct credential_row rows[8];
	struct ulid one = id_of(1), after = {0};

	for (unsigned i = 6; i > 0; i--) {
		struct credential_row c = a_credential(i, 1 + i % 2, (uint8_t)i);

		assert_int_equal(credential_insert(tx, &c), 0);
	}
	assert_int_equal(credential_list(tx, &one, &after, rows, 8), 3);
	assert_int_equal(rows[0].wg_public[0], 2);
	assert_int_equal(rows[2].wg_public[0], 6);
	after = rows[0].id;
	assert_int_equal(credential_list(tx, &one, &after, rows, 1), 1);
	assert_int_equal(rows[0].wg_public[0], 4);
	assert_int_equal(device_delete(tx, &one), 0);
	assert_int_equal(credential_get(tx, &after, rows), -ENOENT);
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(round_trip_and_revoke),
		T(keys_are_unique_while_unrevoked),
		T(openvpn_round_trip),
		T(serials_are_unique_for_ever),
		T(bad_values_are_refused),
		T(lists_oldest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
