/* Four lanes of 64 bits take 32-bit halves, so that no carry is ever looked at. */
#include "wire/inet_sum.h"

typedef uint64_t lanes __attribute__((vector_size(32)));

enum { STEP = sizeof(lanes) };

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

uint64_t inet_sum(const uint8_t *p, size_t n, uint64_t sum)
{
	lanes all = {0};

	for (; n >= STEP; n -= STEP, p += STEP) {
		lanes v;

		memcpy(&v, p, STEP);
		all += (v & 0xffffffff) + (v >> 32);
	}
	return sum_rest(p, n, sum + all[0] + all[1] + all[2] + all[3]);
}

uint64_t inet_sum_copy(uint8_t *to, const uint8_t *from, size_t n, uint64_t sum)
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
