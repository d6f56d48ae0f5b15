/* Cursors: exact, one short, one over, and stuck after the first error. */
#include "base/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_numbers_are_little_endian(void **state)
{
	const uint8_t expected[15] = {1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8};
	uint8_t buf[15];
	struct writer w = writer_init(buf, sizeof(buf));
	struct reader r = reader_init(buf, sizeof(buf));

	(void)state;
	writer_u8(&w, 1);
	writer_u16(&w, 0x0203);
	writer_u32(&w, 0x04050607);
	writer_u64(&w, 0x08090a0b0c0d0e0f);
	assert_int_equal(writer_end(&w), 0);
	assert_int_equal(writer_len(&w), sizeof(buf));
	assert_memory_equal(buf, expected, sizeof(buf));
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_u16(&r), 0x0203);
	assert_int_equal(reader_u32(&r), 0x04050607);
	assert_true(reader_u64(&r) == 0x08090a0b0c0d0e0f);
	assert_int_equal(reader_end(&r), 0);
}

static void test_network_order(void **state)
{
	const uint8_t expected[14] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
	uint8_t buf[14];
	struct writer w = writer_init(buf, sizeof(buf));
	struct reader r = reader_init(expected, 6);

	(void)state;
	writer_be16(&w, 0x0102);
	writer_be32(&w, 0x03040506);
	writer_be64(&w, 0x0708090a0b0c0d0e);
	assert_int_equal(writer_end(&w), 0);
	assert_memory_equal(buf, expected, sizeof(buf));
	assert_int_equal(reader_be16(&r), 0x0102);
	assert_int_equal(reader_be32(&r), 0x03040506);
	assert_int_equal(reader_end(&r), 0);

	/* One byte short: zeros, and bad for good. */
	r = reader_init(expected, 1);
	assert_int_equal(reader_be16(&r), 0);
	assert_int_equal(reader_end(&r), -EBADMSG);
	r = reader_init(expected, 3);
	assert_int_equal(reader_be32(&r), 0);
	assert_int_equal(reader_be16(&r), 0);
	assert_int_equal(reader_end(&r), -EBADMSG);
	for (size_t cap = 0; cap < 8; cap++) {
		w = writer_init(buf, cap);
		writer_be64(&w, UINT64_MAX);
		assert_int_equal(writer_len(&w), 0);
		assert_int_equal(writer_end(&w), -EMSGSIZE);
	}
	w = writer_init(buf, 3);
	writer_be32(&w, 0);
	assert_int_equal(writer_end(&w), -EMSGSIZE);
	w = writer_init(buf, 1);
	writer_be16(&w, 0);
	assert_int_equal(writer_end(&w), -EMSGSIZE);
}

static void test_reader_is_bad_for_good(void **state)
{
	uint8_t *buf = calloc(1, 3);
	uint8_t out[4] = {9, 9, 9, 9};
	struct reader r = reader_init(buf, 3);

	(void)state;
	memset(buf, 0xff, 3);
	assert_int_equal(reader_u32(&r), 0);
	assert_int_equal(reader_end(&r), -EBADMSG);
	assert_int_equal(reader_u8(&r), 0);
	assert_null(reader_view(&r, 0));
	assert_int_equal(reader_left(&r), 0);
	reader_bytes(&r, out, sizeof(out));
	assert_int_equal(out[0] | out[1] | out[2] | out[3], 0);
	assert_int_equal(reader_end(&r), -EBADMSG);
	free(buf);
}

static void test_reader_refuses_trailing_bytes(void **state)
{
	const uint8_t buf[3] = {1, 2, 3};
	struct reader r = reader_init(buf, sizeof(buf));

	(void)state;
	assert_int_equal(reader_u16(&r), 0x0201);
	assert_int_equal(reader_left(&r), 1);
	assert_int_equal(reader_end(&r), -EBADMSG);
	assert_ptr_equal(reader_view(&r, 1), buf + 2);
	assert_int_equal(reader_end(&r), 0);
	assert_non_null(reader_view(&r, 0));
	assert_null(reader_view(&r, 1));
	assert_int_equal(reader_end(&r), -EBADMSG);
}

static void test_reader_huge_length(void **state)
{
	const uint8_t buf[3] = {1, 2, 3};
	struct reader r = reader_init(buf, sizeof(buf));

	(void)state;
	assert_null(reader_view(&r, SIZE_MAX));
	assert_int_equal(reader_end(&r), -EBADMSG);
}

static void test_empty_buffers(void **state)
{
	struct reader r = reader_init(NULL, 0);
	struct writer w = writer_init(NULL, 0);

	(void)state;
	assert_int_equal(reader_end(&r), 0);
	reader_bytes(&r, NULL, 0);
	assert_int_equal(reader_end(&r), 0);
	writer_bytes(&w, NULL, 0);
	assert_int_equal(writer_end(&w), 0);
	writer_u8(&w, 1);
	assert_int_equal(writer_end(&w), -EMSGSIZE);
	assert_int_equal(writer_len(&w), 0);
}

static void test_writer_is_bad_for_good(void **state)
{
	uint8_t *buf = calloc(1, 3);
	struct writer w = writer_init(buf, 3);

	(void)state;
	writer_u16(&w, 0xffff);
	writer_u16(&w, 0xffff);
	assert_int_equal(writer_end(&w), -EMSGSIZE);
	writer_u8(&w, 0xff);
	writer_bytes(&w, "x", 1);
	assert_int_equal(buf[2], 0);
	assert_int_equal(writer_len(&w), 2);
	assert_int_equal(writer_end(&w), -EMSGSIZE);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_little_endian),
		cmocka_unit_test(test_network_order),
		cmocka_unit_test(test_reader_is_bad_for_good),
		cmocka_unit_test(test_reader_refuses_trailing_bytes),
		cmocka_unit_test(test_reader_huge_length),
		cmocka_unit_test(test_empty_buffers),
		cmocka_unit_test(test_writer_is_bad_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
