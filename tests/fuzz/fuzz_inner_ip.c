/* Inner IP headers over anything: what parses is whole, and its addresses are the packet's own. */
#include <stdlib.h>
#include <string.h>

#include "wire/ip_hdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip_hdr h;

	if (ip_hdr_parse(&h, data, size) != IP_HDR_OK)
		return 0;
	const bool v4 = data[0] >> 4 == 4;
	const size_t n = v4 ? 4 : 16, src = v4 ? 12 : 8, dst = v4 ? 16 : 24;
	if (h.total > size || h.total < (v4 ? 20 : 40))
		abort();
	if (h.src.family != (v4 ? IP_V4 : IP_V6) || h.dst.family != h.src.family)
		abort();
	if (memcmp(h.src.bytes, data + src, n) || memcmp(h.dst.bytes, data + dst, n))
		abort();
	/* Cut to its own length it still parses, one byte shorter it does not. */
	if (ip_hdr_parse(&h, data, h.total) != IP_HDR_OK ||
		ip_hdr_parse(&h, data, h.total - 1) != IP_HDR_BAD)
		abort();
	return 0;
}
