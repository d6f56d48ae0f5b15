/*
 * Worker threads behind bounded queues, one queue a lane: what waits for a password check or for
 * the dataplane holds up its own lane only.
 */
#ifndef API_LANES_H
#define API_LANES_H

#include <stdbool.h>

#include "api/routes.h"
#include "base/compiler.h"

struct lanes;

/* Starts the threads; each calls work(arg, job). Returns: 0, -errno. */
int lanes_new(struct lanes **out, void (*work)(void *arg, void *job), void *arg) must_check;
/* Returns: false when the lane is full; the job then stays the caller's. */
bool lanes_push(struct lanes *l, enum lane lane, void *job) must_check;
/* Jobs that wait in a lane. */
unsigned lanes_depth(struct lanes *l, enum lane lane);
/* Jobs that are queued are still worked on, later ones refused; returns when all are done. */
void lanes_stop(struct lanes *l);
/* After lanes_stop, when nobody pushes any more. */
void lanes_free(struct lanes *l);

#endif
