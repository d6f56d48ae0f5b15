/*
 * Inner packets of a peer, merged and cut again: whatever they are, the same packets come out, and
 * what a TUN device might say of a packet never leads out of it.
 *
 * Input: first byte even: packets, each u16 length and bytes. Odd: a virtio header and a packet.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/merge.h"
#include "io/segment.h"
#include "wire/ip_hdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Cuts all there is to cut. Returns: how many packets, their bytes are added. */
static uint32_t cut(const struct vnet_hdr *h, uint8_t *p, uint32_t len, size_t *bytes)
{
	struct segments s;
	uint32_t n = 0;

	switch (segment_begin(&s, h, p, len)) {
	case SEGMENT_WHOLE:
		*bytes += len;
		return 1;
	case SEGMENT_BAD:
		return 0;
	case SEGMENT_SUPER:
		break;
	}
	for (uint32_t left = segment_left(&s); left > 0; left--, n++) {
		uint32_t most = segment_max(&s);
		uint8_t *out = malloc(most);

		must(segment_left(&s) == left);
		must(out && segment_next(&s, out) == most);
		*bytes += most;
		free(out);
	}
	must(segment_left(&s) == 0);
	return n;
}

static void one_super_packet(const uint8_t *data, size_t size)
{
	struct vnet_hdr h;
	uint8_t *p;
	size_t bytes = 0;

	if (size < sizeof(h) || size - sizeof(h) > 70000)
		return;
	memcpy(&h, data, sizeof(h));
	size -= sizeof(h);
	p = malloc(size + 1);
	if (!p)
		return;
	memcpy(p, data + sizeof(h), size);
	(void)cut(&h, p, (uint32_t)size, &bytes);
	free(p);
}

static void add_all(struct merge *m, const uint8_t *data, size_t size, size_t *bytes)
{
	while (size >= 2) {
		size_t len = (size_t)data[0] << 8 | data[1];
		struct ip_hdr h;
		uint8_t *p;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		/* The engine lets nothing else through, and cuts off what follows. */
		if (ip_hdr_parse(&h, data, len) == IP_HDR_OK) {
			p = malloc(h.total);
			must(p != NULL);
			memcpy(p, data, h.total);
			if (!merge_add(m, p, h.total)) {
				free(p);
				return;
			}
			*bytes += h.total;
		}
		data += len;
		size -= len;
	}
}

static void many_packets(const uint8_t *data, size_t size)
{
	static struct merge m;
	struct iovec iov[MERGE_RUN];
	size_t in = 0, out = 0;
	uint32_t n = 0;

	merge_begin(&m, true, true);
	add_all(&m, data, size, &in);
	for (uint32_t i = 0; i < m.n_runs; i++) {
		struct vnet_hdr h;
		size_t pieces = merge_frame(&m, i, &h, iov), len = 0;
		uint8_t *p = malloc(70000);

		must(p != NULL);
		for (size_t k = 0; k < pieces; len += iov[k++].iov_len) {
			must(len + iov[k].iov_len <= UINT16_MAX + 40u);
			memcpy(p + len, iov[k].iov_base, iov[k].iov_len);
		}
		n += cut(&h, p, (uint32_t)len, &out);
		must(merge_apart(&m, i, iov) == pieces);
		free(p);
	}
	must(n == m.n_packets && in == out);
	for (uint32_t i = 0; i < m.n_packets; i++)
		free(m.packets[i].data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		one_super_packet(data + 1, size - 1);
	else
		many_packets(data + 1, size - 1);
	return 0;
}
