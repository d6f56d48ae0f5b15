/*
 * ULIDs. The text is base32 of 128 bits with two zero bits in front, so its first character is at
 * most '7'.
 */
#include "base/ulid.h"

#include <errno.h>
#include <string.h>

#include "base/secret.h"

static const char alphabet[33] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

int ulid_new(struct ulid *out, const struct clock *c)
{
	int64_t now = clock_real_ms(c);
	uint64_t ms = now < 0 ? 0 : (uint64_t)now;
	struct ulid u;

	if (secret_random(u.bytes + 6, sizeof(u.bytes) - 6))
		return -EIO;
	for (int i = 0; i < 6; i++)
		u.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	*out = u;
	return 0;
}

const char *ulid_format(const struct ulid *u, char *buf)
{
	uint32_t bits = 0;
	unsigned have = 2; /* the two zero bits in front */
	size_t at = 0;

	for (size_t i = 0; i < ULID_TEXT - 1; i++) {
		if (have < 5) {
			bits = bits << 8 | u->bytes[at++];
			have += 8;
		}
		have -= 5;
		buf[i] = alphabet[bits >> have & 31];
	}
	buf[ULID_TEXT - 1] = '\0';
	return buf;
}

int ulid_parse(struct ulid *out, const char *text)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t at = 0;
	struct ulid u;

	if (strnlen(text, ULID_TEXT) != ULID_TEXT - 1 || text[0] > '7')
		return -EINVAL;
	for (size_t i = 0; i < ULID_TEXT - 1; i++) {
		const char *digit = strchr(alphabet, text[i]);

		if (!digit)
			return -EINVAL;
		bits = bits << 5 | (uint32_t)(digit - alphabet);
		have += i ? 5 : 3;
		if (have >= 8) {
			have -= 8;
			u.bytes[at++] = (uint8_t)(bits >> have);
		}
	}
	*out = u;
	return 0;
}

bool ulid_equal(const struct ulid *a, const struct ulid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool ulid_is_zero(const struct ulid *u)
{
	static const struct ulid zero;

	return ulid_equal(u, &zero);
}
