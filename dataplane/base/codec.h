/* Hexadecimal, base64 (RFC 4648, padded, strict) and base64url without padding. */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Bytes that the text of n bytes takes, with the NUL. */
#define HEX_TEXT(n)	  (2 * (n) + 1)
#define BASE64_TEXT(n)	  (((n) + 2) / 3 * 4 + 1)
#define BASE64URL_TEXT(n) (((n) * 4 + 2) / 3 + 1)

/* out has HEX_TEXT(n) bytes; lower case. */
void hex_encode(const void *in, size_t n, char *out);
/* Exactly n bytes from exactly 2n digits. Returns: 0, -EINVAL. */
int hex_decode(const char *text, void *out, size_t n) must_check;

void base64_encode(const void *in, size_t n, char *out);
/* Exactly n bytes from the canonical padded form and nothing after it. Constant time in the
 * characters, for keys. Returns: 0, -EINVAL. */
int base64_decode(const char *text, void *out, size_t n) must_check;

void base64url_encode(const void *in, size_t n, char *out);

#endif
