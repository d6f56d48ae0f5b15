/*
 * Wrapped client keys of tls-crypt-v2 (reference A4.4). They come unasked from anybody: lengths are
 * looked at before any arithmetic, and nothing is allocated that outlives the call.
 *
 *   tag 32 | AES-256-CTR(Kc 256 | metadata) | length 2     tag = HMAC-SHA256(length | Kc |
 * metadata)
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/secret.h"
#include "ovpn/ovpn_crypto.h"
#include "ovpn/wrap.h"

enum {
	LENGTH = 2,
	KE = 0,	 /* in a server key */
	KA = 64, /* in a server key */
	METADATA_MAX = OVPN_WKC_MAX - OVPN_WKC_MIN,
	TYPE_USER = 0,
	TYPE_TIME = 1,
	OURS_VERSION = 1,
	OURS = 2 + sizeof(struct ulid), /* type, version, credential */
	TIMED = 1 + 8,			/* type, Unix seconds */
};
static_assert(OVPN_MAC + OVPN_KEY2 + LENGTH == OVPN_WKC_MIN, "a wrapped key without metadata");

/* What is encrypted, behind the length that the tag covers too. */
struct clear {
	uint8_t length[LENGTH];
	uint8_t text[OVPN_KEY2 + METADATA_MAX]; /* Kc | metadata */
};
static void clear_wipe(struct clear *c)
{
	secret_wipe(c, sizeof(*c));
}

void ovpn_wkc_wipe(struct ovpn_wkc *w)
{
	secret_wipe(w, sizeof(*w));
}

static size_t length_at_end(const uint8_t *p, size_t n)
{
	return (size_t)p[n - 2] << 8 | p[n - 1];
}

int ovpn_wkc_cut(
	const uint8_t *packet, size_t n, const uint8_t **wkc, size_t *wkc_len, size_t *front)
{
	size_t len;

	if (n < OVPN_WRAP_HEAD + 1 + OVPN_WKC_MIN)
		return -EBADMSG;
	len = length_at_end(packet, n);
	if (len < OVPN_WKC_MIN || len > OVPN_WKC_MAX || len > n - OVPN_WRAP_HEAD - 1)
		return -EBADMSG;
	*wkc = packet + n - len;
	*wkc_len = len;
	*front = n - len;
	return 0;
}

static void metadata_read(struct ovpn_wkc *out, const uint8_t *p, size_t n)
{
	if (n != OURS || p[0] != TYPE_USER || p[1] != OURS_VERSION)
		return;
	memcpy(out->credential.bytes, p + 2, sizeof(out->credential.bytes));
	out->has_credential = true;
}

int ovpn_wkc_open(const uint8_t server_key[OVPN_V2_SERVER_KEY], const uint8_t *wkc, size_t n,
	struct ovpn_wkc *out)
{
	struct clear clear cleanup(clear_wipe);
	uint8_t tag[OVPN_MAC];
	size_t text;

	ovpn_wkc_wipe(out);
	if (n < OVPN_WKC_MIN || n > OVPN_WKC_MAX || length_at_end(wkc, n) != n)
		return -EBADMSG;
	text = n - OVPN_MAC - LENGTH;
	memcpy(clear.length, wkc + n - LENGTH, LENGTH);
	if (ovpn_ctr(server_key + KE, wkc, wkc + OVPN_MAC, text, clear.text) < 0 ||
		ovpn_hmac(tag, server_key + KA, &clear, LENGTH + text, NULL, 0) < 0)
		return -EIO;
	if (!secret_equal(tag, wkc, OVPN_MAC))
		return -EBADMSG;
	memcpy(out->key.bytes, clear.text, OVPN_KEY2);
	metadata_read(out, clear.text + OVPN_KEY2, text - OVPN_KEY2);
	return 0;
}

static void metadata_write(struct writer *w, const struct ulid *credential, uint64_t unix_s)
{
	if (credential) {
		writer_u8(w, TYPE_USER);
		writer_u8(w, OURS_VERSION);
		writer_bytes(w, credential->bytes, sizeof(credential->bytes));
	} else {
		writer_u8(w, TYPE_TIME);
		writer_be64(w, unix_s);
	}
}

int ovpn_wkc_seal(const uint8_t server_key[OVPN_V2_SERVER_KEY], const struct ovpn_key2 *key,
	const struct ulid *credential, uint64_t unix_s, uint8_t *out, size_t cap)
{
	struct clear clear cleanup(clear_wipe);
	const size_t len = OVPN_WKC_MIN + (credential ? OURS : TIMED);
	const size_t text = len - OVPN_MAC - LENGTH;
	struct writer w = writer_init(clear.text, sizeof(clear.text));
	uint8_t tag[OVPN_MAC];

	if (cap < len)
		return -EMSGSIZE;
	wire_put_be16(clear.length, (uint16_t)len);
	writer_bytes(&w, key->bytes, OVPN_KEY2);
	metadata_write(&w, credential, unix_s);
	if (writer_end(&w) < 0 || writer_len(&w) != text ||
		ovpn_hmac(tag, server_key + KA, &clear, LENGTH + text, NULL, 0) < 0 ||
		ovpn_ctr(server_key + KE, tag, clear.text, text, out + OVPN_MAC) < 0)
		return -EIO;
	memcpy(out, tag, OVPN_MAC);
	memcpy(out + len - LENGTH, clear.length, LENGTH);
	return (int)len;
}
