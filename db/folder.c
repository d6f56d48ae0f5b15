#include "db/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHY = 128 };

int folder_lock(const char *dir, int *fd, char *why)
{
	char path[FOLDER_PATH];

	snprintf(path, sizeof(path), "%s/ireko.lock", dir);
	*fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0) {
		int err = -errno;

		snprintf(why, WHY, "can't open ireko.lock: %s", strerror(-err));
		return err;
	}
	if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
		int err = errno == EWOULDBLOCK ? -EBUSY : -errno;

		snprintf(why, WHY, "another process has the database");
		close(*fd);
		*fd = -1;
		return err;
	}
	return 0;
}

int folder_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0)
		err = -errno;
	close(fd);
	return err;
}

int folder_own_file(const char *path, int flags, int64_t *size)
{
	int fd = open(path, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	struct stat st;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0 || ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) != 0))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	*size = err ? 0 : st.st_size;
	close(fd);
	return err;
}

void folder_remove(const char *path)
{
	static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
	char name[FOLDER_PATH + 16];

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		snprintf(name, sizeof(name), "%s%s", path, tails[i]);
		(void)unlink(name);
	}
}
