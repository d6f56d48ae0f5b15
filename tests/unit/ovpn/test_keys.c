/* Key method 2 of four stock clients, hostile fields, the choice of a cipher, and data keys that
 * open what a stock client of 2.5 sent. */
#include "ovpn/keys.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "tests/vectors/hex.h"
#include "tests/vectors/openvpn.h"

enum { FIXED = 4 + 1 + 48 + 32 + 32, ROOM = 8192 };

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(ovpn_wrap_global_init(), 0);
	return aead_init();
}

/* With nothing behind it, and untouched unless 0. */
static int parse_exactly(struct km2 *out, const uint8_t *p, size_t n, bool client)
{
	struct km2 untouched;
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, p, n);
	memset(out, 0x5a, sizeof(*out));
	untouched = *out;
	int rc = client ? km2_parse_client(out, copy, n) : km2_parse_server(out, copy, n);

	free(copy);
	if (rc)
		assert_memory_equal(out, &untouched, sizeof(untouched));
	return rc;
}

static const char occ[] = "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,"
			  "keysize 128,key-method 2,tls-client";
static const struct {
	const char *hex, *version, *ciphers;
	uint32_t proto, mtu;
	enum aead_cipher chosen;
} clients[] = {
	{km2_client_25, "2.5.11", "AES-256-GCM:AES-128-GCM", 6, 0, AEAD_AES_256_GCM},
	{km2_client_26, "2.6.14", "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", 990, 1600,
		AEAD_AES_256_GCM},
	{km2_client_27, "2.7.6", "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", 8094, 1600,
		AEAD_AES_256_GCM},
	{km2_client_3, "3.12_git:master", "AES-128-GCM:AES-192-GCM:AES-256-GCM:CHACHA20-POLY1305",
		8094, 1600, AEAD_AES_256_GCM},
};

static void test_recorded_clients(void **state)
{
	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(clients); c++) {
		uint8_t bytes[512], again[512];
		const size_t n = unhex(bytes, sizeof(bytes), clients[c].hex);
		enum aead_cipher chosen;
		struct km2 k;

		assert_int_equal(parse_exactly(&k, bytes, n, true), 0);
		assert_memory_equal(k.pre_master, bytes + 5, 48);
		assert_memory_equal(k.random1, bytes + 53, 32);
		assert_memory_equal(k.random2, bytes + 85, 32);
		if (c < 3)
			assert_string_equal(k.options, occ);
		assert_string_equal(k.username, "");
		assert_string_equal(k.password, "");
		assert_string_equal(k.peer.version, clients[c].version);
		assert_string_equal(k.peer.platform, "linux");
		assert_string_equal(k.peer.ciphers, clients[c].ciphers);
		assert_int_equal(k.peer.proto, clients[c].proto);
		assert_int_equal(k.peer.mtu, clients[c].mtu);
		assert_true(k.peer.ncp);
		assert_int_equal(km2_choose_cipher(&k.peer, &chosen), 0);
		assert_int_equal(chosen, clients[c].chosen);

		const size_t peer_info = FIXED + 2 + strlen(k.options) + 1 + 4 + 2;

		assert_int_equal(
			km2_pack_client(&k, (const char *)bytes + peer_info, again, sizeof(again)),
			n);
		assert_memory_equal(again, bytes, n);
	}
}

static void test_recorded_server(void **state)
{
	uint8_t bytes[512], again[512];
	const size_t n = unhex(bytes, sizeof(bytes), km2_server);
	struct km2 k;

	(void)state;
	assert_int_equal(parse_exactly(&k, bytes, n, false), 0);
	assert_memory_equal(k.random1, bytes + 5, 32);
	assert_memory_equal(k.random2, bytes + 37, 32);
	assert_int_equal(km2_pack_server(&k, again, sizeof(again)), n);
	assert_memory_equal(again, bytes, n);
	/* One side's message is not the other's. */
	assert_int_equal(parse_exactly(&k, bytes, n, true), -EBADMSG);
}

/* Whole up to the end of any field from the options on, and nowhere else. */
static void test_cut_short(void **state)
{
	uint8_t bytes[512];
	const size_t n = unhex(bytes, sizeof(bytes), km2_client_26);
	const size_t options = FIXED + 2 + sizeof(occ);
	struct km2 k;

	(void)state;
	for (size_t len = 0; len < n; len++) {
		const bool whole = len == options || len == options + 2 || len == options + 4;

		assert_int_equal(parse_exactly(&k, bytes, len, true), whole ? 0 : -EBADMSG);
		if (whole)
			assert_string_equal(k.peer.version, "");
	}
	memset(bytes + n, 0xff, 50);
	assert_int_equal(parse_exactly(&k, bytes, n + 50, true), 0);
	assert_string_equal(k.peer.version, "2.6.14");
}

static void test_cut_short_server(void **state)
{
	uint8_t bytes[512];
	const size_t n = unhex(bytes, sizeof(bytes), km2_server);
	struct km2 k;

	(void)state;
	for (size_t len = 0; len < n; len++) {
		const bool whole = len >= n - 6 && (n - len) % 2 == 0;

		assert_int_equal(parse_exactly(&k, bytes, len, false), whole ? 0 : -EBADMSG);
	}
}

static void test_method(void **state)
{
	uint8_t bytes[512];
	const size_t n = unhex(bytes, sizeof(bytes), km2_client_26);
	struct km2 k;

	(void)state;
	for (unsigned method = 0; method < 256; method++) {
		bytes[4] = (uint8_t)method;
		assert_int_equal(
			parse_exactly(&k, bytes, n, true), (method & 15) == 2 ? 0 : -EBADMSG);
	}
}

/* Any byte changed: parsed or not, but never a text without its end. */
static void test_every_byte(void **state)
{
	uint8_t bytes[512];
	const size_t n = unhex(bytes, sizeof(bytes), km2_client_26);
	struct km2 k;

	(void)state;
	for (size_t at = 0; at < n; at++) {
		const uint8_t right = bytes[at];

		for (unsigned v = 0; v < 256; v++) {
			bytes[at] = (uint8_t)v;
			if (parse_exactly(&k, bytes, n, true) < 0)
				continue;
			assert_true(strnlen(k.options, KM2_TEXT) < KM2_TEXT);
			assert_true(strnlen(k.username, KM2_CREDENTIAL) < KM2_CREDENTIAL);
			assert_true(strnlen(k.password, KM2_CREDENTIAL) < KM2_CREDENTIAL);
		}
		bytes[at] = right;
	}
}

/* A message with four fields of any length; the text is 'x' and a NUL. */
static size_t with_fields(uint8_t *out, const size_t lengths[4])
{
	size_t at = FIXED;

	memset(out, 0, ROOM);
	out[4] = 2;
	for (int f = 0; f < 4; f++) {
		wire_put_be16(out + at, (uint16_t)lengths[f]);
		at += 2;
		if (lengths[f] > 1)
			memset(out + at, 'x', lengths[f] - 1);
		at += lengths[f];
	}
	return at;
}

static void test_field_limits(void **state)
{
	static const size_t limits[4] = {KM2_TEXT, KM2_CREDENTIAL, KM2_CREDENTIAL, KM2_PEER_INFO};
	uint8_t bytes[ROOM];
	struct km2 k;

	(void)state;
	for (int f = 0; f < 4; f++)
		for (int over = 0; over < 2; over++) {
			size_t lengths[4] = {5, 0, 0, 0}, at = FIXED;

			lengths[f] = limits[f] + (size_t)over;
			const size_t n = with_fields(bytes, lengths);

			assert_int_equal(parse_exactly(&k, bytes, n, true), over ? -EBADMSG : 0);
			/* No NUL at the end; one before it. */
			lengths[f] = 20;
			for (int i = 0; i < f; i++)
				at += 2 + lengths[i];
			const size_t m = with_fields(bytes, lengths);

			assert_int_equal(parse_exactly(&k, bytes, m, true), 0);
			bytes[at + 2 + 19] = 'x';
			assert_int_equal(parse_exactly(&k, bytes, m, true), -EBADMSG);
			bytes[at + 2 + 19] = 0;
			bytes[at + 2 + 10] = 0;
			assert_int_equal(parse_exactly(&k, bytes, m, true), -EBADMSG);
			/* Nothing but the NUL. */
			lengths[f] = 1;
			assert_int_equal(
				parse_exactly(&k, bytes, with_fields(bytes, lengths), true), 0);
			/* Far more than there is. */
			wire_put_be16(bytes + at, 0xffff);
			assert_int_equal(parse_exactly(&k, bytes, m, true), -EBADMSG);
		}
}

static void test_credentials(void **state)
{
	struct km2 k = {.options = "V4", .username = "anna", .password = "1,2\n3"}, got;
	uint8_t bytes[ROOM];
	int n = km2_pack_client(&k, NULL, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(n, FIXED + 2 + 3 + 2 + 5 + 2 + 6 + 2);
	assert_int_equal(parse_exactly(&got, bytes, (size_t)n, true), 0);
	assert_string_equal(got.username, "anna");
	assert_string_equal(got.password, "1,2\n3");
	km2_wipe(&got);
	assert_string_equal(got.password, "");
	for (size_t cap = 0; cap < (size_t)n; cap++)
		assert_int_equal(km2_pack_client(&k, NULL, bytes, cap), -EMSGSIZE);
	/* A server says nothing of the sort. */
	n = km2_pack_server(&k, bytes, sizeof(bytes));
	assert_int_equal(n, 4 + 1 + 64 + 2 + 3 + 6);
	for (size_t cap = 0; cap < (size_t)n; cap++)
		assert_int_equal(km2_pack_server(&k, bytes, cap), -EMSGSIZE);
	memset(k.username, 'x', sizeof(k.username));
	assert_int_equal(km2_pack_client(&k, NULL, bytes, sizeof(bytes)), -EMSGSIZE);
}

/* ---- peer info ---- */

static struct km2_peer_info info(const char *text)
{
	const size_t n = strlen(text);
	char *copy = malloc(n ? n : 1);
	struct km2_peer_info p;

	memcpy(copy, text, n);
	memset(&p, 0x5a, sizeof(p));
	km2_peer_info_parse(&p, copy, n);
	free(copy);
	return p;
}

static void test_peer_info_numbers(void **state)
{
	static const struct {
		const char *text;
		uint32_t proto;
	} cases[] = {
		{"IV_PROTO=990\n", 990},
		{"IV_PROTO=990", 990},
		{"IV_PROTO=4294967295\n", UINT32_MAX},
		{"IV_PROTO=4294967296\n", 0},
		{"IV_PROTO=99999999999999999999999999999999999999\n", 0},
		{"IV_PROTO=\n", 0},
		{"IV_PROTO=-1\n", 0},
		{"IV_PROTO=+6\n", 0},
		{"IV_PROTO= 6\n", 0},
		{"IV_PROTO=6 \n", 0},
		{"IV_PROTO=0x6\n", 0},
		{"IV_PROTO\n", 0},
		{"XIV_PROTO=6\n", 0},
		{"IV_PROTOX=6\n", 0},
		{"iv_proto=6\n", 0},
		{"=\nIV_VER=\n\n\nIV_PROTO=6\n", 6},
		{"UV_X=IV_PROTO=7\nIV_PROTO=6\n", 6},
		{"", 0},
		{"\n", 0},
		{"=", 0},
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++)
		assert_int_equal(info(cases[c].text).proto, cases[c].proto);
	assert_int_equal(info("IV_MTU=1600\n").mtu, 1600);
	assert_false(info("IV_NCP=1\n").ncp);
	assert_true(info("IV_NCP=2\n").ncp);
	assert_true(info("IV_NCP=3\n").ncp);
}

static void test_peer_info_hostile(void **state)
{
	char text[4096] = "IV_VER=";
	struct km2_peer_info p = info("IV_VER=\x1b[31m\r,\xff\x7f%s\"ok\nIV_PLAT=\t\n");

	(void)state;
	assert_string_equal(p.version, "?[31m?,??%s\"ok");
	assert_string_equal(p.platform, "?");
	memset(text + 7, 'v', 4000);
	p = info(text);
	assert_int_equal(strlen(p.version), sizeof(p.version) - 1);
	/* NUL is a character like another. */
	km2_peer_info_parse(&p, "IV_VER=a\0b\nIV_MTU=7\n", 20);
	assert_string_equal(p.version, "a?b");
	assert_int_equal(p.mtu, 7);
	/* All bytes, and lines without an end. */
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 131 >> 3);
	km2_peer_info_parse(&p, text, sizeof(text));
}

static void test_peer_info_long_list(void **state)
{
	char text[400] = "IV_CIPHERS=";
	enum aead_cipher c;

	/* Cut inside "AES-128-GCM-SIV" it would read "AES-128-GCM". */
	(void)state;
	memset(text + 11, 'x', 115);
	strcpy(text + 11 + 115, ":AES-128-GCM-SIV");
	assert_int_equal(strlen(info(text).ciphers), 115);
	struct km2_peer_info p = info(text);

	assert_int_equal(km2_choose_cipher(&p, &c), -ENOENT);
	memset(text + 11, 'x', 300);
	assert_string_equal(info(text).ciphers, "");
	/* It just fits. */
	memset(text, 0, sizeof(text));
	strcpy(text, "IV_CIPHERS=");
	memset(text + 11, 'x', 115);
	strcpy(text + 11 + 115, ":AES-128-GCM");
	text[11 + 114] = ':'; /* 127 characters in all */
	text[11 + 115] = 'y';
	assert_int_equal(strlen(info(text).ciphers), 127);
}

/* ---- the cipher ---- */

static void test_cipher(void **state)
{
	static const struct {
		const char *list;
		int rc;
		enum aead_cipher want;
	} cases[] = {
		{"CHACHA20-POLY1305:AES-128-GCM:AES-256-GCM", 0, AEAD_AES_256_GCM},
		{"CHACHA20-POLY1305:AES-128-GCM", 0, AEAD_AES_128_GCM},
		{"CHACHA20-POLY1305", 0, AEAD_CHACHA20_POLY1305},
		{":::CHACHA20-POLY1305:", 0, AEAD_CHACHA20_POLY1305},
		{"AES-256-CBC:BF-CBC", -ENOENT, 0},
		{"AES-256-GCMX", -ENOENT, 0},
		{"XAES-256-GCM", -ENOENT, 0},
		{"AES-256-GC", -ENOENT, 0},
		{"AES-256-GCM AES-128-GCM", -ENOENT, 0},
		{"none", -ENOENT, 0},
		{":", -ENOENT, 0},
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++)
		for (int ncp = 0; ncp < 2; ncp++) {
			struct km2_peer_info p = {.ncp = ncp};
			enum aead_cipher got = 0;

			snprintf(p.ciphers, sizeof(p.ciphers), "%s", cases[c].list);
			assert_int_equal(km2_choose_cipher(&p, &got), cases[c].rc);
			assert_int_equal(got, cases[c].want);
		}
	struct km2_peer_info p = {.ncp = true};
	enum aead_cipher got;

	assert_int_equal(km2_choose_cipher(&p, &got), 0);
	assert_int_equal(got, AEAD_AES_256_GCM);
	p.ncp = false;
	assert_int_equal(km2_choose_cipher(&p, &got), -ENOENT);
	assert_string_equal(km2_cipher_name(AEAD_CHACHA20_POLY1305), "CHACHA20-POLY1305");
	assert_string_equal(km2_cipher_name(AEAD_AES_256_GCM), "AES-256-GCM");
	assert_string_equal(km2_cipher_name(AEAD_AES_128_GCM), "AES-128-GCM");
}

/* ---- keys ---- */

static void test_prf(void **state)
{
	struct km2 client = {.options = ""}, server = {.options = ""};
	uint8_t sid_c[OVPN_SID], sid_s[OVPN_SID], hash[32];
	struct ovpn_key2 key;

	(void)state;
	memset(client.pre_master, 1, KM2_PRE_MASTER);
	memset(client.random1, 2, KM2_RANDOM);
	memset(server.random1, 3, KM2_RANDOM);
	memset(client.random2, 4, KM2_RANDOM);
	memset(server.random2, 5, KM2_RANDOM);
	memset(sid_c, 6, OVPN_SID);
	memset(sid_s, 7, OVPN_SID);
	memset(server.pre_master, 0xee, KM2_PRE_MASTER); /* is not used */
	assert_int_equal(ovpn_prf_keys(&client, &server, sid_c, sid_s, &key), 0);
	assert_hex(key.bytes, 32, prf1_first);
	assert_hex(key.bytes + 128, 32, prf1_128);
	assert_int_equal(EVP_Digest(key.bytes, OVPN_KEY2, hash, NULL, EVP_sha256(), NULL), 1);
	assert_hex(hash, 32, prf1_sha256);
}

/* A data packet of the classic format (A14.1). */
static void open_data(const char *hex, const uint8_t *key, const uint8_t iv[8])
{
	uint8_t packet[512];
	const size_t n = unhex(packet, sizeof(packet), hex);
	struct aead_op op = {.text = packet + OVPN_DATA_V2_OVERHEAD,
		.len = (uint32_t)(n - OVPN_DATA_V2_OVERHEAD),
		.tag = packet + OVPN_DATA_V2_HEAD,
		.aad = packet,
		.aad_len = OVPN_DATA_V2_HEAD};
	struct aead_key *k;

	memcpy(op.nonce, packet + 4, 4);
	memcpy(op.nonce + 4, iv, 8);
	assert_int_equal(aead_key_new(&k, AEAD_AES_256_GCM, key, false), 0);
	aead_open_batch(k, &op, 1);
	assert_true(op.ok);
	aead_key_free(k);
}

/* The whole way of a client of 2.5, from its messages to its packets. */
static void test_recorded_keys(void **state)
{
	uint8_t bytes[512], sid_c[OVPN_SID], sid_s[OVPN_SID];
	struct ovpn_data_keys server_keys, client_keys;
	struct km2 client, server;
	struct ovpn_key2 key;

	(void)state;
	assert_int_equal(km2_parse_client(&client, bytes, unhex(bytes, 512, km2_client_25)), 0);
	assert_int_equal(km2_parse_server(&server, bytes, unhex(bytes, 512, km2_server)), 0);
	unhex(sid_c, OVPN_SID, lab25_sid_client);
	unhex(sid_s, OVPN_SID, lab25_sid_server);
	assert_int_equal(ovpn_prf_keys(&client, &server, sid_c, sid_s, &key), 0);
	ovpn_data_keys_split(&server_keys, &key, AEAD_AES_256_GCM, OVPN_SERVER, false);
	ovpn_data_keys_split(&client_keys, &key, AEAD_AES_256_GCM, OVPN_CLIENT, false);
	open_data(lab25_data_client, server_keys.open, server_keys.open_iv);
	open_data(lab25_data_client, client_keys.seal, client_keys.seal_iv);
	open_data(lab25_data_server, client_keys.open, client_keys.open_iv);
	open_data(lab25_data_server, server_keys.seal, server_keys.seal_iv);
}

static void test_split(void **state)
{
	static const enum aead_cipher ciphers[] = {
		AEAD_AES_256_GCM, AEAD_AES_128_GCM, AEAD_CHACHA20_POLY1305};
	const uint8_t zero[AEAD_KEY_MAX] = {0};
	struct ovpn_key2 key;

	(void)state;
	for (size_t i = 0; i < OVPN_KEY2; i++)
		key.bytes[i] = (uint8_t)i;
	for (size_t c = 0; c < ARRAY_SIZE(ciphers); c++)
		for (int epoch = 0; epoch < 2; epoch++) {
			const size_t used = epoch ? 32 : aead_key_size(ciphers[c]);
			struct ovpn_data_keys s, k;

			ovpn_data_keys_split(&s, &key, ciphers[c], OVPN_SERVER, epoch);
			ovpn_data_keys_split(&k, &key, ciphers[c], OVPN_CLIENT, epoch);
			assert_int_equal(s.cipher, ciphers[c]);
			assert_memory_equal(s.open, key.bytes, used);
			assert_memory_equal(s.seal, key.bytes + 128, used);
			assert_memory_equal(s.open + used, zero, AEAD_KEY_MAX - used);
			assert_memory_equal(s.open_iv, epoch ? zero : key.bytes + 64, 8);
			assert_memory_equal(s.seal_iv, epoch ? zero : key.bytes + 192, 8);
			assert_memory_equal(s.open, k.seal, AEAD_KEY_MAX);
			assert_memory_equal(s.seal, k.open, AEAD_KEY_MAX);
			assert_memory_equal(s.open_iv, k.seal_iv, 8);
			assert_memory_equal(s.seal_iv, k.open_iv, 8);
			ovpn_data_keys_wipe(&s);
			assert_memory_equal(s.open, zero, AEAD_KEY_MAX);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_clients),
		cmocka_unit_test(test_recorded_server),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_cut_short_server),
		cmocka_unit_test(test_method),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_field_limits),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_peer_info_numbers),
		cmocka_unit_test(test_peer_info_hostile),
		cmocka_unit_test(test_peer_info_long_list),
		cmocka_unit_test(test_cipher),
		cmocka_unit_test(test_prf),
		cmocka_unit_test(test_recorded_keys),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
