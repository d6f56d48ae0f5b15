/*
 * The Internet checksum (RFC 1071) as a running sum.
 *
 * Words are summed in the machine's own byte order, which gives the checksum in that order as well:
 * it is copied to and from packets, never swapped. A part of odd length must be the last one.
 */
#ifndef WIRE_INET_SUM_H
#define WIRE_INET_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds n bytes. Returns: the new sum. Good for some 2^32 words before it must be folded. */
uint64_t inet_sum(const uint8_t *p, size_t n, uint64_t sum);
/* The same for a header: n is a multiple of 4. */
static inline uint64_t inet_sum_words(const uint8_t *p, size_t n, uint64_t sum)
{
	for (size_t i = 0; i < n; i += 4) {
		uint32_t word;

		memcpy(&word, p + i, sizeof(word));
		sum += word;
	}
	return sum;
}
/* As inet_sum, and copies the bytes: one pass for both. The two do not overlap. */
uint64_t inet_sum_copy(uint8_t *to, const uint8_t *from, size_t n, uint64_t sum);

/* Returns: the sum as one word; its complement is the checksum, all ones: what was summed holds a
 * right one. */
static inline uint16_t inet_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* A word of a packet as the sum counts it. */
static inline uint16_t inet_word(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void inet_word_put(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

#endif
