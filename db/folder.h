/* The files in the data folder, as files: who has them, and that they are ours. For this room. */
#ifndef DB_FOLDER_H
#define DB_FOLDER_H

#include <stdint.h>

#include "base/compiler.h"

enum { FOLDER_PATH = 4096 };

/* Takes <dir>/ireko.lock for as long as *fd stays open; -1 without it. why has 128 bytes.
 * Returns: 0, -EBUSY (another process has it), -errno. */
int folder_lock(const char *dir, int *fd, char *why) must_check;
/* Makes renames in it durable. Returns: 0, -errno. */
int folder_sync(const char *dir) must_check;
/* A regular file of ours, made or narrowed to mode 0600. flags: of open, as O_CREAT.
 * Returns: 0 and its *size in bytes, -ENOENT, -EINVAL (no regular file), -errno. */
int folder_own_file(const char *path, int flags, int64_t *size) must_check;
/* Removes a database and what SQLite puts beside it. */
void folder_remove(const char *path);

#endif
