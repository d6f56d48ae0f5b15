/*
 * Giving up privilege.
 *
 *   isolate_become:  bounding set -> securebits -> ambient -> groups, gid, uid -> capabilities
 *                    -> no_new_privs -> look whether all of it is true
 *
 * Steps that take a capability which the process does not have are skipped only where there is
 * nothing left to give up: without CAP_SETPCAP nobody can drop the bounding set, but no_new_privs
 * makes it worthless; without CAP_SETGID the groups stay those of whoever started the program, and
 * that passes only when the identity does not change either. The check at the end is not skipped.
 */
#include "base/isolate.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PASSWD_BUF = 16384 };

struct capabilities {
	uint64_t effective, permitted, inheritable;
};

static int capabilities_get(struct capabilities *out)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return -errno;
	out->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	out->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	out->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

/* Exactly these permitted and effective, none inheritable. */
static int capabilities_set(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
		{.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

static bool has(const struct capabilities *c, unsigned cap)
{
	return c->effective >> cap & 1;
}

/* ---- users ---- */

static int parse_id(const char *text, uid_t *out)
{
	uint64_t v = 0;

	if (*text == '\0' || strlen(text) > 10)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
	}
	if (v >= UINT32_MAX) /* (uid_t)-1 means "don't change" */
		return -EINVAL;
	*out = (uid_t)v;
	return 0;
}

int identity_lookup(const char *user, struct identity *out)
{
	char buf[PASSWD_BUF];
	struct passwd entry;
	struct passwd *found = NULL;
	uid_t uid;

	if (parse_id(user, &uid) == 0) {
		/* Containers run as numbers that no file knows: the group has the same one then. */
		if (getpwuid_r(uid, &entry, buf, sizeof(buf), &found) || !found)
			*out = (struct identity){.uid = uid, .gid = uid};
		else
			*out = (struct identity){.uid = uid, .gid = found->pw_gid};
		return 0;
	}
	if (getpwnam_r(user, &entry, buf, sizeof(buf), &found) || !found)
		return -ENOENT;
	*out = (struct identity){.uid = found->pw_uid, .gid = found->pw_gid};
	return 0;
}

/* Real, effective and saved ids are all these. */
static bool identity_is(const struct identity *who)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) || getresgid(&rgid, &egid, &sgid))
		return false;
	return ruid == who->uid && euid == who->uid && suid == who->uid && rgid == who->gid &&
	       egid == who->gid && sgid == who->gid;
}

/* ---- steps ---- */

int isolate_no_dumps(void)
{
	struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none))
		return -errno;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? -errno : 0;
}

int isolate_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

int isolate_raise(void)
{
	struct capabilities had;
	int rc = capabilities_get(&had);

	if (rc || had.effective == had.permitted)
		return rc;
	return capabilities_set(had.permitted);
}

static int drop_bounding_set(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		int present = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (present < 0) /* beyond the kernel's last one */
			return 0;
		if (present && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return -errno;
	}
	return 0;
}

/* User 0 is then an ordinary number, and no capability becomes ambient again. */
static int lock_securebits(void)
{
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	int want = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
		   SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	if (bits < 0)
		return -errno;
	if ((bits & want) == want)
		return 0;
	return prctl(PR_SET_SECUREBITS, (unsigned long)(bits | want), 0, 0, 0) ? -errno : 0;
}

static int change_identity(const struct identity *who)
{
	bool same = identity_is(who);

	if (getgroups(0, NULL) != 0 && setgroups(0, NULL) && !(same && errno == EPERM))
		return -errno;
	if (setresgid(who->gid, who->gid, who->gid))
		return -errno;
	return setresuid(who->uid, who->uid, who->uid) ? -errno : 0;
}

static int verify(const struct identity *who, uint64_t keep)
{
	struct capabilities now;
	int rc = capabilities_get(&now);

	if (rc)
		return rc;
	if (!identity_is(who) || now.effective != keep || now.permitted != keep || now.inheritable)
		return -EPERM;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -EPERM;
}

int isolate_become(const struct identity *who, uint64_t keep)
{
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	struct capabilities had;
	int rc = capabilities_get(&had);

	if (rc)
		return rc;
	if (keep & ~had.permitted)
		return -EPERM;
	if (has(&had, CAP_SETPCAP)) {
		rc = drop_bounding_set();
		if (rc == 0)
			rc = lock_securebits();
	}
	if (rc)
		return rc;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	/* Leaving user 0 would otherwise empty the permitted set before capset can keep anything.
	 */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return -errno;
	rc = change_identity(who);
	if (rc == 0)
		rc = capabilities_set(keep);
	if (rc)
		return rc;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	/* A change of identity may have made the process dumpable again (fs.suid_dumpable). */
	if (dumpable == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return verify(who, keep);
}

/* ---- seccomp ---- */

static int filter_options(scmp_filter_ctx ctx, int log)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0 && log)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	/* A binary tree instead of a chain; libraries that don't know it do without. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return rc;
}

static int filter_allow(scmp_filter_ctx ctx, const char *const *allowed, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int number = seccomp_syscall_resolve_name(allowed[i]);
		int rc;

		if (strcmp(allowed[i], ISOLATE_SNDBUF) == 0)
			rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
				SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET), SCMP_A2(SCMP_CMP_EQ, SO_SNDBUF));
		else if (number < 0) /* those exist on other architectures only */
			continue;
		else
			rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
		if (rc)
			return rc;
	}
	return 0;
}

int isolate_syscalls(const char *const *allowed, size_t n, int log)
{
	scmp_filter_ctx ctx = seccomp_init(log ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS);
	int rc;

	if (!ctx)
		return -ENOMEM;
	rc = filter_options(ctx, log);
	if (rc == 0)
		rc = filter_allow(ctx, allowed, n);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc > 0 ? -ECANCELED : rc;
}

int isolate_allocator(void)
{
	/* Only arenas of other threads are shrunk by way of /proc; the first one has the heap. */
	return mallopt(M_ARENA_MAX, 1) == 1 ? 0 : -EINVAL;
}

int isolate_no_rings(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc;

	if (!ctx)
		return -ENOMEM;
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc > 0 ? -ECANCELED : rc;
}

/* ---- limits ---- */

int isolate_limits(uint64_t nofile)
{
	struct rlimit limit;
	struct rlimit want;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	want = limit;
	if (nofile > limit.rlim_max)
		want.rlim_max = nofile;
	want.rlim_cur = nofile;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		return 0;
	/* Not allowed to go that high: as high as it goes. */
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}
