/* The privileged half: what runs in the forked process, and the two messages it speaks. */
#ifndef NETCONF_HELPER_H
#define NETCONF_HELPER_H

#include <stdint.h>

#include "netconf/netconf.h"

/* Both ends are one program, forked; so structs go over the socket as they are, exactly this size.
 * The dataplane sends networks, the helper answers each with a result; one result without a
 * question says that the helper is ready, or why not. */
struct helper_result {
	int32_t error; /* 0 or -errno */
};

enum { HELPER_LOCK_WAIT_MS = 5000, HELPER_ANSWER_MS = 5000 };

/* Runs until the socket ends, cleans up and leaves the process. Takes fd, closes every other one
 * above stderr. */
_Noreturn void helper_run(int fd, const struct netconf_static *conf);

#endif
