/* The ring against a plain array, over random puts and takes. */
#include "io/tcp_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { CAP = 97 };

static size_t view(const struct tcp_queue *q, uint8_t *out)
{
	struct iovec iov[2];
	size_t n = tcp_queue_view(q, iov), len = 0;

	for (size_t i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

static void like_an_array(void **state)
{
	struct tcp_queue q = {0};
	uint8_t model[CAP], seen[CAP], next = 0;
	size_t len = 0;

	(void)state;
	srandom(7);
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(tcp_queue_room(&q, CAP), CAP - len);
		if (random() & 1) {
			uint8_t bytes[CAP];
			size_t n = (size_t)random() % (CAP - len + 1);

			for (size_t b = 0; b < n; b++)
				model[len + b] = bytes[b] = next++;
			assert_int_equal(tcp_queue_put(&q, CAP, bytes, n), 0);
			len += n;
		} else {
			size_t n = (size_t)random() % (len + 1);

			tcp_queue_take(&q, n);
			memmove(model, model + n, len - n);
			len -= n;
		}
		assert_int_equal(q.len, len);
		assert_int_equal(view(&q, seen), len);
		assert_memory_equal(seen, model, len);
		/* Memory is there only while something waits. */
		assert_int_equal(q.bytes != NULL, len > 0);
	}
	tcp_queue_drop(&q);
	assert_null(q.bytes);
}

static void keeps_its_size_while_something_waits(void **state)
{
	struct tcp_queue q = {0};

	(void)state;
	assert_int_equal(tcp_queue_room(&q, 10), 10);
	assert_int_equal(tcp_queue_put(&q, 10, "12345678", 8), 0);
	assert_int_equal(tcp_queue_room(&q, 1000), 2);
	tcp_queue_take(&q, 8);
	assert_int_equal(tcp_queue_room(&q, 1000), 1000);
	tcp_queue_take(&q, 0);
	assert_int_equal(tcp_queue_put(&q, 10, NULL, 0), 0);
	assert_null(q.bytes);
	tcp_queue_drop(&q);
	tcp_queue_drop(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(like_an_array),
		cmocka_unit_test(keeps_its_size_while_something_waits),
	};

	return cmocka_run_group_tests_name("tcp_queue", tests, NULL, NULL);
}
