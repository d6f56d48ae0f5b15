/* Names of offloads, and the end of one. */
#include "io/offloads.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static const struct {
	unsigned bit;
	const char *name;
} rows[] = {
#define ROW(NAME, number, name) {UAPI_OFFLOAD_##NAME, name},
	UAPI_OFFLOADS(ROW)
#undef ROW
};

static unsigned bit_of(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
			return rows[i].bit;
	}
	return 0;
}

int offloads_parse(const char *text, unsigned *out)
{
	unsigned bits = 0;

	if (strcmp(text, "auto") == 0 || strcmp(text, "off") == 0) {
		*out = text[0] == 'a' ? UAPI_OFFLOAD_ALL : 0;
		return 0;
	}
	for (const char *at = text;;) {
		size_t len = strcspn(at, ",");
		unsigned bit = bit_of(at, len);

		if (bit == 0)
			return -EINVAL;
		bits |= bit;
		if (at[len] == '\0')
			break;
		at += len + 1;
	}
	*out = bits;
	return 0;
}

void offloads_drop(struct offloads *o, unsigned bits, int error)
{
	unsigned before = atomic_fetch_and_explicit(&o->used, ~bits, memory_order_relaxed);
	char text[OFFLOADS_TEXT];

	if (before & bits)
		log_warn("offloads", "%s: not used, the kernel refuses: %s",
			offloads_format(before & bits, text), strerror(error));
}

const char *offloads_format(unsigned bits, char *buf)
{
	size_t at = 0;

	snprintf(buf, OFFLOADS_TEXT, "none");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (bits & rows[i].bit)
			at += (size_t)snprintf(buf + at, OFFLOADS_TEXT - at, "%s%s",
				at > 0 ? "," : "", rows[i].name);
	}
	return buf;
}
