/*
 * What the files of the database stand on: whether they are still the ones that were opened, and
 * whether they can be written. A file that was deleted can be written for as long as it is open,
 * and then nothing of it stays; so whoever acknowledges writes has to look.
 */
#ifndef DB_STORAGE_H
#define DB_STORAGE_H

#include <sys/types.h>

#include "base/compiler.h"

struct storage {
	char *path, *log; /* of the database and its log; NULL until noted */
	struct {
		dev_t dev;
		ino_t ino;
	} files[2];
};

/* Notes which files these are, when they have been opened. Owned: storage_fini.
 * Returns: 0, -ENOMEM, -errno. */
int storage_note(struct storage *s, const char *path) must_check;
void storage_fini(struct storage *s);

/* Whether they are still those. Returns: 0, -ESTALE (deleted or replaced). */
int storage_stands(const struct storage *s) must_check;
/* The same, and whether there is something to write on.
 * Returns: 0, -ESTALE, -EROFS (a read-only file system), -ENOSPC (no block is free),
 * -errno. */
int storage_check(const struct storage *s) must_check;
/* One sentence, without a full stop, for these and for what a write may fail with. */
const char *storage_fault(int err);

#endif
