/* TCP options by RFC 9293 3.2, checksum by RFC 1624 equation 3. */
#include "fwd/mss.h"

#include <stddef.h>

#include "wire/ovpn_wire.h"

enum {
	OUTER_MAX = 1492, /* as OpenVPN's clients clamp: leaves room for PPPoE */
	V4_HEADER = 20,
	V6_HEADER = 40,
	UDP_HEADER = 8,
	TCP_HEADER = 20,
	TCP_FLAGS = 13,
	TCP_CHECKSUM = 16,
	TCP_SYN = 2,
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_MSS_SIZE = 4,
	PROTOCOL_TCP = 6,
};

uint32_t mss_inner_max(const struct path *path, uint32_t overhead)
{
	uint32_t ip = path->remote.addr.family == IP_V6 ? V6_HEADER : V4_HEADER;
	uint32_t transport = path->connection ? TCP_HEADER + OVPN_FRAME_HEAD : UDP_HEADER;

	return OUTER_MAX - ip - transport - overhead;
}

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* Where TCP begins, 0: this is no TCP, or not its beginning. */
static uint32_t tcp_offset(const uint8_t *p)
{
	if (p[0] >> 4 == 4) {
		if (p[9] != PROTOCOL_TCP || be16(p + 6) & 0x1fff)
			return 0;
		return (uint32_t)(p[0] & 15) * 4;
	}
	return p[6] == PROTOCOL_TCP ? V6_HEADER : 0;
}

/* The sum runs over 16-bit words, so a value at an odd place counts with its bytes exchanged. */
static uint32_t as_summed(uint32_t v, bool odd)
{
	return odd ? (v & 0xff) << 8 | v >> 8 : v;
}

static void replace(uint8_t *tcp, uint32_t at, uint16_t mss)
{
	const bool odd = at & 1;
	uint32_t sum = (~be16(tcp + TCP_CHECKSUM) & 0xffff) +
		       (~as_summed(be16(tcp + at), odd) & 0xffff) + as_summed(mss, odd);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	wire_put_be16(tcp + at, mss);
	wire_put_be16(tcp + TCP_CHECKSUM, (uint16_t)~sum);
}

/* size: of header and options, all of it there. Every MSS option is looked at: which of two a
 * receiver believes is its own affair. */
static void clamp_options(uint8_t *tcp, uint32_t size, uint16_t mss)
{
	uint32_t at = TCP_HEADER;

	while (at < size && tcp[at] != OPTION_END) {
		if (tcp[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (size - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > size - at)
			return;
		if (tcp[at] == OPTION_MSS && tcp[at + 1] == OPTION_MSS_SIZE &&
			be16(tcp + at + 2) > mss)
			replace(tcp, at + 2, mss);
		at += tcp[at + 1];
	}
}

void mss_clamp(uint8_t *p, uint32_t len, uint32_t inner_max)
{
	uint32_t at = tcp_offset(p);
	uint32_t headers = (p[0] >> 4 == 4 ? V4_HEADER : V6_HEADER) + TCP_HEADER;

	if (!at || len < at + TCP_HEADER || !(p[at + TCP_FLAGS] & TCP_SYN))
		return;
	uint32_t size = (uint32_t)(p[at + 12] >> 4) * 4;
	if (size < TCP_HEADER || size > len - at || inner_max <= headers)
		return;
	clamp_options(p + at, size, (uint16_t)(inner_max - headers));
}
