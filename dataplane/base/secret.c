/*
 * Secrets: thin, so that nobody has a reason to do it by hand.
 */
#include "base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sys/random.h>

void secret_wipe(void *p, size_t n)
{
	if (n)
		OPENSSL_cleanse(p, n);
}

void key32_wipe(struct key32 *k)
{
	secret_wipe(k->bytes, sizeof(k->bytes));
}

bool secret_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

bool secret_is_zero(const void *a, size_t n)
{
	const volatile uint8_t *p = a;
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any == 0;
}

/* Straight from the kernel: no pool of our own, so there is nothing that a fork could copy. */
int secret_random(void *buf, size_t n)
{
	uint8_t *at = buf;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}
