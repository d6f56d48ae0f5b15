/* Control thread only; what workers hold is changed under rx.owner, or swapped. */
#include "fwd/epochs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "fwd/counter.h"
#include "fwd/session.h"

/* ---- receiving ---- */

/* Steps to the epoch after the last that was made. Returns: 0, -ENOMEM, -EIO; then nothing has
 * changed. */
static int make_ahead(struct epochs *e, struct opening *out)
{
	secret_key secret = {{0}};
	struct epoch_keys k cleanup(epoch_keys_wipe);

	memcpy(secret.bytes, e->open_secret, sizeof(secret.bytes));
	int r = epoch_step(secret.bytes);
	if (!r)
		r = epoch_derive(secret.bytes, e->cipher, &k);
	if (!r)
		r = aead_key_new(&out->key, e->cipher, k.key, false);
	if (!r) {
		memcpy(out->iv, k.iv, sizeof(out->iv));
		memcpy(e->open_secret, secret.bytes, sizeof(secret.bytes));
		e->open_last++;
	}
	return r;
}

static void free_retired(struct session_rx *rx)
{
	struct aead_key *old[OPENING_ALL];
	uint32_t n;

	spin_lock(&rx->owner);
	n = rx->epochs->n_retired;
	memcpy(old, rx->epochs->retired, sizeof(old));
	rx->epochs->n_retired = 0;
	spin_unlock(&rx->owner);
	while (n)
		aead_key_free(old[--n]);
}

/* A worker may pass over what is just being made: that is why the key of open_last is always the
 * last one ahead, or current. */
static int grow(struct session *s)
{
	struct session_rx *rx = &s->rx;
	struct epochs *e = s->epochs;
	struct opening o;

	while (e->open_last - opening_epoch(rx) < OPENING_AHEAD && e->open_last < OVPN_EPOCH_LAST) {
		free_retired(rx); /* so that there is room for what comes now */
		int r = make_ahead(e, &o);
		if (r)
			return r;
		spin_lock(&rx->owner);
		opening_add(rx, &o);
		spin_unlock(&rx->owner);
	}
	return 0;
}

/* ---- sealing ---- */

/* AES-GCM's blocks, and any cipher's counters. */
static struct sealing_limits limits_of(enum aead_cipher c, uint16_t epoch)
{
	return (struct sealing_limits){
		.first = ovpn_epoch_first(epoch),
		.end = ovpn_epoch_first(epoch) - 1 + OVPN_EPOCH_COUNTER,
		.blocks_end = c == AEAD_CHACHA20_POLY1305 ? UINT64_MAX : OVPN_GCM_BLOCKS,
	};
}

/* The keys of an epoch whose secret that is. */
static int make_sealing(struct sealing **out, const struct epochs *e,
	const uint8_t secret[EPOCH_SECRET], uint16_t epoch, uint32_t sealers)
{
	struct epoch_keys k cleanup(epoch_keys_wipe);
	const struct sealing_limits limits = limits_of(e->cipher, epoch);
	const int r = epoch_derive(secret, e->cipher, &k);

	return r ? r : sealing_new(out, e->cipher, k.key, k.iv, &limits, sealers);
}

static uint16_t sealed_with(const struct sealing *t)
{
	return ovpn_epoch(t->limits.first);
}

/* The client has keys for four epochs beyond the last that it saw of us, so no more are passed over
 * than that. */
static uint16_t reachable(const struct epochs *e, const struct sealing *t, uint16_t wanted)
{
	const bool used = counter_get(&t->counter) != t->limits.first;
	const uint32_t most = (used ? sealed_with(t) : e->used) + OPENING_AHEAD;

	return wanted > most ? (uint16_t)most : wanted;
}

/* Returns: what t was replaced by, NULL. */
static struct sealing *move_to(
	struct session *s, const struct sealing *t, uint16_t epoch, uint32_t sealers)
{
	struct epochs *e = s->epochs;
	secret_key secret = {{0}};
	struct sealing *n = NULL;
	int r = 0;

	memcpy(secret.bytes, e->seal_secret, sizeof(secret.bytes));
	for (uint16_t at = sealed_with(t); !r && at < epoch; at++)
		r = epoch_step(secret.bytes);
	if (!r && make_sealing(&n, e, secret.bytes, epoch, sealers) == 0) {
		if (counter_get(&t->counter) != t->limits.first)
			e->used = sealed_with(t);
		memcpy(e->seal_secret, secret.bytes, sizeof(secret.bytes));
		atomic_store_explicit(&s->sealing, n, memory_order_release);
	}
	return n;
}

static struct sealing *follow(
	struct session *s, uint16_t wanted, uint32_t sealers, struct sealing *old)
{
	struct sealing *t = session_sealing(s);
	const uint16_t to = reachable(s->epochs, t, wanted);

	if (to <= sealed_with(t) || !move_to(s, t, to, sealers))
		return old;
	t->next = old;
	return t;
}

/* Seven eighths of an epoch are sealed: 7 * 2^37 bytes with AES-GCM. */
static bool worn(const struct sealing *t)
{
	const uint64_t counter = counter_get(&t->counter) & OVPN_EPOCH_COUNTER;

	return sealing_near(counter, OVPN_EPOCH_COUNTER) ||
	       sealing_near(counter_get(&t->blocks), t->limits.blocks_end);
}

/* ---- both ---- */

int epochs_init(struct session *s, const struct fwd_session *keys, uint32_t sealers)
{
	struct epochs *e = calloc(1, sizeof(*e));
	struct epoch_keys k cleanup(epoch_keys_wipe) = {{0}, {0}};
	struct sealing *t = NULL;

	if (!e)
		return -ENOMEM;
	s->epochs = e;
	s->rx.epochs = &e->rx;
	e->cipher = (enum aead_cipher)keys->cipher;
	e->open_last = e->used = OVPN_EPOCH_FIRST;
	atomic_store_explicit(&e->rx.epoch, OVPN_EPOCH_FIRST, memory_order_relaxed);
	memcpy(e->open_secret, keys->open, sizeof(e->open_secret));
	memcpy(e->seal_secret, keys->seal, sizeof(e->seal_secret));
	int r = epoch_derive(e->open_secret, e->cipher, &k);
	if (!r)
		r = aead_key_new(&s->rx.current.key, e->cipher, k.key, false);
	memcpy(s->rx.current.iv, k.iv, sizeof(k.iv));
	if (!r)
		r = grow(s);
	if (!r)
		r = make_sealing(&t, e, e->seal_secret, OVPN_EPOCH_FIRST, sealers);
	atomic_store_explicit(&s->sealing, t, memory_order_release);
	return r;
}

void epochs_fini(struct session *s)
{
	struct epochs *e = s->epochs;

	if (!e)
		return;
	aead_key_free(e->rx.previous.key);
	for (uint32_t i = 0; i < OPENING_AHEAD; i++)
		aead_key_free(e->rx.ahead[i].key);
	for (uint32_t i = 0; i < e->rx.n_retired; i++)
		aead_key_free(e->rx.retired[i]);
	secret_wipe(e, sizeof(*e));
	free(e);
	s->epochs = NULL;
	s->rx.epochs = NULL;
}

struct sealing *epochs_keep(struct session *s, uint32_t sealers, uint64_t now, struct sealing *old)
{
	struct epochs *e = s->epochs;

	if (!e)
		return old;
	const struct sealing *t = session_sealing(s);
	const uint16_t ours = sealed_with(t), theirs = opening_epoch(&s->rx);
	if (worn(t) && ours < OVPN_EPOCH_LAST)
		old = follow(s, theirs > ours ? theirs : ours + 1, sealers, old);
	if (e->grown_at && elapsed(now, e->grown_at - 1) < EPOCHS_GAP_MS)
		return old;
	if (sealed_with(session_sealing(s)) < theirs)
		old = follow(s, theirs, sealers, old);
	if (e->open_last - theirs < OPENING_AHEAD && e->open_last < OVPN_EPOCH_LAST) {
		e->grown_at = now + 1;
		(void)!grow(s);
	}
	return old;
}
