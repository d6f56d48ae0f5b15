#include "base/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

int usage_open(void)
{
	return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* proc_pid_statm(5): all pages, then those in memory. */
static uint64_t resident(int fd)
{
	char text[128];
	unsigned long long pages = 0;
	const ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void usage_now(int fd, struct usage *out)
{
	*out = (struct usage){.resident_bytes = resident(fd), .cpu_ms = clock_cpu_ms()};
}
