/* Every first byte at every interesting length, compared with the tables written out again. */
#include "wire/classify.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/compiler.h"

static enum wire_class classify(uint8_t first, size_t len)
{
	uint8_t datagram[2000] = {first};

	return wire_classify(datagram, len);
}

static void test_wireguard(void **state)
{
	static const size_t size[] = {0, 148, 92, 64};

	(void)state;
	for (uint8_t type = 1; type <= 3; type++) {
		for (size_t len = 0; len <= 300; len++)
			assert_int_equal(classify(type, len),
				len == size[type] ? WIRE_WG_HANDSHAKE : WIRE_GARBAGE);
	}
	for (size_t len = 0; len <= 2000; len++)
		assert_int_equal(classify(4, len), len >= 32 ? WIRE_WG_DATA : WIRE_GARBAGE);
}

static void test_reserved_bytes(void **state)
{
	(void)state;
	for (size_t at = 1; at <= 3; at++) {
		uint8_t initiation[148] = {1}, data[32] = {4};

		initiation[at] = 1;
		data[at] = 0x80;
		assert_int_equal(wire_classify(initiation, sizeof(initiation)), WIRE_GARBAGE);
		assert_int_equal(wire_classify(data, sizeof(data)), WIRE_GARBAGE);
	}
}

static void test_openvpn(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		const unsigned opcode = first >> 3;
		enum wire_class want = WIRE_GARBAGE;

		if (first >= 1 && first <= 4)
			continue;
		if (opcode == 6 || opcode == 9)
			want = WIRE_OVPN_DATA;
		else if (strchr("\3\4\5\7\12\13", (int)opcode) && opcode)
			want = WIRE_OVPN_CONTROL;
		for (size_t len = 0; len <= 200; len++)
			assert_int_equal(
				classify((uint8_t)first, len), len >= 14 ? want : WIRE_GARBAGE);
	}
}

/* What may come down the punt connection: never data, never what only clients say. */
static void test_server_handshake(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		const unsigned opcode = first >> 3;

		for (size_t len = 0; len <= 200; len++) {
			uint8_t datagram[200] = {(uint8_t)first};
			bool want = len >= 14 && strchr("\3\4\5\10", (int)opcode) && opcode;

			if (first >= 1 && first <= 4)
				want = classify((uint8_t)first, len) == WIRE_WG_HANDSHAKE;
			assert_int_equal(wire_is_server_handshake(datagram, len), want);
		}
	}
	assert_false(wire_is_server_handshake(NULL, 0));
}

/* By opcode and length alone: 17 bytes of text in each format. */
static void test_ovpn_occ(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		for (size_t len = 0; len <= 100; len++) {
			uint8_t datagram[100] = {(uint8_t)first};
			const bool want = (first >> 3 == 6 && len == 38) ||
					  (first >> 3 == 9 && (len == 41 || len == 45));

			assert_int_equal(wire_is_ovpn_occ(datagram, len), want);
		}
	}
	assert_false(wire_is_ovpn_occ(NULL, 0));
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(wire_classify(NULL, 0), WIRE_GARBAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wireguard),
		cmocka_unit_test(test_reserved_bytes),
		cmocka_unit_test(test_openvpn),
		cmocka_unit_test(test_server_handshake),
		cmocka_unit_test(test_ovpn_occ),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
