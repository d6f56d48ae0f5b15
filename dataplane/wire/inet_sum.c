/*
 * Four lanes of 64 bits take 32-bit halves, so that no carry is ever looked at. The same loops are
 * compiled twice: AVX2 takes half the time over a whole packet, and nothing else is worth a choice.
 */
#include "wire/inet_sum.h"

#include <stdbool.h>

#include "base/compiler.h"

typedef uint64_t lanes __attribute__((vector_size(32)));

enum {
	STEP = sizeof(lanes),
	LONG = 4 * STEP, /* worth asking */
};

/* The last, less than a step. */
static uint64_t sum_rest(const uint8_t *p, size_t n, uint64_t sum)
{
	uint32_t word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (n > 0) {
		word = 0;
		memcpy(&word, p, n);
		sum += word;
	}
	return sum;
}

static forced_inline uint64_t sum_body(const uint8_t *p, size_t n, uint64_t sum)
{
	lanes all = {0};

	for (; n >= STEP; n -= STEP, p += STEP) {
		lanes v;

		memcpy(&v, p, STEP);
		all += (v & 0xffffffff) + (v >> 32);
	}
	return sum_rest(p, n, sum + all[0] + all[1] + all[2] + all[3]);
}

static forced_inline uint64_t copy_body(uint8_t *to, const uint8_t *from, size_t n, uint64_t sum)
{
	lanes all = {0};

	for (; n >= STEP; n -= STEP, from += STEP, to += STEP) {
		lanes v;

		memcpy(&v, from, STEP);
		memcpy(to, &v, STEP);
		all += (v & 0xffffffff) + (v >> 32);
	}
	memcpy(to, from, n);
	return sum_rest(from, n, sum + all[0] + all[1] + all[2] + all[3]);
}

with_avx2 static uint64_t sum_avx2(const uint8_t *p, size_t n, uint64_t sum)
{
	return sum_body(p, n, sum);
}

with_avx2 static uint64_t copy_avx2(uint8_t *to, const uint8_t *from, size_t n, uint64_t sum)
{
	return copy_body(to, from, n, sum);
}

uint64_t inet_sum(const uint8_t *p, size_t n, uint64_t sum)
{
	return n >= LONG && has_avx2() ? sum_avx2(p, n, sum) : sum_body(p, n, sum);
}

uint64_t inet_sum_copy(uint8_t *to, const uint8_t *from, size_t n, uint64_t sum)
{
	return n >= LONG && has_avx2() ? copy_avx2(to, from, n, sum) : copy_body(to, from, n, sum);
}
