/* The admin's first password, in a file for whoever started the service. */
#ifndef CONTROLPLANE_FIRST_PASSWORD_H
#define CONTROLPLANE_FIRST_PASSWORD_H

#include "base/compiler.h"

/* Makes the file (0600) with the password and a newline; it is on the disk when this returns, or
 * not there at all. Returns: 0, -EEXIST (something has that name), -errno. */
int first_password_write(const char *path, const char *password) must_check;

#endif
