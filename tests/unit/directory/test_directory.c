#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "directory/directory.h"

static struct ulid id_of(uint8_t n)
{
	return (struct ulid){.bytes = {[15] = n}};
}

static struct dir_device_conf device(uint8_t n, uint32_t peer)
{
	return (struct dir_device_conf){.id = id_of(n), .peer = peer};
}

static struct dir_credential_conf credential(uint8_t n, uint8_t dev, uint8_t key)
{
	struct dir_credential_conf c = {
		.id = id_of(n), .device_id = id_of(dev), .protocol = DIR_WIREGUARD};
	memset(c.wg_public, key, sizeof(c.wg_public));
	return c;
}

static struct dir_credential_conf openvpn(uint8_t n, uint8_t dev, uint8_t cert)
{
	struct dir_credential_conf c = {
		.id = id_of(n), .device_id = id_of(dev), .protocol = DIR_OPENVPN};
	memset(c.ovpn_cert, cert, sizeof(c.ovpn_cert));
	memset(c.ovpn_serial, cert, sizeof(c.ovpn_serial));
	return c;
}

static struct directory *filled(void)
{
	struct directory *d;
	assert_int_equal(directory_new(&d), 0);
	const struct dir_device_conf a = device(1, 10), b = device(2, 11);
	const struct dir_credential_conf ca = credential(21, 1, 0xa1),
					 ca2 = credential(22, 1, 0xa2);
	assert_int_equal(directory_device_put(d, &a), 0);
	assert_int_equal(directory_device_put(d, &b), 0);
	assert_int_equal(directory_credential_put(d, &ca), 0);
	assert_int_equal(directory_credential_put(d, &ca2), 0);
	return d;
}

static void finds_by_every_key(void **state)
{
	(void)state;
	struct directory *d = filled();
	const struct dir_credential_conf ca = credential(21, 1, 0xa1);
	assert_int_equal(directory_device_count(d), 2);
	assert_int_equal(directory_device_by_peer(d, 11)->conf.id.bytes[15], 2);
	assert_ptr_equal(directory_credential_by_wg_public(d, ca.wg_public),
		directory_credential(d, &ca.id));
	assert_ptr_equal(
		directory_credential(d, &ca.id)->device, directory_device(d, &ca.device_id));
	directory_free(d);
}

static void refuses_what_is_taken(void **state)
{
	(void)state;
	struct directory *d = filled();
	const struct dir_device_conf other = device(3, 10);
	assert_int_equal(directory_device_put(d, &other), -EEXIST);
	const struct dir_credential_conf same_key = credential(23, 2, 0xa1),
					 orphan = credential(24, 9, 0xbb);
	assert_int_equal(directory_credential_put(d, &same_key), -EEXIST);
	assert_int_equal(directory_credential_put(d, &orphan), -ENOENT);
	assert_null(directory_credential(d, &same_key.id));
	directory_free(d);
}

static void finds_by_certificate(void **state)
{
	(void)state;
	struct directory *d = filled();
	const struct dir_credential_conf c = openvpn(31, 1, 0xc1), other = openvpn(32, 2, 0xc2);
	uint8_t near[32];
	assert_int_equal(directory_credential_put(d, &c), 0);
	assert_int_equal(directory_credential_put(d, &other), 0);
	struct dir_credential *cr = directory_credential_by_ovpn_cert(d, c.ovpn_cert);
	assert_non_null(cr);
	assert_ptr_equal(cr, directory_credential(d, &c.id));
	assert_memory_equal(cr->conf.ovpn_serial, c.ovpn_serial, sizeof(c.ovpn_serial));
	for (size_t i = 0; i < sizeof(near); i++) {
		memcpy(near, c.ovpn_cert, sizeof(near));
		near[i] ^= 1;
		assert_null(directory_credential_by_ovpn_cert(d, near));
	}
	assert_int_equal(directory_credential_del(d, &c.id), 0);
	assert_null(directory_credential_by_ovpn_cert(d, c.ovpn_cert));
	assert_non_null(directory_credential_by_ovpn_cert(d, other.ovpn_cert));
	assert_int_equal(directory_device_del(d, &other.device_id), 0);
	assert_null(directory_credential_by_ovpn_cert(d, other.ovpn_cert));
	directory_free(d);
}

static void a_certificate_is_one_devices(void **state)
{
	(void)state;
	struct directory *d = filled();
	const struct dir_credential_conf c = openvpn(31, 1, 0xc1), theirs = openvpn(33, 2, 0xc1);
	struct dir_credential_conf again = c;
	again.expires_at = 99;
	assert_int_equal(directory_credential_put(d, &c), 0);
	assert_int_equal(directory_credential_put(d, &theirs), -EEXIST);
	assert_null(directory_credential(d, &theirs.id));
	assert_int_equal(directory_credential_put(d, &again), 0);
	assert_int_equal(directory_credential_by_ovpn_cert(d, c.ovpn_cert)->conf.expires_at, 99);
	directory_free(d);
}

/* The fields of the other protocol are zero, and nobody is found by zeros. */
static void the_protocols_do_not_mix(void **state)
{
	(void)state;
	struct directory *d = filled();
	const struct dir_credential_conf a = openvpn(31, 1, 0xa1), b = openvpn(32, 2, 0xa9);
	const uint8_t zero[32] = {0};
	assert_int_equal(directory_credential_put(d, &a), 0);
	assert_int_equal(directory_credential_put(d, &b), 0);
	assert_null(directory_credential_by_ovpn_cert(d, zero));
	assert_null(directory_credential_by_wg_public(d, zero));
	assert_null(directory_credential_by_wg_public(d, b.ovpn_cert));
	assert_int_equal(
		directory_credential_by_wg_public(d, a.ovpn_cert)->conf.protocol, DIR_WIREGUARD);
	assert_int_equal(
		directory_credential_by_ovpn_cert(d, a.ovpn_cert)->conf.protocol, DIR_OPENVPN);
	directory_free(d);
}

static void a_device_takes_its_credentials_along(void **state)
{
	(void)state;
	struct directory *d = filled();
	const struct ulid dev = id_of(1), cr = id_of(21);
	const struct dir_credential_conf ca = credential(21, 1, 0xa1);
	assert_int_equal(directory_device_del(d, &dev), 0);
	assert_null(directory_credential(d, &cr));
	assert_null(directory_credential_by_wg_public(d, ca.wg_public));
	assert_null(directory_device_by_peer(d, 10));
	assert_int_equal(directory_device_del(d, &dev), -ENOENT);
	assert_int_equal(directory_credential_del(d, &cr), -ENOENT);
	directory_free(d);
}

static void a_device_moves_to_another_slot(void **state)
{
	(void)state;
	struct directory *d = filled();
	struct dir_device_conf a = device(1, 77);
	assert_int_equal(directory_device_put(d, &a), 0);
	assert_null(directory_device_by_peer(d, 10));
	assert_ptr_equal(directory_device_by_peer(d, 77), directory_device(d, &a.id));
	assert_non_null(directory_device(d, &a.id)->credentials);
	directory_free(d);
}

/* As expiry does. */
static int delete_some(void *arg, struct dir_device *dev)
{
	struct directory *d = arg;
	if (dev->conf.id.bytes[15] % 2)
		return directory_device_del(d, &dev->conf.id);
	return dev->credentials ? directory_credential_del(d, &dev->credentials->conf.id) : 0;
}

static void a_walk_may_delete_where_it_stands(void **state)
{
	(void)state;
	struct directory *d = filled();
	for (uint8_t i = 10; i < 200; i++) {
		const struct dir_device_conf more = device(i, 100 + i);
		assert_int_equal(directory_device_put(d, &more), 0);
	}
	const size_t before = directory_device_count(d);
	assert_int_equal(directory_each_device(d, delete_some, d), 0);
	assert_int_equal(directory_device_count(d), before / 2);
	directory_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_by_every_key),
		cmocka_unit_test(refuses_what_is_taken),
		cmocka_unit_test(finds_by_certificate),
		cmocka_unit_test(a_certificate_is_one_devices),
		cmocka_unit_test(the_protocols_do_not_mix),
		cmocka_unit_test(a_device_takes_its_credentials_along),
		cmocka_unit_test(a_device_moves_to_another_slot),
		cmocka_unit_test(a_walk_may_delete_where_it_stands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
