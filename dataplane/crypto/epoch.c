/*
 * HKDF of OpenSSL, in its expand-only mode. The handle below is looked up once for the process and
 * then only read.
 */
#include "crypto/epoch.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/secret.h"

enum { INFO_MAX = 32 };

static struct {
	EVP_KDF *hkdf;
	bool ok;
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void epoch_keys_wipe(struct epoch_keys *k)
{
	secret_wipe(k, sizeof(*k));
}

/* Length 2, label with its prefix after its length 1, empty context with its length 1.
 * Returns: bytes of info. */
static size_t write_info(uint8_t info[INFO_MAX], const char *label, size_t len)
{
	static const char prefix[] = "ovpn ";
	const size_t n = sizeof(prefix) - 1 + strlen(label);

	info[0] = 0;
	info[1] = (uint8_t)len;
	info[2] = (uint8_t)n;
	memcpy(info + 3, prefix, sizeof(prefix) - 1);
	memcpy(info + 3 + sizeof(prefix) - 1, label, strlen(label));
	info[3 + n] = 0;
	return n + 4;
}

/* len < 256; label is short and constant. */
static int expand(const uint8_t secret[EPOCH_SECRET], const char *label, uint8_t *out, size_t len)
{
	secret_key key = {{0}};
	uint8_t info[INFO_MAX];
	char digest[] = "SHA256", mode[] = "EXPAND_ONLY";
	const size_t n = write_info(info, label, len);
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.bytes, sizeof(key.bytes)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, n),
		OSSL_PARAM_construct_end(),
	};

	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(found.hkdf);
	memcpy(key.bytes, secret, sizeof(key.bytes));
	const bool ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;
	EVP_KDF_CTX_free(ctx); /* cleanses its copy */
	return ok ? 0 : -EIO;
}

int epoch_step(uint8_t secret[EPOCH_SECRET])
{
	secret_key next = {{0}};
	const int r = expand(secret, "datakey upd", next.bytes, sizeof(next.bytes));

	if (r == 0)
		memcpy(secret, next.bytes, sizeof(next.bytes));
	return r;
}

int epoch_derive(const uint8_t secret[EPOCH_SECRET], enum aead_cipher c, struct epoch_keys *out)
{
	const size_t n = aead_key_size(c);

	memset(out, 0, sizeof(*out));
	if (!n)
		return -EINVAL;
	const int r = expand(secret, "data_key", out->key, n);
	return r ? r : expand(secret, "data_iv", out->iv, sizeof(out->iv));
}

/* ---- self-test ---- */

/* E_1 = 00 01 .. 1f steps to what begins so (computed apart from this and compared with clients).
 */
static const uint8_t second[] = {0xe3, 0x5b, 0xff, 0xa3, 0x1e, 0x27, 0x23, 0xbf};

static void look_up(void)
{
	uint8_t secret[EPOCH_SECRET];

	found.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)i;
	found.ok = found.hkdf && epoch_step(secret) == 0 &&
		   secret_equal(secret, second, sizeof(second));
}

int epoch_init(void)
{
	return pthread_once(&once, look_up) == 0 && found.ok ? 0 : -EIO;
}
