/* The system calls that the control plane needs once it serves; all others kill it. */
#ifndef CONTROLPLANE_SYSCALLS_H
#define CONTROLPLANE_SYSCALLS_H

#include "base/compiler.h"

/* For all threads. Returns: 0, -errno. */
int controlplane_seccomp(void) must_check;

#endif
