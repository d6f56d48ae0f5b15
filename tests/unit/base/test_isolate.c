/*
 * Isolation, each case in a child of its own, because nothing of it can be undone. Cases that begin
 * as root are skipped when the tests do not run as root.
 */
#include "base/isolate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static const struct identity nobody = {.uid = 65534, .gid = 65533};

enum { PASSED = 0, SKIPPED = 77 };

/* Runs body in a child; its exit code, or 1000 + the signal. */
static int in_child(int (*body)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void assert_child(int (*body)(void), int expected)
{
	int code = in_child(body);

	if (code == SKIPPED)
		skip();
	assert_int_equal(code, expected);
}

/* In a child: says which line is not true and gives up. */
#define EXPECT(x)                                                                                  \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			dprintf(STDERR_FILENO, "%s:%d: %s\n", __FILE__, __LINE__, #x);             \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* The line of /proc/self/status that begins with key, as a hexadecimal number. Not /proc of a
 * thread: capabilities are looked at in the main one. */
static uint64_t status_of(const char *key)
{
	FILE *f = fopen("/proc/thread-self/status", "re");
	uint64_t value = UINT64_MAX;
	char line[256];

	EXPECT(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key) + 1, NULL, 16);
	}
	fclose(f);
	return value;
}

/* Leaves only these capabilities, as a container's runtime would. */
static void limit_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{(uint32_t)keep, (uint32_t)keep, 0},
		{(uint32_t)(keep >> 32), (uint32_t)(keep >> 32), 0}};

	EXPECT(syscall(SYS_capset, &header, data) == 0);
}

static void expect_became(const struct identity *who, uint64_t keep)
{
	EXPECT(getuid() == who->uid && geteuid() == who->uid);
	EXPECT(getgid() == who->gid && getegid() == who->gid);
	EXPECT(status_of("CapPrm:") == keep && status_of("CapEff:") == keep);
	EXPECT(status_of("CapInh:") == 0 && status_of("CapAmb:") == 0);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	EXPECT(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0);
	if (who->uid != 0)
		EXPECT(setresuid(0, 0, 0) < 0 && errno == EPERM);
}

static int root_to_nobody(void)
{
	if (geteuid() != 0)
		return SKIPPED;
	EXPECT(isolate_become(&nobody, 0) == 0);
	expect_became(&nobody, 0);
	EXPECT(status_of("CapBnd:") == 0);
	EXPECT(getgroups(0, NULL) == 0);
	EXPECT(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & SECBIT_NOROOT_LOCKED);
	/* Once more, now without any privilege: nothing to do and nothing wrong. */
	EXPECT(isolate_become(&nobody, 0) == 0);
	EXPECT(isolate_become(&(struct identity){0, 0}, 0) == -EPERM);
	EXPECT(isolate_become(&nobody, 1ull << CAP_NET_ADMIN) == -EPERM);
	return PASSED;
}

static int root_keeps_net_admin(void)
{
	uint64_t keep = 1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW;

	if (geteuid() != 0)
		return SKIPPED;
	EXPECT(setgroups(2, (const gid_t[]){1, 2}) == 0);
	EXPECT(isolate_become(&nobody, keep) == 0);
	expect_became(&nobody, keep);
	EXPECT(getgroups(0, NULL) == 0);
	EXPECT(isolate_become(&nobody, 1ull << CAP_NET_ADMIN) == 0);
	expect_became(&nobody, 1ull << CAP_NET_ADMIN);
	return PASSED;
}

/* Capabilities above 31 are in the second word. */
static int root_keeps_a_high_one(void)
{
	uint64_t keep = 1ull << CAP_SYSLOG;

	if (geteuid() != 0)
		return SKIPPED;
	EXPECT(isolate_become(&nobody, keep) == 0);
	expect_became(&nobody, keep);
	return PASSED;
}

static int root_stays_root(void)
{
	if (geteuid() != 0)
		return SKIPPED;
	EXPECT(isolate_become(&(struct identity){0, 0}, 0) == 0);
	expect_became(&(struct identity){0, 0}, 0);
	return PASSED;
}

static int container_root_without_setpcap(void)
{
	uint64_t keep = 1ull << CAP_NET_ADMIN;

	if (geteuid() != 0)
		return SKIPPED;
	limit_capabilities(keep | 1ull << CAP_SETUID | 1ull << CAP_SETGID);
	EXPECT(isolate_become(&nobody, keep) == 0);
	expect_became(&nobody, keep);
	return PASSED;
}

static int container_root_without_anything(void)
{
	if (geteuid() != 0)
		return SKIPPED;
	EXPECT(setgroups(1, (const gid_t[]){7}) == 0);
	limit_capabilities(0);
	EXPECT(isolate_become(&nobody, 0) == -EPERM);
	EXPECT(isolate_become(&(struct identity){0, 0}, 0) == 0);
	expect_became(&(struct identity){0, 0}, 0);
	return PASSED;
}

/* Groups that can't be given up while the identity changes are an error, not a shrug. */
static int groups_must_go(void)
{
	if (geteuid() != 0)
		return SKIPPED;
	EXPECT(setgroups(1, (const gid_t[]){7}) == 0);
	limit_capabilities(1ull << CAP_SETUID);
	EXPECT(isolate_become(&(struct identity){65534, 0}, 0) == -EPERM);
	return PASSED;
}

static int unprivileged_stays(void)
{
	struct identity me;

	if (geteuid() == 0)
		EXPECT(setgroups(1, (const gid_t[]){7}) == 0 && setresgid(5, 5, 5) == 0 &&
			setresuid(5, 5, 5) == 0);
	me = (struct identity){.uid = getuid(), .gid = getgid()};
	EXPECT(isolate_become(&me, 0) == 0);
	expect_became(&me, 0);
	EXPECT(isolate_become(&(struct identity){me.uid + 1, me.gid}, 0) == -EPERM);
	EXPECT(isolate_become(&(struct identity){me.uid, me.gid + 1}, 0) == -EPERM);
	return PASSED;
}

static int no_dumps_stays_over_become(void)
{
	struct rlimit core;
	struct identity me = {.uid = getuid(), .gid = getgid()};

	EXPECT(isolate_no_dumps() == 0);
	EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	EXPECT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
	EXPECT(isolate_become(getuid() == 0 ? &nobody : &me, 0) == 0);
	EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	return PASSED;
}

#define CHILD_TEST(body)                                                                           \
	static void test_##body(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		assert_child(body, PASSED);                                                        \
	}
CHILD_TEST(root_to_nobody)
CHILD_TEST(root_keeps_net_admin)
CHILD_TEST(root_keeps_a_high_one)
CHILD_TEST(root_stays_root)
CHILD_TEST(container_root_without_setpcap)
CHILD_TEST(container_root_without_anything)
CHILD_TEST(groups_must_go)
CHILD_TEST(unprivileged_stays)
CHILD_TEST(no_dumps_stays_over_become)

/* ---- seccomp ---- */

static const char *const few[] = {"exit", "exit_group", "write", "getpid", "futex", "munmap",
	"mprotect", "madvise", "rt_sigprocmask", "no_such_call", "rseq", "sigaltstack",
	"clock_gettime", ISOLATE_SNDBUF};

static int allowed_call(void)
{
	EXPECT(isolate_syscalls(few, ARRAY_SIZE(few), 0) == 0);
	return syscall(SYS_getpid) > 0 ? PASSED : 1;
}

static int forbidden_call(void)
{
	EXPECT(isolate_syscalls(few, ARRAY_SIZE(few), 0) == 0);
	syscall(SYS_getppid);
	return PASSED;
}

/* One option of sockets, and no other, whichever level has one of that number. */
static int socket_option(int level, int option)
{
	const int room = 1 << 16;
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	EXPECT(fd >= 0);
	EXPECT(isolate_syscalls(few, ARRAY_SIZE(few), 0) == 0);
	return setsockopt(fd, level, option, &room, sizeof(room)) == 0 ? PASSED : 1;
}

static int allowed_option(void)
{
	return socket_option(SOL_SOCKET, SO_SNDBUF);
}

static int forbidden_option(void)
{
	return socket_option(SOL_SOCKET, SO_RCVBUF);
}

static int forbidden_level(void)
{
	return socket_option(SOL_SOCKET + 1, SO_SNDBUF);
}

static int forbidden_exec(void)
{
	EXPECT(isolate_syscalls(few, ARRAY_SIZE(few), 0) == 0);
	execl("/bin/true", "true", NULL);
	return PASSED;
}

/* The first line that a process logs may come long after it gave up opening files. */
static int first_log_line(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	EXPECT(null >= 0 && dup2(null, STDERR_FILENO) == STDERR_FILENO);
	EXPECT(isolate_syscalls(few, ARRAY_SIZE(few), 0) == 0);
	log_error("test", "%s", strerror(ENOENT));
	return PASSED;
}

static int learning_mode(void)
{
	EXPECT(isolate_syscalls(few, ARRAY_SIZE(few), 1) == 0);
	return syscall(SYS_getppid) < 0 && errno == EPERM ? PASSED : 1;
}

static int go[2], begun[2];

static void *other_thread(void *arg)
{
	char c;

	/* Blocks in a call that was begun before the filter stood; the next one meets it. */
	if (read(go[0], &c, 1) == 1)
		syscall(SYS_getppid);
	return arg;
}

static int filter_holds_for_all_threads(void)
{
	pthread_t t;

	EXPECT(pipe(go) == 0);
	EXPECT(pthread_create(&t, NULL, other_thread, NULL) == 0);
	EXPECT(isolate_syscalls(few, ARRAY_SIZE(few), 0) == 0);
	EXPECT(write(go[1], "x", 1) == 1);
	pthread_join(t, NULL);
	return PASSED;
}

static void test_syscalls(void **state)
{
	(void)state;
	assert_child(allowed_call, PASSED);
	assert_child(first_log_line, PASSED);
	assert_child(forbidden_call, 1000 + SIGSYS);
	assert_child(forbidden_exec, 1000 + SIGSYS);
	assert_child(allowed_option, PASSED);
	assert_child(forbidden_option, 1000 + SIGSYS);
	assert_child(forbidden_level, 1000 + SIGSYS);
	assert_child(filter_holds_for_all_threads, 1000 + SIGSYS);
}

/* What gives memory back under a filter that knows no open. */
static void *give_back(void *arg)
{
	enum { N = 8, SIZE = 120 << 10 };
	char c;

	/* Setting up a thread takes calls that the filter does not know. */
	if (write(begun[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
		return NULL;
	for (int round = 0; round < 20; round++) {
		void *p[N];

		for (int i = 0; i < N; i++) {
			p[i] = malloc(SIZE);
			if (p[i])
				memset(p[i], round, SIZE);
		}
		for (int i = 0; i < N; i++)
			free(p[i]);
	}
	return arg;
}

static int memory_under_a_filter(bool prepared)
{
	static const char *const calls[] = {"read", "write", "futex", "brk", "mmap", "munmap",
		"mprotect", "mremap", "madvise", "sched_getaffinity", "getrandom", "rt_sigprocmask",
		"exit", "exit_group"};
	pthread_t t;
	char c;

	EXPECT(!prepared || isolate_allocator() == 0);
	EXPECT(pipe(go) == 0 && pipe(begun) == 0);
	EXPECT(pthread_create(&t, NULL, give_back, go) == 0);
	EXPECT(read(begun[0], &c, 1) == 1);
	EXPECT(isolate_syscalls(calls, ARRAY_SIZE(calls), 0) == 0);
	EXPECT(write(go[1], "x", 1) == 1);
	pthread_join(t, NULL);
	return PASSED;
}

static int prepared_memory(void)
{
	return memory_under_a_filter(true);
}

static int unprepared_memory(void)
{
	return memory_under_a_filter(false);
}

static void test_allocator(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* theirs is another one */
#endif
	assert_child(prepared_memory, PASSED);
	/* What it is for; when this changes, it can go. */
	assert_child(unprepared_memory, 1000 + SIGSYS);
}

static void test_syscalls_learning(void **state)
{
	(void)state;
	assert_child(learning_mode, PASSED);
}

/* ---- users and limits ---- */

static void test_identity_lookup(void **state)
{
	struct identity id = {1, 1};

	(void)state;
	assert_int_equal(identity_lookup("root", &id), 0);
	assert_int_equal(id.uid | id.gid, 0);
	assert_int_equal(identity_lookup("0", &id), 0);
	assert_int_equal(id.uid | id.gid, 0);
	assert_int_equal(identity_lookup("54321", &id), 0);
	assert_int_equal(id.uid, 54321);
	assert_int_equal(id.gid, 54321);
	assert_int_equal(identity_lookup("no-such-user", &id), -ENOENT);
	assert_int_equal(identity_lookup("", &id), -ENOENT);
	assert_int_equal(identity_lookup("-1", &id), -ENOENT);
	assert_int_equal(identity_lookup("4294967295", &id), -ENOENT);
	assert_int_equal(identity_lookup("4294967296", &id), -ENOENT);
	assert_int_equal(identity_lookup("18446744073709551616", &id), -ENOENT);
	assert_int_equal(id.uid, 54321);
}

/* As a program is whose file has permitted capabilities, started by a user. */
static int raises_what_is_permitted(void)
{
	const uint64_t keep = 1ull << CAP_NET_ADMIN | 1ull << CAP_SYSLOG;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.permitted = (uint32_t)keep}, {.permitted = (uint32_t)(keep >> 32)}};

	if (geteuid() != 0)
		return SKIPPED;
	EXPECT(isolate_become(&nobody, keep) == 0);
	EXPECT(syscall(SYS_capset, &header, data) == 0);
	EXPECT(status_of("CapEff:") == 0 && status_of("CapPrm:") == keep);
	EXPECT(isolate_raise() == 0);
	expect_became(&nobody, keep);
	return PASSED;
}
CHILD_TEST(raises_what_is_permitted)

static int nothing_new_by_exec(void)
{
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	EXPECT(isolate_no_new_privs() == 0);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	/* Twice is nothing new, and nothing permitted is nothing raised. */
	EXPECT(isolate_no_new_privs() == 0);
	limit_capabilities(0);
	EXPECT(isolate_raise() == 0);
	EXPECT(status_of("CapEff:") == 0);
	return PASSED;
}
CHILD_TEST(nothing_new_by_exec)

static int limits(void)
{
	struct rlimit before, after;

	EXPECT(isolate_limits(64) == 0);
	EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0 && before.rlim_cur == 64);
	if (geteuid() == 0)
		EXPECT(setresuid(5, 5, 5) == 0);
	/* More than allowed: as many as allowed. */
	EXPECT(isolate_limits(before.rlim_max + 1) == 0);
	EXPECT(getrlimit(RLIMIT_NOFILE, &after) == 0);
	EXPECT(after.rlim_cur == before.rlim_max && after.rlim_max == before.rlim_max);
	return PASSED;
}
CHILD_TEST(limits)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root_to_nobody),
		cmocka_unit_test(test_root_keeps_net_admin),
		cmocka_unit_test(test_root_keeps_a_high_one),
		cmocka_unit_test(test_root_stays_root),
		cmocka_unit_test(test_container_root_without_setpcap),
		cmocka_unit_test(test_container_root_without_anything),
		cmocka_unit_test(test_groups_must_go),
		cmocka_unit_test(test_unprivileged_stays),
		cmocka_unit_test(test_no_dumps_stays_over_become),
		cmocka_unit_test(test_syscalls),
		cmocka_unit_test(test_allocator),
		cmocka_unit_test(test_syscalls_learning),
		cmocka_unit_test(test_identity_lookup),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_raises_what_is_permitted),
		cmocka_unit_test(test_nothing_new_by_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
