/*
 * Giving up privilege: user, capabilities, no_new_privs, seccomp, core dumps.
 *
 * Every step fails closed: when one can't be taken the program must not go on.
 */
#ifndef BASE_ISOLATE_H
#define BASE_ISOLATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct identity {
	uid_t uid;
	gid_t gid;
};

/* Looks a user up by name or number; a number that no user has gets the group of the same number.
 * Returns: 0, -ENOENT. */
int identity_lookup(const char *user, struct identity *out) must_check;

/* No core dumps, not dumpable, not traceable by its own user. Returns: 0, -errno. */
int isolate_no_dumps(void) must_check;

/* What this process executes from now on gains nothing by its file (set-user-id, capabilities).
 * What it has itself stays. Returns: 0, -errno. */
int isolate_no_new_privs(void) must_check;

/* Capabilities that are permitted become effective. For a program that is not started as root but
 * whose file has permitted ones: unlike effective ones they don't keep it from starting where they
 * can't be had. Returns: 0, -errno. */
int isolate_raise(void) must_check;

/* Becomes that user and group with no supplementary groups, keeping exactly the capabilities in
 * keep (bits 1 << CAP_X) as permitted and effective, with empty inheritable, ambient and bounding
 * sets, and no_new_privs. Needs no capability when the identity is the current one; without
 * CAP_SETGID the supplementary groups then stay, without CAP_SETPCAP the bounding set (which
 * no_new_privs makes worthless). Call it before threads start: capabilities belong to a thread.
 * Returns: 0, -errno. */
int isolate_become(const struct identity *who, uint64_t keep) must_check;

/* Installs a seccomp filter for all threads: the named system calls are allowed, everything else
 * kills the process (log != 0: fails with EPERM and is logged by the kernel's audit, for finding
 * out what is missing). execve, ptrace and friends are simply not on anybody's list.
 * Names unknown to this machine's libseccomp are skipped. ISOLATE_SNDBUF is no name of the
 * kernel's: setsockopt for the one harmless option. Returns: 0, -errno. */
#define ISOLATE_SNDBUF "setsockopt(SO_SNDBUF)"
int isolate_syscalls(const char *const *allowed, size_t n, int log) must_check;

/* malloc and free make no system calls from now on but brk and those for mapped memory, in any
 * thread. Otherwise glibc opens a file in /proc when a thread gives much memory back, whenever that
 * is, and a filter that has no such call would end the process. Call it before threads start.
 * Returns: 0, -EINVAL. */
int isolate_allocator(void) must_check;

/* io_uring is not there for this process from now on (ENOSYS): what goes through a ring passes by
 * any filter, and libuv makes one when it can. Needs no_new_privs. Returns: 0, -errno. */
int isolate_no_rings(void) must_check;

/* Lets the process open nofile files, or as many as it may. Returns: 0, -errno. */
int isolate_limits(uint64_t nofile) must_check;

#endif
