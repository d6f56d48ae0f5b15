/* wire_classify over anything: what it promises about lengths holds. */
#include <stdlib.h>

#include "wire/classify.h"
#include "wire/wg_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const enum wire_class c = wire_classify(data, size);

	if (c == WIRE_WG_DATA && (size < WG_DATA_MIN || wire_le32(data) != WG_DATA))
		abort();
	if (c == WIRE_WG_HANDSHAKE && size != 148 && size != 92 && size != 64)
		abort();
	if ((c == WIRE_OVPN_DATA || c == WIRE_OVPN_CONTROL) && (size < 14 || data[0] >> 3 < 3))
		abort();
	return 0;
}
