#include <errno.h>

#include "db/meta_store.h"
#include "tests/unit/db/dbtest.h"

static void text_round_trip(void **state)
{
	struct dbtest *t = *state;
	char out[8] = "before";

	assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out)), -ENOENT);
	assert_int_equal(meta_set_text(t->db, "k", "1234567"), 0);
	assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out)), 0);
	assert_string_equal(out, "1234567");
	assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out) - 1), -EMSGSIZE);
	assert_int_equal(meta_set_text(t->db, "k", ""), 0);
	assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out)), 0);
	assert_string_equal(out, "");
}

static void text_is_measured_in_bytes(void **state)
{
	struct dbtest *t = *state;
	char out[5];

	assert_int_equal(meta_set_text(t->db, "k", "\xc3\xaf\xc3\xaf"), 0);
	assert_int_equal(meta_get_text(t->db, "k", out, 4), -EMSGSIZE);
	assert_int_equal(meta_get_text(t->db, "k", out, 5), 0);
}

static void blob_round_trip(void **state)
{
	struct dbtest *t = *state;
	uint8_t out[8];
	size_t len = 9;

	assert_int_equal(meta_get_blob(t->db, "b", out, sizeof(out), &len), -ENOENT);
	assert_int_equal(len, 0);
	assert_int_equal(meta_set_blob(t->db, "b", "a\0b", 3), 0);
	assert_int_equal(meta_get_blob(t->db, "b", out, sizeof(out), &len), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(out, "a\0b", 3);
	assert_int_equal(meta_get_blob(t->db, "b", out, 2, &len), -EMSGSIZE);
	assert_int_equal(meta_set_blob(t->db, "b", "", 0), 0);
	assert_int_equal(meta_get_blob(t->db, "b", out, sizeof(out), &len), 0);
	assert_int_equal(len, 0);
}

static void a_key_has_one_kind(void **state)
{
	struct dbtest *t = *state;
	char out[8];
	size_t len;

	assert_int_equal(meta_set_text(t->db, "k", "text"), 0);
	assert_int_equal(meta_get_blob(t->db, "k", out, sizeof(out), &len), -ENOENT);
	assert_int_equal(meta_set_blob(t->db, "k", "b", 1), 0);
	assert_int_equal(meta_get_text(t->db, "k", out, sizeof(out)), -ENOENT);
	assert_int_equal(meta_get_blob(t->db, "k", out, sizeof(out), &len), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(text_round_trip),
		T(text_is_measured_in_bytes),
		T(blob_round_trip),
		T(a_key_has_one_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
