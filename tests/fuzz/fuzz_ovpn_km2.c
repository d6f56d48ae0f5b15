/*
 * Key method 2 of either side (the first byte says whose), then what is made of it: the choice of a
 * cipher and keys. One that parses packs to the same again, and to the very bytes it came from when
 * it came in the only usual form.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "ovpn/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static bool printable(const char *text, size_t cap)
{
	size_t n = strnlen(text, cap);

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return n < cap;
}

/* Where a client's peer info begins, NULL without one, and whether all is in the usual form: zero,
 * method 2, four fields, none of them a lone NUL. */
static const char *peer_info(const uint8_t *p, size_t n, bool client, bool *usual, size_t *end)
{
	struct reader r = reader_init(p, n);
	const uint8_t *text = NULL;

	*usual = reader_be32(&r) == 0;
	*usual = (reader_u8(&r) == 2) && *usual; /* both are read, whatever the first says */
	reader_view(&r, client ? 112 : 64);
	for (int f = 0; f < 4; f++) {
		const size_t len = reader_be16(&r);

		text = reader_view(&r, len);
		*usual = *usual && text && len != 1 && (client || f == 0 || len == 0);
		if (!text || len == 0)
			text = NULL;
	}
	*end = n - reader_left(&r);
	*usual = *usual && !r.bad;
	return (const char *)text;
}

static void check(const struct km2 *k, const uint8_t *p, size_t n, bool client)
{
	uint8_t packed[8192];
	struct km2 again;
	bool usual;
	size_t end;
	const char *peer = peer_info(p, n, client, &usual, &end);
	int len = client ? km2_pack_client(k, peer, packed, sizeof(packed))
			 : km2_pack_server(k, packed, sizeof(packed));

	REQUIRE(len > 0);
	if (usual)
		REQUIRE((size_t)len == end && memcmp(packed, p, end) == 0);
	int rc = client ? km2_parse_client(&again, packed, (size_t)len)
			: km2_parse_server(&again, packed, (size_t)len);
	REQUIRE(rc == 0 && strcmp(again.options, k->options) == 0);
	if (client)
		REQUIRE(memcmp(&again, k, sizeof(again)) == 0);
}

static void use(const struct km2 *k)
{
	const uint8_t sid[OVPN_SID] = {1};
	struct ovpn_data_keys keys;
	enum aead_cipher cipher;
	struct ovpn_key2 key;

	REQUIRE(printable(k->peer.version, sizeof(k->peer.version)));
	REQUIRE(printable(k->peer.platform, sizeof(k->peer.platform)));
	REQUIRE(printable(k->peer.ciphers, sizeof(k->peer.ciphers)));
	if (km2_choose_cipher(&k->peer, &cipher) < 0)
		return;
	REQUIRE(!k->peer.ciphers[0] || strstr(k->peer.ciphers, km2_cipher_name(cipher)));
	REQUIRE(ovpn_prf_keys(k, k, sid, sid, &key) == 0);
	ovpn_data_keys_split(&keys, &key, cipher, OVPN_SERVER, k->peer.proto & IV_PROTO_EPOCH);
	REQUIRE(memcmp(keys.open, key.bytes, aead_key_size(cipher)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	REQUIRE(ovpn_wrap_global_init() == 0);
	if (size < 1)
		return 0;
	const bool client = !(data[0] & 1);
	const size_t n = size - 1;
	uint8_t *p = malloc(n ? n : 1);
	struct km2 k;

	REQUIRE(p);
	memcpy(p, data + 1, n);
	if ((client ? km2_parse_client(&k, p, n) : km2_parse_server(&k, p, n)) == 0) {
		check(&k, p, n, client);
		use(&k);
	}
	/* The text alone, without what is around it. */
	km2_peer_info_parse(&k.peer, (const char *)p, n);
	use(&k);
	free(p);
	return 0;
}
