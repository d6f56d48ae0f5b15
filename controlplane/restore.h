/* `ireko-controlplane --restore FILE`: a backup takes the place of the database; nothing is served.
 */
#ifndef CONTROLPLANE_RESTORE_H
#define CONTROLPLANE_RESTORE_H

#include "base/clock.h"
#include "base/compiler.h"

struct keystore;

/* Opens the file; before privilege is given up, as it may be root's. What goes wrong is one line on
 * stderr. Returns: its descriptor, -1. */
int restore_open(const char *file) must_check;
/* Checks the backup, and that ks opens what is sealed in it; writes into its audit log that it was
 * restored, and from what; puts it in its place in data_dir and says so on stdout, with what works
 * again that was revoked since. On failure one line on stderr and nothing was changed. Borrows fd.
 * Returns: 0, -1. */
int restore_run(
	const char *data_dir, int fd, struct keystore *ks, const struct clock *clock) must_check;

#endif
