/*
 * Ciphers and their names, and who computes. The choice and what the libraries looked up are the
 * only things here that outlive a call: written while there is one thread, read-only afterwards.
 */
#include "crypto/aead.h"

#include <errno.h>

#include "base/secret.h"
#include "crypto/aead_backend.h"
#include "crypto/aead_check.h"

static const struct {
	const char *shown;
	size_t key;
} ciphers[AEAD_CIPHERS_END] = {
	[AEAD_CHACHA20_POLY1305] = {"CHACHA20-POLY1305", 32},
	[AEAD_AES_256_GCM] = {"AES-256-GCM", 32},
	[AEAD_AES_128_GCM] = {"AES-128-GCM", 16},
};

static const struct aead_backend *used[AEAD_CIPHERS_END] = {
	[AEAD_CHACHA20_POLY1305] = &aead_openssl,
	[AEAD_AES_256_GCM] = &aead_openssl,
	[AEAD_AES_128_GCM] = &aead_openssl,
};

static bool known(enum aead_cipher c)
{
	return (unsigned int)c < ARRAY_SIZE(ciphers) && ciphers[c].shown;
}

const char *aead_cipher_name(enum aead_cipher c)
{
	return known(c) ? ciphers[c].shown : "";
}

size_t aead_key_size(enum aead_cipher c)
{
	return known(c) ? ciphers[c].key : 0;
}

const char *aead_library(enum aead_cipher c)
{
	return known(c) ? used[c]->name : "";
}

void aead_use(enum aead_cipher c, const struct aead_backend *b)
{
	if (known(c))
		used[c] = b;
}

int aead_init(void)
{
	int r = aead_openssl.init();

	return r ? r : aead_check_vectors(&aead_openssl);
}

/* Whether an earlier cipher has the same library: each is started and stopped once. */
static bool seen(enum aead_cipher c)
{
	for (int i = AEAD_CHACHA20_POLY1305; i < (int)c; i++) {
		if (used[i] == used[c])
			return true;
	}
	return false;
}

int aead_thread_start(void)
{
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		if (!used[c]->thread_start || seen((enum aead_cipher)c))
			continue;
		int r = used[c]->thread_start();
		if (r) {
			aead_thread_stop();
			return r;
		}
	}
	return 0;
}

void aead_thread_stop(void)
{
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		if (used[c]->thread_stop && !seen((enum aead_cipher)c))
			used[c]->thread_stop();
	}
}

int aead_key_new_by(struct aead_key **out, const struct aead_backend *b, enum aead_cipher c,
	const uint8_t *key, bool sealing)
{
	if (!known(c))
		return -EINVAL;
	int r = b->key_new(out, c, key, sealing);
	if (!r)
		(*out)->by = b;
	return r;
}

int aead_key_new(struct aead_key **out, enum aead_cipher c, const uint8_t *key, bool sealing)
{
	return known(c) ? aead_key_new_by(out, used[c], c, key, sealing) : -EINVAL;
}

void aead_key_free(struct aead_key *k)
{
	if (k)
		k->by->key_free(k);
}

bool aead_key_shared(const struct aead_key *k)
{
	return k->by->shared;
}

/* A plaintext that could not be sealed must not leave either, so both directions wipe. */
static void wipe_refused(const struct aead_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!ops[i].ok && ops[i].text)
			secret_wipe(ops[i].text, ops[i].len);
	}
}

void aead_seal_batch(struct aead_key *k, struct aead_op *ops, size_t n)
{
	k->by->seal(k, ops, n);
	wipe_refused(ops, n);
}

void aead_open_batch(struct aead_key *k, struct aead_op *ops, size_t n)
{
	k->by->open(k, ops, n);
	wipe_refused(ops, n);
}
