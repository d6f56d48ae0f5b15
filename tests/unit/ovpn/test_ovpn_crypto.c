/* The three primitives against their documents. */
#include "ovpn/ovpn_crypto.h"

#include <errno.h>

#include "tests/vectors/hex.h"
#include "tests/vectors/openvpn.h"

/* RFC 4231, 4.2 and 4.3; a shorter key is the same as one with zeros behind it. */
static const struct {
	const char *key, *data, *mac;
} hmacs[] = {
	{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b000000000000000000000000", "4869205468657265",
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	{"4a65666500000000000000000000000000000000000000000000000000000000",
		"7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
};

static void test_hmac(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(hmacs); v++) {
		uint8_t key[OVPN_MAC_KEY], data[64], mac[OVPN_MAC];
		const size_t n = unhex(data, sizeof(data), hmacs[v].data);

		unhex(key, sizeof(key), hmacs[v].key);
		for (size_t cut = 0; cut <= n; cut++) {
			assert_int_equal(ovpn_hmac(mac, key, data, cut, data + cut, n - cut), 0);
			assert_hex(mac, OVPN_MAC, hmacs[v].mac);
		}
	}
}

/* NIST SP 800-38A, F.5.5. */
static const char ctr_key[] = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
static const char ctr_iv[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
static const char ctr_plain[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130"
				"c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
static const char ctr_text[] = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b"
			       "0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6";

static void test_ctr(void **state)
{
	uint8_t key[OVPN_CTR_KEY], iv[OVPN_CTR_IV], plain[64], out[64];

	(void)state;
	unhex(key, sizeof(key), ctr_key);
	unhex(iv, sizeof(iv), ctr_iv);
	unhex(plain, sizeof(plain), ctr_plain);
	assert_int_equal(ovpn_ctr(key, iv, plain, sizeof(plain), out), 0);
	assert_hex(out, sizeof(out), ctr_text);
	assert_int_equal(ovpn_ctr(key, iv, out, sizeof(out), out), 0);
	assert_memory_equal(out, plain, sizeof(plain));
	assert_int_equal(ovpn_ctr(key, iv, plain, 0, out), 0);
	assert_int_equal(ovpn_ctr(key, iv, plain, 64 * 1024 + 1, out), -EIO);
}

static void test_prf(void **state)
{
	uint8_t secret[48], seed[21 + 64], master[48];

	(void)state;
	memset(secret, 1, sizeof(secret));
	memcpy(seed, "OpenVPN master secret", 21);
	memset(seed + 21, 2, 32);
	memset(seed + 53, 3, 32);
	assert_int_equal(
		ovpn_tls1_prf(master, sizeof(master), secret, sizeof(secret), seed, sizeof(seed)),
		0);
	assert_hex(master, sizeof(master), prf1_master);
	assert_int_equal(
		ovpn_tls1_prf(master, sizeof(master), secret, sizeof(secret), seed, 0), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_ctr),
		cmocka_unit_test(test_prf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
