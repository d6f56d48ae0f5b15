#include "base/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

int parent_open(const char *path)
{
	const char *slash = strrchr(path, '/');
	const size_t n = slash ? (size_t)(slash - path) : 0;
	char folder[PATH_MAX];

	if (n >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, n);
	folder[n] = '\0';
	const int fd = open(n ? folder : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int parent_sync(const char *path)
{
	const int fd = parent_open(path);
	int r;

	if (fd < 0)
		return fd;
	r = fsync(fd) ? -errno : 0;
	close(fd);
	return r;
}
