/* Hexadecimal text of vectors into bytes. */
#ifndef VECTORS_HEX_H
#define VECTORS_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/codec.h"

/* Fills out from all of text, which has room at least; returns the number of bytes. */
static inline size_t unhex(uint8_t *out, size_t room, const char *text)
{
	size_t n = strlen(text) / 2;

	assert_true(n <= room);
	assert_int_equal(hex_decode(text, out, n), 0);
	return n;
}

/* got is what text says. */
static inline void assert_hex(const uint8_t *got, size_t n, const char *text)
{
	uint8_t want[512];

	assert_int_equal(unhex(want, sizeof(want), text), n);
	assert_memory_equal(got, want, n);
}

#endif
