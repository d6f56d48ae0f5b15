/*
 * Text forms of bytes. Keys go through here, so a character is turned into its value, and back, by
 * arithmetic on masks: no table is indexed and no branch taken by what may be secret. Only lengths
 * and the final verdict are visible in time.
 */
#include "base/codec.h"

#include <errno.h>
#include <string.h>

#include "base/secret.h"

/* All ones when lo <= c <= hi, otherwise 0; all three below 2^31. */
static uint32_t between(uint32_t c, uint32_t lo, uint32_t hi)
{
	return 0u - (((lo - 1 - c) & (c - hi - 1)) >> 31);
}

static char hex_digit(uint32_t v)
{
	return (char)('0' + v + (between(v, 10, 15) & ('a' - '0' - 10)));
}

void hex_encode(const void *in, size_t n, char *out)
{
	const uint8_t *p = in;

	for (size_t i = 0; i < n; i++) {
		*out++ = hex_digit(p[i] >> 4);
		*out++ = hex_digit(p[i] & 15);
	}
	*out = '\0';
}

/* The value of a digit; sets bits in bad when it is none. */
static uint32_t hex_value(char digit, uint32_t *bad)
{
	uint32_t c = (uint8_t)digit;
	uint32_t dec = between(c, '0', '9');
	uint32_t low = between(c, 'a', 'f');
	uint32_t up = between(c, 'A', 'F');

	*bad |= ~(dec | low | up);
	return (dec & (c - '0')) | (low & (c - 'a' + 10)) | (up & (c - 'A' + 10));
}

int hex_decode(const char *text, void *out, size_t n)
{
	uint8_t *p = out;
	uint32_t bad = 0;

	if (strlen(text) != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		uint32_t high = hex_value(text[2 * i], &bad);

		p[i] = (uint8_t)(high << 4 | hex_value(text[2 * i + 1], &bad));
	}
	if (!bad)
		return 0;
	secret_wipe(out, n);
	return -EINVAL;
}

/* The two alphabets of RFC 4648 differ in their last two characters. */
struct alphabet {
	char c62, c63;
};

static char sextet_char(uint32_t v, struct alphabet a)
{
	return (char)((between(v, 0, 25) & ('A' + v)) | (between(v, 26, 51) & ('a' + v - 26)) |
		      (between(v, 52, 61) & ('0' + v - 52)) |
		      (between(v, 62, 62) & (uint8_t)a.c62) |
		      (between(v, 63, 63) & (uint8_t)a.c63));
}

/* Encodes without padding; returns the characters written. */
static size_t sextets_encode(const uint8_t *p, size_t n, char *out, struct alphabet a)
{
	size_t chars = (n * 4 + 2) / 3;
	uint32_t bits = 0;
	unsigned have = 0;
	size_t at = 0;

	for (size_t i = 0; i < chars; i++) {
		if (have < 6) {
			bits = bits << 8 | (at < n ? p[at] : 0);
			at++;
			have += 8;
		}
		have -= 6;
		out[i] = sextet_char(bits >> have & 63, a);
	}
	out[chars] = '\0';
	return chars;
}

void base64_encode(const void *in, size_t n, char *out)
{
	size_t chars = sextets_encode(in, n, out, (struct alphabet){'+', '/'});

	while (chars % 4)
		out[chars++] = '=';
	out[chars] = '\0';
}

void base64url_encode(const void *in, size_t n, char *out)
{
	sextets_encode(in, n, out, (struct alphabet){'-', '_'});
}

static uint32_t sextet_value(char ch, uint32_t *bad)
{
	uint32_t c = (uint8_t)ch;
	uint32_t up = between(c, 'A', 'Z');
	uint32_t low = between(c, 'a', 'z');
	uint32_t dec = between(c, '0', '9');
	uint32_t plus = between(c, '+', '+');
	uint32_t slash = between(c, '/', '/');

	*bad |= ~(up | low | dec | plus | slash);
	return (up & (c - 'A')) | (low & (c - 'a' + 26)) | (dec & (c - '0' + 52)) | (plus & 62) |
	       (slash & 63);
}

int base64_decode(const char *text, void *out, size_t n)
{
	size_t chars = (n * 4 + 2) / 3;
	uint8_t *p = out;
	uint32_t bits = 0, bad = 0;
	unsigned have = 0;

	if (strlen(text) != BASE64_TEXT(n) - 1)
		return -EINVAL;
	for (size_t i = 0; i < chars; i++) {
		bits = bits << 6 | sextet_value(text[i], &bad);
		have += 6;
		if (have >= 8) {
			have -= 8;
			*p++ = (uint8_t)(bits >> have);
		}
	}
	/* Canonical: the bits that carry nothing are zero, and only padding follows (RFC 4648 3.5).
	 */
	bad |= bits & ((1u << have) - 1);
	for (size_t i = chars; i < BASE64_TEXT(n) - 1; i++)
		bad |= (uint8_t)text[i] ^ (uint32_t)'=';
	if (!bad)
		return 0;
	secret_wipe(out, n);
	return -EINVAL;
}
