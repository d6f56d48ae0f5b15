/* Calibration and choice. */
#include "crypto/aead_choose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/aead_backend.h"
#include "crypto/aead_check.h"

enum {
	BATCH = 8,
	PACKET = 1420,
	SLOT = 1472, /* with the tag; not a multiple of what caches repeat by */
	/* The best one counts: the others were disturbed. Short turns, so that not all of them are.
	 */
	ROUNDS = 96,
	ROUNDS_MIN = 16,
	CIPHER_NS = 10 * 1000 * 1000,
};

static const struct aead_backend *const backends[AEAD_LIBS] = {
	[AEAD_OPENSSL] = &aead_openssl,
	[AEAD_IPSEC_MB] = &aead_ipsec_mb,
};

const char *aead_lib_name(enum aead_lib l)
{
	return l == AEAD_AUTO ? "auto" : backends[l]->name;
}

int aead_lib_parse(const char *name, enum aead_lib *out)
{
	for (int l = AEAD_AUTO; l < AEAD_LIBS; l++) {
		if (strcmp(name, aead_lib_name((enum aead_lib)l)) == 0) {
			*out = (enum aead_lib)l;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- measuring ---- */

struct course {
	struct aead_key *to[AEAD_LIBS], *from[AEAD_LIBS];
	struct aead_op ops[BATCH];
	uint8_t bytes[BATCH * SLOT];
};

static void course_free(struct course *c)
{
	for (int l = AEAD_OPENSSL; l < AEAD_LIBS; l++) {
		aead_key_free(c->to[l]);
		aead_key_free(c->from[l]);
	}
	free(c);
}

static int course_new(struct course **out, enum aead_cipher cipher)
{
	static const uint8_t key[AEAD_KEY_MAX] = {1};
	struct course *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	for (int l = AEAD_OPENSSL; !r && l < AEAD_LIBS; l++) {
		r = aead_key_new_by(&c->to[l], backends[l], cipher, key, true);
		if (!r)
			r = aead_key_new_by(&c->from[l], backends[l], cipher, key, false);
	}
	if (r) {
		if (c)
			course_free(c);
		return r;
	}
	for (int i = 0; i < BATCH; i++) {
		uint8_t *text = c->bytes + (size_t)i * SLOT;
		c->ops[i] = (struct aead_op){.text = text, .len = PACKET, .tag = text + PACKET};
	}
	*out = c;
	return 0;
}

/* Sealed and opened again: every turn begins with the same text. */
static uint32_t turn(struct course *c, int lib)
{
	const uint64_t began = clock_ticks_ns();

	aead_seal_batch(c->to[lib], c->ops, BATCH);
	aead_open_batch(c->from[lib], c->ops, BATCH);
	return (uint32_t)((clock_ticks_ns() - began) / 2 / BATCH);
}

/* In turns, so that what disturbs one disturbs the other. */
static int measure(struct aead_choice *out, enum aead_cipher cipher)
{
	struct course *c;
	int r = course_new(&c, cipher);

	if (r)
		return r;
	const uint64_t began = clock_ticks_ns();
	for (int i = 0; i < ROUNDS && (i < ROUNDS_MIN || clock_ticks_ns() - began < CIPHER_NS);
		i++) {
		for (int l = AEAD_OPENSSL; l < AEAD_LIBS; l++) {
			const uint32_t ns = turn(c, l);
			if (!out->ns[l] || ns < out->ns[l])
				out->ns[l] = ns ? ns : 1;
		}
	}
	course_free(c);
	return 0;
}

/* ---- choosing ---- */

/* Returns: 0, why it can't be taken. */
static int qualify(const struct aead_backend *b)
{
	int r = b->init();

	if (!r)
		r = aead_check_vectors(b);
	return r ? r : aead_check_against(b);
}

static int compare(struct aead_report *out)
{
	/* As the workers will have it. */
	int r = aead_ipsec_mb.thread_start();

	for (int c = AEAD_CHACHA20_POLY1305; !r && c < AEAD_CIPHERS_END; c++)
		r = measure(&out->of[c], (enum aead_cipher)c);
	/* The self-test has seen it without a manager, this is what packets will see. */
	if (!r)
		r = aead_check_against(&aead_ipsec_mb);
	aead_ipsec_mb.thread_stop();
	return r;
}

static enum aead_lib better(enum aead_lib want, const struct aead_choice *c)
{
	if (want != AEAD_AUTO)
		return want;
	return c->ns[AEAD_IPSEC_MB] < c->ns[AEAD_OPENSSL] ? AEAD_IPSEC_MB : AEAD_OPENSSL;
}

int aead_choose(enum aead_lib want, struct aead_report *out)
{
	*out = (struct aead_report){.ipsec_mb = -ENOTSUP};
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++)
		out->of[c].lib = AEAD_OPENSSL;
	if (want == AEAD_OPENSSL)
		return 0;
	out->ipsec_mb = qualify(&aead_ipsec_mb);
	if (!out->ipsec_mb)
		out->ipsec_mb = compare(out);
	if (out->ipsec_mb)
		return want == AEAD_AUTO ? 0 : out->ipsec_mb;
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		out->of[c].lib = better(want, &out->of[c]);
		aead_use((enum aead_cipher)c, backends[out->of[c].lib]);
	}
	return 0;
}
