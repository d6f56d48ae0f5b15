/* Rows and head of the audit log. */
#include <errno.h>

#include "db/audit_store.h"
#include "db/stmt.h"
#include "tests/unit/db/dbtest.h"

static struct audit_row a_row(uint64_t seq, unsigned actor, unsigned object, const char *action)
{
	struct audit_row r = {.seq = seq, .at = 1000 + (int64_t)seq};

	r.actor_id = id_of(actor);
	snprintf(r.actor_name, sizeof(r.actor_name), "user%u", actor);
	r.via = AUDIT_VIA_TOKEN;
	r.via_id = id_of(500);
	r.from = (struct ip_addr){IP_V6, {0x20, 1, [15] = 9}};
	snprintf(r.action, sizeof(r.action), "%s", action);
	snprintf(r.kind, sizeof(r.kind), "dev");
	r.object_id = id_of(object);
	snprintf(r.outcome, sizeof(r.outcome), "ok");
	snprintf(r.detail, sizeof(r.detail), "name");
	memset(r.hash, (int)seq, sizeof(r.hash));
	return r;
}

static void insert(struct dbtest *t, const struct audit_row *r)
{
	struct db_conn *tx = begin(t);

	assert_int_equal(audit_insert(tx, r), 0);
	commit(tx);
}

/* Everything comes back, with and without what may be missing. */
static void rows_come_back(void **state)
{
	struct dbtest *t = *state;
	struct audit_row in[2] = {a_row(1, 2, 3, "device.create"), a_row(2, 0, 0, "audit.begin")};
	struct audit_row out[3];
	struct db_conn *tx;

	memset(&in[1].actor_id, 0, sizeof(in[1].actor_id));
	memset(&in[1].object_id, 0, sizeof(in[1].object_id));
	in[1].from = (struct ip_addr){0};
	in[1].kind[0] = in[1].detail[0] = in[1].actor_name[0] = '\0';
	in[1].via = AUDIT_VIA_NOTHING;
	insert(t, &in[0]);
	insert(t, &in[1]);
	tx = begin(t);
	assert_int_equal(audit_insert(tx, &in[1]), -EEXIST);
	db_end(&tx);
	assert_int_equal(db_read(t->db, &tx), 0);
	assert_int_equal(audit_list_up(tx, 0, out, 3), 2);
	/* Names are written into zeroed memory, so all of it compares. */
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(out[i].seq, in[i].seq);
		assert_int_equal(out[i].at, in[i].at);
		assert_memory_equal(&out[i].actor_id, &in[i].actor_id, sizeof(struct ulid));
		assert_string_equal(out[i].actor_name, in[i].actor_name);
		assert_int_equal(out[i].via, in[i].via);
		assert_memory_equal(&out[i].via_id, &in[i].via_id, sizeof(struct ulid));
		assert_true(ip_addr_equal(&out[i].from, &in[i].from));
		assert_string_equal(out[i].action, in[i].action);
		assert_string_equal(out[i].kind, in[i].kind);
		assert_memory_equal(&out[i].object_id, &in[i].object_id, sizeof(struct ulid));
		assert_string_equal(out[i].outcome, in[i].outcome);
		assert_string_equal(out[i].detail, in[i].detail);
		assert_memory_equal(out[i].hash, in[i].hash, sizeof(in[i].hash));
	}
	assert_int_equal(audit_list_up(tx, 1, out, 3), 1);
	assert_int_equal(audit_list_up(tx, 2, out, 3), 0);
	db_end(&tx);
}

static int list(struct dbtest *t, const struct audit_filter *f, uint64_t before, uint64_t *seqs)
{
	struct audit_row rows[16];
	struct db_conn *tx;
	int n;

	assert_int_equal(db_read(t->db, &tx), 0);
	n = audit_list_down(tx, f, before, rows, 16);
	db_end(&tx);
	for (int i = 0; i < n; i++)
		seqs[i] = rows[i].seq;
	return n;
}

/* Against a plain loop over the same rows, for every combination of filters. */
static void filters_are_what_a_loop_would_find(void **state)
{
	static const char *const actions[] = {"", "user.create", "device.patch", "none.such"};
	static const char *const kinds[] = {"", "dev", "usr"};
	struct dbtest *t = *state;
	struct audit_row rows[12];
	uint64_t got[16];

	for (unsigned i = 0; i < 12; i++) {
		rows[i] = a_row(i + 1, 1 + i % 3, 10 + i % 2, actions[1 + i % 2]);
		insert(t, &rows[i]);
	}
	for (unsigned actor = 0; actor < 4; actor++)
		for (unsigned object = 0; object < 2; object++)
			for (size_t action = 0; action < 4; action++)
				for (size_t kind = 0; kind < 3; kind++) {
					struct audit_filter f = {{{0}}, {{0}}, "", ""};
					size_t want = 0;

					if (actor)
						f.actor = id_of(actor);
					if (object)
						f.object = id_of(9 + object);
					strcpy(f.action, actions[action]);
					strcpy(f.kind, kinds[kind]);
					const int n = list(t, &f, 9, got);

					for (size_t i = 8; i-- > 0;) {
						const struct audit_row *r = &rows[i];

						if ((actor &&
							    !ulid_equal(&r->actor_id, &f.actor)) ||
							(object && !ulid_equal(&r->object_id,
									   &f.object)) ||
							(f.action[0] &&
								strcmp(r->action, f.action)) ||
							(f.kind[0] && strcmp(r->kind, f.kind)))
							continue;
						assert_true((int)want < n);
						assert_int_equal(got[want++], r->seq);
					}
					assert_int_equal(want, n);
				}
}

static void the_oldest_go(void **state)
{
	struct dbtest *t = *state;
	const struct audit_filter all = {{{0}}, {{0}}, "", ""};
	struct db_conn *tx = begin(t);
	uint64_t got[16], greatest = 1;

	assert_int_equal(audit_greatest(tx, &greatest), 0);
	assert_int_equal(greatest, 0);
	for (unsigned i = 1; i <= 5; i++) {
		struct audit_row r = a_row(i, 1, 2, "a.b");

		assert_int_equal(audit_insert(tx, &r), 0);
	}
	assert_int_equal(audit_delete_upto(tx, 3), 0);
	assert_int_equal(audit_greatest(tx, &greatest), 0);
	assert_int_equal(greatest, 5);
	commit(tx);
	assert_int_equal(list(t, &all, 0, got), 2);
	assert_int_equal(got[0], 5);
	assert_int_equal(got[1], 4);
	assert_int_equal(list(t, &all, UINT64_MAX, got), 2);
	assert_int_equal(list(t, &all, 4, got), 0);
}

static void the_head_is_one(void **state)
{
	struct dbtest *t = *state;
	struct audit_head h, back;
	struct db_conn *tx = begin(t);

	assert_int_equal(audit_head_get(tx, &h), 0);
	assert_int_equal(h.first, 1);
	assert_int_equal(h.last, 0);
	assert_int_equal(h.mac_len, 0);
	h = (struct audit_head){.first = 3, .last = 9, .broken = 7, .mac_len = 32};
	memset(h.before, 1, 32);
	memset(h.hash, 2, 32);
	memset(h.mac, 3, 32);
	assert_int_equal(audit_head_set(tx, &h), 0);
	assert_int_equal(audit_head_get(tx, &back), 0);
	assert_memory_equal(&h, &back, sizeof(h));
	{
		struct stmt st cleanup(stmt_close) = stmt_open(tx, "DELETE FROM audit_head");

		assert_int_equal(stmt_run(&st), 0);
	}
	assert_int_equal(audit_head_get(tx, &back), -ENOENT);
	assert_int_equal(audit_head_set(tx, &h), 0);
	assert_int_equal(audit_head_get(tx, &back), 0);
	commit(tx);
}

#define T(f) cmocka_unit_test_setup_teardown(f, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rows_come_back),
		T(filters_are_what_a_loop_would_find),
		T(the_oldest_go),
		T(the_head_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
