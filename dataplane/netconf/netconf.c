/* The dataplane's half: forks the helper, asks, waits. No privilege is needed after the fork. */
#include "netconf/netconf.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "netconf/helper.h"

struct netconf {
	int fd;
	pid_t pid;
};

/* Returns: 0 or -errno as the helper says it, -EPIPE when it is gone, -ETIMEDOUT. */
static int await_result(const struct netconf *n, int timeout_ms)
{
	const struct clock clock = clock_system();
	const uint64_t deadline = clock_mono_ms(&clock) + (uint64_t)timeout_ms;
	struct pollfd p = {.fd = n->fd, .events = POLLIN};
	struct helper_result r;

	for (;;) {
		uint64_t now = clock_mono_ms(&clock);
		int ready = poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0)
			return -errno;
		if (ready == 0)
			return -ETIMEDOUT;
		ssize_t got = recv(n->fd, &r, sizeof(r), MSG_TRUNC);
		if (got < 0 && errno == EINTR)
			continue;
		return got == (ssize_t)sizeof(r) ? r.error : -EPIPE;
	}
}

int netconf_start(struct netconf **out, const struct netconf_static *conf)
{
	int fds[2];
	struct netconf *n = calloc(1, sizeof(*n));
	if (n == NULL)
		return -ENOMEM;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
		int err = -errno;
		free(n);
		return err;
	}
	n->fd = fds[0];
	n->pid = fork();
	if (n->pid == 0)
		helper_run(fds[1], conf);
	close(fds[1]);
	if (n->pid < 0) {
		int err = -errno;
		close(n->fd);
		free(n);
		return err;
	}

	int err = await_result(n, HELPER_LOCK_WAIT_MS + HELPER_ANSWER_MS);
	if (err != 0) {
		netconf_stop(n);
		return err;
	}
	*out = n;
	return 0;
}

int netconf_apply(struct netconf *n, const struct netconf_networks *w)
{
	if (send(n->fd, w, sizeof(*w), MSG_NOSIGNAL) != (ssize_t)sizeof(*w))
		return -EPIPE;

	int err = await_result(n, HELPER_ANSWER_MS);
	/* An answer that comes later would be taken for the next one's: no more of them. */
	if (err == -ETIMEDOUT) {
		log_error("netconf", "helper: no answer within %d ms", HELPER_ANSWER_MS);
		shutdown(n->fd, SHUT_RDWR);
	}
	return err;
}

int netconf_fd(const struct netconf *n)
{
	return n->fd;
}

void netconf_stop(struct netconf *n)
{
	if (n == NULL)
		return;
	/* Also when a forked copy of this process still holds the descriptor. */
	shutdown(n->fd, SHUT_RDWR);
	close(n->fd);
	while (waitpid(n->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(n);
}
