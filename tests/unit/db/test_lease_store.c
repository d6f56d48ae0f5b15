/* The allocator against a model that is too simple to be wrong; and what it must refuse. */
#include <errno.h>
#include <inttypes.h>

#include "db/lease_store.h"
#include "tests/unit/db/dbtest.h"

enum { POOL = 13, DEVICES = 40, OPS = 10000 };

/* 10.0.0.2 .. 10.0.0.14, as of a /28 whose server is .1 */
static struct lease_value v4(unsigned last)
{
	return (struct lease_value){4, {10, 0, 0, (uint8_t)last}};
}

static const struct ulid user = {{9}};

/* A lease must belong to a device: they are there from the start. */
static int setup(void **state)
{
	struct user_row u = a_user(0, "ann");
	struct dbtest *t;
	struct db_conn *tx;

	dbtest_setup(state);
	t = *state;
	tx = begin(t);
	u.id = user;
	assert_int_equal(user_insert(tx, &u), 0);
	for (unsigned i = 1; i <= DEVICES; i++) {
		char name[16];
		struct device_row d;

		snprintf(name, sizeof(name), "d%u", i);
		d = a_device(i, user, name);
		assert_int_equal(device_insert(tx, &d), 0);
	}
	commit(tx);
	return 0;
}

static int take_next(struct db_conn *tx, unsigned device, int64_t now, unsigned *got)
{
	struct lease_value first = v4(2), last = v4(14), out = {0};
	struct ulid id = id_of(device);
	int r = lease_take_next(tx, LEASE_ADDRESS4, &first, &last, &id, now, &out);

	*got = out.bytes[3];
	return r;
}

static int take(struct db_conn *tx, unsigned device, unsigned which, int64_t now)
{
	struct lease_value v = v4(which);
	struct ulid id = id_of(device);

	return lease_take(tx, LEASE_ADDRESS4, &v, &id, now);
}

static int release(struct db_conn *tx, unsigned which, int64_t now)
{
	struct lease_value v = v4(which);

	return lease_release(tx, LEASE_ADDRESS4, &v, now);
}

static void thirteen_and_no_more(void **state)
{
	struct db_conn *tx = begin(*state);
	unsigned got, seen = 0;

	for (unsigned i = 1; i <= POOL; i++) {
		assert_int_equal(take_next(tx, i, 1000, &got), LEASE_OK);
		assert_in_range(got, 2, 14);
		assert_false(seen & 1u << got);
		seen |= 1u << got;
	}
	assert_int_equal(take_next(tx, 14, 1000, &got), LEASE_FULL);
	assert_int_equal(release(tx, 7, 1000), 0);
	assert_int_equal(take_next(tx, 14, 1000 + LEASE_QUARANTINE_MS - 1, &got), LEASE_FULL);
	assert_int_equal(take_next(tx, 14, 1000 + LEASE_QUARANTINE_MS, &got), LEASE_OK);
	assert_int_equal(got, 7);
	commit(tx);
}

static void wanted_ones(void **state)
{
	struct db_conn *tx = begin(*state);

	assert_int_equal(take(tx, 1, 5, 0), LEASE_OK);
	assert_int_equal(take(tx, 2, 5, 0), LEASE_TAKEN);
	assert_int_equal(release(tx, 5, 10), 0);
	assert_int_equal(release(tx, 5, 10), -ENOENT);
	assert_int_equal(release(tx, 6, 10), -ENOENT);
	assert_int_equal(take(tx, 2, 5, 10), LEASE_QUARANTINED);
	assert_int_equal(take(tx, 2, 5, 9 + LEASE_QUARANTINE_MS), LEASE_QUARANTINED);
	assert_int_equal(take(tx, 2, 5, 10 + LEASE_QUARANTINE_MS), LEASE_OK);
	commit(tx);
}

static void kinds_do_not_mix(void **state)
{
	struct db_conn *tx = begin(*state);
	struct lease_value slot = {2, {0, 5}}, a6 = {16, {0xfd, [15] = 5}};
	struct ulid id = id_of(1);

	assert_int_equal(lease_take(tx, LEASE_SLOT, &slot, &id, 0), LEASE_OK);
	assert_int_equal(lease_take(tx, LEASE_ADDRESS6, &a6, &id, 0), LEASE_OK);
	assert_int_equal(take(tx, 1, 5, 0), LEASE_OK);
	assert_int_equal(lease_release_device(tx, &id, 1), 0);
	assert_int_equal(lease_take(tx, LEASE_SLOT, &slot, &id, 1), LEASE_QUARANTINED);
	assert_int_equal(lease_take(tx, LEASE_ADDRESS6, &a6, &id, 1), LEASE_QUARANTINED);
	assert_int_equal(take(tx, 1, 5, 1), LEASE_QUARANTINED);
	commit(tx);
}

static void released_with_the_user(void **state)
{
	struct db_conn *tx = begin(*state);

	assert_int_equal(take(tx, 1, 5, 0), LEASE_OK);
	assert_int_equal(take(tx, 2, 6, 0), LEASE_OK);
	assert_int_equal(lease_release_user(tx, &user, 1), 0);
	assert_int_equal(user_delete(tx, &user), 0);
	commit(tx);
	tx = begin(*state);
	assert_int_equal(release(tx, 5, 2), -ENOENT);
	db_end(&tx);
}

/* Forgetting to release is caught at the commit, not when the address is given out again. */
static void device_with_leases_cannot_go(void **state)
{
	struct db_conn *tx = begin(*state);
	struct ulid id = id_of(1);

	assert_int_equal(take(tx, 1, 5, 0), LEASE_OK);
	assert_int_equal(device_delete(tx, &id), 0);
	assert_int_equal(db_commit(&tx), -ENOENT);
}

static void ends_of_the_number_range(void **state)
{
	struct db_conn *tx = begin(*state);
	struct lease_value first = {2, {0xff, 0xfe}}, last = {2, {0xff, 0xff}}, low = {2, {0, 0}},
			   out;
	struct ulid id = id_of(1);

	assert_int_equal(lease_take_next(tx, LEASE_SLOT, &first, &last, &id, 0, &out), LEASE_OK);
	assert_int_equal(out.bytes[1], 0xfe);
	assert_int_equal(lease_take_next(tx, LEASE_SLOT, &first, &last, &id, 0, &out), LEASE_OK);
	assert_int_equal(out.bytes[1], 0xff);
	assert_int_equal(lease_take_next(tx, LEASE_SLOT, &first, &last, &id, 0, &out), LEASE_FULL);
	/* From the top it goes round to zero. */
	assert_int_equal(lease_take_next(tx, LEASE_SLOT, &low, &last, &id, 0, &out), LEASE_OK);
	assert_int_equal(out.bytes[0] | out.bytes[1], 0);
	/* A range without anything in it. */
	assert_int_equal(lease_take_next(tx, LEASE_SLOT, &last, &first, &id, 0, &out), LEASE_FULL);
	commit(tx);
}

/* The next one is never the one that was just given back, as long as there are others. */
static void goes_round(void **state)
{
	struct db_conn *tx = begin(*state);
	unsigned got, last = 0;

	for (unsigned i = 0; i < POOL; i++) {
		assert_int_equal(take_next(tx, 1, 0, &got), LEASE_OK);
		assert_int_equal(got, i + 2);
		assert_int_not_equal(got, last);
		assert_int_equal(release(tx, got, 0), 0);
		last = got;
	}
	assert_int_equal(take_next(tx, 1, 0, &got), LEASE_FULL);
	commit(tx);
}

/* ---- 10 000 random operations against an array ---- */

struct model {
	unsigned owner[16];   /* 0: nobody */
	int64_t released[16]; /* 0: never */
	unsigned next;	      /* where the search begins */
};

static bool model_free(const struct model *m, unsigned a, int64_t now)
{
	return !m->owner[a] && (!m->released[a] || now - m->released[a] >= LEASE_QUARANTINE_MS);
}

static unsigned model_next(const struct model *m, int64_t now)
{
	for (unsigned i = 0; i < POOL; i++) {
		unsigned a = 2 + (m->next - 2 + i) % POOL;

		if (model_free(m, a, now))
			return a;
	}
	return 0;
}

static void op_next(struct db_conn *tx, struct model *m, unsigned device, int64_t now)
{
	unsigned want = model_next(m, now), got;
	int r = take_next(tx, device, now, &got);

	assert_int_equal(r, want ? LEASE_OK : LEASE_FULL);
	if (!want)
		return;
	assert_int_equal(got, want);
	m->owner[got] = device;
	m->next = got == 14 ? 2 : got + 1;
}

static void op_wanted(struct db_conn *tx, struct model *m, unsigned device, unsigned a, int64_t now)
{
	int want = m->owner[a] ? LEASE_TAKEN : model_free(m, a, now) ? LEASE_OK : LEASE_QUARANTINED;

	assert_int_equal(take(tx, device, a, now), want);
	if (want == LEASE_OK)
		m->owner[a] = device;
}

static void op_release(struct db_conn *tx, struct model *m, unsigned a, int64_t now)
{
	assert_int_equal(release(tx, a, now), m->owner[a] ? 0 : -ENOENT);
	if (m->owner[a])
		m->released[a] = now;
	m->owner[a] = 0;
}

static void op_release_device(struct db_conn *tx, struct model *m, unsigned device, int64_t now)
{
	struct ulid id = id_of(device);

	assert_int_equal(lease_release_device(tx, &id, now), 0);
	for (unsigned a = 2; a < 15; a++) {
		if (m->owner[a] != device)
			continue;
		m->owner[a] = 0;
		m->released[a] = now;
	}
}

static void equals_the_model(void **state)
{
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : 20260101u;
	struct model m = {.next = 2}, saved;
	int64_t now = 1000000;

	print_message("SEED=%u\n", seed);
	srandom(seed);
	for (int i = 0; i < OPS;) {
		struct db_conn *tx = begin(*state);

		saved = m;
		for (int batch = 1 + (int)(random() % 200); batch > 0; batch--, i++) {
			unsigned device = 1 + (unsigned)random() % DEVICES,
				 a = 2 + (unsigned)random() % POOL;

			now += random() % 4 ? random() % 3000 : random() % LEASE_QUARANTINE_MS;
			switch (random() % 8) {
			case 0:
			case 1:
			case 2:
			case 3:
				op_next(tx, &m, device, now);
				break;
			case 4:
				op_wanted(tx, &m, device, a, now);
				break;
			case 5:
				op_release_device(tx, &m, device, now);
				break;
			default:
				op_release(tx, &m, a, now);
				break;
			}
		}
		/* Some transactions do not come to their end. */
		if (random() % 5) {
			commit(tx);
		} else {
			db_end(&tx);
			m = saved;
		}
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(thirteen_and_no_more),
		T(wanted_ones),
		T(kinds_do_not_mix),
		T(released_with_the_user),
		T(device_with_leases_cannot_go),
		T(ends_of_the_number_range),
		T(goes_round),
		T(equals_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
