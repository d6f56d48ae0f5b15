#include "api/cli/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 10 /* "\\u{10ffff}" */ };

struct range {
	uint32_t first, last;
};

/* Controls, and what Unicode calls format characters: marks of direction, joiners, tags. */
static const struct range hidden[] = {
	{0x00, 0x1f},
	{0x7f, 0x9f},
	{0xad, 0xad},
	{0x61c, 0x61c},
	{0x180e, 0x180e},
	{0x200b, 0x200f},
	{0x2028, 0x202e},
	{0x2060, 0x206f},
	{0xd800, 0xdfff},
	{0xfeff, 0xfeff},
	{0xfff9, 0xfffb},
	{0xe0000, 0xe0fff},
};
static const struct range combining[] = {
	{0x300, 0x36f},
	{0x483, 0x489},
	{0x591, 0x5bd},
	{0x610, 0x61a},
	{0x64b, 0x65f},
	{0x6d6, 0x6dc},
	{0x900, 0x902},
	{0x93c, 0x93c},
	{0x941, 0x948},
	{0xe31, 0xe31},
	{0xe34, 0xe3a},
	{0xe47, 0xe4e},
	{0x1ab0, 0x1aff},
	{0x1dc0, 0x1dff},
	{0x20d0, 0x20ff},
	{0x302a, 0x302d},
	{0x3099, 0x309a},
	{0xfe00, 0xfe0f},
	{0xfe20, 0xfe2f},
};
/* East Asian Width W and F, and emoji. */
static const struct range wide[] = {
	{0x1100, 0x115f},
	{0x231a, 0x231b},
	{0x2329, 0x232a},
	{0x23e9, 0x23ec},
	{0x25fd, 0x25fe},
	{0x2614, 0x2615},
	{0x2648, 0x2653},
	{0x26aa, 0x26ab},
	{0x2705, 0x2705},
	{0x274c, 0x274c},
	{0x2e80, 0x303e},
	{0x3041, 0x33ff},
	{0x3400, 0x4dbf},
	{0x4e00, 0x9fff},
	{0xa000, 0xa4cf},
	{0xa960, 0xa97f},
	{0xac00, 0xd7a3},
	{0xf900, 0xfaff},
	{0xfe30, 0xfe6f},
	{0xff00, 0xff60},
	{0xffe0, 0xffe6},
	{0x1f004, 0x1f004},
	{0x1f0cf, 0x1f0cf},
	{0x1f18e, 0x1f19a},
	{0x1f200, 0x1f320},
	{0x1f32d, 0x1f64f},
	{0x1f680, 0x1f6ff},
	{0x1f7e0, 0x1f7eb},
	{0x1f900, 0x1f9ff},
	{0x1fa70, 0x1faff},
	{0x20000, 0x3fffd},
};

static bool in(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}
#define IN(c, table) in(c, table, ARRAY_SIZE(table))

/* One character of UTF-8 (RFC 3629). Returns: its length, 0 when the byte begins none. */
static size_t decode(const char *text, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	const size_t n = *p < 0x80   ? 1
			 : *p < 0xc2 ? 0
			 : *p < 0xe0 ? 2
			 : *p < 0xf0 ? 3
			 : *p < 0xf5 ? 4
				     : 0;

	*c = n <= 1 ? *p : *p & (0x7fU >> n);
	/* The NUL at the end continues nothing, so this never reads past it. */
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3fU);
	}
	return n && *c >= least[n] && *c <= 0x10ffff ? n : 0;
}

static size_t columns_of(uint32_t c)
{
	return IN(c, combining) ? 0 : IN(c, wide) ? 2 : 1;
}

size_t text_width(const char *plain)
{
	size_t width = 0, n;
	uint32_t c;

	for (; *plain; plain += n ? n : 1) {
		n = decode(plain, &c);
		width += n ? columns_of(c) : 1;
	}
	return width;
}

size_t text_fit(const char *plain, size_t columns)
{
	size_t at = 0, n;
	uint32_t c;

	for (; plain[at]; at += n ? n : 1) {
		const size_t w = (n = decode(plain + at, &c)) ? columns_of(c) : 1;

		if (w > columns)
			break;
		columns -= w;
	}
	return at;
}

/* Writes one character, or what stands for it. Returns: how many bytes of text it was. */
static size_t put(const char *text, char **to)
{
	uint32_t c;
	const size_t n = decode(text, &c);
	const unsigned char byte = (unsigned char)*text;

	if (n == 0 || (n == 1 && IN(byte, hidden))) {
		*to += snprintf(*to, LONGEST + 1, "\\x%02x", byte);
		return 1;
	}
	if (IN(c, hidden)) {
		*to += snprintf(*to, LONGEST + 1, "\\u{%x}", (unsigned)c);
		return n;
	}
	memcpy(*to, text, n);
	*to += n;
	return n;
}

char *text_plain(const char *text)
{
	char *out = malloc(strlen(text) * LONGEST + 1), *to = out;

	if (!out)
		return NULL;
	while (*text)
		text += put(text, &to);
	*to = '\0';
	return out;
}
