/*
 * lock -> open sockets -> become nobody with CAP_NET_ADMIN -> seccomp -> ready
 *      -> { networks: rules, sysctls, device } ...  -> end of the socket: device down, rules away,
 *         sysctls back -> exit, which gives the lock up
 *
 * The parent faces the network and may be taken over; so everything it sends is checked here again,
 * and nothing it sends is text.
 *
 * CAP_NET_ADMIN is for nftables, rtnetlink and writes below /proc/sys/net, which the kernel
 * grants to it whatever the user (net_ctl_permissions).
 */
#include "netconf/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "netconf/link.h"
#include "netconf/rules.h"
#include "netconf/ruleset.h"
#include "netconf/sysctl.h"

/* No execve, no socket, no clone: what libnftables, libmnl and our files under /proc/sys need. */
static const char *const allowed[] = {"brk", "clock_gettime", "clock_nanosleep", "close", "exit",
	"exit_group", "fcntl", "fstat", "futex", "getdents64", "getpid", "getrandom", "getsockname",
	"getsockopt", "gettid", "gettimeofday", "lseek", "madvise", "mmap", "mprotect", "mremap",
	"munmap", "nanosleep", "newfstatat", "openat", "poll", "ppoll", "pselect6", "read",
	"recvfrom", "recvmsg", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"sched_yield", "select", "sendmsg", "sendto", "setsockopt", "sigaltstack", "write",
	"writev"};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Their run-time asks for more than the helper does. */
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct helper {
	int fd, lock;
	const struct netconf_static *conf;
	struct rules *rules;
	struct link_nl *link;
	struct sysctls *sysctls;
	bool ipv6;
};

/* Waits for a helper of an earlier dataplane to finish its clean-up. */
static int lock_take(int *out, const struct netconf_static *conf)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	struct stat st;
	int fd = open(conf->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		int err = -errno;
		log_error("netconf", "lock: %s: not opened, %s", conf->lock_path, strerror(errno));
		return err;
	}
	/* So that a dataplane which is started as that user can open it again; only root can, and
	 * only root needs it. Not what has another name elsewhere: in a folder of that user it may
	 * be a link to a file of root's. */
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		log_warn(
			"netconf", "lock: %s: owner stays, it is no file of ours", conf->lock_path);
	else if (fchown(fd, conf->who.uid, conf->who.gid) != 0)
		log_debug("netconf", "lock: %s: owner stays, %s", conf->lock_path, strerror(errno));

	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += 10) {
		int err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (err != -EBUSY || waited >= HELPER_LOCK_WAIT_MS) {
			log_error("netconf", "lock: %s: not taken, %s", conf->lock_path,
				err == -EBUSY ? "another dataplane runs" : strerror(-err));
			close(fd);
			return err;
		}
		nanosleep(&pause, NULL);
	}
	*out = fd;
	return 0;
}

/* Ctrl-C and a service manager's SIGTERM reach the whole group; the socket alone says when to go.
 */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

static int open_all(struct helper *h)
{
	int err = ruleset_check_static(h->conf);

	if (err != 0)
		log_error("netconf", "settings refused: device name or ports");
	else
		err = lock_take(&h->lock, h->conf);
	if (err == 0)
		err = rules_new(&h->rules);
	if (err == 0)
		err = sysctls_new(&h->sysctls, "/proc/sys/net");
	if (err == 0) {
		err = link_new(&h->link, h->conf->tun);
		if (err != 0)
			log_error(
				"netconf", "%s: no such device, %s", h->conf->tun, strerror(-err));
	}
	if (err != 0)
		return err;
	h->ipv6 = sysctls_have_ipv6(h->sysctls);
	if (!h->ipv6)
		log_warn("netconf", "%s: no IPv6, the kernel has none", h->conf->tun);
	return 0;
}

static int isolate(const struct netconf_static *conf)
{
	int err = isolate_become(&conf->who, UINT64_C(1) << CAP_NET_ADMIN);

	if (err == 0)
		err = isolate_no_dumps();
	if (err == 0 && !SANITIZED)
		err = isolate_syscalls(allowed, ARRAY_SIZE(allowed), 0);
	if (err != 0)
		log_error("netconf", "helper: privileges not given up, %s", strerror(-err));
	return err;
}

/* Rules first: the device is up only behind them. */
static int apply(struct helper *h, struct netconf_networks *w)
{
	if (!h->ipv6)
		w->net6 = (struct ip_prefix){0};
	int err = ruleset_check_networks(w);
	if (err != 0) {
		log_error("netconf", "%s: networks refused, out of bounds", h->conf->tun);
		return err;
	}
	err = rules_apply(h->rules, h->conf, w);
	if (err == 0)
		err = sysctls_apply(h->sysctls, h->conf->tun, w->net6.addr.family != IP_NONE);
	if (err == 0)
		err = link_apply(h->link, w);
	return err;
}

static int answer(int fd, int err)
{
	struct helper_result r = {.error = err};

	return send(fd, &r, sizeof(r), MSG_NOSIGNAL) == (ssize_t)sizeof(r) ? 0 : -EPIPE;
}

/* Until the other end is gone, however it went. */
static void serve(struct helper *h)
{
	for (;;) {
		struct netconf_networks w;
		ssize_t n = recv(h->fd, &w, sizeof(w), MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		int err = n == (ssize_t)sizeof(w) ? apply(h, &w) : -EBADMSG;
		if (answer(h->fd, err) != 0)
			return;
	}
}

_Noreturn void helper_run(int fd, const struct netconf_static *conf)
{
	struct helper h = {.fd = fd, .lock = -1, .conf = conf};

	ignore_signals();
	prctl(PR_SET_NAME, "ireko-netconf");
	/* Above all the TUN and the listening sockets: what we held open would outlive the
	 * dataplane. */
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);

	int err = open_all(&h);
	if (err == 0)
		err = isolate(conf);
	if (answer(fd, err) == 0 && err == 0) {
		serve(&h);
		link_down(h.link);
		rules_remove(h.rules);
		sysctls_restore(h.sysctls);
		log_debug("netconf", "%s: cleaned up", conf->tun);
	}
	_exit(err == 0 ? 0 : 1);
}
