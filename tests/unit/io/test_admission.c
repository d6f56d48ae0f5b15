/* Admission in virtual time: macs and cookies are made here a second time, from B4. */
#include "io/admission.h"

#include <stdarg.h>
#include <stdbool.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "crypto/aead.h"
#include "crypto/blake2s.h"
#include "crypto/xchacha.h"
#include "io/buckets.h"

static const uint64_t T0 = 1000000;

struct lab {
	struct admission *a;
	uint8_t server[32];
	struct endpoint from;
	struct wg_cookie_reply reply;
};

static struct endpoint at(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(&e, text), 0);
	return e;
}

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	assert_int_equal(admission_new(&l->a), 0);
	memset(l->server, 0x5a, sizeof(l->server));
	assert_int_equal(admission_set_key(l->a, l->server), 0);
	l->from = at("198.51.100.7:40000");
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	admission_free(l->a);
	free(l);
	return 0;
}

static void mac1_put(const uint8_t server[32], uint8_t *m, size_t len)
{
	const struct blake2s_part label[] = {{"mac1----", 8}, {server, 32}};
	const struct blake2s_part body = {m, len - 32};
	uint8_t key[32];

	assert_int_equal(blake2s_hash(key, label, 2), 0);
	assert_int_equal(blake2s_mac(m + len - 32, key, 32, &body, 1), 0);
}

static void mac2_put(const uint8_t cookie[16], uint8_t *m, size_t len)
{
	const struct blake2s_part body = {m, len - 16};

	assert_int_equal(blake2s_mac(m + len - 16, cookie, 16, &body, 1), 0);
}

static struct wg_initiation initiation(const struct lab *l, uint8_t seed)
{
	struct wg_initiation m;

	memset(&m, seed, sizeof(m));
	memcpy(m.type, (uint8_t[]){1, 0, 0, 0}, 4);
	memset(m.mac2, 0, sizeof(m.mac2));
	mac1_put(l->server, (uint8_t *)&m, sizeof(m));
	return m;
}

static struct wg_response response(const struct lab *l, uint8_t seed)
{
	struct wg_response m;

	memset(&m, seed, sizeof(m));
	memcpy(m.type, (uint8_t[]){2, 0, 0, 0}, 4);
	memset(m.mac2, 0, sizeof(m.mac2));
	mac1_put(l->server, (uint8_t *)&m, sizeof(m));
	return m;
}

static enum admission_outcome check(struct lab *l, const void *m, size_t len, uint64_t now)
{
	return admission_check(l->a, m, len, &l->from, now, &l->reply);
}

static enum admission_outcome knock(struct lab *l, const char *from, uint64_t now)
{
	struct wg_initiation m = initiation(l, 9);
	struct endpoint e = at(from);

	return admission_check(l->a, (uint8_t *)&m, sizeof(m), &e, now, &l->reply);
}

/* What a client does with the reply to m. */
static void cookie_open(const struct lab *l, const uint8_t *mac1, uint8_t cookie[16])
{
	const struct blake2s_part label[] = {{"cookie--", 8}, {l->server, 32}};
	uint8_t key[32];

	assert_int_equal(blake2s_hash(key, label, 2), 0);
	assert_int_equal(
		xchacha_open(key, l->reply.nonce, l->reply.sealed_cookie, 32, mac1, 16, cookie), 0);
}

static void wants_mac1(void **state)
{
	struct lab *l = *state;
	struct wg_initiation i = initiation(l, 1);
	struct wg_response r = response(l, 2);

	assert_int_equal(check(l, &i, sizeof(i), T0), ADMISSION_PASS);
	assert_int_equal(check(l, &r, sizeof(r), T0), ADMISSION_PASS);
	for (size_t bit = 32; bit < 8 * offsetof(struct wg_initiation, mac2); bit += 5) {
		((uint8_t *)&i)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(check(l, &i, sizeof(i), T0), ADMISSION_BAD_MAC1);
		((uint8_t *)&i)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* A length of the other type. */
	assert_int_equal(check(l, &i, sizeof(r), T0), ADMISSION_BAD_MAC1);
	/* mac2 without load: not looked at. */
	memset(i.mac2, 0xee, sizeof(i.mac2));
	assert_int_equal(check(l, &i, sizeof(i), T0), ADMISSION_PASS);
}

static void published_vectors(void **state)
{
	/* protocols.md B11: messages that wireguard-go took. */
	static const char s_r[] =
		"0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20";
	static const char s_i[] =
		"7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13";
	static const char m1[] =
		"01000000010203047b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14"
		"81e498317da959fba46669572516a5e6c021bfa620bb6c56ca0082e1feae14988c2c64d024c61773"
		"4a263f76a008df04d0f94badb4b4afc8e0c26955a884fd91cbfc3b2a3e609501a7ffe2b8c77d163b"
		"40d21081e2d5af4927107b0800000000000000000000000000000000";
	static const char m2[] =
		"020000000a0b0c0d01020304ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c"
		"1fff3e6b95e2dbfe66139a5be7a9c09c1531153dbbf6a85ac58f035864215abd1b894d8600000000"
		"000000000000000000000000";
	struct lab *l = *state;
	uint8_t one[148], two[92];

	assert_int_equal(hex_decode(m1, one, sizeof(one)), 0);
	assert_int_equal(hex_decode(m2, two, sizeof(two)), 0);
	assert_int_equal(hex_decode(s_r, l->server, 32), 0);
	assert_int_equal(admission_set_key(l->a, l->server), 0);
	assert_int_equal(check(l, one, sizeof(one), T0), ADMISSION_PASS);
	assert_int_equal(check(l, two, sizeof(two), T0), ADMISSION_BAD_MAC1);
	assert_int_equal(hex_decode(s_i, l->server, 32), 0);
	assert_int_equal(admission_set_key(l->a, l->server), 0);
	assert_int_equal(check(l, one, sizeof(one), T0), ADMISSION_BAD_MAC1);
	assert_int_equal(check(l, two, sizeof(two), T0), ADMISSION_PASS);
}

static void without_key_nothing_passes(void **state)
{
	static const uint8_t none[32];
	struct lab *l = *state;
	struct wg_cookie_reply c = {.type = {3}};
	struct wg_initiation zero;

	assert_int_equal(admission_set_key(l->a, none), 0);
	assert_int_equal(knock(l, "192.0.2.1:1", T0), ADMISSION_BAD_MAC1);
	memset(l->server, 0, sizeof(l->server));
	zero = initiation(l, 3);
	assert_int_equal(check(l, &zero, sizeof(zero), T0), ADMISSION_BAD_MAC1);
	assert_int_equal(check(l, &c, sizeof(c), T0), ADMISSION_BAD_MAC1);
}

static void load_asks_for_cookies(void **state)
{
	struct lab *l = *state;
	struct wg_initiation m = initiation(l, 4);
	uint8_t cookie[16];

	admission_punt_full(l->a, T0);
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_COOKIE);
	assert_memory_equal(l->reply.type, ((uint8_t[]){3, 0, 0, 0}), 4);
	assert_memory_equal(l->reply.receiver, m.sender, 4);
	cookie_open(l, m.mac1, cookie);

	mac2_put(cookie, (uint8_t *)&m, sizeof(m));
	assert_int_equal(check(l, &m, sizeof(m), T0 + 1), ADMISSION_PASS);
	m.mac2[15] ^= 1;
	assert_int_equal(check(l, &m, sizeof(m), T0 + 1), ADMISSION_COOKIE);
	m.mac2[15] ^= 1;
	/* Bound to address and port. */
	l->from.port++;
	assert_int_equal(check(l, &m, sizeof(m), T0 + 2), ADMISSION_COOKIE);
	l->from.port--;
	l->from.addr.bytes[3]++;
	assert_int_equal(check(l, &m, sizeof(m), T0 + 2), ADMISSION_COOKIE);
	l->from.addr.bytes[3]--;
	/* The load is over after a second. */
	memset(m.mac2, 0, sizeof(m.mac2));
	assert_int_equal(check(l, &m, sizeof(m), T0 + 999), ADMISSION_COOKIE);
	assert_int_equal(check(l, &m, sizeof(m), T0 + 1000), ADMISSION_PASS);
}

static void response_gets_a_cookie_too(void **state)
{
	struct lab *l = *state;
	struct wg_response m = response(l, 5);
	uint8_t cookie[16];

	admission_punt_full(l->a, T0);
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_COOKIE);
	assert_memory_equal(l->reply.receiver, m.sender, 4);
	cookie_open(l, m.mac1, cookie);
	mac2_put(cookie, (uint8_t *)&m, sizeof(m));
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_PASS);
	/* Never an answer without a right mac1, loaded or not. */
	m.mac1[0] ^= 1;
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_BAD_MAC1);
}

static void cookies_grow_old(void **state)
{
	struct lab *l = *state;
	struct wg_initiation m = initiation(l, 6);
	uint8_t cookie[16];

	admission_punt_full(l->a, T0);
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_COOKIE);
	cookie_open(l, m.mac1, cookie);
	mac2_put(cookie, (uint8_t *)&m, sizeof(m));
	admission_punt_full(l->a, T0 + 119000);
	assert_int_equal(check(l, &m, sizeof(m), T0 + 119999), ADMISSION_PASS);
	admission_punt_full(l->a, T0 + 120000);
	assert_int_equal(check(l, &m, sizeof(m), T0 + 120000), ADMISSION_COOKIE);
}

static void loaded_rate(void **state)
{
	struct lab *l = *state;
	struct wg_initiation m = initiation(l, 7);
	uint8_t cookie[16];
	int passed = 0;

	admission_punt_full(l->a, T0);
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_COOKIE);
	cookie_open(l, m.mac1, cookie);
	mac2_put(cookie, (uint8_t *)&m, sizeof(m));
	for (int i = 0; i < ADMISSION_LOADED_BURST; i++)
		assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_PASS);
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_LIMITED);
	/* Ten seconds at 1000 per second: 20 a second get through. */
	for (uint64_t t = T0 + 1; t <= T0 + 10000; t++) {
		admission_punt_full(l->a, t);
		passed += check(l, &m, sizeof(m), t) == ADMISSION_PASS;
	}
	assert_in_range(passed, 199, 201);
}

static void many_handshakes_are_load(void **state)
{
	struct lab *l = *state;

	for (int i = 0; i <= ADMISSION_LOAD; i++) {
		char from[32];

		snprintf(from, sizeof(from), "10.0.%d.%d:5", i / 250, i % 250);
		assert_int_equal(knock(l, from, T0 + (uint64_t)i / 4), ADMISSION_PASS);
	}
	assert_int_equal(knock(l, "10.9.0.1:5", T0 + ADMISSION_LOAD / 4 + 1), ADMISSION_COOKIE);
	/* Spread over ten seconds it is none. */
	for (int i = 0; i <= ADMISSION_LOAD; i++)
		assert_int_equal(
			knock(l, "10.8.0.1:5", T0 + 5000 + (uint64_t)i * 10), ADMISSION_PASS);
}

static void one_prefix_cannot_crowd_out_others(void **state)
{
	struct lab *l = *state;

	for (int i = 0; i < ADMISSION_BURST; i++)
		assert_int_equal(knock(l, "192.0.2.1:1", T0), ADMISSION_PASS);
	assert_int_equal(knock(l, "192.0.2.1:2", T0), ADMISSION_COOKIE);
	assert_int_equal(knock(l, "192.0.2.2:1", T0), ADMISSION_PASS);
	/* One more a little later. */
	const uint64_t later = T0 + 1000 / ADMISSION_RATE + 1;
	assert_int_equal(knock(l, "192.0.2.1:1", later), ADMISSION_PASS);
	assert_int_equal(knock(l, "192.0.2.1:1", later), ADMISSION_COOKIE);
}

/* Every user knows the public key, so anybody may send right mac1s in anybody's name. */
static void nobody_is_locked_out_in_his_own_name(void **state)
{
	struct lab *l = *state;
	struct wg_initiation m = initiation(l, 11);
	struct wg_cookie_reply c = {.type = {3}};
	uint8_t cookie[16];

	for (uint64_t t = T0; t < T0 + 1000; t++)
		(void)!check(l, &c, sizeof(c), t);
	assert_int_equal(check(l, &m, sizeof(m), T0 + 1000), ADMISSION_PASS);
	for (uint64_t t = T0 + 1000; t < T0 + 3000; t++) {
		enum admission_outcome o = check(l, &m, sizeof(m), t);

		assert_true(o == ADMISSION_PASS || o == ADMISSION_COOKIE);
	}
	while (check(l, &m, sizeof(m), T0 + 3000) == ADMISSION_PASS)
		;
	cookie_open(l, m.mac1, cookie);
	mac2_put(cookie, (uint8_t *)&m, sizeof(m));
	for (int i = 0; i < ADMISSION_LOADED_BURST; i++)
		assert_int_equal(check(l, &m, sizeof(m), T0 + 3000), ADMISSION_PASS);
	assert_int_equal(check(l, &m, sizeof(m), T0 + 3000), ADMISSION_LIMITED);
}

static void ipv6_counts_by_64(void **state)
{
	struct lab *l = *state;
	uint64_t t = T0 + 100000;

	for (int i = 0; i < ADMISSION_BURST; i++) {
		char from[64];

		snprintf(from, sizeof(from), "[2001:db8:1:2:%x::1]:9", i);
		assert_int_equal(knock(l, from, t), ADMISSION_PASS);
	}
	assert_int_equal(knock(l, "[2001:db8:1:2:ffff::9]:9", t), ADMISSION_COOKIE);
	assert_int_equal(knock(l, "[2001:db8:1:3::1]:9", t), ADMISSION_PASS);
}

static void cookie_replies_have_a_budget(void **state)
{
	struct lab *l = *state;
	struct wg_cookie_reply c = {.type = {3}};
	int passed = 0;

	for (int i = 0; i < 1000; i++) {
		l->from.addr.bytes[2] = (uint8_t)(i >> 8);
		l->from.addr.bytes[3] = (uint8_t)i;
		passed += check(l, &c, sizeof(c), T0) == ADMISSION_PASS;
	}
	assert_int_equal(passed, ADMISSION_COOKIE_RATE);
	assert_int_equal(check(l, &c, sizeof(c), T0 + 50), ADMISSION_PASS);
	/* They are no load, and no answer is ever made to one. */
	assert_int_equal(knock(l, "192.0.2.77:1", T0 + 50), ADMISSION_PASS);
	admission_punt_full(l->a, T0 + 50);
	assert_int_equal(check(l, &c, sizeof(c), T0 + 50), ADMISSION_LIMITED);
}

static void the_table_is_bounded(void **state)
{
	struct lab *l = *state;
	struct wg_initiation m = initiation(l, 8);

	/* Far more prefixes than it has places, slow enough to be no load. */
	for (uint32_t i = 0; i < 5 * BUCKETS_PREFIXES; i++) {
		struct endpoint e = {.addr = {.family = IP_V4}, .port = 1};

		for (int b = 0; b < 4; b++)
			e.addr.bytes[b] = (uint8_t)((i * 2654435761u) >> (8 * b));
		assert_int_equal(admission_check(l->a, (uint8_t *)&m, sizeof(m), &e,
					 T0 + (uint64_t)i * 10, &l->reply),
			ADMISSION_PASS);
	}
}

static void a_new_key_replaces_the_old(void **state)
{
	struct lab *l = *state;
	struct wg_initiation m = initiation(l, 10);

	l->server[0] ^= 1;
	assert_int_equal(admission_set_key(l->a, l->server), 0);
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_BAD_MAC1);
	m = initiation(l, 10);
	assert_int_equal(check(l, &m, sizeof(m), T0), ADMISSION_PASS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(wants_mac1, setup, teardown),
		cmocka_unit_test_setup_teardown(published_vectors, setup, teardown),
		cmocka_unit_test_setup_teardown(without_key_nothing_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(load_asks_for_cookies, setup, teardown),
		cmocka_unit_test_setup_teardown(response_gets_a_cookie_too, setup, teardown),
		cmocka_unit_test_setup_teardown(cookies_grow_old, setup, teardown),
		cmocka_unit_test_setup_teardown(loaded_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(many_handshakes_are_load, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_prefix_cannot_crowd_out_others, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nobody_is_locked_out_in_his_own_name, setup, teardown),
		cmocka_unit_test_setup_teardown(ipv6_counts_by_64, setup, teardown),
		cmocka_unit_test_setup_teardown(cookie_replies_have_a_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_key_replaces_the_old, setup, teardown),
	};

	if (aead_init() != 0 || blake2s_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
