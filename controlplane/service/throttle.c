#include "service/throttle.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

enum { SETS = 512, WAYS = 8, STAMPS = THROTTLE_NETWORK };
_Static_assert((int)THROTTLE_GUESSES <= (int)STAMPS, "an entry has room for all that is counted");

struct entry {
	uint64_t key;		 /* 0: unused */
	uint32_t stamps[STAMPS]; /* seconds of failures, in no order; 0: none */
	uint32_t refused;	 /* second of the refusal that was told, 0: none */
};

struct throttle {
	pthread_mutex_t lock;
	struct key32 secret; /* of the hash */
	struct entry entries[SETS][WAYS];
};

int throttle_new(struct throttle **out)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (secret_random(t->secret.bytes, sizeof(t->secret.bytes))) {
		free(t);
		return -EIO;
	}
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	key32_wipe(&t->secret);
	free(t);
}

/* SHA-256(secret, kind, data), its first bytes; never 0. On failure everybody shares one key,
 * which only makes the limit stricter. */
static uint64_t key_of(const struct throttle *t, char kind, const void *data, size_t n)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE] = {0};
	uint64_t key = 0;

	if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(md, t->secret.bytes, sizeof(t->secret.bytes)) == 1 &&
		EVP_DigestUpdate(md, &kind, 1) == 1 && EVP_DigestUpdate(md, data, n) == 1 &&
		EVP_DigestFinal_ex(md, digest, NULL) == 1)
		memcpy(&key, digest, sizeof(key));
	EVP_MD_CTX_free(md);
	return key ? key : 1;
}

static uint64_t account_key(const struct throttle *t, const char *name)
{
	char lower[256];
	size_t n = strnlen(name, sizeof(lower));

	for (size_t i = 0; i < n; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	return key_of(t, 'a', lower, n);
}

/* kinds: one for IPv4, one for IPv6. */
static uint64_t network_key(
	const struct throttle *t, const char kinds[2], const struct ip_addr *from)
{
	static const struct ip_addr none;

	if (!from)
		from = &none;
	return key_of(t, kinds[from->family == IP_V4 ? 0 : 1], from->bytes,
		from->family == IP_V4 ? 3 : 8);
}

static unsigned failures_within(
	const struct entry *e, uint32_t now, uint32_t window_s, uint32_t *oldest)
{
	unsigned n = 0;

	*oldest = now;
	for (size_t i = 0; i < STAMPS; i++) {
		if (!e->stamps[i] || now - e->stamps[i] >= window_s)
			continue;
		n++;
		if (e->stamps[i] < *oldest)
			*oldest = e->stamps[i];
	}
	return n;
}

static unsigned failures(const struct entry *e, uint32_t now, uint32_t *oldest)
{
	return failures_within(e, now, THROTTLE_WINDOW_S, oldest);
}

static struct entry *find(struct throttle *t, uint64_t key)
{
	struct entry *set = t->entries[key % SETS];

	for (size_t i = 0; i < WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

/* The entry of this key, or the least of its set, emptied. */
static struct entry *claim(struct throttle *t, uint64_t key, uint32_t now)
{
	struct entry *e = find(t, key), *set = t->entries[key % SETS];
	unsigned least = STAMPS + 1;
	uint32_t oldest;

	for (size_t i = 0; i < WAYS && !e; i++)
		if (!set[i].key)
			e = &set[i];
	if (!e) {
		for (size_t i = 0; i < WAYS; i++) {
			unsigned n = failures(&set[i], now, &oldest);

			if (n < least) {
				least = n;
				e = &set[i];
			}
		}
	}
	if (e->key != key)
		*e = (struct entry){.key = key};
	return e;
}

/* *told: whether that was said in this window already. */
static bool limited(
	struct throttle *t, uint64_t key, unsigned limit, uint32_t now, uint32_t *retry, bool *told)
{
	struct entry *e = find(t, key);
	uint32_t oldest;

	if (!e || failures(e, now, &oldest) < limit)
		return false;
	if (oldest + THROTTLE_WINDOW_S - now > *retry)
		*retry = oldest + THROTTLE_WINDOW_S - now;
	*told = e->refused && now - e->refused < THROTTLE_WINDOW_S;
	if (!*told)
		e->refused = now;
	return true;
}

static void add(struct entry *e, uint32_t now, uint32_t window_s)
{
	for (size_t i = 0; i < STAMPS; i++) {
		if (e->stamps[i] && now - e->stamps[i] < window_s)
			continue;
		e->stamps[i] = now;
		return;
	}
}

static void take_back(struct entry *e, uint32_t at)
{
	for (size_t i = 0; e && i < STAMPS; i++) {
		if (e->stamps[i] != at)
			continue;
		e->stamps[i] = 0;
		return;
	}
}

int throttle_begin(struct throttle *t, uint64_t now_ms, const char *account,
	const struct ip_addr *from, struct throttle_attempt *out, uint32_t *retry_after_s)
{
	uint32_t now = (uint32_t)(now_ms / 1000) + 1;
	bool over, told[2] = {true, true};

	*out = (struct throttle_attempt){.account = account_key(t, account),
		.network = network_key(t, "46", from),
		.at = now};
	*retry_after_s = 0;
	pthread_mutex_lock(&t->lock);
	over = limited(t, out->account, THROTTLE_ACCOUNT, now, retry_after_s, &told[0]);
	over |= limited(t, out->network, THROTTLE_NETWORK, now, retry_after_s, &told[1]);
	out->told = over && told[0] && told[1];
	if (!over) {
		add(claim(t, out->account, now), now, THROTTLE_WINDOW_S);
		add(claim(t, out->network, now), now, THROTTLE_WINDOW_S);
	}
	pthread_mutex_unlock(&t->lock);
	return over ? THROTTLE_LIMITED : THROTTLE_OK;
}

int throttle_own_password(
	struct throttle *t, uint64_t now_ms, const struct ulid *user, uint32_t *retry_after_s)
{
	const uint32_t now = (uint32_t)(now_ms / 1000) + 1;
	const uint64_t key = key_of(t, 'p', user->bytes, sizeof(user->bytes));
	bool over, told;

	*retry_after_s = 0;
	pthread_mutex_lock(&t->lock);
	over = limited(t, key, THROTTLE_ACCOUNT, now, retry_after_s, &told);
	if (!over)
		add(claim(t, key, now), now, THROTTLE_WINDOW_S);
	pthread_mutex_unlock(&t->lock);
	return over ? THROTTLE_LIMITED : THROTTLE_OK;
}

int throttle_guess(struct throttle *t, uint64_t now_ms, const struct ip_addr *from,
	struct throttle_attempt *out, uint32_t *retry_after_s)
{
	const uint32_t now = (uint32_t)(now_ms / 1000) + 1;
	uint32_t oldest = now;
	struct entry *e;
	bool over;

	*out = (struct throttle_attempt){.network = network_key(t, "gG", from), .at = now};
	*retry_after_s = 0;
	pthread_mutex_lock(&t->lock);
	e = find(t, out->network);
	over = e && failures_within(e, now, THROTTLE_GUESS_WINDOW_S, &oldest) >= THROTTLE_GUESSES;
	if (over)
		*retry_after_s = oldest + THROTTLE_GUESS_WINDOW_S - now;
	else
		add(claim(t, out->network, now), now, THROTTLE_GUESS_WINDOW_S);
	pthread_mutex_unlock(&t->lock);
	return over ? THROTTLE_LIMITED : THROTTLE_OK;
}

void throttle_succeeded(struct throttle *t, const struct throttle_attempt *a)
{
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = find(t, a->account);
	if (e)
		*e = (struct entry){0};
	take_back(find(t, a->network), a->at);
	pthread_mutex_unlock(&t->lock);
}

void throttle_cancel(struct throttle *t, const struct throttle_attempt *a)
{
	pthread_mutex_lock(&t->lock);
	if (a->account)
		take_back(find(t, a->account), a->at);
	take_back(find(t, a->network), a->at);
	pthread_mutex_unlock(&t->lock);
}
