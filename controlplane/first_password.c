#include "first_password.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parent.h"
#include "base/secret.h"

enum { LINE = 300 };

static int write_line(int fd, const char *text)
{
	char line[LINE];
	const int n = snprintf(line, sizeof(line), "%s\n", text);
	ssize_t done = -1;

	errno = ENAMETOOLONG;
	if (n < (int)sizeof(line))
		done = write(fd, line, (size_t)n);
	secret_wipe(line, sizeof(line));
	if (done < 0)
		return -errno;
	/* Of so few bytes a part is written only when the disk is full. */
	if (done != n)
		return -ENOSPC;
	return fsync(fd) ? -errno : 0;
}

static int name_new(char out[PATH_MAX], const char *path)
{
	return snprintf(out, PATH_MAX, "%s.new", path) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int first_password_write(const char *path, const char *password)
{
	char fresh[PATH_MAX];
	struct stat st;
	int fd, r = name_new(fresh, path);

	if (r == 0 && lstat(path, &st) == 0)
		r = -EEXIST;
	if (r == 0 && unlink(fresh) && errno != ENOENT)
		r = -errno;
	if (r)
		return r;
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_line(fd, password);
	if (close(fd) && r == 0)
		r = -errno;
	if (r == 0)
		r = parent_sync(path);
	if (r)
		(void)!unlink(fresh);
	return r;
}

/* Of a start that was ended between the two steps. Leaves errno. */
static bool same_file(const char *a, const char *b)
{
	const int before = errno;
	struct stat x, y;
	const bool same = lstat(a, &x) == 0 && lstat(b, &y) == 0 && x.st_dev == y.st_dev &&
			  x.st_ino == y.st_ino;

	errno = before;
	return same;
}

int first_password_keep(const char *path)
{
	char fresh[PATH_MAX];
	int r = name_new(fresh, path);

	if (r)
		return r;
	/* Not by rename, which would replace what has that name. */
	if (link(fresh, path) && !(errno == EEXIST && same_file(fresh, path)))
		return errno == ENOENT ? 0 : -errno;
	if (unlink(fresh))
		return -errno;
	return parent_sync(path);
}

void first_password_drop(const char *path)
{
	char fresh[PATH_MAX];

	if (name_new(fresh, path) == 0)
		(void)!unlink(fresh);
}
