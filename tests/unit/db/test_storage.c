/* What the files stand on: deleted, replaced, read-only, full. */
#include "db/storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char dir[32], path[64], log[64], other[64];
	struct storage s;
};

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->dir, "/tmp/ireko-storage-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/x.db", p->dir);
	snprintf(p->log, sizeof(p->log), "%s/x.db-wal", p->dir);
	snprintf(p->other, sizeof(p->other), "%s/other", p->dir);
	touch(p->path);
	touch(p->log);
	assert_int_equal(storage_note(&p->s, p->path), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	storage_fini(&p->s);
	unlink(p->path);
	unlink(p->log);
	unlink(p->other);
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

static void stands(void **state)
{
	struct place *p = *state;

	assert_int_equal(storage_stands(&p->s), 0);
	assert_int_equal(storage_check(&p->s), 0);
}

static void notices_either_file(void **state)
{
	struct place *p = *state;
	const char *const names[] = {p->path, p->log};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(rename(names[i], p->other), 0);
		assert_int_equal(storage_stands(&p->s), -ESTALE);
		assert_int_equal(storage_check(&p->s), -ESTALE);
		/* Not by its name alone. */
		touch(names[i]);
		assert_int_equal(storage_stands(&p->s), -ESTALE);
		assert_int_equal(unlink(names[i]), 0);
		assert_int_equal(symlink(p->other, names[i]), 0);
		assert_int_equal(storage_stands(&p->s), -ESTALE);
		assert_int_equal(unlink(names[i]), 0);
		assert_int_equal(rename(p->other, names[i]), 0);
		assert_int_equal(storage_stands(&p->s), 0);
	}
}

/* Both say the number of their free blocks as a disk does. */
static void other_file_systems(void **state)
{
	struct storage s = {.path = strdup("/proc/version"), .log = strdup("/proc/version")};
	struct stat st;

	(void)state;
	assert_int_equal(stat("/proc/version", &st), 0);
	for (size_t i = 0; i < ARRAY_SIZE(s.files); i++) {
		s.files[i].dev = st.st_dev;
		s.files[i].ino = st.st_ino;
	}
	/* No blocks at all is not full. */
	assert_int_equal(storage_check(&s), 0);
	storage_fini(&s);
}

static void needs_both_files(void **state)
{
	struct place *p = *state;
	struct storage s = {0};

	assert_int_equal(unlink(p->log), 0);
	assert_int_equal(storage_note(&s, p->path), -ENOENT);
	storage_fini(&s);
}

static void faults_have_words(void **state)
{
	static const int errors[] = {-ESTALE, -EROFS, -ENOSPC, -EREMOTEIO, -EIO};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(storage_fault(errors[i]), storage_fault(errors[k]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stands, setup, teardown),
		cmocka_unit_test_setup_teardown(notices_either_file, setup, teardown),
		cmocka_unit_test(other_file_systems),
		cmocka_unit_test_setup_teardown(needs_both_files, setup, teardown),
		cmocka_unit_test(faults_have_words),
	};

	return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
