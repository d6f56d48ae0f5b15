/* Who takes backups, one at a time, and that the digest is the file's. */
#include <errno.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include "tests/unit/service/servicetest.h"

static void only_an_admin(void **state)
{
	struct servicetest *t = *state;
	struct svc_backup b;

	for (unsigned role = 0; role < SVC_ROLE_ADMIN; role++) {
		struct svc_actor a = t->admin;

		a.role = (enum svc_role)role;
		assert_int_equal(svc_backup_begin(t->s, &a, &b, &t->e), SVC_FORBIDDEN);
	}
}

static void one_at_a_time(void **state)
{
	struct servicetest *t = *state;
	struct svc_backup one, other;

	assert_int_equal(svc_backup_begin(t->s, &t->admin, &one, &t->e), 0);
	assert_int_equal(svc_backup_begin(t->s, &t->admin, &other, &t->e), SVC_RATE_LIMITED);
	assert_true(t->e.retry_after_s > 0);
	close(one.fd);
	svc_backup_end(t->s);
	assert_int_equal(svc_backup_begin(t->s, &t->admin, &other, &t->e), 0);
	close(other.fd);
	svc_backup_end(t->s);
}

static void the_digest_is_of_the_file(void **state)
{
	struct servicetest *t = *state;
	struct svc_backup b;
	uint8_t hash[32], *all;

	assert_int_equal(svc_backup_begin(t->s, &t->admin, &b, &t->e), 0);
	all = malloc(b.size);
	assert_int_equal(read(b.fd, all, b.size), b.size);
	SHA256(all, b.size, hash);
	assert_memory_equal(hash, b.sha256, 32);
	assert_int_equal(b.made_at, service_now(t->s));
	free(all);
	close(b.fd);
	svc_backup_end(t->s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			only_an_admin, servicetest_setup, servicetest_teardown),
		cmocka_unit_test_setup_teardown(
			one_at_a_time, servicetest_setup, servicetest_teardown),
		cmocka_unit_test_setup_teardown(
			the_digest_is_of_the_file, servicetest_setup, servicetest_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
