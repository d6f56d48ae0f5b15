#include "api/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t resident(void)
{
	char text[128];
	unsigned long long pages = 0;
	const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t ms(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000 + (uint64_t)tv->tv_usec / 1000;
}

void usage_now(struct usage *out)
{
	struct rusage r;

	*out = (struct usage){.resident_bytes = resident()};
	if (getrusage(RUSAGE_SELF, &r) == 0)
		out->cpu_ms = ms(&r.ru_utime) + ms(&r.ru_stime);
}
