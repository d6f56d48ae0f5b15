/* Text forms: vectors of RFC 4648 section 10, every length, every single wrong character. */
#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_rfc4648_vectors(void **state)
{
	static const struct {
		const char *plain, *base64, *hex;
	} rows[] = {{"", "", ""}, {"f", "Zg==", "66"}, {"fo", "Zm8=", "666f"},
		{"foo", "Zm9v", "666f6f"}, {"foob", "Zm9vYg==", "666f6f62"},
		{"fooba", "Zm9vYmE=", "666f6f6261"}, {"foobar", "Zm9vYmFy", "666f6f626172"}};
	char text[32];
	uint8_t back[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i].plain);

		base64_encode(rows[i].plain, n, text);
		assert_string_equal(text, rows[i].base64);
		assert_int_equal(strlen(text) + 1, BASE64_TEXT(n));
		assert_int_equal(base64_decode(text, back, n), 0);
		assert_memory_equal(back, rows[i].plain, n);
		hex_encode(rows[i].plain, n, text);
		assert_string_equal(text, rows[i].hex);
		assert_int_equal(hex_decode(text, back, n), 0);
		assert_memory_equal(back, rows[i].plain, n);
	}
}

static void test_round_trips(void **state)
{
	uint8_t in[256], back[257];
	char text[BASE64_TEXT(256) + HEX_TEXT(256)];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 167 + 13);
	for (size_t n = 0; n <= sizeof(in); n++) {
		base64_encode(in, n, text);
		assert_int_equal(base64_decode(text, back, n), 0);
		assert_memory_equal(in, back, n);
		assert_int_equal(base64_decode(text, back, n + 1), -EINVAL);
		if (n)
			assert_int_equal(base64_decode(text, back, n - 1), -EINVAL);
		hex_encode(in, n, text);
		assert_int_equal(hex_decode(text, back, n), 0);
		assert_memory_equal(in, back, n);
		base64url_encode(in, n, text);
		assert_int_equal(strlen(text) + 1, BASE64URL_TEXT(n));
		assert_null(strpbrk(text, "+/="));
	}
}

static void test_base64url_alphabet(void **state)
{
	const uint8_t in[3] = {0xfb, 0xff, 0xbf};
	char text[BASE64_TEXT(3)];

	(void)state;
	base64url_encode(in, 3, text);
	assert_string_equal(text, "-_-_");
	base64_encode(in, 3, text);
	assert_string_equal(text, "+/+/");
}

/* Exactly the 64 characters decode, each to its own value, in every position. */
static void test_base64_every_character(void **state)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)state;
	for (int at = 0; at < 4; at++) {
		for (int c = 1; c < 256; c++) {
			char text[5] = "AAAA";
			uint8_t out[3];
			const char *known = strchr(alphabet, c);

			text[at] = (char)c;
			if (!known) {
				assert_int_equal(base64_decode(text, out, 3), -EINVAL);
				assert_int_equal(out[0] | out[1] | out[2], 0);
				continue;
			}
			assert_int_equal(base64_decode(text, out, 3), 0);
			assert_int_equal((out[0] << 16 | out[1] << 8 | out[2]) >> (18 - 6 * at),
				known - alphabet);
		}
	}
}

static void test_base64_is_canonical(void **state)
{
	static const char *const bad1[] = {"Zh==", "Zv==", "Zg=", "Zg", "Zg===", "Zg=A",
		"Z===", "Zg= ", "Zg==\n", "====", "Zm8=", "=g==", ""};
	static const char *const bad2[] = {"Zm9=", "Zm8", "Zm8==", "Zm8A", "Z=8=", "Zg=="};
	uint8_t out[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad1); i++)
		assert_int_equal(base64_decode(bad1[i], out, 1), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad2); i++)
		assert_int_equal(base64_decode(bad2[i], out, 2), -EINVAL);
}

static void test_hex_every_character(void **state)
{
	(void)state;
	for (int at = 0; at < 2; at++) {
		for (int c = 1; c < 256; c++) {
			char text[3] = "00";
			uint8_t out[1];
			int ok = strchr("0123456789abcdefABCDEF", c) != NULL;

			text[at] = (char)c;
			assert_int_equal(hex_decode(text, out, 1), ok ? 0 : -EINVAL);
		}
	}
}

static void test_hex_lengths(void **state)
{
	uint8_t out[2];

	(void)state;
	assert_int_equal(hex_decode("aBcD", out, 2), 0);
	assert_int_equal(out[0] << 8 | out[1], 0xabcd);
	assert_int_equal(hex_decode("abc", out, 2), -EINVAL);
	assert_int_equal(hex_decode("abcde", out, 2), -EINVAL);
	assert_int_equal(hex_decode("abcdef", out, 2), -EINVAL);
	assert_int_equal(hex_decode("", out, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc4648_vectors),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_base64url_alphabet),
		cmocka_unit_test(test_base64_every_character),
		cmocka_unit_test(test_base64_is_canonical),
		cmocka_unit_test(test_hex_every_character),
		cmocka_unit_test(test_hex_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
