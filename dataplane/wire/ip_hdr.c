/* Inner IP headers: version, lengths, addresses. The source address is a security boundary, so a
 * header whose lengths do not agree is refused whole. */
#include "wire/ip_hdr.h"

#include <string.h>

enum { V4_MIN = 20, V6_FIXED = 40 };

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void take_addr(struct ip_addr *a, enum ip_family family, const uint8_t *p, size_t n)
{
	memset(a, 0, sizeof(*a));
	a->family = (uint8_t)family;
	memcpy(a->bytes, p, n);
}

static enum ip_hdr_outcome parse4(struct ip_hdr *out, const uint8_t *p, size_t len)
{
	if (len < V4_MIN)
		return IP_HDR_BAD;
	uint32_t header = (uint32_t)(p[0] & 15) * 4;
	uint32_t total = be16(p + 2);
	if (header < V4_MIN || header > total || total > len)
		return IP_HDR_BAD;
	out->total = total;
	take_addr(&out->src, IP_V4, p + 12, 4);
	take_addr(&out->dst, IP_V4, p + 16, 4);
	return IP_HDR_OK;
}

static enum ip_hdr_outcome parse6(struct ip_hdr *out, const uint8_t *p, size_t len)
{
	if (len < V6_FIXED)
		return IP_HDR_BAD;
	uint32_t total = V6_FIXED + be16(p + 4);
	if (total > len)
		return IP_HDR_BAD;
	out->total = total;
	take_addr(&out->src, IP_V6, p + 8, 16);
	take_addr(&out->dst, IP_V6, p + 24, 16);
	return IP_HDR_OK;
}

enum ip_hdr_outcome ip_hdr_parse(struct ip_hdr *out, const uint8_t *p, size_t len)
{
	if (!len)
		return IP_HDR_BAD;
	switch (p[0] >> 4) {
	case 4:
		return parse4(out, p, len);
	case 6:
		return parse6(out, p, len);
	}
	return IP_HDR_BAD;
}
