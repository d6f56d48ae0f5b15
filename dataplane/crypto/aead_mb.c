/*
 * AEAD on Intel's multi-buffer library (libipsec-mb), versions 1.3 and 2: x86-64 only.
 *
 *   AES-GCM             one call per packet; a key is its expanded form, and only read
 *   ChaCha20-Poly1305   jobs of the thread's own manager, or three calls per packet without one
 *
 * The first manager is made by init and then only lends its function pointers; what is called
 * through them keeps its state in our arguments. The library compares no tags: it computes the one
 * that should be there, and we compare in constant time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include "base/secret.h"
#include "crypto/aead_backend.h"

enum { JOBS = 16 }; /* how many tags wait to be compared */
_Static_assert((int)JOBS <= (int)IMB_MAX_JOBS, "a part of a batch fits a manager");

/* gcm is there for AES only. The library reads it with aligned loads; its header says so only where
 * LINUX is defined. */
struct mb_key {
	struct aead_key head;
	enum aead_cipher cipher;
	uint8_t chacha[32];
	struct gcm_key_data gcm[] cacheline_aligned;
};

static IMB_MGR *lender;		   /* by init */
static _Thread_local IMB_MGR *own; /* between thread_start and thread_stop */

static IMB_MGR *manager_new(int *why)
{
	IMB_MGR *m = alloc_mb_mgr(0);
	IMB_ARCH arch = IMB_ARCH_NONE;

	*why = -ENOMEM;
	if (!m)
		return NULL;
	init_mb_mgr_auto(m, &arch);
	*why = 0;
	if (arch == IMB_ARCH_NONE || imb_get_errno(m) != 0)
		*why = -ENOTSUP;
	else if (!(m->features & IMB_FEATURE_SELF_TEST_PASS))
		*why = -EIO;
	if (!*why)
		return m;
	free_mb_mgr(m);
	return NULL;
}

static int init(void)
{
	int why = 0;

	if (!lender)
		lender = manager_new(&why);
	return why;
}

static int thread_start(void)
{
	int why = 0;

	if (!own)
		own = manager_new(&why);
	return why;
}

/* Keys are not copied into jobs, but where they lie and how long packets were is. */
static void thread_stop(void)
{
	if (!own)
		return;
	secret_wipe(own->jobs, sizeof(own->jobs));
	free_mb_mgr(own);
	own = NULL;
}

/* Whole cache lines, as aligned_alloc wants it. */
static size_t key_bytes(enum aead_cipher c)
{
	const bool gcm = c != AEAD_CHACHA20_POLY1305;
	const size_t n = sizeof(struct mb_key) + (gcm ? sizeof(struct gcm_key_data) : 0);

	return (n + 63) / 64 * 64;
}

static void key_free(struct aead_key *k)
{
	struct mb_key *mine = (struct mb_key *)k;

	secret_wipe(mine, key_bytes(mine->cipher));
	free(mine);
}

/* AES-GCM and ChaCha20-Poly1305 have the same key in both directions. */
static int key_new(struct aead_key **out, enum aead_cipher c, const uint8_t *key, bool sealing)
{
	struct mb_key *k = aligned_alloc(_Alignof(struct mb_key), key_bytes(c));

	(void)sealing;
	if (!k)
		return -ENOMEM;
	memset(k, 0, key_bytes(c));
	k->cipher = c;
	switch (c) {
	case AEAD_CHACHA20_POLY1305:
		memcpy(k->chacha, key, sizeof(k->chacha));
		break;
	case AEAD_AES_256_GCM:
		IMB_AES256_GCM_PRE(lender, key, k->gcm);
		break;
	case AEAD_AES_128_GCM:
		IMB_AES128_GCM_PRE(lender, key, k->gcm);
		break;
	case AEAD_CIPHERS_END:
		break;
	}
	*out = &k->head;
	return 0;
}

/* ---- AES-GCM ---- */

static void gcm_seal(const struct mb_key *k, struct aead_op *ops, size_t n)
{
	const aes_gcm_enc_dec_t call =
		k->cipher == AEAD_AES_256_GCM ? lender->gcm256_enc : lender->gcm128_enc;
	struct gcm_context_data c;

	for (size_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		op->ok = aead_op_sound(op);
		if (op->ok)
			call(k->gcm, &c, op->text, op->text, op->len, op->nonce, op->aad,
				op->aad_len, op->tag, AEAD_TAG);
	}
	secret_wipe(&c, sizeof(c));
}

static void gcm_open(const struct mb_key *k, struct aead_op *ops, size_t n)
{
	const aes_gcm_enc_dec_t call =
		k->cipher == AEAD_AES_256_GCM ? lender->gcm256_dec : lender->gcm128_dec;
	struct gcm_context_data c;
	uint8_t tag[AEAD_TAG];

	for (size_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		op->ok = aead_op_sound(op);
		if (!op->ok)
			continue;
		call(k->gcm, &c, op->text, op->text, op->len, op->nonce, op->aad, op->aad_len, tag,
			AEAD_TAG);
		op->ok = secret_equal(tag, op->tag, AEAD_TAG);
	}
	secret_wipe(&c, sizeof(c));
	secret_wipe(tag, sizeof(tag));
}

/* ---- ChaCha20-Poly1305 by jobs ---- */

static void job_fill(
	IMB_JOB *j, const struct mb_key *k, struct aead_op *op, uint8_t *tag, bool seal)
{
	j->enc_keys = j->dec_keys = k->chacha;
	j->key_len_in_bytes = sizeof(k->chacha);
	j->src = j->dst = op->text;
	j->cipher_start_src_offset_in_bytes = 0;
	j->msg_len_to_cipher_in_bytes = op->len;
	j->hash_start_src_offset_in_bytes = 0;
	j->msg_len_to_hash_in_bytes = op->len;
	j->iv = op->nonce;
	j->iv_len_in_bytes = AEAD_NONCE;
	j->auth_tag_output = tag;
	j->auth_tag_output_len_in_bytes = AEAD_TAG;
	j->u.CHACHA20_POLY1305.aad = op->aad;
	j->u.CHACHA20_POLY1305.aad_len_in_bytes = op->aad_len;
	j->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	j->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	j->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	j->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	j->user_data = op;
}

static void job_done(const IMB_JOB *j)
{
	if (j)
		((struct aead_op *)j->user_data)->ok = j->status == IMB_STATUS_COMPLETED;
}

/* Nothing is left in the manager when it returns. tags: one each, NULL: those of the packets. */
static void jobs_run(
	const struct mb_key *k, struct aead_op *ops, size_t n, uint8_t (*tags)[AEAD_TAG], bool seal)
{
	const IMB_JOB *late;

	for (size_t i = 0; i < n; i++) {
		ops[i].ok = false;
		if (!aead_op_sound(&ops[i]))
			continue;
		job_fill(IMB_GET_NEXT_JOB(own), k, &ops[i], tags ? tags[i] : ops[i].tag, seal);
		job_done(IMB_SUBMIT_JOB_NOCHECK(own));
	}
	while ((late = IMB_FLUSH_JOB(own)))
		job_done(late);
}

/* ---- ChaCha20-Poly1305 without a manager ---- */

static void direct_run(
	const struct mb_key *k, struct aead_op *ops, size_t n, uint8_t (*tags)[AEAD_TAG], bool seal)
{
	const chacha_poly_enc_dec_update_t update =
		seal ? lender->chacha20_poly1305_enc_update : lender->chacha20_poly1305_dec_update;
	struct chacha20_poly1305_context_data c;

	for (size_t i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];
		op->ok = aead_op_sound(op);
		if (!op->ok)
			continue;
		lender->chacha20_poly1305_init(k->chacha, &c, op->nonce, op->aad, op->aad_len);
		update(k->chacha, &c, op->text, op->text, op->len);
		lender->chacha20_poly1305_finalize(&c, tags ? tags[i] : op->tag, AEAD_TAG);
	}
	secret_wipe(&c, sizeof(c));
}

static void chacha_open(const struct mb_key *k, struct aead_op *ops, size_t n)
{
	uint8_t tags[JOBS][AEAD_TAG];

	(own ? jobs_run : direct_run)(k, ops, n, tags, false);
	for (size_t i = 0; i < n; i++)
		ops[i].ok = ops[i].ok && secret_equal(tags[i], ops[i].tag, AEAD_TAG);
	secret_wipe(tags, n * AEAD_TAG);
}

/* ---- both ---- */

static void seal(struct aead_key *k, struct aead_op *ops, size_t n)
{
	const struct mb_key *mine = (const struct mb_key *)k;

	if (mine->cipher != AEAD_CHACHA20_POLY1305)
		gcm_seal(mine, ops, n);
	else
		(own ? jobs_run : direct_run)(mine, ops, n, NULL, true);
}

static void open(struct aead_key *k, struct aead_op *ops, size_t n)
{
	const struct mb_key *mine = (const struct mb_key *)k;

	if (mine->cipher != AEAD_CHACHA20_POLY1305) {
		gcm_open(mine, ops, n);
		return;
	}
	for (size_t i = 0; i < n; i += JOBS)
		chacha_open(mine, ops + i, n - i < JOBS ? n - i : JOBS);
}

const struct aead_backend aead_ipsec_mb = {
	.name = "ipsec-mb",
	.shared = true,
	.init = init,
	.thread_start = thread_start,
	.thread_stop = thread_stop,
	.key_new = key_new,
	.key_free = key_free,
	.seal = seal,
	.open = open,
};
