/*
 * --healthcheck: asks the control plane that runs, as any client would, whether it is ready.
 */
#ifndef API_HEALTH_H
#define API_HEALTH_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/compiler.h"

enum { API_HEALTH_TEXT = 256, API_HEALTH_MS = 2500 };

/* GET /readyz of whoever listens there (the unspecified address: on loopback), over TLS if tls.
 * Takes at most API_HEALTH_MS. why has API_HEALTH_TEXT bytes: its answer, or what is wrong, in
 * plain ASCII. Returns: 0 (ready), 1 (not). */
int api_health(const struct endpoint *listen, bool tls, char *why) must_check;

#endif
