#include "service/stripes.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { USERS = 256, DEVICES = 1024 };

struct stripes {
	pthread_rwlock_t users[USERS];
	pthread_mutex_t devices[DEVICES];
};

int stripes_new(struct stripes **out)
{
	struct stripes *s = calloc(1, sizeof(*s));
	pthread_rwlockattr_t attr;

	if (!s)
		return -ENOMEM;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (size_t i = 0; i < USERS; i++)
		pthread_rwlock_init(&s->users[i], &attr);
	pthread_rwlockattr_destroy(&attr);
	for (size_t i = 0; i < DEVICES; i++)
		pthread_mutex_init(&s->devices[i], NULL);
	*out = s;
	return 0;
}

void stripes_free(struct stripes *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < USERS; i++)
		pthread_rwlock_destroy(&s->users[i]);
	for (size_t i = 0; i < DEVICES; i++)
		pthread_mutex_destroy(&s->devices[i]);
	free(s);
}

/* The last bytes of a ULID are random. */
static size_t stripe(const struct ulid *id, size_t n)
{
	return ((size_t)id->bytes[14] << 8 | id->bytes[15]) % n;
}

struct held stripes_hold_device(
	struct stripes *s, const struct ulid *user, const struct ulid *device)
{
	struct held h = {
		.user = &s->users[stripe(user, USERS)],
		.device = &s->devices[stripe(device, DEVICES)],
	};

	pthread_rwlock_rdlock(h.user);
	pthread_mutex_lock(h.device);
	return h;
}

struct held stripes_hold_user(struct stripes *s, const struct ulid *user)
{
	struct held h = {.user = &s->users[stripe(user, USERS)]};

	pthread_rwlock_wrlock(h.user);
	return h;
}

void held_release(struct held *h)
{
	if (h->device)
		pthread_mutex_unlock(h->device);
	if (h->user)
		pthread_rwlock_unlock(h->user);
	*h = (struct held){0};
}
