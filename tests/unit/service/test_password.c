#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "service/password.h"

static int setup(void **state)
{
	struct password_gate *g;

	assert_int_equal(password_gate_new(&g), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	password_gate_free(*state);
	return 0;
}

static void right_and_wrong(void **state)
{
	struct password_gate *g = *state;
	char hash[USER_PASSWORD], again[USER_PASSWORD];

	assert_int_equal(password_hash(g, "correct horse", hash), 0);
	assert_int_equal(strncmp(hash, "$scrypt$ln=15,r=8,p=1$", 22), 0);
	assert_null(strstr(hash, "horse"));
	assert_int_equal(password_verify(g, hash, "correct horse"), PASSWORD_OK);
	assert_int_equal(password_verify(g, hash, "correct horsf"), PASSWORD_WRONG);
	assert_int_equal(password_verify(g, hash, "correct hors"), PASSWORD_WRONG);
	assert_int_equal(password_verify(g, hash, "correct horse "), PASSWORD_WRONG);
	assert_int_equal(password_verify(g, hash, ""), PASSWORD_WRONG);
	assert_int_equal(password_hash(g, "correct horse", again), 0);
	assert_string_not_equal(hash, again); /* another salt */
}

static void nobody_has_no_right_password(void **state)
{
	assert_int_equal(password_verify(*state, NULL, ""), PASSWORD_WRONG);
	assert_int_equal(password_verify(*state, "", "anything"), PASSWORD_WRONG);
}

/* Made from the primitive itself, at a smaller cost: the text says how to check it. */
static void older_cost_still_verifies(void **state)
{
	uint8_t salt[16] = {1, 2, 3}, hash[32];
	char text[USER_PASSWORD], s[BASE64_TEXT(16)], h[BASE64_TEXT(32)];

	assert_int_equal(EVP_PBE_scrypt("pw", 2, salt, 16, 1 << 10, 8, 1, 1 << 25, hash, 32), 1);
	base64_encode(salt, 16, s);
	base64_encode(hash, 32, h);
	snprintf(text, sizeof(text), "$scrypt$ln=10,r=8,p=1$%s$%s", s, h);
	assert_int_equal(password_verify(*state, text, "pw"), PASSWORD_OK);
	text[strlen(text) - 2] ^= 1;
	assert_int_not_equal(password_verify(*state, text, "pw"), PASSWORD_OK);
}

static void damaged_texts(void **state)
{
	static const char *const bad[] = {
		"x",
		"$scrypt$",
		"$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$",
		"$scrypt$ln=99,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$ln=0,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$ln=15,r=9,p=1$AAAAAAAAAAAAAAAAAAAAAA==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAA===$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=x",
		"$argon2$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(password_verify(*state, bad[i], "pw"), -EUCLEAN);
}

enum { CROWD = 60 };

static void *crowd_member(void *arg)
{
	return (void *)(intptr_t)password_verify(arg, NULL, "pw");
}

/* 60 at once: at most 2 + 16 get in, the rest hear at once that it is too busy. */
static void crowd_is_turned_away(void **state)
{
	pthread_t threads[CROWD];
	int busy = 0, wrong = 0;

	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_member, *state), 0);
	for (int i = 0; i < CROWD; i++) {
		void *got;

		assert_int_equal(pthread_join(threads[i], &got), 0);
		busy += (intptr_t)got == PASSWORD_BUSY;
		wrong += (intptr_t)got == PASSWORD_WRONG;
	}
	assert_int_equal(busy + wrong, CROWD);
	assert_true(busy > 0);
	assert_true(wrong >= PASSWORD_AT_ONCE + PASSWORD_WAITING);
	/* And the gate is free again. */
	assert_int_equal(password_verify(*state, NULL, "pw"), PASSWORD_WRONG);
}

#define P(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		P(right_and_wrong),
		P(nobody_has_no_right_password),
		P(older_cost_still_verifies),
		P(damaged_texts),
		P(crowd_is_turned_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
