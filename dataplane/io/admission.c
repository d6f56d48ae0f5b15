/* mac1, cookies and rates in front of the control plane. */
#include "io/admission.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/blake2s.h"
#include "crypto/xchacha.h"
#include "io/buckets.h"

enum { LOAD_MS = 1000 };

/* A prefix has two buckets. */
enum kind {
	CLAIMED, /* counts those that only claim it */
	PROVEN,	 /* counts those with a right mac2 */
};

struct admission {
	bool has_key;
	uint8_t mac1_key[BLAKE2S_HASH];
	uint8_t cookie_key[BLAKE2S_HASH];
	struct key32 secret;
	uint64_t secret_born;
	bool has_secret;
	uint64_t second_start; /* of the second in which passed was counted */
	uint32_t passed;
	uint64_t loaded_until;
	struct bucket cookies; /* others' cookie replies */
	struct buckets *prefixes;
};

int admission_new(struct admission **out)
{
	struct admission *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	r = buckets_new(&a->prefixes);
	if (r != 0)
		free(a);
	else
		*out = a;
	return r;
}

void admission_free(struct admission *a)
{
	if (!a)
		return;
	buckets_free(a->prefixes);
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

static bool claimed_take(struct admission *a, const struct endpoint *from, uint64_t now)
{
	const struct bucket_rate rate = {ADMISSION_RATE, ADMISSION_BURST};

	return buckets_take(a->prefixes, &from->addr, CLAIMED, rate, now);
}

static bool proven_take(struct admission *a, const struct endpoint *from, uint64_t now)
{
	const struct bucket_rate rate = {ADMISSION_LOADED_RATE, ADMISSION_LOADED_BURST};

	return buckets_take(a->prefixes, &from->addr, PROVEN, rate, now);
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
	const struct bucket_rate cookie_rate = {ADMISSION_COOKIE_RATE, ADMISSION_COOKIE_RATE};
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
