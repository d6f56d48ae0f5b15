/*
 * The master key seals what the database keeps; the WireGuard server key lives here in the clear
 * and is only ever used, never handed out.
 *
 * A blob: version (1) | nonce (12) | ciphertext | tag (16), AES-256-GCM, with version and label as
 * associated data. Nonces are random: good for 2^32 blobs under one master key, and a database
 * holds a few per credential. Threads share a keystore without a lock but for the server key's use,
 * because after keystore_open and the loading of that key nothing else in it changes.
 */
#include "pki/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include "base/parent.h"
#include "base/secret.h"
#include "crypto/x25519.h"

enum { BLOB_VERSION = 1, NONCE = 12, TAG = 16, BODY = 1 + NONCE };
_Static_assert(BODY + TAG == KEYSTORE_SEAL_OVERHEAD, "what the header promises");

struct keystore {
	struct key32 master;
	pthread_mutex_t wg_lock;       /* for the use of wg_private */
	struct x25519_key *wg_private; /* NULL: neither made nor loaded yet */
	uint8_t wg_public[32];
	EVP_CIPHER *gcm;
};

/* ---- the master key's file ---- */

/* Exactly 32 bytes and then the end. */
static int read_key(int fd, uint8_t key[KEYSTORE_MASTER])
{
	uint8_t buf[KEYSTORE_MASTER + 1];
	size_t have = 0;
	int rc = 0;

	while (have < sizeof(buf)) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = -errno;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	if (rc == 0 && have != KEYSTORE_MASTER)
		rc = -EINVAL;
	if (rc == 0)
		memcpy(key, buf, KEYSTORE_MASTER);
	secret_wipe(buf, sizeof(buf));
	return rc;
}

static int master_read(const char *file, uint8_t key[KEYSTORE_MASTER])
{
	/* NONBLOCK: a FIFO must not hang the start, it is refused below. */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = -EINVAL;
	else if (st.st_mode & (S_IRWXG | S_IRWXO))
		rc = -EPERM;
	else
		rc = read_key(fd, key);
	close(fd);
	return rc;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		n -= (size_t)done;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* A key that is there already must never be replaced. */
static int give_name(const char *fresh, const char *file)
{
	if (renameat2(AT_FDCWD, fresh, AT_FDCWD, file, RENAME_NOREPLACE) == 0)
		return 0;
	/* Some file systems know no flags. */
	return errno == EEXIST || link(fresh, file) < 0 ? -errno : 0;
}

/* Under another name first: a crash never leaves half a key, and whoever sees the file sees all
 * of it. Returns -EEXIST when another process was faster. */
static int master_create(const char *file, uint8_t key[KEYSTORE_MASTER])
{
	char fresh[PATH_MAX];
	uint64_t mine; /* two that start at once must not name each other's */
	int fd, rc;

	if (secret_random(key, KEYSTORE_MASTER) < 0 || secret_random(&mine, sizeof(mine)) < 0)
		return -EIO;
	if (snprintf(fresh, sizeof(fresh), "%s.%016" PRIx64, file, mine) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = fchmod(fd, 0600) < 0 ? -errno : write_all(fd, key, KEYSTORE_MASTER);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0)
		rc = give_name(fresh, file);
	unlink(fresh);
	return rc ? rc : parent_sync(file);
}

int keystore_open(struct keystore **out, const char *master_key_file, bool create)
{
	struct keystore *ks = calloc(1, sizeof(*ks));
	int rc;

	if (!ks)
		return -ENOMEM;
	if (pthread_mutex_init(&ks->wg_lock, NULL) != 0) {
		free(ks);
		return -ENOMEM;
	}
	ks->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	rc = ks->gcm ? master_read(master_key_file, ks->master.bytes) : -EIO;
	if (rc == -ENOENT && create) {
		rc = master_create(master_key_file, ks->master.bytes);
		if (rc == -EEXIST)
			rc = master_read(master_key_file, ks->master.bytes);
	}
	if (rc < 0) {
		keystore_free(ks);
		return rc;
	}
	*out = ks;
	return 0;
}

void keystore_free(struct keystore *ks)
{
	if (!ks)
		return;
	EVP_CIPHER_free(ks->gcm);
	x25519_key_free(ks->wg_private);
	pthread_mutex_destroy(&ks->wg_lock);
	secret_wipe(ks, sizeof(*ks));
	free(ks);
}

/* ---- sealed blobs ---- */

static bool update(EVP_CIPHER_CTX *ctx, uint8_t *out, const void *in, size_t n)
{
	int len = 0;

	return n == 0 || (EVP_CipherUpdate(ctx, out, &len, in, (int)n) == 1 && (size_t)len == n);
}

/* A context that has the key, the nonce of the blob and its associated data; NULL on failure. */
static EVP_CIPHER_CTX *blob_begin(const struct keystore *ks, const uint8_t *blob, const char *label,
	bool sealing, const OSSL_PARAM *params)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx &&
		EVP_CipherInit_ex2(ctx, ks->gcm, ks->master.bytes, blob + 1, sealing, params) ==
			1 &&
		update(ctx, NULL, blob, 1) && update(ctx, NULL, label, strlen(label)))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

int keystore_seal(struct keystore *ks, const char *label, const void *plain, size_t n, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t none[16];
	OSSL_PARAM tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, out + BODY + n, TAG),
		OSSL_PARAM_construct_end(),
	};
	int len = 0;
	bool ok;

	if (n > INT_MAX || secret_random(out + 1, NONCE) < 0)
		return -EIO;
	out[0] = BLOB_VERSION;
	ctx = blob_begin(ks, out, label, true, NULL);
	ok = ctx && update(ctx, out + BODY, plain, n) && EVP_CipherFinal_ex(ctx, none, &len) == 1 &&
	     EVP_CIPHER_CTX_get_params(ctx, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int keystore_open_blob(
	struct keystore *ks, const char *label, const uint8_t *blob, size_t n, void *out)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t none[16], tag[TAG];
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, sizeof(tag)),
		OSSL_PARAM_construct_end(),
	};
	int len = 0;
	bool ok;

	if (n < KEYSTORE_SEAL_OVERHEAD || n > INT_MAX || blob[0] != BLOB_VERSION)
		return -EBADMSG;
	n -= KEYSTORE_SEAL_OVERHEAD;
	memcpy(tag, blob + BODY + n, TAG);
	ERR_set_mark();
	ctx = blob_begin(ks, blob, label, false, params);
	ok = ctx && update(ctx, out, blob + BODY, n) && EVP_CipherFinal_ex(ctx, none, &len) == 1;
	ERR_pop_to_mark();
	EVP_CIPHER_CTX_free(ctx);
	if (!ok && n)
		secret_wipe(out, n);
	return ok ? 0 : -EBADMSG;
}

/* ---- codes ---- */

static int hmac(const uint8_t key[32], const void *p, size_t n, uint8_t out[32])
{
	unsigned len = 0;

	return HMAC(EVP_sha256(), key, 32, p, n, out, &len) && len == 32 ? 0 : -EIO;
}

/* The label is never a blob's: blobs use the master key itself, codes only what is made of it. */
int keystore_mac(struct keystore *ks, const char *label, const void *p, size_t n, uint8_t out[32])
{
	secret_key key = {{0}};
	char text[64];

	if (snprintf(text, sizeof(text), "mac:%s", label) >= (int)sizeof(text))
		return -EIO;
	if (hmac(ks->master.bytes, text, strlen(text), key.bytes))
		return -EIO;
	return hmac(key.bytes, p, n, out);
}

/* ---- WireGuard ---- */

/* From now on it is the server's. */
static int wg_take(struct keystore *ks, const uint8_t private_key[32])
{
	struct x25519_key *k = NULL;
	uint8_t public_key[32];

	if (x25519_key_new(&k, private_key) < 0 || x25519_key_public(k, public_key) < 0) {
		x25519_key_free(k);
		return -EIO;
	}
	x25519_key_free(ks->wg_private);
	ks->wg_private = k;
	memcpy(ks->wg_public, public_key, sizeof(public_key));
	return 0;
}

int keystore_wg_create(struct keystore *ks, uint8_t blob[KEYSTORE_WG_BLOB])
{
	secret_key private_key = {{0}};

	if (x25519_private(private_key.bytes) < 0 ||
		keystore_seal(ks, KEYSTORE_WG_LABEL, private_key.bytes, 32, blob) < 0)
		return -EIO;
	return wg_take(ks, private_key.bytes);
}

int keystore_wg_load(struct keystore *ks, const uint8_t blob[KEYSTORE_WG_BLOB])
{
	secret_key private_key = {{0}};
	int rc = keystore_open_blob(
		ks, KEYSTORE_WG_LABEL, blob, KEYSTORE_WG_BLOB, private_key.bytes);

	return rc < 0 ? rc : wg_take(ks, private_key.bytes);
}

const uint8_t *keystore_wg_public(const struct keystore *ks)
{
	return ks->wg_public;
}

int keystore_wg_dh(struct keystore *ks, const uint8_t peer[32], uint8_t out[32])
{
	int rc;

	if (!ks->wg_private)
		return -EIO;
	pthread_mutex_lock(&ks->wg_lock);
	rc = x25519_key_dh(ks->wg_private, out, peer);
	pthread_mutex_unlock(&ks->wg_lock);
	return rc;
}

int keystore_wg_keypair(uint8_t private_key[32], uint8_t public_key[32])
{
	return x25519_keypair(private_key, public_key);
}
