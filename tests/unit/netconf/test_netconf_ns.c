/* Start, change, end and sudden death, against a real kernel in a namespace of the test. */
#include "netns.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct net {
	int tun, wan;
	struct netconf_static conf;
};

static int setup(void **state)
{
	struct net *n = calloc(1, sizeof(*n));

	*state = n;
	n->wan = netns_enter();
	n->tun = tun_open(TUN);
	n->conf = netns_static();
	return n->wan < 0 || n->tun < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct net *n = *state;

	close(n->tun);
	close(n->wan);
	netns_static_fini(&n->conf);
	free(n);
	return 0;
}

/* ---- what the kernel says ---- */

/* Addresses of the device, each with its length: "10.77.0.1/16 fd00::1/64 ". */
static void addresses_of(const char *device, char *out, size_t cap)
{
	struct ifaddrs *all;
	FILE *f = fmemopen(out, cap, "w");

	out[0] = '\0';
	assert_non_null(f);
	assert_int_equal(getifaddrs(&all), 0);
	for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
		bool v4 = a->ifa_addr != NULL && a->ifa_addr->sa_family == AF_INET;
		bool v6 = a->ifa_addr != NULL && a->ifa_addr->sa_family == AF_INET6;
		char text[INET6_ADDRSTRLEN];

		if (strcmp(a->ifa_name, device) != 0 || (!v4 && !v6))
			continue;
		const void *addr = v4 ? (void *)&((struct sockaddr_in *)a->ifa_addr)->sin_addr
				      : (void *)&((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr;
		const uint8_t *mask =
			v4 ? (void *)&((struct sockaddr_in *)a->ifa_netmask)->sin_addr
			   : (void *)&((struct sockaddr_in6 *)a->ifa_netmask)->sin6_addr;
		int len = 0;
		for (int i = 0; i < (v4 ? 4 : 16); i++)
			len += __builtin_popcount(mask[i]);
		inet_ntop(a->ifa_addr->sa_family, addr, text, sizeof(text));
		fprintf(f, "%s/%d ", text, len);
	}
	freeifaddrs(all);
	fclose(f);
}

static void expect_addresses(const char *device, const char *expected)
{
	char now[512];

	addresses_of(device, now, sizeof(now));
	assert_string_equal(now, expected);
}

static int if_number(const char *device, unsigned long request)
{
	struct ifreq req = {0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device);
	assert_true(s >= 0);
	assert_int_equal(ioctl(s, request, &req), 0);
	close(s);
	return request == SIOCGIFFLAGS ? req.ifr_flags : req.ifr_mtu;
}

static bool is_up(const char *device)
{
	return if_number(device, SIOCGIFFLAGS) & IFF_UP;
}

/* As they were before start. */
static bool kernel_is_clean(void)
{
	char forward4[8], forward6[8], accept_ra[8];

	netns_sysctl("ipv4/ip_forward", forward4, sizeof(forward4));
	netns_sysctl("ipv6/conf/all/forwarding", forward6, sizeof(forward6));
	netns_sysctl("ipv6/conf/wan/accept_ra", accept_ra, sizeof(accept_ra));
	return !table_stands(TUN) && strcmp(forward4, "0") == 0 && strcmp(forward6, "0") == 0 &&
	       strcmp(accept_ra, "1") == 0;
}

/* ---- the helper, as /proc shows it ---- */

/* The one child of that process, 0 when there is none. */
static pid_t child_of(pid_t parent)
{
	DIR *proc = opendir("/proc");
	pid_t found = 0;

	assert_non_null(proc);
	for (struct dirent *e = readdir(proc); e != NULL && found == 0; e = readdir(proc)) {
		char path[64], line[512] = "";
		int pid, ppid;
		char state;

		if (sscanf(e->d_name, "%d", &pid) != 1)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		FILE *f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fgets(line, sizeof(line), f) != NULL && strrchr(line, ')') != NULL &&
			sscanf(strrchr(line, ')') + 1, " %c %d", &state, &ppid) == 2 &&
			ppid == parent)
			found = pid;
		fclose(f);
	}
	closedir(proc);
	return found;
}

static void expect_status(pid_t pid, const char *field, const char *expected)
{
	char path[64], line[256];
	size_t n = strlen(field);

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, field, n) != 0 || line[n] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line + n + 2, expected) != 0)
			fail_msg("%s", line);
		fclose(f);
		return;
	}
	fail_msg("no %s", field);
}

/* Descriptors above stderr, and none of them the TUN. */
static int count_fds(pid_t pid)
{
	char path[64], target[128];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
		if (e->d_name[0] == '.' || atoi(e->d_name) < 3)
			continue;
		ssize_t len = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		assert_true(len > 0);
		target[len] = '\0';
		assert_null(strstr(target, "tun"));
		n++;
	}
	closedir(dir);
	return n;
}

/* ---- tests ---- */

static void start_apply_stop(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	const struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");

	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_true(kernel_is_clean()); /* nothing before it is asked for */
	assert_false(is_up(TUN));

	assert_int_equal(netconf_apply(nc, &w), 0);
	assert_true(table_stands(TUN));
	expect_addresses(TUN, "10.77.0.1/16 fd00:77::1/64 ");
	assert_true(is_up(TUN));
	assert_false(if_number(TUN, SIOCGIFFLAGS) & IFF_MULTICAST);
	assert_int_equal(if_number(TUN, SIOCGIFMTU), 1420);
	assert_in_range(if_number(TUN, SIOCGIFTXQLEN), 1000, 100000);
	expect_sysctl("ipv4/ip_forward", "1");
	expect_sysctl("ipv6/conf/all/forwarding", "1");
	expect_sysctl("ipv6/conf/wan/accept_ra", "2");
	expect_sysctl("ipv4/conf/" TUN "/rp_filter", "1");
	expect_sysctl("ipv4/conf/" TUN "/send_redirects", "0");
	expect_sysctl("ipv6/conf/" TUN "/accept_ra", "0");
	assert_int_equal(netns_run("ip route get 10.77.200.3 | grep -q 'dev " TUN "' && "
				   "ip route get fd00:77::abcd | grep -q 'dev " TUN "'"),
		0);

	netconf_stop(nc);
	assert_true(kernel_is_clean());
	assert_false(is_up(TUN));
}

static void helper_is_confined(void **state)
{
	struct net *n = *state;
	struct netconf *nc;

	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	pid_t helper = child_of(getpid());
	assert_true(helper > 0);
	expect_status(helper, "Name", "ireko-netconf");
	expect_status(helper, "Uid", "65534\t65534\t65534\t65534");
	expect_status(helper, "Gid", "65534\t65534\t65534\t65534");
	expect_status(helper, "Groups", " ");
	expect_status(helper, "CapPrm", "0000000000001000"); /* 1 << CAP_NET_ADMIN */
	expect_status(helper, "CapEff", "0000000000001000");
	expect_status(helper, "CapInh", "0000000000000000");
	expect_status(helper, "CapBnd", "0000000000000000");
	expect_status(helper, "CapAmb", "0000000000000000");
	expect_status(helper, "NoNewPrivs", "1");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	expect_status(helper, "Seccomp", "2");
#endif
	assert_int_equal(count_fds(helper), 4); /* socket, lock, nftables, rtnetlink */
	netconf_stop(nc);
}

static void applies_again(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");

	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_int_equal(netconf_apply(nc, &w), 0);
	assert_int_equal(netconf_apply(nc, &w), 0); /* the same */
	expect_addresses(TUN, "10.77.0.1/16 fd00:77::1/64 ");

	w = netns_networks("10.88.4.0/24", "fd00:88::/112");
	w.mtu = 1300;
	assert_int_equal(netconf_apply(nc, &w), 0);
	expect_addresses(TUN, "10.88.4.1/24 fd00:88::1/112 ");
	assert_int_equal(if_number(TUN, SIOCGIFMTU), 1300);
	char *text = nft_says("list chain inet " TUN " device_source");
	assert_non_null(text);
	assert_non_null(strstr(text, "10.88.4.0/24"));
	assert_null(strstr(text, "10.77."));
	free(text);

	/* An address that somebody added is not ours. */
	assert_int_equal(netns_run("ip addr add 10.99.0.1/24 dev " TUN), 0);
	assert_int_equal(netconf_apply(nc, &w), 0);
	expect_addresses(TUN, "10.88.4.1/24 fd00:88::1/112 ");

	/* One family goes. */
	w.net6 = (struct ip_prefix){0};
	assert_int_equal(netconf_apply(nc, &w), 0);
	expect_addresses(TUN, "10.88.4.1/24 ");
	netconf_stop(nc);
	assert_true(kernel_is_clean());
}

static void bad_networks_change_nothing(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");

	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	struct netconf_networks bad = w;
	bad.net4.len = 0;
	assert_int_equal(netconf_apply(nc, &bad), -EINVAL);
	assert_true(kernel_is_clean());

	assert_int_equal(netconf_apply(nc, &w), 0);
	bad = netns_networks("10.88.0.0/32", "fd00:88::/64");
	assert_int_equal(netconf_apply(nc, &bad), -EINVAL);
	bad = w;
	bad.mtu = 1279;
	assert_int_equal(netconf_apply(nc, &bad), -EINVAL);
	bad = w;
	bad.net6.addr.family = 99;
	assert_int_equal(netconf_apply(nc, &bad), -EINVAL);
	/* Not the size of the message. */
	assert_int_equal(send(netconf_fd(nc), "x", 1, 0), 1);
	int32_t answer = 0;
	assert_int_equal(recv(netconf_fd(nc), &answer, sizeof(answer), 0), sizeof(answer));
	assert_int_equal(answer, -EBADMSG);

	expect_addresses(TUN, "10.77.0.1/16 fd00:77::1/64 ");
	assert_true(table_stands(TUN));
	assert_int_equal(netconf_apply(nc, &w), 0);
	netconf_stop(nc);
}

static void bad_settings_do_not_start(void **state)
{
	struct net *n = *state;
	struct netconf *nc = NULL;
	struct netconf_static conf = n->conf;

	snprintf(conf.tun, sizeof(conf.tun), "x;flush");
	assert_int_equal(netconf_start(&nc, &conf), -EINVAL);
	snprintf(conf.tun, sizeof(conf.tun), "nosuch");
	assert_int_equal(netconf_start(&nc, &conf), -ENODEV);
	conf = n->conf;
	conf.ports[1] = 0;
	assert_int_equal(netconf_start(&nc, &conf), -EINVAL);
	conf = n->conf;
	snprintf(conf.lock_path, sizeof(conf.lock_path), "/nonexistent/lock");
	assert_int_equal(netconf_start(&nc, &conf), -ENOENT);
	/* A link in the place of the lock is not followed. */
	snprintf(conf.lock_path, sizeof(conf.lock_path), "/tmp/test_netconf.%d.link", getpid());
	assert_int_equal(symlink("/etc/passwd", conf.lock_path), 0);
	assert_int_equal(netconf_start(&nc, &conf), -ELOOP);
	unlink(conf.lock_path);
	assert_null(nc);
	assert_int_equal(child_of(getpid()), 0);
	assert_true(kernel_is_clean());
}

static void leftover_table_is_replaced(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	const struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");

	free(nft_says("add table inet " TUN "; add chain inet " TUN " stale"));
	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_int_equal(netconf_apply(nc, &w), 0);
	assert_true(table_stands(TUN));
	char *text = nft_says("list chain inet " TUN " stale");
	assert_null(text);
	netconf_stop(nc);
	assert_true(kernel_is_clean());
}

/* Somebody else owns a table of that name: no rules, so no device either. */
static void without_rules_no_device(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	const struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");
	struct nft_ctx *owner = nft_ctx_new(NFT_CTX_DEFAULT);

	assert_non_null(owner);
	assert_int_equal(
		nft_run_cmd_from_buffer(owner, "table inet " TUN " {\n\tflags owner\n}\n"), 0);
	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_int_equal(netconf_apply(nc, &w), -EPROTO);
	assert_false(is_up(TUN));
	expect_sysctl("ipv4/ip_forward", "0");
	/* The owner goes, and the same helper goes on. */
	nft_ctx_free(owner);
	assert_int_equal(netconf_apply(nc, &w), 0);
	assert_true(table_stands(TUN));
	netconf_stop(nc);
	assert_true(kernel_is_clean());
}

/* Ctrl-C goes to the whole group, and the helper has still to clean up. */
static void signals_do_not_end_it(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	const struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	pid_t helper = child_of(getpid());
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		assert_int_equal(kill(helper, signals[i]), 0);
	assert_int_equal(netconf_apply(nc, &w), 0);
	assert_true(table_stands(TUN));
	netconf_stop(nc);
	assert_true(kernel_is_clean());
}

static void death_of_the_helper_is_seen(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	const struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");
	struct pollfd p = {.events = POLLIN};

	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_int_equal(netconf_apply(nc, &w), 0);
	p.fd = netconf_fd(nc);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(kill(child_of(getpid()), SIGKILL), 0);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(netconf_apply(nc, &w), -EPIPE);
	netconf_stop(nc);
	/* The table goes with its owner; a next start finds its way. */
	assert_false(table_stands(TUN));
	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_int_equal(netconf_apply(nc, &w), 0);
	netconf_stop(nc);
}

/* The dataplane in miniature: holds the TUN, applies, says so, waits to be killed. */
static pid_t fork_dataplane(const struct net *n, int *ready)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct netconf *nc;
		const struct netconf_networks w = netns_networks("10.77.0.0/16", "fd00:77::/64");
		int tun = tun_open(TUN);
		char err = (char)(tun < 0 || netconf_start(&nc, &n->conf) != 0 ||
				  netconf_apply(nc, &w) != 0);

		if (write(fds[1], &err, 1) == 1 && err == 0)
			pause();
		_exit(1);
	}
	close(fds[1]);
	*ready = fds[0];
	return pid;
}

static void expect_ready(int ready)
{
	struct pollfd p = {.fd = ready, .events = POLLIN};
	char err = 1;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(read(ready, &err, 1), 1);
	assert_int_equal(err, 0);
	close(ready);
}

static void kill_and_reap(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void killed_dataplane_leaves_nothing(void **state)
{
	struct net *n = *state;
	int ready;

	close(n->tun); /* the child has its own */
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork_dataplane(n, &ready);
		expect_ready(ready);
		assert_true(table_stands(TUN));
		assert_false(kernel_is_clean());
		kill_and_reap(pid);
		wait_until(kernel_is_clean());
		wait_until(if_nametoindex(TUN) == 0);
	}
	n->tun = tun_open(TUN);
}

/* Killed and started again at once, the second never meets the first one's clean-up. */
static void restart_waits_for_clean_up(void **state)
{
	struct net *n = *state;
	int ready;

	close(n->tun);
	pid_t pid = fork_dataplane(n, &ready);
	expect_ready(ready);
	for (int i = 0; i < 10; i++) {
		kill_and_reap(pid);
		pid = fork_dataplane(n, &ready);
		expect_ready(ready);
		assert_true(table_stands(TUN));
		assert_true(is_up(TUN));
		expect_sysctl("ipv4/ip_forward", "1");
		expect_sysctl("ipv6/conf/all/forwarding", "1");
	}
	kill_and_reap(pid);
	wait_until(kernel_is_clean());
	n->tun = tun_open(TUN);
}

/* While one lives, another one gets nowhere; then it does. */
static void lock_serialises(void **state)
{
	struct net *n = *state;
	struct netconf *nc, *second = NULL;
	int fds[2];
	char byte;

	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_int_equal(netconf_start(&second, &n->conf), -EBUSY); /* after its 5 s */
	assert_null(second);

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int err = netconf_start(&second, &n->conf);
		byte = (char)-err;
		_exit(write(fds[1], &byte, 1) != 1);
	}
	wait_until(child_of(pid) != 0); /* its helper stands at the lock */
	assert_int_equal(read(fds[0], &byte, 1), -1);
	netconf_stop(nc);
	struct pollfd p = {.fd = fds[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(fds[0]);
	close(fds[1]);
}

/* In a folder of the helper's user the lock may be a second name of somebody else's file. */
static void foreign_lock_keeps_its_owner(void **state)
{
	struct net *n = *state;
	struct netconf *nc;
	struct stat st;
	char other[sizeof(n->conf.lock_path) + 8];

	snprintf(other, sizeof(other), "%s.other", n->conf.lock_path);
	int fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(link(other, n->conf.lock_path), 0);
	assert_int_equal(netconf_start(&nc, &n->conf), 0);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	netconf_stop(nc);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(unlink(n->conf.lock_path), 0);

	assert_int_equal(netconf_start(&nc, &n->conf), 0); /* one of our own is given away */
	assert_int_equal(stat(n->conf.lock_path, &st), 0);
	assert_int_equal(st.st_uid, n->conf.who.uid);
	netconf_stop(nc);
}

#define each(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		each(start_apply_stop),
		each(helper_is_confined),
		each(applies_again),
		each(bad_networks_change_nothing),
		each(bad_settings_do_not_start),
		each(leftover_table_is_replaced),
		each(without_rules_no_device),
		each(signals_do_not_end_it),
		each(death_of_the_helper_is_seen),
		each(killed_dataplane_leaves_nothing),
		each(restart_waits_for_clean_up),
		each(lock_serialises),
		each(foreign_lock_keeps_its_owner),
	};

	return cmocka_run_group_tests_name("netconf/netconf", tests, NULL, NULL);
}
