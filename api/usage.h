/* What this process takes of the machine, for metrics. */
#ifndef API_USAGE_H
#define API_USAGE_H

#include <stdint.h>

struct usage {
	uint64_t resident_bytes; /* 0: not known, there is no /proc */
	uint64_t cpu_ms;	 /* user and system, since the start */
};

void usage_now(struct usage *out);

#endif
