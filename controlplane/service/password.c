#include "service/password.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/secret.h"

enum { SALT = 16, HASH = 32, LN = 15, R = 8, P = 1, LN_MAX = 18 };

struct password_gate {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	unsigned running, waiting;
	char nobodys[USER_PASSWORD]; /* what users without a password are compared with */
};

struct scrypt {
	unsigned ln, r, p;
	uint8_t salt[SALT], hash[HASH];
};

static void format(const struct scrypt *h, char out[USER_PASSWORD])
{
	char salt[BASE64_TEXT(SALT)], hash[BASE64_TEXT(HASH)];

	base64_encode(h->salt, SALT, salt);
	base64_encode(h->hash, HASH, hash);
	snprintf(
		out, USER_PASSWORD, "$scrypt$ln=%u,r=%u,p=%u$%s$%s", h->ln, h->r, h->p, salt, hash);
}

static int parse(const char *text, struct scrypt *h)
{
	char salt[BASE64_TEXT(SALT)], hash[BASE64_TEXT(HASH)];
	int end = 0;

	if (sscanf(text, "$scrypt$ln=%2u,r=%2u,p=%2u$%24[^$]$%44[^$]%n", &h->ln, &h->r, &h->p, salt,
		    hash, &end) != 5 ||
		text[end] != '\0')
		return -EUCLEAN;
	if (h->ln < 1 || h->ln > LN_MAX || h->r != R || h->p != P)
		return -EUCLEAN;
	if (base64_decode(salt, h->salt, SALT) || base64_decode(hash, h->hash, HASH))
		return -EUCLEAN;
	return 0;
}

int password_gate_new(struct password_gate **out)
{
	struct password_gate *g = calloc(1, sizeof(*g));
	struct scrypt nobody = {.ln = LN, .r = R, .p = P};

	if (!g)
		return -ENOMEM;
	if (secret_random(nobody.salt, SALT) || secret_random(nobody.hash, HASH)) {
		free(g);
		return -EIO;
	}
	format(&nobody, g->nobodys);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->freed, NULL);
	*out = g;
	return 0;
}

void password_gate_free(struct password_gate *g)
{
	if (!g)
		return;
	pthread_cond_destroy(&g->freed);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static int enter(struct password_gate *g)
{
	int out = 0;

	pthread_mutex_lock(&g->lock);
	if (g->running >= PASSWORD_AT_ONCE && g->waiting >= PASSWORD_WAITING) {
		out = PASSWORD_BUSY;
	} else {
		g->waiting++;
		while (g->running >= PASSWORD_AT_ONCE)
			pthread_cond_wait(&g->freed, &g->lock);
		g->waiting--;
		g->running++;
	}
	pthread_mutex_unlock(&g->lock);
	return out;
}

static void leave(struct password_gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->running--;
	pthread_cond_signal(&g->freed);
	pthread_mutex_unlock(&g->lock);
}

static int compute(
	struct password_gate *g, const struct scrypt *h, const char *password, uint8_t out[HASH])
{
	uint64_t n = (uint64_t)1 << h->ln;
	uint64_t room = 128 * n * h->r + (1 << 20);
	int err = enter(g);

	if (err)
		return err;
	if (EVP_PBE_scrypt(
		    password, strlen(password), h->salt, SALT, n, h->r, h->p, room, out, HASH) != 1)
		err = -ENOMEM;
	leave(g);
	return err;
}

int password_hash(struct password_gate *g, const char *password, char out[USER_PASSWORD])
{
	struct scrypt h = {.ln = LN, .r = R, .p = P};
	int err;

	if (secret_random(h.salt, SALT))
		return -EIO;
	err = compute(g, &h, password, h.hash);
	if (!err)
		format(&h, out);
	secret_wipe(&h, sizeof(h));
	return err;
}

int password_verify(struct password_gate *g, const char *text, const char *password)
{
	bool none = !text || !text[0];
	uint8_t hash[HASH];
	struct scrypt h;
	int err = parse(none ? g->nobodys : text, &h);

	if (err)
		return err;
	err = compute(g, &h, password, hash);
	if (!err)
		err = secret_equal(hash, h.hash, HASH) && !none ? PASSWORD_OK : PASSWORD_WRONG;
	secret_wipe(hash, sizeof(hash));
	secret_wipe(&h, sizeof(h));
	return err;
}
