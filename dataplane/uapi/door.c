/*
 * The door's sockets. SOCK_SEQPACKET keeps frames apart and tells when the other side is gone; the
 * kernel says who it is.
 */
#include "uapi/door.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/parent.h"

enum { BACKLOG = 8, SOCKET_MODE = 0660 };

int door_path(char out[DOOR_PATH_MAX], const char *run_dir)
{
	int n = snprintf(out, DOOR_PATH_MAX, "%s/dataplane.sock", run_dir);

	return n < 0 || n >= DOOR_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int door_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int door_address(struct sockaddr_un *out, const char *path)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(out->sun_path))
		return -ENAMETOOLONG;
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(out->sun_path, path, len);
	return 0;
}

int door_connect(const char *path)
{
	struct sockaddr_un address;
	int rc = door_address(&address, path);
	int fd;

	if (rc)
		return rc;
	fd = door_socket();
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/* Locks the folder of path, so that of two that start at once one sees the other listen.
 * Returns: a descriptor whose closing unlocks, -errno. */
static int lock_folder(const char *path)
{
	const int fd = parent_open(path);

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX)) {
		int rc = -errno;

		if (rc == -EINTR)
			continue;
		close(fd);
		return rc;
	}
	return fd;
}

/* Removes a socket that nobody listens on. Returns: 0, -EADDRINUSE (it lives, or is no socket),
 * -errno. */
static int remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = door_connect(path);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(path) ? -errno : 0;
}

/* The mode is set before listen, so nobody can connect under another one. */
static int bind_and_listen(int fd, const char *path)
{
	struct sockaddr_un address;
	int rc = door_address(&address, path);

	if (rc)
		return rc;
	/* An unbound socket's mode, less the umask, is what bind gives to the file. */
	if (fchmod(fd, SOCKET_MODE))
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	/* Whoever may write in the folder could put a symbolic link there. */
	if (fchmodat(AT_FDCWD, path, SOCKET_MODE, AT_SYMLINK_NOFOLLOW) || listen(fd, BACKLOG)) {
		rc = -errno;
		unlink(path);
	}
	return rc;
}

int door_listen(const char *path)
{
	int lock = lock_folder(path);
	int fd = -1;
	int rc;

	if (lock < 0)
		return lock;
	rc = remove_stale(path);
	if (rc)
		goto out;
	fd = door_socket();
	rc = fd < 0 ? fd : bind_and_listen(fd, path);
out:
	close(lock);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

int door_place(struct door_place *out, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return -errno;
	*out = (struct door_place){.dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

bool door_stands(const struct door_place *p, const char *path)
{
	struct door_place now;

	return door_place(&now, path) == 0 && now.dev == p->dev && now.ino == p->ino;
}

int door_peer(int fd, uid_t *uid, gid_t *gid, pid_t *pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return -errno;
	*uid = peer.uid;
	*gid = peer.gid;
	*pid = peer.pid;
	return 0;
}

int door_send(int fd, const void *frame, size_t len)
{
	ssize_t sent;

	if (len == 0) /* would look like the end to the other side */
		return -EINVAL;
	do
		sent = send(fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

ssize_t door_recv(int fd, void *buf, size_t cap)
{
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t got;

	do
		got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? 0 : -errno;
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : got;
}
