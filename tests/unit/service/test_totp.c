/* One-time codes: the published vectors, and what is not taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "service/totp.h"

static const uint8_t rfc_secret[TOTP_SECRET] = "12345678901234567890";

/* RFC 6238 appendix B, the rows of SHA-1: eight digits. */
static void vectors_of_rfc_6238(void **state)
{
	static const struct {
		int64_t time;
		const char *code;
	} rows[] = {
		{59, "94287082"},
		{1111111109, "07081804"},
		{1111111111, "14050471"},
		{1234567890, "89005924"},
		{2000000000, "69279037"},
		{20000000000, "65353130"},
	};
	char code[9];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t step = (uint64_t)rows[i].time / TOTP_STEP_S;

		assert_int_equal(totp_code(rfc_secret, TOTP_SECRET, step, 8, code), 0);
		assert_string_equal(code, rows[i].code);
		/* Six digits are the last six of them. */
		assert_int_equal(totp_code(rfc_secret, TOTP_SECRET, step, 6, code), 0);
		assert_string_equal(code, rows[i].code + 2);
	}
}

/* RFC 4226 appendix D. */
static void vectors_of_rfc_4226(void **state)
{
	static const char *const codes[] = {"755224", "287082", "359152", "969429", "338314",
		"254676", "287922", "162583", "399871", "520489"};
	char code[7];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_int_equal(totp_code(rfc_secret, TOTP_SECRET, i, 6, code), 0);
		assert_string_equal(code, codes[i]);
	}
	assert_true(totp_code(rfc_secret, TOTP_SECRET, 0, 5, code) < 0);
	assert_true(totp_code(rfc_secret, TOTP_SECRET, 0, 9, code) < 0);
}

static int check(const char *text, int64_t now, uint64_t used, uint64_t *step)
{
	return totp_check(rfc_secret, text, now, used, step);
}

static void one_step_either_way(void **state)
{
	const int64_t now = 1111111111;
	const uint64_t at = 1111111111 / 30;
	uint64_t step;
	char code[7];

	(void)state;
	for (int off = -3; off <= 3; off++) {
		bool near = off >= -1 && off <= 1;

		assert_int_equal(
			totp_code(rfc_secret, TOTP_SECRET, at + (uint64_t)off, 6, code), 0);
		assert_int_equal(check(code, now, 0, &step), near ? TOTP_OK : TOTP_WRONG);
		assert_int_equal(step, near ? at + (uint64_t)off : 0);
	}
	/* In the first seconds of 1970 there is none before. */
	assert_int_equal(
		check("755224", 5, 0, &step), TOTP_WRONG); /* step 0 is never later than 0 */
	assert_int_equal(check("287082", 5, 0, &step), TOTP_OK);
}

/* Not again, and none that is older than one that was taken. */
static void each_step_once(void **state)
{
	const int64_t now = 1111111111;
	const uint64_t at = 1111111111 / 30;
	uint64_t step;
	char code[7];

	(void)state;
	for (int off = -1; off <= 1; off++) {
		const uint64_t mine = at + (uint64_t)off;

		assert_int_equal(totp_code(rfc_secret, TOTP_SECRET, mine, 6, code), 0);
		assert_int_equal(check(code, now, mine - 1, &step), TOTP_OK);
		assert_int_equal(check(code, now, mine, &step), TOTP_WRONG);
		assert_int_equal(check(code, now, mine + 1, &step), TOTP_WRONG);
	}
}

static void only_six_digits(void **state)
{
	static const char *const wrong[] = {"", "0", "05047", "0504711", "050472", "50471",
		"050471 ", " 050471", "05047a", "\xff\xff\xff\xff\xff\xff", "14050471"};
	uint64_t step = 1;

	(void)state;
	assert_int_equal(check("050471", 1111111111, 0, &step), TOTP_OK);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(check(wrong[i], 1111111111, 0, &step), TOTP_WRONG);
		assert_int_equal(step, 0);
	}
}

static void secrets_as_text(void **state)
{
	static const uint8_t all[TOTP_SECRET] = {0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0x80};
	char text[TOTP_SECRET_TEXT], url[TOTP_URL], name[128];

	(void)state;
	totp_secret_text(rfc_secret, text);
	assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
	totp_secret_text(all, text);
	assert_string_equal(text, "77777777AAAAAAAAQAAAAAAAAAAAAAAA");
	assert_int_equal(totp_url("ann@example", text, url), 0);
	assert_string_equal(url, "otpauth://totp/Ireko:ann@example?secret="
				 "77777777AAAAAAAAQAAAAAAAAAAAAAAA&issuer=Ireko&algorithm=SHA1&"
				 "digits=6&period=30");
	/* The longest name there is, and one that can't be. */
	memset(name, 'a', 64);
	name[64] = '\0';
	assert_int_equal(totp_url(name, text, url), 0);
	memset(name, 'a', 127);
	name[127] = '\0';
	assert_true(totp_url(name, text, url) < 0);
	assert_string_equal(url, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_rfc_6238),
		cmocka_unit_test(vectors_of_rfc_4226),
		cmocka_unit_test(one_step_either_way),
		cmocka_unit_test(each_step_once),
		cmocka_unit_test(only_six_digits),
		cmocka_unit_test(secrets_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
