/* The folder that a file is in. */
#ifndef BASE_PARENT_H
#define BASE_PARENT_H

#include "base/compiler.h"

/* Opens the folder of path, which need not exist itself. Returns: a descriptor of the caller's,
 * -ENAMETOOLONG, -errno. */
int parent_open(const char *path) must_check;
/* Makes the name of path as durable as its contents. Returns: 0, -ENAMETOOLONG, -errno. */
int parent_sync(const char *path) must_check;

#endif
