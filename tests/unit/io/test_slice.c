/* A thread's slice. Each test asks in a thread of its own, which takes it along when it ends. */
#include "io/slice.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { MS = 1000 * 1000 };

/* What the kernel says of a thread, in the words that every version of it has. */
struct said {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

struct asked {
	int policy, nice;
	uint64_t ns;
	int r; /* of slice_set */
	struct said before, after;
};

static void ask(struct said *s)
{
	memset(s, 0, sizeof(*s));
	(void)syscall(SYS_sched_getattr, 0, s, sizeof(*s), 0);
}

static void *thread(void *arg)
{
	struct asked *a = arg;

	(void)sched_setscheduler(0, a->policy, &(struct sched_param){0});
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), a->nice);
	ask(&a->before);
	a->r = slice_set(a->ns);
	ask(&a->after);
	return NULL;
}

static struct asked in_a_thread(int policy, int nice, uint64_t ns)
{
	struct asked a = {.policy = policy, .nice = nice, .ns = ns, .r = -1};
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, thread, &a), 0);
	pthread_join(t, NULL);
	assert_int_equal(a.before.policy, policy);
	assert_int_equal(a.before.nice, nice);
	return a;
}

/* Linux 6.12 and later. */
static bool kernel_has_slices(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%d.%d", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 12);
}

static void a_thread_has_it(void **state)
{
	struct asked a = in_a_thread(SCHED_OTHER, 0, SLICE_WORKER_NS);

	(void)state;
	assert_int_equal(a.r, 0);
	if (kernel_has_slices())
		assert_true(a.after.runtime == SLICE_WORKER_NS);
	assert_int_equal(a.after.policy, SCHED_OTHER);
	assert_int_equal(a.after.nice, 0);
}

static void how_nice_it_is_stays(void **state)
{
	struct asked a = in_a_thread(SCHED_OTHER, 7, 9 * MS);

	(void)state;
	assert_int_equal(a.r, 0);
	if (kernel_has_slices())
		assert_true(a.after.runtime == 9 * MS);
	assert_int_equal(a.after.nice, 7);
}

static void another_policy_stays_as_it_is(void **state)
{
	struct asked a = in_a_thread(SCHED_BATCH, 3, SLICE_WORKER_NS);

	(void)state;
	assert_int_equal(a.r, 0);
	assert_memory_equal(&a.before, &a.after, sizeof(a.before));
}

/* The kernel takes 0.1 to 100 ms, and the nearest for all others. */
static void an_impossible_one_is_the_nearest(void **state)
{
	struct asked a = in_a_thread(SCHED_OTHER, 0, 1);
	struct asked b = in_a_thread(SCHED_OTHER, 0, UINT64_MAX / 4);

	(void)state;
	assert_int_equal(a.r, 0);
	assert_int_equal(b.r, 0);
	if (kernel_has_slices()) {
		assert_true(a.after.runtime == MS / 10);
		assert_true(b.after.runtime == 100 * MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_has_it),
		cmocka_unit_test(how_nice_it_is_stays),
		cmocka_unit_test(another_policy_stays_as_it_is),
		cmocka_unit_test(an_impossible_one_is_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
