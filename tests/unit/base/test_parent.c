/* The folder that a file is in. */
#include "base/parent.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void is_folder(const char *path, const char *folder)
{
	struct stat a, b;
	const int fd = parent_open(path);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(stat(folder, &b), 0);
	assert_int_equal(a.st_dev, b.st_dev);
	assert_int_equal(a.st_ino, b.st_ino);
	close(fd);
}

static void what_stands_before_the_last_slash(void **state)
{
	char dir[] = "/tmp/parent-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	is_folder(path, dir);
	assert_int_equal(parent_sync(path), 0);
	is_folder(dir, "/tmp");
	is_folder("/file", "/");
	is_folder("file", ".");
	is_folder("./file", ".");
	rmdir(dir);
}

static void no_such_folder(void **state)
{
	char far[PATH_MAX + 8];

	(void)state;
	assert_int_equal(parent_open("/nowhere/to/be/found"), -ENOENT);
	assert_int_equal(parent_sync("/nowhere/to/be/found"), -ENOENT);
	assert_int_equal(parent_open("/dev/null/file"), -ENOTDIR);
	memset(far, 'a', sizeof(far));
	far[0] = '/';
	far[sizeof(far) - 2] = '/';
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(parent_open(far), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_before_the_last_slash),
		cmocka_unit_test(no_such_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
