/* The master key's file, sealed blobs, the server key: and every way they can be wrong. */
#include "pki/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/secret.h"
#include "crypto/x25519.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/x25519.h"

struct fixture {
	char folder[32], file[64];
	struct keystore *ks;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/ireko-pki-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->file, sizeof(f->file), "%s/master.key", f->folder);
	assert_int_equal(keystore_open(&f->ks, f->file, true), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	keystore_free(f->ks);
	unlink(f->file);
	assert_int_equal(rmdir(f->folder), 0); /* nothing else is left behind */
	free(f);
	return 0;
}

static void write_file(const char *name, size_t n, mode_t mode)
{
	const uint8_t bytes[64] = {1, 2, 3};
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void test_file_made_once(void **state)
{
	struct fixture *f = *state;
	struct keystore *again;
	uint8_t blob[3 + KEYSTORE_SEAL_OVERHEAD], out[3];
	struct stat st;

	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_size, 32);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(keystore_seal(f->ks, "x", "abc", 3, blob), 0);
	for (int create = 0; create < 2; create++) {
		assert_int_equal(keystore_open(&again, f->file, create), 0);
		assert_int_equal(keystore_open_blob(again, "x", blob, sizeof(blob), out), 0);
		assert_memory_equal(out, "abc", 3);
		keystore_free(again);
	}
}

static void test_file_missing(void **state)
{
	struct fixture *f = *state;
	struct keystore *ks = NULL;

	unlink(f->file);
	assert_int_equal(keystore_open(&ks, f->file, false), -ENOENT);
	assert_int_equal(keystore_open(&ks, "/nonexistent/master.key", true), -ENOENT);
	assert_null(ks);
}

static void test_file_sizes(void **state)
{
	static const size_t wrong[] = {0, 1, 31, 33, 64};
	struct fixture *f = *state;
	struct keystore *ks = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		write_file(f->file, wrong[i], 0600);
		assert_int_equal(keystore_open(&ks, f->file, true), -EINVAL);
	}
	write_file(f->file, 32, 0400);
	assert_int_equal(keystore_open(&ks, f->file, true), 0);
	keystore_free(ks);
}

static void test_file_modes(void **state)
{
	static const mode_t wrong[] = {0640, 0604, 0620, 0601, 0666};
	struct fixture *f = *state;
	struct keystore *ks = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		write_file(f->file, 32, wrong[i]);
		assert_int_equal(keystore_open(&ks, f->file, true), -EPERM);
	}
}

static void test_file_kinds(void **state)
{
	struct fixture *f = *state;
	struct keystore *ks = NULL;

	assert_int_equal(keystore_open(&ks, f->folder, true), -EINVAL);
	unlink(f->file);
	assert_int_equal(mkfifo(f->file, 0600), 0);
	assert_int_equal(keystore_open(&ks, f->file, true), -EINVAL);
}

/* What a crash left is no obstacle, and is not taken for a key. */
static void test_file_after_crash(void **state)
{
	struct fixture *f = *state;
	struct keystore *ks;
	char fresh[80];
	struct stat st;

	unlink(f->file);
	snprintf(fresh, sizeof(fresh), "%s.new", f->file);
	write_file(fresh, 7, 0666);
	assert_int_equal(keystore_open(&ks, f->file, true), 0);
	keystore_free(ks);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	unlink(fresh);
}

static void *open_store(void *arg)
{
	struct keystore *ks = NULL;

	return keystore_open(&ks, arg, true) == 0 ? ks : NULL;
}

/* Each makes a key, and all end with the one that got the name. */
static void test_file_made_by_many(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 50; round++) {
		uint8_t blob[1 + KEYSTORE_SEAL_OVERHEAD], out[1];
		pthread_t threads[4];
		void *ks[4];

		unlink(f->file);
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, open_store, f->file), 0);
		for (int i = 0; i < 4; i++) {
			pthread_join(threads[i], &ks[i]);
			assert_non_null(ks[i]);
		}
		assert_int_equal(keystore_seal(ks[0], "x", "y", 1, blob), 0);
		for (int i = 0; i < 4; i++) {
			assert_int_equal(
				keystore_open_blob(ks[i], "x", blob, sizeof(blob), out), 0);
			keystore_free(ks[i]);
		}
	}
}

static void test_blob(void **state)
{
	static const char secret[] = "a pre-shared key of a client....";
	struct fixture *f = *state;
	uint8_t blob[32 + KEYSTORE_SEAL_OVERHEAD], twin[sizeof(blob)], out[32];

	assert_int_equal(keystore_seal(f->ks, "wg-psk:crd_1", secret, 32, blob), 0);
	assert_int_equal(keystore_seal(f->ks, "wg-psk:crd_1", secret, 32, twin), 0);
	assert_memory_not_equal(blob, twin, sizeof(blob));
	assert_int_equal(keystore_open_blob(f->ks, "wg-psk:crd_1", blob, sizeof(blob), out), 0);
	assert_memory_equal(out, secret, 32);
	assert_int_equal(keystore_open_blob(f->ks, "wg-psk:crd_1", twin, sizeof(twin), out), 0);
	assert_memory_equal(out, secret, 32);
}

static void test_blob_empty(void **state)
{
	struct fixture *f = *state;
	uint8_t blob[KEYSTORE_SEAL_OVERHEAD];

	assert_int_equal(keystore_seal(f->ks, "", NULL, 0, blob), 0);
	assert_int_equal(keystore_open_blob(f->ks, "", blob, sizeof(blob), NULL), 0);
	assert_int_equal(keystore_open_blob(f->ks, "a", blob, sizeof(blob), NULL), -EBADMSG);
}

static void test_blob_refused(void **state)
{
	struct fixture *f = *state;
	struct keystore *other;
	char file[80];
	uint8_t blob[8 + KEYSTORE_SEAL_OVERHEAD], out[8];

	assert_int_equal(keystore_seal(f->ks, "label", "12345678", 8, blob), 0);
	assert_int_equal(keystore_open_blob(f->ks, "labels", blob, sizeof(blob), out), -EBADMSG);
	assert_int_equal(keystore_open_blob(f->ks, "labe", blob, sizeof(blob), out), -EBADMSG);
	assert_int_equal(keystore_open_blob(f->ks, "", blob, sizeof(blob), out), -EBADMSG);
	for (size_t n = 0; n < sizeof(blob); n++)
		assert_int_equal(keystore_open_blob(f->ks, "label", blob, n, out), -EBADMSG);
	for (size_t bit = 0; bit < 8 * sizeof(blob); bit++) {
		blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(out, 0xa5, sizeof(out));
		assert_int_equal(
			keystore_open_blob(f->ks, "label", blob, sizeof(blob), out), -EBADMSG);
		assert_true(secret_is_zero(out, sizeof(out)) || out[0] == 0xa5);
		blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	snprintf(file, sizeof(file), "%s/other.key", f->folder);
	assert_int_equal(keystore_open(&other, file, true), 0);
	assert_int_equal(keystore_open_blob(other, "label", blob, sizeof(blob), out), -EBADMSG);
	keystore_free(other);
	unlink(file);
	assert_int_equal(keystore_open_blob(f->ks, "label", blob, sizeof(blob), out), 0);
	assert_int_equal(ERR_peek_error(), 0);
}

/* HMAC(HMAC(master, "mac:" label), data), computed by another implementation. */
static void test_mac(void **state)
{
	static const uint8_t want[32] = {0x77, 0x14, 0x7b, 0xff, 0x74, 0xc4, 0x79, 0x3d, 0xca, 0x89,
		0x06, 0xab, 0x3b, 0xe7, 0x5c, 0xe4, 0x6c, 0x38, 0x26, 0x2e, 0x94, 0x19, 0xbb, 0xec,
		0x98, 0x4f, 0xd0, 0xfc, 0xb9, 0x63, 0x21, 0x91};
	struct fixture *f = *state;
	struct keystore *ks;
	char label[80];
	uint8_t out[32], other[32];

	write_file(f->file, 32, 0600);
	assert_int_equal(keystore_open(&ks, f->file, false), 0);
	assert_int_equal(keystore_mac(ks, "audit head 1", "some data", 9, out), 0);
	assert_memory_equal(out, want, 32);
	assert_int_equal(keystore_mac(ks, "audit head 2", "some data", 9, other), 0);
	assert_memory_not_equal(out, other, 32);
	assert_int_equal(keystore_mac(ks, "audit head 1", "some dat", 8, other), 0);
	assert_memory_not_equal(out, other, 32);
	assert_int_equal(keystore_mac(f->ks, "audit head 1", "some data", 9, other), 0);
	assert_memory_not_equal(out, other, 32);
	/* A label that would be cut is none. */
	memset(label, 'a', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	assert_int_equal(keystore_mac(ks, label, "some data", 9, other), -EIO);
	keystore_free(ks);
}

static void test_wg_key(void **state)
{
	struct fixture *f = *state;
	struct keystore *again;
	uint8_t blob[KEYSTORE_WG_BLOB], public_key[32];
	uint8_t mine[32], theirs[32], peer[32], peer_public[32];

	assert_int_equal(keystore_wg_create(f->ks, blob), 0);
	memcpy(public_key, keystore_wg_public(f->ks), 32);
	assert_false(secret_is_zero(public_key, 32));
	assert_int_equal(keystore_wg_keypair(peer, peer_public), 0);
	assert_int_equal(keystore_wg_dh(f->ks, peer_public, mine), 0);
	assert_int_equal(x25519_dh(theirs, peer, public_key), 0);
	assert_memory_equal(mine, theirs, 32);

	assert_int_equal(keystore_open(&again, f->file, false), 0);
	assert_int_equal(keystore_wg_load(again, blob), 0);
	assert_memory_equal(keystore_wg_public(again), public_key, 32);
	assert_int_equal(keystore_wg_dh(again, peer_public, theirs), 0);
	assert_memory_equal(mine, theirs, 32);
	/* A damaged blob leaves the key that is loaded. */
	blob[20] ^= 1;
	assert_int_equal(keystore_wg_load(again, blob), -EBADMSG);
	assert_memory_equal(keystore_wg_public(again), public_key, 32);
	keystore_free(again);
}

static void test_wg_vector(void **state)
{
	struct fixture *f = *state;
	uint8_t key[32], blob[KEYSTORE_WG_BLOB], peer[32], out[32];
	const uint8_t zero[32] = {0};

	unhex(key, 32, x25519_a);
	assert_int_equal(keystore_seal(f->ks, KEYSTORE_WG_LABEL, key, 32, blob), 0);
	assert_int_equal(keystore_wg_load(f->ks, blob), 0);
	assert_hex(keystore_wg_public(f->ks), 32, x25519_a_public);
	unhex(peer, 32, x25519_b_public);
	assert_int_equal(keystore_wg_dh(f->ks, peer, out), 0);
	assert_hex(out, 32, x25519_shared);
	assert_int_equal(keystore_wg_dh(f->ks, zero, out), -EINVAL);
	/* A blob of another purpose is not a server key. */
	assert_int_equal(keystore_seal(f->ks, "wg-psk:crd_1", key, 32, blob), 0);
	assert_int_equal(keystore_wg_load(f->ks, blob), -EBADMSG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file_made_once),
		TEST(test_file_missing),
		TEST(test_file_sizes),
		TEST(test_file_modes),
		TEST(test_file_kinds),
		TEST(test_file_after_crash),
		TEST(test_file_made_by_many),
		TEST(test_blob),
		TEST(test_blob_empty),
		TEST(test_blob_refused),
		TEST(test_mac),
		TEST(test_wg_key),
		TEST(test_wg_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
