#include "db/storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static const char *name(const struct storage *s, size_t i)
{
	return i == 0 ? s->path : s->log;
}

int storage_note(struct storage *s, const char *path)
{
	struct stat st;

	s->path = strdup(path);
	if (asprintf(&s->log, "%s-wal", path) < 0)
		s->log = NULL;
	if (!s->path || !s->log)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(s->files); i++) {
		if (lstat(name(s, i), &st) != 0)
			return -errno;
		s->files[i].dev = st.st_dev;
		s->files[i].ino = st.st_ino;
	}
	return 0;
}

void storage_fini(struct storage *s)
{
	free(s->path);
	free(s->log);
}

int storage_stands(const struct storage *s)
{
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(s->files); i++) {
		if (lstat(name(s, i), &st) != 0 || st.st_dev != s->files[i].dev ||
			st.st_ino != s->files[i].ino)
			return -ESTALE;
	}
	return 0;
}

int storage_check(const struct storage *s)
{
	struct statvfs fs;
	int err = storage_stands(s);

	if (err)
		return err;
	if (statvfs(s->path, &fs) != 0)
		return -errno;
	if (fs.f_flag & ST_RDONLY)
		return -EROFS;
	/* Some file systems have no such number. */
	return fs.f_blocks > 0 && fs.f_bavail == 0 ? -ENOSPC : 0;
}

const char *storage_fault(int err)
{
	switch (-err) {
	case ESTALE:
		return "the files of the database were deleted or replaced while it runs";
	case EROFS:
		return "the file system of the database is read-only";
	case ENOSPC:
		return "the disk of the database is full";
	case EREMOTEIO:
		return "the disk of the database reports an error";
	default:
		return "the database can't be written";
	}
}
