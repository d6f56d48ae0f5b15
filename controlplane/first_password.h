/*
 * The admin's first password, in a file for whoever started the service.
 *
 *   write: PATH.new     the user is stored     keep: PATH
 *
 * Whoever is ended in between begins anew with another password, or finds that it holds: the name
 * PATH has only a password that does, and nobody's rest is in the way of the next start.
 */
#ifndef CONTROLPLANE_FIRST_PASSWORD_H
#define CONTROLPLANE_FIRST_PASSWORD_H

#include "base/compiler.h"

/* Makes PATH.new (0600) with the password and a newline, in the place of one that was left; it is
 * on the disk when this returns, or not there at all. Returns: 0, -EEXIST (something has the name
 * PATH), -ENAMETOOLONG, -errno. */
int first_password_write(const char *path, const char *password) must_check;
/* The user is stored: PATH.new gets its name. Returns: 0 (also when there is none), -EEXIST,
 * -ENAMETOOLONG, -errno. */
int first_password_keep(const char *path) must_check;
/* The user is not: nobody has that password. */
void first_password_drop(const char *path);

#endif
