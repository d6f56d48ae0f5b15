/* Handling of secrets: wiping, constant-time comparison, randomness. OpenSSL underneath. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* 32 secret bytes; declare locals as `secret_key` so that they are wiped on every path. */
struct key32 {
	uint8_t bytes[32];
};

void secret_wipe(void *p, size_t n);
void key32_wipe(struct key32 *k);
#define secret_key struct key32 cleanup(key32_wipe)

/* Constant time in n. */
bool secret_equal(const void *a, const void *b, size_t n);
bool secret_is_zero(const void *a, size_t n);

/* Fills buf from the operating system's generator. Returns: 0, -EIO (the caller must not go on). */
int secret_random(void *buf, size_t n) must_check;

#endif
