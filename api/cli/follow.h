/* The stream of events, over as many connections as it takes. */
#ifndef API_CLI_FOLLOW_H
#define API_CLI_FOLLOW_H

#include "api/cli/command.h"
#include "api/cli/sse.h"

/* Calls on_event until that returns false. A connection that ends is made anew, and the server
 * asked to go on behind the last event that was seen; only the first one may fail. types: NULL for
 * all. Returns: EXIT_FINE, or what was told. */
enum exit_code follow_events(struct args *a, const char *types,
	bool (*on_event)(void *arg, const struct sse_event *e), void *arg) must_check;

#endif
