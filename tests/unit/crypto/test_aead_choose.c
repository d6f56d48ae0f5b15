/* Names of the libraries, what each setting chooses, and that old keys stay with who made them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead_backend.h"
#include "crypto/aead_choose.h"

static int setup(void **state)
{
	(void)state;
	return aead_init();
}

static void test_names(void **state)
{
	enum aead_lib l = AEAD_LIBS;

	(void)state;
	for (int i = AEAD_AUTO; i < AEAD_LIBS; i++) {
		assert_int_equal(aead_lib_parse(aead_lib_name((enum aead_lib)i), &l), 0);
		assert_int_equal(l, i);
	}
	assert_string_equal(aead_lib_name(AEAD_IPSEC_MB), "ipsec-mb");
	assert_int_equal(aead_lib_parse("", &l), -EINVAL);
	assert_int_equal(aead_lib_parse("OpenSSL", &l), -EINVAL);
	assert_int_equal(aead_lib_parse("ipsec-mb ", &l), -EINVAL);
}

static void all_by(const char *name)
{
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++)
		assert_string_equal(aead_library((enum aead_cipher)c), name);
}

static void test_openssl_stays(void **state)
{
	struct aead_report report;

	(void)state;
	assert_int_equal(aead_choose(AEAD_OPENSSL, &report), 0);
	assert_int_equal(report.of[AEAD_AES_256_GCM].lib, AEAD_OPENSSL);
	assert_int_equal(report.of[AEAD_AES_256_GCM].ns[AEAD_OPENSSL], 0);
	all_by("openssl");
}

/* The faster one, by the report's own figures. */
static void check_auto(const struct aead_report *report)
{
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		const struct aead_choice *of = &report->of[c];
		const enum aead_lib other = of->lib == AEAD_OPENSSL ? AEAD_IPSEC_MB : AEAD_OPENSSL;

		assert_true(of->lib == AEAD_OPENSSL || of->lib == AEAD_IPSEC_MB);
		assert_string_equal(aead_library((enum aead_cipher)c), aead_lib_name(of->lib));
		if (report->ipsec_mb) {
			assert_int_equal(of->lib, AEAD_OPENSSL);
			continue;
		}
		assert_true(of->ns[of->lib] > 0 && of->ns[of->lib] <= of->ns[other]);
	}
}

static void test_choices(void **state)
{
	static const uint8_t key[AEAD_KEY_MAX] = {8};
	static const uint8_t plain[100] = "what one seals the other opens";
	uint8_t text[sizeof(plain)], tag[AEAD_TAG];
	struct aead_op op = {.text = text, .len = sizeof(text), .tag = tag};
	struct aead_key *before, *after;
	struct aead_report report;

	(void)state;
	assert_int_equal(aead_key_new(&before, AEAD_AES_128_GCM, key, true), 0);
	assert_int_equal(aead_choose(AEAD_AUTO, &report), 0);
	check_auto(&report);
#ifdef __x86_64__
	assert_int_equal(report.ipsec_mb, 0);
	assert_int_equal(aead_choose(AEAD_IPSEC_MB, &report), 0);
	all_by("ipsec-mb");
#else
	assert_int_equal(report.ipsec_mb, -ENOTSUP);
	assert_int_equal(aead_choose(AEAD_IPSEC_MB, &report), -ENOTSUP);
	all_by("openssl");
#endif
	assert_int_equal(aead_key_new(&after, AEAD_AES_128_GCM, key, false), 0);
	assert_ptr_equal(before->by, &aead_openssl);
	assert_string_equal(after->by->name, aead_library(AEAD_AES_128_GCM));
	assert_int_equal(aead_thread_start(), 0);
	assert_int_equal(aead_thread_start(), 0); /* again does no harm */
	memcpy(text, plain, sizeof(text));
	aead_seal_batch(before, &op, 1);
	assert_true(op.ok && memcmp(text, plain, sizeof(text)) != 0);
	aead_open_batch(after, &op, 1);
	assert_true(op.ok && memcmp(text, plain, sizeof(text)) == 0);
	aead_thread_stop();
	aead_thread_stop();
	aead_key_free(before);
	aead_key_free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_openssl_stays),
		cmocka_unit_test(test_choices),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
