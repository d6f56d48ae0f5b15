/*
 * What this process takes of the machine, for metrics.
 *
 * Memory is told by a file of /proc. It is opened once, before the process gives up opening files,
 * and read from its start each time.
 */
#ifndef BASE_USAGE_H
#define BASE_USAGE_H

#include <stdint.h>

struct usage {
	uint64_t resident_bytes; /* 0: not known, there is no /proc */
	uint64_t cpu_ms;	 /* user and system, all threads, since the start */
};

/* After the last fork: it is of the process that opens it. Returns: a descriptor to be closed, -1:
 * there is no such file. */
int usage_open(void);
/* fd: of usage_open. */
void usage_now(int fd, struct usage *out);

#endif
