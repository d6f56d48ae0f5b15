/* Self-tests of the libraries that seal and open. */
#include "crypto/aead_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/aead_backend.h"

/* ---- published vectors ---- */

/* RFC 8439 2.8.2. */
static const uint8_t chacha_key[] = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
	0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
	0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f};
static const uint8_t chacha_nonce[AEAD_NONCE] = {
	7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
static const uint8_t chacha_aad[] = {
	0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
static const char chacha_plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
static const uint8_t chacha_head[] = {0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb};
static const uint8_t chacha_tag[AEAD_TAG] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a, 0x7e,
	0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 14 (256) and 2 (128): key,
 * nonce and 16 bytes of plaintext are zero. */
static const uint8_t zeros[32];
static const uint8_t gcm256_head[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e};
static const uint8_t gcm256_tag[AEAD_TAG] = {0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26,
	0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
static const uint8_t gcm128_head[] = {0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92};
static const uint8_t gcm128_tag[AEAD_TAG] = {0xab, 0x6e, 0x47, 0xd4, 0x2c, 0xec, 0x13, 0xbd, 0xf5,
	0x3a, 0x67, 0xb2, 0x12, 0x57, 0xbd, 0xdf};

static const struct vector {
	enum aead_cipher cipher;
	const uint8_t *key, *nonce, *aad;
	uint32_t aad_len, len;
	const void *plain;
	const uint8_t *head, *tag; /* first 8 bytes of the ciphertext; the tag covers the rest */
} vectors[] = {
	{AEAD_CHACHA20_POLY1305, chacha_key, chacha_nonce, chacha_aad, sizeof(chacha_aad),
		sizeof(chacha_plain) - 1, chacha_plain, chacha_head, chacha_tag},
	{AEAD_AES_256_GCM, zeros, zeros, NULL, 0, 16, zeros, gcm256_head, gcm256_tag},
	{AEAD_AES_128_GCM, zeros, zeros, NULL, 0, 16, zeros, gcm128_head, gcm128_tag},
};

static int check_vector(const struct aead_backend *b, const struct vector *v)
{
	uint8_t text[128], tag[AEAD_TAG];
	struct aead_op op = {
		.text = text, .len = v->len, .tag = tag, .aad = v->aad, .aad_len = v->aad_len};
	struct aead_key *to = NULL, *from = NULL;
	int r = -EIO;

	memcpy(text, v->plain, v->len);
	memcpy(op.nonce, v->nonce, AEAD_NONCE);
	if (aead_key_new_by(&to, b, v->cipher, v->key, true) ||
		aead_key_new_by(&from, b, v->cipher, v->key, false))
		goto out;
	aead_seal_batch(to, &op, 1);
	if (!op.ok || !secret_equal(text, v->head, 8) || !secret_equal(tag, v->tag, AEAD_TAG))
		goto out;
	aead_open_batch(from, &op, 1);
	if (!op.ok || !secret_equal(text, v->plain, v->len))
		goto out;
	tag[0] ^= 1;
	aead_open_batch(from, &op, 1);
	if (!op.ok)
		r = 0;
out:
	aead_key_free(to);
	aead_key_free(from);
	return r;
}

int aead_check_vectors(const struct aead_backend *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		if (check_vector(b, &vectors[i]))
			return -EIO;
	return 0;
}

/* ---- one library against another ---- */

enum {
	BATCH = 4,   /* a trial is small enough not to stay behind in the allocator */
	SHORT = 272, /* every length below: all ends of blocks and of vectors */
	LONG = 9000,
	LONG_ROUNDS = 12,
	AAD = 40,
	SLOT = 64 + LONG + AEAD_TAG,
};

/* What a text is made of. Ciphertext of ones is where Poly1305's sums carry furthest. */
enum pattern { RANDOM, ZEROS, ONES, SEALED_ONES, PATTERNS };

struct trial {
	enum aead_cipher cipher;
	struct aead_key *to, *from, *known_to; /* of the library, and OpenSSL's */
	struct packet {
		uint32_t len, aad_len, shift, dice;
		bool forged;
		uint8_t aad[AAD], nonce[AEAD_NONCE];
		uint8_t plain[LONG];
		uint8_t mine[SLOT], known[SLOT];
	} p[BATCH];
};

static void trial_free(struct trial *t)
{
	aead_key_free(t->to);
	aead_key_free(t->from);
	aead_key_free(t->known_to);
	free(t);
}

static int trial_new(struct trial **out, const struct aead_backend *b, enum aead_cipher c)
{
	struct trial *t = calloc(1, sizeof(*t));
	secret_key key = {{0}};
	int r = -ENOMEM;

	if (!t)
		return r;
	t->cipher = c;
	if (secret_random(key.bytes, sizeof(key.bytes)) ||
		aead_key_new_by(&t->to, b, c, key.bytes, true) ||
		aead_key_new_by(&t->from, b, c, key.bytes, false) ||
		aead_key_new_by(&t->known_to, &aead_openssl, c, key.bytes, true))
		trial_free(t);
	else
		*out = t, r = 0;
	return r;
}

/* The tag stands behind the text, as with WireGuard. */
static struct aead_op op_of(const struct packet *p, uint8_t *slot)
{
	struct aead_op op = {
		.text = slot + p->shift,
		.len = p->len,
		.tag = slot + p->shift + p->len,
		.aad = p->aad_len ? p->aad : NULL,
		.aad_len = p->aad_len,
	};

	memcpy(op.nonce, p->nonce, AEAD_NONCE);
	return op;
}

/* A plaintext whose ciphertext is all ones: the key stream's complement. */
static void plain_for_ones(struct trial *t, struct packet *p)
{
	struct aead_op op = op_of(p, p->known);

	memset(op.text, 0, p->len);
	aead_seal_batch(t->known_to, &op, 1);
	for (uint32_t i = 0; i < p->len; i++)
		p->plain[i] = (uint8_t)~op.text[i];
}

static int packet_make(struct trial *t, struct packet *p, uint32_t len, enum pattern pattern)
{
	uint8_t dice[4];

	if (secret_random(dice, sizeof(dice)) || secret_random(p->nonce, sizeof(p->nonce)) ||
		secret_random(p->aad, sizeof(p->aad)) || secret_random(p->plain, len))
		return -EIO;
	p->len = len;
	p->shift = dice[0] % 64;
	p->aad_len = dice[1] % (AAD + 1);
	p->dice = dice[2] | (uint32_t)dice[3] << 8;
	switch (pattern) {
	case RANDOM:
		break;
	case ZEROS:
		memset(p->plain, 0, len);
		break;
	case ONES:
		memset(p->plain, 0xff, len);
		break;
	case SEALED_ONES:
		plain_for_ones(t, p);
		break;
	case PATTERNS:
		break;
	}
	return 0;
}

static bool sealed_alike(struct trial *t)
{
	struct aead_op mine[BATCH], known[BATCH];
	bool alike = true;

	for (int i = 0; i < BATCH; i++) {
		mine[i] = op_of(&t->p[i], t->p[i].mine);
		known[i] = op_of(&t->p[i], t->p[i].known);
		memcpy(mine[i].text, t->p[i].plain, t->p[i].len);
		memcpy(known[i].text, t->p[i].plain, t->p[i].len);
	}
	aead_seal_batch(t->to, mine, BATCH);
	aead_seal_batch(t->known_to, known, BATCH);
	for (int i = 0; i < BATCH; i++)
		alike &= mine[i].ok && known[i].ok &&
			 secret_equal(mine[i].text, known[i].text, mine[i].len + AEAD_TAG);
	return alike;
}

/* One bit of ciphertext, tag or nonce. */
static void forge(const struct packet *p, struct aead_op *op)
{
	const uint32_t at = p->dice % (p->len + AEAD_TAG + AEAD_NONCE);
	uint8_t *byte = at < p->len + AEAD_TAG ? op->text + at : &op->nonce[at - p->len - AEAD_TAG];

	*byte ^= (uint8_t)(1 << (p->dice >> 13));
}

/* Opens what OpenSSL sealed: those that are forged must be refused and wiped. */
static bool opens_rightly(struct trial *t)
{
	struct aead_op ops[BATCH];
	bool right = true;

	for (int i = 0; i < BATCH; i++) {
		ops[i] = op_of(&t->p[i], t->p[i].known);
		if (t->p[i].forged)
			forge(&t->p[i], &ops[i]);
	}
	aead_open_batch(t->from, ops, BATCH);
	for (int i = 0; i < BATCH; i++) {
		if (t->p[i].forged)
			right &= !ops[i].ok && secret_is_zero(ops[i].text, ops[i].len);
		else
			right &= ops[i].ok && secret_equal(ops[i].text, t->p[i].plain, ops[i].len);
	}
	return right;
}

static int round_run(struct trial *t, const uint32_t len[BATCH], uint32_t number)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		const uint32_t n = number * BATCH + number + i; /* every pattern at every place */
		int r = packet_make(t, &t->p[i], len[i], (enum pattern)(n % PATTERNS));
		if (r)
			return r;
		t->p[i].forged = n % 3 == 2;
	}
	return sealed_alike(t) && opens_rightly(t) ? 0 : -EIO;
}

static int check_cipher(struct trial *t)
{
	uint32_t len[BATCH], number = 0;
	int r = 0;

	for (uint32_t at = 0; !r && at < SHORT; at += BATCH) {
		for (uint32_t i = 0; i < BATCH; i++)
			len[i] = at + i;
		r = round_run(t, len, number++);
	}
	for (int i = 0; !r && i < LONG_ROUNDS; i++) {
		r = secret_random(len, sizeof(len));
		for (uint32_t k = 0; k < BATCH; k++)
			len[k] %= LONG + 1;
		if (!r)
			r = round_run(t, len, number++);
	}
	return r;
}

int aead_check_against(const struct aead_backend *b)
{
	int r = 0;

	for (int c = AEAD_CHACHA20_POLY1305; !r && c < AEAD_CIPHERS_END; c++) {
		struct trial *t;
		r = trial_new(&t, b, (enum aead_cipher)c);
		if (r)
			return r;
		r = check_cipher(t);
		trial_free(t);
	}
	return r;
}
