/* Names of offloads and their end. */
#include "io/offloads.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static void names_are_read(void **state)
{
	static const struct {
		const char *text;
		unsigned bits;
	} good[] = {
		{"auto", UAPI_OFFLOAD_ALL},
		{"off", 0},
		{"tun-gso", UAPI_OFFLOAD_TUN_GSO},
		{"udp-gro,tun-gro", UAPI_OFFLOAD_UDP_GRO | UAPI_OFFLOAD_TUN_GRO},
		{"udp-gso,udp-gso", UAPI_OFFLOAD_UDP_GSO},
		{"tun-gso,tun-gro,udp-gso,udp-gro", UAPI_OFFLOAD_ALL},
	};
	static const char *const bad[] = {"", ",", "auto,off", "tun-gso,", ",tun-gso", "tun-gs",
		"tun-gsoo", "tun-gso udp-gso", "AUTO", "none", "tun-gso,,udp-gso"};
	unsigned bits;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		bits = 0x100;
		assert_int_equal(offloads_parse(good[i].text, &bits), 0);
		assert_int_equal(bits, good[i].bits);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		bits = 0x100;
		if (offloads_parse(bad[i], &bits) != -EINVAL || bits != 0x100)
			fail_msg("taken: %s", bad[i]);
	}
}

static void names_are_written(void **state)
{
	char text[OFFLOADS_TEXT];

	(void)state;
	assert_string_equal(offloads_format(0, text), "none");
	assert_string_equal(offloads_format(UAPI_OFFLOAD_UDP_GSO, text), "udp-gso");
	assert_string_equal(
		offloads_format(UAPI_OFFLOAD_ALL, text), "tun-gso,tun-gro,udp-gso,udp-gro");
}

static void what_is_dropped_stays_so(void **state)
{
	struct offloads o;

	(void)state;
	atomic_init(&o.used, UAPI_OFFLOAD_TUN_GSO | UAPI_OFFLOAD_UDP_GSO);
	assert_true(offloads_has(&o, UAPI_OFFLOAD_UDP_GSO));
	assert_false(offloads_has(&o, UAPI_OFFLOAD_UDP_GSO | UAPI_OFFLOAD_UDP_GRO));
	offloads_drop(&o, UAPI_OFFLOAD_UDP_GSO | UAPI_OFFLOAD_UDP_GRO, EIO);
	offloads_drop(&o, UAPI_OFFLOAD_UDP_GSO, EIO);
	assert_false(offloads_has(&o, UAPI_OFFLOAD_UDP_GSO));
	assert_true(offloads_has(&o, UAPI_OFFLOAD_TUN_GSO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read),
		cmocka_unit_test(names_are_written),
		cmocka_unit_test(what_is_dropped_stays_so),
	};

	return cmocka_run_group_tests_name("offloads", tests, NULL, NULL);
}
