/* What may be joined is what the kernel's own GRO joins, and a little less. */
#include "io/merge.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "wire/inet_sum.h"
#include "wire/ovpn_wire.h"

enum {
	V4_HEADER = 20,
	V4_TOS = 1,
	V4_TOTAL = 2,
	V4_ID = 4,
	V4_FRAGMENT = 6,
	V4_TTL = 8,
	V4_PROTOCOL = 9,
	V4_CHECKSUM = 10,
	V4_ADDRESSES = 12,
	V4_ADDRESSES_LEN = 8,
	V4_DF = 0x4000,
	V6_HEADER = 40,
	V6_PAYLOAD = 4,
	V6_NEXT = 6,
	V6_HOPS = 7,
	V6_ADDRESSES = 8,
	V6_ADDRESSES_LEN = 32,
	TCP_HEADER = 20,
	TCP_SEQ = 4,
	TCP_ACK = 8,
	TCP_DATA_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	TCP_URGENT = 18,
	TCP_PSH = 0x08,
	TCP_IS_ACK = 0x10,
	TCP_ECE = 0x40,
	TCP_LEAST = 8, /* payload; newer kernels cut super-packets into no less than that */
	UDP_HEADER = 8,
	UDP_LENGTH = 4,
	UDP_CHECKSUM = 6,
	PORTS = 4,
	NONE = UINT32_MAX,
};

/* What a packet is, as far as it matters here. */
struct shape {
	uint16_t l4, head;
	uint32_t payload;
	bool v6, udp;
	bool joins; /* may be part of a super-packet */
};

/* ---- looking ---- */

static bool see_tcp(struct shape *s, const uint8_t *p, uint32_t len)
{
	const uint8_t *tcp = p + s->l4;
	uint32_t head;

	if (len < (uint32_t)s->l4 + TCP_HEADER)
		return false;
	head = (uint32_t)(tcp[TCP_DATA_OFFSET] >> 4) * 4;
	if (head < TCP_HEADER || s->l4 + head > len)
		return false;
	s->head = (uint16_t)(s->l4 + head);
	s->payload = len - s->head;
	s->joins = s->payload > 0 && (tcp[TCP_FLAGS] & ~(TCP_PSH | TCP_ECE)) == TCP_IS_ACK;
	return true;
}

/* A datagram without a checksum must stay without one. */
static bool see_udp(struct shape *s, const uint8_t *p, uint32_t len)
{
	if (len < (uint32_t)s->l4 + UDP_HEADER || wire_be16(p + s->l4 + UDP_LENGTH) != len - s->l4)
		return false;
	s->udp = true;
	s->head = s->l4 + UDP_HEADER;
	s->payload = len - s->head;
	s->joins = s->payload > 0 && inet_word(p + s->l4 + UDP_CHECKSUM) != 0;
	return true;
}

/* Returns: whether it has a flow that can be seen. */
static bool see(struct shape *s, const uint8_t *p, uint32_t len)
{
	uint8_t protocol;

	*s = (struct shape){.v6 = p[0] >> 4 == 6};
	if (s->v6) {
		s->l4 = V6_HEADER;
		protocol = p[V6_NEXT];
		if (len < V6_HEADER || wire_be16(p + V6_PAYLOAD) != len - V6_HEADER)
			return false;
	} else {
		s->l4 = V4_HEADER;
		if (len < V4_HEADER || p[0] != 0x45 || wire_be16(p + V4_TOTAL) != len ||
			wire_be16(p + V4_FRAGMENT) & ~V4_DF)
			return false;
		protocol = p[V4_PROTOCOL];
	}
	if (protocol == IPPROTO_TCP)
		return see_tcp(s, p, len);
	return protocol == IPPROTO_UDP && see_udp(s, p, len);
}

static bool same_addresses(const uint8_t *a, const uint8_t *b, bool v6)
{
	if (v6)
		return memcmp(a + V6_ADDRESSES, b + V6_ADDRESSES, V6_ADDRESSES_LEN) == 0;
	return memcmp(a + V4_ADDRESSES, b + V4_ADDRESSES, V4_ADDRESSES_LEN) == 0;
}

static bool same_flow(
	const struct merge_run *r, const uint8_t *a, const struct shape *s, const uint8_t *b)
{
	return r->v6 == s->v6 && r->udp == s->udp && memcmp(a + s->l4, b + s->l4, PORTS) == 0 &&
	       same_addresses(a, b, s->v6);
}

static uint64_t pseudo(const uint8_t *p, bool v6, bool udp, uint32_t len)
{
	const uint64_t rest = htons(udp ? IPPROTO_UDP : IPPROTO_TCP) + htons((uint16_t)len);

	return v6 ? inet_sum_words(p + V6_ADDRESSES, V6_ADDRESSES_LEN, rest)
		  : inet_sum_words(p + V4_ADDRESSES, V4_ADDRESSES_LEN, rest);
}

static bool sums_right(const uint8_t *p, uint32_t len, bool v6, bool udp)
{
	uint32_t l4 = v6 ? V6_HEADER : V4_HEADER;

	if (!v6 && inet_fold(inet_sum_words(p, V4_HEADER, 0)) != 0xffff)
		return false;
	return inet_fold(inet_sum(p + l4, len - l4, pseudo(p, v6, udp, len - l4))) == 0xffff;
}

/* ---- joining ---- */

/* The identification of a packet that can't become fragments says nothing (RFC 6864 4.1), so it may
 * also stay the same. */
static bool id_follows(const struct merge_run *r, const uint8_t *a, const uint8_t *b)
{
	uint16_t rise = (uint16_t)(wire_be16(b + V4_ID) - wire_be16(a + V4_ID));

	if (r->n == 1)
		return rise == 1 || (rise == 0 && wire_be16(a + V4_FRAGMENT) & V4_DF);
	return rise == (uint16_t)(r->n * r->id_step);
}

static bool ip_agrees(const struct merge_run *r, const uint8_t *a, const uint8_t *b)
{
	if (r->v6)
		return memcmp(a, b, V6_PAYLOAD) == 0 && a[V6_HOPS] == b[V6_HOPS];
	return a[V4_TOS] == b[V4_TOS] && a[V4_TTL] == b[V4_TTL] &&
	       memcmp(a + V4_FRAGMENT, b + V4_FRAGMENT, 2) == 0 && id_follows(r, a, b);
}

static bool tcp_agrees(const struct merge_run *r, const uint8_t *a, const uint8_t *b)
{
	return wire_be32(b + TCP_SEQ) == r->seq &&
	       memcmp(a + TCP_ACK, b + TCP_ACK, TCP_FLAGS - TCP_ACK) == 0 &&
	       (a[TCP_FLAGS] | TCP_PSH) == (b[TCP_FLAGS] | TCP_PSH) &&
	       memcmp(a + TCP_WINDOW, b + TCP_WINDOW, TCP_CHECKSUM - TCP_WINDOW) == 0 &&
	       memcmp(a + TCP_URGENT, b + TCP_URGENT, (size_t)r->head - r->l4 - TCP_URGENT) == 0;
}

static bool agrees(struct merge *m, struct merge_run *r, const struct shape *s, const uint8_t *b)
{
	const uint8_t *a = m->packets[r->first].data;

	if (!s->joins || s->payload > r->size || r->len + s->payload > UINT16_MAX ||
		r->n == MERGE_RUN || s->head != r->head || !ip_agrees(r, a, b))
		return false;
	if (!s->udp && !tcp_agrees(r, a + r->l4, b + r->l4))
		return false;
	if (!r->verified && !sums_right(a, m->packets[r->first].len, r->v6, r->udp))
		return false;
	r->verified = true;
	return sums_right(b, s->head + s->payload, s->v6, s->udp);
}

static bool pushes(const struct shape *s, const uint8_t *p)
{
	return !s->udp && p[s->l4 + TCP_FLAGS] & TCP_PSH;
}

static void join(struct merge *m, struct merge_run *r, const struct shape *s, uint32_t packet)
{
	const uint8_t *a = m->packets[r->first].data, *b = m->packets[packet].data;

	if (r->n == 1 && !r->v6)
		r->id_step = inet_word(a + V4_ID) != inet_word(b + V4_ID);
	m->packets[r->last].next = packet;
	r->last = packet;
	r->n++;
	r->len += s->payload;
	r->seq += s->payload;
	/* A shorter one is the last, and so is one that the sender wants delivered. */
	r->open = s->payload == r->size && !pushes(s, b);
}

static struct merge_run *begin(struct merge *m, uint32_t packet)
{
	struct merge_run *r = &m->runs[m->n_runs++];

	*r = (struct merge_run){
		.first = packet, .last = packet, .n = 1, .len = m->packets[packet].len};
	return r;
}

/* ---- runs that packets may join ---- */

static void forget(struct merge *m, uint32_t i)
{
	memmove(&m->open[i], &m->open[i + 1], (m->n_open - i - 1) * sizeof(m->open[0]));
	m->n_open--;
}

static void remember(struct merge *m, const struct merge_run *r)
{
	if (m->n_open == MERGE_OPEN)
		forget(m, 0);
	m->open[m->n_open++] = (uint32_t)(r - m->runs);
}

/* Returns: place of the run of that flow, NONE. */
static uint32_t find(const struct merge *m, const struct shape *s, const uint8_t *p)
{
	for (uint32_t i = m->n_open; i-- > 0;) {
		const struct merge_run *r = &m->runs[m->open[i]];

		if (same_flow(r, m->packets[r->first].data, s, p))
			return i;
	}
	return NONE;
}

static void add_to_flow(struct merge *m, const struct shape *s, uint32_t packet)
{
	const uint8_t *p = m->packets[packet].data;
	uint32_t at = find(m, s, p);
	struct merge_run *r = at == NONE ? NULL : &m->runs[m->open[at]];

	if (r && agrees(m, r, s, p)) {
		join(m, r, s, packet);
		if (!r->open)
			forget(m, at);
		return;
	}
	if (r)
		forget(m, at);
	r = begin(m, packet);
	r->l4 = s->l4;
	r->head = s->head;
	r->v6 = s->v6;
	r->udp = s->udp;
	r->size = s->payload;
	r->open = s->joins && !pushes(s, p) && (s->udp || s->payload >= TCP_LEAST);
	if (!s->udp)
		r->seq = wire_be32(p + s->l4 + TCP_SEQ) + s->payload;
	if (r->open)
		remember(m, r);
}

void merge_begin(struct merge *m, bool tcp, bool udp)
{
	m->tcp = tcp;
	m->udp = udp;
	m->n_packets = m->n_runs = m->n_open = 0;
}

bool merge_add(struct merge *m, uint8_t *data, uint32_t len)
{
	uint32_t packet = m->n_packets;
	struct shape s;

	if (packet == MERGE_PACKETS)
		return false;
	m->n_packets++;
	m->packets[packet].data = data;
	m->packets[packet].len = len;
	m->packets[packet].next = NONE;
	if ((m->tcp || m->udp) && see(&s, data, len)) {
		s.joins &= s.udp ? m->udp : m->tcp;
		add_to_flow(m, &s, packet);
	} else {
		m->n_open = 0;
		begin(m, packet);
	}
	return true;
}

/* ---- frames ---- */

static void ip_lengthen(const struct merge_run *r, uint8_t *p)
{
	if (r->v6) {
		wire_put_be16(p + V6_PAYLOAD, (uint16_t)(r->len - V6_HEADER));
		return;
	}
	wire_put_be16(p + V4_TOTAL, (uint16_t)r->len);
	inet_word_put(p + V4_CHECKSUM, 0);
	inet_word_put(p + V4_CHECKSUM, (uint16_t)~inet_fold(inet_sum_words(p, V4_HEADER, 0)));
}

/* The header of the first packet becomes that of the super-packet; its checksum is begun, with the
 * pseudo-header, and left to the kernel. */
static void head_put(const struct merge *m, const struct merge_run *r)
{
	uint8_t *p = m->packets[r->first].data, *l4 = p + r->l4;
	const uint8_t *last = m->packets[r->last].data + r->l4;
	uint16_t sum = inet_fold(pseudo(p, r->v6, r->udp, r->len - r->l4));

	ip_lengthen(r, p);
	if (r->udp)
		wire_put_be16(l4 + UDP_LENGTH, (uint16_t)(r->len - r->l4));
	else
		l4[TCP_FLAGS] |= last[TCP_FLAGS] & TCP_PSH;
	inet_word_put(l4 + (r->udp ? UDP_CHECKSUM : TCP_CHECKSUM), sum);
}

size_t merge_frame(struct merge *m, uint32_t run, struct vnet_hdr *h, struct iovec *iov)
{
	const struct merge_run *r = &m->runs[run];
	size_t n = 0;

	*h = (struct vnet_hdr){0};
	iov[n++] = (struct iovec){m->packets[r->first].data, m->packets[r->first].len};
	if (r->n == 1)
		return n;
	memcpy(m->saved, m->packets[r->first].data, r->head);
	head_put(m, r);
	*h = (struct vnet_hdr){
		.flags = VNET_NEEDS_CSUM,
		.gso_type = r->udp  ? VNET_UDP
			    : r->v6 ? VNET_TCP6
				    : VNET_TCP4,
		.hdr_len = r->head,
		.gso_size = (uint16_t)r->size,
		.csum_start = r->l4,
		.csum_offset = r->udp ? UDP_CHECKSUM : TCP_CHECKSUM,
	};
	for (uint32_t i = m->packets[r->first].next; i != NONE; i = m->packets[i].next)
		iov[n++] =
			(struct iovec){m->packets[i].data + r->head, m->packets[i].len - r->head};
	return n;
}

size_t merge_apart(struct merge *m, uint32_t run, struct iovec *packets)
{
	const struct merge_run *r = &m->runs[run];
	size_t n = 0;

	if (r->n > 1)
		memcpy(m->packets[r->first].data, m->saved, r->head);
	for (uint32_t i = r->first; i != NONE; i = m->packets[i].next)
		packets[n++] = (struct iovec){m->packets[i].data, m->packets[i].len};
	return n;
}
