/*
 * Wrapped client keys with the server's key in hand. The first byte says what the rest is: a clear
 * text of any length that is sealed rightly, with the length it has or another; raw bytes; or the
 * text of a key.
 *
 * What is rightly sealed and of a legal length opens to its key, and to a credential just when its
 * metadata is ours. Nothing else opens, and what did not open is empty.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ovpn/ovpn_crypto.h"
#include "ovpn/wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum { SEALED, SEALED_ODD, RAW, CLIENT_TEXT, STATIC_TEXT, KINDS, ROOM = 4096 };

static const uint8_t server_key[OVPN_V2_SERVER_KEY] = {1, 2, 3, [64] = 4, 5, 6};

/* On the heap with nothing behind it. */
static int open_exactly(const uint8_t *p, size_t n, struct ovpn_wkc *out)
{
	const struct ovpn_wkc none = {.has_credential = false};
	uint8_t *wkc = malloc(n ? n : 1);

	REQUIRE(wkc);
	memcpy(wkc, p, n);
	memset(out, 0x5a, sizeof(*out));
	int rc = ovpn_wkc_open(server_key, wkc, n, out);

	free(wkc);
	REQUIRE(rc == 0 || (rc == -EBADMSG && memcmp(out, &none, sizeof(none)) == 0));
	return rc;
}

/* clear is Kc and metadata, of any length; said is the length field's value. */
static void sealed(const uint8_t *clear, size_t n, size_t said)
{
	uint8_t text[ROOM], wkc[ROOM];
	const size_t len = 32 + n + 2;
	const bool legal = len >= OVPN_WKC_MIN && len <= OVPN_WKC_MAX && said == len;
	struct ovpn_wkc got;

	wire_put_be16(text, (uint16_t)said);
	memcpy(text + 2, clear, n);
	REQUIRE(ovpn_hmac(wkc, server_key + 64, text, 2 + n, NULL, 0) == 0);
	REQUIRE(ovpn_ctr(server_key, wkc, clear, n, wkc + 32) == 0);
	wire_put_be16(wkc + 32 + n, (uint16_t)said);
	REQUIRE((open_exactly(wkc, len, &got) == 0) == legal);
	if (!legal)
		return;
	const uint8_t *metadata = clear + OVPN_KEY2;
	const bool ours = n == OVPN_KEY2 + 18 && metadata[0] == 0 && metadata[1] == 1;

	REQUIRE(memcmp(got.key.bytes, clear, OVPN_KEY2) == 0);
	REQUIRE(got.has_credential == ours);
	if (ours)
		REQUIRE(memcmp(got.credential.bytes, metadata + 2, 16) == 0);
	wkc[len / 3] ^= 0x10;
	REQUIRE(open_exactly(wkc, len, &got) == -EBADMSG);
}

static void text(const uint8_t *p, size_t n, bool client)
{
	char *s = malloc(n + 1);
	uint8_t wkc[OVPN_WKC_MAX];
	struct ovpn_key2 key;
	struct ovpn_wkc got;
	size_t len;

	REQUIRE(s);
	memcpy(s, p, n);
	s[n] = '\0';
	if (!client)
		REQUIRE(ovpn_static_key_parse(s, &key) <= 0);
	else if (ovpn_client_key_parse(s, &key, wkc, &len) == 0)
		open_exactly(wkc, len, &got);
	free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovpn_wkc got;

	REQUIRE(ovpn_wrap_global_init() == 0);
	if (size < 3 || size > ROOM - 64)
		return 0;
	const uint8_t *p = data + 3;
	const size_t n = size - 3;

	switch (data[0] % KINDS) {
	case SEALED:
		sealed(p, n, 32 + n + 2);
		break;
	case SEALED_ODD:
		sealed(p, n, (size_t)data[1] << 8 | data[2]);
		break;
	case RAW:
		open_exactly(p, n, &got);
		break;
	case CLIENT_TEXT:
	case STATIC_TEXT:
		text(p, n, data[0] % KINDS == CLIENT_TEXT);
		break;
	}
	return 0;
}
