/*
 * OpenSSL's memory for fuzz targets: free lists of a few sizes in one region. The library itself is
 * not instrumented, so the sanitizer learns nothing from its thousands of small pieces, and pays
 * most of a run for them. What it would say of leaks is said here by the region being used up: a
 * leaked TLS object of every run does it in a few hundred runs.
 *
 * Call openssl_pool_init before anything else of OpenSSL. One thread.
 */
#ifndef FUZZ_OPENSSL_POOL_H
#define FUZZ_OPENSSL_POOL_H

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_REGION = 24 << 20, POOL_HEAD = 16, POOL_SIZES = 18, POOL_SMALLEST = 32 };

struct pool_piece {
	struct pool_piece *next;
};

static struct {
	struct pool_piece *free[POOL_SIZES]; /* POOL_SMALLEST << i bytes with their head */
	size_t used;
	_Alignas(16) uint8_t region[POOL_REGION];
} pool;

static unsigned pool_size_of(size_t n)
{
	unsigned i = 0;

	while ((size_t)POOL_SMALLEST << i < n + POOL_HEAD)
		if (++i == POOL_SIZES)
			abort();
	return i;
}

static void *pool_malloc(size_t n, const char *file, int line)
{
	const unsigned i = pool_size_of(n);
	uint8_t *p = (uint8_t *)pool.free[i];

	(void)file;
	(void)line;
	if (n == 0)
		return NULL;
	if (p) {
		pool.free[i] = pool.free[i]->next;
	} else {
		p = pool.region + pool.used;
		pool.used += (size_t)POOL_SMALLEST << i;
		if (pool.used > POOL_REGION)
			abort(); /* a leak */
	}
	memcpy(p, &(uint64_t){i}, sizeof(uint64_t));
	return p + POOL_HEAD;
}

static void pool_free(void *p, const char *file, int line)
{
	struct pool_piece *piece = p ? (struct pool_piece *)((uint8_t *)p - POOL_HEAD) : NULL;
	uint64_t i;

	(void)file;
	(void)line;
	if (!piece)
		return;
	memcpy(&i, piece, sizeof(i));
	piece->next = pool.free[i];
	pool.free[i] = piece;
}

static void *pool_realloc(void *p, size_t n, const char *file, int line)
{
	uint64_t i;
	void *q;

	if (!p)
		return pool_malloc(n, file, line);
	memcpy(&i, (uint8_t *)p - POOL_HEAD, sizeof(i));
	const size_t had = ((size_t)POOL_SMALLEST << i) - POOL_HEAD;

	if (n > 0 && n <= had)
		return p;
	q = pool_malloc(n, file, line);
	if (q)
		memcpy(q, p, had < n ? had : n);
	pool_free(p, file, line);
	return q;
}

static void openssl_pool_init(void)
{
	if (CRYPTO_set_mem_functions(pool_malloc, pool_realloc, pool_free) != 1)
		abort();
}

#endif
