/*
 * One HTTP exchange on libmicrohttpd: from the request line to the end of the answer.
 *
 *   on_uri -> head (police, route) -> body... -> complete -> [suspended: a worker] -> answer -> end
 *
 * All but the worker's part runs on libmicrohttpd's event thread.
 */
#ifndef API_EXCHANGE_H
#define API_EXCHANGE_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "api/deadline.h"
#include "api/lanes.h"
#include "api/metrics.h"
#include "api/proxies.h"
#include "api/streams.h"
#include "base/clock.h"
#include "base/compiler.h"

struct openapi;
struct service;

/* What exchanges share; const while they run, but for stopping. */
struct exchange_env {
	struct service *service;
	const struct openapi *openapi;
	struct conn_table *conns;
	struct lanes *lanes;
	struct streams *streams;
	struct metrics *metrics;
	struct clock clock;
	bool tls;
	const char *public_url; /* NULL: none */
	struct proxies proxies;
	atomic_bool stopping; /* answer 503 */
};

/* libmicrohttpd's callbacks; cls is the env. */
void *exchange_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result exchange_on_data(void *cls, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *data, size_t *data_len, void **state);
void exchange_on_end(
	void *cls, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode why);

/* lanes' work function: arg is the env, job an exchange. */
void exchange_work(void *arg, void *job);

/* The connection that libmicrohttpd's belongs to; NULL when it could not be registered. */
struct conn *exchange_conn(struct MHD_Connection *mhd);

#endif
