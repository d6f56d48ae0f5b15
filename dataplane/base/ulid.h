/* ULIDs: 48 bits of Unix milliseconds, 80 random bits; their text sorts by time (ulid/spec). */
#ifndef BASE_ULID_H
#define BASE_ULID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"

struct ulid {
	uint8_t bytes[16];
};

enum { ULID_TEXT = 27 };

/* A new one. Returns: 0, -EIO when there is no randomness. */
int ulid_new(struct ulid *out, const struct clock *c) must_check;
/* Crockford base32, upper case, 26 characters; buf has ULID_TEXT bytes, returned. */
const char *ulid_format(const struct ulid *u, char *buf);
/* Exactly 26 characters in upper case. Returns: 0, -EINVAL. */
int ulid_parse(struct ulid *out, const char *text) must_check;
bool ulid_equal(const struct ulid *a, const struct ulid *b);
bool ulid_is_zero(const struct ulid *u);

#endif
