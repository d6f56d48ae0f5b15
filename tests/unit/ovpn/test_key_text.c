/* Keys as text: what a profile holds comes back, other spellings are read, damage is noticed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "ovpn/wrap.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/openvpn.h"

static const char *const begin = "-----BEGIN OpenVPN Static key V1-----";
static const char *const end = "-----END OpenVPN Static key V1-----";

struct lab {
	uint8_t server_key[OVPN_V2_SERVER_KEY];
	struct ulid credential;
	struct ovpn_key2 key;
	uint8_t wkc[OVPN_WKC_MAX];
	size_t wkc_len;
	char text[4096];
};

static int set_up(void **state)
{
	static struct lab l;

	assert_int_equal(ovpn_wrap_global_init(), 0);
	memset(&l, 0, sizeof(l));
	memset(l.server_key, 0x77, sizeof(l.server_key));
	memset(l.credential.bytes, 0xc5, sizeof(l.credential.bytes));
	*state = &l;
	return 0;
}

static int parse_pem(struct lab *l, const char *pem)
{
	return ovpn_client_key_parse(pem, &l->key, l->wkc, &l->wkc_len);
}

static void test_round_trip(void **state)
{
	struct lab *l = *state;
	struct ovpn_wkc opened;
	struct ovpn_key2 before;

	assert_int_equal(
		ovpn_client_key_pem(l->server_key, &l->credential, 0, l->text, OVPN_CLIENT_KEY_PEM),
		0);
	assert_int_equal(parse_pem(l, l->text), 0);
	assert_int_equal(ovpn_wkc_open(l->server_key, l->wkc, l->wkc_len, &opened), 0);
	assert_memory_equal(&opened.key, &l->key, OVPN_KEY2);
	assert_true(opened.has_credential && ulid_equal(&opened.credential, &l->credential));
	before = l->key;
	assert_int_equal(
		ovpn_client_key_pem(l->server_key, NULL, 7, l->text, OVPN_CLIENT_KEY_PEM), 0);
	assert_int_equal(parse_pem(l, l->text), 0);
	assert_int_equal(l->wkc_len, 299);
	assert_memory_not_equal(&before, &l->key, OVPN_KEY2);
}

/* The form that OpenSSL's PEM reader takes: lines of 64, markers on their own. */
static void test_form(void **state)
{
	struct lab *l = *state;
	char *at = l->text;

	assert_int_equal(
		ovpn_client_key_pem(l->server_key, &l->credential, 0, l->text, OVPN_CLIENT_KEY_PEM),
		0);
	assert_ptr_equal(strstr(at, "-----BEGIN OpenVPN tls-crypt-v2 client key-----\n"), at);
	for (at = strchr(at, '\n') + 1; *at != '-'; at = strchr(at, '\n') + 1)
		assert_true(strcspn(at, "\n") == 64 || at[strcspn(at, "\n") + 1] == '-');
	assert_string_equal(at, "-----END OpenVPN tls-crypt-v2 client key-----\n");
}

static void test_room(void **state)
{
	struct lab *l = *state;
	size_t need;

	assert_int_equal(
		ovpn_client_key_pem(l->server_key, &l->credential, 0, l->text, OVPN_CLIENT_KEY_PEM),
		0);
	need = strlen(l->text) + 1;
	assert_true(need <= OVPN_CLIENT_KEY_PEM);
	for (size_t cap = 0; cap < need; cap++) {
		char *exact = malloc(cap ? cap : 1);

		assert_int_equal(ovpn_client_key_pem(l->server_key, &l->credential, 0, exact, cap),
			-EMSGSIZE);
		assert_true(secret_is_zero(exact, cap));
		free(exact);
	}
	assert_int_equal(ovpn_client_key_pem(l->server_key, &l->credential, 0, l->text, need), 0);
}

static void test_recorded(void **state)
{
	struct lab *l = *state;

	assert_int_equal(parse_pem(l, lab_client_key), 0);
	snprintf(l->text, sizeof(l->text), "# a key\r\n%s\nand more", lab_client_key);
	assert_int_equal(parse_pem(l, l->text), 0);
	assert_int_equal(l->wkc_len, 299);
}

static void test_pem_cut_or_changed(void **state)
{
	struct lab *l = *state;
	const size_t n = strlen(lab_client_key);

	for (size_t cut = 0; cut < n - 1; cut++) { /* the last one is a line's end */
		snprintf(l->text, sizeof(l->text), "%.*s", (int)cut, lab_client_key);
		assert_int_equal(parse_pem(l, l->text), -EINVAL);
	}
	for (size_t at = 0; at < n; at++) {
		if (lab_client_key[at] == '\n')
			continue;
		/* A character less, and one that does not belong there. */
		snprintf(l->text, sizeof(l->text), "%.*s%s", (int)at, lab_client_key,
			lab_client_key + at + 1);
		assert_int_equal(parse_pem(l, l->text), -EINVAL);
		snprintf(l->text, sizeof(l->text), "%s", lab_client_key);
		l->text[at] = '*';
		assert_int_equal(parse_pem(l, l->text), -EINVAL);
	}
	assert_int_equal(parse_pem(l, ""), -EINVAL);
}

static void test_pem_lengths(void **state)
{
	struct lab *l = *state;
	uint8_t bytes[2048] = {0};
	char base64[BASE64_TEXT(sizeof(bytes))];

	for (size_t n = 0; n < 1500; n++) {
		const size_t wkc = n - OVPN_KEY2;
		const bool fits = n >= 256 + 290 && n <= 256 + 1024;

		memset(bytes, 0, sizeof(bytes));
		if (n >= 2)
			wire_put_be16(bytes + n - 2, (uint16_t)wkc);
		base64_encode(bytes, n, base64);
		snprintf(l->text, sizeof(l->text),
			"-----BEGIN OpenVPN tls-crypt-v2 client key-----%s"
			"-----END OpenVPN tls-crypt-v2 client key-----",
			base64);
		assert_int_equal(parse_pem(l, l->text), fits ? 0 : -EINVAL);
		if (fits)
			assert_int_equal(l->wkc_len, wkc);
	}
}

/* One digit at a time with something behind each; 512 in all unless changed. */
static void static_text(struct lab *l, size_t digits, const char *between)
{
	size_t at = (size_t)snprintf(l->text, sizeof(l->text), "%s\n", begin);

	for (size_t i = 0; i < digits; i++)
		at += (size_t)snprintf(l->text + at, sizeof(l->text) - at, "%c%s",
			"0123456789abcdef"[i % 2 ? i / 2 % 16 : i / 32 % 16], between);
	snprintf(l->text + at, sizeof(l->text) - at, "%s\n", end);
}

static void test_static_key(void **state)
{
	const char *const betweens[] = {"", "\n", " ", "\r\n", "\t \n"};
	struct lab *l = *state;

	for (size_t b = 0; b < ARRAY_SIZE(betweens); b++) {
		static_text(l, 512, betweens[b]);
		memset(&l->key, 0, sizeof(l->key));
		assert_int_equal(ovpn_static_key_parse(l->text, &l->key), 0);
		for (size_t i = 0; i < OVPN_KEY2; i++)
			assert_int_equal(l->key.bytes[i], i);
	}
}

static void test_static_key_wrong(void **state)
{
	struct lab *l = *state;

	for (size_t digits = 0; digits <= 2000; digits += digits > 520 ? 97 : 1) {
		static_text(l, digits, "");
		assert_int_equal(
			ovpn_static_key_parse(l->text, &l->key), digits == 512 ? 0 : -EINVAL);
	}
	for (size_t at = 0; at < 512; at++) {
		static_text(l, 512, "");
		l->text[strlen(begin) + 1 + at] = at % 2 ? 'g' : '#';
		assert_int_equal(ovpn_static_key_parse(l->text, &l->key), -EINVAL);
	}
	static_text(l, 512, "");
	*strstr(l->text, end) = '=';
	assert_int_equal(ovpn_static_key_parse(l->text, &l->key), -EINVAL);
	static_text(l, 512, "");
	l->text[3] = '=';
	assert_int_equal(ovpn_static_key_parse(l->text, &l->key), -EINVAL);
	assert_int_equal(ovpn_static_key_parse("", &l->key), -EINVAL);
	snprintf(l->text, sizeof(l->text), "%s%s", end, begin);
	assert_int_equal(ovpn_static_key_parse(l->text, &l->key), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_round_trip, set_up),
		cmocka_unit_test_setup(test_form, set_up),
		cmocka_unit_test_setup(test_room, set_up),
		cmocka_unit_test_setup(test_recorded, set_up),
		cmocka_unit_test_setup(test_pem_cut_or_changed, set_up),
		cmocka_unit_test_setup(test_pem_lengths, set_up),
		cmocka_unit_test_setup(test_static_key, set_up),
		cmocka_unit_test_setup(test_static_key_wrong, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
