/* The lock, and files that are ours or refused. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "db/folder.h"
#include "tests/unit/db/dbtest.h"

static void the_lock_is_of_one_process(void **state)
{
	char dir[64], why[128];
	int fd, status;
	pid_t pid;

	(void)state;
	dir_make(dir);
	assert_int_equal(folder_lock(dir, &fd, why), 0);
	pid = fork();
	if (pid == 0) {
		int other = 7;

		_exit(folder_lock(dir, &other, why) == -EBUSY && other == -1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	assert_int_equal(folder_lock(dir, &fd, why), 0);
	close(fd);
	dir_remove(dir);
	assert_true(folder_lock(dir, &fd, why) < 0);
	assert_int_equal(fd, -1);
}

static void files_are_ours_or_refused(void **state)
{
	char dir[64], path[128];
	struct stat st;
	int64_t size;
	int fd;

	(void)state;
	dir_make(dir);
	snprintf(path, sizeof(path), "%s/other", dir);
	assert_int_equal(folder_own_file(path, 0, &size), -ENOENT);
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
	assert_int_equal(folder_own_file(path, 0, &size), 0);
	assert_int_equal(size, 3);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(folder_own_file(path, 0, &size), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(folder_own_file(path, 0, &size), -EINVAL);
	dir_remove(dir);
}

static void a_database_goes_with_what_is_beside_it(void **state)
{
	static const char *const names[] = {
		"ireko.db", "ireko.db-wal", "ireko.db-shm", "ireko.db-journal"};
	char dir[64], path[128];

	(void)state;
	dir_make(dir);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		close(open(path, O_WRONLY | O_CREAT, 0600));
	}
	snprintf(path, sizeof(path), "%s/ireko.db", dir);
	folder_remove(path);
	assert_int_equal(folder_sync(dir), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(folder_sync(dir), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lock_is_of_one_process),
		cmocka_unit_test(files_are_ours_or_refused),
		cmocka_unit_test(a_database_goes_with_what_is_beside_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
