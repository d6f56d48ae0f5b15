/*
 * Metrics in Prometheus' text format 0.0.4: one table says what there is. Requests are counted
 * here, everything else is asked when somebody looks.
 */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/deadline.h"
#include "api/lanes.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/compiler.h"

struct metrics;
struct service;
struct streams;

/* Borrowed. */
struct metrics_sources {
	struct service *service;
	struct conn_table *conns;
	struct lanes *lanes;
	struct streams *streams;
	struct clock clock;
	bool devices; /* series of each device */
};

int metrics_new(struct metrics **out, const struct metrics_sources *from) must_check;
void metrics_free(struct metrics *m);
/* A request was answered; route NULL: there is none. Any thread. */
void metrics_request(
	struct metrics *m, const struct route *route, unsigned status, uint64_t took_ms);
/* Returns: owned (memory_free), or NULL when there is no memory. */
char *metrics_text(struct metrics *m, size_t *len);

#endif
