/*
 * Locks by object, striped: two users or devices share one only by chance.
 *
 * Whoever changes a device holds its user's stripe shared and its own stripe; whoever changes a
 * user holds that user's stripe alone. Writers come first, so that disabling a busy user is not
 * put off.
 */
#ifndef SERVICE_STRIPES_H
#define SERVICE_STRIPES_H

#include <pthread.h>

#include "base/compiler.h"
#include "base/ulid.h"

struct stripes;

struct held {
	pthread_rwlock_t *user;
	pthread_mutex_t *device;
};

int stripes_new(struct stripes **out) must_check;
void stripes_free(struct stripes *s);

/* Declare as: struct held h cleanup(held_release) = stripes_hold_device(...); */
struct held stripes_hold_device(
	struct stripes *s, const struct ulid *user, const struct ulid *device);
struct held stripes_hold_user(struct stripes *s, const struct ulid *user);
void held_release(struct held *h);

#endif
