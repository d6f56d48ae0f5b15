/* The file of the first password: new, private, whole or not there. */
#include "controlplane/first_password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char dir[32], path[64], fresh[80];
};

static int setup(void **state)
{
	static struct place p;

	strcpy(p.dir, "/tmp/ireko-first-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/password", p.dir);
	snprintf(p.fresh, sizeof(p.fresh), "%s.new", p.path);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	unlink(p->path);
	unlink(p->fresh);
	return rmdir(p->dir);
}

static void writes_a_new_private_file(void **state)
{
	struct place *p = *state;
	char text[64];
	struct stat st;
	FILE *f;

	umask(0);
	assert_int_equal(first_password_write(p->path, "correct horse"), 0);
	umask(022);
	assert_int_equal(access(p->path, F_OK), -1);
	assert_int_equal(first_password_keep(p->path), 0);
	assert_int_equal(access(p->fresh, F_OK), -1);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	f = fopen(p->path, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	assert_string_equal(text, "correct horse\n");
	assert_null(fgets(text, sizeof(text), f));
	fclose(f);
	/* Not a second time over it. */
	assert_int_equal(first_password_write(p->path, "another"), -EEXIST);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, 14);
	assert_int_equal(first_password_keep(p->path), 0);
}

/* Ended before the user was stored, and after. */
static void what_was_left_is_in_nobodys_way(void **state)
{
	struct place *p = *state;
	struct stat st;

	assert_int_equal(first_password_write(p->path, "the one before"), 0);
	assert_int_equal(first_password_write(p->path, "the next"), 0);
	assert_int_equal(first_password_keep(p->path), 0);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, 9);
	/* Ended when it had both names. */
	assert_int_equal(link(p->path, p->fresh), 0);
	assert_int_equal(first_password_keep(p->path), 0);
	assert_int_equal(access(p->fresh, F_OK), -1);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, 9);
	/* Somebody else's came meanwhile: both stay. */
	assert_int_equal(rename(p->path, p->fresh), 0);
	assert_int_equal(mkdir(p->path, 0700), 0);
	assert_int_equal(first_password_keep(p->path), -EEXIST);
	assert_int_equal(rmdir(p->path), 0);
	assert_int_equal(access(p->fresh, F_OK), 0);
	first_password_drop(p->path);
	assert_int_equal(access(p->fresh, F_OK), -1);
	assert_int_equal(first_password_keep(p->path), 0);
	assert_int_equal(access(p->path, F_OK), -1);
}

static void follows_no_link(void **state)
{
	struct place *p = *state;
	char target[80];

	snprintf(target, sizeof(target), "%s/target", p->dir);
	assert_int_equal(symlink(target, p->path), 0);
	assert_int_equal(first_password_write(p->path, "x"), -EEXIST);
	assert_int_equal(access(target, F_OK), -1);
	snprintf(target, sizeof(target), "%s/no/such", p->dir);
	assert_int_equal(first_password_write(target, "x"), -ENOENT);
}

/* As on a full disk: a part of it can be written. */
static void half_a_password_is_none(void **state)
{
	struct rlimit before, little;
	struct place *p = *state;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	little = (struct rlimit){.rlim_cur = 5, .rlim_max = before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(first_password_write(p->path, "correct horse"), -ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(access(p->path, F_OK), -1);
	assert_int_equal(access(p->fresh, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_a_new_private_file, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_left_is_in_nobodys_way, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_password_is_none, setup, teardown),
	};

	return cmocka_run_group_tests_name("first_password", tests, NULL, NULL);
}
