/*
 * Socket helpers of the door. All sockets are SOCK_SEQPACKET, non-blocking, close-on-exec.
 */
#ifndef UAPI_DOOR_H
#define UAPI_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

enum { DOOR_PATH_MAX = 108 };

/* "<run_dir>/dataplane.sock". Returns: 0, -ENAMETOOLONG. */
int door_path(char out[DOOR_PATH_MAX], const char *run_dir) must_check;
/* Binds and listens with mode 0660; a stale socket of a dead process is replaced, a live one is
 * not. Returns: the descriptor, -EADDRINUSE, -errno. */
int door_listen(const char *path) must_check;
/* Which socket it is that stands at path, for whoever listens on it. Returns: 0, -errno. */
struct door_place {
	dev_t dev;
	ino_t ino;
};
int door_place(struct door_place *out, const char *path) must_check;
/* Whether that one still stands there: nobody can come in by one that was removed or replaced.
 * Needs no system call but newfstatat. */
bool door_stands(const struct door_place *p, const char *path) must_check;
/* Returns: the descriptor, -ENOENT or -ECONNREFUSED (nobody listens), -EACCES, -errno. */
int door_connect(const char *path) must_check;
/* Credentials of the other end (SO_PEERCRED). Returns: 0, -errno. */
int door_peer(int fd, uid_t *uid, gid_t *gid, pid_t *pid) must_check;
/* Sends one whole frame. Returns: 0, -EAGAIN (full), -errno. */
int door_send(int fd, const void *frame, size_t len) must_check;
/* Receives one frame. Returns: its length, 0 (closed), -EAGAIN, -EMSGSIZE (longer than cap). */
ssize_t door_recv(int fd, void *buf, size_t cap) must_check;

#endif
