/*
 * Inner packets of random flows for merge and segment, made byte by byte, with checksums summed the
 * slow way. Every flow has a source address of its own, whose last byte is its number.
 */
#ifndef TEST_IO_PACKETS_H
#define TEST_IO_PACKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PACKETS_MAX = 9000 };

struct packet {
	uint8_t *data; /* of exactly len bytes, so that a sanitizer sees what is beyond */
	uint32_t len;
	bool atomic; /* IPv4 that never becomes fragments: its identification says nothing */
};

struct flow {
	uint8_t number;
	bool v6, udp, df, same_id, no_sum;
	uint8_t tos, ttl, options; /* bytes of TCP options */
	uint16_t id, size;
	uint32_t seq, ack;
};

/* Numbers that can be had again. */
struct dice {
	uint64_t state;
};

static inline uint32_t roll(struct dice *d, uint32_t below)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return (uint32_t)(d->state >> 33) % below;
}

static inline uint32_t slow_sum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++) {
		sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t packet_l4(const uint8_t *p)
{
	return p[0] >> 4 == 6 ? 40 : (uint32_t)(p[0] & 15) * 4;
}

/* Of the transport header and what follows, with the pseudo-header; 0 when it is right. */
static inline uint16_t l4_sum(const uint8_t *p, uint32_t len)
{
	bool v6 = p[0] >> 4 == 6;
	uint32_t l4 = packet_l4(p), sum = p[v6 ? 6 : 9] + (len - l4);

	sum = slow_sum(p + (v6 ? 8 : 12), v6 ? 32 : 8, sum);
	return (uint16_t)~slow_sum(p + l4, len - l4, sum);
}

static inline void sums_put(struct packet *k)
{
	uint8_t *p = k->data;
	bool v6 = p[0] >> 4 == 6, udp = p[v6 ? 6 : 9] == 17;
	uint32_t l4 = packet_l4(p), at = l4 + (udp ? 6 : 16);
	uint16_t sum;

	if (!v6) {
		put16(p + 10, 0);
		put16(p + 10, (uint16_t)~slow_sum(p, l4, 0));
	}
	put16(p + at, 0);
	sum = l4_sum(p, k->len);
	put16(p + at, sum == 0 && udp ? 0xffff : sum);
}

static inline void ip_make(struct flow *f, struct packet *k)
{
	uint8_t *p = k->data;

	if (f->v6) {
		put32(p, 6u << 28 | (uint32_t)f->tos << 20 | f->number);
		put16(p + 4, k->len - 40);
		p[6] = f->udp ? 17 : 6;
		p[7] = f->ttl;
		memcpy(p + 8, (uint8_t[]){0xfd, 0, [15] = f->number}, 16);
		memcpy(p + 24, (uint8_t[]){0xfd, 1, [15] = 9}, 16);
		return;
	}
	p[0] = 0x45;
	p[1] = f->tos;
	put16(p + 2, k->len);
	put16(p + 4, f->id);
	put16(p + 6, f->df ? 0x4000 : 0);
	p[8] = f->ttl;
	p[9] = f->udp ? 17 : 6;
	memcpy(p + 12, (uint8_t[]){10, 77, 0, f->number}, 4);
	memcpy(p + 16, (uint8_t[]){198, 51, 100, 2}, 4);
	f->id = (uint16_t)(f->id + !f->same_id);
	k->atomic = f->df;
}

/* The next packet of a flow, with that much payload. */
static inline struct packet packet_make(
	struct dice *d, struct flow *f, uint32_t payload, uint8_t flags)
{
	uint32_t l4 = f->v6 ? 40 : 20, head = l4 + (f->udp ? 8 : 20u + f->options);
	struct packet k = {.len = head + payload};
	uint8_t *p;

	k.data = p = calloc(1, k.len);
	for (uint32_t i = l4; i < k.len; i++)
		p[i] = i < head ? 1 : (uint8_t)roll(d, 256); /* options: nothing, many times */
	ip_make(f, &k);
	put16(p + l4, 1000u + f->number);
	put16(p + l4 + 2, 443);
	if (f->udp) {
		put16(p + l4 + 4, 8 + payload);
	} else {
		put32(p + l4 + 4, f->seq);
		put32(p + l4 + 8, f->ack);
		p[l4 + 12] = (uint8_t)((20 + f->options) << 2);
		p[l4 + 13] = flags;
		put16(p + l4 + 14, 501);
		put16(p + l4 + 18, 0);
		f->seq += payload + (flags & 3 ? 1 : 0);
	}
	sums_put(&k);
	if (f->udp && f->no_sum && !f->v6)
		put16(p + l4 + 6, 0);
	return k;
}

static inline struct flow flow_make(struct dice *d, uint8_t number)
{
	return (struct flow){
		.number = number,
		.v6 = roll(d, 2),
		.udp = roll(d, 2),
		.df = roll(d, 2),
		.same_id = roll(d, 3) == 0,
		.no_sum = roll(d, 5) == 0,
		.tos = (uint8_t)roll(d, 3),
		.ttl = 64,
		.options = roll(d, 2) ? 12 : 0,
		.id = (uint16_t)(roll(d, 2) ? 65530 : roll(d, 65536)), /* often about to wrap */
		.size = (uint16_t)(1 + roll(d, roll(d, 4) == 0 ? 8900 : 1400)),
		.seq = roll(d, 2) ? 0xfffff000 : roll(d, 1u << 30),
		.ack = 77,
	};
}

/* Equal, but for the identification where that says nothing. */
static inline bool packet_equal(const struct packet *a, const uint8_t *b, uint32_t len)
{
	if (a->len != len)
		return false;
	if (memcmp(a->data, b, len) == 0)
		return true;
	return a->atomic && a->data[0] == 0x45 && memcmp(a->data, b, 4) == 0 &&
	       memcmp(a->data + 6, b + 6, 4) == 0 && memcmp(a->data + 12, b + 12, len - 12) == 0 &&
	       slow_sum(b, 20, 0) == 0xffff;
}

#endif
