/* mac1, cookies and token buckets in front of the control plane. */
#include "io/admission.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/blake2s.h"
#include "crypto/xchacha.h"

enum {
	PROBES = 8,
	TOKEN = 1000, /* a bucket counts thousandths: tokens per second times milliseconds */
	LOAD_MS = 1000,
	REFILL_MAX_MS = 60 * 1000,
};

struct bucket {
	uint64_t prefix;
	uint64_t last;
	uint32_t level;
	uint8_t family; /* enum ip_family; IP_NONE: free */
	bool proven;	/* counts those with a right mac2, not those that only claim the prefix */
};

struct rate {
	uint32_t per_second;
	uint32_t burst;
};

struct admission {
	bool has_key;
	uint8_t mac1_key[BLAKE2S_HASH];
	uint8_t cookie_key[BLAKE2S_HASH];
	struct key32 secret;
	uint64_t secret_born;
	bool has_secret;
	uint64_t hash_seed[2]; /* so that nobody can aim at one slot of the table */
	uint64_t second_start; /* of the second in which passed was counted */
	uint32_t passed;
	uint64_t loaded_until;
	struct bucket cookies; /* others' cookie replies */
	struct bucket table[ADMISSION_PREFIXES];
};

int admission_new(struct admission **out)
{
	struct admission *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	if (secret_random(a->hash_seed, sizeof(a->hash_seed)) != 0) {
		free(a);
		return -EIO;
	}
	*out = a;
	return 0;
}

void admission_free(struct admission *a)
{
	if (!a)
		return;
	secret_wipe(a, sizeof(*a));
	free(a);
}

static int label_key(uint8_t out[BLAKE2S_HASH], const char *label, const uint8_t wg_public[32])
{
	const struct blake2s_part parts[] = {{label, 8}, {wg_public, 32}};

	return blake2s_hash(out, parts, ARRAY_SIZE(parts));
}

int admission_set_key(struct admission *a, const uint8_t wg_public[32])
{
	a->has_key = false;
	if (secret_is_zero(wg_public, 32))
		return 0;
	if (label_key(a->mac1_key, "mac1----", wg_public) != 0 ||
		label_key(a->cookie_key, "cookie--", wg_public) != 0)
		return -EIO;
	a->has_key = true;
	return 0;
}

/* The /32 or /64 of an address as a number. */
static uint64_t prefix_of(const struct ip_addr *a)
{
	uint64_t v = 0;
	size_t n = a->family == IP_V4 ? 4 : 8;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | a->bytes[i];
	return v;
}

static uint32_t slot_of(const struct admission *a, uint64_t prefix, uint8_t family, bool proven)
{
	uint64_t h = (prefix ^ a->hash_seed[0]) + family + (proven ? 256 : 0);

	/* Two rounds of a 64-bit finaliser, the seed between them. */
	for (int i = 0; i < 2; i++) {
		h ^= h >> 33;
		h *= 0xff51afd7ed558ccdull;
		h ^= h >> 29;
		h *= 0xc4ceb9fe1a85ec53ull;
		h ^= h >> 32;
		h += a->hash_seed[1];
	}
	return (uint32_t)(h % ADMISSION_PREFIXES);
}

/* The prefix's bucket, if need be in the place of the one that was unseen for longest. */
static struct bucket *bucket_of(
	struct admission *a, const struct ip_addr *addr, bool proven, uint32_t burst, uint64_t now)
{
	uint64_t prefix = prefix_of(addr);
	uint32_t slot = slot_of(a, prefix, addr->family, proven);
	struct bucket *stalest = NULL;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct bucket *b = &a->table[(slot + i) % ADMISSION_PREFIXES];

		if (b->family == addr->family && b->prefix == prefix && b->proven == proven)
			return b;
		if (!stalest || (stalest->family != IP_NONE &&
					(b->family == IP_NONE || b->last < stalest->last)))
			stalest = b;
	}
	*stalest = (struct bucket){.prefix = prefix,
		.last = now,
		.level = burst * TOKEN,
		.family = addr->family,
		.proven = proven};
	return stalest;
}

static bool bucket_take(struct bucket *b, struct rate rate, uint64_t now)
{
	uint64_t passed = now > b->last ? now - b->last : 0;
	uint64_t level;

	if (passed > REFILL_MAX_MS)
		passed = REFILL_MAX_MS;
	level = b->level + passed * rate.per_second;
	if (level > (uint64_t)rate.burst * TOKEN)
		level = (uint64_t)rate.burst * TOKEN;
	b->last = now;
	b->level = (uint32_t)level;
	if (level < TOKEN)
		return false;
	b->level -= TOKEN;
	return true;
}

static bool claimed_take(struct admission *a, const struct endpoint *from, uint64_t now)
{
	const struct rate rate = {ADMISSION_RATE, ADMISSION_BURST};

	return bucket_take(bucket_of(a, &from->addr, false, rate.burst, now), rate, now);
}

static bool proven_take(struct admission *a, const struct endpoint *from, uint64_t now)
{
	const struct rate rate = {ADMISSION_LOADED_RATE, ADMISSION_LOADED_BURST};

	return bucket_take(bucket_of(a, &from->addr, true, rate.burst, now), rate, now);
}

static bool is_loaded(const struct admission *a, uint64_t now)
{
	return now < a->loaded_until;
}

void admission_punt_full(struct admission *a, uint64_t now)
{
	a->loaded_until = now + LOAD_MS;
}

static void count_passed(struct admission *a, uint64_t now)
{
	if (now - a->second_start >= 1000) {
		a->second_start = now;
		a->passed = 0;
	}
	if (++a->passed > ADMISSION_LOAD)
		a->loaded_until = now + LOAD_MS;
}

static bool mac_right(const uint8_t *key, size_t key_len, const uint8_t *bytes, size_t n,
	const uint8_t mac[BLAKE2S_MAC])
{
	const struct blake2s_part part = {bytes, n};
	uint8_t want[BLAKE2S_MAC];

	return blake2s_mac(want, key, key_len, &part, 1) == 0 &&
	       secret_equal(want, mac, sizeof(want));
}

/* Where mac1 of a type 1 or 2 stands; mac2 follows it. */
static size_t mac1_offset(const uint8_t *datagram)
{
	return datagram[0] == WG_INITIATION ? offsetof(struct wg_initiation, mac1)
					    : offsetof(struct wg_response, mac1);
}

/* MAC(secret, address and port): what proves that one receives there. */
static int cookie_make(
	struct admission *a, const struct endpoint *from, uint64_t now, uint8_t cookie[BLAKE2S_MAC])
{
	const uint8_t port[2] = {(uint8_t)(from->port >> 8), (uint8_t)from->port};
	const struct blake2s_part parts[] = {
		{from->addr.bytes, ip_addr_size(&from->addr)}, {port, sizeof(port)}};

	if (!a->has_secret || now - a->secret_born >= WG_COOKIE_SECRET_MS) {
		a->has_secret = false;
		if (secret_random(a->secret.bytes, sizeof(a->secret.bytes)) != 0)
			return -EIO;
		a->has_secret = true;
		a->secret_born = now;
	}
	return blake2s_mac(
		cookie, a->secret.bytes, sizeof(a->secret.bytes), parts, ARRAY_SIZE(parts));
}

/* The cookie, sealed so that only who saw the refused datagram can open it. */
static int cookie_reply(const struct admission *a, const uint8_t *datagram,
	const uint8_t cookie[BLAKE2S_MAC], struct wg_cookie_reply *out)
{
	*out = (struct wg_cookie_reply){.type = {WG_COOKIE_REPLY}};
	memcpy(out->receiver, datagram + offsetof(struct wg_initiation, sender), 4);
	if (secret_random(out->nonce, sizeof(out->nonce)) != 0)
		return -EIO;
	return xchacha_seal(a->cookie_key, out->nonce, cookie, BLAKE2S_MAC,
		datagram + mac1_offset(datagram), BLAKE2S_MAC, out->sealed_cookie);
}

static enum admission_outcome check_mac2(struct admission *a, const uint8_t *datagram,
	const struct endpoint *from, uint64_t now, struct wg_cookie_reply *reply)
{
	size_t mac2 = mac1_offset(datagram) + BLAKE2S_MAC;
	uint8_t cookie[BLAKE2S_MAC];
	enum admission_outcome outcome = ADMISSION_LIMITED;

	if (cookie_make(a, from, now, cookie) != 0)
		return ADMISSION_LIMITED;
	if (!secret_is_zero(datagram + mac2, BLAKE2S_MAC) &&
		mac_right(cookie, sizeof(cookie), datagram, mac2, datagram + mac2)) {
		if (proven_take(a, from, now))
			outcome = ADMISSION_PASS;
	} else if (cookie_reply(a, datagram, cookie, reply) == 0) {
		outcome = ADMISSION_COOKIE;
	}
	secret_wipe(cookie, sizeof(cookie));
	return outcome;
}

enum admission_outcome admission_check(struct admission *a, const uint8_t *datagram, size_t len,
	const struct endpoint *from, uint64_t now, struct wg_cookie_reply *reply)
{
	const struct rate cookie_rate = {ADMISSION_COOKIE_RATE, ADMISSION_COOKIE_RATE};
	enum admission_outcome outcome = ADMISSION_PASS;
	size_t mac1;

	if (!a->has_key)
		return ADMISSION_BAD_MAC1;
	if (len == sizeof(struct wg_cookie_reply)) {
		/* Carries no mac1; only the control plane can tell whether it asked for it. So
		 * anybody may send it in any name, and it must not count for the prefix. */
		return bucket_take(&a->cookies, cookie_rate, now) ? ADMISSION_PASS
								  : ADMISSION_LIMITED;
	}
	mac1 = mac1_offset(datagram);
	if (len != mac1 + 2 * BLAKE2S_MAC ||
		!mac_right(a->mac1_key, sizeof(a->mac1_key), datagram, mac1, datagram + mac1))
		return ADMISSION_BAD_MAC1;
	if (is_loaded(a, now) || !claimed_take(a, from, now))
		outcome = check_mac2(a, datagram, from, now, reply);
	if (outcome == ADMISSION_PASS)
		count_passed(a, now);
	return outcome;
}
