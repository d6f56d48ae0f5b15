/*
 * Keys as text (reference A4.2, A4.4): read from files that people edit, so anything may stand
 * around the markers and lines may be of any length; what stands between them is exact. Texts are
 * secrets and are wiped like keys.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/secret.h"
#include "ovpn/wrap.h"

enum {
	LINE = 64,				   /* characters of PEM in one */
	CLIENT_KEY_MAX = OVPN_KEY2 + OVPN_WKC_MAX, /* bytes in a client key */
	CLIENT_KEY_MIN = OVPN_KEY2 + OVPN_WKC_MIN,
};
#define CLIENT_BEGIN "-----BEGIN OpenVPN tls-crypt-v2 client key-----"
#define CLIENT_END   "-----END OpenVPN tls-crypt-v2 client key-----"
#define STATIC_BEGIN "-----BEGIN OpenVPN Static key V1-----"
#define STATIC_END   "-----END OpenVPN Static key V1-----"

/* Characters between two markers without their blanks. */
struct body {
	size_t len;
	char text[BASE64_TEXT(CLIENT_KEY_MAX)];
};
static_assert(sizeof(((struct body *)0)->text) >= HEX_TEXT(OVPN_KEY2), "a static key fits as well");
static void body_wipe(struct body *b)
{
	secret_wipe(b, sizeof(*b));
}

static int body_read(struct body *b, const char *text, const char *begin, const char *end)
{
	const char *at = strstr(text, begin);
	const char *stop = at ? strstr(at + strlen(begin), end) : NULL;

	b->len = 0;
	if (!stop)
		return -EINVAL;
	for (at += strlen(begin); at < stop; at++) {
		if (strchr(" \t\r\n", *at))
			continue;
		if (b->len + 1 >= sizeof(b->text))
			return -EINVAL;
		b->text[b->len++] = *at;
	}
	b->text[b->len] = '\0';
	return 0;
}

int ovpn_static_key_parse(const char *text, struct ovpn_key2 *key)
{
	struct body b cleanup(body_wipe);

	if (body_read(&b, text, STATIC_BEGIN, STATIC_END) < 0)
		return -EINVAL;
	return hex_decode(b.text, key->bytes, OVPN_KEY2);
}

/* Bytes that base64 of that length and padding stands for. */
static size_t base64_bytes(const struct body *b)
{
	size_t padding = 0;

	while (padding < 2 && padding < b->len && b->text[b->len - 1 - padding] == '=')
		padding++;
	return b->len / 4 * 3 - (b->len >= 4 ? padding : 0);
}

int ovpn_client_key_parse(const char *pem, struct ovpn_key2 *key, uint8_t *wkc, size_t *wkc_len)
{
	struct body b cleanup(body_wipe);
	uint8_t bytes[CLIENT_KEY_MAX];
	size_t n;
	int rc = -EINVAL;

	if (body_read(&b, pem, CLIENT_BEGIN, CLIENT_END) < 0)
		return -EINVAL;
	n = base64_bytes(&b);
	if (n < CLIENT_KEY_MIN || n > CLIENT_KEY_MAX || base64_decode(b.text, bytes, n) < 0)
		goto out;
	if (((size_t)bytes[n - 2] << 8 | bytes[n - 1]) != n - OVPN_KEY2)
		goto out;
	memcpy(key->bytes, bytes, OVPN_KEY2);
	memcpy(wkc, bytes + OVPN_KEY2, n - OVPN_KEY2);
	*wkc_len = n - OVPN_KEY2;
	rc = 0;
out:
	secret_wipe(bytes, sizeof(bytes));
	return rc;
}

static int pem_write(char *out, size_t cap, const uint8_t *bytes, size_t n)
{
	struct body b cleanup(body_wipe);
	size_t at;

	base64_encode(bytes, n, b.text);
	b.len = strlen(b.text);
	at = (size_t)snprintf(out, cap, "%s\n", CLIENT_BEGIN);
	for (size_t i = 0; i < b.len && at < cap; i += LINE)
		at += (size_t)snprintf(out + at, cap - at, "%.*s\n", LINE, b.text + i);
	if (at < cap)
		at += (size_t)snprintf(out + at, cap - at, "%s\n", CLIENT_END);
	if (at < cap)
		return 0;
	secret_wipe(out, cap);
	return -EMSGSIZE;
}

int ovpn_client_key_pem(const uint8_t server_key[OVPN_V2_SERVER_KEY], const struct ulid *credential,
	uint64_t unix_s, char *pem, size_t cap)
{
	struct ovpn_key2 key cleanup(ovpn_key2_wipe);
	uint8_t bytes[CLIENT_KEY_MAX];
	int rc;

	if (secret_random(key.bytes, sizeof(key.bytes)) < 0)
		return -EIO;
	memcpy(bytes, key.bytes, OVPN_KEY2);
	rc = ovpn_wkc_seal(server_key, &key, credential, unix_s, bytes + OVPN_KEY2, OVPN_WKC_MAX);
	if (rc >= 0)
		rc = pem_write(pem, cap, bytes, OVPN_KEY2 + (size_t)rc);
	secret_wipe(bytes, sizeof(bytes));
	return rc;
}
