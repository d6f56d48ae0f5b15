#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/stripes.h"

static const struct ulid ann = {{[15] = 1}}, bob = {{[15] = 2}}, d1 = {{[15] = 11}},
			 d2 = {{[15] = 12}};

static void one_user_or_his_devices(void **state)
{
	struct stripes *s;
	struct held a, b, c;

	(void)state;
	assert_int_equal(stripes_new(&s), 0);
	a = stripes_hold_device(s, &ann, &d1);
	b = stripes_hold_device(s, &ann, &d2); /* another device of the same user */
	assert_int_not_equal(pthread_rwlock_trywrlock(a.user), 0);
	assert_int_not_equal(pthread_mutex_trylock(a.device), 0);
	c = stripes_hold_user(s, &bob); /* somebody else */
	assert_null(c.device);
	held_release(&a);
	assert_null(a.user);
	held_release(&a); /* twice is nothing */
	held_release(&b);
	held_release(&c);
	c = stripes_hold_user(s, &ann);
	assert_int_not_equal(pthread_rwlock_tryrdlock(c.user), 0);
	held_release(&c);
	stripes_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_user_or_his_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
