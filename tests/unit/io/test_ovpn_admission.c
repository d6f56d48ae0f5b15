/* Every opcode at every length, the two budgets, and that neither is another's. */
#include "io/ovpn_admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "uapi/uapi.h"
#include "wire/ovpn_wire.h"

static const uint64_t T0 = 1000000;
enum { BOTH = UAPI_OPENVPN_V2 | UAPI_OPENVPN_V3, WKC = 299, RESET_V3 = 54 + WKC };

static int setup(void **state)
{
	if (ovpn_admission_new((struct ovpn_admission **)state) != 0)
		return -1;
	ovpn_admission_serve(*state, BOTH);
	return 0;
}

static int teardown(void **state)
{
	ovpn_admission_free(*state);
	return 0;
}

static struct endpoint at(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(&e, text), 0);
	return e;
}

/* A packet of that length that ends with that length of a wrapped key. */
static enum ovpn_admission_outcome check_key(
	struct ovpn_admission *a, enum ovpn_opcode opcode, size_t len, size_t wkc)
{
	const struct endpoint from = at("192.0.2.1:1194");
	uint8_t m[2100] = {ovpn_first(opcode, 0)};

	if (len >= 2)
		wire_put_be16(m + len - 2, (uint16_t)wkc);
	/* Far apart, so that no budget is touched. */
	static uint64_t now = 1000000;

	return ovpn_admission_check(a, m, len, &from, now += 1000);
}

static enum ovpn_admission_outcome knock(
	struct ovpn_admission *a, enum ovpn_opcode opcode, const char *from, uint64_t now)
{
	const struct endpoint e = at(from);
	uint8_t m[RESET_V3] = {ovpn_first(opcode, 0)};

	wire_put_be16(m + sizeof(m) - 2, WKC);
	return ovpn_admission_check(a, m, sizeof(m), &e, now);
}

static void the_wrapper_must_have_room(void **state)
{
	static const enum ovpn_opcode plain[] = {
		OVPN_SOFT_RESET, OVPN_CONTROL, OVPN_ACK, OVPN_RESET_CLIENT_V2};

	for (size_t i = 0; i < 4; i++) {
		for (size_t len = OVPN_CONTROL_MIN; len <= 1700; len++)
			assert_int_equal(check_key(*state, plain[i], len, 0),
				len >= OVPN_WRAP_HEAD + 1 && len <= UAPI_DATAGRAM_MAX
					? OVPN_ADMISSION_PASS
					: OVPN_ADMISSION_MALFORMED);
	}
}

static void the_wrapped_key_must_fit(void **state)
{
	static const enum ovpn_opcode keyed[] = {OVPN_RESET_CLIENT_V3, OVPN_CONTROL_WKC};

	for (int i = 0; i < 2; i++) {
		/* What clients send. */
		assert_int_equal(check_key(*state, keyed[i], RESET_V3, WKC), OVPN_ADMISSION_PASS);
		for (size_t len = OVPN_CONTROL_MIN; len <= 1500; len++) {
			bool fits = len >= OVPN_WRAP_HEAD + 1 + WKC;

			assert_int_equal(check_key(*state, keyed[i], len, WKC),
				fits ? OVPN_ADMISSION_PASS : OVPN_ADMISSION_MALFORMED);
		}
		for (size_t wkc = 0; wkc <= UINT16_MAX; wkc += wkc < 1100 ? 1 : 1000) {
			bool fits = wkc >= OVPN_WKC_MIN && wkc <= OVPN_WKC_MAX;

			assert_int_equal(check_key(*state, keyed[i], 1500, wkc),
				fits ? OVPN_ADMISSION_PASS : OVPN_ADMISSION_MALFORMED);
		}
	}
}

static void only_what_is_served(void **state)
{
	static const struct {
		enum ovpn_opcode opcode;
		uint8_t wants; /* any of these */
	} rows[] = {
		{OVPN_SOFT_RESET, BOTH},
		{OVPN_CONTROL, BOTH},
		{OVPN_ACK, BOTH},
		{OVPN_RESET_CLIENT_V2, UAPI_OPENVPN_V2},
		{OVPN_RESET_CLIENT_V3, UAPI_OPENVPN_V3},
		{OVPN_CONTROL_WKC, UAPI_OPENVPN_V3},
	};

	for (uint8_t served = 0; served <= BOTH; served++) {
		ovpn_admission_serve(*state, served);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			assert_int_equal(knock(*state, rows[i].opcode, "192.0.2.9:1", T0),
				served & rows[i].wants ? OVPN_ADMISSION_PASS
						       : OVPN_ADMISSION_NOT_CONFIGURED);
	}
}

static void nobody_is_served_before_it_is_said(void **state)
{
	struct ovpn_admission *a;

	(void)state;
	assert_int_equal(ovpn_admission_new(&a), 0);
	assert_int_equal(
		knock(a, OVPN_RESET_CLIENT_V3, "192.0.2.9:1", T0), OVPN_ADMISSION_NOT_CONFIGURED);
	assert_int_equal(knock(a, OVPN_CONTROL, "192.0.2.9:1", T0), OVPN_ADMISSION_NOT_CONFIGURED);
	ovpn_admission_free(a);
}

static void drain(struct ovpn_admission *a, enum ovpn_opcode opcode, const char *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(knock(a, opcode, from, T0), OVPN_ADMISSION_PASS);
	assert_int_equal(knock(a, opcode, from, T0), OVPN_ADMISSION_LIMITED);
}

static void resets_do_not_push_out_handshakes(void **state)
{
	drain(*state, OVPN_RESET_CLIENT_V3, "192.0.2.1:1", OVPN_ADMISSION_RESET_BURST);
	/* The other reset is one as well; another port is the same prefix. */
	assert_int_equal(
		knock(*state, OVPN_RESET_CLIENT_V2, "192.0.2.1:2", T0), OVPN_ADMISSION_LIMITED);
	drain(*state, OVPN_CONTROL, "192.0.2.1:1", OVPN_ADMISSION_BURST);
	assert_int_equal(knock(*state, OVPN_ACK, "192.0.2.1:1", T0), OVPN_ADMISSION_LIMITED);
	assert_int_equal(
		knock(*state, OVPN_CONTROL_WKC, "192.0.2.1:1", T0), OVPN_ADMISSION_LIMITED);
	/* Nor the other way round, nor anybody else. */
	assert_int_equal(knock(*state, OVPN_RESET_CLIENT_V3, "192.0.2.1:1",
				 T0 + 1000 / OVPN_ADMISSION_RESET_RATE),
		OVPN_ADMISSION_PASS);
	assert_int_equal(knock(*state, OVPN_CONTROL, "192.0.2.2:1", T0), OVPN_ADMISSION_PASS);
	assert_int_equal(
		knock(*state, OVPN_RESET_CLIENT_V3, "192.0.2.2:1", T0), OVPN_ADMISSION_PASS);
}

static void malformed_and_unwanted_ones_cost_nothing(void **state)
{
	const struct endpoint from = at("192.0.2.1:1");
	const uint8_t bare[OVPN_CONTROL_MIN] = {ovpn_first(OVPN_RESET_CLIENT_V2, 0)};

	ovpn_admission_serve(*state, UAPI_OPENVPN_V3);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(ovpn_admission_check(*state, bare, sizeof(bare), &from, T0),
			OVPN_ADMISSION_MALFORMED);
		assert_int_equal(knock(*state, OVPN_RESET_CLIENT_V2, "192.0.2.1:1", T0),
			OVPN_ADMISSION_NOT_CONFIGURED);
	}
	drain(*state, OVPN_RESET_CLIENT_V3, "192.0.2.1:1", OVPN_ADMISSION_RESET_BURST);
}

/* From spoofed sources, each once: what gets through is bounded, and of resets only. */
static void the_last_resort(void **state)
{
	uint8_t m[RESET_V3] = {ovpn_first(OVPN_RESET_CLIENT_V3, 0)};
	int passed = 0;

	wire_put_be16(m + sizeof(m) - 2, WKC);
	for (uint32_t i = 0; i < 100000; i++) {
		struct endpoint e = {.addr = {.family = IP_V4}, .port = 1};

		memcpy(e.addr.bytes, &i, sizeof(i));
		passed += ovpn_admission_check(*state, m, sizeof(m), &e, T0) == OVPN_ADMISSION_PASS;
	}
	assert_int_equal(passed, OVPN_ADMISSION_ALL);
	assert_int_equal(knock(*state, OVPN_CONTROL, "192.0.2.2:1", T0), OVPN_ADMISSION_PASS);
	assert_int_equal(
		knock(*state, OVPN_RESET_CLIENT_V3, "192.0.2.2:1", T0 + 1), OVPN_ADMISSION_PASS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_wrapper_must_have_room, setup, teardown),
		cmocka_unit_test_setup_teardown(the_wrapped_key_must_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(only_what_is_served, setup, teardown),
		cmocka_unit_test(nobody_is_served_before_it_is_said),
		cmocka_unit_test_setup_teardown(resets_do_not_push_out_handshakes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			malformed_and_unwanted_ones_cost_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_resort, setup, teardown),
	};

	return cmocka_run_group_tests_name("ovpn_admission", tests, NULL, NULL);
}
