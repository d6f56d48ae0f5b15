/* Cutting super-packets (RFC 791, 8200, 9293 3.1, 768; checksums RFC 1071). */
#include "io/segment.h"

#include <arpa/inet.h>

#include "wire/inet_sum.h"
#include "wire/ovpn_wire.h"

enum {
	V4_MIN = 20,
	V4_TOTAL = 2,
	V4_ID = 4,
	V4_CHECKSUM = 10,
	V6_FIXED = 40,
	V6_PAYLOAD = 4,
	TCP_MIN = 20,
	TCP_SEQ = 4,
	TCP_DATA_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_CHECKSUM = 16,
	TCP_LAST_ONLY = 0x01 | 0x08, /* FIN, PSH */
	TCP_FIRST_ONLY = 0x80,	     /* CWR, RFC 3168 6.1.2 */
	UDP_HEADER = 8,
	UDP_LENGTH = 4,
	UDP_CHECKSUM = 6,
};

/* The field holds the sum of the pseudo-header already, so summing all of it finishes it. */
static enum segment_outcome finish(const struct vnet_hdr *h, uint8_t *packet, uint32_t len)
{
	uint32_t at = (uint32_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (at + 2 > len)
		return SEGMENT_BAD;
	sum = (uint16_t)~inet_fold(inet_sum(packet + h->csum_start, len - h->csum_start, 0));
	/* In UDP none is written as zero. */
	if (sum == 0 && h->csum_offset == UDP_CHECKSUM)
		sum = 0xffff;
	inet_word_put(packet + at, sum);
	return SEGMENT_WHOLE;
}

/* Where the kernel says that TCP or UDP begins must be behind the IP header. */
static bool ip_fits(const struct segments *s)
{
	const uint8_t *p = s->packet;

	if (s->v6)
		return p[0] >> 4 == 6 && s->l4 >= V6_FIXED;
	return p[0] >> 4 == 4 && s->l4 >= V4_MIN && s->l4 == (p[0] & 15) * 4;
}

/* The field of the checksum holds the pseudo-header's sum with the length of the whole; a routing
 * header may have given that another destination than the packet names, so it is adjusted and not
 * made anew. */
static void sums_begin(struct segments *s)
{
	const uint8_t *p = s->packet, *l4 = p + s->l4;

	if (!s->v6)
		s->ip_sum = inet_sum_words(p, s->l4, 0) - inet_word(p + V4_TOTAL) -
			    inet_word(p + V4_ID) - inet_word(p + V4_CHECKSUM);
	s->l4_sum =
		inet_sum_words(l4, s->head - s->l4, (uint16_t)~htons((uint16_t)(s->len - s->l4)));
	if (s->udp)
		s->l4_sum -= inet_word(l4 + UDP_LENGTH);
	else
		s->l4_sum -= inet_sum_words(l4 + TCP_SEQ, 4, 0) + inet_word(l4 + TCP_DATA_OFFSET);
}

enum segment_outcome segment_begin(
	struct segments *s, const struct vnet_hdr *h, uint8_t *packet, uint32_t len)
{
	const uint8_t type = h->gso_type & (uint8_t)~VNET_ECN;
	uint32_t head;

	if (type == VNET_NONE)
		return h->flags & VNET_NEEDS_CSUM ? finish(h, packet, len) : SEGMENT_WHOLE;
	*s = (struct segments){.packet = packet,
		.len = len,
		.l4 = h->csum_start,
		.size = h->gso_size,
		.udp = type == VNET_UDP,
		.v6 = type == VNET_TCP6 || (type == VNET_UDP && len > 0 && packet[0] >> 4 == 6)};
	if ((type != VNET_TCP4 && type != VNET_TCP6 && type != VNET_UDP) || s->size == 0 ||
		!(h->flags & VNET_NEEDS_CSUM) ||
		h->csum_offset != (s->udp ? UDP_CHECKSUM : TCP_CHECKSUM))
		return SEGMENT_BAD;
	if ((uint32_t)s->l4 + (s->udp ? UDP_HEADER : TCP_MIN) > len || len > UINT16_MAX ||
		!ip_fits(s))
		return SEGMENT_BAD;
	head = s->udp ? UDP_HEADER : (uint32_t)(packet[s->l4 + TCP_DATA_OFFSET] >> 4) * 4;
	if (head < (s->udp ? UDP_HEADER : TCP_MIN) || s->l4 + head >= len)
		return SEGMENT_BAD;
	s->head = (uint16_t)(s->l4 + head);
	s->at = s->head;
	sums_begin(s);
	return SEGMENT_SUPER;
}

uint32_t segment_left(const struct segments *s)
{
	return (s->len - s->at + s->size - 1) / s->size;
}

uint32_t segment_max(const struct segments *s)
{
	uint32_t payload = s->len - s->at;

	return s->head + (payload < s->size ? payload : s->size);
}

static void ip_put(const struct segments *s, uint8_t *out, uint32_t len)
{
	const uint16_t id = (uint16_t)(wire_be16(s->packet + V4_ID) + s->n);

	if (s->v6) {
		wire_put_be16(out + V6_PAYLOAD, (uint16_t)(len - V6_FIXED));
		return;
	}
	wire_put_be16(out + V4_TOTAL, (uint16_t)len);
	wire_put_be16(out + V4_ID, id);
	inet_word_put(out + V4_CHECKSUM,
		(uint16_t)~inet_fold(s->ip_sum + htons((uint16_t)len) + htons(id)));
}

/* Returns: the sum of what it wrote; what was just written in pieces is slow to read. */
static uint64_t tcp_put(const struct segments *s, uint8_t *out, bool last)
{
	const uint8_t *tcp = s->packet + s->l4;
	const uint32_t seq = htonl(wire_be32(tcp + TCP_SEQ) + (s->at - s->head));
	uint8_t flags[2] = {tcp[TCP_DATA_OFFSET], tcp[TCP_FLAGS]};

	if (!last)
		flags[1] &= (uint8_t)~TCP_LAST_ONLY;
	if (s->n > 0)
		flags[1] &= (uint8_t)~TCP_FIRST_ONLY;
	memcpy(out + TCP_SEQ, &seq, sizeof(seq));
	memcpy(out + TCP_DATA_OFFSET, flags, sizeof(flags));
	return (uint64_t)seq + inet_word(flags);
}

/* Returns: the sum of what it wrote. */
static uint64_t udp_put(uint8_t *out, uint32_t len)
{
	wire_put_be16(out + UDP_LENGTH, (uint16_t)len);
	return htons((uint16_t)len);
}

uint32_t segment_next(struct segments *s, uint8_t *out)
{
	const uint32_t len = segment_max(s), payload = len - s->head, l4_len = len - s->l4;
	const bool last = s->at + payload == s->len;
	uint8_t *l4 = out + s->l4;
	uint64_t sum = inet_sum_copy(out + s->head, s->packet + s->at, payload, s->l4_sum);
	uint16_t check;

	memcpy(out, s->packet, s->head);
	ip_put(s, out, len);
	sum += htons((uint16_t)l4_len);
	sum += s->udp ? udp_put(l4, l4_len) : tcp_put(s, l4, last);
	check = (uint16_t)~inet_fold(sum);
	inet_word_put(
		l4 + (s->udp ? UDP_CHECKSUM : TCP_CHECKSUM), check == 0 && s->udp ? 0xffff : check);
	s->at += payload;
	s->n++;
	return len;
}
