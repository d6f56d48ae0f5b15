/* Switches of a made-up kernel: a folder that looks like /proc/sys/net. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "netconf/sysctl.h"

struct kernel {
	char root[64];
	struct sysctls *sysctls;
};

static void set(const struct kernel *k, const char *key, const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", k->root, key);
	for (char *slash = strchr(path + strlen(k->root) + 1, '/'); slash != NULL;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fprintf(f, "%s\n", value) > 0);
	assert_int_equal(fclose(f), 0);
}

static void expect_key(const struct kernel *k, const char *key, const char *value)
{
	char path[256], now[16] = "";

	snprintf(path, sizeof(path), "%s/%s", k->root, key);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(now, sizeof(now), f));
	fclose(f);
	now[strcspn(now, "\n")] = '\0';
	if (strcmp(now, value) != 0)
		fail_msg("%s is %s, not %s", key, now, value);
}

static int setup(void **state)
{
	struct kernel *k = calloc(1, sizeof(*k));
	static const char *const keys[] = {"ipv4/conf/all/accept_redirects",
		"ipv4/conf/all/forwarding", "ipv4/conf/default/forwarding",
		"ipv4/conf/eth0/forwarding", "ipv4/conf/br0/forwarding",
		"ipv6/conf/default/forwarding", "ipv6/conf/eth0/forwarding",
		"ipv6/conf/br0/forwarding", "ipv6/conf/tun/disable_ipv6"};

	snprintf(k->root, sizeof(k->root), "/tmp/test_sysctl.XXXXXX");
	if (mkdtemp(k->root) == NULL)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		set(k, keys[i], "0");
	set(k, "ipv4/ip_forward", "0");
	set(k, "ipv6/conf/all/forwarding", "0");
	set(k, "ipv4/conf/tun/rp_filter", "0");
	set(k, "ipv6/conf/eth0/accept_ra", "1");
	set(k, "ipv6/conf/br0/accept_ra", "0");
	set(k, "ipv6/conf/lo/accept_ra", "1");
	set(k, "ipv6/conf/default/accept_ra", "1");
	set(k, "ipv6/conf/tun/accept_ra", "1");
	*state = k;
	return sysctls_new(&k->sysctls, k->root);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct kernel *k = *state;

	sysctls_free(k->sysctls);
	nftw(k->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(k);
	return 0;
}

static void sets_and_gives_back(void **state)
{
	struct kernel *k = *state;

	assert_true(sysctls_have_ipv6(k->sysctls));
	assert_int_equal(sysctls_apply(k->sysctls, "tun", true), 0);
	expect_key(k, "ipv4/ip_forward", "1");
	expect_key(k, "ipv6/conf/all/forwarding", "1");
	expect_key(k, "ipv4/conf/tun/rp_filter", "1");
	expect_key(k, "ipv6/conf/tun/accept_ra", "0");
	expect_key(k, "ipv6/conf/eth0/accept_ra", "2");
	expect_key(k, "ipv6/conf/br0/accept_ra", "0");
	expect_key(k, "ipv6/conf/lo/accept_ra", "1");
	expect_key(k, "ipv6/conf/default/accept_ra", "1");

	assert_int_equal(sysctls_apply(k->sysctls, "tun", true), 0); /* twice is once */
	sysctls_restore(k->sysctls);
	expect_key(k, "ipv4/ip_forward", "0");
	expect_key(k, "ipv6/conf/all/forwarding", "0");
	expect_key(k, "ipv6/conf/eth0/accept_ra", "1");
}

/* The real kernel copies the switch to every interface and flips accept_redirects; here by hand. */
static void gives_back_what_the_kernel_overwrites(void **state)
{
	struct kernel *k = *state;

	set(k, "ipv4/conf/br0/forwarding", "1");
	set(k, "ipv6/conf/br0/forwarding", "1");
	assert_int_equal(sysctls_apply(k->sysctls, "tun", true), 0);
	set(k, "ipv4/conf/all/accept_redirects", "1");
	set(k, "ipv4/conf/br0/forwarding", "0");
	set(k, "ipv6/conf/br0/forwarding", "0");
	sysctls_restore(k->sysctls);
	expect_key(k, "ipv4/conf/all/accept_redirects", "0");
	expect_key(k, "ipv4/conf/br0/forwarding", "1");
	expect_key(k, "ipv6/conf/br0/forwarding", "1");
	expect_key(k, "ipv4/conf/eth0/forwarding", "0");
}

static void leaves_what_stood_before(void **state)
{
	struct kernel *k = *state;

	set(k, "ipv4/ip_forward", "1");
	set(k, "ipv6/conf/all/forwarding", "1");
	assert_int_equal(sysctls_apply(k->sysctls, "tun", true), 0);
	/* It forwarded already, so its accept_ra=1 is somebody's decision. */
	expect_key(k, "ipv6/conf/eth0/accept_ra", "1");
	sysctls_restore(k->sysctls);
	expect_key(k, "ipv4/ip_forward", "1");
	expect_key(k, "ipv6/conf/all/forwarding", "1");
}

static void leaves_what_somebody_changed_since(void **state)
{
	struct kernel *k = *state;

	assert_int_equal(sysctls_apply(k->sysctls, "tun", true), 0);
	set(k, "ipv6/conf/eth0/accept_ra", "0");
	sysctls_restore(k->sysctls);
	expect_key(k, "ipv6/conf/eth0/accept_ra", "0");
}

static void interfaces_may_go(void **state)
{
	struct kernel *k = *state;
	char path[128];

	assert_int_equal(sysctls_apply(k->sysctls, "tun", true), 0);
	snprintf(path, sizeof(path), "%s/ipv6/conf/eth0/accept_ra", k->root);
	assert_int_equal(unlink(path), 0);
	sysctls_restore(k->sysctls);
	expect_key(k, "ipv4/ip_forward", "0");
}

static void ipv4_alone_touches_no_ipv6(void **state)
{
	struct kernel *k = *state;

	assert_int_equal(sysctls_apply(k->sysctls, "tun", false), 0);
	expect_key(k, "ipv4/ip_forward", "1");
	expect_key(k, "ipv6/conf/all/forwarding", "0");
	expect_key(k, "ipv6/conf/eth0/accept_ra", "1");
}

static void missing_switches_are_errors(void **state)
{
	struct kernel *k = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/ipv6/conf/all/forwarding", k->root);
	assert_int_equal(unlink(path), 0);
	assert_false(sysctls_have_ipv6(k->sysctls));
	assert_int_equal(sysctls_apply(k->sysctls, "tun", true), -ENOENT);
	snprintf(path, sizeof(path), "%s/ipv4/ip_forward", k->root);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sysctls_apply(k->sysctls, "tun", false), -ENOENT);
}

#define each(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		each(sets_and_gives_back),
		each(gives_back_what_the_kernel_overwrites),
		each(leaves_what_stood_before),
		each(leaves_what_somebody_changed_since),
		each(interfaces_may_go),
		each(ipv4_alone_touches_no_ipv6),
		each(missing_switches_are_errors),
	};

	return cmocka_run_group_tests_name("netconf/sysctl", tests, NULL, NULL);
}
